"""The release repository: the one door to a sibling beyond own storage.

A bare annex below ``.git/mrishare/NAME`` with a neutral identity and the sibling as
its only remote. It never held and never heard of what is withheld: blobs are copied
into it one by one, annexed content is lent to it for the transfer and taken back
after. ``annex.private`` keeps its own uuid out of the git-annex branch. It holds no
state of its own: deleted, it is built again from the sibling.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import NotTaken, RepoError, SiblingError
from .address import Address
from .annexbranch import refresh, remote_configs
from .checksum import Checked
from .cloud import CREDENTIALS, CloudPlace, hand_over
from .contentonly import connect, git_url, has_git, holds_something
from .encrypted import check_recipients, is_encrypted, make_remote, recipients, without_cipher
from .exporting import exported, has_git_half, own_uuid, refuse_strange
from .filestore import FileStore
from .keys import find_object, object_paths
from .lending import Lender, NoRoom, lend, take_back, take_back_one
from .locks import sweep_stale_locks
from .newroot import ANEW, Begun, annex_branch_of, begin_there
from .process import NEUTRAL, annex, git, git_text
from .reasons import in_a_line
from .remotes import Place
from .transfer import note_presence
from .trees import Entry, read_blobs, read_tree, write_tree
from .webhalf import must_take_content
from .worktree import remove_directory

BRANCH = "main"
#: settings of a special remote that `git annex enableremote` cannot change
_FIXED = ("type", "externaltype", "encryption")
#: where a release repository leads to, when the URL of its remote does not tell
_LEADS_TO = "mrishare.leadsto"
#: fewer objects are kept loose, as git itself does with what it receives (receive.unpackLimit)
_FEW = 100
_UNPACK, _KEEP_PACKED = ("unpack-objects", "-q"), ("index-pack", "--stdin")
REVOKED_FILE = ".datalad/mrishare/revoked.tsv"


@dataclass(frozen=True)
class ReleaseRepository(FileStore):
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
    def repo(self) -> Path:
        """The release repository itself."""
        return self.path

    @property
    def env(self) -> Mapping[str, str]:
        """Nobody's identity."""
        return NEUTRAL

    @property
    def url(self) -> str:
        """Where the git half is."""
        return self.address.url

    @property
    def branch(self) -> str:
        """The branch of releases."""
        return BRANCH

    @property
    def of_files(self) -> bool:
        """Whether files lie there under their own names."""
        return self.address.of_files

    @property
    def content_remote(self) -> str:
        """The remote that keys are copied to."""
        return self.address.storage["name"] if self.address.storage else self.name

    @property
    def place(self) -> Place | None:
        """The sibling's directory, here or behind ssh; or where else its content is."""
        return self._asked_from_here(self.address.place(self.steward))

    @property
    def content_place(self) -> Place | None:
        """The place that takes the content, beside the git half or in it."""
        beside = self.address.storage_place(self.steward)
        return self._asked_from_here(beside) if beside is not None else self.place

    def _asked_from_here(self, place: Place | None) -> Place | None:
        """The same place; the release repository has the credentials."""
        return replace(place, repo=self.path) if isinstance(place, CloudPlace) else place

    def open(self, *, prepare: bool = True) -> None:
        """Make it ready: build it when it is missing, tidy up after a killed command.

        Raises
        ------
        SiblingError
            When the sibling cannot be reached or written.
        """
        half = None if self.address.content_only else self._half()
        beside = self.address.storage_place(self.steward)
        if beside is not None and not isinstance(beside, CloudPlace):
            holds_something(beside, self.name)  # that is, whether it can be reached
        if self.address.storage:
            check_recipients(self.address.storage, f"sibling '{self.name}'")
        if half and prepare:
            with self._reaching():
                half.make_neutral(self.name, BRANCH, with_annex=self.address.storage is None)
        self._go_back()
        if self._leads_to() != self.address.url:  # missing, or the sibling is elsewhere now
            self._build()
        sweep_stale_locks(self.path)
        self.take_back_all()
        self._learn()
        if self.address.storage and is_encrypted(self.address.storage):
            self._must_agree(self.path)

    # the sibling is the truth: what it has no longer, we forget
    _fetching = ("--prune",)

    def _learn(self) -> None:
        if self.address.content_only and not self._has_git(self.path):
            self.must_answer()
            refresh(self.path, NEUTRAL)
        else:
            super()._learn()

    def _has_git(self, repo: Path) -> bool:
        """Whether a git half was pushed to the storage."""
        if self.address.of_files and isinstance(self.place, Path):
            return has_git_half(self.place)
        return has_git(repo, self.name, self.uuid(), NEUTRAL)

    def _leads_to(self) -> str | None:
        """Where the release repository that is there leads to, if there is one."""
        if not (self.path / "HEAD").exists():
            return None
        noted = git_text(self.path, "config", "--local", _LEADS_TO, ok=(0, 1))
        url = f"remote.{self.name}.url"
        return noted or git_text(self.path, "config", "--local", url, ok=(0, 1))

    def _build(self) -> None:
        """Build beside and rename, so that there is a whole repository or none."""
        building = self.path.with_name(f".{self.name}.new")
        if building.exists():
            remove_directory(building)
        building.parent.mkdir(parents=True, exist_ok=True)
        words = ("--quiet", "--bare", f"--initial-branch={BRANCH}", building.name)
        git(building.parent, "init", *words)
        hidden = ("annex.private", "true")
        if self.address.of_files and self.address.storage:
            hidden = ("annex.uuid", own_uuid(self.address.storage["uuid"]))
        for key, value in (
            hidden,
            ("user.name", NEUTRAL["GIT_COMMITTER_NAME"]),
            ("user.email", NEUTRAL["GIT_COMMITTER_EMAIL"]),
            ("core.hooksPath", os.devnull),
            ("annex.gitaddtoannex", "false"),
            ("push.recurseSubmodules", "no"),  # what they are is decided, and is not here
        ):
            git(building, "config", key, value)
        for variable in ("core.sshCommand", "ssh.variant"):  # what leads to the sibling
            value = git_text(self.steward, "config", "--local", variable, ok=(0, 1))
            if value:
                git(building, "config", variable, value)
        if self.dataset_id:
            git(building, "config", "datalad.dataset.id", self.dataset_id)
        annex(building, "init", "release", env=NEUTRAL)
        if self.address.content_only:
            self._connect_storage(building)
        else:
            self._connect(building)
        if self.path.exists():
            remove_directory(self.path)
        os.rename(building, self.path)

    def _connect(self, repo: Path) -> None:
        """Make the sibling the remote of ``repo``, and take in what it knows."""
        git(repo, "remote", "add", self.name, self.address.url)
        if self.address.storage:
            git(repo, "config", f"remote.{self.name}.annex-ignore", "true")
        git(repo, "fetch", "--quiet", self.name, env=NEUTRAL)
        refresh(repo, NEUTRAL)
        if self.address.storage:
            self._add_storage(repo, self.address.storage)
        elif self.place is None:
            must_take_content(repo, self.name, NEUTRAL)

    def _connect_storage(self, repo: Path) -> None:
        """The same for storage that has its git half in itself."""
        settings = self.address.storage or {}
        hand_over(settings["uuid"], self.steward, repo)
        connect(repo, self.name, settings, NEUTRAL)
        git_url(repo, self.name)
        git(repo, "config", _LEADS_TO, self.address.url)
        if self._has_git(repo):
            git(repo, "fetch", "--quiet", self.name, env=NEUTRAL)
            refresh(repo, NEUTRAL)
        if self.address.of_files and isinstance(self.place, Path):
            missing = refuse_strange(self.place, repo, self.name, exported(repo, settings["uuid"]))
            note_presence(repo, settings["uuid"], dict.fromkeys(missing, False), NEUTRAL)

    def _add_storage(self, repo: Path, storage: Mapping[str, str]) -> None:
        name = storage["name"]
        settings = {k: v for k, v in storage.items() if k != "name"}
        told = remote_configs(repo).get(storage["uuid"])
        hand_over(storage["uuid"], self.steward, repo)
        if told is None:
            secret = {"embedcreds": "no"} if settings.get("type") in CREDENTIALS else {}
            make_remote(repo, name, {"autoenable": "true", **secret, **settings}, NEUTRAL)
            return
        self._must_agree(repo)
        words = [f"{k}={v}" for k, v in settings.items() if k not in (*_FIXED, "uuid", "keyid")]
        annex(repo, "enableremote", name, *words, env=NEUTRAL)
        # it leads where our own siblings.yaml says, so nobody has to look at it again
        git(repo, "config", f"remote.{name}.annex-verified", "verified")

    def _must_agree(self, repo: Path) -> None:
        """Whoever can push to the git half could have content go out in clear, or to himself."""
        declared = self.address.storage or {}
        told = without_cipher(remote_configs(repo).get(declared["uuid"], {}))
        for key in (*_FIXED, "keyid"):
            said, ours = told.get(key), declared.get(key)
            if key == "keyid":
                said, ours = (",".join(sorted(recipients(s))) for s in (told, declared))
            if said != ours:
                raise SiblingError(
                    f"says that its storage has {key} `{said}`, and is declared with `{ours}`",
                    where=f"sibling '{self.name}'",
                    remedy="Find out who changed it there; nothing was changed here",
                )

    # -- what the sibling has

    def uuid(self) -> str:
        """annex uuid of the repository that holds the sibling's content."""
        if self.address.storage:
            return self.address.storage["uuid"]
        return super().uuid()

    def read(self, commit: str, *paths: str) -> tuple[list[Entry], dict[str, bytes]]:
        """Everything in the release ``commit``, and the content of ``paths`` in it by path."""
        entries = read_tree(self.path, commit, self.steward_gitdir / "mrishare" / "links")
        asked = {e.path: e.oid for e in entries if e.path in paths}
        contents = dict(read_blobs(self.path, dict.fromkeys(asked.values())))
        return entries, {path: contents[oid] for path, oid in asked.items()}

    # -- content

    @contextmanager
    def _lending(self, keys: Sequence[str]) -> Iterator[int]:
        """Lend ``keys``, the first at least; take them back when they were sent."""
        try:
            yield self._lend(keys)
        finally:
            self.take_back_all()

    def _lend(self, keys: Sequence[str]) -> int:
        for number, key in enumerate(keys):
            try:
                self._lend_one(key)
            except NoRoom:
                if number == 0:
                    raise
                return number
        return len(keys)

    def _lend_one(self, key: str) -> None:
        # of a tree of files some can lie there that are no longer here
        if self.of_files and not find_object(self.steward_gitdir / "annex/objects", key):
            return
        lend(self._steward_object(key), self._borrowed(key))

    def _borrowed(self, key: str) -> Path:
        return self.path / "annex/objects" / object_paths(key)[1]

    def _lender(self) -> Lender:
        return Lender(self._lend_one)

    def _give_back(self, key: str | None) -> None:
        if key is None:
            self.take_back_all()
        else:
            take_back_one(self._borrowed(key))

    def _steward_object(self, key: str) -> Path:
        found = find_object(self.steward_gitdir / "annex/objects", key)
        if found is None:
            raise RepoError("content is not in this dataset", where=key, remedy="Get it first")
        return found

    def take_back_all(self) -> None:
        """Remove everything lent, leaving the steward's own objects as they are.

        A killed git-annex leaves a link to what it was handing to rsync.
        """
        take_back(self.path / "annex" / "objects")
        take_back(self.path / "annex" / "tmp")

    def compare(self, pass_fds: Sequence[int] = ()) -> list[Checked]:
        """Compare what is there with its checksums; what is damaged is dropped there."""
        found = super().compare(pass_fds)
        # it keeps nothing, and nothing damaged
        remove_directory(self.path / "annex/bad")
        return found

    # -- the release

    def adopt_blobs(self, oids: Iterable[str]) -> None:
        """Copy git blobs from the steward's repository, those and nothing else."""
        wanted = "".join(f"{oid}\n" for oid in dict.fromkeys(oids)).encode("ascii")
        if not wanted:
            return
        ask = ("cat-file", "--batch-check=%(objecttype)", "--buffer")
        listed = git_text(self.path, *ask, stdin=wanted).splitlines()
        missing = [line.split(" ")[0] for line in listed if line.endswith(" missing")]
        if missing:
            fed = "".join(f"{oid}\n" for oid in missing).encode("ascii")
            pack = git(self.steward, "pack-objects", "--stdout", "--quiet", stdin=fed)
            # a file for each of them would take longer than all the rest, here and in the push
            few = len(missing) < _FEW
            git(self.path, *(_UNPACK if few else _KEEP_PACKED), stdin=pack)

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

    def begin_anew(
        self,
        entries: Iterable[tuple[str, str, str]],
        message: str,
        before: str,
        done: Callable[[str], None],
        pass_fds: Sequence[int] = (),
    ) -> Begun:
        """Let the sibling hold this release and no history; see :mod:`.newroot`.

        This repository is built anew after it: its own branches know the old history. Until
        then, whatever happens, it knows the release ``before`` (:meth:`begun_from`) and the
        content that is there. ``done`` is told the new release while that is so.

        Raises
        ------
        SiblingError, RepoError
            When the sibling does not take it. It can be repeated until it does.
        """
        self._learn()
        tree = write_tree(self.path, entries)
        words = ("commit-tree", tree, "-F", "-")
        root = git_text(self.path, *words, stdin=message.encode(), env=NEUTRAL)
        keys = self.present() | {e.key for e in read_tree(self.path, root) if e.key}
        logs = annex_branch_of(self.path, keys, NEUTRAL)
        for name, commit in (("release", root), ("annex", logs), ("before", before)):
            git(self.path, "update-ref", f"{ANEW}/{name}", commit)
        if self.address.content_only:
            self._begin_in_storage(root, done, pass_fds)
            return Begun(root)
        left = self._begin_in_git(root, logs, pass_fds)
        done(root)
        self._build()
        self._learn()
        return Begun(root, left)

    def begun_from(self) -> str | None:
        """The release that was there before a history was begun afresh, until that has ended."""
        ref = f"{ANEW}/before"
        return git_text(self.path, "rev-parse", "-q", "--verify", ref, ok=(0, 1)) or None

    def _begin_in_git(self, root: str, logs: str, pass_fds: Sequence[int]) -> str:
        """The same for a git repository; why something of the old may be left."""
        inside = self.address.storage is None
        place = self.place
        if place is None:
            refs = [f"+{root}:refs/heads/{BRANCH}", f"+{logs}:refs/heads/git-annex"]
            refs += [f"+{logs}:refs/heads/synced/git-annex"] if inside else []
            self._push_refs(refs, pass_fds)
            left = "its server may keep objects that no branch leads to until git gc runs there"
            return f"{left}; its annex may name keys of before" if inside else left
        # an earlier push may lie there still
        self._push_refs([f"+{root}:{ANEW}/release", f"+{logs}:{ANEW}/annex"], pass_fds)
        assert not isinstance(place, CloudPlace)
        return begin_there(place, self.name, BRANCH, (root, logs), annexed=inside)

    def _push_refs(self, refs: Sequence[str], pass_fds: Sequence[int]) -> None:
        with self._reaching():
            words = ("push", "--quiet", "--atomic", self.name, *refs)
            git(self.path, *words, env=NEUTRAL, timeout=None, pass_fds=pass_fds)

    @property
    def _former(self) -> Path:
        """Where this repository lies until the sibling has what its successor knows."""
        return self.path.with_name(f".{self.name}.former")

    def _go_back(self) -> None:
        """Take up a former repository that a killed command left.

        It alone knows which content is there once the sibling's branches have been deleted.
        """
        if self._former.exists():
            if self.path.exists():
                remove_directory(self.path)
            os.rename(self._former, self.path)

    def _begin_in_storage(
        self, root: str, done: Callable[[str], None], pass_fds: Sequence[int]
    ) -> None:
        """The same for storage that has its git half in itself.

        A forced push would leave the old bundles there; deleting every branch removes them.
        """
        former = self._former
        if self._has_git(self.path):
            told = git_text(self.path, "ls-remote", self.name, env=NEUTRAL).splitlines()
            refs = [ref for ref in (line.partition("\t")[2] for line in told) if ref != "HEAD"]
            if refs:  # none where a killed command has done so
                words = ("push", "--quiet", self.name, "--delete", *refs)
                with self._reaching():
                    git(self.path, *words, env=NEUTRAL, timeout=None, pass_fds=pass_fds)
        os.rename(self.path, former)
        self._build()
        heads = (f"+{ANEW}/release:refs/heads/{BRANCH}", f"+{ANEW}/annex:{ANEW}/git-annex")
        git(self.path, "fetch", "--quiet", "--no-tags", str(former), *heads, env=NEUTRAL)
        refresh(self.path, NEUTRAL)
        git(self.path, "update-ref", "-d", f"{ANEW}/git-annex")
        self.push(root, pass_fds)
        done(root)
        remove_directory(former)

    def push(self, commit: str | None, pass_fds: Sequence[int] = ()) -> None:
        """Push the release (when there is one) and what git-annex knows, both or neither."""
        self._push_files(pass_fds)
        beside = self.address.storage is not None
        options: tuple[str, ...] = ("--atomic",)
        if self.address.content_only:
            # git-remote-annex knows neither the word nor commits without a ref
            options, commit = (), commit and f"refs/heads/{BRANCH}"
        said = self._push(commit, *options, beside=beside, pass_fds=pass_fds)
        if self.address.content_only:
            self._must_have(said, *([BRANCH] if commit else []), "git-annex")

    def _must_have(self, told: str, *branches: str) -> None:
        """Ask whether branches are there: of a bundle that failed git says that all is well."""
        said = git_text(self.path, "ls-remote", self.name, env=NEUTRAL, ok=(0, 128))
        there = {line.partition("\t")[::2] for line in said.splitlines()}
        for branch in branches:
            ref = f"refs/heads/{branch}"
            if (git_text(self.path, "rev-parse", ref), ref) not in there:
                reason = f"`{branch}` did not arrive" + (f" ({in_a_line(told)})" if told else "")
                self.must_answer()
                raise self._full(reason) or NotTaken(
                    f"did not take the git half: {reason}",
                    where=f"sibling '{self.name}'",
                    remedy=f"See what it says: git -C {self.path} push {self.name} {branch}",
                )
