"""What a file is, as far as deciding about it needs to know.

::

    data      of a participant, or of nobody known
    commons   needed by everyone and of nobody: README, inherited sidecars
    table     text with rows of participants, scans or sessions; filtered, not copied
    excluded  never part of a release: our registry, sourcedata, code, logs
    gitlink   a subdataset
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from enum import Enum
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import PurePosixPath
from typing import NamedTuple

from ..consent.grants import Deid
from ..consent.scopes import SUFFIXES, FileScope
from ..privacy.told import SILENT, Told
from ..provenance.bids import BidsName, bids_name
from ..provenance.participants import participants_in_key, participants_in_path
from ..repo.collector import collector_at_rest
from ..repo.keys import key_size
from ..repo.trees import GITLINK, LINK, Entry
from .clearance import (
    clearance_attested,
    clearance_by_content,
    clearance_by_name,
    needs_content,
)
from .origins import Origin, Origins
from .tables import is_table, is_table_name, people_in


class Kind(str, Enum):
    """What becomes of a file in a release; see the module's docstring."""

    DATA = "data"
    COMMONS = "commons"
    TABLE = "table"
    EXCLUDED = "excluded"
    GITLINK = "gitlink"


_EXCLUDED_PARTS = frozenset(("sourcedata", ".heudiconv", "code", "logs"))
_COMMON_NAMES = frozenset(
    "CHANGES LICENSE LICENCE dataset_description.json .bidsignore .gitattributes".split()
)
_INHERITED = (".json", ".bval", ".bvec")
#: they describe a dataset, whoever wrote them from whatever: their text is looked through anyway
_OF_NOBODY = frozenset(
    "CHANGES LICENSE dataset_description.json .bidsignore .gitattributes".split()
)
#: kept in git, and looked through as text when a release is made
TEXTS = (".json", ".tsv", ".bval", ".bvec", ".md", ".txt", ".csv", ".rst", ".yaml", ".yml", ".py")
#: they describe columns of a table; BIDS gives them no suffix
_DESCRIBING = frozenset("participants.json samples.json genetic_info.json".split())


class Facts(NamedTuple):
    """One file of the snapshot.

    ``size`` in bytes is what its content takes in the annex, None when the key does not
    tell; for a file in git it is the size of the blob. ``participants`` are all whose data it
    holds, by its path, by a column, or by ``origin``: what lineage adds to the path, None where
    that is nothing. ``told`` is what the content tells beside its data, as far as
    anybody could look.
    """

    entry: Entry
    kind: Kind
    participants: frozenset[str]
    scope: FileScope
    clearance: Deid
    size: int | None
    finding: str | None = None
    origin: Origin | None = None
    told: Told = SILENT

    @property
    def path(self) -> str:
        """Path in the dataset."""
        return self.entry.path


_FEW = 6


def some_of(participants: Iterable[str]) -> str:
    """Participants for a message: a few by name, of many the number.

    >>> some_of({"sub-02", "sub-01"}), some_of(f"sub-{n:02}" for n in range(1, 41))
    ('sub-01, sub-02', 'sub-01, sub-02, sub-03 and 37 more')
    """
    names = sorted(participants)
    if len(names) <= _FEW:
        return ", ".join(names)
    return f"{', '.join(names[:3])} and {len(names) - 3} more"


def facts_of(
    entries: Sequence[Entry],
    contents: Callable[[Sequence[Entry]], Mapping[str, bytes]],
    findings: Mapping[str, str],
    commons: Sequence[str] = (),
    origins: Origins | None = None,
) -> list[Facts]:
    """Facts about every entry.

    Parameters
    ----------
    entries : sequence of Entry
        The tree.
    contents : callable
        Entries in git -> content by blob id; asked once, for all text that matters.
    findings : mapping
        Annex key -> what registration found wrong with it.
    commons : sequence of str
        Further patterns of commons (``siblings.yaml``).
    origins : Origins, optional
        What lineage and statements tell.
    """
    asked = [e for e in entries if e.key is None and _content_matters(e)]
    texts = contents(asked)
    with collector_at_rest():
        if origins is None:
            return [
                _facts_of_many(entry, findings)
                or _facts(entry, texts.get(entry.oid), findings, commons)
                for entry in entries
            ]
        found = []
        silent = origins.silent
        for entry in entries:
            facts = _facts_of_many(entry, findings)
            if facts is None or entry.key not in silent:
                origin = origins.of(entry)
                facts = facts or _facts(entry, texts.get(entry.oid), findings, commons, origin)
                facts = facts if origin is None else _with_origin(facts, origin)
            found.append(facts)
        return found


