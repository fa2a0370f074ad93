"""One command at a time, and nothing left behind by a killed one.

A lock is an ``flock`` on a file below ``.git/mrishare/``: the kernel releases it
when the last process that holds it is gone, child processes included, so that a
killed command's git-annex is waited for and never worked against.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import Busy
from .lending import take_back


@contextmanager
def lock(path: Path, what: str, *, wait: float = 3600.0) -> Iterator[int]:
    """Hold ``path`` exclusively; queue behind others for at most ``wait`` seconds.

    Yields the file descriptor: pass it to long-running children.

    Raises
    ------
    Busy
        When another process still holds it after ``wait`` seconds.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _acquire(fd, what, wait)
        yield fd
    finally:
        os.close(fd)


def _acquire(fd: int, what: str, wait: float) -> None:
    deadline = time.monotonic() + wait
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except OSError as exc:
            if exc.errno not in (errno.EAGAIN, errno.EACCES):
                raise
        if time.monotonic() >= deadline:
            raise Busy(
                f"another command still works on {what} after {wait:.0f} seconds",
                remedy="Wait for it to end, then run this again",
            )
        time.sleep(0.2)


def sweep_stale_locks(gitdir: Path) -> list[Path]:
    """Remove git's ``*.lock`` files below ``gitdir`` that no living process holds open.

    git keeps a lock file open while it writes it; after a kill it stays behind and blocks
    every later command. Call this only while holding our own lock on the repository.
    """
    left = _locks(gitdir)
    if not left:
        return []
    if not Path("/proc/self/fd").exists():  # we cannot tell whose they are
        return []
    time.sleep(0.5)  # a lock about to be renamed by its living owner is closed already
    held = _open_files()
    swept = [p for p in left if p.exists() and os.path.realpath(p) not in held]
    for path in swept:
        path.unlink(missing_ok=True)
    return swept


def sweep_after_kill(gitdir: Path, worktree: Path) -> list[Path]:
    """The same in a repository where others work, too: only while no git runs there.

    ``git commit`` closes its lock and keeps it while its editor is open.
    """
    sweep_handed_over(gitdir, worktree)
    if not _locks(gitdir) or _git_runs_in(worktree):
        return []
    return sweep_stale_locks(gitdir)


def _locks(gitdir: Path) -> list[Path]:
    """Files by which a git, living or killed, keeps others away."""
    names = ("*.lock", "packed-refs.new", "refs/**/*.lock", "annex/*.lock")
    return [path for name in names for path in gitdir.glob(name) if path.is_file()]


def sweep_handed_over(gitdir: Path, worktree: Path) -> None:
    """Remove what a killed git-annex was handing to rsync, while no git runs there.

    A second link to content makes ``git annex fsck`` take it for an unlocked file and let it be
    written to, and outlives it when it is dropped.
    """
    left = [*gitdir.glob("annex/tmp/rsynctmp.*")]
    if left and not _git_runs_in(worktree):
        for directory in left:
            take_back(directory)


def _git_runs_in(directory: Path) -> bool:
    """Whether a git process works below ``directory``, or one does that we cannot look at."""
    inside = os.path.join(os.path.realpath(directory), "")
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if not (process / "comm").read_text().startswith("git"):
                continue
            if os.path.join(os.readlink(process / "cwd"), "").startswith(inside):
                return True
        except PermissionError:
            return True
        except OSError:  # it has ended meanwhile
            continue
    return False


def _open_files() -> set[str]:
    """Paths that processes of this machine hold open."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            for fd in (process / "fd").iterdir():
                found.add(os.path.realpath(fd))
        except OSError:
            continue
    return found
