"""What a commit holds, read in bulk, and another tree made from it.

Paths are text with undecodable bytes kept as surrogates, as Python's own file
functions do; git is spoken to in NUL-terminated form throughout, so no name can
be mistaken for two.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from sys import intern
from typing import NamedTuple

from .collector import collector_at_rest
from .keys import key_named
from .process import git, git_text, stream

#: pointer files and link targets are shorter; anything longer is content in git
POINTER_LIMIT = 32768

#: a whole pointer file or link target as git-annex writes it: an absolute link, or a line more,
#: would tell something of the machine or hide text
POINTER = re.compile(
    rb"(/annex/objects/(?P<pointer>[^/\n]+)\n?|(\.\./)*\.git/annex/objects/(\w{2,3}/){2}(?P<name>[^/\n]+)/(?P=name)\n?)"
)

LINK, FILE, EXECUTABLE, GITLINK = "120000", "100644", "100755", "160000"


class Entry(NamedTuple):
    """One path of a tree.

    ``oid`` is the blob (or, for a gitlink, the commit); ``key`` the annex key when the
    blob is a pointer or an annex symlink; ``size`` the bytes of a file in
    git (0 for a link or gitlink).
    """

    path: str
    mode: str
    oid: str
    size: int
    key: str | None = None


def encode(path: str) -> bytes:
    """A path as git wants it."""
    return path.encode("utf-8", "surrogateescape")


def decode(raw: bytes) -> str:
    """A path as git gives it."""
    return raw.decode("utf-8", "surrogateescape")


def read_tree(repo: Path, commit: str) -> list[Entry]:
    """Every path of ``commit`` with its annex key, in two processes.

    Returns
    -------
    list of Entry
        In git's order (bytewise by path). Content of files is not read, except of
        links and of files small enough to be pointers.
    """
    with collector_at_rest():
        return _read_tree(repo, commit)


def _read_tree(repo: Path, commit: str) -> list[Entry]:
    found: list[tuple[str, str, str]] = []
    listed = decode(git(repo, "ls-tree", "-r", "-z", "--full-tree", commit)).split("\0")
    # MODE, TYPE and OID, a tab, the path: a mode has six digits
    for line in listed[:-1]:
        tab = line.index("\t")
        found.append((line[tab + 1 :], intern(line[:6]), line[line.rindex(" ", 0, tab) + 1 : tab]))
    # links are short and nobody asks for their size; sizes of the others are cheap to get at once
    sizes = _sizes(repo, dict.fromkeys(oid for _, mode, oid in found if mode in (FILE, EXECUTABLE)))
    # a pointer starts with /annex/objects/ and names a key: 20 bytes at the least
    candidates = [
        oid for _, mode, oid in found if mode == LINK or 20 <= sizes.get(oid, 0) <= POINTER_LIMIT
    ]
    keys: dict[str, str | None] = {}
    for oid, content in read_blobs(repo, dict.fromkeys(candidates)):
        match = POINTER.fullmatch(content)
        if match:
            keys[oid] = key_named(match["name"] or match["pointer"])
    return [
        Entry(path, mode, oid, sizes.get(oid, 0), None if mode == GITLINK else keys.get(oid))
        for path, mode, oid in found
    ]


def _sizes(repo: Path, oids: Iterable[str]) -> dict[str, int]:
    """Bytes of each object."""
    fed = b"".join(f"{oid}\n".encode("ascii") for oid in oids)
    if not fed:
        return {}
    out = git(repo, "cat-file", "--batch-check=%(objectname) %(objectsize)", "--buffer", stdin=fed)
    pairs = (line.split(b" ") for line in out.splitlines())
    return {oid.decode("ascii"): int(size) for oid, size in pairs if size.isdigit()}


def read_blobs(repo: Path, oids: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    """``(oid, content)`` of each object, in the order asked for, by one process."""
    wanted = list(oids)
    if not wanted:
        return
    argv = ("git", "cat-file", "--batch", "--buffer")
    feed = (f"{oid}\n".encode("ascii") for oid in wanted)
    buffer, at = b"", 0
    for chunk in stream(argv, repo, feed=_grouped(feed), sep=None):
        buffer, at = buffer[at:] + chunk, 0
        # OID TYPE SIZE, newline, content, newline; or OID missing
        while (end := buffer.find(b"\n", at)) >= 0:
            words = buffer[at:end].split(b" ")
            if len(words) < 3:
                at = end + 1
                continue
            stop = end + 1 + int(words[2])
            if stop >= len(buffer):
                break
            yield words[0].decode("ascii"), buffer[end + 1 : stop]
            at = stop + 1


def _grouped(lines: Iterable[bytes], count: int = 2000) -> Iterator[bytes]:
    group: list[bytes] = []
    for line in lines:
        group.append(line)
        if len(group) >= count:
            yield b"".join(group)
            group.clear()
    yield b"".join(group)


def write_blobs(repo: Path, contents: Iterable[bytes]) -> list[str]:
    """Store each content as a blob and return the ids in order, by one process."""
    with tempfile.TemporaryDirectory(prefix="mrishare-") as scratch:
        paths = []
        for number, content in enumerate(contents):
            path = Path(scratch, str(number))
            path.write_bytes(content)
            paths.append(os.fspath(path))
        if not paths:
            return []
        fed = "\n".join(paths).encode() + b"\n"
        out = git_text(repo, "hash-object", "-w", "--no-filters", "--stdin-paths", stdin=fed)
    return out.split("\n")


def write_tree(repo: Path, entries: Iterable[tuple[str, str, str]]) -> str:
    """The id of a tree made of ``(mode, oid, path)``, through a temporary index."""
    with tempfile.TemporaryDirectory(prefix="mrishare-") as scratch:
        env = {"GIT_INDEX_FILE": os.path.join(scratch, "index")}
        lines = b"".join(
            f"{mode} {oid}\t".encode("ascii") + encode(path) + b"\0" for mode, oid, path in entries
        )
        git(repo, "update-index", "-z", "--index-info", stdin=lines, env=env)
        return git_text(repo, "write-tree", env=env)