def _with_origin(facts: Facts, origin: Origin) -> Facts:
    """The same with all that it inherits.

    Of a table it is the rows that tell whose they are, and commons are nobody's.
    """
    if facts.kind is Kind.COMMONS or (facts.kind is Kind.TABLE and not facts.participants):
        return facts
    people = facts.participants | origin.people
    clearance = clearance_attested(origin.attested, facts.clearance)
    return facts._replace(participants=people, clearance=clearance, origin=origin)


def with_told(facts: list[Facts], told: Mapping[str, Told]) -> list[Facts]:
    """The same with what contents tell: by key, or by blob id of an image in git."""
    if not told:
        return facts
    seen = [told.get(f.entry.key or f.entry.oid) for f in facts]
    return [f if t is None else f._replace(told=t) for f, t in zip(facts, seen, strict=True)]


def may_be_looked_into(entry: Entry, commons: Collection[str] = ()) -> bool:
    """Whether a file could ever leave whose bytes nobody else looks through: annexed, or in git
    and no text by its name. What is left out of releases leaves where a pattern of ``commons``
    says so.
    """
    path = entry.path
    if path.startswith(".datalad/"):
        return False
    if _excluded(path.rpartition("/")[0]) and not any(fnmatchcase(path, p) for p in commons):
        return False
    return entry.key is not None or (entry.is_file and not path.endswith(TEXTS))


def _facts_of_many(entry: Entry, findings: Mapping[str, str]) -> Facts | None:
    """The same as :func:`_facts` in a third of the time, for an annexed file of a participant.

    Parts that many paths have in common are looked at once. None for any other file.
    """
    path, key = entry.path, entry.key
    if key is None or "sub-" in key or path.startswith(".datalad/"):
        return None
    above, _, name = path.rpartition("/")
    first, bar, rest = name.partition("_")
    participant = _participant(first)
    if not bar or participant is None or "sub-" in rest:
        return None
    there, datatype, session, kind = _directory(above)
    if there != participant:
        participant = participant | there
    ses, suffix, clearance = _rest_of_name(rest)
    # by name each would take three times as long, and there is one for every file
    scope = tuple.__new__(FileScope, (ses or session, datatype, suffix, path))
    size, finding = key_size(key), findings.get(key)
    told = (entry, kind, participant, scope, clearance, size, finding, None, SILENT)
    return tuple.__new__(Facts, told)


@lru_cache(maxsize=1 << 14)
def _participant(first: str) -> frozenset[str] | None:
    """Whom a first entity ``sub-XX`` names; None for any other."""
    name, _, label = first.partition("-")
    plain = name == "sub" and label.isascii() and label.replace("+", "").isalnum()
    return participants_in_path(f"{first}_") if plain else None


@lru_cache(maxsize=1 << 14)
def _directory(above: str) -> tuple[frozenset[str], str | None, str | None, Kind]:
    """Participants, datatype, session and kind of annexed files in a directory."""
    name = bids_name(f"{above}/")
    kind = Kind.EXCLUDED if _excluded(above) else Kind.DATA
    return participants_in_path(f"{above}/"), name.datatype or None, name.ses or None, kind


@lru_cache(maxsize=1 << 14)
def _rest_of_name(rest: str) -> tuple[str | None, str | None, Deid]:
    """Session, suffix and clearance by what stands behind ``sub-XX_``."""
    name = bids_name(f"sub-0_{rest}")
    suffix, clearance = _by_name(name.suffix, name.extension)
    return name.ses or None, suffix, clearance


def _content_matters(entry: Entry) -> bool:
    name = bids_name(entry.path)
    return entry.mode != GITLINK and (is_table_name(entry.path) or needs_content(name))


