"""Permit or deny: a sibling's policy against what the participants permit.

::

    permitted(S, file)  <=>  S <= grant   and   clearance(file) >= max(S.deid, grant.deid)

where ``until`` is compared with the date of the decision, and with the policy's own end
only where nothing can be recalled: data that cannot be taken back must not stay longer
than was permitted.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from .grants import DUTIES, Deid, Grant, Reach
from .regions import region_text

_SENTENCES = {
    "reach": "it reaches {demanded}, permitted is at most {permitted}",
    "use": "it would be used for {demanded}, permitted is {permitted}",
    "region": "it would go to {demanded}, permitted is {permitted}",
    "duty": "recipients promise {demanded}, demanded is {permitted}",
    "until": "it would be there {demanded}, permitted is {permitted}",
    "deid": "it counts as {demanded}, demanded is at least {permitted}",
}


@dataclass(frozen=True)
class Failure:
    """One component in which a sibling asks for more than is permitted.

    ``demanded`` is what would happen there (for ``duty`` what is promised, for ``deid``
    how clean the file is), ``permitted`` the limit that it exceeds.
    """

    component: str
    demanded: str
    permitted: str

    @property
    def sentence(self) -> str:
        """For messages, without a full stop."""
        words = {"demanded": self.demanded, "permitted": self.permitted}
        return _SENTENCES[self.component].format(**words)


def failing(
    policy: Grant, grant: Grant, *, at: date, recall: bool, clearance: Deid
) -> tuple[Failure, ...]:
    """Why data under ``grant`` may not go to a sibling with ``policy``; empty if it may.

    Parameters
    ----------
    policy : Grant
        The sibling's point. A reach of ``own`` is not sharing and not decided here.
    grant : Grant
        The meet of the grants of everyone in the file.
    at : date
        The day of the decision. ``grant.until`` must lie after it.
    recall : bool
        Whether the sibling deletes when asked. If not, the policy must also end in time.
    clearance : Deid
        How clean the file is.

    Returns
    -------
    tuple of Failure
        In the order of :data:`COMPONENTS`. Where nothing beyond own storage is permitted
        only ``reach`` is named: the rest says nothing then.
    """
    if grant.reach is Reach.OWN:
        return (Failure("reach", policy.reach.word, Reach.OWN.word),)
    found: list[Failure] = []
    if policy.reach > grant.reach:
        found.append(Failure("reach", policy.reach.word, grant.reach.word))
    # a set that is empty lies below every other: named nothing, permitted nothing
    if not policy.use or not grant.use or not policy.use <= grant.use:
        found.append(Failure("use", str(policy.use), str(grant.use)))
    if not policy.region or not grant.region or not policy.region <= grant.region:
        found.append(Failure("region", region_text(policy.region), region_text(grant.region)))
    if not policy.duty >= grant.duty:
        found.append(Failure("duty", _duties(policy.duty), _duties(grant.duty)))
    if (late := _until(policy, grant, at, recall)) is not None:
        found.append(late)
    needed = max(policy.deid or Deid.IDENTIFIABLE, grant.deid or Deid.IDENTIFIABLE)
    if clearance < needed:
        found.append(Failure("deid", clearance.word, needed.word))
    return tuple(found)


def _until(policy: Grant, grant: Grant, at: date, recall: bool) -> Failure | None:
    if grant.until is None:
        return None
    permitted = f"before {grant.until}"
    if grant.until <= at:
        return Failure("until", f"on {at}", permitted)
    if recall:
        return None
    if policy.until is None:
        return Failure("until", "for ever (it cannot be recalled)", permitted)
    if policy.until > grant.until:
        return Failure("until", f"before {policy.until} (it cannot be recalled)", permitted)
    return None


def _duties(duty: frozenset[str]) -> str:
    return ", ".join(sorted(duty & DUTIES)) or "nothing"
