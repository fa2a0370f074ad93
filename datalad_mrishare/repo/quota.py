"""What git-annex does not ask a WebDAV server: what it has room for, what lies there.

Quota as RFC 4331 defines it, properties by PROPFIND (RFC 4918). The password is sent as
git-annex sends it, and only on ways that nobody else can read.
"""

from __future__ import annotations

import base64
import http.client
import urllib.error
import urllib.request
from collections.abc import Iterator
from urllib.parse import quote, unquote, urljoin, urlsplit
from xml.etree import ElementTree

from ..errors import SiblingError
from .cloud import CloudPlace
from .transport import read_on_the_way

#: seconds that a server has to answer one question
PATIENCE = 30.0
#: bytes of an answer that are read: a collection of 4096 members needs two or three million
_LONGEST = 32 << 20
#: collections that are looked into before one with so many counts as not empty
_MOST = 500

_ASK = '<?xml version="1.0" encoding="utf-8"?><propfind xmlns="DAV:"><prop>{}</prop></propfind>'
_FAILURES = (OSError, http.client.HTTPException, ElementTree.ParseError)


def quota_left(place: CloudPlace) -> int | None:
    """Bytes that the server says may still be written; None when it does not tell.

    The nearest collection that exists is asked.
    """
    url = place.url
    while True:
        try:
            found = _propfind(place, url, "quota-available-bytes", depth="0")
            texts = [e.text or "" for e in found.iter("{DAV:}quota-available-bytes")]
            return available(texts[0]) if texts else None
        except urllib.error.HTTPError as exc:
            parent = urljoin(url, "..")
            if exc.code != 404 or parent == url:
                return None
            url = parent
        except _FAILURES:
            return None


def available(text: str) -> int | None:
    """The bytes that a property tells; None for the negative figures of "without a limit".

    >>> available("4000"), available("-3"), available("")
    (4000, None, None)
    """
    return int(text) if text.strip().isdecimal() else None


def holds_files(place: CloudPlace, name: str) -> bool:
    """Whether any file lies in the collection ``place``, however deep.

    Raises
    ------
    SiblingError
        When the server does not tell.
    """
    waiting, asked = [place.url], 0
    try:
        while waiting:
            asked += 1
            if asked > _MOST:
                return True
            for member, is_collection, _ in _members(place, waiting.pop()):
                if not is_collection:
                    return True
                waiting.append(member)
    except urllib.error.HTTPError as exc:
        if exc.code == 404 and asked == 1:
            return False
        raise _untold(place, name, f"the server says {exc.code} {exc.reason}") from exc
    except _FAILURES as exc:
        raise _untold(place, name, str(exc) or type(exc).__name__) from exc
    return False


def _untold(place: CloudPlace, name: str, why: str) -> SiblingError:
    return SiblingError(
        f"does not tell what lies there: {why}",
        where=f"sibling '{name}' at {place}",
        remedy="Only an empty one can be shared; nothing was changed",
    )


def files_in(place: CloudPlace) -> Iterator[tuple[str, str, int | None]]:
    """Name below ``place``, URL and size of every file in the collection, however deep.

    It is asked for at once, and collection by collection where the server does not tell so much.

    Raises
    ------
    OSError
        When the server does not tell.
    """
    try:
        try:
            members = [*_members(place, place.url, depth="infinity")]
        except urllib.error.HTTPError as exc:
            if exc.code in (401, 404):
                raise
            members = [*_walked(place)]
        except (http.client.HTTPException, ElementTree.ParseError):
            members = [*_walked(place)]  # an answer of another kind, or one that is too long
    except urllib.error.HTTPError as exc:
        raise OSError(f"the server says {exc.code} {exc.reason}") from exc
    except _FAILURES as exc:
        raise OSError(str(exc) or type(exc).__name__) from exc
    top = f"{_path(place.url)}/"
    for url, is_collection, size in members:
        if not is_collection and _path(url).startswith(top):
            yield _path(url).removeprefix(top), url, size


def read_file(place: CloudPlace, url: str, chunk: int) -> Iterator[bytes]:
    """A file of the collection, ``chunk`` bytes at a time.

    Raises
    ------
    OSError
        When it cannot be read.
    """
    try:
        with _open(_request(place, url, "GET")) as answer:
            while piece := answer.read(chunk):
                yield piece
    except http.client.HTTPException as exc:
        raise OSError(str(exc) or type(exc).__name__) from exc


