"""Own storage: an ordinary sibling with the full history.

Not sharing, so no release repository: keys go straight from the steward's annex, the
branch is the steward's own. What this adds to ``datalad push`` is the explicit list.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ..errors import SiblingError
from .annexbranch import refresh, remote_configs
from .cloud import CloudPlace
from .contentonly import (
    has_git,
    holds_something,
    is_content_only,
    storage_places,
)
from .encrypted import check_recipients, without_cipher
from .events import DIRECTORY as EVENTS
from .exporting import refuse_strange
from .filestore import FileStore
from .process import git, git_succeeds, git_text
from .remotes import (
    Place,
    Remote,
    destinations,
    place_of,
    remotes,
    resolved_url,
    storage_settings,
)
from .ssh import SshPlace
from .transport import REMEDY, read_on_the_way
from .trees import read_tree
from .worktree import Checkout


@dataclass(frozen=True)
class OwnStorage(FileStore):
    """The sibling ``name`` of ``checkout``."""

    checkout: Checkout
    name: str

    @property
    def repo(self) -> Path:
        """The steward's dataset."""
        return self.checkout.path

    @property
    def env(self) -> Mapping[str, str]:
        """The steward's identity."""
        return self.checkout.identity

    @property
    def branch(self) -> str:
        """The steward's branch."""
        return self.checkout.plain_branch()

    @property
    def remote(self) -> Remote:
        """The git half as configured.

        Raises
        ------
        SiblingError
            When the dataset has no such remote.
        """
        found = remotes(self.checkout.path).get(self.name)
        if found is None or (found.url is None and found.uuid is None):
            raise SiblingError(
                "is not a remote of this dataset",
                where=f"sibling '{self.name}'",
                remedy=f"Add it: datalad siblings add -s {self.name} --url URL",
            )
        return found

    @property
    def content_only(self) -> bool:
        """Whether it is a special remote and no git half belongs to it."""
        return is_content_only(self.remote.url)

    @cached_property
    def of_files(self) -> bool:
        """Whether it is a special remote that holds files under their own names."""
        if not self.content_only:
            return False
        settings = remote_configs(self.repo).get(self.remote.uuid or "", {})
        return settings.get("exporttree") == "yes"

    @property
    def _copied(self) -> str:
        """The ref of the commit whose content such a remote got last."""
        return f"refs/mrishare/copied/{self.name}"

    @property
    def url(self) -> str:
        """Where the git half is."""
        return self.remote.url or ""

    @property
    def content_remote(self) -> str:
        """The remote that keys are copied to."""
        return self.remote.depends or self.name

    @property
    def place(self) -> Place | None:
        """The sibling's directory, here or behind ssh."""
        if self.content_only:
            return storage_places({self.name: self.remote}, self.repo).get(self.name)
        return place_of(resolved_url(self.repo, self.url), self.repo)

    @property
    def content_place(self) -> Place | None:
        """The directory that takes the content, in a special remote beside the git half."""
        beside = remotes(self.repo).get(self.remote.depends or "")
        found = storage_places({"": beside}, self.repo).get("") if beside else None
        return found or self.place

    def _reach(self, place: Place | None) -> None:
        """Whether storage can be reached."""
        if isinstance(place, CloudPlace):
            has_git(self.repo, self.content_remote, place.uuid, self.env)
        elif place is not None:
            holds_something(place, self.name)

    def open(self, *, prepare: bool = True) -> None:
        """See that it is there and, with ``prepare``, that it is an annex.

        Raises
        ------
        SiblingError
            When the sibling cannot be reached or written, or content cannot be encrypted.
        """
        self.refuse_readable()
        content = remotes(self.repo).get(self.content_remote, self.remote)
        settings = without_cipher(storage_settings(self.repo, content))
        check_recipients(settings, f"sibling '{self.name}'")
        if self.content_only:
            self._reach(self.place)
            refresh(self.repo, self.env)
            return
        half = self._half()
        beside = self.content_place
        if beside != self.place:
            self._reach(beside)
        if half and prepare:
            with_annex = self.remote.depends is None
            env = self._identity() if isinstance(self.place, SshPlace) else self.env
            if half.make_ready(self.name, self.branch, with_annex=with_annex, env=env):
                # git-annex gave up on it once when it was no annex yet
                section = f"remote.{self.name}.annex-ignore"
                git(self.repo, "config", "--local", "--unset-all", section, ok=(0, 5))
        self._learn()

    def _identity(self) -> dict[str, str]:
        """The steward's identity in words, for a machine that does not know it."""
        said = git_text(self.repo, "var", "GIT_COMMITTER_IDENT", env=self.env)
        name, _, rest = said.partition(" <")
        mail = rest.partition(">")[0]
        return {"GIT_COMMITTER_NAME": name, "GIT_COMMITTER_EMAIL": mail}

    def present(self) -> set[str]:
        """Keys that the sibling has according to the location log."""
        return super().present() if self._annexed() else set()

    def _annexed(self) -> bool:
        """Whether it can have content already: a new repository cannot."""
        if self.remote.depends or self.content_only:
            return True
        if isinstance(self.place, Path):
            return git_succeeds(self.place, "config", "--local", "annex.uuid")
        half = None if self.remote.uuid else self._half()
        return half is None or half.annexed()

    def released(self) -> str | None:
        """The commit that the sibling's branch is at."""
        if not self.content_only:
            return super().released()
        found = git_text(self.repo, "rev-parse", "-q", "--verify", self._copied, ok=(0, 1))
        return found or None

    def behind(self) -> bool:
        """Whether the sibling lacks something that our git-annex branch knows."""
        if self.of_files:
            there = {(e.path, e.oid) for e in self.exported()}
            return there != {(e.path, e.oid) for e in self._to_lie_there(self.present())}
        return not self.content_only and super().behind()

    def refuse_strange(self) -> None:
        """Refuse a directory for files in which lies what was not exported from here.

        Raises
        ------
        SiblingError
            When git-annex would write over it, or leave it among the files.
        """
        if self.of_files and isinstance(self.place, Path):
            refuse_strange(self.place, self.repo, self.name, self.exported())

    def refuse_readable(self) -> None:
        """Refuse ways on which others could read along: a backup is of everyone.

        Raises
        ------
        SiblingError
            When git, or git-annex with content, would take such a way.
        """
        known, led = remotes(self.repo), destinations(self.repo)
        ways: dict[str, str] = {}
        for name in dict.fromkeys((self.name, self.content_remote)):
            settings = known[name].settings if name in known else {}
            told = (settings.get(way, "") for way in ("annexurl", "annex-rsyncurl"))
            ways |= dict.fromkeys((*told, *led.get(name, ())), REMEDY)
        if isinstance(self.content_place, CloudPlace):
            ways[self.content_place.url] = self.content_place.remedy(self.content_remote)
        for way in sorted(ways):
            if wrong := read_on_the_way(way):
                raise SiblingError(wrong, where=f"sibling '{self.name}'", remedy=ways[way])

    def push(self, commit: str | None, pass_fds: Sequence[int] = ()) -> None:
        """Push the branch (when there is a commit) and the git-annex branch.

        Without a git half there is nothing to push to; it is noted which commit it was.

        Raises
        ------
        RepoError
            When the sibling has commits that this dataset has not.
        """
        if self.content_only:
            if commit and self.of_files:
                self._stage_events(commit)
            self._push_files(pass_fds)
            if commit:
                git(self.repo, "update-ref", self._copied, commit, env=self.env)
            return
        self._push(commit, beside=self.remote.depends is not None, pass_fds=pass_fds)

    def _stage_events(self, commit: str) -> None:
        """Let the record of what was just done lie there, too."""
        staged = {e.path: e for e in self.staged()}
        events = (e for e in read_tree(self.repo, commit) if e.path.startswith(f"{EVENTS}/"))
        staged |= {e.path: e for e in events}
        self.stage((e.mode, e.oid, e.path) for e in staged.values())
