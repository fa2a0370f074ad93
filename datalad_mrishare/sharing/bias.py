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

from .facts import Kind
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
    return frozenset().union(*(_alone(v) for v in verdicts if v.permit))


def people_there(verdicts: Iterable[Verdict], keys: Collection[str]) -> frozenset[str]:
    """Participants of whom permitted content is among ``keys``."""
    return frozenset().union(
        *(_alone(v) for v in verdicts if v.permit and v.facts.entry.key in keys)
    )


def group_people(verdicts: Sequence[Verdict], present: Collection[str], plan: Plan) -> Groups:
    """The three groups, as they are when the plan is carried out."""
    after = {*present, *plan.keys_to_send()}
    return Groups(
        with_data=frozenset().union(*(_alone(v) for v in verdicts)),
        permitted=permitted_people(verdicts),
        there=people_there(verdicts, after),
    )


def _alone(verdict: Verdict) -> frozenset[str]:
    """The participant whose annexed content it is, if it is of one only."""
    facts = verdict.facts
    own = facts.entry.key and facts.kind is Kind.DATA and len(facts.participants) == 1
    return facts.participants if own else frozenset()


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
