"""Everything that can be refused is refused before the first byte moves, all at once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from ..repo.ownstorage import OwnStorage
from ..repo.release import Address, ReleaseRepository
from ..repo.remotes import destinations, local_path, remotes
from ..repo.room import free_bytes
from .plans import Action, Plan, Room
from .policies import Policy, format_size
from .registry import uncommitted
from .reports import ProblemReport
from .snapshot import Snapshot


def room_at(policy: Policy, place: Path | None, budget: int | None) -> Room:
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
    there = local_path(address.url, repo)
    for name, urls in destinations(repo).items():
        places = [local_path(url, repo) for url in urls]
        if address.url in urls or any(there and p and _same(p, there) for p in places):
            found.add(name)
    return sorted(found)


def _same(a: Path, b: Path) -> bool:
    return os.path.realpath(a).removesuffix("/.git") == os.path.realpath(b).removesuffix("/.git")


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
