"""Everything that can be refused is refused before the first byte moves, all at once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ..repo.contentonly import local_settings, storage_place
from ..repo.ownstorage import OwnStorage
from ..repo.release import Address, ReleaseRepository
from ..repo.remotes import Place, destinations, place_of, remotes, same_place
from ..repo.room import free_bytes
from .plans import Action, Plan, Room
from .policies import Policy, format_size
from .registry import uncommitted
from .reports import ProblemReport
from .snapshot import Snapshot


def room_at(policy: Policy, place: Place | None, budget: int | None) -> Room:
    """What the sibling can take: the smaller of all limits that are known."""
    budgets = [b for b in (budget, policy.budget) if b is not None]
    free = free_bytes(place) if place is not None else None
    return Room(min(budgets) if budgets else None, free, policy.reserve)


def problems(
    state: Snapshot,
    policy: Policy,
    store: OwnStorage | ReleaseRepository,
    plan: Plan,
    budget: int | None,
) -> list[ProblemReport]:
    """All reasons to refuse the whole publication."""
    found = list(_registry(state))
    if isinstance(store, ReleaseRepository):
        found += _open_doors(state, store)
    found += _room(policy, plan)
    return found


def _registry(state: Snapshot) -> Iterator[ProblemReport]:
    for path in uncommitted(state.checkout).paths:
        yield ProblemReport(
            "has changes that are not committed, and what is not committed is not heeded",
            path,
            f"Commit it (datalad save {path}) or undo it, then run this again",
        )


def _open_doors(state: Snapshot, store: ReleaseRepository) -> Iterator[ProblemReport]:
    """Remotes of the steward's repository that lead to the shared sibling."""
    for name in leading_to(store.address, state.checkout.path):
        yield ProblemReport(
            "leads from this dataset to a sibling that is shared, past the release repository",
            f"remote '{name}'",
            f"Remove it: git remote remove {name}",
        )


def leading_to(address: Address, repo: Path) -> list[str]:
    """Remotes of ``repo`` that fetch from, push to or store content at ``address``."""
    uuid = address.storage["uuid"] if address.storage else None
    found = {n for n, remote in remotes(repo).items() if uuid and remote.uuid == uuid}
    there = address.place(repo)
    for name, remote in remotes(repo).items():
        place = storage_place(local_settings(remote), repo)
        if there and place and same_place(place, there):
            found.add(name)
    for name, urls in destinations(repo).items():
        places = [place_of(url, repo) for url in urls]
        if address.url in urls or any(there and p and same_place(p, there) for p in places):
            found.add(name)
    return sorted(found)


def _room(policy: Policy, plan: Plan) -> Iterator[ProblemReport]:
    if plan.room is None:
        yield ProblemReport(
            "nobody knows how much room is there",
            f"sibling '{policy.name}'",
            "Say how much it may hold: --budget SIZE",
        )
        return
    waiting = [u for u in plan.units if u.action is Action.DEFER and u.why == "no room there"]
    going = any(u.action is not Action.DEFER for u in plan.units)
    if waiting and not going:
        least = min(u.new for u in waiting)
        yield ProblemReport(
            f"there is room for {format_size(plan.room)}, the smallest unit needs"
            f" {format_size(least)}",
            f"sibling '{policy.name}'",
            "Make room there, or give a larger --budget",
        )
