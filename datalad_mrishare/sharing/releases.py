"""The tree of a release: the dataset without what is withheld, and no word about it.

Files are taken over one by one because they are permitted, never removed one by one
because they are not. Tables are written anew from permitted rows and columns. Whatever
else goes in is scanned for the labels of withheld participants first.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from ..consent.grants import Deid
from ..consent.scopes import FileScope
from ..privacy.fields import column_listed, fields_listed
from ..provenance.bids import bids_name
from ..repo.release import REVOKED_FILE
from ..repo.trees import FILE, Entry
from .facts import Kind
from .keyed import without_entries
from .policies import Policy
from .tables import Table, filter_table, format_table, parse_table
from .verdicts import Judge, Reason, Verdict

POLICY_FILE = ".datalad/mrishare/policy.yaml"
CONFIG_FILE = ".datalad/config"

_LABEL = re.compile(r"sub-[a-z0-9]+", re.IGNORECASE | re.ASCII)


@dataclass(frozen=True)
class ReleaseTree:
    """What a release holds.

    ``taken`` are entries as they stand in the steward's tree, ``written`` files made for
    this release, ``denied`` verdicts that only the content could tell, ``participants``
    how many people have a file in it.
    """

    taken: tuple[Entry, ...]
    written: Mapping[str, bytes]
    denied: tuple[Verdict, ...]
    participants: int

    @property
    def message(self) -> str:
        """Commit message: counts of what is in it, nothing of what is not."""
        files = len(self.taken) + len(self.written)
        return f"Release of {files} files of {self.participants} participants\n"


def release_tree(
    verdicts: Sequence[Verdict],
    judge: Judge,
    participants: Collection[str],
    contents: Callable[[Sequence[Entry]], Mapping[str, bytes]],
    dataset_id: str | None,
    revoked: Iterable[str] = (),
) -> ReleaseTree:
    """Build the tree of a release.

    Parameters
    ----------
    verdicts : sequence of Verdict
        About every file of the snapshot.
    judge : Judge
        Who decided them; asked again about the rows of tables.
    participants : collection of str
        Everyone known to the dataset or its registry.
    contents : callable
        Entries in git -> content by blob id.
    dataset_id : str or None
        DataLad's id of the dataset.
    revoked : iterable of str
        Keys that earlier releases held and this one does not.
    """
    permitted = [v for v in verdicts if v.permit]
    plain = [v for v in permitted if v.facts.kind is not Kind.TABLE]
    released = frozenset(p for v in plain for p in v.facts.participants)
    mentions = Mentions(participants, released)
    texts = contents([v.facts.entry for v in permitted if v.facts.entry.key is None])
    keyed = _without_entries(plain, texts, judge, released, mentions)
    kept, denied = _without_mentions(
        [v for v in plain if v.facts.path not in keyed], texts, mentions
    )
    paths = {v.facts.path for v in kept}
    written = keyed | {
        v.facts.path: data
        for v in permitted
        if v.facts.kind is Kind.TABLE
        and (data := _table(v, texts[v.facts.entry.oid], judge, released, mentions, paths))
    }
    tables = [v for v in permitted if v.facts.kind is Kind.TABLE]
    denied += [
        v._replace(reasons=(_NO_TABLE,))
        for v in tables
        if parse_table(texts[v.facts.entry.oid]) is None
    ]
    written[POLICY_FILE] = _policy_text(judge.policy)
    if dataset_id:
        written[CONFIG_FILE] = f'[datalad "dataset"]\n\tid = {dataset_id}\n'.encode()
    if keys := sorted(revoked):
        written[REVOKED_FILE] = ("key\n" + "".join(f"{k}\n" for k in keys)).encode()
    people = frozenset(p for v in kept for p in v.facts.participants)
    return ReleaseTree(tuple(v.facts.entry for v in kept), written, tuple(denied), len(people))


class Mentions:
    """Finds in a text who may not be named: anyone known but not released, or unknown.

    Upper and lower case are the same. A label that nobody has counts when it looks like
    those there are (``sub-99`` beside ``sub-01``): it is that of somebody who was removed.

    >>> names = Mentions(["sub-01", "sub-02"], ["sub-01"])
    >>> names.found("like sub-01 and Sub-02"), names.found("sub-01"), names.found("sub-1mm")
    ('sub-02', None, None)
    """

    def __init__(self, participants: Collection[str], released: Collection[str]):
        self._known = {p.lower() for p in participants}
        self._withheld = {p.lower() for p in participants if p not in released}
        self._shapes = {_shape(p) for p in self._known if any(map(str.isdigit, p))}
        self._parts: dict[str, str | None] = {}

    def found(self, text: str) -> str | None:
        """One who may not be named but is, or None."""
        return next(self._all(text), None)

    def all(self, text: str) -> frozenset[str]:
        """Everyone who may not be named but is."""
        return frozenset(self._all(text))

    def _all(self, text: str) -> Iterator[str]:
        for match in _LABEL.finditer(text):
            label = match[0].lower()
            if label in self._withheld or (label not in self._known and self.is_person(label)):
                yield label

    def is_person(self, label: str) -> bool:
        """Whether a label is that of somebody known, or looks like one."""
        return label.lower() in self._known or _shape(label.lower()) in self._shapes

    def in_path(self, path: str) -> str | None:
        """The same for a path: no label reaches over a slash or an underscore."""
        above, _, name = path.rpartition("/")
        first, _, rest = name.partition("_")
        for part in (above, first):  # what many paths have in common
            if part not in self._parts:
                self._parts[part] = self.found(part)
            if self._parts[part] is not None:
                return self._parts[part]
        return self.found(rest) if "sub-" in rest.lower() else None


def _shape(label: str) -> str:
    return "".join("0" if c.isdigit() else "a" if c.isalpha() else c for c in label)


def _without_entries(
    verdicts: list[Verdict],
    texts: Mapping[str, bytes],
    judge: Judge,
    released: frozenset[str],
    mentions: Mentions,
) -> dict[str, bytes]:
    """Path -> what may leave of JSON keyed by participant, where nothing else is against it."""
    written = {}
    for v in verdicts:
        entry, scope = v.facts.entry, v.facts.scope
        if entry.key is not None or not entry.path.endswith(".json"):
            continue

        def may(who: str, value: object, scope: FileScope = scope) -> bool | None:
            if not mentions.is_person(who):
                return None
            clean = Deid.DEIDENTIFIED if fields_listed(value) else Deid.IDENTIFIABLE
            return who in released and not judge.people(frozenset((who,)), scope, clean)

        text = without_entries(texts[entry.oid], may)
        if text is not None and not (
            _against(text, v.facts.kind, mentions) or mentions.in_path(entry.path)
        ):
            written[entry.path] = text
    return written


def _without_mentions(
    verdicts: list[Verdict], texts: Mapping[str, bytes], mentions: Mentions
) -> tuple[list[Verdict], list[Verdict]]:
    kept, denied = [], []
    for v in verdicts:
        content = texts.get(v.facts.entry.oid) if v.facts.entry.key is None else None
        reason = None if content is None else _against(content, v.facts.kind, mentions)
        if mentions.in_path(v.facts.path):
            reason = _NAMED
        if reason:
            denied.append(v._replace(reasons=(reason,)))
        else:
            kept.append(v)
    return kept, denied


def _against(content: bytes, kind: Kind, mentions: Mentions) -> Reason | None:
    text = content.decode("utf-8", "replace")
    if kind is Kind.COMMONS and ("\0" in text or "\ufffd" in text):
        return _NO_TEXT
    return _MENTION if mentions.found(text) else None


_MENTION = Reason(
    "mention",
    "its text names a participant who is withheld or not in the dataset",
    "Take the name out of the text, or move it to a file below that participant",
)
_NAMED = Reason(
    "mention",
    "its path names a participant who is withheld or not in the dataset",
    "Rename it, or move it below that participant",
)
_NO_TEXT = Reason(
    "mention",
    "it cannot be looked through for names of participants who are withheld",
    "Save it as UTF-8 text",
)
_NO_TABLE = Reason(
    "table",
    "it is a table whose rows differ in length or whose columns repeat, so nobody can tell whose"
    " a row is",
    "Correct it: as many cells in each row as in the header, each column once",
)


def _table(
    verdict: Verdict,
    content: bytes,
    judge: Judge,
    released: frozenset[str],
    mentions: Mentions,
    paths: Collection[str],
) -> bytes | None:
    """The part of a table that may leave, or None."""
    table = parse_table(content)
    if table is None:
        return None
    listed = _columns(judge.policy)

    def may_leave(column: str) -> bool:
        return listed(column) and mentions.found(column) is None

    cleared = _clearance(table, may_leave, judge.policy)
    path = verdict.facts.path

    def fate(row: dict[str, str]) -> str:
        if verdict.facts.participants:  # scans and sessions of one participant
            denied = judge.people(verdict.facts.participants, verdict.facts.scope, cleared)
            return "drop" if denied or not _row_in_release(row, path, paths) else "keep"
        participant = row.get("participant_id", "")
        if participant not in released:
            return "drop"
        scope = FileScope(None, None, bids_name(path).suffix or None, path)
        if not judge.people(frozenset((participant,)), scope, cleared):
            return "keep"
        return "blank" if path == "participants.tsv" else "drop"

    filtered = filter_table(table, may_leave, fate)
    if filtered is None:
        return None
    rows = tuple(r for r in filtered.rows if mentions.found("\t".join(r)) is None)
    return format_table(replace(filtered, rows=rows)) if rows else None


def _columns(policy: Policy) -> Callable[[str], bool]:
    if policy.columns is not None:
        return frozenset(policy.columns).__contains__
    if (policy.grant.deid or Deid.IDENTIFIABLE) > Deid.IDENTIFIABLE:
        return column_listed
    return lambda column: True


def _clearance(table: Table, may_leave: Callable[[str], bool], policy: Policy) -> Deid:
    """How clean the remaining columns are; naming a column in a policy is clearing it."""
    if policy.columns is not None:
        return Deid.DEIDENTIFIED
    kept = [c for c in table.columns if may_leave(c)]
    return Deid.DEIDENTIFIED if all(column_listed(c) for c in kept) else Deid.IDENTIFIABLE


def _row_in_release(row: dict[str, str], path: str, paths: Collection[str]) -> bool:
    parent = PurePosixPath(path).parent
    if "filename" in row:
        return str(parent / row["filename"]) in paths
    session = row.get("session_id", "")
    inside = f"{parent}/{session}/"
    return bool(session) and any(p.startswith(inside) for p in paths)


def _policy_text(policy: Policy) -> bytes:
    lines = [f"{key}: {value}" for key, value in policy.public_form().items()]
    head = "# The terms under which this copy of the dataset is shared."
    return ("\n".join([head, *lines]) + "\n").encode("utf-8")


def tree_entries(tree: ReleaseTree, blobs: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """``(mode, oid, path)`` of a whole release; ``blobs`` are ids of the written files."""
    taken = [(e.mode, e.oid, e.path) for e in tree.taken]
    return taken + [(FILE, blobs[path], path) for path in tree.written]
