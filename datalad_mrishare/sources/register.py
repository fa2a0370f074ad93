"""A BIDS tree becomes a registered dataset, in place or as a copy.

Order: look (nothing is written), set up the repository and commit that, add, commit,
index headers as annex metadata, record the event. Whatever fails after the first write,
an interrupt included, is undone; what a kill leaves, the next run completes.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from ..errors import InputError, RepoError
from ..repo.ingest import create_repository
from ..repo.locks import lock, sweep_stale_locks
from ..repo.process import configured
from ..repo.trees import read_tree
from ..repo.worktree import Checkout
from . import cloning, place
from .census import Known, files_of_checkout, files_of_commit, take_census
from .copying import Copying, plan_copy
from .findings import Progress, no_progress
from .inplace import Report, Source, View, act, look, require_bids, undone
from .inventory import Inventory, take_inventory
from .undo import remember

__all__ = ["Report", "register"]


def register(
    path: Path,
    source: Path | None = None,
    *,
    dry_run: bool = False,
    progress: Progress = no_progress,
) -> Report:
    """Register what is at ``path``; with ``source``, copy that there first.

    Parameters
    ----------
    path : Path
        The dataset to be: a plain folder, a git repository or a DataLad dataset.
    source : Path, optional
        A plain folder, a git repository or a dataset; nothing is written in it.
    dry_run : bool
        Look and report, and stop before anything is written.

    Raises
    ------
    InputError
        When this cannot become a registered dataset; nothing was changed.
    RepoError
        When git or git-annex failed; everything was put back.
    """
    if source is not None and os.path.realpath(source) == os.path.realpath(path):
        source = None
    try:
        with configured(place.inert(path, source)):
            if source is None:
                place.check_target(path)
                report = _in_place(path, dry_run, progress)
            else:
                place.check_pair(source, path)
                copy = _clone if cloning.is_repository(source) else _copy
                report = copy(source, path, dry_run, progress)
            if dry_run:
                return report
            report = replace(report, locked=_lock_remotes(Checkout(path)))
        Checkout(path).settle()
        return report
    except OSError as exc:
        where = os.fspath(exc.filename) if exc.filename else os.fspath(path)
        raise RepoError(f"registration failed: {exc.strerror}", where=where) from exc


def _in_place(path: Path, dry_run: bool, progress: Progress) -> Report:
    checkout = Checkout(path)
    if place.has_repository(path):
        if dry_run:
            return look(path, Source(), progress, dry_run=True).report()
        with lock(checkout.ours / "lock", os.fspath(path)):
            sweep_stale_locks(checkout.gitdir)
            return _complete(checkout, Source(), progress)
    view = look(path, Source(), progress)
    if dry_run:
        return view.report()
    with undone(remember(view.inventory, None).restore):
        create_repository(path)
        place.mark(checkout, "folder")
    with lock(checkout.ours / "lock", os.fspath(path)):
        return act(checkout, view, Source(), progress)


def _complete(checkout: Checkout, source: Source, progress: Progress) -> Report:
    """Register a repository that is there, perhaps registered already."""
    view = look(checkout.path, source, progress)
    for path in view.inventory.leftovers:
        (checkout.path / path).unlink()
    return act(checkout, view, source, progress) if view.needed else view.report()


def _copy(source: Path, path: Path, dry_run: bool, progress: Progress) -> Report:
    inventory = take_inventory(source)
    require_bids(source, [*inventory.items, *inventory.kept])
    fresh, existed = place.is_fresh(path), path.is_dir()
    target = take_inventory(path) if existed else None
    plan = plan_copy(inventory, target)
    if dry_run:
        files = files_of_checkout(inventory, Known(), plain=True)
        census = take_census(files, Known(), place.reader(source), progress)
        report = View(path, inventory, Known(), census, bool(plan.items)).report()
        return replace(report, added=tuple(item.path for item in plan.items))
    came_from = Source({"kind": "folder", "path": os.fspath(source)}, tuple(inventory.findings))
    copying = Copying(plan, path)

    def take_back() -> None:
        if fresh:
            place.clear(path, keep=existed)
        else:
            copying.undo()

    with undone(take_back):
        checkout = _begin(path, "copy") if fresh else Checkout(path)
        with lock(checkout.ours / "lock", os.fspath(path)):
            sweep_stale_locks(checkout.gitdir)
            copying.run(progress)
            report = _complete(checkout, came_from, progress)
            copying.finish()
            return report


def _clone(source: Path, path: Path, dry_run: bool, progress: Progress) -> Report:
    opened = cloning.open_source(source)
    entries = read_tree(source, opened.commit)
    require_bids(source, [e.path for e in entries])
    found = tuple(cloning.check_source(opened))
    if not place.is_fresh(path):
        place.check_is_copy(opened, path)
        return _in_place(path, dry_run, progress)
    if dry_run:
        files = files_of_commit(source, opened.objects, entries, new=True)
        census = take_census(files, Known(), place.reader(source, entries), progress)
        return View(path, Inventory(path), Known(), census, True, True, found).report()
    details = {"kind": "repository", "path": os.fspath(source), "commit": opened.commit}
    existed = path.is_dir()
    with undone(lambda: place.clear(path, keep=existed)):
        checkout = _begin(path, "clone")
        with lock(checkout.ours / "lock", os.fspath(path)):
            sweep_stale_locks(checkout.gitdir)
            corrupt = cloning.clone(opened, checkout, progress)
            return _complete(checkout, Source(details, (*found, *corrupt)), progress)


def _begin(path: Path, what: str) -> Checkout:
    path.mkdir(parents=True, exist_ok=True)
    checkout = create_repository(path)
    place.mark(checkout, what)
    return checkout


def _lock_remotes(checkout: Checkout) -> tuple[str, ...]:
    """Lock every remote that no policy declares."""
    from ..repo.gates import lock_undeclared

    return tuple(lock_undeclared(checkout, _declared(checkout.path)))


def _declared(path: Path) -> Collection[str]:
    file = path / ".datalad/mrishare/siblings.yaml"
    if not file.is_file():
        return ()
    import yaml

    try:
        content = yaml.safe_load(file.read_bytes())
    except yaml.YAMLError as exc:
        raise InputError(
            "is not valid YAML", where=os.fspath(file), remedy="Correct it and run this again"
        ) from exc
    siblings = content.get("siblings") if isinstance(content, dict) else None
    return tuple(siblings) if isinstance(siblings, dict) else ()
