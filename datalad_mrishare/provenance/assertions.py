"""What BIDS metadata asserts: which files were made from which, and by what.

Three things, of the BIDS 1.11 section on derivatives and of MRIQC's reports:

* ``Sources`` (and ``RawSources``, its predecessor) in the JSON beside a file: paths in the
  dataset, or BIDS URIs ``bids:[dataset]:path`` whose dataset is named in ``DatasetLinks``;
* ``GeneratedBy`` in the ``dataset_description.json`` of a derivative dataset: the tools;
* ``provenance.md5sum`` in a report of MRIQC: the checksum of the image, which names its key.

An assertion is somebody's word and may add people; it is never better evidence than that. A
source that is not here but whose name says whose it is counts by its name. Pure.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from .activities import Activity
from .evidence import Evidence
from .participants import participants_in_path
from .records import in_dataset

#: words without which a text asserts nothing
WORDS = (b'"Sources"', b'"RawSources"', b'"md5sum"', b'"GeneratedBy"')
#: bytes of a JSON file; ten thousand sources are 1 MB
LARGEST = 16 << 20
DESCRIPTION = "dataset_description.json"
SOURCES = ("Sources", "RawSources")
#: a letter of these two names, written by its number
_LETTER = re.compile(rb"\\u00[567]")
_MD5 = re.compile(r"[0-9a-f]{32}")
#: datasets of nobody's data: https://www.templateflow.org
_TEMPLATES = re.compile(r"templateflow", re.IGNORECASE)


class Text(NamedTuple):
    """A JSON file in git: its path, its blob, its content."""

    path: str
    oid: str
    content: bytes


class Source(NamedTuple):
    """What a file is said to be made from: paths that may be meant, and the name as it stands."""

    paths: tuple[str, ...]
    name: str


class Asserted(NamedTuple):
    """One text, understood. ``why`` says why not; ``stem`` is the path that it is about."""

    text: Text
    stem: str
    sources: tuple[Source, ...] = ()
    md5: str = ""
    why: str = ""


class Made(NamedTuple):
    """A derivative dataset: its directory and the tools that made it."""

    text: Text
    directory: str
    software: tuple[str, ...]
    what: str


def asserts(content: bytes) -> bool:
    """Whether a text may assert anything; of most files a look is enough.

    Letters may be written as ``\\u0053``, or in UTF-16: a text with any such is looked into.
    """
    return any(word in content for word in WORDS) or b"\\u00" in content or b"\0" in content


def _may_have_sources(content: bytes) -> bool:
    """The same of a text that cannot be read, and of sources."""
    known = any(word in content for word in WORDS[:2])
    return known or b"\0" in content or _LETTER.search(content) is not None


def understand(
    texts: Iterable[Text], beside: Iterable[Text] = ()
) -> tuple[list[Asserted], list[Made]]:
    """What each text asserts; those that assert nothing are left out.

    Parameters
    ----------
    beside : iterable of Text
        Descriptions that hold where ``texts`` have none.
    """
    every = sorted(texts)
    described = [*sorted(beside), *every]
    links = {posixpath.dirname(t.path): _links(t) for t in described if _is_description(t.path)}
    said: list[Asserted] = []
    made: list[Made] = []
    for text in every:
        try:
            value = _parse(text.content)
        except ValueError as exc:
            if _may_have_sources(text.content):
                said.append(unreadable(text, exc))
            continue
        if isinstance(value, dict) and _is_description(text.path):
            made += _made(text, value)
            continue
        try:
            found = _asserted(text, value, links)
        except ValueError as exc:
            found = unreadable(text, exc)
        if found is not None:
            said.append(found)
    return said, made


def unreadable(text: Text, why: object) -> Asserted:
    """A text of which nobody can tell what it says."""
    told = f"what '{text.path}' says of its sources cannot be read: {why}"
    return Asserted(text, stem_of(text.path), why=told)


def activities_of(
    said: Iterable[Asserted],
    about: Callable[[str], Iterable[str]],
    stood: Mapping[str, Iterable[str]],
    checksums: Mapping[str, Iterable[str]],
) -> Iterator[tuple[Activity, list[tuple[str, str]]]]:
    """Activities, each with contents that are only known by name and the path in that name.

    Parameters
    ----------
    about : callable
        Stem -> the contents of the files with this name, the JSON itself included.
    stood : mapping
        Path -> every content that ever stood there.
    checksums : mapping
        MD5 -> keys.
    """
    for one in said:
        inputs: dict[str, None] = {}
        named: list[tuple[str, str]] = []
        why = one.why
        for source in one.sources:
            here = next((tuple(stood[p]) for p in source.paths if p in stood), ())
            if here:
                inputs.update(dict.fromkeys(here))
            elif participants_in_path(source.name):
                inputs[source.name] = None
                named.append((source.name, source.name))
            elif not why:
                why = f"its source '{source.name}' is not in the dataset"
        inputs.update(dict.fromkeys(checksums.get(one.md5, ()) if one.md5 else ()))
        outputs = tuple(about(one.stem))
        if inputs or why:
            token = f"sources:{one.text.path}@{one.text.oid}"
            evidence = Evidence.OPAQUE if why else Evidence.ASSERTED
            what = f"asserted in {one.text.path}"
            yield (
                Activity(token, "sources", evidence, tuple(inputs), outputs, what, "", (), why),
                named,
            )


def _is_description(path: str) -> bool:
    return posixpath.basename(path) == DESCRIPTION


def stem_of(path: str) -> str:
    """The path without the extension, which begins at the first dot of the name.

    >>> stem_of("sub-01/sub-01_bold.nii.gz"), stem_of(".bidsignore")
    ('sub-01/sub-01_bold', '.bidsignore')
    """
    directory, slash, name = path.rpartition("/")
    dot = name.find(".", 1)
    return directory + slash + (name if dot < 0 else name[:dot])


def _parse(content: bytes) -> Any:
    try:  # from bytes also UTF-16
        return json.loads(content, object_pairs_hook=_sources_once)
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8") from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except json.JSONDecodeError as exc:
        raise ValueError(f"{exc.msg} (line {exc.lineno})") from None


def _sources_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs if name in SOURCES]
    if len(names) > len(set(names)):
        raise ValueError(f"it has `{names[0]}` twice")
    return dict(pairs)


def _sources(value: dict[str, Any]) -> Iterator[str]:
    """What stands as sources.

    Raises
    ------
    ValueError
        When there is anything but texts.
    """
    for name in SOURCES:
        given = value.get(name)
        found = given if isinstance(given, list) else [] if given is None else [given]
        if not all(isinstance(one, str) for one in found):
            raise ValueError(f"`{name}` is no list of texts")
        yield from filter(None, found)


def _links(text: Text) -> dict[str, str]:
    try:
        value = _parse(text.content)
    except ValueError:
        return {}
    found = value.get("DatasetLinks") if isinstance(value, dict) else None
    if not isinstance(found, dict):
        return {}
    return {name: link for name, link in found.items() if isinstance(link, str)}


def _asserted(text: Text, value: Any, links: Mapping[str, Mapping[str, str]]) -> Asserted | None:
    if not isinstance(value, dict):
        if _may_have_sources(text.content):
            raise ValueError("it is no object")
        return None
    given = list(_sources(value))
    provenance = value.get("provenance")
    md5 = provenance.get("md5sum") if isinstance(provenance, dict) else None
    md5 = md5 if isinstance(md5, str) and _MD5.fullmatch(md5) else ""
    if not given and not md5:
        return None
    above = _above(text.path)
    root = next((place for place in above if place in links), "")
    sources = (_source(one, root, links.get(root, {})) for one in given)
    return Asserted(text, stem_of(text.path), tuple(s for s in sources if s is not None), md5)


def _above(path: str) -> list[str]:
    """The directories above a path, the nearest first, the dataset's last."""
    found = []
    while path:
        path = posixpath.dirname(path)
        found.append(path)
    return found


