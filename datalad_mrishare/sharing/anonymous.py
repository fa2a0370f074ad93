"""Group results that are nobody's any more: when a steward's word for it holds.

A steward attests that a content is *anonymous*: a mean over many, with the evidence. It
counts as long as lineage counts enough participants in it, each time anew and for each sibling
by its own policy (``min_participants``). Then it is no personal data, and no grant is asked.

Whoever withdraws after that cannot be taken out of a mean. Whether it may stay all the same is
for the steward to decide: it is listed until there is another attestation. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ..consent.grants import Deid
from ..consent.records import DENIALS, Record
from ..consent.resolution import Resolver
from .facts import Facts, Kind


def claims_anonymous(facts: Facts) -> bool:
    """Whether a steward says that it is anonymous."""
    attested = facts.origin.attested if facts.origin else None
    return attested is not None and attested.deid is Deid.ANONYMOUS


def counts_anonymous(facts: Facts) -> bool:
    """Whether it is decided about as an anonymous result; of facts as a verdict has them."""
    return facts.clearance is Deid.ANONYMOUS and not facts.participants and claims_anonymous(facts)


def against_anonymous(facts: Facts, least: int) -> str | None:
    """Why it does not count as anonymous, in one clause; None where it does.

    Parameters
    ----------
    facts : Facts
        The file, with all whom lineage counts.
    least : int
        So many participants there must be in it.
    """
    if facts.kind is not Kind.DATA:
        return "only data that may leave can be a result"
    if facts.origin is not None and facts.origin.opaque is not None:
        return f"nobody can tell whose data it holds: {facts.origin.opaque}"
    if facts.origin is not None and facts.origin.disjoint is not None:
        return "its path and its lineage name different participants"
    count = len(facts.participants)
    if count < least:
        word = "participant" if count == 1 else "participants"
        return f"lineage counts {count} {word} in it, and there must be at least {least}"
    return None


@dataclass(frozen=True)
class Undecided:
    """An anonymous result, and denials of people in it that nobody has considered yet."""

    path: str
    records: tuple[Record, ...]

    @property
    def participants(self) -> tuple[str, ...]:
        """Who withdrew, refused or objected."""
        return tuple(dict.fromkeys(r.participant_id for r in self.records))


def denials(facts: Facts, resolver: Resolver) -> tuple[Record, ...]:
    """The denials in force among those who are in a file.

    Who denies some files only is asked about what it was made from, too: a result is called
    otherwise than its sources.
    """
    asked = [(who, facts.scope) for who in sorted(facts.participants)]
    some = {who for who in facts.participants if resolver.has_scopes(who)}
    if some and facts.origin is not None:
        asked += [(who, scope) for who, scope in facts.origin.sources() if who in some]
    asked.sort(key=lambda pair: pair[0])
    found = (resolver.resolve(who, scope).record for who, scope in asked)
    return tuple({r.record: r for r in found if r is not None and r.state in DENIALS}.values())


def undecided(facts: Iterable[Facts], resolver: Resolver) -> Iterator[Undecided]:
    """Every anonymous result of which something has to be decided."""
    for one in facts:
        if not claims_anonymous(one) or one.origin is None or one.origin.attested is None:
            continue
        considered = one.origin.attested.considered
        fresh = tuple(r for r in denials(one, resolver) if r.record not in considered)
        if fresh:
            yield Undecided(one.path, fresh)
