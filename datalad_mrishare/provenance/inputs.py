"""What the inputs of a run were: patterns of a record, looked up in the tree it started from.

A run changes the tree of its first parent, so that is where its inputs were. What cannot be
found there, leads out of the dataset, or is in a subdataset that is not here is told with
the reason, and never left out: a run whose input nobody knows made nobody knows what.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import NamedTuple

from ..repo.contents import Contents
from ..repo.trees import GITLINK, LINK
from ..repo.treewalk import DIRECTORY, Found, TooMuch, Trees, is_pattern, literal_head
from .activities import IN_GIT
from .records import Record, in_dataset, is_software

#: links met on the way from one, and patterns that go on behind links
_LINKS, _DEEPEST = 1000, 8
#: links that patterns of one run are followed through, and those of all runs together
_MOST_LINKS, _LINKS_OF_ALL = 20_000, 3_000_000
#: contents that all runs together may have used, the same ones counted once
MOST_INPUTS = 20_000_000


class Elsewhere(NamedTuple):
    """An input in a subdataset: its path, its commit at the time, and the pattern in it.

    ``of`` is the whole pattern when it must mean something in one of the subdatasets that it
    leads into, empty when it meant something already.
    """

    subdataset: str
    commit: str
    pattern: str
    of: str = ""


_Place = Found | Elsewhere | None
"""A file, link or subdataset; what is in a subdataset; what leads out of the dataset."""


class Wanted(NamedTuple):
    """What a run asks of the tree it started from: clean patterns, what led out, its tools."""

    tree: str
    patterns: tuple[str, ...]
    lost: tuple[str, ...]
    software: tuple[str, ...]


class Inputs(NamedTuple):
    """What became of it: blobs, what is in subdatasets, and why something is not known."""

    blobs: tuple[str, ...]
    elsewhere: tuple[Elsewhere, ...]
    why: str


def wanted(record: Record, tree: str, images: Iterable[str] = ()) -> Wanted:
    """The inputs of a record as clean patterns."""
    patterns: dict[str, None] = {}
    lost: list[str] = []
    software: list[str] = []
    for extra, given in (
        *((False, one) for one in record.inputs),
        *((True, one) for one in record.extra_inputs),
    ):
        path = in_dataset(record.pwd, given)
        if path is None:
            lost.append(given)
        elif extra and is_software(path, images):
            software.append(path)
        else:
            patterns[path] = None
    return Wanted(tree, tuple(patterns), tuple(lost), tuple(software))


def missing_input(pattern: str) -> str:
    """Why a run is opaque whose input is nowhere."""
    return f"its input '{pattern}' was not in the dataset when it was run"


class Resolver:
    """Looks inputs up in one repository.

    Parameters
    ----------
    found : mapping
        What :func:`~datalad_mrishare.repo.treewalk.look_up` found of them already.
    """

    def __init__(
        self,
        trees: Trees,
        contents: Contents,
        found: dict[tuple[str, str], tuple[str, str]],
    ):
        self._trees, self._contents, self._found = trees, contents, found
        self._left, self._steps, self._links = MOST_INPUTS, _MOST_LINKS, _LINKS_OF_ALL
        # directory and pattern in it -> blobs; None where it takes the whole tree to tell
        self._plain: dict[tuple[str, str], tuple[str, ...] | None] = {}
        self._looked: dict[tuple[str, str], Inputs] = {}
        self._together: dict[tuple[tuple[str, str], ...], tuple[str, ...]] = {}

    def resolve(self, asked: Wanted) -> Inputs:
        """The inputs of one run; ``why`` tells also of a pattern that means nothing anywhere."""
        lost = f"its input '{asked.lost[0]}' is not in the dataset" if asked.lost else ""
        self._steps = _MOST_LINKS
        try:
            plain = self._all_plain(asked)
            return self._resolved(asked, lost) if plain is None else Inputs(plain, (), lost)
        except TooMuch:
            if self._steps >= 0 or self._links < 0:
                self._left = -1
            return Inputs((), (), "it has more inputs than can be followed")

    def _resolved(self, asked: Wanted, why: str) -> Inputs:
        blobs: dict[str, None] = {}
        elsewhere: dict[Elsewhere, None] = {}
        for pattern in asked.patterns:
            there: dict[Elsewhere, None] = {}
            found = self._one(asked.tree, pattern)
            self._spend(len(found))
            complete = self._sort(asked.tree, found, blobs, there)
            nothing = all(isinstance(one, Elsewhere) for one in found)
            elsewhere.update((one._replace(of=pattern if nothing else ""), None) for one in there)
            if not found or not complete:
                why = why or missing_input(pattern)
        return Inputs(tuple(blobs), tuple(elsewhere), why)

    def _spend(self, count: int) -> None:
        self._left -= count
        if self._left < 0:
            raise TooMuch

    def _all_plain(self, asked: Wanted) -> tuple[str, ...] | None:
        """The blobs of a run that used nothing but files of directories; else None.

        Many runs use the same directories, which stay what they are from commit to commit:
        each is looked at once, and the same blobs are the same tuple.
        """
        parts = []
        for pattern in asked.patterns:
            head, rest = literal_head(pattern)
            directory = self._directory(asked.tree, head)
            if directory is None or self._plainly(directory, rest) is None:
                return None
            parts.append((directory, rest))
        key = tuple(parts)
        found = self._together.get(key)
        if found is None:
            every = [self._plain[part] or () for part in key]
            found = every[0] if len(every) == 1 else tuple(dict.fromkeys(chain(*every)))
            self._spend(len(found))
            self._together[key] = found
        return found

    def _directory(self, tree: str, path: str) -> str | None:
        kind, oid = self._found.get((tree, path), ("", ""))
        if not kind:
            at, rest = self._trees.at(tree, path) or (None, "")
            return at.oid if at and at.mode == DIRECTORY and not rest else None
        return oid if kind == "tree" else None

    def _plainly(self, directory: str, rest: str) -> tuple[str, ...] | None:
        """What a pattern means in a directory; None when nothing, or more than its own files."""
        key = (directory, rest)
        if key in self._plain:
            return self._plain[key]
        below = Found("", DIRECTORY, directory)
        found = self._one(directory, rest) if rest else [*self._trees.below(below)]
        files = [one for one in found if isinstance(one, Found) and one.mode != GITLINK]
        self._contents.learn((one.mode, one.oid) for one in files)
        contents = (self._contents.of(one.oid) for one in files)
        odd = any(content.missing or content.target is not None for content in contents)
        plain = bool(files) and len(files) == len(found) and not odd
        self._plain[key] = tuple(dict.fromkeys(one.oid for one in files)) if plain else None
        return self._plain[key]

    def look(self, tree: str, pattern: str) -> Inputs:
        """The same of one pattern, which may mean nothing."""
        found = self._looked.get((tree, pattern))
        if found is None:
            found = self.resolve(Wanted(tree, (pattern,), (), ()))
            if not (found.blobs or found.elsewhere) and found.why == missing_input(pattern):
                found = found._replace(why="")
            self._looked[tree, pattern] = found
        return found

    def _one(self, tree: str, pattern: str) -> list[_Place]:
        """All that one pattern means, None for what leads out; nothing where it means nothing."""
        known = self._found.get((tree, pattern))
        if known is not None and not is_pattern(pattern):
            kind, oid = known
            if kind == "tree":
                return [*self._trees.below(Found(pattern, DIRECTORY, oid))]
            self._contents.learn([("100644", oid)])
            if self._contents.of(oid).target is None:
                return [Found(pattern, "100644", oid)]
        found: list[_Place] = []
        # links lead on to other patterns, and different ways to the same one
        open_, seen = [(pattern, 0)], {pattern}
        while open_:
            at, links = open_.pop()
            for more in self._matching(tree, at, found) if is_pattern(at) else ():
                if more is None or links > _DEEPEST:
                    found.append(None)
                elif more not in seen:
                    seen.add(more)
                    open_.append((more, links + 1))
            found += self._literal(tree, at)
        return list(dict.fromkeys(found))

    def _matching(self, tree: str, pattern: str, found: list[_Place]) -> Iterator[str | None]:
        """Patterns that links on the way lead to, None for out of it; the others are ``found``."""
        matching = [*self._trees.matching(tree, pattern)]
        self._contents.learn((at.mode, at.oid) for at, _ in matching if at.mode == LINK)
        for at, rest in matching:
            if at.mode == GITLINK:
                found.append(Elsewhere(at.path, at.oid, rest))
            elif not rest:
                found += self._trees.below(at)
            elif (target := self._contents.of(at.oid).target) is not None:
                self._steps -= 1
                self._links -= 1
                if self._steps < 0 or self._links < 0:
                    raise TooMuch
                yield in_dataset(posixpath.dirname(at.path), posixpath.join(target, rest))

    def _literal(self, tree: str, path: str) -> list[_Place]:
        at = self._trees.at(tree, path)
        if at is None:
            return []
        found, rest = at
        if found.mode == GITLINK:
            return [Elsewhere(found.path, found.oid, rest)]
        if not rest:
            return [*self._trees.below(found)]
        # on the way there is a file, or a link that leads on
        self._contents.learn([(found.mode, found.oid)])
        leads_on = found.mode == LINK and self._contents.of(found.oid).target is not None
        return [found._replace(path=f"{found.path}/{rest}")] if leads_on else []

    def _sort(
        self,
        tree: str,
        found: Sequence[_Place],
        blobs: dict[str, None],
        elsewhere: dict[Elsewhere, None],
    ) -> bool:
        """Put what was found where it belongs; False when something, or all, leads nowhere."""
        self._contents.learn((f.mode, f.oid) for f in found if isinstance(f, Found))
        complete = True
        for one in found:
            if one is None:
                complete = False
            elif isinstance(one, Elsewhere):
                elsewhere[one] = None
            elif one.mode == GITLINK:
                elsewhere[Elsewhere(one.path, one.oid, "")] = None
            elif one.mode == LINK and self._contents.of(one.oid).target is not None:
                blobs[one.oid] = None
                complete &= self._follow(tree, one, blobs, elsewhere)
            else:
                complete &= not self._contents.of(one.oid).missing
                blobs[one.oid] = None
        return complete

    def _follow(
        self,
        tree: str,
        link: Found,
        blobs: dict[str, None],
        elsewhere: dict[Elsewhere, None],
    ) -> bool:
        """What a link leads to, link by link, within the tree."""
        complete = False  # a link that leads back to itself leads nowhere
        for end in self._ends(tree, link):
            if end is None:
                return False
            complete = True
            if isinstance(end, Elsewhere):
                elsewhere[end] = None
            elif end.mode == GITLINK:
                elsewhere[Elsewhere(end.path, end.oid, "")] = None
            else:
                blobs[end.oid] = None
        return complete

    def _ends(self, tree: str, link: Found) -> Iterator[_Place]:
        open_, seen = [link], {link.path}
        while open_:
            at = open_.pop()
            self._contents.learn([(at.mode, at.oid)])
            target = self._contents.of(at.oid).target if at.mode == LINK else None
            if target is None:
                yield at
                continue
            # what is behind a link to a directory was put behind the path of the link
            place = self._trees.at(tree, at.path)
            rest = place[1] if place else ""
            here = at.path.removesuffix(f"/{rest}") if rest else at.path
            path = in_dataset(posixpath.dirname(here), posixpath.join(target, rest))
            ends = self._literal(tree, path) if path is not None else []
            if not ends or len(seen) > _LINKS:
                yield None
                return
            self._contents.learn((end.mode, end.oid) for end in ends if isinstance(end, Found))
            for end in ends:
                if (
                    not (isinstance(end, Found) and end.mode == LINK)
                    or self._contents.of(end.oid).target is None
                ):
                    yield end
                elif end.path not in seen:
                    seen.add(end.path)
                    open_.append(end)


def node_of(oid: str, contents: Contents) -> str:
    """The name of a content in the lineage."""
    return contents.of(oid).key or IN_GIT + oid
