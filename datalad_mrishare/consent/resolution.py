"""What is permitted at a date: from records to one grant per participant and file.

Only records count that had started on that date and were known on the day asked about.
Of these:

1. A denial (`refused` without a form, `withdrawn`, `opted-out`) that covers the file and
   is not lifted ends everything. ``refused`` with a form ends what that form gave, also
   what is given on it later, until it is lifted.
2. A lifted denial has ended for what was given on or after the day of the lifting
   record, and only in the scope of that record. What had been given before stays ended:
   lifting permits anew, it does not revive.
3. ``invalid`` ends what its form (without a form: any) gave up to and including its day,
   and what those records lifted. A later consent counts without lifting.
4. The newest day with a record that is still in force decides. The grant is the meet of
   *everything* that was given on that day or later: of two forms on one day both limits
   hold, and when a newer form has ended, the older one never permits more than the ended
   one did. So adding a denial never opens anything.
5. When what decides has expired, nothing is permitted: an older record does not step in.

The order of the records in the table plays no part.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date

from ..errors import InputError
from .forms import Form
from .grants import BOTTOM, Grant, meet
from .records import DENIALS, Record, State, Then
from .scopes import FileScope
from .values import unknown

_DEPTHS = list(Then)


@dataclass(frozen=True)
class Registry:
    """The forms and records of a dataset.

    Raises
    ------
    InputError
        When a record names a form that there is not.
    """

    forms: Mapping[str, Form]
    records: tuple[Record, ...]

    def __post_init__(self) -> None:
        for record in self.records:
            if record.form is not None and record.form not in self.forms:
                raise unknown("form", record.form, self.forms, f"record {record.record}")
            if record.form is None and record.state is State.GIVEN:
                raise InputError("it names no form", where=f"record {record.record}")

    @property
    def participants(self) -> frozenset[str]:
        """Everyone with a record."""
        return frozenset(record.participant_id for record in self.records)

    def next_change(self, after: date) -> date | None:
        """The first day after ``after`` on which something else may hold, if nothing is recorded.

        A record starts or ends then, or the form it names; None when none ever does.
        """
        days: set[date | None] = set()
        for record in self.records:
            days |= {record.from_, record.until}
            if record.form is not None:
                days.add(self.forms[record.form].end(record.from_, record.until))
        return min((day for day in days if day is not None and day > after), default=None)


@dataclass(frozen=True, slots=True)
class Resolution:
    """What holds for one participant and file.

    Parameters
    ----------
    grant : Grant
        What is permitted; :data:`~.grants.BOTTOM` where nothing is.
    state : str
        The state of the record that decides, ``expired``, or ``none`` without a record.
    record : Record or None
        The record that decides.
    reason : str
        The same in a sentence, without a full stop.
    then : Then or None
        How far a withdrawal or objection goes; None where there is none.
    """

    grant: Grant
    state: str
    record: Record | None
    reason: str
    then: Then | None = None


@dataclass(slots=True)
class _Person:
    """The records of a participant that count, and what was resolved from them."""

    records: list[Record] = field(default_factory=list)
    waiting: bool = False
    names: frozenset[str] = frozenset()
    cache: dict[tuple[str | None, ...], Resolution] = field(default_factory=dict)


_NOWHERE_IN_PARTICULAR = FileScope()


class Resolver:
    """Resolves participants at one date.

    Parameters
    ----------
    registry : Registry
        The forms and records.
    at : date
        The day of the decision.
    known : date or None
        Only records recorded up to this day count; None: all.
    """

    def __init__(self, registry: Registry, at: date, known: date | None = None):
        self.at = at
        self._forms = registry.forms
        self._people: dict[str, _Person] = {}
        self._grants: dict[tuple[str | None, date | None], Grant] = {}
        for record in registry.records:
            if known is not None and record.recorded > known:
                continue
            person = self._people.get(record.participant_id)
            if person is None:
                person = self._people[record.participant_id] = _Person()
            if record.from_ <= at:
                person.records.append(record)
                if record.scope.entities:
                    person.names |= record.scope.names
            else:
                person.waiting = True

    def resolve(self, participant: str, file: FileScope = _NOWHERE_IN_PARTICULAR) -> Resolution:
        """What the participant permits for a file.

        Where no record has a scope the answer is one object per participant, so callers
        may key their own caches by it or by its grant.
        """
        person = self._people.get(participant)
        if person is None:
            return _UNKNOWN
        names = person.names
        key = tuple([getattr(file, name) for name in names]) if names else ()
        found = person.cache.get(key)
        if found is None:
            found = person.cache[key] = self._resolve(participant, person, file)
        return found

    def has_scopes(self, participant: str) -> bool:
        """Whether what the participant said is about some files only, or not about some."""
        person = self._people.get(participant)
        return person is not None and bool(person.names)

    def withdrawn_depth(
        self, participant: str, file: FileScope = _NOWHERE_IN_PARTICULAR
    ) -> Then | None:
        """How far a denial in force goes, for own storage; None where there is none.

        A withdrawal that does not say how far goes to ``stop-use``; an objection
        (``opted-out``) ends sharing, not the controller's own use.
        """
        return self.resolve(participant, file).then

    def _resolve(self, participant: str, person: _Person, file: FileScope) -> Resolution:
        if len(person.records) == 1:  # the many: one consent, nothing said against it
            only = person.records[0]
            if only.state is State.GIVEN and only.scope.covers(file):
                return self._permitted(participant, [only], [only])
        covering = [r for r in person.records if r.scope.may_cover(file)]
        given = [r for r in covering if r.state is State.GIVEN and r.scope.covers(file)]
        ending = _Ending(covering, given)
        if (denial := ending.decisive) is not None:
            reason = f"{participant} {_said(denial)} on {denial.from_} (record {denial.record})"
            return Resolution(BOTTOM, denial.state.value, denial, reason, ending.depth)
        in_force = [r for r in given if ending.of(r) is None]
        if in_force:
            return self._permitted(participant, given, in_force)
        if given:
            newest = max(given, key=_age)
            ended = ending.of(newest) or newest
            reason = (
                f"{participant} gave {newest.form} on {newest.from_} (record {newest.record}), "
                f"ended by record {ended.record} ({ended.state})"
            )
            return Resolution(BOTTOM, ended.state.value, ended, reason)
        if ending.denials:
            refused = max(ending.denials, key=_age)
            reason = f"{participant} {_said(refused)} on {refused.from_} (record {refused.record})"
            return Resolution(BOTTOM, refused.state.value, refused, reason)
        if person.records:
            reason = f"no record of {participant} permits this file"
        elif person.waiting:
            reason = f"what is on record for {participant} starts later"
        else:
            reason = f"nothing is on record for {participant}"
        return Resolution(BOTTOM, "none", None, reason)

    def _permitted(
        self, participant: str, given: Iterable[Record], in_force: Iterable[Record]
    ) -> Resolution:
        newest = max(record.from_ for record in in_force)
        grant = meet(*[self._grant(record) for record in given if record.from_ >= newest])
        record = min((r for r in in_force if r.from_ == newest), key=lambda r: r.record)
        said = f"{participant} gave {record.form} on {record.from_} (record {record.record})"
        if grant.until is not None and grant.until <= self.at:
            return Resolution(BOTTOM, "expired", record, f"{said}, which ended on {grant.until}")
        if grant.is_bottom:
            said = f"{said}, which permits no sharing"
        return Resolution(grant, State.GIVEN.value, record, said)

    def _grant(self, record: Record) -> Grant:
        """What a record gives until its end; the same object for the same form and end."""
        form = self._forms[record.form or ""]
        key = (record.form, form.end(record.from_, record.until))
        if key not in self._grants:
            self._grants[key] = replace(form.grant, until=key[1])
        return self._grants[key]


class _Ending:
    """Which of the records that cover a file end which others."""

    def __init__(self, covering: Iterable[Record], given: Iterable[Record]):
        covering = list(covering)
        self._invalid = [r for r in covering if r.state is State.INVALID]
        self.denials = [r for r in covering if r.state in DENIALS]
        denials = {r.record: r for r in self.denials}
        self._lifted: dict[str, date] = {}
        for record in given:
            if record.lifts and self._voided(record) is None:
                for token in record.lifts:
                    if token in denials and denials[token].from_ <= record.from_:
                        first = self._lifted.get(token, record.from_)
                        self._lifted[token] = min(first, record.from_)
        self._total = [r for r in self.denials if r.form is None or r.state is not State.REFUSED]

    @property
    def decisive(self) -> Record | None:
        """The denial in force that ends everything; of several the one that goes furthest."""
        return max(self._in_force(), key=lambda r: (_strictness(r), *_age(r)), default=None)

    @property
    def depth(self) -> Then | None:
        """How far the denials in force go."""
        depths = [depth for r in self._in_force() if (depth := _depth(r)) is not None]
        return max(depths, key=_DEPTHS.index, default=None)

    def of(self, record: Record) -> Record | None:
        """What ended a record that was given; None while it is in force."""
        if (voided := self._voided(record)) is not None:
            return voided
        for denial in sorted(self.denials, key=_age, reverse=True):
            lifted = self._lifted.get(denial.record)
            still = lifted is None or record.from_ < lifted
            if still and (denial in self._total or denial.form == record.form):
                return denial
        return None

    def _in_force(self) -> list[Record]:
        return [r for r in self._total if r.record not in self._lifted]

    def _voided(self, record: Record) -> Record | None:
        hits = [
            r
            for r in self._invalid
            if record.from_ <= r.from_ and (r.form is None or r.form == record.form)
        ]
        return max(hits, key=_age, default=None)


def _age(record: Record) -> tuple[date, str]:
    return (record.from_, record.record)


def _depth(record: Record) -> Then | None:
    if record.state is State.WITHDRAWN:
        return record.then or Then.STOP_USE
    return Then.STOP_SHARING if record.state is State.OPTED_OUT else None


def _strictness(record: Record) -> int:
    depth = _depth(record)
    return -1 if depth is None else _DEPTHS.index(depth)


def _said(record: Record) -> str:
    if record.state is State.REFUSED:
        return f"refused {record.form or 'any sharing'}"
    if record.state is State.WITHDRAWN:
        return f"withdrew ({_depth(record)})"
    return "opted out"


_UNKNOWN = Resolution(BOTTOM, "none", None, "nothing is on record for this participant")
