"""Which units go to a sibling now, which stay, which wait for room, what comes back.

Pure: verdicts and numbers in, a plan out. A unit is sent whole or not at all; units
come in a stable order, so that the same state makes the same plan: commons, units that
have begun to arrive, chosen participants (:mod:`.balance`), units with preferred files,
the rest in the order of counting, files of several participants.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import lru_cache

from ..repo.keys import key_size
from .facts import Facts
from .storage import PLAIN, Storage
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
    ``size`` and ``new`` are bytes of all its content and of what is to be sent, ``takes``
    what that takes of the room there.
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
    takes: int = 0


@dataclass(frozen=True)
class Room:
    """Bytes there: ``budget`` for this dataset in all, ``free`` on the file system.

    ``allowed`` is what git-annex's ``maxsize`` leaves, below 0 where there is more already;
    ``storage`` tells what content takes. None means no limit known.
    """

    budget: int | None = None
    free: int | None = None
    reserve: int = 0
    allowed: int | None = None
    storage: Storage = PLAIN

    def limits(self, held: int, freed: int) -> tuple[int | None, int | None]:
        """Bytes of objects, and of the file system, that may be added.

        ``held`` bytes stay and ``freed`` are taken back first.
        """
        objects = [] if self.budget is None else [self.budget - held]
        if self.allowed is not None:
            objects.append(self.allowed + freed)
        disk = None if self.free is None else max(0, self.free - self.reserve + freed)
        return max(0, min(objects)) if objects else None, disk

    def left(self, held: int, freed: int) -> int | None:
        """The smaller of both :meth:`limits`."""
        return min((n for n in self.limits(held, freed) if n is not None), default=None)


@dataclass(frozen=True)
class Plan:
    """The whole decision for one sibling.

    ``takes`` are the bytes of its file system that are gone after it, below 0 where more are
    taken back than sent.
    """

    units: tuple[Unit, ...]
    take_back: tuple[str, ...]
    room: int | None
    held: int
    freed: int
    takes: int = 0
    withheld: tuple[Verdict, ...] = ()
    keys: frozenset[str] = field(default_factory=frozenset)

    def keys_to_send(self) -> list[str]:
        """Keys in the order of units, each once."""
        return list(dict.fromkeys(k for u in self.units if u.action is Action.SEND for k in u.send))

    def without_sending(self) -> Plan:
        """The same when nothing may be sent: what was to go is deferred."""

        def held_back(unit: Unit) -> Unit:
            return replace(unit, action=Action.DEFER) if unit.action is Action.SEND else unit

        return replace(self, units=tuple(map(held_back, self.units)))

    def total(self, action: Action, failed: frozenset[str] = frozenset()) -> tuple[int, int, int]:
        """Units, files and new bytes with this action, without units that lack ``failed`` keys.

        What is deferred lacks some anyway.
        """
        lost = frozenset[str]() if action is Action.DEFER else failed
        chosen = [u for u in self.units if u.action is action and lost.isdisjoint(u.keys)]
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
    former: Collection[str] = (),
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
    former : collection of str
        Keys that stay there, and take room, though no file of the snapshot has them.
    """
    keys: set[str] = set()
    known: dict[str, int] = {}
    groups: dict[str, list[Facts]] = {}
    for facts, reasons in verdicts:
        key = facts.entry.key
        if key:
            known[key] = facts.size or 0
            if not reasons:
                keys.add(key)
                groups.setdefault(unit_name(facts, unit), []).append(facts)
    staying = keys.union(former)
    take_back = tuple(sorted(k for k in present if k not in staying))

    def size(key: str) -> int:
        return known.get(key) or key_size(key) or 0

    sizes = [size(k) for k in present if k in staying]
    held, stays = sum(sizes), sum(map(room.storage.stored, sizes))
    freed = sum(map(size, take_back))
    space = _Space(room, stays, freed)
    planner = _Planner(groups, present, here, space, wishes or Wishes())
    return Plan(
        units=planner.plan(),
        take_back=take_back,
        room=room.left(stays, freed),
        held=held,
        freed=freed,
        takes=space.taken - freed,
        withheld=tuple(v for v in verdicts if not v.permit),
        keys=frozenset(keys),
    )


class _Space:
    """What may still be added: bytes of objects, and of the file system that holds them."""

    def __init__(self, room: Room, held: int, freed: int):
        self._storage = room.storage
        self._objects, self._disk = room.limits(held, freed)
        self.taken = 0

    def needs(self, sizes: Iterable[int]) -> tuple[int, int]:
        """What content of these sizes takes, in objects and in the file system."""
        found = list(sizes)
        of_objects, of_disk = self._storage.stored, self._storage.disk
        return sum(map(of_objects, found)), sum(map(of_disk, found))

    def fits(self, needs: tuple[int, int]) -> bool:
        """Whether there is still room for it."""
        limits = (self._objects, self._disk)
        return all(n <= limit for n, limit in zip(needs, limits, strict=True) if limit is not None)

    def take(self, needs: tuple[int, int]) -> None:
        """Count it as there."""
        objects, disk = needs
        self._objects = None if self._objects is None else self._objects - objects
        self._disk = None if self._disk is None else self._disk - disk
        self.taken += disk

    def scarce(self, needs: tuple[int, int]) -> int:
        """The one of both that is nearer to its limit."""
        return needs[0] if self.left() == self._objects else needs[1]

    def left(self) -> int | None:
        """The smaller of both limits."""
        return min((n for n in (self._objects, self._disk) if n is not None), default=None)


class _Planner:
    """Goes through the units of one plan; ``promised`` and ``space`` change as it goes."""

    def __init__(
        self,
        groups: Mapping[str, list[Facts]],
        present: Collection[str],
        here: Collection[str],
        space: _Space,
        wishes: Wishes,
    ):
        self._groups, self._here, self._wishes = groups, here, wishes
        self._promised, self._space = set(present), space
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
                sizes = {f.entry.key: f.size or 0 for f in self._groups[name]}
                self._space.take(self._space.needs(sizes[k] for k in unit.send))
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
                costs[who] = costs.get(who, 0) + unit.takes
        found = self._wishes.choose(costs, self._space.left())
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
        new = [sizes[k] or 0 for k in send or missing]
        needs = self._space.needs(new)
        absent = tuple(k for k in send if k not in self._here)
        wait = ""
        if not send:
            wait = "not selected now" if wishes.only is None else "not in the plan"
        elif absent:
            wait = f"content of {len(absent)} of {len(send)} files is not in this dataset"
        elif any(sizes[k] is None for k in send):
            wait = "the size of some content is not known"
        elif not fits and not self._space.fits(needs):
            wait = NO_ROOM
        action = Action.KEEP if not missing else Action.DEFER if wait else Action.SEND
        return Unit(
            name,
            action,
            files=len(files),
            size=sum(s or 0 for s in sizes.values()),
            new=sum(new) if missing else 0,
            send=tuple(send) if action is Action.SEND else (),
            keys=tuple(sizes),
            why="there already" if action is Action.KEEP else wait,
            absent=absent if action is Action.DEFER else (),
            participants=self._people[name],
            takes=self._space.scarce(needs) if missing else 0,
        )


def _order(name: str) -> tuple[object, ...]:
    """The order of counting, the same for any order of the files."""
    return (natural(name), name)
