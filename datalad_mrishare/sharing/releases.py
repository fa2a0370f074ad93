"""The tree of a release: the dataset without what is withheld, and no word about it.

Files are taken over one by one because they are permitted, never removed one by one
because they are not. Tables are written anew from permitted rows and columns. Whatever
else goes in is scanned for the labels of withheld participants first.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from ..consent.grants import Deid
from ..consent.scopes import FileScope
from ..privacy.fields import column_listed, fields_listed
from ..provenance.bids import bids_name
from ..repo.release import REVOKED_FILE
from ..repo.trees import FILE, GITLINK, Entry, encode
from .facts import Facts, Kind
from .looseends import PATTERNS, without_patterns, without_stimuli
from .mentions import NAMED, TOLD, Mentions, against
from .policies import Policy
from .sidecars import Paths, Surroundings, directories, identifiers, rewritten
from .subdatasets import GITMODULES, Linked, gitmodules
from .tables import MISSING, Table, filter_table, format_table, parse_table
from .verdicts import Judge, Reason, Verdict

POLICY_FILE = ".datalad/mrishare/policy.yaml"
CONFIG_FILE = ".datalad/config"


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
    linked: Mapping[str, Linked] | None = None,
    machine: Collection[str] = (),
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
    linked : mapping, optional
        Subdatasets that have a release for the same sibling, by path.
    machine : collection of str, optional
        What no text may tell; see :func:`.machine.places`.
    """
    permitted = [v for v in verdicts if v.permit]
    dataset = Paths(v.facts.path for v in verdicts)
    plain = _with_files(dataset, permitted)
    released = frozenset(p for v in plain for p in v.facts.participants)
    mentions = Mentions(participants, released, machine)
    texts = contents([e for e in (v.facts.entry for v in permitted) if _in_git(e)])
    sidecars = [v for v in plain if _is_sidecar(v.facts) and not mentions.in_path(v.facts.path)]
    beside = {v.facts.path for v in sidecars}
    patterns = _patterns(plain, texts, mentions)
    apart = beside.union(patterns)
    kept, denied = _without_mentions(
        [v for v in plain if v.facts.path not in apart], texts, mentions
    )
    there = beside.union(v.facts.path for v in kept)
    tables, odd = _tables(verdicts, texts, judge, released, mentions, there | directories(there))
    denied += odd
    around = Surroundings(
        dataset,
        there,
        {path: frozenset(table.columns if table else ()) for path, table in tables.items()},
        _fields(kept, sidecars, texts),
    )
    written = _with_other_ends(sidecars, texts, judge, mentions, around)
    rest = _without_mentions([v for v in sidecars if v.facts.path not in written], texts, mentions)
    kept, denied = kept + rest[0], denied + rest[1]
    written = {path: text for path, text in written.items() if text}
    written |= {path: format_table(table) for path, table in tables.items() if table}
    written |= {path: text for path, text in patterns.items() if text}
    written |= _events(kept, texts, around) | _of_ours(judge.policy, dataset_id, revoked)
    below = linked or {}
    named = {v.facts.path for v in kept if _tells(below.get(v.facts.path), mentions)}
    denied += [v._replace(reasons=(NAMED,)) for v in kept if v.facts.path in named]
    kept = [v for v in kept if v.facts.path not in named and v.facts.path not in written]
    entries = [
        e._replace(oid=below[e.path].commit) if e.mode == GITLINK else e
        for e in (v.facts.entry for v in kept)
    ]
    if links := [below[e.path] for e in entries if e.mode == GITLINK]:
        written[GITMODULES] = gitmodules(links)
    people = frozenset(p for v in kept for p in v.facts.participants)
    return ReleaseTree(tuple(entries), written, tuple(denied), len(people))


def _of_ours(policy: Policy, dataset_id: str | None, revoked: Iterable[str]) -> dict[str, bytes]:
    """What a release says of its terms, of which dataset it is, and what to remove from copies."""
    found = {POLICY_FILE: _policy_text(policy)}
    if dataset_id:
        found[CONFIG_FILE] = f'[datalad "dataset"]\n\tid = {dataset_id}\n'.encode()
    if keys := sorted(revoked):
        found[REVOKED_FILE] = encode("key\n" + "".join(f"{k}\n" for k in keys))
    return found


def _patterns(
    verdicts: list[Verdict], texts: Mapping[str, bytes], mentions: Mentions
) -> dict[str, bytes]:
    """Path -> what may leave of files of patterns that cannot go as they are."""
    found = {}
    for v in verdicts:
        path, entry = v.facts.path, v.facts.entry
        if path.rpartition("/")[2] in PATTERNS and _in_git(entry) and not mentions.in_path(path):
            text = without_patterns(texts[entry.oid], mentions)
            if text is not None:
                found[path] = text
    return found


def _events(
    kept: list[Verdict], texts: Mapping[str, bytes], around: Surroundings
) -> dict[str, bytes]:
    """Path -> tables of events that refer to stimuli which stay here, without doing so."""
    found = {}
    for v in kept:
        if v.facts.path.endswith("_events.tsv") and _in_git(v.facts.entry):
            text = without_stimuli(texts[v.facts.entry.oid], around.is_left_out)
            if text is not None:
                found[v.facts.path] = text
    return found


