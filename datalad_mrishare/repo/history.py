"""What older commits hold, read in one pass.

git-annex keeps the content of every version until somebody drops it, so a file that was
replaced or removed years ago may still be there, and may still be somebody's.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from .keys import key_named
from .process import git, git_text, stream
from .trees import EXECUTABLE, FILE, LINK, POINTER, POINTER_LIMIT, Entry, decode, read_blobs

#: all branches and tags, but none of git-annex's own
_REVISIONS = (
    "HEAD",
    "--exclude=git-annex",
    "--exclude=*/git-annex",
    "--branches",
    "--tags",
)


def annexed_in_history(repo: Path, known: Collection[str]) -> list[Entry]:
    """Every path that any commit ever gave to a key, with that key.

    Parameters
    ----------
    known : collection of str
        Blobs of pointers that nobody asks about, as those of the checked-out tree.

    Returns
    -------
    list of Entry
        Each pair of path and key once, also several paths of one key.
    """
    found: dict[tuple[str, str], str] = {}
    for mode, oid, path in _changes(repo):
        if mode in (LINK, FILE, EXECUTABLE) and oid not in known:
            found.setdefault((oid, path), mode)
    keys: dict[str, str] = {}
    for oid, content in read_blobs(repo, _small(repo, [oid for oid, _ in found])):
        match = POINTER.fullmatch(content)
        key = key_named(match["name"] or match["pointer"]) if match else None
        if key is not None:
            keys[oid] = key
    return [
        Entry(path, mode, oid, 0, keys[oid]) for (oid, path), mode in found.items() if oid in keys
    ]


def _changes(repo: Path) -> Iterator[tuple[str, str, str]]:
    """``(mode, oid, path)`` of what each commit made of a path, against each of its parents."""
    # what the user's settings would print between the records would hide some
    settings = ("log.showSignature=false", "log.showRoot=true", "core.fsmonitor=false")
    plain = [word for setting in settings for word in ("-c", setting)]
    shown = ("--raw", "-z", "--no-color", "--no-abbrev", "--no-renames", "-m", "--format=")
    argv = ("git", *plain, "log", *shown)
    words = iter(stream((*argv, *_REVISIONS, "--"), repo, sep=b"\0"))
    for word in words:
        # :OLDMODE NEWMODE OLDOID NEWOID STATUS, then the path
        if word.startswith(b":"):
            _, mode, _, oid, _ = word.decode("ascii").split(" ")
            yield mode, oid, decode(next(words, b""))


def _small(repo: Path, oids: list[str]) -> list[str]:
    """Those that are short enough to be pointers."""
    fed = b"".join(f"{oid}\n".encode("ascii") for oid in dict.fromkeys(oids))
    if not fed:
        return []
    form = "--batch-check=%(objectname) %(objecttype) %(objectsize)"
    lines = git(repo, "cat-file", form, "--buffer", stdin=fed).decode("ascii").splitlines()
    words = (line.split(" ") for line in lines)
    return [w[0] for w in words if w[1] == "blob" and int(w[2]) <= POINTER_LIMIT]


def count_commits(repo: Path, commit: str) -> int:
    """How many commits ``commit`` leads to, itself included."""
    return int(git_text(repo, "rev-list", "--count", commit))
