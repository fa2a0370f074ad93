"""Verdicts and plans for tests, without a dataset."""

from __future__ import annotations

from datalad_mrishare.consent import Deid, FileScope
from datalad_mrishare.repo.trees import LINK, Entry
from datalad_mrishare.sharing.facts import Facts, Kind
from datalad_mrishare.sharing.plans import Plan, Room, make_plan
from datalad_mrishare.sharing.verdicts import Reason, Verdict

NO = Reason("consent", "no", "yes")


def verdict(
    path: str, people: str, size: int | None, permit: bool = True, *, key: str = "", ses: str = ""
) -> Verdict:
    """A verdict about an annexed file; its key is its path unless one is given."""
    entry = Entry(path, LINK, "0" * 40, 100, key or path)
    participants = frozenset(people.split())
    scope = FileScope(ses or None, None, None, path)
    kind = Kind.DATA if people else Kind.COMMONS
    facts = Facts(entry, kind, participants, scope, Deid.IDENTIFIABLE, size)
    return Verdict(facts, () if permit else (NO,))


def plan(
    verdicts: list[Verdict],
    *,
    room: Room | None = None,
    present: set[str] | None = None,
    here: set[str] | None = None,
    **options: object,
) -> Plan:
    """A plan; unless told otherwise nothing is there and everything is here."""
    everything = {v.facts.entry.key or "" for v in verdicts}
    return make_plan(
        verdicts,
        present=present or set(),
        here=everything if here is None else here,
        room=room or Room(),
        **options,  # type: ignore[arg-type]
    )
