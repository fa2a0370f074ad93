"""Lending annexed objects to the release repository, and taking them back.

An object is lent as a hard link where it is write-protected, so that nothing can be
changed through it; else as a copy (a reflink where the file system can). Mode, inode
and times of the steward's object stay as they are: only directories of the borrower
are ever changed.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import signal
import stat
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from ..errors import RepoError

#: bytes that stay free when a copy was made: git and git-annex write beside it
MARGIN = 1 << 20
_WRITABLE = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH


class NoRoom(RepoError):
    """There is no room for a copy."""


def lend(source: Path, borrowed: Path) -> None:
    """Make the content of ``source`` available at ``borrowed``.

    Raises
    ------
    NoRoom
        When there is no room for a copy.
    RepoError
        When it cannot be copied for another reason.
    """
    temporary = borrowed.with_name(".lending")
    try:
        if borrowed.exists():
            return
        borrowed.parent.mkdir(parents=True, exist_ok=True)
        # annex.thin and unlocked files: the object can be written to, a link would be, too
        if not source.stat().st_mode & _WRITABLE:
            with contextlib.suppress(OSError):
                os.link(source, borrowed)
                return
        _copy(source, temporary)
        os.rename(temporary, borrowed)
    except OSError as exc:
        with contextlib.suppress(OSError):
            temporary.unlink()
        full = exc.errno in (errno.ENOSPC, errno.EDQUOT)
        raise (NoRoom if full else RepoError)(
            f"content cannot be lent to the release repository: {exc.strerror}",
            where=str(source),
            remedy="Make room on this file system and run this again"
            if full
            else f"Look at {borrowed.parent} and at what may be done there",
        ) from exc


def _copy(source: Path, target: Path) -> None:
    """Copy by reference where the file system can, else as far as there is room."""
    words = ("--preserve=timestamps", os.fspath(source), os.fspath(target))
    if shutil.which("cp") and _succeeds("cp", "--reflink=always", *words):
        return
    # a disk that is full to the brim takes no word of git-annex about what was sent
    if shutil.disk_usage(target.parent).free < source.stat().st_size + MARGIN:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if shutil.which("cp"):
        code = subprocess.run(("cp", *words), capture_output=True, check=False).returncode
        if code in (-signal.SIGINT, 128 + signal.SIGINT):
            raise InterruptedError(errno.EINTR, os.strerror(errno.EINTR))
        if code == 0:
            return
    shutil.copyfile(source, target)


def _succeeds(*argv: str) -> bool:
    return subprocess.run(argv, capture_output=True, check=False).returncode == 0


class Lender:
    """Lends one key after the other as they are asked for, and says how far that went.

    Who sends asks from a thread of its own, so that one key is lent while another is on its way.

    Parameters
    ----------
    lend : callable
        Lends a key or raises :class:`~datalad_mrishare.errors.RepoError`.
    """

    def __init__(self, lend: Callable[[str], None]):
        self._lend, self._at_work, self._ended = lend, threading.Lock(), False
        self._last = time.monotonic()
        self.count = 0
        self.error: BaseException | None = None

    def __call__(self, keys: Iterable[str]) -> Iterator[str]:
        """The keys in their order, each as soon as it is lent; they end with the first error."""
        for key in keys:
            with self._at_work:
                if self._ended:
                    return
                try:
                    self._lend(key)
                except BaseException as exc:  # in a thread: who sends raises it
                    self.error = exc
                    return
                self.count += 1
                self._last = time.monotonic()
            yield key

    def busy(self, seconds: float) -> bool:
        """Whether something is being lent, or was within the last ``seconds``."""
        return self._at_work.locked() or time.monotonic() - self._last < seconds

    def end(self) -> None:
        """Nothing is lent any more from now on, and what was begun is at its end."""
        self._ended = True
        with self._at_work:
            pass


def take_back_one(borrowed: Path) -> None:
    """Remove one that was lent, and the directory of its key, while others are being lent."""
    with contextlib.suppress(OSError):
        os.chmod(borrowed.parent, 0o700)
        os.unlink(borrowed)
        os.rmdir(borrowed.parent)


def take_back(objects: Path) -> None:
    """Remove everything lent below ``objects``.

    A hard link shares its mode with the steward's object, so only directories are made
    writable, never files.
    """
    if objects.is_symlink() or not objects.is_dir():  # what a link leads to was never lent
        return
    for directory, _, files in os.walk(objects):
        if files:
            os.chmod(directory, 0o700)
            for name in files:
                Path(directory, name).unlink(missing_ok=True)
    for directory, _, _ in os.walk(objects, topdown=False):
        with contextlib.suppress(OSError):
            os.rmdir(directory)
