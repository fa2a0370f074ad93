"""What lies in storage, wherever it is: each name, and the bytes of what is wanted.

A directory of this machine, one behind ssh, a bucket, a collection. Nothing is written there.
"""

from __future__ import annotations

import os
import re
import shlex
import stat
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import RawIOBase
from pathlib import Path
from typing import IO, Any, cast

from ..errors import MriShareError
from .cloud import CloudPlace
from .quota import files_in, read_file
from .remotes import Place
from .ssh import GO_THERE, SshPlace
from .strangers import CAT_ALL, CHUNK, all_objects, files_below, parse_objects, read_pieces
from .strangers import repositories_below as repositories_here
from .transport import read_on_the_way


@dataclass(frozen=True)
class Stored:
    """One thing in storage: its ``name`` there, its ``size`` in bytes where that is told.

    The name of a directory ends in a slash.
    ``wrong`` says why it could not be looked into.
    """

    name: str
    size: int | None
    wrong: str = ""


Wanted = Callable[[Stored], bool]
"""Whether the bytes are wanted."""
Entry = tuple[Stored, Iterator[bytes]]
"""A thing and its bytes, none unless wanted; they are to be taken before the next one."""

_Failures = tuple[type[Exception], ...]

#: type, size, name of all but directories with something in them; without sizes, and of every
#: directory, where find is not GNU's
_LIST = (
    GO_THERE
    + """
cd "$place" || exit 9
if find . -prune -printf '' 2>/dev/null; then
    find . -mindepth 1 \\( ! -type d -o -empty \\) -printf '%y %s %P\\0'
else
    find . -type d -exec printf 'd - %s/\\0' {} + -o -type f -exec printf 'f - %s\\0' {} + \\
        -o -type l -exec printf 'l - %s\\0' {} + -o -exec printf '? - %s\\0' {} +
fi
"""
)
#: below ``objects`` of a repository: what is read as objects
_OBJECT = re.compile(r"([0-9a-f]{2}/[0-9a-f]{38,62}|(pack|info)/[^/]+)")
_REPOSITORIES = (
    GO_THERE
    + """
cd "$place" || exit 9
find . -type d -name objects -exec sh -c 'for found; do
    half=${found%objects}
    [ -d "${half}refs" ] && [ -f "${half}HEAD" ] && printf "%s\\0" "$half"
done
true' sh {} +
"""
)


def entries(place: Place, wanted: Wanted) -> Iterator[Entry]:
    """Everything at ``place`` but objects of git, also directories with nothing in them.

    Raises
    ------
    OSError, MriShareError
        When it cannot be listed.
    """
    if isinstance(place, Path):
        return _here(place, wanted)
    if isinstance(place, SshPlace):
        return _behind_ssh(place, wanted)
    return _in_collection(place, wanted) if place.kind == "webdav" else _in_bucket(place, wanted)


def objects(place: Place) -> Iterator[tuple[str, str, bytes]]:
    """Id, kind and content of every object of the git repositories at ``place``.

    Raises
    ------
    OSError, MriShareError
        When one of them cannot be read.
    """
    if isinstance(place, Path):
        for repo in repositories_here(place):
            yield from all_objects(repo)
    elif isinstance(place, SshPlace):
        for found in _repositories(place):
            script = f'{GO_THERE}\ncd "$place" && exec git --git-dir="$2" {shlex.join(CAT_ALL)}'
            yield from parse_objects(place.stream(script, place.path, found))


def _here(place: Path, wanted: Wanted) -> Iterator[Entry]:
    for path in files_below(place):
        name = os.path.relpath(path, place)
        try:
            seen = path.lstat()
            if stat.S_ISLNK(seen.st_mode):
                yield Stored(name, None), iter((os.fsencode(os.readlink(path)),))
            elif stat.S_ISDIR(seen.st_mode):
                yield Stored(f"{name}/", None), iter(())
            elif not stat.S_ISREG(seen.st_mode):
                yield Stored(name, None, "is no file"), iter(())
            else:
                found = Stored(name, seen.st_size)
                yield found, read_pieces(path) if wanted(found) else iter(())
        except FileNotFoundError:
            continue  # somebody is at work there
        except OSError as exc:
            yield Stored(name, None, exc.strerror or str(exc)), iter(())


def _repositories(place: SshPlace) -> list[str]:
    """Each git repository there, as ``./`` and its path with a slash behind."""
    return place.run(_REPOSITORIES, place.path).split("\0")[:-1]


