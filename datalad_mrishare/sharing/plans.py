"""Which units go to a sibling now, which stay, which wait for room, what comes back.

Pure: verdicts and numbers in, a plan out. A unit is sent whole or not at all; units
come in a stable order, so that the same state makes the same plan: commons, units that
have begun to arrive, chosen participants (:mod:`.balance`), units with preferred files,
the rest in the order of counting, files of several participants.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache

from .facts import Facts
from .verdicts import Verdict, selected

COMMONS_UNIT = "commons"
NO_ROOM = "no room there"


class Action(str, Enum):
    """What happens to a unit."""

    SEND = "send"
    KEEP = "keep"
    DEFER = "defer"


@dataclass(frozen=True)
class Unit:
    """Permitted annexed content that is sent together or not at all.

    ``send`` are the keys that are not at the sibling yet; ``files`` counts paths,
    ``size`` and ``new`` are bytes of all its content and of what is to be sent.
    """

    name: str
    action: Action
    files: int
    size: int
    new: int
    send: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    why: str = ""
    absent: tuple[str, ...] = ()
    participants: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Room:
    """Bytes there: ``budget`` for this dataset in all, ``free`` on the file system.

    None means no limit known.
    """

    budget: int | None = None
    free: int | None = None
    reserve: int = 0

    def left(self, held: int, freed: int) -> int | None:
        """Bytes that may be added when ``held`` stay and ``freed`` are taken back first."""
        limits = []
        if self.budget is not None:
            limits.append(self.budget - held)
        if self.free is not None:
            limits.append(self.free - self.reserve + freed)
        return max(0, min(limits)) if limits else None


@dataclass(frozen=True)
class Plan:
    """The whole decision for one sibling."""

    units: tuple[Unit, ...]
    take_back: tuple[str, ...]
    room: int | None
    held: int
    freed: int
    withheld: tuple[Verdict, ...] = ()
    keys: frozenset[str] = field(default_factory=frozenset)

    def keys_to_send(self) -> list[str]:
        """Keys in the order of units, each once."""
        return list(dict.fromkeys(k for u in self.units if u.action is Action.SEND for k in u.send))

    def total(self, action: Action) -> tuple[int, int, int]:
        """Units, files and new bytes with this action."""
        chosen = [u for u in self.units if u.action is action]
        return len(chosen), sum(u.files for u in chosen), sum(u.new for u in chosen)


Chooser = Callable[[Mapping[str, int], "int | None"], Sequence[str]]
"""Participants with the bytes that each would add, and the room -> those to prefer, in order."""


@dataclass(frozen=True)
class Wishes:
    """What the user wants of a plan, beside the policy.

    Parameters
    ----------
    select : mapping
        BIDS entity -> values: send only these now; the rest is deferred.
    first : mapping
        BIDS entity -> values: units that have such files come first, and in a unit they
        are sent first.
    choose : Chooser, optional
        Says which participants come first.
    only : mapping, optional
        Send exactly these: unit -> keys, in this order; the rest is deferred.
    """

    select: Mapping[str, Sequence[str]] = field(default_factory=dict)
    first: Mapping[str, Sequence[str]] = field(default_factory=dict)
    choose: Chooser | None = None
    only: Mapping[str, Sequence[str]] | None = None


def unit_name(facts: Facts, unit: str) -> str:
    """The unit that a permitted file belongs to."""
    if not facts.participants:
        return COMMONS_UNIT
    if unit == "file":
        return facts.path
    people = _together(facts.participants)
    if unit == "session" and facts.scope.ses:
        return f"{people}/ses-{facts.scope.ses}"
    return people


@lru_cache(maxsize=8192)
def _together(participants: frozenset[str]) -> str:
    return "+".join(sorted(participants, key=natural))


def natural(text: str) -> tuple[object, ...]:
    """Sort key that counts: sub-2 before sub-10."""
    return tuple(
        (0, int(p), "") if p.isdecimal() else (1, 0, p) for p in re.split(r"(\d+)", text) if p
    )


def make_plan(
    verdicts: Sequence[Verdict],
    *,
    present: Collection[str],
    here: Collection[str],
    room: Room,
    unit: str = "participant",
    wishes: Wishes | None = None,
) -> Plan:
    """Choose units in order as long as each fits.

    Parameters
    ----------
    verdicts : sequence of Verdict
        About every file of the snapshot.
    present, here : collection of str
        Keys that the sibling has, and keys whose content this dataset has.
    room : Room
        What the sibling can take.
    unit : str
        ``participant``, ``session`` or ``file``.
    wishes : Wishes, optional
        What comes first, and what does not go now.
    """
    permitted = [v for v in verdicts if v.permit and v.facts.entry.key]
    keys = {v.facts.entry.key for v in permitted}
    known = {v.facts.entry.key: v.facts.size or 0 for v in verdicts if v.facts.entry.key}
    take_back = tuple(sorted(k for k in present if k not in keys))
    held = sum(known.get(k, 0) for k in present if k in keys)
    freed = sum(known.get(k, 0) for k in take_back)
    groups: dict[str, list[Facts]] = {}
    for v in permitted:
        groups.setdefault(unit_name(v.facts, unit), []).append(v.facts)
    total = room.left(held, freed)
    planner = _Planner(groups, present, here, total, wishes or Wishes())
    return Plan(
        units=planner.plan(),
        take_back=take_back,
        room=total,
        held=held,
        freed=freed,
        withheld=tuple(v for v in verdicts if not v.permit),
        keys=frozenset(k for k in keys if k),
    )


class _Planner:
    """Goes through the units of one plan; ``promised`` and ``left`` change as it goes."""

    def __init__(
        self,
        groups: Mapping[str, list[Facts]],
        present: Collection[str],
        here: Collection[str],
        left: int | None,
        wishes: Wishes,
    ):
        self._groups, self._here, self._wishes = groups, here, wishes
        self._promised, self._left = set(present), left
        keys = {name: {f.entry.key or "" for f in files} for name, files in groups.items()}
        self._begun = {n for n, k in keys.items() if k & self._promised and k - self._promised}
        self._people = {
            name: frozenset[str]().union(*(f.participants for f in files))
            for name, files in groups.items()
        }

    def plan(self) -> tuple[Unit, ...]:
        """Every unit with what happens to it, in the order in which they are sent."""
        if self._wishes.only is not None:
            listed = {name: place for place, name in enumerate(self._wishes.only)}
            last = len(listed)
            return self._take(sorted(self._groups, key=lambda n: (listed.get(n, last), *_order(n))))
        early = [n for n in self._groups if n == COMMONS_UNIT or n in self._begun]
        units = self._take(sorted(early, key=self._order))
        later = [n for n in self._groups if n not in set(early)]
        if self._wishes.choose is None:
            return units + self._take(sorted(later, key=self._order))
        chosen = self._chosen(later)
        last = len(chosen)

        def place(name: str) -> tuple[object, ...]:
            return (chosen.get("".join(self._people[name]), last), *self._order(name))

        return units + self._take(sorted(later, key=place))

    def _take(self, names: Sequence[str]) -> tuple[Unit, ...]:
        units = []
        for name in names:
            unit = self._unit(name)
            if unit.action is Action.SEND:
                self._promised.update(unit.send)
                self._left = None if self._left is None else self._left - unit.new
            units.append(unit)
        return tuple(units)

    def _chosen(self, names: Sequence[str]) -> dict[str, int]:
        """Participants that the chooser prefers -> their place."""
        assert self._wishes.choose is not None
        costs: dict[str, int] = {}
        for name in names:
            unit = self._unit(name, fits=True)
            if len(self._people[name]) == 1 and unit.action is Action.SEND:
                (who,) = self._people[name]
                costs[who] = costs.get(who, 0) + unit.new
        found = self._wishes.choose(costs, self._left)
        return {who: place for place, who in enumerate(found)}

    def _order(self, name: str) -> tuple[object, ...]:
        preferred = bool(self._wishes.first) and any(map(self._is_first, self._groups[name]))
        early = (name != COMMONS_UNIT, name not in self._begun)
        return (*early, not preferred, len(self._people[name]) > 1, *_order(name))

    def _is_first(self, facts: Facts) -> bool:
        return selected(facts, self._wishes.first)

    def _unit(self, name: str, *, fits: bool = False) -> Unit:
        """A unit as it is planned now; ``fits`` asks as if there were room for it."""
        files, wishes = self._groups[name], self._wishes
        sizes = {f.entry.key or "": f.size for f in files}
        if wishes.only is not None:
            wanted = [k for k in wishes.only.get(name, ()) if k in sizes]
        else:
            going = [f for f in files if selected(f, wishes.select)]
            if wishes.first:
                going.sort(key=lambda f: not self._is_first(f))
            wanted = [f.entry.key or "" for f in going]
        missing = [k for k in sizes if k not in self._promised]
        send = [k for k in dict.fromkeys(wanted) if k not in self._promised]
        new = sum(sizes[k] or 0 for k in send or missing)
        absent = tuple(k for k in send if k not in self._here)
        wait = ""
        if not send:
            wait = "not selected now" if wishes.only is None else "not in the plan"
        elif absent:
            wait = f"content of {len(absent)} of {len(send)} files is not in this dataset"
        elif any(sizes[k] is None for k in send):
            wait = "the size of some content is not known"
        elif not fits and self._left is not None and new > self._left:
            wait = NO_ROOM
        action = Action.KEEP if not missing else Action.DEFER if wait else Action.SEND
        return Unit(
            name,
            action,
            files=len(files),
            size=sum(s or 0 for s in sizes.values()),
            new=new if missing else 0,
            send=tuple(send) if action is Action.SEND else (),
            keys=tuple(sizes),
            why="there already" if action is Action.KEEP else wait,
            absent=absent if action is Action.DEFER else (),
            participants=self._people[name],
        )


def _order(name: str) -> tuple[object, ...]:
    """The order of counting, the same for any order of the files."""
    return (natural(name), name)