def _facts(
    entry: Entry,
    content: bytes | None,
    findings: Mapping[str, str],
    commons: Sequence[str],
    origin: Origin | None = None,
) -> Facts:
    name = bids_name(entry.path)
    participants = participants_in_path(entry.path)
    if entry.key and "sub-" in entry.key:
        # the name of some keys (WORM, URL) is that of the file they were made from
        participants |= participants_in_key(entry.key)
    made = origin is not None and origin.tells
    kind = _kind(entry, content, bool(participants), commons, made)
    if content is not None and kind is Kind.DATA and is_table_name(entry.path):
        participants |= people_in(content)
    suffix, clearance = _by_name(name.suffix, name.extension)
    if content is not None and kind is Kind.DATA and needs_content(name):
        clearance = max(clearance, clearance_by_content(name, content))
    return Facts(
        entry=entry,
        kind=kind,
        participants=participants,
        scope=FileScope(name.ses or None, name.datatype or None, suffix, entry.path),
        clearance=clearance,
        size=key_size(entry.key) if entry.key else entry.size,
        finding=findings.get(entry.key) if entry.key else None,
    )


@lru_cache(maxsize=1 << 14)
def _by_name(suffix: str, extension: str) -> tuple[str | None, Deid]:
    """The suffix, None where BIDS has no such, and what it clears a file to."""
    # one that BIDS does not have says nothing: a denial may mean it, a permission does not
    clearance = clearance_by_name(BidsName(suffix=suffix, extension=extension))
    return suffix if suffix in SUFFIXES else None, clearance


def _kind(
    entry: Entry, content: bytes | None, named: bool, commons: Sequence[str], made: bool
) -> Kind:
    if entry.key is not None and named and not entry.path.startswith(".datalad/"):  # the many
        return Kind.EXCLUDED if _excluded(entry.path.rpartition("/")[0]) else Kind.DATA
    if entry.mode == GITLINK:
        return Kind.GITLINK
    if entry.mode == LINK and entry.key is None:
        return Kind.EXCLUDED  # where it points is nobody's business
    # text is split by hand: pathlib takes ten times as long, and there is a file at a time
    *parents, name = entry.path.split("/")
    top = parents[0] if parents else name
    if top == ".datalad":
        # its configuration is written anew for each release, attributes are needed
        return Kind.COMMONS if name == ".gitattributes" else Kind.EXCLUDED
    table = entry.key is None and content is not None and is_table(entry.path, content, named)
    # a pattern never makes commons of a file that has a participant, nor of one that has rows
    if not (named or table or made) and any(
        fnmatchcase(entry.path, pattern) for pattern in commons
    ):
        return Kind.COMMONS
    if _excluded("/".join(parents)):
        return Kind.EXCLUDED
    if table:
        return Kind.TABLE
    # what is in the annex nobody looks through for names: only a pattern can say that it may go
    if not named and entry.key is None and _is_commons(parents, name):
        return Kind.DATA if made and name not in _OF_NOBODY else Kind.COMMONS
    return Kind.DATA


@lru_cache(maxsize=1 << 14)
def _excluded(directory: str) -> bool:
    parents = directory.split("/")
    return not _EXCLUDED_PARTS.isdisjoint(parents) or parents[0].startswith(".git")


def stays_here(path: str) -> bool:
    """Whether a file is below a directory that is left out of releases."""
    return _excluded(path.rpartition("/")[0])


def _is_commons(parents: list[str], name: str) -> bool:
    # the top of the dataset or of a derivative dataset in it: BIDS has no such files elsewhere,
    # and the name of any other directory may be that of a person
    extension = PurePosixPath(name).suffix
    if parents == ["phenotype"]:
        return extension == ".json"
    if parents and not (parents[0] == "derivatives" and len(parents) == 2):
        return False
    if name in _COMMON_NAMES or name in _DESCRIBING:
        return True
    if name.split(".")[0] == "README":
        return True
    inherited = extension in _INHERITED or name.endswith("_events.tsv")
    return inherited and bids_name(name).suffix in SUFFIXES