def members_of(place: CloudPlace) -> list[str]:
    """Names of the files that lie in the collection itself; none where there is no collection.

    Raises
    ------
    OSError
        When the server does not tell.
    """
    try:
        found = [*_members(place, place.url)]
    except urllib.error.HTTPError as exc:
        if exc.code == 404:
            return []
        raise OSError(f"the server says {exc.code} {exc.reason}") from exc
    except _FAILURES as exc:
        raise OSError(str(exc) or type(exc).__name__) from exc
    return [_path(url).rpartition("/")[2] for url, is_collection, _ in found if not is_collection]


def delete_file(place: CloudPlace, name: str) -> None:
    """Delete the file ``name`` of the collection itself; one that is not there is none.

    Raises
    ------
    OSError
        When the server does not.
    """
    try:
        with _open(_request(place, urljoin(place.url, quote(name)), "DELETE")):
            return
    except urllib.error.HTTPError as exc:
        if exc.code != 404:
            raise OSError(f"the server says {exc.code} {exc.reason}") from exc
    except http.client.HTTPException as exc:
        raise OSError(str(exc) or type(exc).__name__) from exc


def _walked(place: CloudPlace) -> Iterator[tuple[str, bool, int | None]]:
    """Every member of a collection and of those in it, one question for each."""
    waiting, seen = [place.url], {_path(place.url)}
    while waiting:
        for url, is_collection, size in _members(place, waiting.pop()):
            if is_collection and _path(url) not in seen:
                seen.add(_path(url))
                waiting.append(url)
            yield url, is_collection, size


def _members(
    place: CloudPlace, url: str, depth: str = "1"
) -> Iterator[tuple[str, bool, int | None]]:
    """URL of each member of a collection, whether it is one itself, its size in bytes."""
    answer = _propfind(place, url, "resourcetype", "getcontentlength", depth=depth)
    for response in answer.iter("{DAV:}response"):
        member = urljoin(url, response.findtext("{DAV:}href", "").strip())
        if _path(member) != _path(url):
            is_collection = response.find(".//{DAV:}collection") is not None
            told = (response.findtext(".//{DAV:}getcontentlength") or "").strip()
            size = int(told) if told.isdecimal() else None
            yield (f"{member.rstrip('/')}/" if is_collection else member), is_collection, size


def _path(url: str) -> str:
    return unquote(urlsplit(url).path).rstrip("/")


def _propfind(place: CloudPlace, url: str, *wanted: str, depth: str) -> ElementTree.Element:
    """The answer to a question about properties."""
    request = _request(place, url, "PROPFIND")
    request.data = _ASK.format("".join(f"<{name}/>" for name in wanted)).encode("ascii")
    request.add_header("Depth", depth)
    request.add_header("Content-Type", 'application/xml; charset="utf-8"')
    with _open(request) as answer:
        return _parsed(answer.read(_LONGEST))


def _parsed(answer: bytes) -> ElementTree.Element:
    """What an answer says; one that defines entities may grow without end (RFC 4918, 20.6).

    >>> _parsed(b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>')
    Traceback (most recent call last):
    xml.etree.ElementTree.ParseError: a document type is not taken
    """
    parser = ElementTree.XMLParser(target=_WithoutEntities())
    parser.feed(answer)
    found: ElementTree.Element = parser.close()
    return found


class _WithoutEntities(ElementTree.TreeBuilder):
    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        """Called before anything that it defines is read."""
        raise ElementTree.ParseError("a document type is not taken")


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """The password is for the server that was asked, and for no other."""

    def redirect_request(self, *args: object, **kwargs: object) -> None:
        return None


def _open(request: urllib.request.Request) -> http.client.HTTPResponse:
    opened: http.client.HTTPResponse = urllib.request.build_opener(_NoRedirect).open(
        request, timeout=PATIENCE
    )
    return opened


def _request(place: CloudPlace, url: str, method: str) -> urllib.request.Request:
    """A question with the credentials; never asked where others read along."""
    there, asked = urlsplit(place.url), urlsplit(url)
    if read_on_the_way(url) or (there.scheme, there.netloc) != (asked.scheme, asked.netloc):
        raise OSError(f"{asked.scheme}://{asked.netloc} is not asked")
    request = urllib.request.Request(url, method=method)
    known = place.credentials()
    if known:
        token = base64.b64encode(":".join(known).encode("utf-8")).decode("ascii")
        request.add_header("Authorization", f"Basic {token}")
    return request
