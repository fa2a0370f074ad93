"""Everything that can be refused is refused before the first byte moves, all at once."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import date
from pathlib import Path

from ..repo.address import Address
from ..repo.annexbranch import max_sizes, remote_configs
from ..repo.contentonly import is_content_only, storage_places
from ..repo.filestore import FileStore
from ..repo.keys import key_size
from ..repo.ownstorage import OwnStorage
from ..repo.release import ReleaseRepository
from ..repo.remotes import destinations, place_of, remotes, same_place
from ..repo.room import filesystem, free_bytes
from ..repo.store import Store
from ..repo.worktree import Checkout
from .planning import Options, Promised
from .plans import NO_ROOM, Action, Plan, Room
from .policies import Policy, format_size
from .registry import uncommitted
from .reports import ProblemReport
from .snapshot import Snapshot
from .storage import ENCRYPT, IN_FILES, storage_of, unencrypted


def room_at(
    policy: Policy, store: FileStore, present: Collection[str], options: Options, state: Snapshot
) -> Room:
    """What the sibling can take of the dataset: all limits that are known.

    ``present`` are the keys that it has.
    """
    budgets = [b for b in (options.budget, policy.budget) if b is not None]
    place = store.content_place
    free = free_bytes(place, fresh=True) if place is not None else None
    if place is not None and free is not None and options.promised:
        free = max(0, free - options.promised.get(filesystem(place), 0))
    uuid = store.known_uuid() or ""
    settings = remote_configs(store.repo).get(uuid, {})
    repos = {state.checkout.path, store.repo}
    limits = [sizes[uuid] for sizes in map(max_sizes, repos) if uuid in sizes]
    there = sum(key_size(k) or 0 for k in present) if limits else 0
    return Room(
        min(budgets) if budgets else None,
        free,
        policy.reserve + _git_half(policy, store, state),
        min(limits) - there if limits else None,
        storage_of(settings, on_disk=free is not None),
    )


#: bytes that a push of hardly anything takes, and those that each file adds
_PUSH, _FILE = 1_000_000, 1000


def _git_half(policy: Policy, store: FileStore, state: Snapshot) -> int:
    """Bytes to keep for what follows the content: branches, files in git that lie there."""
    files = 0
    if store.of_files:
        there = {entry.path for entry in store.exported()}
        new = (e.size for e in state.entries if e.is_file and not e.key and e.path not in there)
        files = sum(IN_FILES.disk(size) for size in new)
    if policy.own and is_content_only(store.url or None):
        return files
    return _PUSH + len(state.entries) * _FILE + files


def promise(store: Store, plan: Plan, promised: Promised) -> None:
    """Note what a plan that is only shown would take of a file system.

    Plans that are carried out one after the other find that gone when they measure.
    """
    if store.content_place is not None:
        where = filesystem(store.content_place)
        promised[where] = promised.get(where, 0) + plan.takes


def problems(
    state: Snapshot,
    policy: Policy,
    store: OwnStorage | ReleaseRepository,
    plan: Plan,
    options: Options,
) -> list[ProblemReport]:
    """All reasons to refuse the whole publication."""
    return [
        *standing_problems(state.checkout, store, policy, options.at),
        *_room(policy, plan, options.elsewhere),
    ]


def standing_problems(
    checkout: Checkout, store: OwnStorage | ReleaseRepository, policy: Policy, day: date
) -> list[ProblemReport]:
    """Reasons that lie in this clone and the policy, not in what is to be published."""
    found = list(_registry(checkout))
    if isinstance(store, ReleaseRepository):
        found += _open_doors(checkout, store)
    found += _promises(policy, store, day)
    return found


def _registry(checkout: Checkout) -> Iterator[ProblemReport]:
    for path in uncommitted(checkout).paths:
        yield ProblemReport(
            "has changes that are not committed, and what is not committed is not heeded",
            path,
            f"Commit it (datalad save {path}) or undo it, then run this again",
        )


def _promises(policy: Policy, store: Store, day: date) -> Iterator[ProblemReport]:
    """What the policy promises beside the grant, and is not so."""
    where = f"sibling '{policy.name}'"
    if policy.dua is not None and (lapsed := policy.dua.lapse(day)):
        yield ProblemReport(
            lapsed,
            where,
            "Write the agreement that holds into its policy, dua: {reference: TEXT, until: DATE},"
            f" and declare it: datalad mrishare-sibling {policy.name} --policy FILE",
            sending=True,
        )
    if policy.encryption:
        settings = remote_configs(store.repo).get(store.known_uuid() or "", {})
        if readable := unencrypted(settings, beside_git=not is_content_only(store.url or None)):
            yield ProblemReport(readable, where, ENCRYPT, sending=True)


def _open_doors(checkout: Checkout, store: ReleaseRepository) -> Iterator[ProblemReport]:
    """Remotes of the steward's repository that lead to the shared sibling."""
    uuid = store.known_uuid()
    same = {n for n, remote in remotes(checkout.path).items() if uuid and remote.uuid == uuid}
    for name in sorted(same.union(leading_to(store.address, checkout.path))):
        yield ProblemReport(
            "leads from this dataset to a sibling that is shared, past the release repository",
            f"remote '{name}'",
            f"Remove it: git remote remove {name}",
        )


def leading_to(address: Address, repo: Path) -> list[str]:
    """Remotes of ``repo`` that fetch from, push to or store content at ``address``."""
    uuid = address.storage["uuid"] if address.storage else None
    found = {n for n, remote in remotes(repo).items() if uuid and remote.uuid == uuid}
    places = [address.place(repo), address.storage_place(repo)]
    there = [place for place in places if place is not None]
    for name, place in storage_places(remotes(repo), repo).items():
        if any(same_place(place, other) for other in there):
            found.add(name)
    for name, urls in destinations(repo).items():
        led = [end for url in urls if (end := place_of(url, repo))]
        if address.url in urls or any(same_place(p, other) for p in led for other in there):
            found.add(name)
    return sorted(found)


def _room(policy: Policy, plan: Plan, elsewhere: int) -> Iterator[ProblemReport]:
    if plan.room is None:
        yield ProblemReport(
            "nobody knows how much room is there",
            f"sibling '{policy.name}'",
            "Say how much it may hold: --budget SIZE",
            sending=True,
        )
        return
    waiting = [u for u in plan.units if u.action is Action.DEFER and u.why == NO_ROOM]
    going = any(u.action is not Action.DEFER for u in plan.units)
    least = min((u.takes for u in waiting), default=0)
    if waiting and not going and least > plan.room + elsewhere:
        yield ProblemReport(
            f"there is room for {format_size(plan.room)}, the smallest unit needs"
            f" {format_size(least)}",
            f"sibling '{policy.name}'",
            "Make room there, or raise the limit: the --budget, the policy's `budget` or `reserve`,"
            " git-annex's maxsize",
            sending=True,
        )


def new_root_problems(policy: Policy, store: FileStore) -> list[ProblemReport]:
    """Why the history of a sibling cannot be begun afresh."""
    where = f"sibling '{policy.name}'"
    if policy.own:
        what = "is own storage, and that keeps the whole history of the dataset"
        return [ProblemReport(what, where, "Leave out --new-root")]
    if store.of_files:
        what = "holds files under their own names, and git-annex notes there what it put where"
        remedy = f"Make another sibling: datalad mrishare-sibling {policy.name}2 --policy PRESET"
        return [ProblemReport(what, where, remedy)]
    return []
