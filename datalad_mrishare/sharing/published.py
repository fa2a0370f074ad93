"""What was published when, from the events, and whether it was right then.

An event names the commit, the day, the units and a digest of the keys. From these the
decision is made again: with the tree, the policies and the records of that commit (records
kept outside: those entered up to that day), by the rules of this version. What registration
found wrong with an image counts as it is known today.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from ..errors import InputError
from ..repo.events import read_events
from ..repo.process import git_succeeds, git_text
from ..repo.worktree import Checkout
from .digests import keys_digest, policy_digest, registry_digest
from .explaining import decide_all
from .plans import natural, unit_name
from .policies import Policy, policy_of
from .snapshot import Basis, Snapshot, take_snapshot
from .verdicts import Verdict

Event = Mapping[str, Any]


def publications(checkout: Checkout, name: str | None = None) -> list[Event]:
    """The events of publications, to sibling ``name`` or to all, oldest first."""
    if not git_succeeds(checkout.path, "rev-parse", "-q", "--verify", "HEAD"):
        return []
    events = (e for e in read_events(checkout.path) if e.get("event") == "published")
    return [e for e in events if name is None or e.get("sibling") == name]


def find_publication(checkout: Checkout, asked: str, name: str | None = None) -> Event:
    """The one publication whose file is ``asked``, a path or the end of one.

    Raises
    ------
    InputError
        When there is none, or several.
    """
    end = asked.replace("\\", "/").rpartition("/")[2]
    found = [e for e in publications(checkout, name) if str(e["path"]).rpartition("/")[2] == end]
    if len(found) != 1:
        raise InputError(
            "is not the event of a publication",
            where=asked,
            remedy="See which there are: datalad mrishare-publish --history",
        )
    return found[0]


@dataclass(frozen=True)
class UnitThen:
    """A unit that was sent, and what is decided about it now for the day it was sent.

    ``keys`` are those that may go, ``denied`` counts its files that may not; ``reasons`` say
    why. A unit that may go has keys.
    """

    unit: str
    complete: bool
    keys: tuple[str, ...]
    denied: int
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Revision:
    """One publication decided again.

    ``same_keys``: whether the keys that may go are exactly those that were sent (they are more
    where some were there before). ``same_registry``, ``same_policy``: whether records and
    policy are those that were decided by; None where the event does not tell.
    """

    event: Event
    units: tuple[UnitThen, ...]
    same_keys: bool
    same_registry: bool | None
    same_policy: bool | None


def decide_again(checkout: Checkout, event: Event) -> Revision:
    """Decide about the units of a publication as of its day and commit.

    Raises
    ------
    InputError
        When the event does not tell its commit and day, or the commit is not there.
    SiblingError
        When the sibling had no policy in that commit.
    """
    where = str(event.get("path"))
    try:
        commit, day = str(event["commit"]), date.fromisoformat(event["at"])
        name, sent = str(event["sibling"]), [str(u) for u in event["units_sent"]]
        partly = [str(u) for u in event.get("units_incomplete") or ()]
    except (LookupError, ValueError, TypeError):
        raise InputError("does not tell what to decide again", where=where) from None
    if not git_succeeds(checkout.path, "cat-file", "-e", f"{commit}^{{commit}}"):
        raise InputError(
            f"rests on commit {commit[:10]}, which is not in this dataset",
            where=where,
            remedy="Get it: git fetch",
        )
    commit = git_text(checkout.path, "rev-parse", f"{commit}^{{commit}}")
    state = take_snapshot(checkout, Basis(commit, "", ""))
    policy = policy_of(state.policies, name)
    unit = str(event.get("unit") or policy.unit)
    units = tuple(_units(decide_all(state, policy, day), unit, sent, partly))
    return Revision(
        event,
        units,
        keys_digest(k for u in units for k in u.keys) == event.get("keys_digest"),
        *_as_then(event, state, policy),
    )


def _as_then(event: Event, state: Snapshot, policy: Policy) -> tuple[bool | None, bool | None]:
    """Whether records and policy are those that the event was decided by."""
    now = {"registry": registry_digest(state.registry), "policy": policy_digest(policy)}
    found = [None if n not in event else event[n] == digest for n, digest in now.items()]
    return found[0], found[1]


def _units(
    verdicts: Sequence[Verdict], unit: str, sent: Sequence[str], partly: Sequence[str]
) -> Iterator[UnitThen]:
    groups: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        if verdict.facts.entry.key:
            groups.setdefault(unit_name(verdict.facts, unit), []).append(verdict)
    for name in (*sent, *partly):
        mine = groups.get(name, [])
        denied = [v for v in mine if not v.permit]
        keys = dict.fromkeys(str(v.facts.entry.key) for v in mine if v.permit)
        reasons = {r.detail or r.sentence for v in denied for r in v.reasons}
        yield UnitThen(
            name,
            name not in partly,
            tuple(keys),
            len(denied),
            tuple(sorted(reasons, key=natural)),
        )
