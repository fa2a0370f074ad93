"""How the people who reach a sibling differ from those who were measured.

Consent and room both choose, and neither at random. The table counts participants by
level, three times: with data, permitted, and at the sibling after the plan. What is lost from
the first to the second was withheld, from the second to the third there was no room for.
It is for the steward: counts of a few people may tell who they are, so it goes into no
release and no event. Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from .facts import Facts, Kind
from .plans import Plan, natural
from .samples import MEASURE, Rows, Sample, decade
from .tables import MISSING
from .verdicts import Verdict

ALL = "all"


@dataclass(frozen=True)
class Groups:
    """Participants by what becomes of their data; each group is part of the one before."""

    with_data: frozenset[str]
    permitted: frozenset[str]
    there: frozenset[str]


@dataclass(frozen=True)
class Line:
    """How many participants have ``level`` in ``column``, in each of the three groups."""

    column: str
    level: str
    with_data: int
    permitted: int
    there: int


@dataclass(frozen=True)
class BiasReport:
    """The whole table; with ``balanced`` columns also their distance before and after."""

    lines: tuple[Line, ...]
    balanced: tuple[str, ...] = ()
    before: float | None = None
    after: float | None = None
    measure: str = MEASURE
    changes: bool = False


def permitted_people(verdicts: Iterable[Verdict]) -> frozenset[str]:
    """Participants with annexed content of their own that may go, at least one file."""
    return _alone({v.facts.participants for v in verdicts if v.permit and _counts(v.facts)})


def people_there(verdicts: Iterable[Verdict], keys: Collection[str]) -> frozenset[str]:
    """Participants of whom permitted content is among ``keys``."""
    return _alone(
        {
            v.facts.participants
            for v in verdicts
            if v.facts.entry.key in keys and v.permit and _counts(v.facts)
        }
    )


def group_people(verdicts: Sequence[Verdict], present: Collection[str], plan: Plan) -> Groups:
    """The three groups, as they are when the plan is carried out."""
    after = {*present, *plan.keys_to_send()}
    everybody, permitted, there = set(), set(), set()
    for facts, reasons in verdicts:
        if facts.kind is Kind.DATA and facts.entry.key:
            everybody.add(facts.participants)
            if not reasons:
                permitted.add(facts.participants)
                if facts.entry.key in after:
                    there.add(facts.participants)
    return Groups(_alone(everybody), _alone(permitted), _alone(there))


def _counts(facts: Facts) -> bool:
    """Whether it is annexed content of participants."""
    return facts.kind is Kind.DATA and bool(facts.entry.key)


def _alone(groups: Iterable[frozenset[str]]) -> frozenset[str]:
    """Whom some file is of only; ``groups`` are whom files are of together."""
    return frozenset(person for group in groups if len(group) == 1 for person in group)


def bias(
    groups: Groups,
    columns: Sequence[str],
    rows: Rows,
    sample: Sample | None = None,
    before: Collection[str] = (),
    changes: bool = False,
) -> BiasReport:
    """The table for ``sex`` and ``age``, where there are such columns, and balanced ones.

    Parameters
    ----------
    groups : Groups
        Who is in which group.
    columns : sequence of str
        The columns of ``participants.tsv``.
    rows : mapping
        As :func:`~.samples.read_people` returns them.
    sample : Sample, optional
        What is balanced.
    before : collection of str
        Participants of whom something was there before.
    changes : bool
        Whether the plan sends anything.
    """
    balanced = sample.columns if sample else ()
    lines = [Line(ALL, "", len(groups.with_data), len(groups.permitted), len(groups.there))]
    for column in dict.fromkeys(("sex", "age", *balanced)):
        if column not in columns:
            continue

        def level(who: str, column: str = column) -> str:
            text = rows[who][column] if who in rows else MISSING
            if column == "age":
                return decade(text)
            return sample.bins[column].level(text) if sample and column in balanced else text

        counts = [
            Counter(map(level, g)) for g in (groups.with_data, groups.permitted, groups.there)
        ]
        lines += [
            Line(column, word, *(c[word] for c in counts))
            for word in sorted(counts[0], key=_level_order)
        ]
    return BiasReport(
        tuple(lines),
        balanced,
        sample.distance(before) if sample else None,
        sample.distance(groups.there) if sample else None,
        changes=changes,
    )


def _level_order(level: str) -> tuple[object, ...]:
    """Numbers as they count, `over` behind `to`, what is missing last."""
    return (
        level == MISSING,
        level.startswith("over "),
        not level.startswith("to "),
        natural(level),
    )


def aligned(report: BiasReport) -> list[str]:
    """The table as lines of text.

    >>> lines = (Line("all", "", 8, 5, 4), Line("sex", "F", 4, 3, 2))
    >>> print("\\n".join(aligned(BiasReport(lines))))
    participants   with data  permitted  there
    all                    8          5      4
    sex F                  4          3      2
    """
    names = [" ".join(w for w in (line.column, line.level) if w) for line in report.lines]
    width = max(len(n) for n in ("participants  ", *names))
    head = f"{'participants':<{width}} {'with data':>9}  {'permitted':>9}  {'there':>5}"
    return [head] + [
        f"{name:<{width}} {line.with_data:>9}  {line.permitted:>9}  {line.there:>5}"
        for name, line in zip(names, report.lines, strict=True)
    ]
