"""Own storage: an ordinary sibling with the full history, on a path or in a RIA store.

Not sharing, so no release repository: keys go straight from the steward's annex, the
branch is the steward's own. What this adds to ``datalad push`` is the explicit list.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import SiblingError
from .annexbranch import discover_remotes, read_logs, refresh, same_knowledge
from .githalf import open_git_half
from .locks import sweep_stale_locks
from .process import annex, git, git_succeeds, git_text
from .remotes import Remote, local_path, remotes
from .transfer import Moved, Progress, copy_keys, drop_keys, keys_present, note_presence
from .worktree import Checkout


@dataclass(frozen=True)
class OwnStorage:
    """The sibling ``name`` of ``checkout``."""

    checkout: Checkout
    name: str

    @property
    def remote(self) -> Remote:
        """The git half as configured.

        Raises
        ------
        SiblingError
            When the dataset has no such remote.
        """
        found = remotes(self.checkout.path).get(self.name)
        if found is None or found.url is None:
            raise SiblingError(
                "is not a git remote of this dataset",
                where=f"sibling '{self.name}'",
                remedy=f"Add it: datalad siblings add -s {self.name} --url URL",
            )
        return found

    @property
    def content_remote(self) -> str:
        """The remote that keys are copied to."""
        return self.remote.depends or self.name

    @property
    def place(self) -> Path | None:
        """The sibling's directory, when it is on a path of this machine."""
        return local_path(self.remote.url or "", self.checkout.path)

    def open(self, *, prepare: bool = True) -> None:
        """See that it is there and, with ``prepare``, that it is an annex.

        Raises
        ------
        SiblingError
            When the sibling cannot be reached or written.
        """
        half = open_git_half(self.place, self.name) if self.place else None
        if half and prepare:
            sweep_stale_locks(half.gitdir)
            if half.bare and not any(r.startswith("refs/heads/") for r in half.refs()):
                branch = f"refs/heads/{self.checkout.plain_branch()}"
                git(half.path, "symbolic-ref", "HEAD", branch)
            if self.remote.depends is None and not half.annexed():
                annex(half.path, "init", self.name, env=self.checkout.identity)
                # git-annex gave up on it once when it was no annex yet
                section = f"remote.{self.name}.annex-ignore"
                git(self.checkout.path, "config", "--local", "--unset-all", section, ok=(0, 5))
        self._learn()

    def _learn(self) -> None:
        """Take in what the sibling knows: while it received, it noted things, too."""
        git(self.checkout.path, "fetch", "--quiet", self.name, env=self.checkout.identity)
        refresh(self.checkout.path, self.checkout.identity)

    def uuid(self) -> str:
        """annex uuid of the repository that holds the sibling's content."""
        found = remotes(self.checkout.path)[self.content_remote].uuid
        if found is None:
            discover_remotes(self.checkout.path, self.checkout.identity)
            found = remotes(self.checkout.path)[self.content_remote].uuid
        if found is None:
            raise SiblingError(
                "git-annex does not know its uuid",
                where=f"sibling '{self.name}'",
                remedy=f"See what `git annex info {self.content_remote}` says",
            )
        return found

    def present(self) -> set[str]:
        """Keys that the sibling has according to the location log."""
        if not self._annexed():
            return set()
        uuid = self.uuid()
        logs = read_logs(self.checkout.path, metadata=False)
        return {key for key, places in logs.locations.items() if uuid in places}

    def _annexed(self) -> bool:
        """Whether it can have content already: a new repository on a path cannot."""
        if self.remote.depends or self.place is None:
            return True
        return git_succeeds(self.place, "config", "--local", "annex.uuid")

    def released(self) -> str | None:
        """The commit that the sibling's branch is at."""
        ref = f"refs/remotes/{self.name}/{self.checkout.plain_branch()}"
        if not git_succeeds(self.checkout.path, "rev-parse", "-q", "--verify", ref):
            return None
        return git_text(self.checkout.path, "rev-parse", ref)

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
            self.checkout.path,
            self.content_remote,
            keys,
            jobs=jobs,
            progress=progress,
            reserve=reserve,
            env=self.checkout.identity,
            pass_fds=pass_fds,
        )

    def drop(
        self, keys: Sequence[str], pass_fds: Sequence[int] = ()
    ) -> Generator[Moved, None, None]:
        """Drop ``keys`` at the sibling; the caller has made sure that another copy exists."""
        yield from drop_keys(
            self.checkout.path,
            self.content_remote,
            keys,
            force=True,
            env=self.checkout.identity,
            pass_fds=pass_fds,
        )

    def check(self, keys: Iterable[str]) -> dict[str, bool]:
        """Ask the sibling itself which of ``keys`` it has."""
        return keys_present(
            self.checkout.path, self.content_remote, keys, env=self.checkout.identity
        )

    def note(self, found: Mapping[str, bool]) -> None:
        """Put right what git-annex thinks the sibling has."""
        note_presence(self.checkout.path, self.uuid(), found, self.checkout.identity)

    def push(self, commit: str | None, pass_fds: Sequence[int] = ()) -> None:
        """Push the branch (when there is a commit) and the git-annex branch.

        Raises
        ------
        RepoError
            When the sibling has commits that this dataset has not.
        """
        self._learn()
        # beside a repository with an annex of its own, which writes its own git-annex branch
        target = "git-annex" if self.remote.depends else "synced/git-annex"
        refs = [f"refs/heads/git-annex:refs/heads/{target}"]
        if commit:
            refs.insert(0, f"{commit}:refs/heads/{self.checkout.plain_branch()}")
        git(
            self.checkout.path,
            *("push", "--quiet", self.name, *refs),
            env=self.checkout.identity,
            timeout=None,
            pass_fds=pass_fds,
        )

    def behind(self) -> bool:
        """Whether the sibling lacks something that our git-annex branch knows."""
        return not same_knowledge(self.checkout.path, self.name)
