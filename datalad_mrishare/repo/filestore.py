"""A store whose sibling may hold files under their own names (``exporttree=yes``).

Content goes there, and leaves, by exporting another tree: the part of what was staged whose
content is there or is just being sent. Everything else is as for any other store.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Generator, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from ..errors import NotTaken, RepoError
from .annexbranch import refresh
from .checksum import Checked
from .exporting import (
    compare_files,
    export,
    exported,
    interrupted,
    part,
    with_last_copies,
)
from .leftovers import Leftover, is_part_of
from .lending import Lender, NoRoom
from .process import git, git_succeeds
from .store import Store
from .transfer import UNREPORTED, Moved, Progress, Ready
from .trees import Entry, read_tree, write_tree


class FileStore(Store):
    """The way to a sibling that holds keys, or a tree of files (``of_files``)."""

    @property
    @abstractmethod
    def of_files(self) -> bool:
        """Whether files lie there under their own names."""

    def _layout(self) -> str:
        return "files" if self.of_files else super()._layout()

    def _lending(self, keys: Sequence[str]) -> AbstractContextManager[int]:
        """Have the content of as many ``keys`` as there is room for in this repository while
        they are sent, beginning with the first; how many they are.
        """
        return nullcontext(len(keys))

    def _lender(self) -> Lender | None:
        """What lends this repository the content of keys as they are sent; None if it has it."""
        return None

    def _give_back(self, key: str | None) -> None:
        """The content of ``key`` is needed here no more; that of none, for None."""

    @property
    def _staged_tree(self) -> str:
        """The ref of the tree that is to lie there in the end."""
        return f"refs/mrishare/files/{self.name}"

    def stage(self, entries: Iterable[tuple[str, str, str]]) -> None:
        """Say what is to lie there in the end: ``(mode, oid, path)``."""
        git(self.repo, "update-ref", self._staged_tree, write_tree(self.repo, entries))

    def staged(self) -> list[Entry]:
        """What is to lie there in the end."""
        if not git_succeeds(self.repo, "rev-parse", "-q", "--verify", self._staged_tree):
            return []
        return read_tree(self.repo, self._staged_tree)

    def exported(self) -> list[Entry]:
        """The files that were put there last."""
        return exported(self.repo, self.uuid())

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
        """Copy ``keys`` to the sibling; into a tree of files by exporting one with them."""
        if self.of_files:
            yield from self._send_files(keys, reserve, pass_fds)
            return
        how: Any = {"jobs": jobs, "progress": progress, "reserve": reserve, "pass_fds": pass_fds}
        left = list(keys)
        while left:
            lender, told = self._lender(), set[str]()
            if lender is None:
                yield from super().send(left, **how)
                return
            try:
                for moved in super().send(left, ready=lender, **how):
                    self._give_back(moved.key)
                    told.add(moved.key)
                    yield moved
            finally:
                try:
                    lender.end()
                finally:
                    self._give_back(None)
            # where there was no more room for a copy there is some again, if there was any
            again = lender.count if isinstance(lender.error, NoRoom) else 0
            if lender.error and not again:
                raise lender.error
            for key in left[: again or None]:
                if key not in told:
                    yield Moved(key, False, UNREPORTED)
            left = left[again:] if again else []

    def _send_files(
        self, keys: Sequence[str], reserve: int, pass_fds: Sequence[int]
    ) -> Generator[Moved, None, None]:
        """Export what is staged as far as its content is there or among ``keys``."""
        asked, failed = dict.fromkeys(keys), {}
        if not asked:
            return
        entries = self._to_lie_there({*self.present(), *keys})
        for moved in self._export(entries, reserve, pass_fds):
            if not moved.ok:
                failed[moved.key] = moved.note
        there = self._believe(asked)
        for key in asked:
            note = failed.get(key, "" if there[key] else "it was not exported")
            yield Moved(key, not note, note)

    def _to_lie_there(self, keys: Collection[str]) -> list[Entry]:
        """What is staged, as far as it has one of ``keys``, and last copies."""
        staged, before = self.staged(), part(self.exported(), self.present())
        known = {entry.key for entry in staged}
        return with_last_copies(part(staged, keys), [e for e in before if e.key not in known])

    def _export(
        self, entries: Sequence[Entry], reserve: int = 0, pass_fds: Sequence[int] = ()
    ) -> Generator[Moved, None, None]:
        """Let these and no other files lie there."""
        before = {(e.path, e.key) for e in self.exported()}
        present = self.present()
        # of what it was renaming git-annex removes a part, and has to send it anew
        halfway = interrupted(self.repo, self.uuid())
        moving = {part.key for part in self.left_over()} if halfway else set()
        new = {
            e.key
            for e in entries
            if (e.path, e.key) not in before or e.key not in present or e.key in moving
        }
        wanted = [key for key in new if key]
        with self._lending(wanted) as lent:
            if lent < len(wanted):
                raise RepoError(
                    "has no room for a copy of all that is to lie there",
                    where=str(self.repo),
                    remedy="Make room on that file system and run this again",
                )
            yield from export(
                self.repo,
                self.content_remote,
                entries,
                reserve=reserve,
                env=self.env,
                pass_fds=pass_fds,
            )
        if halfway:
            self._believe({e.key for e in entries if e.key})
            self.remove_left_over(self.left_over())

    def _believe(self, keys: Iterable[str]) -> dict[str, bool]:
        """Which of ``keys`` the sibling says it has; where the log says else, it is put right.

        What a killed git-annex had renamed, and not written down, the next one takes for lost,
        finds under its new name, and still does not write down.
        """
        found = self.check(keys)
        present = self.present()
        self.note({key: there for key, there in found.items() if there != (key in present)})
        return found

    def left_over(self, paths: Iterable[str] = ()) -> list[Leftover]:
        """Parts of content that interrupted transfers left there.

        Among files of others only what is a part of a known file: one that lies there, is to
        lie there, or is one of ``paths``.
        """
        found = super().left_over()
        if not self.of_files or not found:
            return found
        known = {*paths, *(entry.path for entry in (*self.exported(), *self.staged()))}
        beside: dict[str, list[str]] = {}
        for path in known:
            beside.setdefault(path.rpartition("/")[0], []).append(path)
        return [
            part
            for part in found
            if part.name not in known
            and (
                part.key
                or any(
                    is_part_of(part.name, path)
                    for path in beside.get(part.name.rpartition("/")[0], ())
                )
            )
        ]

    def drop(
        self, keys: Sequence[str], pass_fds: Sequence[int] = ()
    ) -> Generator[Moved, None, None]:
        """Drop ``keys`` at the sibling: from a tree of files by exporting one without them."""
        if not self.of_files:
            yield from super().drop(keys, pass_fds)
            return
        if not keys:
            return
        left = [e for e in self.exported() if e.key not in {*keys}]
        notes = [m.note for m in self._export(left, pass_fds=pass_fds) if not m.ok]
        for key, there in self.check(keys).items():
            yield Moved(key, not there, "; ".join(notes) if there else "")

    def note(self, found: Mapping[str, bool]) -> None:
        """Put right what git-annex thinks the sibling has; what lies there goes by that."""
        super().note(found)
        if self.of_files and found:
            refresh(self.repo, self.env)

    def compare(self, pass_fds: Sequence[int] = ()) -> list[Checked]:
        """Compare what is there with its checksums; what is damaged is dropped there."""
        if not self.of_files or not isinstance(self.place, Path):
            return super().compare(pass_fds)
        found = list(compare_files(self.place, part(self.exported(), self.present())))
        self.note({c.key: False for c in found if not c.ok})
        return found

    def _push_files(self, pass_fds: Sequence[int] = ()) -> None:
        """Put there what has no content of its own to wait for, where files lie.

        Raises
        ------
        NotTaken
            When the sibling does not take it.
        """
        if not self.of_files:
            return
        entries = self._to_lie_there(self.present())
        failed = [m for m in self._export(entries, pass_fds=pass_fds) if not m.ok]
        if failed:
            reason = f"{failed[0].key} did not arrive ({failed[0].note})"
            raise self._full(reason) or NotTaken(
                f"did not take all files: {reason}",
                where=f"sibling '{self.name}'",
                remedy="Mend that and publish again",
            )
