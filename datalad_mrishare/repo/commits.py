"""Every commit there is, and what each made of which path.

Three processes, whatever the number of commits: ``rev-list`` for the graph, ``cat-file`` for
the commits themselves, ``diff-tree`` for what changed. They are plumbing, so no setting of
the user's changes what they print, and they read objects, so no attribute, filter, driver
or hook is looked at. Replace refs and grafts are put aside, and nothing is fetched that is
missing.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from ..errors import RepoError
from .pipes import grouped
from .process import git, git_text, stream
from .trees import decode, object_sizes, read_blobs

#: no graft, no fetching of what is missing (git(1); the second is for git < 2.44)
ALOOF = {
    "GIT_GRAFT_FILE": os.devnull,
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_ALLOW_PROTOCOL": "none",
}
#: bytes of a commit; larger ones are told without their message
LARGEST_COMMIT = 32 << 20

#: git-annex's own: its branch, and what it exchanges with others under that name
_APART = ("refs/heads/git-annex", "refs/heads/synced/", "refs/heads/adjusted/")
_ZERO = re.compile("0+")
_TIME = re.compile(rb" (\d{1,12}) ([+-]\d{4})$")


class Commit(NamedTuple):
    """A commit; ``message`` is None when it is too long, ``seconds`` are those since 1970."""

    id: str
    parents: tuple[str, ...]
    tree: str
    seconds: int
    message: bytes | None


class Change(NamedTuple):
    """What a commit made of a path, ``before`` being the ids there in each of its parents.

    Of a merge only paths are told that are different from those in every parent.
    """

    path: str
    mode: str
    oid: str
    before: tuple[str, ...]


def branch_tips(repo: Path) -> dict[str, str]:
    """Ref -> commit, for all branches and tags, those of remotes included.

    Without those of git-annex. An adjusted branch stands for the one it was made from,
    where that is; otherwise it stands for itself.
    """
    form = "--format=%(refname)%00%(objectname)%00%(objecttype)%00%(*objectname)%00%(*objecttype)"
    places = ("refs/heads", "refs/tags", "refs/remotes")
    raw = git(repo, "for-each-ref", form, *places, env=ALOOF)
    found: dict[str, str] = {}
    adjusted: dict[str, str] = {}
    for line in raw.decode("utf-8", "surrogateescape").splitlines():
        name, oid, kind, inner, inner_kind = line.split("\0")
        commit = oid if kind == "commit" else inner if inner_kind == "commit" else None
        if commit is None or name.endswith("/git-annex") or "/synced/" in name:
            continue
        (adjusted if name.startswith(_APART[2]) else found)[name] = commit
    for name, commit in adjusted.items():
        origin = name.removeprefix(_APART[2]).rpartition("(")[0]
        if f"refs/heads/{origin}" not in found:
            found[name] = commit
    if not _on_adjusted(repo):
        head = git_text(repo, "rev-parse", "-q", "--verify", "HEAD^0", ok=(0, 1), env=ALOOF)
        if head:
            found["HEAD"] = head
    return found


def _on_adjusted(repo: Path) -> bool:
    head = git_text(repo, "symbolic-ref", "-q", "HEAD", ok=(0, 1))
    return head.startswith(_APART[2])


def is_ancestral(repo: Path, older: Collection[str], newer: Collection[str]) -> bool:
    """Whether every commit of ``older`` still stands behind some of ``newer``."""
    fed = "".join(f"{oid}\n" for oid in older) + "".join(f"^{oid}\n" for oid in newer)
    argv = ("rev-list", "--max-count=1", "--stdin", "--ignore-missing")
    if set(older) <= set(newer):
        return True
    try:
        known = git(repo, "cat-file", "--batch-check", stdin=_lines(older), env=ALOOF)
        return b"missing" not in known and not git(repo, *argv, stdin=fed.encode(), env=ALOOF)
    except RepoError:
        return False


def is_partial(repo: Path) -> bool:
    """Whether git was told to do without some of the objects until somebody needs them."""
    names = r"^(extensions\.partialclone|remote\..*\.promisor)$"
    return bool(git(repo, "config", "--get-regexp", names, ok=(0, 1), env=ALOOF))


def shallow_commits(repo: Path) -> frozenset[str]:
    """Commits whose parents are not here because the clone is shallow."""
    place = git_text(repo, "rev-parse", "--git-path", "shallow")
    try:
        return frozenset((repo / place).read_text("ascii", "replace").split())
    except OSError:
        return frozenset()


def list_commits(
    repo: Path, tips: Iterable[str], without: Iterable[str] = ()
) -> list[tuple[str, tuple[str, ...]]]:
    """``(id, parents)`` of every commit behind ``tips``, parents first.

    Raises
    ------
    RepoError
        When some of the history is missing.
    """
    fed = "".join(f"{oid}\n" for oid in tips) + "".join(f"^{oid}\n" for oid in without)
    argv = ("rev-list", "--parents", "--topo-order", "--reverse", "--stdin")
    lines = git(repo, *argv, stdin=fed.encode("ascii"), env=ALOOF, timeout=None)
    words = (line.split(" ") for line in lines.decode("ascii").splitlines())
    return [(first, tuple(rest)) for first, *rest in words]


def read_commits(repo: Path, listed: Iterable[tuple[str, tuple[str, ...]]]) -> Iterator[Commit]:
    """The commits themselves, in the order given."""
    parents = dict(listed)
    sizes = object_sizes(repo, parents, ALOOF)
    short = (oid for oid in parents if sizes.get(oid, 0) <= LARGEST_COMMIT)
    found = dict(read_blobs(repo, short, ALOOF))
    for oid, known in parents.items():
        if oid in found:
            head, _, message = found[oid].partition(b"\n\n")
            lines = head.split(b"\n")
            tree = lines[0].removeprefix(b"tree ").decode("ascii", "replace")
            yield Commit(oid, known, tree, _committed(lines), message)
        else:
            tree = git_text(repo, "rev-parse", f"{oid}^{{tree}}", env=ALOOF)
            yield Commit(oid, known, tree, 0, None)


def _committed(lines: Iterable[bytes]) -> int:
    for line in lines:
        if line.startswith(b"committer "):
            match = _TIME.search(line)
            return int(match[1]) if match else 0
    return 0


def read_changes(
    repo: Path, listed: Iterable[tuple[str, tuple[str, ...]]]
) -> Iterator[tuple[str, list[Change]]]:
    """What each commit changed, in the order given; those that changed nothing are left out.

    Of a commit without parents everything in it is told.
    """
    shown = ("--root", "-r", "-c", "--raw", "-z", "--no-abbrev", "--no-renames", "--no-ext-diff")
    # diff-tree looks into the index, and would ask a program of the repository's what changed
    begin = ("git", "-c", "core.fsmonitor=false", "diff-tree", "--stdin")
    argv = (*begin, "--ignore-submodules=none", *shown)
    feed = (" ".join((oid, *parents)).encode("ascii") + b"\n" for oid, parents in listed)
    at, changes = "", list[Change]()
    words = iter(stream(argv, repo, feed=grouped(feed, 500), sep=b"\0", env=ALOOF))
    for word in words:
        if not word.startswith(b":"):
            if changes:
                yield at, changes
            at, changes = word.decode("ascii"), []
            continue
        # a colon for each parent; modes there and here; ids there and here; letters; then the path
        told = word.decode("ascii").lstrip(":").split(" ")
        count = len(told) // 2
        modes, oids = told[:count], told[count:-1]
        path = next(words)
        if not _ZERO.fullmatch(oids[-1]):
            changes.append(Change(decode(path), modes[-1], oids[-1], tuple(oids[:-1])))
    if changes:
        yield at, changes


def _lines(oids: Iterable[str]) -> bytes:
    return b"".join(f"{oid}\n".encode("ascii") for oid in oids)


def committed_file(repo: Path, commit: str, path: str, env: Mapping[str, str] = ALOOF) -> bytes:
    """A file at a commit; empty when there is none."""
    return git(repo, "cat-file", "blob", f"{commit}:{path}", ok=(0, 128), env=env)
