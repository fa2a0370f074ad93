"""Registering what is at a place: look, set up, add, commit, index, record."""

from __future__ import annotations

import os
import platform
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .. import __version__
from ..errors import InputError, RepoError
from ..repo.annexbranch import metadata_changes, read_logs, refresh, write_metadata
from ..repo.events import DIRECTORY, event_file
from ..repo.ingest import (
    add_files,
    commit_index,
    ignored_files,
    init_annex,
    is_annex,
    refresh_index,
)
from ..repo.process import annex
from ..repo.trees import read_tree
from ..repo.worktree import Checkout
from . import place
from .bids import is_bids_tree
from .census import (
    Census,
    Known,
    files_of_checkout,
    files_of_commit,
    read_known,
    take_census,
)
from .fields import OWNED, wanted_fields
from .findings import Finding, Kind, Progress
from .inventory import Inventory, take_inventory
from .layout import ATTRIBUTES, has_our_rules, set_up
from .undo import remember


@dataclass(frozen=True)
class Report:
    """What a registration found and did.

    ``added`` are the paths that were (on a dry run: would be) added; ``counts`` has
    files, annexed, in_git, absent, participants, and bytes of content that is here;
    ``changed`` tells whether anything was (would be) committed; ``event`` is the path of
    its record, ``locked`` the remotes that were locked.
    """

    path: Path
    findings: tuple[Finding, ...]
    added: tuple[str, ...]
    counts: dict[str, int]
    changed: bool
    event: str | None = None
    locked: tuple[str, ...] = ()


@dataclass(frozen=True)
class View:
    """A place as it is before anything is written."""

    path: Path
    inventory: Inventory
    known: Known
    census: Census
    needed: bool
    plain: bool = True
    findings: tuple[Finding, ...] = ()

    def report(self) -> Report:
        """What there is, when nothing is done about it."""
        new = tuple(f.path for f in self.census.files if f.is_new)
        findings = (*self.findings, *self.inventory.findings, *self.census.findings)
        return Report(self.path, findings, new, self.census.counts, self.needed)


@dataclass(frozen=True)
class Source:
    """Where the files came from (goes into the event), and what was found there."""

    details: dict[str, str] = field(default_factory=lambda: {"kind": "in place"})
    findings: tuple[Finding, ...] = ()


def look(path: Path, source: Source, progress: Progress, *, dry_run: bool = False) -> View:
    """Read everything that a registration needs to know.

    On a dry run nothing at all is written, not even what git-annex keeps in its journal.

    Raises
    ------
    InputError
        When it cannot be registered.
    """
    plain = not place.has_repository(path)
    known = Known() if plain else read_known(Checkout(path), settled=not dry_run)
    if known.changes.conflicts:
        raise InputError(
            f"{len(known.changes.conflicts)} files have merge conflicts",
            where=os.fspath(path),
            remedy="Resolve and commit them, then run this again",
        )
    inventory = take_inventory(path, known.subdatasets)
    place.check_our_files(path)
    require_bids(path, [*inventory.items, *inventory.kept])
    files = files_of_checkout(inventory, known, plain=plain)
    census = take_census(files, known, place.reader(path), progress)
    needed = plain or _is_needed(path, inventory, known, census)
    return View(path, inventory, known, census, needed, plain, source.findings)


def require_bids(path: Path, names: Iterable[str]) -> None:
    """Refuse a tree that is not BIDS at all; an empty one is fine."""
    visible = [name for name in names if not name.startswith(".")]
    if visible and not is_bids_tree(visible):
        raise InputError(
            "is not a BIDS dataset: there is neither dataset_description.json nor a directory"
            " sub-* with files",
            where=os.fspath(path),
            remedy="Give the directory that has them, or convert the data to BIDS first",
        )


def _is_needed(path: Path, inventory: Inventory, known: Known, census: Census) -> bool:
    """Whether there is anything left to do in a repository."""
    events = (p for p in known.tracked if p.startswith(f"{DIRECTORY}/"))
    if not any(p.endswith("-registered.json") for p in events) or place.began(path):
        return True
    if known.changes.staged or not inventory.items.keys().isdisjoint(known.changes.to_add):
        return True
    if not is_annex(path) or set_up(place.our_files(path), has_annex=True):
        return True
    return bool(_index_changes(census, known))


def _index_changes(census: Census, known: Known) -> dict[str, str]:
    files = [(f.path, f.key) for f in census.files if f.key]
    wanted = wanted_fields(files, known.logs.metadata, census.headers)
    return metadata_changes(known.logs, wanted, OWNED)


