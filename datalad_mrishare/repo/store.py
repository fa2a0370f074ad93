"""What own storage and a release repository have in common: a remote with content.

Each is a repository of this machine (``repo``) with a remote that is the sibling. What is
here asks and moves; what goes there, and where from, is theirs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Iterable, Mapping, Sequence
from pathlib import Path

from ..errors import SiblingError
from .annexbranch import discover_remotes, read_logs, refresh, same_knowledge
from .contentonly import of_git
from .githalf import Half, open_half
from .process import git, git_succeeds, git_text
from .remotes import Place, place_of, remotes
from .transfer import Moved, Progress, copy_keys, drop_keys, keys_present, note_presence


class Store(ABC):
    """The way to the sibling ``name``."""

    name: str

    @property
    @abstractmethod
    def repo(self) -> Path:
        """The repository whose remote the sibling is."""

    @property
    @abstractmethod
    def env(self) -> Mapping[str, str]:
        """The identity that commits are made with."""

    @property
    @abstractmethod
    def content_remote(self) -> str:
        """The remote that keys are copied to."""

    @property
    @abstractmethod
    def url(self) -> str:
        """Where the git half is."""

    @property
    @abstractmethod
    def branch(self) -> str:
        """The branch of the sibling that is filled."""

    @property
    def place(self) -> Place | None:
        """The sibling's directory, here or behind ssh; None where there is none."""
        return place_of(self.url, self.repo)

    def _half(self) -> Half | None:
        """The git half, opened; None where only git itself can look.

        Raises
        ------
        SiblingError
            When the sibling cannot be reached or written.
        """
        place = self.place
        return None if place is None else open_half(place, self.name)

    def _learn(self) -> None:
        """Take in what the sibling knows: while it received, it noted things, too."""
        git(self.repo, "fetch", "--quiet", *self._fetching, self.name, env=self.env)
        refresh(self.repo, self.env)

    _fetching: tuple[str, ...] = ()

    def uuid(self) -> str:
        """annex uuid of the repository that holds the sibling's content."""
        found = remotes(self.repo)[self.content_remote].uuid
        if found is None:
            discover_remotes(self.repo, self.env)
            found = remotes(self.repo)[self.content_remote].uuid
        if found is None:
            raise SiblingError(
                "git-annex does not know its uuid",
                where=f"sibling '{self.name}'",
                remedy=f"See what `git -C {self.repo} annex info {self.content_remote}` says",
            )
        return found

    def present(self) -> set[str]:
        """Keys that the sibling has according to the location log."""
        uuid = self.uuid()
        logs = read_logs(self.repo, metadata=False)
        return {k for k, there in logs.locations.items() if uuid in there and not of_git(k)}

    def released(self) -> str | None:
        """The commit that the sibling's branch is at."""
        ref = f"refs/remotes/{self.name}/{self.branch}"
        if not git_succeeds(self.repo, "rev-parse", "-q", "--verify", ref):
            return None
        return git_text(self.repo, "rev-parse", ref)

    def send(
        self,
        keys: Sequence[str],
        *,
        jobs: int = 1,
        progress: Progress | None = None,
        reserve: int = 0,
        pass_fds: Sequence[int] = (),
    ) -> Generator[Moved, None, None]:
        """Copy ``keys`` to the sibling."""
        yield from copy_keys(
            self.repo,
            self.content_remote,
            keys,
            jobs=jobs,
            progress=progress,
            reserve=reserve,
            env=self.env,
            pass_fds=pass_fds,
        )

    def drop(
        self, keys: Sequence[str], pass_fds: Sequence[int] = ()
    ) -> Generator[Moved, None, None]:
        """Drop ``keys`` at the sibling; the caller has made sure that another copy exists."""
        yield from drop_keys(
            self.repo, self.content_remote, keys, force=True, env=self.env, pass_fds=pass_fds
        )

    def check(self, keys: Iterable[str]) -> dict[str, bool]:
        """Ask the sibling itself which of ``keys`` it has."""
        return keys_present(self.repo, self.content_remote, keys, env=self.env)

    def note(self, found: Mapping[str, bool]) -> None:
        """Put right what git-annex thinks the sibling has."""
        note_presence(self.repo, self.uuid(), found, self.env)

    def _push(
        self, commit: str | None, *options: str, beside: bool, pass_fds: Sequence[int]
    ) -> None:
        """Push the branch (when there is a commit) and what git-annex knows.

        ``beside``: whether the content is beside the git half, not in it. A git half with an
        annex of its own writes its own git-annex branch.
        """
        self._learn()
        target = "git-annex" if beside else "synced/git-annex"
        refs = [f"refs/heads/git-annex:refs/heads/{target}"]
        if commit:
            refs.insert(0, f"{commit}:refs/heads/{self.branch}")
        git(
            self.repo,
            *("push", "--quiet", *options, self.name, *refs),
            env=self.env,
            timeout=None,
            pass_fds=pass_fds,
        )

    def behind(self) -> bool:
        """Whether the sibling lacks something that our git-annex branch knows."""
        return not same_knowledge(self.repo, self.name)
