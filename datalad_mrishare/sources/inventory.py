"""What lies in a directory, seen without following or opening anything.

Symlinks are read, never followed; FIFOs, sockets and devices are never opened;
another repository inside is not entered.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ..repo.keys import key_of_pointer
from ..repo.trees import encode
from .findings import Finding, Kind

# temporary files of repo.worktree.write_file, of copying and of undoing: always copies
_LEFTOVER = re.compile(r"\.mrishare-([a-z0-9_]{8}|copy-\d+|undo-\w+)")


@dataclass(frozen=True, slots=True)
class Item:
    """A file, symlink or directory as ``lstat`` shows it.

    ``size`` in bytes, ``mtime`` in ns, ``mode`` with the type bits, ``target`` of a symlink.
    """

    path: str
    mode: int
    size: int
    mtime: int
    target: str = ""

    @property
    def is_link(self) -> bool:
        """Whether it is a symlink."""
        return stat.S_ISLNK(self.mode)


@dataclass
class Inventory:
    """Everything below ``root``: what can be registered, and what cannot and why.

    ``items`` are the files and symlinks that may be added, ``kept`` those that may not
    (they are in ``findings``), ``leftovers`` unfinished files of a run that was killed.
    """

    root: Path
    items: dict[str, Item] = field(default_factory=dict)
    kept: dict[str, Item] = field(default_factory=dict)
    directories: dict[str, Item] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    leftovers: list[str] = field(default_factory=list)


def take_inventory(root: Path, subdatasets: Collection[str] = ()) -> Inventory:
    """Walk ``root``; ``subdatasets`` are paths of repositories that belong inside."""
    found = Inventory(root)
    real_root = os.path.realpath(root)
    pending = [""]
    while pending:
        directory = pending.pop()
        found.directories[directory] = _item(root, directory)
        for name, entry in _entries(found, directory):
            path = f"{directory}/{name}" if directory else name
            if name == ".git":
                continue
            if entry.is_dir(follow_symlinks=False):
                if _is_repository(entry.path):
                    if path not in subdatasets:
                        found.findings.append(_nested(path))
                else:
                    pending.append(path)
                continue
            if _LEFTOVER.fullmatch(name):
                found.leftovers.append(path)
                continue
            item = _item(root, path)
            problem = _problem(item, entry.path, real_root)
            if problem:
                found.findings.append(problem)
            (found.kept if problem else found.items)[path] = item
    found.findings.sort(key=lambda f: f.path)
    return found


def annex_key(item: Item) -> str | None:
    """The key of a symlink into this repository's own annex, or None."""
    if not item.is_link or os.path.isabs(item.target):
        return None
    lexical = os.path.normpath(os.path.join(os.path.dirname(item.path), item.target))
    if not lexical.startswith(".git/annex/objects/"):
        return None
    return key_of_pointer(encode(item.target))


def _entries(found: Inventory, directory: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
    try:
        with os.scandir(found.root / directory) as entries:
            listed = sorted(entries, key=lambda e: e.name)
    except PermissionError:
        found.findings.append(_no_permission(directory, "directory"))
        return
    for entry in listed:
        yield entry.name, entry


def _item(root: Path, path: str) -> Item:
    full = os.path.join(root, path)
    seen = os.lstat(full)
    target = os.readlink(full) if stat.S_ISLNK(seen.st_mode) else ""
    return Item(path, seen.st_mode, seen.st_size, seen.st_mtime_ns, target)


def _is_repository(directory: str) -> bool:
    return os.path.lexists(os.path.join(directory, ".git"))


def _problem(item: Item, full: str, real_root: str) -> Finding | None:
    if item.is_link:
        if annex_key(item) is None and _leads_out(item, full, real_root):
            return Finding(
                Kind.LINK_OUT,
                item.path,
                "the symbolic link leads out of the dataset and was not added",
                "Put the file itself there, or a relative link to a file inside the dataset",
            )
        return None
    if not stat.S_ISREG(item.mode):
        return Finding(
            Kind.SPECIAL,
            item.path,
            f"is a {_special(item.mode)}, not a file, and was not added",
            "Move it out of the dataset",
        )
    if not os.access(full, os.R_OK):
        return _no_permission(item.path, "file")
    return None


def _leads_out(item: Item, full: str, real_root: str) -> bool:
    if os.path.isabs(item.target):
        return True  # no other clone has this path, wherever it leads here
    real = os.path.realpath(full)
    # a link to an annexed file ends in the annex, which may lie elsewhere (subdatasets)
    if real.startswith(os.path.realpath(f"{real_root}/.git/annex/objects") + "/"):
        return False
    inside = os.path.relpath(real, real_root)
    return inside == ".." or inside.startswith("../") or inside.split("/")[0] == ".git"


def _special(mode: int) -> str:
    kinds = ((stat.S_ISFIFO, "named pipe"), (stat.S_ISSOCK, "socket"))
    return next((word for test, word in kinds if test(mode)), "device")


def _nested(path: str) -> Finding:
    return Finding(
        Kind.NESTED,
        path,
        "is a repository of its own and was not added",
        f"Make it a subdataset (datalad save -r), or remove {path}/.git, and register again",
    )


def _no_permission(path: str, word: str) -> Finding:
    return Finding(
        Kind.PERMISSION,
        path,
        f"the {word} cannot be read and was not added",
        f"Give yourself permission to read it (chmod u+r {path!r}) and register again",
    )
