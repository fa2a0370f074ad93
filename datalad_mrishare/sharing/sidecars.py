"""JSON files in a release: entries and references whose other end is not in it are left out.

A sidecar describes columns of a table, belongs to an image, and refers to other files. What it
says of a column, an image or a file that stays here would be a loose end for who reads the
release, and a hint for who looks for what is missing. Only files in git can be rewritten: one in
the annex is named by the checksum of its content. Pure: texts in, texts out.

A table or image is found as in the "Inheritance principle" of BIDS (1.11): the same suffix, in the
same directory or below, with all entities of the sidecar.
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any, NamedTuple

from ..privacy.fields import each_once
from .keyed import May, people_may
from .mentions import Mentions

#: BIDS fields whose value is a path, or a list of them
REFERENCES = (
    *("IntendedFor", "Sources", "RawSources", "BasedOn", "AssociatedEmptyRoom"),
    "SpatialReference",
)
#: of ``dataset_description.json``: what a dataset was made from, and where that is
_LINKS = ("DatasetLinks", "SourceDatasets")
#: what describes a whole table, not a column of it
_OF_THE_TABLE = frozenset(("MeasurementToolMetadata",))
_DESCRIPTION = "dataset_description.json"
_SOURCE, _IDENTIFIER = "B0FieldSource", "B0FieldIdentifier"


class Parts(NamedTuple):
    """A path as inheritance sees it: ``stem`` is the name up to its first dot."""

    directory: str
    stem: str
    entities: frozenset[str]
    suffix: str

    @classmethod
    def of(cls, path: str) -> Parts:
        """Of a path.

        >>> Parts.of("sub-01/sub-01_task-x_bold.nii.gz")[1], Parts.of("dwi.json").suffix
        ('sub-01_task-x_bold', 'dwi')
        """
        directory, _, name = path.rpartition("/")
        stem = name.partition(".")[0]
        *entities, suffix = stem.split("_")
        return cls(directory, stem, frozenset(entities), suffix)


def directories(paths: Iterable[str]) -> set[str]:
    """Every directory above any of ``paths``."""
    found: set[str] = set()
    for path in paths:
        above = path.rpartition("/")[0]
        while above and above not in found:
            found.add(above)
            above = above.rpartition("/")[0]
    return found


class Paths:
    """The paths of a dataset, and which of them a sidecar is about."""

    def __init__(self, paths: Iterable[str]):
        self.all = frozenset(paths)

    @cached_property
    def everything(self) -> frozenset[str]:
        """With every directory."""
        return self.all | directories(self.all)

    @cached_property
    def _beside(self) -> tuple[dict[str, list[str]], dict[tuple[str, str], list[str]]]:
        """Files other than JSON that some JSON could be about.

        By directory and stem; and by first directory and suffix, also without the directory.
        """
        sidecars = [path for path in self.all if path.endswith(".json")]
        stems = set(map(self._stem, sidecars))
        suffixes = {Parts.of(path).suffix for path in sidecars}
        by_stem: dict[str, list[str]] = {}
        by_suffix: dict[tuple[str, str], list[str]] = {}
        for path in self.all:
            if path.endswith(".json"):
                continue
            stem = self._stem(path)
            if stem in stems:
                by_stem.setdefault(stem, []).append(path)
            suffix = stem.rpartition("/")[2].rpartition("_")[2]
            if suffix in suffixes:
                by_suffix.setdefault((path.partition("/")[0], suffix), []).append(path)
                by_suffix.setdefault(("", suffix), []).append(path)
        return by_stem, by_suffix

    @staticmethod
    def _stem(path: str) -> str:
        """Directory and name up to its first dot."""
        directory, _, name = path.rpartition("/")
        return f"{directory}/{name.partition('.')[0]}"

    def described(self, path: str) -> list[str]:
        """The files that a sidecar of the dataset is about."""
        by_stem, by_suffix = self._beside
        same = by_stem.get(self._stem(path))
        if same:
            return same
        mine = Parts.of(path)
        first = mine.directory.partition("/")[0]
        below = f"{mine.directory}/" if mine.directory else ""
        alike = by_suffix.get((first, mine.suffix), ())
        there = (other for other in alike if other.startswith(below))
        return [other for other in there if mine.entities <= Parts.of(other).entities]


class Surroundings:
    """What there is beside a sidecar, in the dataset and in the release.

    Parameters
    ----------
    dataset : Paths
        Those of the dataset.
    released : collection of str
        Those that are in the release, apart from tables.
    tables : mapping
        Path of each table that is filtered -> its columns in the release; none when the release
        has no such table.
    identifiers : mapping or None
        First directory of a path -> ``B0FieldIdentifier`` of sidecars there; None where some are
        in the annex and nobody reads them.
    """

    def __init__(
        self,
        dataset: Paths,
        released: Collection[str],
        tables: Mapping[str, frozenset[str]],
        identifiers: Mapping[str, Collection[str]] | None = None,
    ):
        self._dataset = dataset
        self._released = {*released, *(path for path, columns in tables.items() if columns)}
        self._tables, self._identifiers = tables, identifiers

    @cached_property
    def _there(self) -> set[str]:
        return self._released | directories(self._released)

    def is_orphan(self, path: str) -> bool:
        """Whether all that a sidecar is about is in the dataset and not in the release."""
        about = self._dataset.described(path)
        return bool(about) and not any(other in self._released for other in about)

    def columns(self, path: str) -> frozenset[str] | None:
        """The columns in the release of the tables that ``path`` is about; None: of no table."""
        about = self._dataset.described(path)
        if not about or any(other not in self._tables for other in about):
            return None
        return frozenset[str]().union(*(self._tables[other] for other in about))

    def is_gone(self, reference: str, path: str) -> bool:
        """Whether a reference in ``path`` leads to what the dataset has and the release has not."""
        places = list(self._places(reference, path))
        return not any(p in self._there for p in places) and any(
            p in self._dataset.everything for p in places
        )

    def is_left_out(self, path: str) -> bool:
        """Whether a path is in the dataset and not in the release."""
        return path in self._dataset.all and path not in self._released

    def _places(self, reference: str, path: str) -> Iterator[str]:
        """What a reference may mean: BIDS has had several ways to write one."""
        if reference.startswith("bids::"):
            roots = {"", self._root(path)}
            reference = reference[len("bids::") :]
        elif reference.startswith("bids:") or "://" in reference:
            return
        else:
            *above, _ = path.split("/")
            people = [n for n, part in enumerate(above) if part.startswith("sub-")]
            subject = "/".join(above[: people[0] + 1]) if people else ""
            roots = {"", self._root(path), subject, "/".join(above)}
        for root in roots:
            yield posixpath.normpath(posixpath.join(root, reference.lstrip("/")))

    def _root(self, path: str) -> str:
        """The directory of the dataset that a file is in: derivatives have their own."""
        above = path.rpartition("/")[0]
        while above and f"{above}/{_DESCRIPTION}" not in self._dataset.all:
            above = above.rpartition("/")[0]
        return above

    def has_field(self, identifier: str, path: str) -> bool:
        """Whether a field map of this identifier is in the release, as far as is known."""
        if self._identifiers is None:
            return True
        first = path.partition("/")[0]
        return any(identifier in self._identifiers.get(place, ()) for place in (first, ""))


def identifiers(texts: Iterable[tuple[str, bytes]]) -> dict[str, set[str]]:
    """First directory -> every ``B0FieldIdentifier`` in ``(path, content)`` of sidecars there."""
    found: dict[str, set[str]] = {}
    for path, content in texts:
        value = _parsed(content) if _IDENTIFIER.encode() in content else None
        if isinstance(value, dict):
            first = path.partition("/")[0] if "/" in path else ""
            found.setdefault(first, set()).update(_words(value.get(_IDENTIFIER)))
    return found


def rewritten(
    path: str, content: bytes, may: May, around: Surroundings, mentions: Mentions
) -> bytes | None:
    """What may leave of a JSON file; None when it may go as it is.

    Parameters
    ----------
    path, content : str, bytes
        The file.
    may : callable
        See :data:`~datalad_mrishare.sharing.keyed.May`.
    around : Surroundings
        What else there is.
    mentions : Mentions
        Who may not be named.

    Returns
    -------
    bytes or None
        Empty when nothing of it is left, or when it describes a table and nobody can tell which
        columns. None also for other files that are no JSON.
    """
    columns = around.columns(path)
    lower = content.lower()
    # an escaped letter could hide a label from everybody but a reader of JSON
    interesting = b"sub-" in lower or b"\\u" in lower or _SOURCE.encode() in content
    interesting = interesting or any(name.encode() in content for name in (*REFERENCES, *_LINKS))
    if columns is None and not interesting:
        return None
    value = _parsed(content)
    if columns is not None and not isinstance(value, dict):
        return b""  # which columns it describes nobody can tell
    if value is None:
        return None
    try:
        kept, keyed = people_may(value, may)
    except (ValueError, RecursionError):
        return None
    if isinstance(kept, dict):
        if columns is not None:
            people = {key for key in kept if mentions.is_person(key)}
            stay = columns | _OF_THE_TABLE | people
            kept = {k: v for k, v in kept.items() if k in stay}
        kept = _without_loose_ends(kept, path, around, mentions)
    if not keyed and kept == value:
        return None
    if columns is not None and not kept:
        return b""
    return (json.dumps(kept, indent=4, ensure_ascii=False) + "\n").encode("utf-8", "replace")


def _without_loose_ends(
    value: dict[str, Any], path: str, around: Surroundings, mentions: Mentions
) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for name, inner in value.items():
        words = _words(inner)
        if name in _LINKS:
            kept[name] = _without_places(inner, mentions)
            continue
        if name in REFERENCES and isinstance(inner, dict):
            # BIDS: a spatial reference of each structure
            left = {key: _leading_on(part, path, around, mentions) for key, part in inner.items()}
            left = {key: part for key, part in left.items() if part is not None}
            if left or not inner:
                kept[name] = left
            continue
        if name in REFERENCES and words:
            stay = _leading_on(words, path, around, mentions) or []
        elif name == _SOURCE and words:
            stay = [w for w in words if around.has_field(w, path)]
        else:
            kept[name] = inner
            continue
        if len(stay) == len(words):
            kept[name] = inner
        elif stay or name == "IntendedFor":
            # a field map that says nothing of what it is for is a finding of the BIDS validator
            kept[name] = stay
    return kept


def _leading_on(value: Any, path: str, around: Surroundings, mentions: Mentions) -> Any:
    """A reference, or a list of them, without those that lead nowhere; None when none is left."""
    words = _words(value)
    if not words:
        return value if _may_stay(value, mentions) else None
    stay = [w for w in words if mentions.may_stay(w) and not around.is_gone(w, path)]
    if not stay:
        return None
    return stay if isinstance(value, list) else value


def _without_places(value: Any, mentions: Mentions) -> Any:
    """Links and sources without those that name somebody, or lead to the steward's machine."""
    if isinstance(value, dict):
        return {k: inner for k, inner in value.items() if _may_stay(inner, mentions)}
    if isinstance(value, list):
        return [inner for inner in value if _may_stay(inner, mentions)]
    return value


def _may_stay(value: Any, mentions: Mentions) -> bool:
    return mentions.may_stay(json.dumps(value, ensure_ascii=False))


def _words(value: Any) -> list[str]:
    """The strings in a value that is one, or a list of them; none of another value."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, list) and all(isinstance(v, str) for v in value):
        return list(value)
    return []


def _parsed(content: bytes) -> Any:
    try:
        return json.loads(content, object_pairs_hook=each_once)
    except (ValueError, RecursionError):
        return None