def _behind_ssh(place: SshPlace, wanted: Wanted) -> Iterator[Entry]:
    asked: dict[str, Stored] = {}
    tops = {f"{found.removeprefix('./')}objects" for found in _repositories(place)}
    for line in place.run(_LIST, place.path).split("\0")[:-1]:
        kind, size, name = line.split(" ", 2)
        name = name.removeprefix("./")
        top, _, rest = name.rpartition("objects/")
        if f"{top}objects" in tops and _OBJECT.fullmatch(rest):
            continue
        if kind == "d":
            yield Stored(f"{name.rstrip('/')}/", None), iter(())
            continue
        if kind not in "fl":
            yield Stored(name, None, "is no file"), iter(())
            continue
        found = Stored(name, int(size) if kind == "f" and size.isdecimal() else None)
        if kind == "l" or wanted(found):
            asked[name] = found
        else:
            yield found, iter(())
    if not asked:
        return
    names = b"".join(b"./" + os.fsencode(name) + b"\0" for name in asked)
    script = f'{GO_THERE}\ncd "$place" && exec tar --null -T - -cf -'
    chunks = place.stream(script, place.path, feed=names)
    source = cast("IO[bytes]", _Reader(chunks))
    try:
        with tarfile.open(fileobj=source, mode="r|", errors="surrogateescape") as archive:
            for member in archive:
                found = asked.pop(member.name.removeprefix("./"), Stored(member.name, None))
                if member.issym():
                    yield found, iter((os.fsencode(member.linkname),))
                elif member.islnk():
                    yield found, iter(())  # the same bytes under another name
                else:
                    yield found, _pieces(archive.extractfile(member))
    except tarfile.TarError as exc:
        raise OSError(f"what came over ssh is no archive: {exc}") from exc
    for found in asked.values():
        yield Stored(found.name, found.size, "did not come over ssh"), iter(())


class _Reader(RawIOBase):
    """Chunks, as a file that tarfile reads."""

    def __init__(self, chunks: Iterator[bytes]):
        self._chunks, self._rest = chunks, b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        """As much as there is, ``size`` bytes at most."""
        if not self._rest:
            self._rest = next(self._chunks, b"")
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken


def _pieces(source: IO[bytes] | None) -> Iterator[bytes]:
    while source is not None and (piece := source.read(CHUNK)):
        yield piece


def _in_collection(place: CloudPlace, wanted: Wanted) -> Iterator[Entry]:
    for name, url, size in files_in(place):
        found = Stored(name, size)
        yield found, read_file(place, url, CHUNK) if wanted(found) else iter(())


def _in_bucket(place: CloudPlace, wanted: Wanted) -> Iterator[Entry]:
    client, failures = _client(place)
    settings = place.settings
    bucket, prefix = settings.get("bucket", ""), settings.get("fileprefix", "")
    try:
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for there in page.get("Contents", ()):
                found = Stored(there["Key"].removeprefix(prefix), there["Size"])
                if not wanted(found):
                    yield found, iter(())
                    continue
                yield found, _object(client, failures, bucket, there["Key"])
    except failures as exc:
        raise OSError(str(exc)) from exc


def _object(client: Any, failures: _Failures, bucket: str, name: str) -> Iterator[bytes]:
    try:
        yield from client.get_object(Bucket=bucket, Key=name)["Body"].iter_chunks(CHUNK)
    except failures as exc:
        raise OSError(str(exc)) from exc


def keeps_versions(place: Place) -> bool:
    """Whether a bucket says that it keeps what was deleted or replaced in it."""
    if not isinstance(place, CloudPlace) or place.kind != "S3":
        return False
    client, failures = _client(place)
    try:
        told = client.get_bucket_versioning(Bucket=place.settings.get("bucket", ""))
    except failures:
        return False
    return told.get("Status") in ("Enabled", "Suspended")


def _client(place: CloudPlace) -> tuple[Any, _Failures]:
    """A client for the bucket, and what it raises.

    It signs as git-annex would (git-annex's page on S3 special remotes, ``signature``).
    """
    try:
        import boto3
        from botocore import UNSIGNED
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError, ClientError
    except ImportError as exc:
        raise OSError(f"{exc.name} is needed to list it: pip install boto3") from exc
    settings, known = place.settings, place.credentials()
    scheme, _, rest = place.url.partition("://")
    host = rest.partition("/")[0]
    amazon = host.endswith(".amazonaws.com")
    if not amazon and read_on_the_way(place.url):
        raise OSError(f"{scheme}://{host} is not asked: others could read along")
    version = settings.get("signature") or ("v4" if amazon else "v2")
    path = settings.get("requeststyle") == "path"
    region = settings.get("region") or settings.get("datacenter") or ""
    client = boto3.session.Session().client(
        "s3",
        # what git-annex calls by plain HTTP has HTTPS as well
        endpoint_url=None if amazon else f"{scheme}://{host}",
        region_name=region if "-" in region else "us-east-1",
        aws_access_key_id=known[0] if known else None,
        aws_secret_access_key=known[1] if known else None,
        config=Config(
            signature_version=UNSIGNED if not known else "s3" if version == "v2" else "s3v4",
            s3={"addressing_style": "path" if path else "auto"},
            connect_timeout=15,
            read_timeout=60,
            retries={"total_max_attempts": 3},
        ),
    )
    return client, (BotoCoreError, ClientError)


def reason(exc: OSError | MriShareError) -> str:
    """Why something could not be listed, in one line."""
    said = exc.what if isinstance(exc, MriShareError) else exc.strerror or str(exc)
    return " ".join(said.split())
