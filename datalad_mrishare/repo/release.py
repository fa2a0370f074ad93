"""The release repository: the one door to a sibling beyond own storage.

A bare annex below ``.git/mrishare/NAME`` with a neutral identity and the sibling as
its only remote. It never held and never heard of what is withheld: blobs are copied
into it one by one, annexed content is lent to it for the transfer and taken back
after. ``annex.private`` keeps its own uuid out of the git-annex branch. It holds no
state of its own: deleted, it is built again from the sibling.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import RepoError, SiblingError
from .annexbranch import (
    discover_remotes,
    read_logs,
    refresh,
    remote_configs,
    same_knowledge,
)
from .githalf import make_neutral, open_git_half
from .keys import find_object, object_paths
from .lending import lend, take_back
from .locks import sweep_stale_locks
from .process import NEUTRAL, annex, git, git_succeeds, git_text
from .remotes import local_path, remotes
from .transfer import Moved, Progress, copy_keys, drop_keys, keys_present, note_presence
from .trees import write_tree

BRANCH = "main"
#: settings of a special remote that `git annex enableremote` cannot change
_FIXED = ("type", "externaltype", "encryption")
REVOKED_FILE = ".datalad/mrishare/revoked.tsv"


@dataclass(frozen=True)
class Address:
    """Where a sibling is: its git half, and the special remote that holds its content.

    ``storage`` are the settings of ``git annex initremote`` with ``name`` and ``uuid``, or
    None when the git half holds the content itself.
    """

    url: str
    storage: Mapping[str, str] | None = None


@dataclass(frozen=True)
class ReleaseRepository:
    """The release repository of sibling ``name`` in the dataset at ``steward``."""

    steward: Path
    steward_gitdir: Path
    name: str
    address: Address
    dataset_id: str | None = None

    @property
    def path(self) -> Path:
        """Where it is."""
        return self.steward_gitdir / "mrishare" / self.name

    @property
    def content_remote(self) -> str:
        """The remote that keys are copied to."""
        return self.address.storage["name"] if self.address.storage else self.name

    @property
    def place(self) -> Path | None:
        """The sibling's directory, when it is on a path of this machine."""
        return local_path(self.address.url, self.steward)

    def open(self, *, prepare: bool = True) -> None:
        """Make it ready: build it when it is missing, tidy up after a killed command.

        Raises
        ------
        SiblingError
            When the sibling cannot be reached or written.
        """
        half = open_git_half(self.place, self.name) if self.place else None
        if half and prepare:
            make_neutral(half, self.name, BRANCH, with_annex=self.address.storage is None)
            sweep_stale_locks(half.gitdir)
        if self._leads_to() != self.address.url:  # missing, or the sibling is elsewhere now
            self._build()
        sweep_stale_locks(self.path)
        self.take_back_all()
        self._learn()

    def _learn(self) -> None:
        """Take in what the sibling knows: while it received, it noted things, too."""
        git(self.path, "fetch", "--quiet", "--prune", self.name, env=NEUTRAL)
        refresh(self.path, NEUTRAL)

    def _leads_to(self) -> str | None:
        """Where the release repository that is there leads to, if there is one."""
        if not (self.path / "HEAD").exists():
            return None
        url = f"remote.{self.name}.url"
        return git_text(self.path, "config", "--local", url, ok=(0, 1))

    def _build(self) -> None:
        """Build beside and rename, so that there is a whole repository or none."""
        building = self.path.with_name(f".{self.name}.new")
        if building.exists():
            shutil.rmtree(building)
        building.parent.mkdir(parents=True, exist_ok=True)
        git(
            building.parent,
            "init",
            "--quiet",
            "--bare",
            f"--initial-branch={BRANCH}",
            building.name,
        )
        for key, value in (
            ("annex.private", "true"),
            ("user.name", NEUTRAL["GIT_COMMITTER_NAME"]),
            ("user.email", NEUTRAL["GIT_COMMITTER_EMAIL"]),
            ("core.hooksPath", os.devnull),
            ("annex.gitaddtoannex", "false"),
        ):
            git(building, "config", key, value)
        if self.dataset_id:
            git(building, "config", "datalad.dataset.id", self.dataset_id)
        annex(building, "init", "release", env=NEUTRAL)
        git(building, "remote", "add", self.name, self.address.url)
        if self.address.storage:
            git(building, "config", f"remote.{self.name}.annex-ignore", "true")
        git(building, "fetch", "--quiet", self.name, env=NEUTRAL)
        refresh(building, NEUTRAL)
        if self.address.storage:
            self._add_storage(building, self.address.storage)
        if self.path.exists():
            shutil.rmtree(self.path)
        os.rename(building, self.path)

    def _add_storage(self, repo: Path, storage: Mapping[str, str]) -> None:
        name = storage["name"]
        settings = {k: v for k, v in storage.items() if k != "name"}
        told = remote_configs(repo).get(storage["uuid"])
        if told is None:
            words = [f"{k}={v}" for k, v in settings.items()]
            annex(repo, "initremote", name, "autoenable=true", *words, env=NEUTRAL)
            return
        for key in _FIXED:
            if told.get(key) != settings.get(key):
                raise SiblingError(
                    f"says that its storage has {key} `{told.get(key)}`, and is declared with"
                    f" `{settings.get(key)}`",
                    where=f"sibling '{self.name}'",
                    remedy="Find out who changed it there; nothing was changed here",
                )
        words = [f"{k}={v}" for k, v in settings.items() if k not in (*_FIXED, "uuid")]
        annex(repo, "enableremote", name, *words, env=NEUTRAL)
        # it leads where our own siblings.yaml says, so nobody has to look at it again
        git(repo, "config", f"remote.{name}.annex-verified", "verified")

    # -- what the sibling has

    def present(self) -> set[str]:
        """Keys that the sibling has according to the location log."""
        uuid = self.uuid()
        logs = read_logs(self.path, metadata=False)
        return {key for key, places in logs.locations.items() if uuid in places}

    def uuid(self) -> str:
        """annex uuid of the repository that holds the sibling's content."""
        if self.address.storage:
            return self.address.storage["uuid"]
        remote = remotes(self.path)[self.name]
        if remote.uuid is None:
            discover_remotes(self.path, NEUTRAL)
            remote = remotes(self.path)[self.name]
        if remote.uuid is None:
            raise RepoError(
                "git-annex does not know the sibling's uuid",
                where=self.name,
                remedy=f"See what `git -C {self.path} annex info {self.name}` says",
            )
        return remote.uuid

    def released(self) -> str | None:
        """The commit that the sibling's release branch is at."""
        ref = f"refs/remotes/{self.name}/{BRANCH}"
        if not git_succeeds(self.path, "rev-parse", "-q", "--verify", ref):
            return None
        return git_text(self.path, "rev-parse", ref)

    def revoked(self, commit: str) -> set[str]:
        """Keys that an earlier release held and ``commit`` says are no longer shared."""
        path = f"{commit}:{REVOKED_FILE}"
        if not git_succeeds(self.path, "cat-file", "-e", path):
            return set()
        return set(git_text(self.path, "cat-file", "blob", path).splitlines()[1:])

    # -- content

    def send(
        self,
        keys: Sequence[str],
        *,
        jobs: int = 1,
        progress: Progress | None = None,
        reserve: int = 0,
        pass_fds: Sequence[int] = (),
    ) -> Generator[Moved, None, None]:
        """Lend ``keys``, copy them to the sibling, take them back."""
        objects = self.path / "annex" / "objects"
        try:
            for key in keys:
                lend(self._steward_object(key), objects / object_paths(key)[1])
            yield from copy_keys(
                self.path,
                self.content_remote,
                keys,
                jobs=jobs,
                progress=progress,
                reserve=reserve,
                env=NEUTRAL,
                pass_fds=pass_fds,
            )
        finally:
            self.take_back_all()

    def _steward_object(self, key: str) -> Path:
        found = find_object(self.steward_gitdir / "annex/objects", key)
        if found is None:
            raise RepoError("content is not in this dataset", where=key, remedy="Get it first")
        return found

    def take_back_all(self) -> None:
        """Remove everything lent, leaving the steward's own objects as they are."""
        take_back(self.path / "annex" / "objects")

    def drop(
        self, keys: Sequence[str], pass_fds: Sequence[int] = ()
    ) -> Generator[Moved, None, None]:
        """Drop ``keys`` at the sibling; the caller has made sure that another copy exists."""
        yield from drop_keys(
            self.path, self.content_remote, keys, force=True, env=NEUTRAL, pass_fds=pass_fds
        )

    def check(self, keys: Iterable[str]) -> dict[str, bool]:
        """Ask the sibling itself which of ``keys`` it has."""
        return keys_present(self.path, self.content_remote, keys, env=NEUTRAL)

    def note(self, found: Mapping[str, bool]) -> None:
        """Put right what git-annex thinks the sibling has."""
        note_presence(self.path, self.uuid(), found, NEUTRAL)

    # -- the release

    def adopt_blobs(self, oids: Iterable[str]) -> None:
        """Copy git blobs from the steward's repository, those and nothing else."""
        wanted = "".join(f"{oid}\n" for oid in dict.fromkeys(oids)).encode("ascii")
        if not wanted:
            return
        listed = git_text(self.path, "cat-file", "--batch-check", stdin=wanted).splitlines()
        missing = [line.split(" ")[0] for line in listed if line.endswith(" missing")]
        if missing:
            fed = "".join(f"{oid}\n" for oid in missing).encode("ascii")
            pack = git(self.steward, "pack-objects", "--stdout", "--quiet", stdin=fed)
            git(self.path, "unpack-objects", "-q", stdin=pack)

    def commit(self, entries: Iterable[tuple[str, str, str]], message: str) -> str | None:
        """Commit a release tree of ``(mode, oid, path)`` on top of the sibling's last one.

        Returns the commit, or None when the sibling has this very tree.
        """
        tree = write_tree(self.path, entries)
        parent = self.released()
        if parent and tree == git_text(self.path, "rev-parse", f"{parent}^{{tree}}"):
            return None
        words = ["commit-tree", tree, "-F", "-", *(["-p", parent] if parent else [])]
        commit = git_text(self.path, *words, stdin=message.encode(), env=NEUTRAL)
        git(self.path, "update-ref", f"refs/heads/{BRANCH}", commit, env=NEUTRAL)
        return commit

    def push(self, commit: str | None, pass_fds: Sequence[int] = ()) -> None:
        """Push the release (when there is one) and what git-annex knows, both or neither."""
        self._learn()
        # beside a repository with an annex of its own, which writes its own git-annex branch
        target = "refs/heads/git-annex" if self.address.storage else "refs/heads/synced/git-annex"
        refs = [f"refs/heads/git-annex:{target}"]
        if commit:
            refs.insert(0, f"{commit}:refs/heads/{BRANCH}")
        git(
            self.path,
            *("push", "--quiet", "--atomic", self.name, *refs),
            env=NEUTRAL,
            timeout=None,
            pass_fds=pass_fds,
        )

    def behind(self) -> bool:
        """Whether the sibling lacks something that our git-annex branch knows."""
        return not same_knowledge(self.path, self.name)
