"""What is in a dataset and in the subdatasets that are installed in it, with paths from the top."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from ..repo.annexbranch import read_logs
from ..repo.installed import commit_named, subdataset
from ..repo.keys import Objects
from ..repo.trees import GITLINK, Entry, read_tree

#: as deep as lineage is read
_DEEPEST = 16


class Level(NamedTuple):
    """One of the datasets: its files, the repositories that have each key, and what is here."""

    entries: tuple[Entry, ...]
    locations: Mapping[str, frozenset[str]]
    objects: Objects

    def copies(self, key: str) -> int:
        """How many copies of a content are known; one that is here counts, whatever logs say."""
        return len(self.locations.get(key, ())) or int(self.objects.find(key) is not None)


def levels_below(top: Path, entries: Iterable[Entry]) -> Iterator[Level]:
    """The subdatasets that ``entries`` of the dataset at ``top`` link to, those above first."""
    yield from _below(top.resolve(), top.resolve(), "", entries, 0)


def _below(
    top: Path, path: Path, prefix: str, entries: Iterable[Entry], depth: int
) -> Iterator[Level]:
    for link in entries if depth < _DEEPEST else ():
        there = subdataset(top, path / link.path) if link.mode == GITLINK else None
        if there is None:
            continue
        commit = commit_named(there.path, link.oid) or commit_named(there.path, "HEAD")
        found = read_tree(there.path, commit) if commit else []
        below = f"{prefix}{link.path}/"
        seen = tuple(entry._replace(path=below + entry.path) for entry in found)
        yield Level(seen, read_logs(there.path, metadata=False).locations, Objects(there.objects))
        yield from _below(top, there.path, below, found, depth + 1)
