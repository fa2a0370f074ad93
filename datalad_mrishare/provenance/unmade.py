"""The lineage of a dataset in which nothing was recorded, which is that of most.

There every content is as it was put, and its paths say whose it is. No graph is built to say so
unless somebody asks what only a graph can answer: for 100,000 files it would take more than all
other reading together.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cached_property

from ..repo.collector import collector_at_rest
from .activities import Activity, is_trivial
from .graph import Lineage
from .participants import participants_in_key, participants_in_path

_NOBODY: frozenset[str] = frozenset()


class Unmade(Lineage):
    """Says the same as ``Lineage.build((), places, shared)``.

    Parameters
    ----------
    places : sequence of (str, str)
        Content and path, for every path in any commit.
    shared : collection of str
        Contents that are nobody's wherever they stood.
    """

    def __init__(self, places: Sequence[tuple[str, str]], shared: Collection[str] = ()):
        self._places, self._nobodys = places, frozenset(shared)
        with collector_at_rest():
            self._first = dict(places)
            self._several: dict[str, tuple[str, ...]] = {}
            if len(self._first) < len(places):
                self._first, self._several = _sorted_out(places)

    def __getattr__(self, name: str) -> object:
        # what a graph has and this has not: it is built now
        if not name.startswith("_") or name.startswith("__") or "_places" not in self.__dict__:
            raise AttributeError(name)
        self.__dict__.update(Lineage.build((), self._places, self._nobodys).__dict__)
        return self.__dict__[name]

    @property
    def nodes(self) -> tuple[str, ...]:
        """Every content."""
        return tuple(self._first)

    @property
    def activities(self) -> tuple[Activity, ...]:
        """Nothing was done."""
        return ()

    def __contains__(self, node: object) -> bool:
        return node in self._first

    def participants(self, node: str) -> frozenset[str]:
        """Whom its paths ever named."""
        if node not in self._first or node in self._nobodys or is_trivial(node):
            return _NOBODY
        named = participants_in_key(node)
        return named.union(*map(participants_in_path, self.paths(node)))

    def inherited(self, node: str) -> frozenset[str]:
        """Nobody."""
        return _NOBODY

    def is_shared(self, node: str) -> bool:
        """Whether it is a sidecar that several have."""
        return node in self._nobodys and node in self._first

    def opaque(self, node: str) -> str | None:
        """Why nobody can tell whose it is: only of what no commit holds."""
        return None if node in self._first else super().opaque(node)

    def contradiction(self, node: str) -> tuple[frozenset[str], frozenset[str]] | None:
        """None: there is nothing but paths."""
        return None

    def made_by(self, node: str) -> tuple[Activity, ...]:
        """Nothing."""
        return ()

    def used_by(self, node: str) -> tuple[Activity, ...]:
        """Nothing."""
        return ()

    def paths(self, node: str) -> tuple[str, ...]:
        """Every path at which it ever stood."""
        if node in self._several:
            return self._several[node]
        return (self._first[node],) if node in self._first else ()

    def beyond_paths(self) -> frozenset[str]:
        """Contents that stood at several paths."""
        return self._stood_at_several

    @cached_property
    def _stood_at_several(self) -> frozenset[str]:
        return frozenset(self._several)


def _sorted_out(
    places: Sequence[tuple[str, str]],
) -> tuple[dict[str, str], dict[str, tuple[str, ...]]]:
    """The first path of each content, and all of those that stood at several."""
    first: dict[str, str] = {}
    several: dict[str, dict[str, None]] = {}
    for node, path in places:
        before = first.setdefault(node, path)
        if before != path:
            several.setdefault(node, {before: None})[path] = None
    return first, {node: tuple(paths) for node, paths in several.items()}
