"""Putting everything back as it was when a registration could not be completed.

:func:`remember` notes what is there before the first write, :meth:`Before.restore`
brings it back: every file with its bytes, mode and time of change, the repository with
its HEAD, index and configuration. Content that git-annex took is moved back, so that
undoing needs no room.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import stat
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import RepoError
from ..repo.ingest import is_annex, set_presence
from ..repo.keys import find_object
from ..repo.process import git
from ..repo.worktree import Checkout
from .inventory import Inventory, Item, annex_key
from .layout import OUR_DIRECTORIES, OUR_FILES

# what `git annex init` changes in a repository, relative to its common directory
_GIT_FILES = ("config", "info/attributes")


@dataclass(frozen=True)
class GitBefore:
    """A repository as it was; ``keys`` are those whose content was there already."""

    checkout: Checkout
    head: str | None
    index: bytes | None
    files: dict[str, bytes | None]
    hooks: frozenset[str]
    was_annex: bool
    keys: frozenset[str]


@dataclass(frozen=True)
class Before:
    """A directory as it was before it was registered; ``git`` is None for a plain folder."""

    inventory: Inventory
    files: dict[str, bytes | None]
    git: GitBefore | None

    def restore(self) -> None:
        """Bring everything back; an interrupt has to wait until that is done."""
        with _uninterrupted():
            if self.git:
                _restore_git(self.git)
            taken = self._restore_items()
            self._restore_our_files()
            if self.git is None:
                self._refuse_to_lose_content()
                remove_tree(self.inventory.root / ".git")
            elif self.git.was_annex:
                set_presence(self.git.checkout, taken, here=False)
            else:
                _unmake_annex(self.git)
            for item in reversed(self.inventory.directories.values()):
                with contextlib.suppress(OSError):
                    os.utime(self.inventory.root / item.path, ns=(item.mtime, item.mtime))

    def _restore_items(self) -> list[str]:
        """Put files and links back; return the keys whose content left the annex."""
        root = self.inventory.root
        annexed: dict[str, list[Item]] = {}
        for item in self.inventory.items.values():
            now = _now(root, item.path)
            if now is None or now.is_link != item.is_link or now.target != item.target:
                key = annex_key(now) if now and now.is_link and not item.is_link else None
                if key:
                    annexed.setdefault(key, []).append(item)
                elif item.is_link:
                    _relink(root / item.path, item)
            elif not item.is_link and (now.mode, now.mtime) != (item.mode, item.mtime):
                _reset(root / item.path, item)
        known = self.git.keys if self.git else frozenset()
        return [key for key, items in annexed.items() if _give_back(root, key, items, known)]

    def _refuse_to_lose_content(self) -> None:
        for path in self.inventory.items:
            now = _now(self.inventory.root, path)
            if now and annex_key(now) and not self.inventory.items[path].is_link:
                raise RepoError("content could not be moved back from the annex", where=path)

    def _restore_our_files(self) -> None:
        root = self.inventory.root
        events = root / ".datalad/mrishare/events"
        for event in events.glob("*-registered.json") if events.is_dir() else ():
            name = os.fspath(event.relative_to(root))
            if name not in self.inventory.items:
                event.unlink()
        for name, content in self.files.items():
            path = root / name
            if content is None:
                path.unlink(missing_ok=True)
            elif path.read_bytes() != content:
                path.write_bytes(content)
            if name in self.inventory.items:
                _reset(path, self.inventory.items[name])
        for name in OUR_DIRECTORIES:
            if name not in self.inventory.directories:
                with contextlib.suppress(OSError):
                    (root / name).rmdir()


def remember(
    inventory: Inventory, checkout: Checkout | None, keys: frozenset[str] = frozenset()
) -> Before:
    """What is there now, before anything is written.

    ``keys`` are the keys of an existing annex: their content stays there.
    """
    files = {name: _content(inventory.root / name) for name in OUR_FILES}
    if checkout is None:
        return Before(inventory, files, None)
    common = _common(checkout)
    hooks = frozenset(os.listdir(common / "hooks")) if (common / "hooks").is_dir() else frozenset()
    before = GitBefore(
        checkout,
        checkout.head(),
        _content(checkout.gitdir / "index"),
        {name: _content(common / name) for name in _GIT_FILES},
        hooks,
        is_annex(checkout.path),
        keys,
    )
    return Before(inventory, files, before)


def remove_tree(path: Path) -> None:
    """Remove a directory tree, write-protected annex objects included.

    Only directories are made writable: a file may be a hard link to one elsewhere.
    """
    if not path.is_dir() or path.is_symlink():
        path.unlink(missing_ok=True)
        return
    for directory, _, _ in os.walk(path):
        os.chmod(directory, 0o700)
    shutil.rmtree(path)


def _restore_git(before: GitBefore) -> None:
    checkout = before.checkout
    now = checkout.head()
    if now != before.head:
        change = ("-d", "HEAD") if before.head is None else ("HEAD", before.head)
        git(checkout.path, "update-ref", "-m", "registration undone", *change)
    index = checkout.gitdir / "index"
    (checkout.gitdir / "index.lock").unlink(missing_ok=True)
    if before.index is None:
        index.unlink(missing_ok=True)
    elif _content(index) != before.index:
        index.write_bytes(before.index)


def _unmake_annex(before: GitBefore) -> None:
    """Take away what ``git annex init`` made in a repository that had no annex."""
    common = _common(before.checkout)
    if not is_annex(before.checkout.path):
        return
    remove_tree(common / "annex")
    remove_tree(common / "refs/annex")
    git(before.checkout.path, "update-ref", "-d", "refs/heads/git-annex")
    for name, content in before.files.items():
        if content is None:
            (common / name).unlink(missing_ok=True)
        else:
            (common / name).write_bytes(content)
    if (common / "hooks").is_dir():
        for name in set(os.listdir(common / "hooks")) - before.hooks:
            (common / "hooks" / name).unlink()


def _give_back(root: Path, key: str, items: list[Item], known: frozenset[str]) -> bool:
    """Content of ``key`` to where it was; return whether the annex gave it away."""
    content = find_object(root / ".git/annex/objects", key)
    if content is None:
        return False
    stays = key in known
    for number, item in enumerate(items, start=1):
        target = root / item.path
        if stays or number < len(items):
            temporary = target.with_name(f".mrishare-undo-{number}")
            shutil.copyfile(content, temporary)
            os.rename(temporary, target)
        else:
            os.chmod(content.parent, 0o700)
            os.rename(content, target)
            with contextlib.suppress(OSError):
                content.parent.rmdir()
        _reset(target, item)
    return not stays


def _now(root: Path, path: str) -> Item | None:
    full = root / path
    try:
        seen = os.lstat(full)
    except OSError:
        return None
    target = os.readlink(full) if stat.S_ISLNK(seen.st_mode) else ""
    return Item(path, seen.st_mode, seen.st_size, seen.st_mtime_ns, target)


def _reset(path: Path, item: Item) -> None:
    os.chmod(path, stat.S_IMODE(item.mode))
    os.utime(path, ns=(item.mtime, item.mtime))


def _relink(path: Path, item: Item) -> None:
    temporary = path.with_name(".mrishare-undo-link")
    os.symlink(item.target, temporary)
    os.utime(temporary, ns=(item.mtime, item.mtime), follow_symlinks=False)
    os.rename(temporary, path)


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def _common(checkout: Checkout) -> Path:
    named = git(checkout.path, "rev-parse", "--git-common-dir").decode().rstrip("\n")
    return checkout.path / named


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    earlier = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, earlier)
