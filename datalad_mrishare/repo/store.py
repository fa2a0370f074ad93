"""What own storage and a release repository have in common: a remote with content.

Each is a repository of this machine (``repo``) with a remote that is the sibling. What is
here asks and moves; what goes there, and where from, is theirs.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from ..errors import NotTaken, RepoError, SiblingError
from .annexbranch import discover_remotes, read_logs, refresh, remote_configs, same_knowledge
from .checksum import Checked, compare_content
from .cloud import CloudPlace
from .contentonly import of_git
from .encrypted import can_read
from .githalf import Half, open_half
from .leftovers import Leftover, leftovers, remove
from .process import complete, failure, git, git_succeeds, git_text
from .remotes import Place, place_of, remotes
from .room import free_bytes
from .ssh import SshPlace
from .transfer import (
    UNREPORTED,
    Moved,
    Progress,
    Ready,
    copy_keys,
    drop_keys,
    keys_present,
    note_presence,
)
from .webhalf import must_answer

#: with fewer bytes free, a push that fails is taken to fail for that
_ROOM_FOR_GIT = 10_000_000
#: seconds without a word, not even of progress, after which nobody waits any longer: git-annex
#: waits for an HTTP server that has fallen silent as long as the connection stands
SILENCE = 600.0
#: seconds for which a host that answered is not asked again
_ANSWERED = 10.0
#: what to do about a working tree that git does not bring up to date (receive.denyCurrentBranch)
_CHANGED = (
    "Somebody changed files there: `git status` in that repository names them; save what is wanted"
    " elsewhere, type `git reset --hard` there, then run this again"
)


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

    @property
    def content_place(self) -> Place | None:
        """The directory that takes the content; where room is looked for."""
        return self.place

    def _half(self) -> Half | None:
        """The git half, opened; None where only git itself can look.

        Raises
        ------
        SiblingError
            When the sibling cannot be reached or written.
        """
        place = self.place
        return None if place is None else open_half(place, self.name)

    def must_answer(self) -> None:
        """Ask whether the sibling can be reached.

        git says why it failed in words of its own, and git-annex takes what does not answer for
        what is not there.

        Raises
        ------
        SiblingError
            In one sentence, when it cannot.
        """
        for place in dict.fromkeys((self.place, self.content_place)):
            if isinstance(place, SshPlace):
                place.of(self.name).run("true", timeout=120)
            elif isinstance(place, Path) and not place.is_dir():
                raise SiblingError(
                    "cannot be reached: there is no such directory",
                    where=f"sibling '{self.name}' at {place}",
                    remedy="Mount or restore it and run this again",
                )
        if self.place is None and self.by_web:
            must_answer(self.repo, self.content_remote, self.env)

    @property
    def by_web(self) -> bool:
        """Whether content goes by ``annex+https``."""
        found = remotes(self.repo).get(self.content_remote)
        return found is not None and "annexurl" in found.settings

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        """When git fails inside, say whose sibling it was, and whether it can be reached."""
        try:
            yield
        except RepoError as exc:
            self.must_answer()
            where = f"sibling '{self.name}' at {self.place or self.url}"
            remedy = exc.remedy or "Mend that (a full disk, a permission), then run this again"
            raise type(exc)(exc.what, where=where, remedy=remedy) from exc

    def _while_it_answers(
        self, moving: Generator[Moved, None, None]
    ) -> Generator[Moved, None, None]:
        """Stop at a failure when the sibling can no longer be reached.

        git-annex would try every other key, and wait for each.
        """
        answered = -_ANSWERED
        with closing(moving):
            for moved in moving:
                if not moved.ok and time.monotonic() - answered > _ANSWERED:
                    self.must_answer()
                    answered = time.monotonic()
                yield moved

    def _learn(self) -> None:
        """Take in what the sibling knows: while it received, it noted things, too."""
        with self._reaching():
            git(self.repo, "fetch", "--quiet", *self._fetching, self.name, env=self.env)
        refresh(self.repo, self.env)

    _fetching: tuple[str, ...] = ()

    def uuid(self) -> str:
        """annex uuid of the repository that holds the sibling's content."""
        found = self.known_uuid()
        if found is None:
            discover_remotes(self.repo, self.env)
            found = self.known_uuid()
        if found is None:
            raise SiblingError(
                "git-annex does not know its uuid",
                where=f"sibling '{self.name}'",
                remedy=f"See what `git -C {self.repo} annex info {self.content_remote}` says",
            )
        return found

    def known_uuid(self) -> str | None:
        """The same where git-annex knows it already; nobody is asked."""
        found = remotes(self.repo).get(self.content_remote)
        return found.uuid if found else None

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

    def tips(self) -> dict[str, str]:
        """The sibling's refs as last seen, and what they are at."""
        seen = (f"refs/remotes/{self.name}/", f"refs/mrishare/copied/{self.name}")
        raw = git_text(self.repo, "for-each-ref", "--format=%(refname) %(objectname)", *seen)
        return dict(line.split(" ", 1) for line in raw.splitlines())

    def send(
        self,
        keys: Sequence[str],
        *,
        jobs: int = 1,
        progress: Progress | None = None,
        reserve: int = 0,
        pass_fds: Sequence[int] = (),
        ready: Ready | None = None,
    ) -> Generator[Moved, None, None]:
        """Copy ``keys`` to the sibling, or as many as ``ready`` hands out."""
        with self._named():
            moving = copy_keys(
                self.repo,
                self.content_remote,
                keys,
                jobs=jobs,
                progress=progress,
                reserve=reserve,
                env=self.env,
                pass_fds=pass_fds,
                silence=self._silence(),
                ready=ready,
            )
            yield from self._unreported_too(self._while_it_answers(moving), there=True)

    def drop(
        self, keys: Sequence[str], pass_fds: Sequence[int] = ()
    ) -> Generator[Moved, None, None]:
        """Drop ``keys`` at the sibling; the caller has made sure that another copy exists."""
        with self._named():
            moving = drop_keys(
                self.repo,
                self.content_remote,
                keys,
                force=True,
                env=self.env,
                pass_fds=pass_fds,
                silence=self._silence(),
            )
            yield from self._unreported_too(self._while_it_answers(moving), there=False)

    def _unreported_too(
        self, moving: Generator[Moved, None, None], *, there: bool
    ) -> Generator[Moved, None, None]:
        """Ask the sibling about keys that git-annex did not report on.

        Of a key that is not UTF-8 it does, by another name (JSON has no bytes). ``there`` says
        whether they are there when all went well.
        """
        left = []
        with closing(moving):
            for moved in moving:
                if moved.note == UNREPORTED:
                    left.append(moved.key)
                else:
                    yield moved
        for key, found in self.check(left).items():
            yield Moved(key, found is there, "" if found is there else UNREPORTED)

    def left_over(self, paths: Iterable[str] = ()) -> list[Leftover]:
        """Parts of content that interrupted transfers left there, where that can be listed.

        Raises
        ------
        SiblingError
            When it could be, and was not.
        """
        place, kind = self.content_place, self._layout()
        if place is None or (isinstance(place, CloudPlace) and kind != "webdav"):
            return []
        with self._named():
            return leftovers(place, kind)

    def remove_left_over(self, found: Sequence[Leftover]) -> dict[str, str]:
        """Remove such parts; the name of each that is still there, with the reason."""
        place = self.content_place
        if place is None or not found:
            return {}
        with self._named():
            return remove(place, found)

    def _layout(self) -> str:
        """How content lies there: as in a git repository, or as a type of special remote has it."""
        kind = self._configuration().get("type", "git")
        return kind if kind in ("directory", "rsync", "webdav") else "git"

    def reads_encrypted(self) -> bool:
        """Whether content is encrypted there, and can be read again from here."""
        return can_read(self._configuration())

    def in_chunks(self) -> bool:
        """Whether each object is kept in several."""
        return not {"chunk", "chunksize"}.isdisjoint(self._configuration())

    def _configuration(self) -> dict[str, str]:
        """Settings of the special remote that has the content; none of a git repository."""
        return remote_configs(self.repo).get(self.known_uuid() or "", {})

    def check(self, keys: Iterable[str]) -> dict[str, bool]:
        """Ask the sibling itself which of ``keys`` it has.

        Raises
        ------
        SiblingError
            When it cannot be asked.
        """
        with self._named():
            silence = self._silence()
            found = keys_present(self.repo, self.content_remote, keys, self.env, silence)
        if not all(found.values()):
            self.must_answer()
        return found

    def _silence(self) -> float | None:
        """How long to wait for a word; others than these may have nothing to tell for long."""
        return SILENCE if isinstance(self.content_place, CloudPlace) or self.by_web else None

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Let what goes wrong on the way name the sibling, not the repository at this end."""
        try:
            yield
        except RepoError as exc:
            where = f"sibling '{self.name}'"
            raise SiblingError(exc.what, where=where, remedy=exc.remedy) from exc

    def compare(self, pass_fds: Sequence[int] = ()) -> list[Checked]:
        """Compare what is there with its checksums; what is damaged is dropped there."""
        remote = self.content_remote
        return list(compare_content(self.repo, remote, env=self.env, pass_fds=pass_fds))

    def note(self, found: Mapping[str, bool]) -> None:
        """Put right what git-annex thinks the sibling has."""
        note_presence(self.repo, self.uuid(), found, self.env)

    def _push(
        self, commit: str | None, *options: str, beside: bool, pass_fds: Sequence[int]
    ) -> str:
        """Push the branch (when there is a commit) and what git-annex knows.

        ``beside``: whether the content is beside the git half, not in it. A git half with an
        annex of its own writes its own git-annex branch. Returns what git said while it did.

        Raises
        ------
        SiblingError
            When the sibling cannot be reached.
        NotTaken
            When it did not arrive.
        """
        self._learn()
        target = "git-annex" if beside else "synced/git-annex"
        refs = [f"refs/heads/git-annex:refs/heads/{target}"]
        if commit:
            refs.insert(0, f"{commit}:refs/heads/{self.branch}")
        # the reserve is for content, and that has been sent
        settings = (
            "annex.diskreserve=0",
            "http.lowSpeedLimit=1",
            f"http.lowSpeedTime={SILENCE:.0f}",
        )
        words = (word for setting in settings for word in ("-c", setting))
        argv = ("git", *words, "push", "--quiet", *options, self.name, *refs)
        with self._reaching():
            done = complete(argv, self.repo, env=self.env, timeout=None, pass_fds=pass_fds)
            if done.returncode:
                failed = failure(argv, self.repo, done.returncode, done.stderr)
                remedy = _CHANGED if b"Working directory has" in done.stderr else failed.remedy
                raise self._full(failed.what) or NotTaken(failed.what, remedy=remedy)
        return done.stderr.decode("utf-8", "replace")

    def _full(self, reason: str) -> NotTaken | None:
        """The error for a git half that there is no room for; None where there is room."""
        free = None if self.place is None else free_bytes(self.place, fresh=True)
        if free is None or free > _ROOM_FOR_GIT:
            return None
        return NotTaken(
            f"has no room for the git half ({free} bytes free there): {reason}",
            where=f"sibling '{self.name}'",
            remedy="Make room there, then run this again: the content that arrived stays there",
        )

    def behind(self) -> bool:
        """Whether the sibling lacks something that our git-annex branch knows."""
        return not same_knowledge(self.repo, self.name)
