"""Which participants to send when there is no room for all: those who keep the sample alike.

Greedy: of everybody who still fits, the next is who brings the shares of the levels closest
to those of the permitted whole (:meth:`.samples.Sample.distance`); of several as good, the
first in the order of counting. What is there already counts. All sums are of whole numbers,
so that the same state gives the same choice on every machine. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from .plans import natural
from .samples import Sample


def choose(
    sample: Sample, there: Collection[str], costs: Mapping[str, int], room: int | None
) -> list[str]:
    """Participants to send, in order, as many as fit.

    Parameters
    ----------
    sample : Sample
        The levels of the permitted whole.
    there : collection of str
        Participants of whom something is at the sibling.
    costs : mapping
        Participant -> bytes that would be sent; who is not in the sample is left out.
    room : int or None
        Bytes; None: no limit known.

    Returns
    -------
    list of str
        Never more than ``room`` together. Who does not fit is passed over.
    """
    ordered = [w for w in sorted(costs, key=lambda n: (natural(n), n)) if w in sample.whole]
    chosen: list[str] = []
    left = room
    # of whom something is there, the rest changes no share
    for who in filter(there.__contains__, ordered):
        if left is None or costs[who] <= left:
            left = None if left is None else left - costs[who]
            chosen.append(who)
    queue = _Queue(sample, [w for w in ordered if w not in there], there)
    while (best := queue.next()) is not None:
        if left is None or costs[best] <= left:
            left = None if left is None else left - costs[best]
            chosen.append(best)
            queue.add()
    return chosen


class _Queue:
    """Hands out participants, the best first; those with the same levels are one stratum."""

    def __init__(self, sample: Sample, people: Sequence[str], there: Collection[str]):
        import numpy as np

        self._people = people
        columns = range(len(sample.columns))
        numbers: list[dict[str, int]] = [{} for _ in columns]
        for levels in sample.levels.values():
            for codes_of, level in zip(numbers, levels, strict=True):
                codes_of.setdefault(level, len(codes_of))
        coded = {
            who: tuple(c[level] for c, level in zip(numbers, levels, strict=True))
            for who, levels in sample.levels.items()
        }
        self._wanted = [np.zeros(len(c), dtype=np.int64) for c in numbers]
        self._found = [np.zeros(len(c), dtype=np.int64) for c in numbers]
        self._all, self._count = len(sample.whole), 0
        for who, codes in coded.items():
            for column in columns:
                self._wanted[column][codes[column]] += 1
                self._found[column][codes[column]] += who in there
            self._count += who in there
        strata: dict[tuple[int, ...], list[int]] = {}
        for rank, who in enumerate(people):
            strata.setdefault(coded[who], []).append(rank)
        self._waiting = [ranks[::-1] for ranks in strata.values()]
        self._codes = np.array(list(strata), dtype=np.int64).reshape(len(strata), len(numbers))
        self._heads = np.array([ranks[-1] for ranks in self._waiting], dtype=np.int64)
        self._last = self._codes[:0]

    def next(self) -> str | None:
        """Whoever brings the shares closest; each is handed out once, None at the end."""
        import numpy as np

        if not len(self._heads):
            return None
        # shares are compared as fractions of one denominator, so no rounding decides
        count = self._count + 1
        worse = np.zeros(len(self._heads), dtype=np.int64)
        for column, (wanted, found) in enumerate(zip(self._wanted, self._found, strict=True)):
            target = wanted * count
            without = np.abs(found * self._all - target)
            with_one = np.abs((found + 1) * self._all - target)
            worse += (with_one - without)[self._codes[:, column]]
        best = np.flatnonzero(worse == worse.min())
        place = int(best[self._heads[best].argmin()])
        self._last = self._codes[place]
        waiting = self._waiting[place]
        rank = waiting.pop()
        if waiting:
            self._heads[place] = waiting[-1]
        else:
            del self._waiting[place]
            self._heads = np.delete(self._heads, place)
            self._codes = np.delete(self._codes, place, axis=0)
        return self._people[rank]

    def add(self) -> None:
        """Count whoever was handed out last."""
        self._count += 1
        for column, level in enumerate(self._last):
            self._found[column][level] += 1
