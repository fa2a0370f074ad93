"""A release that only gets smaller: the one before, without what is denied now.

Where nothing may be sent (an agreement has ended, nothing fits), who withdrew leaves the
release all the same. So it is made from what was released: nothing comes in, no file in git is
newer than it was there, and tables and sidecars are filtered from what they said there. What
was replaced in the dataset leaves it until the new one may go. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..repo.trees import GITLINK, Entry
from .describing import CHANGES, DESCRIPTION
from .facts import Facts, Kind
from .looseends import PATTERNS
from .verdicts import Reason, Verdict

_HELD = Reason(
    "sending",
    "nothing may be sent now, and it was not released before",
    "Mend what forbids sending, then publish again",
)


def only_released(verdicts: Iterable[Verdict], before: Iterable[Entry]) -> list[Verdict]:
    """The verdicts with a denial for all that is not in the release ``before``.

    Files in git are as they are there, so their contents are to be looked for there, too.
    """
    released = {entry.path: entry for entry in before}
    return [_as_released(v, released.get(v.facts.path)) if v.permit else v for v in verdicts]


def _as_released(verdict: Verdict, before: Entry | None) -> Verdict:
    facts, entry = verdict.facts, verdict.facts.entry
    links = entry.mode == GITLINK, before is not None and before.mode == GITLINK
    if before is None or before.key != entry.key or links[0] != links[1]:
        return verdict._replace(reasons=(_HELD,))
    if links[0] or entry.path in (CHANGES, DESCRIPTION):  # made anew for each release
        return verdict
    if entry.key:
        return verdict._replace(facts=facts._replace(entry=before))
    if before.oid == entry.oid or _is_filtered(facts):
        return verdict._replace(facts=facts._replace(entry=before, size=before.size))
    return verdict._replace(reasons=(_HELD,))


def _is_filtered(facts: Facts) -> bool:
    """Whether a release may hold it otherwise than the dataset, or it is of nobody.

    Of any other file nobody can tell whose data it held when it was released.
    """
    if facts.kind in (Kind.TABLE, Kind.COMMONS):
        return True
    name = facts.path.rpartition("/")[2]
    return name in PATTERNS or name.endswith((".json", "_events.tsv"))