def _source(given: str, root: str, links: Mapping[str, str]) -> Source | None:
    """One source; None for a template, which is nobody's data."""
    if not given.startswith("bids:"):
        # relative to this dataset, or to the one that it was made from
        roots = [root, *_above(root)]
        paths = (in_dataset(place, given.lstrip("/")) for place in roots)
        return Source(tuple(dict.fromkeys(filter(None, paths))), given)
    name, _, rest = given[len("bids:") :].partition(":")
    link = links.get(name, "")
    if _TEMPLATES.search(name) or _TEMPLATES.search(link):
        return None
    if name and (not link or "://" in link or link.startswith("/")):
        return Source((), given)
    path = in_dataset(root, posixpath.join(link, rest))
    return Source((path,) if path else (), given)


def _made(text: Text, value: dict[str, Any]) -> Iterator[Made]:
    """The tools of a derivative dataset."""
    directory = posixpath.dirname(text.path)
    found = value.get("GeneratedBy")
    if not isinstance(found, list) or not (directory or value.get("DatasetType") == "derivative"):
        return
    tools = []
    for one in found:
        if isinstance(one, dict) and isinstance(one.get("Name"), str):
            version = one.get("Version")
            tools.append(f"{one['Name']} {version}" if isinstance(version, str) else one["Name"])
    sources = value.get("SourceDatasets")
    urls = [s["URL"] for s in _objects(sources) if isinstance(s.get("URL"), str)]
    if tools:
        yield Made(text, directory, tuple(tools), " ".join(("from", *urls)) if urls else "")


def _objects(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
