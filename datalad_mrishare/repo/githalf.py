"""The git half of a sibling: is it empty, and making it neutral; here on a path.

A repository made with ``datalad create-sibling`` or ``git annex init`` tells its
maker's name, mail, host and path in its git-annex branch. As long as it holds nothing
else, that branch is unmade and made again under a neutral identity, before anything
is published there.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import SiblingError
from .annexbranch import _log_names
from .cloud import CloudPlace
from .halfway import mark, mend
from .locks import sweep_stale_locks
from .process import NEUTRAL, annex, git, git_succeeds, git_text
from .remotes import Place
from .ssh import SshPlace
from .sshhalf import SshHalf


@dataclass(frozen=True)
class GitHalf:
    """A git repository of a sibling on a local path."""

    path: Path
    gitdir: Path
    bare: bool

    def refs(self) -> dict[str, str]:
        """Every ref and the object it names."""
        raw = git_text(self.path, "for-each-ref", "--format=%(refname) %(objectname)")
        return dict(line.split(" ", 1) for line in raw.splitlines())

    def annexed(self) -> bool:
        """Whether git-annex has been initialised there, to the end."""
        # the last that is written, also where a kill left the uuid alone
        return git_succeeds(self.path, "config", "--local", "annex.version")

    def contents(self) -> list[str]:
        """What makes it not empty, in words; an empty list when it is."""
        found = [
            f"ref {name}"
            for name in self.refs()
            if not name.endswith("/git-annex") and not name.startswith("refs/annex/")
        ]
        branches = [name for name in self.refs() if name.endswith("/git-annex")]
        if any(True for branch in branches for _ in _log_names(self.path, branch)):
            found.append("a git-annex branch that knows keys")
        if any(_has_files(self.gitdir / place) for place in ("annex/objects", "archives")):
            found.append("annexed content")
        if not found and self._forgotten():
            found.append("objects of branches that were deleted")
        if not self.bare and any(p.name != ".git" for p in self.path.iterdir()):
            found.append("files in its working tree")
        return found

    def _forgotten(self) -> bool:
        """Whether there are objects that no ref leads to."""
        words = ("cat-file", "--batch-all-objects", "--batch-check=%(objectname)")
        named = git_text(self.path, "rev-list", "--objects", "--no-object-names", "--all")
        empty_tree = git_text(self.path, "hash-object", "-t", "tree", "--stdin")
        return bool({*git_text(self.path, *words).split()} - {*named.split(), empty_tree})

    def neutral(self) -> bool:
        """Whether every commit there was made by this tool, or by none so far."""
        makers = git_text(self.path, "log", "--all", "--format=%ae%n%ce").split()
        return {*makers} <= {NEUTRAL["GIT_AUTHOR_EMAIL"], NEUTRAL["GIT_COMMITTER_EMAIL"]}

    def make_neutral(self, name: str, branch: str, *, with_annex: bool) -> None:
        """Prepare an empty git half for releases: neutral identity, ``branch`` as default.

        Safe to repeat. ``with_annex``: whether it holds the content, too (not so for a RIA
        store, whose storage is a special remote).
        """
        path = self.path
        self._tidy()
        # what holds our own commits only is ours, and stays
        if not self.neutral() and not self.contents():
            _unmake_annex(self)
        self._configure("user.name", NEUTRAL["GIT_COMMITTER_NAME"])
        self._configure("user.email", NEUTRAL["GIT_COMMITTER_EMAIL"])
        if not self.refs().get(f"refs/heads/{branch}"):
            git(path, "symbolic-ref", "HEAD", f"refs/heads/{branch}")
        if not self.bare:
            self._configure("receive.denyCurrentBranch", "updateInstead")
        if with_annex and not self.annexed():
            annex(path, "init", name, env=NEUTRAL)

    def _tidy(self) -> None:
        """Take away what a killed command left, and go on from where it was."""
        if not self.bare:
            mark(self.gitdir)
        sweep_stale_locks(self.gitdir)
        if not self.bare:
            mend(self.path)

    def _configure(self, variable: str, value: str) -> None:
        """Set it unless it is so: a full disk is no reason not to take something back."""
        if git_text(self.path, "config", "--local", variable, ok=(0, 1)) != value:
            git(self.path, "config", "--local", variable, value)

    def make_ready(
        self, name: str, branch: str, *, with_annex: bool, env: Mapping[str, str]
    ) -> bool:
        """Prepare it as own storage; return whether it has become an annex by that."""
        self._tidy()
        if self.bare and not any(r.startswith("refs/heads/") for r in self.refs()):
            git(self.path, "symbolic-ref", "HEAD", f"refs/heads/{branch}")
        if not with_annex or self.annexed():
            return False
        annex(self.path, "init", name, env=env)
        return True


Half = GitHalf | SshHalf


def open_half(place: Place, name: str) -> Half:
    """The repository of sibling ``name`` at ``place``.

    Raises
    ------
    SiblingError
        When there is none, it cannot be reached, or it cannot be written.
    """
    assert not isinstance(place, CloudPlace)  # what is there are bundles, no repository
    if isinstance(place, SshPlace):
        return SshHalf(place, name)
    return open_git_half(place, name)


def open_git_half(path: Path, name: str) -> GitHalf:
    """The repository at ``path``.

    Raises
    ------
    SiblingError
        When there is none, or it cannot be written.
    """
    if not path.is_dir():
        raise SiblingError(
            "cannot be reached: there is no such directory",
            where=f"sibling '{name}' at {path}",
            remedy="Mount or restore it and run this again; nothing was changed",
        )
    if not git_succeeds(path, "rev-parse", "--git-dir"):
        raise SiblingError(
            "is not a git repository",
            where=f"sibling '{name}' at {path}",
            remedy=f"Create it with: git init --bare {path}",
        )
    gitdir = Path(git_text(path, "rev-parse", "--absolute-git-dir"))
    if path.resolve() not in (gitdir.resolve(), gitdir.resolve().parent):
        raise SiblingError(
            f"is not a git repository (the one around it is {gitdir})",
            where=f"sibling '{name}' at {path}",
            remedy=f"Create it with: git init --bare {path}",
        )
    if not os.access(gitdir, os.W_OK):
        raise SiblingError(
            "cannot be written",
            where=f"sibling '{name}' at {path}",
            remedy="Ask its owner for write permission; nothing was changed",
        )
    bare = git_text(path, "rev-parse", "--is-bare-repository") == "true"
    return GitHalf(path, gitdir, bare)


def _has_files(place: Path) -> bool:
    return place.is_dir() and any(files for _, _, files in os.walk(place))


def _unmake_annex(half: GitHalf) -> None:
    """Remove every trace of an ``init`` in a repository that holds nothing else."""
    for ref in half.refs():
        git(half.path, "update-ref", "-d", ref)
    for left in ("annex", "logs", "gc.log"):
        place = half.gitdir / left
        if place.is_dir():
            shutil.rmtree(place)
    for variable in ("annex.uuid", "annex.version"):
        git(half.path, "config", "--local", "--unset-all", variable, ok=(0, 5))
    git(half.path, "reflog", "expire", "--expire=now", "--all")
    git(half.path, "gc", "--quiet", "--prune=now")