def _with_other_ends(
    verdicts: list[Verdict],
    texts: Mapping[str, bytes],
    judge: Judge,
    mentions: Mentions,
    around: Surroundings,
) -> dict[str, bytes]:
    """Path -> what may leave of JSON that cannot go as it is; see :mod:`.sidecars`.

    Empty where nothing is left, or where all that it is about stays here.
    """
    written = {}
    for v in verdicts:
        entry, scope = v.facts.entry, v.facts.scope

        def may(who: str, value: object, scope: FileScope = scope) -> bool | None:
            if not mentions.is_person(who):
                return None
            clean = Deid.DEIDENTIFIED if fields_listed(value) else Deid.IDENTIFIABLE
            released = mentions.is_released(who)
            return released and not judge.people(frozenset((who,)), scope, clean)

        if around.is_orphan(entry.path):
            written[entry.path] = b""
            continue
        text = rewritten(entry.path, texts[entry.oid], may, around, mentions)
        if text is not None and not against(entry.path, text, v.facts.kind, mentions):
            written[entry.path] = text
    return written


def _with_files(dataset: Paths, permitted: list[Verdict]) -> list[Verdict]:
    """Those of ``permitted`` that are no tables, and no sidecars of files that all stay here."""
    there = {v.facts.path for v in permitted if not v.facts.path.endswith(".json")}
    around = Surroundings(dataset, there, {})
    plain = (v for v in permitted if v.facts.kind is not Kind.TABLE)
    return [v for v in plain if not (_is_sidecar(v.facts) and around.is_orphan(v.facts.path))]


def _tells(linked: Linked | None, mentions: Mentions) -> bool:
    """Whether the way to a subdataset names somebody; its path was looked at as any other."""
    return linked is not None and mentions.found(linked.url) is not None


def _in_git(entry: Entry) -> bool:
    return entry.key is None and entry.mode != GITLINK


def _is_sidecar(facts: Facts) -> bool:
    return _in_git(facts.entry) and facts.path.endswith(".json")


def _fields(
    kept: list[Verdict], sidecars: list[Verdict], texts: Mapping[str, bytes]
) -> dict[str, set[str]] | None:
    """See ``identifiers`` of :class:`~datalad_mrishare.sharing.sidecars.Surroundings`."""
    if any(v.facts.path.endswith(".json") for v in kept):
        return None  # in the annex
    return identifiers((v.facts.path, texts[v.facts.entry.oid]) for v in sidecars)


def _without_mentions(
    verdicts: list[Verdict], texts: Mapping[str, bytes], mentions: Mentions
) -> tuple[list[Verdict], list[Verdict]]:
    kept, denied = [], []
    for v in verdicts:
        content = texts.get(v.facts.entry.oid) if v.facts.entry.key is None else None
        path, kind = v.facts.path, v.facts.kind
        reason = None if content is None else against(path, content, kind, mentions)
        if v.facts.told.labels and mentions.found(" ".join(v.facts.told.labels)):
            reason = TOLD
        if mentions.in_path(path):
            reason = NAMED
        if reason:
            denied.append(v._replace(reasons=(reason,)))
        else:
            kept.append(v)
    return kept, denied


_NO_TABLE = Reason(
    "table",
    "it is a table whose rows differ in length or whose columns repeat, so nobody can tell whose"
    " a row is",
    "Correct it: as many cells in each row as in the header, each column once",
)

_NO_PEOPLE = Reason(
    "table",
    "its rows are of people, and it has no column participant_id that tells whose",
    "Call the column participant_id, in lower case and with nothing around it",
)


def _tables(
    verdicts: Sequence[Verdict],
    texts: Mapping[str, bytes],
    judge: Judge,
    released: frozenset[str],
    mentions: Mentions,
    paths: Collection[str],
) -> tuple[dict[str, Table | None], list[Verdict]]:
    """What may leave of each table, by path, and those of which nobody can tell whose rows are."""
    found: dict[str, Table | None] = {}
    denied = []
    for v in (v for v in verdicts if v.facts.kind is Kind.TABLE):
        found[v.facts.path] = None
        if not v.permit:
            continue
        content = texts[v.facts.entry.oid]
        parsed = parse_table(content)
        if parsed is None:
            denied.append(v._replace(reasons=(_NO_TABLE,)))
        elif not (v.facts.participants or "participant_id" in parsed.columns):
            denied.append(v._replace(reasons=(_NO_PEOPLE,)))
        found[v.facts.path] = _table(v, content, judge, released, mentions, paths)
    return found, denied


def _table(
    verdict: Verdict,
    content: bytes,
    judge: Judge,
    released: frozenset[str],
    mentions: Mentions,
    paths: Collection[str],
) -> Table | None:
    """The part of a table that may leave, or None; ``paths`` are files and directories there."""
    table = parse_table(content)
    if table is None:
        return None
    listed = _columns(judge.policy)

    def may_leave(column: str) -> bool:
        return listed(column) and mentions.may_stay(column)

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
    rows = tuple(
        tuple(MISSING if mentions.tells(cell) else cell for cell in row)
        for row in filtered.rows
        if mentions.found("\t".join(row)) is None
    )
    return replace(filtered, rows=rows) if rows else None


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
    return (
        bool(session) and posixpath.normpath(session) == session and str(parent / session) in paths
    )


def _policy_text(policy: Policy) -> bytes:
    lines = [f"{key}: {value}" for key, value in policy.public_form().items()]
    head = "# The terms under which this copy of the dataset is shared."
    return ("\n".join([head, *lines]) + "\n").encode("utf-8")


def tree_entries(tree: ReleaseTree, blobs: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """``(mode, oid, path)`` of a whole release; ``blobs`` are ids of the written files."""
    taken = [(e.mode, e.oid, e.path) for e in tree.taken]
    return taken + [(FILE, blobs[path], path) for path in tree.written]
