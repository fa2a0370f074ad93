"""Looking paths and patterns up in trees of any commit, by one process.

Trees are asked for one by one, so that only those on the way to a path are read, and each is
kept: consecutive commits have nearly all of theirs in common. Nothing of the file system
is looked at, so no link leads anywhere.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Iterator
from fnmatch import translate
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import IO, NamedTuple

from ..errors import RepoError
from .commits import ALOOF
from .process import environment, failure, git
from .trees import GITLINK, LINK, decode, encode

DIRECTORY = "40000"
#: bytes of a tree, entries kept, entries looked at for all questions together
_LARGEST_TREE, _KEPT, _MOST = 64 << 20, 4_000_000, 50_000_000
#: what ``ls-tree -z`` prints: mode, type and id, a tab, the path
_LISTED = re.compile(r"(\d{6}) \w+ ([0-9a-f]+)\t([^\0]+)\0")
_LISTED_COMMIT = re.compile(r"(?<![^\0])160000 commit ([0-9a-f]+)\t([^\0]+)\0")
_MAGIC = re.compile(r"[*?[]")


class Found(NamedTuple):
    """What stands at a path of a tree; of a directory all below it is told, not itself."""

    path: str
    mode: str
    oid: str


class TooMuch(Exception):
    """More was asked for than anybody would look through."""


class Trees:
    """The trees of one repository.

    >>> with Trees(repo) as trees:  # doctest: +SKIP
    ...     list(trees.matching(tree, "sub-*/anat"))
    """

    def __init__(self, repo: Path):
        self._repo = repo
        self._argv = ["git", "cat-file", "--batch"]
        self._process: subprocess.Popen[bytes] | None = None
        self._kept: dict[str, dict[str, tuple[str, str]]] = {}
        self._size = self._looked_at = 0

    def __enter__(self) -> Trees:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()

    def entries(self, oid: str) -> dict[str, tuple[str, str]]:
        """Name -> mode and id of all in the tree ``oid``; nothing where it is none or missing.

        No id at all is the tree before the first commit.
        """
        found = self._kept.get(oid) if oid else {}
        if found is None:
            kind, raw = self._read(oid)
            found = _parse(raw, len(oid) // 2) if kind == b"tree" else {}
            if self._size > _KEPT:
                self._kept.clear()
                self._size = 0
            self._kept[oid] = found
            self._size += len(found) + 1
        return found

    def root(self, commit: str) -> str | None:
        """The tree of a commit; None when there is no such commit."""
        kind, raw = self._read(commit)
        line = raw.partition(b"\n")[0]
        return line[5:].decode("ascii") if kind == b"commit" and line[:5] == b"tree " else None

    def _listed(self, oid: str) -> dict[str, tuple[str, str]]:
        found = self.entries(oid)
        self._looked_at += len(found)
        if self._looked_at > _MOST:
            raise TooMuch
        return found

    def at(self, tree: str, path: str) -> tuple[Found, str] | None:
        """What stands at ``path``, and what of the path is left behind a subdataset or link.

        None where nothing stands there. The path is clean: no dot, no double slash.
        """
        if not path:
            return Found("", DIRECTORY, tree), ""
        *parents, last = path.split("/")
        for number, name in enumerate(parents):
            mode, oid = self.entries(tree).get(name, ("", ""))
            if mode != DIRECTORY:
                rest = "/".join((*parents[number + 1 :], last))
                return (Found("/".join(parents[: number + 1]), mode, oid), rest) if mode else None
            tree = oid
        entry = self.entries(tree).get(last)
        return (Found(path, *entry), "") if entry else None

    def below(self, found: Found) -> Iterator[Found]:
        """All files, links and subdatasets below a directory; anything else is itself.

        Raises
        ------
        TooMuch
            When all questions together have come to more than anybody would look through.
        """
        open_ = [found]
        while open_:
            path, mode, oid = one = open_.pop()
            if mode != DIRECTORY:
                yield one
                continue
            prefix = f"{path}/" if path else ""
            open_ += [Found(prefix + name, *e) for name, e in self._listed(oid).items()]

    def matching(self, tree: str, pattern: str) -> Iterator[tuple[Found, str]]:
        """All that a glob pattern matches, with what of it is left behind a subdataset or link.

        As ``glob.glob(pattern, recursive=True)`` of Python, which DataLad uses: names that
        begin with a dot are matched by a dot only, ``**`` means any number of directories.
        """
        parts = _parts(pattern)
        open_ = [(Found("", DIRECTORY, tree), frozenset((0,)))]
        while open_:
            here, states = open_.pop()
            states = _skipping(parts, states)
            if len(parts) in states:
                yield here, ""
            ahead = frozenset(s for s in states if s < len(parts))
            if not ahead:
                continue
            if here.mode in (GITLINK, LINK):
                for state in ahead:
                    yield here, "/".join(parts[state:])
                continue
            if here.mode != DIRECTORY:
                continue
            prefix = f"{here.path}/" if here.path else ""
            for name, entry in self._candidates(here.oid, [parts[s] for s in ahead]):
                reached = {
                    state if parts[state] == "**" else state + 1
                    for state in ahead
                    if _fits(parts[state], name)
                }
                if reached:
                    open_.append((Found(prefix + name, *entry), frozenset(reached)))

    def _candidates(self, oid: str, parts: list[str]) -> list[tuple[str, tuple[str, str]]]:
        if any(is_pattern(part) for part in parts):
            return list(self._listed(oid).items())
        entries = self.entries(oid)
        return [(name, entries[name]) for name in dict.fromkeys(parts) if name in entries]

    def _read(self, oid: str) -> tuple[bytes, bytes]:
        process = self._started()
        assert process.stdin is not None and process.stdout is not None
        try:
            process.stdin.write(oid.encode("ascii") + b"\n")
            process.stdin.flush()
            words = process.stdout.readline().split()
            if len(words) < 3:
                if not words:
                    raise BrokenPipeError
                return b"missing", b""
            size = int(words[2])
            raw = _take(process.stdout, size + 1)
        except BrokenPipeError:
            raise failure(self._argv, self._repo, process.wait(), b"it ended early") from None
        return words[1], raw[:-1]

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            self._process = subprocess.Popen(
                self._argv,
                cwd=self._repo,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=environment(ALOOF),
            )
        return self._process


def _take(source: IO[bytes], size: int) -> bytes:
    if size > _LARGEST_TREE:
        raise RepoError(f"git holds {size} bytes where a directory was expected")
    return source.read(size)


def _parse(raw: bytes, length: int) -> dict[str, tuple[str, str]]:
    """The entries of a tree object: mode, blank, name, NUL, id."""
    found: dict[str, tuple[str, str]] = {}
    at = 0
    while at < len(raw):
        blank = raw.index(b" ", at)
        end = raw.index(b"\0", blank)
        mode = raw[at:blank].decode("ascii", "replace").lstrip("0")
        at = end + 1 + length
        found[decode(raw[blank + 1 : end])] = (mode, raw[end + 1 : at].hex())
    return found


def is_pattern(part: str) -> bool:
    """Whether a path or a part of one has characters with a meaning to glob."""
    return _MAGIC.search(part) is not None


def literal_head(pattern: str) -> tuple[str, str]:
    """The directories that a pattern begins with, and the rest from the first that is none.

    All of a pattern that is none itself.

    >>> literal_head("sub-01/func/*_bold.nii.gz"), literal_head("sub-01/func")
    (('sub-01/func', '*_bold.nii.gz'), ('sub-01/func', ''))
    """
    parts = pattern.split("/")
    first = next((at for at, part in enumerate(parts) if is_pattern(part)), len(parts))
    return "/".join(parts[:first]), "/".join(parts[first:])


def _parts(pattern: str) -> list[str]:
    """The parts of a pattern, ``**`` once where it stands several times in a row."""
    parts: list[str] = []
    for part in pattern.split("/"):
        if part and not (part == "**" and parts and parts[-1] == "**"):
            parts.append(part)
    return parts


def _skipping(parts: list[str], states: frozenset[int]) -> frozenset[int]:
    """``**`` may also stand for nothing."""
    reached = set(states)
    for state in states:
        while state < len(parts) and parts[state] == "**":
            state += 1
            reached.add(state)
    return frozenset(reached)


@lru_cache(maxsize=1 << 12)
def _expression(part: str) -> re.Pattern[str]:
    return re.compile(translate(part))


def _fits(part: str, name: str) -> bool:
    if not is_pattern(part):
        return part == name
    if name.startswith(".") and not part.startswith("."):
        return False
    return part == "**" or _expression(part).match(name) is not None


class Listing:
    """Every file, link and subdataset of a commit, as text: most of it is not looked at."""

    def __init__(self, repo: Path, commit: str | None):
        argv = ("ls-tree", "-r", "-z", "--full-tree")
        self._text = decode(git(repo, *argv, commit, env=ALOOF)) if commit else ""

    def __iter__(self) -> Iterator[Found]:
        return (Found(path, mode, oid) for mode, oid, path in _LISTED.findall(self._text))

    def subdatasets(self) -> list[Found]:
        """Those that are subdatasets."""
        if "160000 commit " not in self._text:  # an expression takes a hundred times as long
            return []
        found = _LISTED_COMMIT.findall(self._text)
        return [Found(path, GITLINK, oid) for oid, path in found]

    def json_files(self) -> list[Found]:
        """Files in git whose name ends in ``.json``."""
        text, end, found = self._text, 0, list[Found]()
        while (at := text.find(".json\0", end)) >= 0:
            begin = text.rfind("\0", end, at) + 1 or end
            end = at + len(".json\0")
            mode, oid, path = _LISTED.match(text, begin).groups()  # type: ignore[union-attr]
            if mode.startswith("100"):
                found.append(Found(path, mode, oid))
        return found


def look_up(repo: Path, asked: Iterable[tuple[str, str]]) -> dict[tuple[str, str], tuple[str, str]]:
    """Tree and path -> kind and id of what stands there, for many at once, by one process.

    What is not there, or only in a subdataset, or has an odd name, is left out: ask
    :class:`Trees`. Links are not followed.
    """
    # in batch mode a name ends with its line, and git takes a carriage return for part of that
    pairs = [p for p in asked if all(p) and "\n" not in p[1] and not p[1].endswith("\r")]
    if not pairs:
        return {}
    fed = b"".join(f"{tree}:".encode("ascii") + encode(path) + b"\n" for tree, path in pairs)
    form = "--batch-check=%(objecttype) %(objectname)"
    lines = git(repo, "cat-file", form, "--buffer", stdin=fed, env=ALOOF, timeout=None).split(b"\n")
    found = {}
    for pair, line in zip(pairs, lines, strict=False):
        kind, _, oid = line.partition(b" ")
        if kind in (b"blob", b"tree") and len(oid) == len(pair[0]):
            found[pair] = (kind.decode("ascii"), oid.decode("ascii"))
    return found
