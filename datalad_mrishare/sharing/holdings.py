"""Whose files lie at a sibling after a publication: what an event records, and reading it back.

An event of a publication has the field ``holds``: participants to figures, the same for every
policy, whatever its units are::

    "holds": {"sub-07": {"files": 5, "bytes": 81234, "listed": 1, "tables": 1},
              "sub-07+sub-08": {"files": 1, "bytes": 5120}}

``files`` and ``bytes`` are those whose content lies there, files in git included; ``listed``
are files that the release names while their content is not there; ``tables`` are tables (or
JSON) of several people that have a row (an entry) of the participant. What is nought is left
out. Each event tells the whole, so that a run that was killed leaves no gap. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from ..consent.grants import Reach
from ..errors import InputError
from ..provenance.participants import participants_in_path
from .facts import Facts, Kind
from .keyed import people_keyed
from .plans import natural
from .releases import ReleaseTree
from .tables import people_in
from .verdicts import Verdict

_AND = re.compile(r"\+(?=sub-)")


def holdings(
    verdicts: Iterable[Verdict],
    keys: Collection[str],
    tree: ReleaseTree | None,
    of_files: bool = False,
) -> dict[str, dict[str, int]]:
    """The field ``holds`` of an event.

    Parameters
    ----------
    verdicts : iterable of Verdict
        About every file of the snapshot.
    keys : collection of str
        What the sibling has.
    tree : ReleaseTree or None
        What the release names; None for own storage.
    of_files : bool
        Whether it holds a tree of files: other own storage gets everything that is in git.
    """
    taken = None if tree is None else {e.path for e in tree.taken}
    written = {} if tree is None else tree.written
    found: dict[str, dict[str, int]] = {}
    names: dict[frozenset[str], str] = {}
    verdicts = list(verdicts)
    known = frozenset[str]().union(*{v.facts.participants for v in verdicts})

    def add(who: str, **figures: int) -> None:
        row = found.setdefault(who, {})
        for name, figure in figures.items():
            row[name] = row.get(name, 0) + figure

    for facts in (v.facts for v in verdicts if v.permit or v.facts.entry.key or not of_files):
        if facts.path in written:
            content = written[facts.path]
            if facts.path.endswith(".json"):
                people = facts.participants or people_keyed(content, known)
            else:
                people = facts.participants or people_in(content)
            for who in people:
                if facts.participants == {who}:
                    add(who, files=1, bytes=len(written[facts.path]))
                else:
                    add(who, tables=1)
            continue
        if not facts.participants or facts.kind is Kind.GITLINK:
            continue
        if facts.participants not in names:
            names[facts.participants] = _name(facts.participants)
        who = names[facts.participants]
        if _content_there(facts, keys, taken):
            add(who, files=1, bytes=facts.size or 0)
        elif taken is not None and facts.path in taken:
            add(who, listed=1)
    return {who: found[who] for who in sorted(found, key=natural)}


def _name(participants: Iterable[str]) -> str:
    return "+".join(sorted(participants, key=natural))


def _content_there(facts: Facts, keys: Collection[str], taken: Collection[str] | None) -> bool:
    if facts.entry.key:
        return facts.entry.key in keys
    return taken is None or facts.path in taken


@dataclass(frozen=True)
class Figures:
    """What lies at a sibling of one participant and of nobody else; ``size`` in bytes.

    ``counted`` is False for an event without figures.
    """

    files: int = 0
    size: int = 0
    listed: int = 0
    tables: int = 0
    counted: bool = True


@dataclass(frozen=True)
class Step:
    """A publication that changed something for the participant."""

    day: date
    figures: Figures


@dataclass(frozen=True)
class Place:
    """A sibling that has, or had, something of a participant.

    ``reach`` is the widest it ever had; ``last`` the day of the last publication that is on
    record; ``left`` says that content of somebody could not be taken back then. Of files of
    several people it is only said whether there are any now, and whether there ever were: how
    many and since when depends on the others.
    """

    sibling: str
    reach: Reach
    steps: tuple[Step, ...]
    last: date
    left: bool = False
    together: bool = False
    ever_together: bool = False

    @property
    def own(self) -> bool:
        """Whether it always was the controller's own storage."""
        return self.reach is Reach.OWN

    @property
    def now(self) -> Figures:
        """What lies there as far as is recorded."""
        return self.steps[-1].figures if self.steps else Figures()

    @property
    def fewer(self) -> bool:
        """Whether there once was more of the participant."""
        return self.now.files < max((s.figures.files for s in self.steps), default=0)


def places(
    events: Sequence[Mapping[str, Any]], participant: str, until: date | None = None
) -> list[Place]:
    """Where data of a participant went, from the events of publications, oldest first.

    Parameters
    ----------
    events : sequence of mapping
        As :func:`~..repo.events.read_events` returns them; what is no publication, or cannot be
        understood, is left out.
    participant : str
        ``sub-XX``.
    until : date, optional
        The last day (UTC) that counts.
    """
    found: dict[str, Place] = {}
    for event in events:
        day = _day(event.get("when"))
        name = event.get("sibling")
        if event.get("event") != "published" or day is None or not isinstance(name, str):
            continue
        if until is not None and day > until:
            continue
        before = found.get(name)
        figures, together = _figures(event, participant, before)
        reach = _reach(event.get("reach"))
        place = before or Place(name, reach, (), day)
        found[name] = replace(
            place,
            steps=place.steps if figures == place.now else (*place.steps, Step(day, figures)),
            reach=max(place.reach, reach),
            last=day,
            left=bool(event.get("keys_not_taken_back")),
            together=together,
            ever_together=place.ever_together or together,
        )
    had = (found[name] for name in sorted(found, key=natural))
    return [place for place in had if place.steps or place.ever_together]


def _figures(
    event: Mapping[str, Any], participant: str, before: Place | None
) -> tuple[Figures, bool]:
    """What an event tells of a participant, and whether files of several people lie there."""
    holds = event.get("holds")
    if not isinstance(holds, dict):
        former = before.now if before else Figures()
        if _sent_uncounted(event, participant):
            former = replace(former, counted=False)
        return former, before is not None and before.together
    mine = holds.get(participant)
    row = mine if isinstance(mine, dict) else {}
    files, size, listed, tables = (_count(row, n) for n in ("files", "bytes", "listed", "tables"))
    figures = Figures(files, size, listed, tables)
    together = any(
        isinstance(row, dict) and _count(row, "files") and participant in _AND.split(who)
        for who, row in holds.items()
        if who != participant
    )
    return figures, together


def _sent_uncounted(event: Mapping[str, Any], participant: str) -> bool:
    """Whether an event without figures names a unit of the participant."""
    units = [u for k in ("units_sent", "units_incomplete") for u in event.get(k) or () if u]
    return any(participant in participants_in_path(str(unit)) for unit in units)


def _count(row: Mapping[str, Any], name: str) -> int:
    value = row.get(name)
    return value if isinstance(value, int) else 0


def _day(when: object) -> date | None:
    try:
        return date.fromisoformat(str(when)[:10])
    except ValueError:
        return None


def _reach(word: object) -> Reach:
    """The reach as recorded; one that cannot be read is taken for the widest."""
    try:
        return Reach.parse(str(word))
    except InputError:
        return Reach.PUBLIC
