"""What a commit holds, read in bulk, and another tree made from it.

Paths are text with undecodable bytes kept as surrogates, as Python's own file
functions do; git is spoken to in NUL-terminated form throughout, so no name can
be mistaken for two.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from sys import intern
from typing import NamedTuple

from .collector import collector_at_rest
from .keys import key_named
from .pipes import grouped
from .process import git, git_text, stream
from .remembered import WORTHWHILE, recall, remember

#: pointer files and link targets are shorter; anything longer is content in git
POINTER_LIMIT = 32768

#: a whole pointer file or link target as git-annex writes it: an absolute link, or a line more,
#: would tell something of the machine or hide text
POINTER = re.compile(
    rb"(/annex/objects/(?P<pointer>[^/\n]+)\n?|(\.\./)*\.git/annex/objects/(\w{2,3}/){2}(?P<name>[^/\n]+)/(?P=name)\n?)"
)

#: what ``ls-tree -z`` prints: mode, type and id, a tab, the path
_LISTED = re.compile(r"(\d{6}) \w+ ([0-9a-f]+)\t([^\0]+)\0")

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

    @property
    def is_file(self) -> bool:
        """Whether it is neither a link nor a subdataset."""
        return self.mode in (FILE, EXECUTABLE)


def encode(path: str) -> bytes:
    """A path as git wants it."""
    return path.encode("utf-8", "surrogateescape")


def decode(raw: bytes) -> str:
    """A path as git gives it."""
    return raw.decode("utf-8", "surrogateescape")


def hasher_of_blob(oid: str, size: int) -> hashlib._Hash:
    """A fresh hash object for a content of ``size`` bytes, as git makes ids like ``oid``.

    >>> digest = hasher_of_blob("0" * 40, 3)
    >>> digest.update(b"hi\\n")
    >>> digest.hexdigest()
    '45b983be36b73c0788dc9cbcb76cbb80fc7bb057'
    """
    made = hashlib.sha256 if len(oid) == 64 else hashlib.sha1
    return made(b"blob %d\0" % size, usedforsecurity=False)


def read_tree(repo: Path, commit: str, memory: Path | None = None) -> list[Entry]:
    """Every path of ``commit`` with its annex key, in two processes.

    Parameters
    ----------
    memory : Path, optional
        A private file that keeps links for the next time; see ``remembered``.

    Returns
    -------
    list of Entry
        In git's order (bytewise by path). Content of files is not read, except of
        links and of files small enough to be pointers.
    """
    with collector_at_rest():
        return _read_tree(repo, commit, memory)


def _read_tree(repo: Path, commit: str, memory: Path | None) -> list[Entry]:
    # one run of an expression in C: a loop over lines takes three times as long
    listed = _LISTED.findall(decode(git(repo, "ls-tree", "-r", "-z", "--full-tree", commit)))
    found = [(path, intern(mode), oid) for mode, oid, path in listed]
    # links are short and nobody asks for their size; sizes of the others are cheap to get at once
    sizes = object_sizes(
        repo, dict.fromkeys(oid for _, mode, oid in found if mode in (FILE, EXECUTABLE))
    )
    # a pointer starts with /annex/objects/ and names a key: 20 bytes at the least
    candidates = [
        oid for _, mode, oid in found if mode == LINK or 20 <= sizes.get(oid, 0) <= POINTER_LIMIT
    ]
    keys = _keys(repo, dict.fromkeys(candidates), memory)
    return [
        Entry(path, mode, oid, sizes.get(oid, 0), (mode != GITLINK and keys.get(oid)) or None)
        for path, mode, oid in found
    ]


def _keys(repo: Path, oids: dict[str, None], memory: Path | None) -> dict[str, str]:
    """The key that each blob names; empty for one that names none."""
    if memory is None or len(oids) < WORTHWHILE:
        return dict(_read_keys(repo, oids))
    known = recall(memory)
    missing = [oid for oid in oids if oid not in known]
    known.update(_read_keys(repo, missing))
    if len(missing) > WORTHWHILE:
        remember(memory, {oid: known[oid] for oid in oids if oid in known})
    return known


def _read_keys(repo: Path, oids: Iterable[str]) -> Iterator[tuple[str, str]]:
    pointer = POINTER.fullmatch
    for oid, content in read_blobs(repo, oids):
        match = pointer(content)
        yield oid, (match and key_named(match["name"] or match["pointer"])) or ""


def object_sizes(
    repo: Path, oids: Iterable[str], env: Mapping[str, str] | None = None
) -> dict[str, int]:
    """Bytes of each object that is there."""
    fed = b"".join(f"{oid}\n".encode("ascii") for oid in oids)
    if not fed:
        return {}
    out = git(
        repo,
        "cat-file",
        "--batch-check=%(objectname) %(objectsize)",
        "--buffer",
        stdin=fed,
        env=env,
    )
    pairs = (line.split(b" ") for line in out.splitlines())
    return {oid.decode("ascii"): int(size) for oid, size in pairs if size.isdigit()}


def read_blobs(
    repo: Path, oids: Iterable[str], env: Mapping[str, str] | None = None
) -> Iterator[tuple[str, bytes]]:
    """``(oid, content)`` of each object, in the order asked for, by one process.

    They may be named as git does, too, as ``COMMIT:PATH``; what is missing is left out.
    """
    wanted = list(oids)
    if not wanted:
        return
    argv = ("git", "cat-file", "--batch", "--buffer")
    feed = (encode(oid) + b"\n" for oid in wanted)
    buffer, at = b"", 0
    for chunk in stream(argv, repo, feed=grouped(feed, 2000), sep=None, env=env):
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


def read_directory(repo: Path, commit: str, directory: str) -> Iterator[tuple[str, bytes]]:
    """``(path, content)`` of every blob of ``commit`` below ``directory``, by two processes.

    A link has its target for content.
    """
    listed = git(repo, "ls-tree", "-r", "-z", "--full-tree", commit, f"{directory}/")
    paths: dict[str, list[str]] = {}
    for line in listed.split(b"\0"):
        head, _, path = line.partition(b"\t")
        words = head.split()
        if len(words) == 3 and words[1] == b"blob":
            paths.setdefault(words[2].decode("ascii"), []).append(decode(path))
    for oid, content in read_blobs(repo, paths):
        yield from ((place, content) for place in paths[oid])


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
