"""The steward's own checkout: where it is, who commits, and committing a few files.

Our own files are committed without touching what the user has staged: the commit
is built on a temporary index from HEAD, and only our paths are brought up to date
in the real one.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ..errors import RepoError
from .keys import key_of_pointer, key_size
from .process import annex, git, git_succeeds, git_text
from .trees import FILE, POINTER_LIMIT, Entry, decode, encode


@dataclass(frozen=True)
class Checkout:
    """A git-annex repository with a working tree at ``path``."""

    path: Path

    @cached_property
    def gitdir(self) -> Path:
        """The repository proper (``.git``, or where a gitfile points)."""
        return Path(git_text(self.path, "rev-parse", "--absolute-git-dir"))

    @cached_property
    def objects(self) -> Path:
        """Where content lies."""
        return self.gitdir / "annex/objects"

    @cached_property
    def ours(self) -> Path:
        """``.git/mrishare``: release repositories, locks, caches. Private to this clone."""
        return self.gitdir / "mrishare"

    @cached_property
    def uuid(self) -> str:
        """annex.uuid of this clone."""
        return git_text(self.path, "config", "annex.uuid")

    @cached_property
    def identity(self) -> dict[str, str]:
        """Environment for commits: empty when git knows the user, else a stand-in."""
        if git_succeeds(self.path, "var", "GIT_COMMITTER_IDENT", env={"GIT_EDITOR": ":"}) and (
            git_succeeds(self.path, "config", "user.email") or "GIT_COMMITTER_EMAIL" in os.environ
        ):
            return {}
        return {
            "GIT_AUTHOR_NAME": "data steward",
            "GIT_AUTHOR_EMAIL": "steward@localhost",
            "GIT_COMMITTER_NAME": "data steward",
            "GIT_COMMITTER_EMAIL": "steward@localhost",
        }

    def head(self) -> str | None:
        """The checked-out commit, or None before the first one."""
        words = ("rev-parse", "-q", "--verify", "HEAD^{commit}")
        return git_text(self.path, *words, ok=(0, 1)) or None

    def branch(self) -> str:
        """The branch that HEAD names, as ``main`` or ``adjusted/main(unlocked)``.

        Raises
        ------
        RepoError
            When a commit is checked out and no branch.
        """
        found = git_text(self.path, "symbolic-ref", "--quiet", "--short", "HEAD", ok=(0, 1))
        if not found:
            raise RepoError(
                "no branch is checked out, so nothing can be recorded",
                where=str(self.path),
                remedy="Check one out, for example: git switch main",
            )
        return found

    def plain_branch(self) -> str:
        """The branch behind an adjusted one, or the branch itself.

        >>> Checkout(Path("/"))._behind("adjusted/main(unlocked)")
        'main'
        """
        return self._behind(self.branch())

    @staticmethod
    def _behind(branch: str) -> str:
        if branch.startswith("adjusted/"):
            return branch[len("adjusted/") :].rpartition("(")[0]
        return branch

    def settle(self) -> None:
        """In an adjusted branch, carry its commits over to the branch behind it."""
        branch = self.branch()
        if branch != self._behind(branch):
            quiet = ("--no-pull", "--no-push", "--no-commit", "--no-resolvemerge", "--no-content")
            annex(self.path, "sync", *quiet, env=self.identity)

    def commit_files(self, files: Mapping[str, bytes], message: str) -> str | None:
        """Write ``files`` (path -> content) and commit exactly them.

        Returns
        -------
        str or None
            The new commit, or None when HEAD has this content already.

        Raises
        ------
        RepoError
            When the branch moved meanwhile or a path cannot be written.
        """
        head = self.head()
        oids = [
            git_text(self.path, "hash-object", "-w", "--stdin", "--no-filters", stdin=data)
            for data in files.values()
        ]
        lines = b"".join(
            f"{FILE} {oid}\t".encode("ascii") + encode(path) + b"\0"
            for path, oid in zip(files, oids, strict=True)
        )
        with tempfile.TemporaryDirectory(prefix="mrishare-") as scratch:
            env = {"GIT_INDEX_FILE": os.path.join(scratch, "index"), **self.identity}
            if head:
                git(self.path, "read-tree", head, env=env)
            git(self.path, "update-index", "-z", "--index-info", stdin=lines, env=env)
            tree = git_text(self.path, "write-tree", env=env)
            if head and tree == git_text(self.path, "rev-parse", f"{head}^{{tree}}"):
                self._bring_up(files, lines)
                return None
            parent = ("-p", head) if head else ()
            commit = git_text(
                self.path, "commit-tree", tree, *parent, "-F", "-", stdin=message.encode(), env=env
            )
        self._bring_up(files, lines)
        moved = (head,) if head else ("0" * 40,)
        reason = message.partition("\n")[0]
        git(self.path, "update-ref", "-m", reason, "HEAD", commit, *moved, env=self.identity)
        return commit

    def holds(self, entry: Entry) -> bool:
        """Whether the working tree has a file as it is committed, as far as can be told quickly.

        Of an unlocked file of the annex only the size is compared; one that is missing, as in a
        clone that never got it, is as good as committed.
        """
        file = self.path / entry.path
        if not os.path.lexists(file):
            return entry.key is not None
        if entry.key is not None:
            if file.is_symlink():
                return key_of_pointer(os.fsencode(os.readlink(file))) == entry.key
            size, seen = key_size(entry.key), file.stat().st_size
            if seen == size or size is None:
                return True
            return seen <= POINTER_LIMIT and key_of_pointer(file.read_bytes()) == entry.key
        if file.is_symlink() or not file.is_file():
            return False
        if file.stat().st_size != entry.size:
            return False
        oid = git_text(self.path, "hash-object", "--no-filters", "--", os.fspath(file))
        return oid == entry.oid

    def _bring_up(self, files: Mapping[str, bytes], lines: bytes) -> None:
        """Make working tree and index agree with what is committed for ``files``."""
        for path, data in files.items():
            write_file(self.path / path, data)
        git(self.path, "update-index", "-z", "--index-info", stdin=lines)


def changed_files(repo: Path, *where: str) -> list[tuple[str, str]]:
    """``(two letters of git status, path)`` of what differs from the commit below ``where``.

    The files meant are ours and in git. git-annex's filter is not asked about them: it
    would read the whole tree first where it has not seen it yet.
    """
    plain = [f"filter.annex.{name}=" for name in ("process", "clean", "smudge")]
    options = [word for setting in plain for word in ("-c", setting)]
    status = ("status", "--porcelain", "-z", "--no-renames", "--untracked-files=all")
    raw = git(repo, "--no-optional-locks", *options, *status, "--", *where)
    words = (decode(word) for word in raw.split(b"\0"))
    return [(word[:2], word[3:]) for word in words if len(word) > 3]


def write_file(path: Path, data: bytes) -> None:
    """Replace a file at once: after a kill there is the old content or the new one.

    Raises
    ------
    RepoError
        When the directory cannot be written or the path leaves through a symlink.
    """
    if path.is_symlink():
        raise RepoError("is a symbolic link, not a file of ours", where=str(path))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_file() and path.read_bytes() == data:
            return
        handle, temporary = tempfile.mkstemp(prefix=".mrishare-", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as out:
                out.write(data)
                out.flush()
                os.fsync(out.fileno())
            umask = os.umask(0)
            os.umask(umask)
            os.chmod(temporary, 0o666 & ~umask)
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as exc:
        raise RepoError(f"cannot be written: {exc.strerror}", where=str(path)) from exc


def remove_directory(path: Path) -> None:
    """Remove a directory with all that is in it.

    What a killed command had started may write there for a moment longer.
    """
    for wait in (0.05, 0.2, 1.0, None):
        try:
            shutil.rmtree(path)
            return
        except OSError as exc:
            if not os.path.lexists(path):
                return
            if wait is None or exc.errno not in (errno.ENOTEMPTY, errno.ENOENT):
                raise
            time.sleep(wait)
