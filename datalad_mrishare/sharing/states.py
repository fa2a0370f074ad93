"""The state of consent: what is on record for whom, what it permits, how much may go where."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from ..consent import Resolution, Resolver
from ..repo.worktree import Checkout
from .explaining import decide_all
from .facts import Facts, Kind
from .plans import natural
from .registry import outside_registry
from .snapshot import take_snapshot
from .verdicts import Verdict

#: days; a consent that ends sooner needs attention
SOON = 90


@dataclass(frozen=True)
class ParticipantState:
    """What is on record for a participant and how much data there is.

    ``resolution`` is about everything of the participant, or, where that permits nothing,
    about the files that something permits. ``permitted`` counts the files that something
    permits, ``expired`` those for which what was permitted has ended. ``ends`` is the first day on
    which less is permitted than today: the earliest end among the grants in force.
    """

    participant: str
    resolution: Resolution
    records: int
    files: int
    size: int
    permitted: int = 0
    expired: int = 0
    ends: date | None = None

    def ends_soon(self, at: date) -> bool:
        """Whether what is permitted stops within :data:`SOON` days."""
        return self.ends is not None and (self.ends - at).days <= SOON


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

    def attention(self) -> dict[str, tuple[str, ...]]:
        """Who needs attention, by why.

        ``no_record``: data, but nothing on record; ``no_data``: on record, but no data;
        ``expired``: what was permitted for data has ended; ``ends_soon``: it is about to end.
        """
        people = self.participants
        found = {
            "no_record": (p for p in people if p.files and not p.records),
            "no_data": (p for p in people if p.records and not p.files),
            "expired": (p for p in people if p.expired),
            "ends_soon": (p for p in people if p.ends_soon(self.at)),
        }
        return {why: tuple(p.participant for p in who) for why, who in found.items()}


def consent_state(checkout: Checkout, at: date | None = None) -> ConsentState:
    """Per participant and in sum; with ``at``, what was known on that day."""
    state = take_snapshot(checkout)
    day = at or date.today()
    verdicts = {name: decide_all(state, p, at) for name, p in state.policies.items()}
    data: dict[str, list[Facts]] = {p: [] for p in state.participants}
    for f in state.facts():
        if f.kind is not Kind.EXCLUDED:
            for p in f.participants:
                data.setdefault(p, []).append(f)
    known = (r for r in state.registry.records if at is None or r.recorded <= at)
    records = Counter(r.participant_id for r in known)
    resolver = Resolver(state.registry, day, known=at)
    people = tuple(_person(p, data[p], records[p], resolver) for p in sorted(data, key=natural))
    shares = tuple(_share(name, verdicts[name]) for name in state.policies)
    return ConsentState(day, people, shares, outside_registry(checkout) is not None)


def _person(
    participant: str, data: list[Facts], records: int, resolver: Resolver
) -> ParticipantState:
    whole = resolver.resolve(participant)
    # the resolver has one answer for all files that no record tells apart
    answers: dict[int, tuple[Resolution, int]] = {}
    for f in data:
        found = resolver.resolve(participant, f.scope)
        answers[id(found)] = (found, answers.get(id(found), (found, 0))[1] + 1)
    by_file = list(answers.values())
    open_ = [(r, count) for r, count in by_file if not r.grant.is_bottom]
    decides = open_[0][0] if open_ and whole.grant.is_bottom else whole
    in_force = [r for r, _ in open_] if data else [r for r in (whole,) if not r.grant.is_bottom]
    return ParticipantState(
        participant,
        decides,
        records,
        len(data),
        sum(f.size or 0 for f in data),
        sum(count for _, count in open_),
        sum(count for r, count in by_file if r.state == "expired"),
        min((r.grant.until for r in in_force if r.grant.until is not None), default=None),
    )


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
