"""Questions about lineage: what a file was made from and for, and all that holds data of somebody.

Pure but for the state that is asked: values in, values out. What is shown is for the steward's
eyes: commands as recorded, and pseudonyms.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from ..errors import InputError
from ..provenance.activities import IN_GIT, Activity
from ..provenance.evidence import Evidence
from ..provenance.graph import Lineage
from ..provenance.participants import participants_in_path
from ..repo.keys import Objects
from .below import Level, levels_below
from .facts import Kind
from .origins import is_describing, node_of
from .plans import natural
from .snapshot import Snapshot
from .tables import people_in


@dataclass(frozen=True)
class Step:
    """A line of a tree: an activity, or a content that went in or came out of it.

    ``depth`` counts from 0; ``again`` says that what is behind it is shown further above.
    """

    depth: int
    activity: Activity | None = None
    node: str = ""
    path: str = ""
    participants: tuple[str, ...] = ()
    again: bool = False


@dataclass(frozen=True)
class Trace:
    """Where a content came from and what became of it.

    ``paths`` are all at which it ever stood, ``current`` whether it stands at one now;
    ``participants`` all whose data it holds; ``opaque`` why nobody can tell, else None.
    """

    node: str
    path: str
    paths: tuple[str, ...]
    current: bool
    participants: tuple[str, ...]
    evidence: str
    opaque: str | None
    ancestors: tuple[Step, ...]
    descendants: tuple[Step, ...]


def trace(state: Snapshot, paths: Sequence[str]) -> Iterator[Trace]:
    """Both directions for every content that stands at a path, or ever stood there.

    Raises
    ------
    InputError
        For a path at which nothing ever stood.
    """
    lineage = state.lineage
    now = {e.path: node for e in state.entries if (node := node_of(e)) is not None}
    for path in paths:
        nodes = [now[path]] if path in now else _stood_at(lineage, path)
        if not nodes:
            raise InputError(
                "is a directory: name the files in it"
                if any(e.path.startswith(f"{path}/" if path else "") for e in state.entries)
                else "is no file of this dataset, and no commit has it",
                where=path or ".",
                remedy="Name a file; for everything of a participant: datalad mrishare-provenance"
                " --of sub-XX",
            )
        for node in nodes:
            yield _trace(state, node, path, set(now.values()))


def _evidence(lineage: Lineage, node: str, said: str) -> str:
    """How well it is known whose a content is; a path or a row that names somebody asserts it."""
    evidence = lineage.evidence(node)
    if evidence is Evidence.OPAQUE and lineage.opaque(node) is None and participants_in_path(said):
        evidence = Evidence.ASSERTED
    return evidence.word


def _stood_at(lineage: Lineage, path: str) -> list[str]:
    return [node for node in lineage.nodes if path in lineage.paths(node)]


def _trace(state: Snapshot, node: str, path: str, current: set[str]) -> Trace:
    lineage = state.lineage

    def before(content: str) -> Iterable[tuple[Activity, Sequence[str]]]:
        return ((a, a.inputs) for a in lineage.made_by(content))

    def after(content: str) -> Iterable[tuple[Activity, Sequence[str]]]:
        return ((a, a.outputs) for a in lineage.used_by(content))

    people = lineage.participants(node) | participants_in_path(path)
    return Trace(
        node,
        path,
        lineage.paths(node) or (path,),
        node in current,
        tuple(sorted(people, key=natural)),
        _evidence(lineage, node, path),
        lineage.opaque(node),
        tuple(_walk(lineage, node, people, before)),
        tuple(_walk(lineage, node, people, after)),
    )


def _walk(
    lineage: Lineage,
    start: str,
    whose: Collection[str],
    beyond: Callable[[str], Iterable[tuple[Activity, Sequence[str]]]],
) -> Iterator[Step]:
    """Depth first, each content once; without recursion, as chains can be long.

    What stood at several paths is shown at one that names somebody of ``whose``.
    """
    seen = {start}
    open_: list[tuple[int, Activity | None, str]] = []

    def push(depth: int, node: str) -> None:
        for activity, nodes in reversed(list(beyond(node))):
            open_.extend((depth + 1, None, n) for n in reversed(list(dict.fromkeys(nodes))))
            open_.append((depth, activity, ""))

    push(0, start)
    while open_:
        depth, activity, node = open_.pop()
        if activity is not None:
            yield Step(depth, activity)
            continue
        places = lineage.paths(node)
        people = tuple(sorted(lineage.participants(node), key=natural))
        again = node in seen
        near = (p for p in places if not participants_in_path(p).isdisjoint(whose))
        shown = next(near, places[0] if places else node)
        yield Step(depth, None, node, shown, people, again)
        if not again:
            seen.add(node)
            push(depth + 1, node)


@dataclass(frozen=True)
class Held:
    """A content that holds data of somebody.

    ``kind`` is raw (nothing made it), derivative (of them alone), group (of others, too) or
    table (rows of them among those of others). ``current`` tells whether it is in the tree now,
    ``copies`` how many places are known to have an annexed content.
    """

    node: str
    path: str
    paths: tuple[str, ...]
    kind: str
    evidence: str
    current: bool
    copies: int
    participants: tuple[str, ...]
    size: int | None = None


def held_of(state: Snapshot, participant: str) -> list[Held]:
    """Everything that holds data of a participant, in every version that is still somewhere.

    What is in installed subdatasets counts, too. Files in git count in every version: git keeps
    them all.

    Raises
    ------
    InputError
        When nobody knows the participant.
    """
    who = _known(state, participant)
    lineage, every = state.lineage, state.facts()
    facts = {node_of(f.entry): f for f in every}
    rows = {n for n, f in facts.items() if n and f.kind is Kind.TABLE and not f.participants}
    texts = state.contents([facts[n].entry for n in rows])
    tables = {n for n in rows if who in people_in(texts.get(facts[n].entry.oid, b""))}
    nodes = {n for f in every if who in f.participants and (n := node_of(f.entry))}
    nodes |= lineage.of(who) | tables
    top = Level(state.entries, state.logs.locations, Objects(state.checkout.objects))
    levels = [top, *levels_below(state.checkout.path, state.entries)]
    now: dict[str | None, list[str]] = {}
    for entry in chain.from_iterable(level.entries for level in levels):
        now.setdefault(node_of(entry), []).append(entry.path)
    found = []
    for node in nodes:
        copies = 0 if node.startswith(IN_GIT) else max(level.copies(node) for level in levels)
        if not (copies or node.startswith(IN_GIT) or node in now) or _ours(lineage, node):
            continue
        paths = lineage.paths(node)
        path = _theirs(who, now.get(node) or paths or (node,))
        people = lineage.participants(node)
        if node in facts:
            people |= facts[node].participants
        if node in facts and is_describing(facts[node].entry) and lineage.is_shared(node):
            people = lineage.inherited(node) | {who}
        kind = "table" if node in tables else _kind(lineage, node, people)
        found.append(
            Held(
                node,
                path,
                paths or (path,),
                kind,
                _evidence(lineage, node, who if node in tables else path),
                node in now,
                copies,
                tuple(sorted(people, key=natural)),
            )
        )
    return sorted(found, key=lambda h: (_ORDER.index(h.kind), natural(h.path), h.node))


def untold(state: Snapshot) -> int:
    """How many files of the dataset nobody can tell whose data they hold: they may be anybody's."""
    nodes = {node for entry in state.entries if (node := node_of(entry)) is not None}
    return sum(state.lineage.opaque(node) is not None for node in nodes)