def act(
    checkout: Checkout,
    view: View,
    source: Source,
    progress: Progress,
    also_undo: Callable[[], None] = lambda: None,
) -> Report:
    """Do what ``view`` shows to be needed, or put everything back.

    ``also_undo`` is called after our own changes were undone.
    """
    # a repository that was not there when we looked is ours, and goes when we fail
    keys = frozenset(view.known.logs.locations)
    memory = remember(view.inventory, None if view.plain else checkout, keys)

    def put_back() -> None:
        memory.restore()
        also_undo()

    with undone(put_back):
        return _act(checkout, view, source, progress)


def _act(checkout: Checkout, view: View, source: Source, progress: Progress) -> Report:
    _set_up(checkout)
    new = [f.path for f in view.census.files if f.is_new]
    done = 0

    def count() -> None:
        nonlocal done
        done += 1
        progress("adding", min(done, len(new)), len(new))

    attributes = (checkout.path / ATTRIBUTES).read_bytes()
    add_files(checkout, new, dotfiles=has_our_rules(attributes), each=count)
    committed = commit_index(checkout, f"Register {len(new)} files")
    head = checkout.head()
    assert head is not None
    files = files_of_commit(
        checkout.path, checkout.gitdir / "annex/objects", read_tree(checkout.path, head)
    )
    after = Census(tuple(files), view.census.headers, view.census.findings)
    refresh(checkout.path, checkout.identity)
    logs = read_logs(checkout.path, locations=False)
    changes = _index_changes(after, Known(logs=logs))
    write_metadata(checkout.path, changes, logs, checkout.identity)
    findings = (*view.report().findings, *_ignored(checkout))
    added = tuple(new) if committed else ()
    event, content = event_file("registered", _details(source, after.counts, len(added), findings))
    checkout.commit_files({event: content}, "Record the registration")
    refresh_index(checkout.path)
    place.unmark(checkout)
    return Report(checkout.path, findings, added, after.counts, True, event)


def _set_up(checkout: Checkout) -> None:
    """Rules, identity and a first commit, then the annex.

    git-annex starts four processes a file where there is no commit yet.
    """
    began = place.began(checkout.path)
    has_annex = is_annex(checkout.path) and began in (None, "clone")
    there = place.our_files(checkout.path)
    changed = set_up(there, has_annex=has_annex)
    wanted = {**{n: c for n, c in there.items() if c is not None}, **changed}
    if checkout.head() is None:
        checkout.commit_files(wanted, "Set up the dataset")
    elif changed:
        checkout.commit_files(changed, "Set up the dataset")
    init_annex(checkout)


def _ignored(checkout: Checkout) -> list[Finding]:
    paths = ignored_files(checkout.path)
    if not paths:
        return []
    return [
        Finding(
            Kind.IGNORED,
            paths[0],
            f"git is told to ignore {len(paths)} files or directories, they were not added",
            "See which: git status --ignored; change .gitignore and register again if they belong",
        )
    ]


def _details(
    source: Source, counts: dict[str, int], added: int, findings: Iterable[Finding]
) -> dict[str, Any]:
    return {
        "source": source.details,
        "counts": {**counts, "added": added},
        "findings": dict(Counter(f.kind.value for f in findings)),
        "versions": _versions(),
    }


def _versions() -> dict[str, str]:
    import nibabel

    lines = annex("/", "version", "--raw").decode("ascii", "replace")
    return {
        "datalad-mrishare": __version__,
        "git-annex": lines.strip(),
        "nibabel": nibabel.__version__,
        "python": platform.python_version(),
    }


@contextmanager
def undone(put_back: Callable[[], None]) -> Iterator[None]:
    """Call ``put_back`` when the block fails, also by an interrupt.

    Raises
    ------
    RepoError
        For an operating system error in the block, or when putting back failed, too.
    """
    try:
        yield
    except BaseException as failed:
        try:
            put_back()
        except Exception as exc:
            raise RepoError(
                f"the registration failed ({failed}), and not everything could be put back ({exc})",
                remedy="No content is lost: what is missing lies in .git/annex/objects."
                " Remove the cause and run the registration again, it continues",
            ) from failed
        if isinstance(failed, OSError):
            where = os.fspath(failed.filename) if failed.filename else None
            raise RepoError(
                f"the registration failed: {failed.strerror}",
                where=where,
                remedy="Everything was put back; remove the cause and run this again",
            ) from failed
        raise
