"""Copying a plain folder file by file, and again later what is new or changed.

Links are copied as links and never followed. Files that the source has no more stay:
what a dataset holds is removed by its steward, not by a copy.
"""

from __future__ import annotations

import contextlib
import filecmp
import os
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError, RepoError
from ..repo.keys import key_of_pointer, key_size, matches_key, object_paths
from .findings import Progress
from .inventory import Inventory, Item, annex_key
from .layout import OUR_FILES

_POINTER = 32768


@dataclass(frozen=True)
class CopyPlan:
    """What of ``source`` has to be copied: ``items`` in a stable order."""

    source: Path
    items: tuple[Item, ...]

    @property
    def size(self) -> int:
        """Bytes to copy."""
        return sum(item.size for item in self.items if not item.is_link)


def plan_copy(source: Inventory, target: Inventory | None) -> CopyPlan:
    """The items of ``source`` that ``target`` has not, or has differently."""
    there = target.items if target else {}
    wanted = []
    for path, item in sorted(source.items.items()):
        other = there.get(path)
        # our files are extended there: those of the source count for the first copy only
        kept = other is not None and path in OUR_FILES
        if not kept and not (target and other and _same(source.root, item, target.root, other)):
            wanted.append(item)
    return CopyPlan(source.root, tuple(wanted))


class Copying:
    """Carries out a plan; :meth:`undo` takes it back."""

    def __init__(self, plan: CopyPlan, target: Path):
        self._plan, self._target = plan, target
        self._stash = target / ".git/mrishare/replaced"
        self._made: list[Path] = []
        self._stashed: list[tuple[Path, Path]] = []

    def run(self, progress: Progress) -> None:
        """Copy everything, each file complete or not at all.

        Raises
        ------
        InputError
            When the target has a link where the source has a directory.
        RepoError
            When a file cannot be read or written.
        """
        total = len(self._plan.items)
        for number, item in enumerate(self._plan.items, start=1):
            try:
                self._copy(item)
            except OSError as exc:
                raise RepoError(
                    f"cannot be copied: {exc.strerror}",
                    where=item.path,
                    remedy="The source is untouched and the copy was taken back;"
                    " remove the cause and run this again",
                ) from exc
            progress("copying", number, total)

    def undo(self) -> None:
        """Remove what was copied and put back what it replaced."""
        for path in reversed(self._made):
            path.unlink(missing_ok=True)
            for parent in path.parents:
                if parent == self._target:
                    break
                with contextlib.suppress(OSError):
                    parent.rmdir()
        for path, stashed in self._stashed:
            os.rename(stashed, path)
        with contextlib.suppress(OSError):
            self._stash.rmdir()

    def finish(self) -> None:
        """Forget what was replaced."""
        if self._stash.is_dir():
            shutil.rmtree(self._stash)

    def _copy(self, item: Item) -> None:
        target = self._target / item.path
        _refuse_links(self._target, item.path)
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".mrishare-copy-{os.getpid()}")
        try:
            if item.is_link:
                os.symlink(item.target, temporary)
            else:
                _copy_file(self._plan.source / item.path, temporary)
                os.chmod(temporary, stat.S_IMODE(item.mode) & 0o777 | stat.S_IRUSR | stat.S_IWUSR)
            times = (item.mtime, item.mtime)
            os.utime(temporary, ns=times, follow_symlinks=False)
            if os.path.lexists(target):
                self._stash.mkdir(parents=True, exist_ok=True)
                stashed = self._stash / str(len(self._stashed))
                os.rename(target, stashed)
                self._stashed.append((target, stashed))
            os.rename(temporary, target)
            self._made.append(target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def _copy_file(source: Path, target: Path) -> None:
    # a file that became a link meanwhile is not followed
    fd = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(fd, "rb") as reader, open(target, "xb") as writer:
        shutil.copyfileobj(reader, writer, 1 << 20)


def _refuse_links(root: Path, path: str) -> None:
    parent = root
    for name in path.split("/")[:-1]:
        parent = parent / name
        if parent.is_symlink() or (parent.exists() and not parent.is_dir()):
            raise InputError(
                "is not a directory in the copy, but it is one in the source",
                where=os.fspath(parent),
                remedy="Remove it and run this again",
            )


def _same(source: Path, item: Item, target: Path, other: Item) -> bool:
    if item.is_link or (other.is_link and annex_key(other) is None):
        return item.is_link and other.is_link and item.target == other.target
    key = annex_key(other) or _pointer_key(target, other)
    if key is None:
        if item.size != other.size:
            return False
        return item.mtime == other.mtime or filecmp.cmp(
            source / item.path, target / other.path, shallow=False
        )
    if key_size(key) != item.size:
        return False
    objects = target / ".git/annex/objects"
    for place in object_paths(key):
        with contextlib.suppress(OSError):
            if os.stat(objects / place).st_mtime_ns == item.mtime:
                return True
    return matches_key(source / item.path, key)


def _pointer_key(root: Path, item: Item) -> str | None:
    if item.size > _POINTER or not stat.S_ISREG(item.mode):
        return None
    content = (root / item.path).read_bytes()
    return key_of_pointer(content) if content.startswith(b"/annex/objects/") else None