def _theirs(participant: str, paths: Sequence[str]) -> str:
    """The first path that names a participant, else the first."""
    return next((p for p in paths if participant in participants_in_path(p)), paths[0])


_ORDER = ("raw", "derivative", "group", "table")


def _ours(lineage: Lineage, node: str) -> bool:
    """Whether it only ever stood where the dataset keeps its own records."""
    paths = lineage.paths(node)
    return bool(paths) and all(p.startswith(".datalad/") for p in paths)


def _kind(lineage: Lineage, node: str, people: frozenset[str]) -> str:
    if len(people) > 1:
        return "group"
    return "derivative" if lineage.inherited(node) or _derived(lineage, node) else "raw"


def _derived(lineage: Lineage, node: str) -> bool:
    return any(p.startswith("derivatives/") for p in lineage.paths(node))


def _known(state: Snapshot, text: str) -> str:
    everyone = state.participants | state.lineage.people()
    for name in (text, f"sub-{text}"):
        if name in everyone:
            return name
    raise InputError(
        "is not a participant of this dataset",
        where=text[:60] or "--of",
        remedy="See all participants: datalad mrishare-consent",
    )


def counts(found: Iterable[Held]) -> Mapping[str, int]:
    """How many of each kind."""
    numbers = dict.fromkeys(_ORDER, 0)
    for one in found:
        numbers[one.kind] += 1
    return numbers
