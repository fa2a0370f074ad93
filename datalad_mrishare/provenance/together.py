"""Sidecars that stood with several participants at once, by the trees of commits.

One that stood with two people one after the other may be one person's that was renamed. Looked up
are a few places of each content, when it comes to another one and where branches meet: one
that is not found to stand together counts as all those people's.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from ..repo.treewalk import look_up
from .activities import IN_GIT
from .participants import participants_in_path
from .sidecars import describes

#: lookups for one content, for one place of it, places for a merge, lookups for all merges
_EACH, _BACK, _MERGED, _MOST = 20, 2, 4, 20_000


class Added(NamedTuple):
    """A commit: its tree, whether it is a merge, contents and places that it changed."""

    tree: str
    merges: bool
    places: Sequence[tuple[str, str]]


def stood_together(
    repo: Path, commits: Iterable[Added], before: Iterable[tuple[str, str]] = ()
) -> frozenset[str]:
    """Sidecars in git that one of ``commits`` has with two participants.

    Parameters
    ----------
    commits : iterable of Added
        Parents first.
    before : iterable of (str, str)
        Contents and places of the commits before these.
    """
    every = list(commits)
    fresh = {n for commit in every for n, path in commit.places if describes(n, path)}
    stood: dict[str, dict[str, frozenset[str]]] = defaultdict(dict)
    for node, path in before:
        if node in fresh:
            stood[node][path] = participants_in_path(path)
    kinds: dict[str, set[frozenset[str]]] = defaultdict(set)
    for node, places in stood.items():
        kinds[node].update(places.values())
    found: set[str] = set()
    asked: list[tuple[str, str, str]] = []
    times = Counter[str]()
    for commit in every:
        here: dict[str, frozenset[str]] = {}
        for node, path in commit.places:
            people = participants_in_path(path) if node in fresh else frozenset[str]()
            if not people or node in found:
                continue
            if here.setdefault(node, people) != people:
                found.add(node)
            one = kinds[node] <= {people}  # of one person there may be thousands
            kinds[node].add(people)
            known = {} if one else stood[node]
            earlier = (p for p, theirs in reversed(known.items()) if theirs - people)
            for _, other in zip(range(_BACK if times[node] < _EACH else 0), earlier, strict=False):
                asked.append((node, commit.tree, other))
                times[node] += 1
            stood[node][path] = people
    found.update(node for node, _ in _there(repo, (one for one in asked if one[0] not in found)))
    open_ = {n: p for n, p in stood.items() if n not in found and len(set(p.values())) > 1}
    merged = Counter(_there(repo, _in_merges([c.tree for c in every if c.merges], open_)))
    found.update(node for (node, _), times in merged.items() if times > 1)
    return frozenset(found)


def _there(repo: Path, asked: Iterable[tuple[str, str, str]]) -> Iterator[tuple[str, str]]:
    """Content and tree of those of content, tree and path where it stands."""
    every = list(asked)
    there = look_up(repo, [(tree, path) for _, tree, path in every])
    for node, tree, path in every:
        if IN_GIT + there.get((tree, path), ("", ""))[1] == node:
            yield node, tree


def _in_merges(
    trees: Iterable[str], stood: dict[str, dict[str, frozenset[str]]]
) -> Iterator[tuple[str, str, str]]:
    """A few places of each, all with other people."""
    count = 0
    for tree in dict.fromkeys(trees):
        for node, places in stood.items():
            paths = {people: path for path, people in places.items() if people}
            for path in list(paths.values())[:_MERGED]:
                count += 1
                if count > _MOST:
                    return
                yield node, tree, path
