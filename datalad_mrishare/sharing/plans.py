"""Which units go to a sibling now, which stay, which wait for room, what comes back.

Pure: verdicts and numbers in, a plan out. A unit is sent whole or not at all; units
come in a stable order, so that the same state makes the same plan.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from .facts import Facts
from .verdicts import Verdict, selected

COMMONS_UNIT = "commons"


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


def unit_name(facts: Facts, unit: str) -> str:
    """The unit that a permitted file belongs to."""
    if not facts.participants:
        return COMMONS_UNIT
    people = "+".join(sorted(facts.participants, key=natural))
    if unit == "file":
        return facts.path
    if unit == "session" and facts.scope.ses:
        return f"{people}/ses-{facts.scope.ses}"
    return people


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
    select: Mapping[str, Sequence[str]] | None = None,
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
    select : mapping, optional
        Send only these now; the rest is deferred.
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
    left = total = room.left(held, freed)
    units = []
    promised = set(present)
    for name in sorted(groups, key=_order):
        planned = _plan_unit(name, groups[name], promised, here, left, select or {})
        if planned.action is Action.SEND:
            promised.update(planned.send)
            left = None if left is None else left - planned.new
        units.append(planned)
    return Plan(
        units=tuple(units),
        take_back=take_back,
        room=total,
        held=held,
        freed=freed,
        withheld=tuple(v for v in verdicts if not v.permit),
        keys=frozenset(k for k in keys if k),
    )


def _order(name: str) -> tuple[object, ...]:
    """Commons first, then units of one participant, then of several."""
    return (name != COMMONS_UNIT, "+" in name, natural(name), name)


def _plan_unit(
    name: str,
    files: list[Facts],
    present: Collection[str],
    here: Collection[str],
    left: int | None,
    select: Mapping[str, Sequence[str]],
) -> Unit:
    sizes = {f.entry.key or "": f.size for f in files}
    chosen = {f.entry.key or "": None for f in files if selected(f, select)}
    missing = [k for k in sizes if k not in present]
    send = [k for k in chosen if k not in present]
    size = sum(s or 0 for s in sizes.values())
    new = sum(sizes[k] or 0 for k in send)
    absent = tuple(k for k in send if k not in here)
    common = {"files": len(files), "size": size, "keys": tuple(sizes)}
    if not missing:
        return Unit(name, Action.KEEP, new=0, why="there already", **common)  # type: ignore[arg-type]
    wait = ""
    if not send:
        wait, new = "not selected now", sum(sizes[k] or 0 for k in missing)
    elif absent:
        wait = f"content of {len(absent)} of {len(send)} files is not in this dataset"
    elif any(sizes[k] is None for k in send):
        wait = "the size of some content is not known"
    elif left is not None and new > left:
        wait = "no room there"
    if wait:
        return Unit(name, Action.DEFER, new=new, why=wait, absent=absent, **common)  # type: ignore[arg-type]
    return Unit(name, Action.SEND, new=new, send=tuple(send), **common)  # type: ignore[arg-type]
