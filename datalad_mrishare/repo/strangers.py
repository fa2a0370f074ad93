"""A sibling as a stranger sees it: a fresh clone by plain git, and everything that is in it."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from .annexbranch import discover_remotes
from .process import annex, git, git_succeeds, git_text, stream
from .remotes import remotes

#: git's words for every object of a store
CAT_ALL = ("cat-file", "--batch-all-objects", "--unordered", "--buffer", "--batch")
#: refs of the sibling in the clone, all of them
THERE = "refs/there/"
#: directories in ``objects`` of a repository: what is in them is read as objects
_OF_GIT = re.compile(r"[0-9a-f]{2}|info|pack")
#: bytes of one piece of a file
CHUNK = 1 << 22


def clone(url: str, target: Path, env: Mapping[str, str]) -> None:
    """Clone ``url`` with all its refs, and check nothing out.

    Raises
    ------
    RepoError
        When git cannot.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    argv = ("clone", "--quiet", "--no-local", "--no-checkout", "--", url, target.name)
    git(target.parent, *argv, env=env, timeout=None)
    every = f"+refs/*:{THERE}*"
    git(target, "fetch", "--quiet", "--no-tags", "origin", every, env=env, timeout=None)


def start_annex(repo: Path, env: Mapping[str, str]) -> None:
    """Make the clone an annex under a neutral name, as a stranger would with ``git annex get``."""
    for name, value in (("user.name", "stranger"), ("user.email", "stranger@invalid")):
        git(repo, "config", name, value)
    annex(repo, "init", "--quiet", "verify", env=env)
    discover_remotes(repo, env)


def content_remotes(repo: Path) -> dict[str, str]:
    """Annex uuid -> name of each remote that content may come from."""
    return {r.uuid: name for name, r in remotes(repo).items() if r.uuid}


def refs(repo: Path, prefix: str = THERE) -> dict[str, str]:
    """Name (without the prefix) -> object of every ref of the sibling."""
    raw = git_text(repo, "for-each-ref", "--format=%(refname) %(objectname)", prefix)
    pairs = (line.split(" ", 1) for line in raw.splitlines())
    return {name.removeprefix(prefix): oid for name, oid in pairs}


def default_branch(repo: Path) -> str | None:
    """The commit that a plain clone checks out, or that the only branch is at.

    Through git-remote-annex(1) git does not learn which branch that is, and takes the name of
    the user's own setting.
    """
    found = git_text(repo, "rev-parse", "-q", "--verify", "HEAD^{commit}", ok=(0, 1, 128))
    if found:
        return found
    heads = refs(repo, f"{THERE}heads/")
    own = {oid for name, oid in heads.items() if name.split("/")[-1] != "git-annex"}
    return own.pop() if len(own) == 1 else None


def all_objects(repo: Path) -> Iterator[tuple[str, str, bytes]]:
    """Id, kind and content of every object in the store, whether or not a ref leads to it."""
    return parse_objects(stream(("git", *CAT_ALL), repo, sep=None))


def parse_objects(chunks: Iterable[bytes]) -> Iterator[tuple[str, str, bytes]]:
    """Objects in what ``git cat-file --batch`` prints (its manual page, BATCH OUTPUT)."""
    buffer, at, needed = bytearray(), 0, 0
    for chunk in chunks:
        buffer.extend(chunk)
        if len(buffer) <= needed:
            continue  # in the middle of one
        while (end := buffer.find(b"\n", at)) >= 0:
            oid, kind, size = buffer[at:end].decode("ascii").split(" ")
            needed = end + 1 + int(size)
            if needed >= len(buffer):
                break
            yield oid, kind, bytes(buffer[end + 1 : needed])
            at = needed + 1
        del buffer[:at]
        at, needed = 0, max(0, needed - at)


def take_bundles(repo: Path, bundles: Sequence[Path]) -> list[Path]:
    """Take the history in each bundle into the new repository ``repo``; those that cannot be read.

    One may rest on another, and which is older cannot be told from its name.
    """
    if not repo.exists():
        repo.mkdir(parents=True)
        git(repo, "init", "--quiet", "--bare")
    waiting, before = [*bundles], 0
    while waiting and len(waiting) != before:
        before = len(waiting)
        waiting = [b for b in waiting if not _fetched(repo, b, bundles.index(b))]
    return waiting


def _fetched(repo: Path, bundle: Path, number: int) -> bool:
    words = ("fetch", "--quiet", "--no-tags", str(bundle), f"+refs/*:{THERE}{number}/*")
    return git_succeeds(repo, *words, timeout=None)


def names_of_objects(repo: Path) -> dict[str, str]:
    """Object -> a path it stands at in some commit; empty for commits and top trees."""
    raw = git(repo, "rev-list", "--objects", "--all", timeout=None)
    pairs = (line.partition(b" ") for line in raw.split(b"\n"))
    return {o.decode("ascii"): p.decode("utf-8", "surrogateescape") for o, _, p in pairs if o}


def objects_of(repo: Path, commit: str) -> frozenset[str]:
    """Every tree and blob of one commit."""
    raw = git_text(repo, "ls-tree", "-r", "-t", "--full-tree", "--format=%(objectname)", commit)
    tree = git_text(repo, "rev-parse", f"{commit}^{{tree}}")
    return frozenset((tree, commit, *raw.split()))


def repositories_below(directory: Path) -> list[Path]:
    """Every git repository at or below a directory."""
    found = os.walk(directory)
    return [Path(place) for place, names, _ in found if {"objects", "refs"} <= {*names}]


def files_below(directory: Path) -> Iterator[Path]:
    """Every file, link, empty directory and other entry below a directory; no objects of git.

    Raises
    ------
    OSError
        When a directory cannot be read.
    """

    def stop(exc: OSError) -> None:
        raise exc

    for parent, below, files in os.walk(directory, onerror=stop):
        if not below and not files and Path(parent) != directory:
            yield Path(parent)
        if Path(parent).name == "objects" and Path(parent, "../refs").is_dir():
            below[:] = [name for name in below if not _OF_GIT.fullmatch(name)]  # read as objects
        links = [name for name in below if Path(parent, name).is_symlink()]
        yield from (Path(parent, name) for name in (*files, *links))


def remove(clone: Path) -> None:
    """Remove a clone; git-annex protects what it holds from being removed."""
    for parent, _, _ in os.walk(clone):
        os.chmod(parent, 0o700)
    if clone.exists():
        shutil.rmtree(clone)


def read_pieces(path: Path) -> Iterator[bytes]:
    """A file piece by piece."""
    with path.open("rb") as source:
        while piece := source.read(CHUNK):
            yield piece


def write_pieces(pieces: Iterable[bytes], target: Path) -> Path:
    """Write a new file in a new directory from its pieces."""
    target.parent.mkdir()
    with target.open("wb") as out:
        out.writelines(pieces)
    return target


def get(repo: Path, keys: Sequence[str], remote: str, env: Mapping[str, str]) -> dict[str, str]:
    """Retrieve ``keys`` with their checksums compared; the reason for each that did not come."""
    from .transfer import fetch_keys

    return {m.key: m.note for m in fetch_keys(repo, remote, keys, env=env) if not m.ok}
