"""Why a file may or may not go to a sibling: every reason, for many paths at once."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence, Set
from datetime import date
from typing import NamedTuple

from ..consent.resolution import Resolver
from ..errors import InputError
from ..provenance.participants import participants_in_path
from ..repo.collector import collector_at_rest
from ..repo.worktree import Checkout
from . import machine
from .anonymous import counts_anonymous, undecided
from .facts import Kind
from .origins import node_of
from .policies import Policy, policy_of
from .releases import release_tree
from .snapshot import Snapshot, dataset_id, take_snapshot
from .subdatasets import linked_subdatasets
from .telling import how_it_holds
from .verdicts import UNDECIDED, Judge, Verdict, decide, hold_back


class Explanation(NamedTuple):
    """The verdict about one path and a note on how it would leave.

    ``lineage`` tells how it comes to hold data of those whom its path does not name: of those
    for whom it is denied, a sentence each.
    """

    path: str
    verdict: Verdict
    note: str = ""
    lineage: tuple[str, ...] = ()


_NOTES = {
    Kind.TABLE: "only rows and columns that may leave are in the release",
    Kind.COMMONS: "it is about nobody and goes with every release",
}


def explain(
    checkout: Checkout, paths: Sequence[str], name: str, at: date | None = None
) -> Iterator[Explanation]:
    """Explain files and everything below directories.

    Parameters
    ----------
    checkout : Checkout
        The steward's dataset.
    paths : sequence of str
        Relative to the dataset; an empty one is the whole dataset.
    name : str
        The sibling.
    at : date, optional
        The day asked about, with what was on record on that day; default today.

    Raises
    ------
    InputError
        When a path is not in the dataset.
    SiblingError
        When the sibling has no policy.
    """
    with collector_at_rest():
        state = take_snapshot(checkout)
        policy = policy_of(state.policies, name)
        verdicts = decide_all(state, policy, at)
        waiting = _waiting(state, policy, at)
    ordered = sorted(verdicts, key=_path) if paths != [""] else verdicts
    for asked in paths:
        found = _at_or_below(ordered, asked)
        if not found:
            raise InputError(
                "is not committed in this dataset",
                where=asked or str(checkout.path),
                remedy="Look for the spelling: git ls-files. What is new is registered from the top"
                " of the dataset: datalad mrishare-register",
            )
        for verdict in found:
            note = _note(state, policy, verdict, waiting)
            yield Explanation(verdict.facts.path, verdict, note, _made_from(state, verdict))


def _path(verdict: Verdict) -> str:
    return verdict.facts.path


def _at_or_below(ordered: Sequence[Verdict], path: str) -> Sequence[Verdict]:
    """The verdict about a file, or those about everything in a directory."""
    if not path:
        return ordered
    place = bisect_left(ordered, path, key=_path)
    if place < len(ordered) and ordered[place].facts.path == path:
        return ordered[place : place + 1]
    below = path.rstrip("/") + "/"
    # "0" is what comes after "/"
    return ordered[
        bisect_left(ordered, below, key=_path) : bisect_left(ordered, below[:-1] + "0", key=_path)
    ]


def _made_from(state: Snapshot, verdict: Verdict) -> tuple[str, ...]:
    node, named = node_of(verdict.facts.entry), participants_in_path(verdict.facts.path)
    if verdict.facts.origin is None or node is None:
        return ()
    against = dict.fromkeys(r.participant for r in verdict.reasons if r.participant)
    told = (how_it_holds(state.lineage, node, p) for p in against if p not in named)
    return tuple(sentence for sentence in told if sentence)


def _waiting(state: Snapshot, policy: Policy, at: date | None) -> frozenset[str]:
    """Paths of anonymous results of which something is to be decided."""
    if policy.own:
        return frozenset()
    facts = state.facts(policy.commons, known=at, looking=True)
    return frozenset(found.path for found in undecided(facts, _resolver(state, at)))


def _note(state: Snapshot, policy: Policy, verdict: Verdict, waiting: Set[str]) -> str:
    """How a permitted file would leave, or what keeps it here all the same."""
    if not verdict.permit:
        return ""
    if verdict.facts.path in waiting:
        return f"where it is not yet it does not go: {UNDECIDED.sentence}. {UNDECIDED.remedy}"
    key = verdict.facts.entry.key
    if key and state.checkout.uuid not in state.logs.locations.get(key, ()):
        return "its content is not in this dataset, get it first: datalad get"
    if policy.own:
        return ""
    if counts_anonymous(verdict.facts):
        return "attested anonymous, and enough participants are in it, so no grant is asked"
    if verdict.facts.origin is not None and (why := verdict.facts.origin.opaque):
        return f"nobody can tell whose data it holds ({why}), and everyone permits it"
    return _NOTES.get(verdict.facts.kind, "")


def decide_to_tell(state: Snapshot, policy: Policy, at: date | None) -> list[Verdict]:
    """The same for who cannot know what is at the sibling: what waits for a decision is denied."""
    return hold_back(decide_all(state, policy, at), _waiting(state, policy, at), lambda _: False)


def _resolver(state: Snapshot, at: date | None) -> Resolver:
    return Resolver(state.registry, at or date.today(), known=at)


def decide_all(state: Snapshot, policy: Policy, at: date | None) -> list[Verdict]:
    """Verdicts about every file of a snapshot, with those that only the text can tell."""
    day, resolver = at or date.today(), _resolver(state, at)
    linked = linked_subdatasets(state.checkout, state.commit, policy)
    judge = Judge(policy, resolver, day, state.participants, linked=linked)
    verdicts = decide(state.facts(policy.commons, known=at, looking=not policy.own), judge)
    if policy.own:
        return verdicts
    identity = dataset_id(state.checkout, state.commit)
    people, contents = state.participants, state.contents
    words = machine.places(state.checkout)
    tree = release_tree(verdicts, judge, people, contents, identity, linked=linked, machine=words)
    denied = {v.facts.path: v for v in tree.denied}
    return [denied.get(v.facts.path, v) for v in verdicts]
