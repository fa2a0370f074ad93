"""Records into the registry, grants onto annex keys, and the state of both.

What stands on keys is a projection for plain git-annex to see. It is never read back
as a decision.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date

from ..consent import (
    FIELDS,
    Grant,
    ImportMap,
    Registry,
    Resolution,
    Resolver,
    grant_fields,
    import_records,
    meet,
)
from ..consent.projection import PREFIX
from ..repo.annexbranch import metadata_changes, write_metadata
from ..repo.locks import lock
from ..repo.worktree import Checkout
from .explaining import decide_all
from .facts import Facts, Kind
from .plans import natural
from .registry import outside_registry, save_records, uncommitted
from .snapshot import Snapshot, take_snapshot
from .verdicts import Verdict

SHARE = f"{PREFIX}share"


@dataclass(frozen=True)
class Imported:
    """What an import did: records added and known before, keys whose metadata changed.

    ``skipped`` are rows without a decision, left out because the map says so.
    """

    new: int
    known: int
    keys: int
    participants: int
    skipped: int = 0


def import_consent(
    checkout: Checkout,
    data: bytes,
    where: str,
    *,
    today: date,
    dry_run: bool = False,
    mapping: ImportMap | None = None,
) -> Imported:
    """Add the records in ``data`` to the registry and compile all grants onto keys.

    ``mapping`` tells what an export of another system means.

    Raises
    ------
    InputError
        When anything in ``data`` is wrong: then nothing was changed.
    """
    with lock(checkout.ours / "lock", "this dataset"):
        state = take_snapshot(checkout)
        uncommitted(checkout).refuse()
        registry = state.registry
        found = import_records(
            data,
            where,
            existing=registry.records,
            forms=registry.forms,
            participants=state.participants,
            today=today,
            mapping=mapping,
        )
        people = len({r.participant_id for r in found.new})
        together = Registry(registry.forms, (*registry.records, *found.new))
        state = _with_registry(state, together)
        changes = key_changes(state, today)
        if not dry_run:
            if found.new:
                word = "record" if len(found.new) == 1 else "records"
                save_records(checkout, together.records, f"Add {len(found.new)} consent {word}")
                checkout.settle()
            write_metadata(checkout.path, changes, checkout.identity)
    return Imported(len(found.new), found.known, len(changes), people, found.skipped)


def _with_registry(state: Snapshot, registry: Registry) -> Snapshot:
    return Snapshot(state.checkout, state.commit, state.entries, registry, state.policies)


def key_changes(state: Snapshot, at: date) -> dict[str, str]:
    """Log lines that bring the metadata of every key in the tree up to date."""
    share: dict[str, set[str]] = {}
    for policy in state.policies.values():
        for v in decide_all(state, policy, at):
            if v.permit and v.facts.entry.key:
                share.setdefault(v.facts.entry.key, set()).add(policy.name)
    resolver = Resolver(state.registry, at)
    grants: dict[str, Grant] = {}
    people: dict[str, frozenset[str]] = {}
    for facts in state.facts():
        key = facts.entry.key
        if key is None or not facts.participants:
            continue
        grant = file_grant(facts, resolver)
        grants[key] = meet(grants[key], grant) if key in grants else grant
        people[key] = people.get(key, frozenset()) | facts.participants
    wanted: dict[str, Mapping[str, frozenset[str]]] = {
        key: grant_fields(grants[key], people[key], share.get(key, ())) for key in grants
    }
    # content of nobody is nobody's grant, but may be shared
    nobodys = share.keys() - grants.keys()
    wanted.update({key: {SHARE: frozenset(share[key])} for key in nobodys})
    stale = {k for k, m in state.logs.metadata.items() if not m.keys().isdisjoint(FIELDS)}
    wanted.update({key: {} for key in stale - wanted.keys()})
    return metadata_changes(state.logs, wanted, tuple(FIELDS))


def file_grant(facts: Facts, resolver: Resolver) -> Grant:
    """What everyone in a file permits together."""
    return meet(*(resolver.resolve(p, facts.scope).grant for p in facts.participants))


@dataclass(frozen=True)
class ParticipantState:
    """What is on record for a participant and how much data there is.

    ``resolution`` is about everything of the participant, or, where that permits nothing,
    about the files that something permits: then ``partly`` counts them.
    """

    participant: str
    resolution: Resolution
    records: int
    files: int
    size: int
    partly: int = 0


@dataclass(frozen=True)
class SiblingShare:
    """How much of the dataset may go to a declared sibling today: files and bytes."""

    name: str
    files: int
    size: int
    of_files: int
    of_size: int


@dataclass(frozen=True)
class ConsentState:
    """The whole state at a date."""

    at: date
    participants: tuple[ParticipantState, ...]
    siblings: tuple[SiblingShare, ...]
    outside: bool


def consent_state(checkout: Checkout, at: date | None = None) -> ConsentState:
    """Per participant and in sum; with ``at``, what was known on that day."""
    state = take_snapshot(checkout)
    day = at or date.today()
    resolver = Resolver(state.registry, day, known=at)
    facts = [f for f in state.facts() if f.participants and f.kind is not Kind.EXCLUDED]
    data: dict[str, list[Facts]] = {p: [] for p in state.participants}
    for f in facts:
        for p in f.participants:
            data[p].append(f)
    known = (r for r in state.registry.records if at is None or r.recorded <= at)
    records = Counter(r.participant_id for r in known)
    people = tuple(_person(p, data[p], records[p], resolver) for p in sorted(data, key=natural))
    shares = tuple(
        _share(name, decide_all(state, policy, at)) for name, policy in state.policies.items()
    )
    return ConsentState(day, people, shares, outside_registry(checkout) is not None)


def _person(
    participant: str, data: list[Facts], records: int, resolver: Resolver
) -> ParticipantState:
    whole = resolver.resolve(participant)
    size = sum(f.size or 0 for f in data)
    open_ = []
    if whole.grant.is_bottom:
        resolved = (resolver.resolve(participant, f.scope) for f in data)
        open_ = [r for r in resolved if not r.grant.is_bottom]
    decides = open_[0] if open_ else whole
    return ParticipantState(participant, decides, records, len(data), size, len(open_))


def _share(name: str, verdicts: Iterable[Verdict]) -> SiblingShare:
    counted = [v for v in verdicts if v.facts.participants and v.facts.kind is not Kind.EXCLUDED]
    going = [v for v in counted if v.permit]
    return SiblingShare(
        name,
        len(going),
        sum(v.facts.size or 0 for v in going),
        len(counted),
        sum(v.facts.size or 0 for v in counted),
    )
