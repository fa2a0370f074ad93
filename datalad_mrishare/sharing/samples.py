"""What ``participants.tsv`` tells of a sample, as levels that can be counted and compared.

Sex is taken as it is written, ages in decades (BIDS 1.11, "Participants file": 89 and above
are one). For :mod:`.balance` numbers are cut at the quartiles of a whole; what is missing is
a level of its own. Pure.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..errors import InputError
from .plans import natural
from .tables import MISSING, parse_table

_NUMBER = re.compile(r"-?\d{1,15}(\.\d{1,15})?")
#: fewer different numbers than this are codes for groups, not quantities
_LEAST_NUMBERS = 5
_OLDEST = 89
#: what DESIGN and docs call the measure
MEASURE = "mean total variation distance"

Rows = Mapping[str, Mapping[str, str]]
"""Participant -> column -> what is written there."""


def read_people(content: bytes | None) -> tuple[tuple[str, ...], Rows]:
    """Columns and rows of ``participants.tsv``; none where it is missing or no table.

    Where a participant has several rows the first counts.

    >>> read_people(b"participant_id\\tsex\\nsub-01\\tF\\n")
    (('sex',), {'sub-01': {'sex': 'F'}})
    """
    table = parse_table(content) if content else None
    if table is None or "participant_id" not in table.columns:
        return (), {}
    columns = tuple(c for c in table.columns if c != "participant_id")
    rows: dict[str, dict[str, str]] = {}
    for cells in table.rows:
        row = dict(zip(table.columns, cells, strict=True))
        who = f"sub-{row.pop('participant_id').removeprefix('sub-')}"
        rows.setdefault(who, {c: row[c].strip() or MISSING for c in columns})
    return columns, rows


def number(text: str) -> float | None:
    """A number as it stands in a table; ``89+`` is 89; None for anything else.

    >>> number("31.5"), number("89+"), number("n/a"), number("nan")
    (31.5, 89.0, None, None)
    """
    text = text.removesuffix("+")
    return float(text) if _NUMBER.fullmatch(text) else None


def decade(text: str) -> str:
    """The decade of an age in years.

    >>> [decade(age) for age in ("7", "20", "29.9", "88", "89", "89+", "n/a", "adult")]
    ['0-9', '20-29', '20-29', '80-88', '89+', '89+', 'n/a', 'adult']
    """
    age = number(text)
    if age is None or age < 0:
        return text
    if age >= _OLDEST:
        return f"{_OLDEST}+"
    start = int(age // 10) * 10
    return f"{start}-{min(start + 9, _OLDEST - 1)}"


@dataclass(frozen=True)
class Bins:
    """How the values of one column become levels; ``cuts`` are quartiles, or none."""

    cuts: tuple[float, ...] = ()

    def level(self, text: str) -> str:
        """The level of a value.

        >>> bins = Bins((20, 30, 40))
        >>> [bins.level(v) for v in ("20", "20.5", "40", "41", "n/a")]
        ['to 20', '20 to 30', '30 to 40', 'over 40', 'n/a']
        """
        value = number(text) if self.cuts else None
        if value is None:
            return text
        below = None
        for cut in self.cuts:
            if value <= cut:
                return f"to {cut:g}" if below is None else f"{below:g} to {cut:g}"
            below = cut
        return f"over {below:g}"


def bins_of(values: Iterable[str]) -> Bins:
    """Bins at the quartiles of numbers, or one level for each word."""
    words = [v for v in values if v != MISSING]
    numbers = [number(v) for v in words]
    found = sorted(n for n in numbers if n is not None)
    if len(found) < len(words) or len(set(found)) < _LEAST_NUMBERS:
        return Bins()
    quartiles = (found[(len(found) * q - 1) // 4] for q in (1, 2, 3))
    cuts = sorted(set(quartiles))
    # the last cut at the greatest value would leave a level that nobody is in
    return Bins(tuple(c for c in cuts if c < found[-1]))


@dataclass(frozen=True)
class Sample:
    """The levels of participants in the columns that are to be balanced.

    ``levels`` has a tuple, one level a column, for everybody in ``whole``: those who
    permit something.
    """

    columns: tuple[str, ...]
    whole: frozenset[str]
    levels: Mapping[str, tuple[str, ...]]
    bins: Mapping[str, Bins]

    def distance(self, chosen: Collection[str]) -> float | None:
        """Mean over the columns of the total variation distance to the whole, from 0 to 1.

        Half the sum of the absolute differences between shares (Levin and Peres, Markov
        Chains and Mixing Times, 2017, 4.1). None when nobody is chosen.
        """
        people = [who for who in chosen if who in self.whole]
        if not people or not self.columns:
            return None
        total = 0.0
        for place in range(len(self.columns)):
            target = Counter(self.levels[who][place] for who in self.whole)
            found = Counter(self.levels[who][place] for who in people)
            total += sum(
                abs(found[level] / len(people) - count / len(self.whole))
                for level, count in target.items()
            )
        return total / 2 / len(self.columns)


def make_sample(
    columns: Sequence[str], rows: Rows, whole: Collection[str], there: Sequence[str]
) -> Sample:
    """The sample to balance.

    Parameters
    ----------
    columns : sequence of str
        What the user asked for.
    rows : mapping
        As :func:`read_people` returns them.
    whole : collection of str
        Everybody who permits something.
    there : sequence of str
        The columns there are.

    Raises
    ------
    InputError
        For a column that there is not, with those there are.
    """
    for column in columns:
        if column not in there:
            known = f"Columns there are: {', '.join(there)}" if there else "It has no columns"
            raise InputError(
                f"participants.tsv has no column `{column[:60]}`", where="--balance", remedy=known
            )
    people = sorted(whole, key=natural)
    nothing: Mapping[str, str] = {}
    values = {c: [rows.get(p, nothing).get(c, MISSING) for p in people] for c in columns}
    bins = {c: bins_of(values[c]) for c in columns}
    told = ([bins[c].level(v) for v in values[c]] for c in columns)
    levels = dict(zip(people, zip(*told, strict=True), strict=True)) if columns else {}
    return Sample(tuple(columns), frozenset(people), levels, bins)
