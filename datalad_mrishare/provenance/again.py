"""Contents that were added again in another form where they stood: in git, or as another key.

``git annex unannex`` and ``git add`` make a blob of a key, and nothing records that. Where one
takes the place of the other they are compared; what cannot be compared counts as the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from ..repo.commits import ALOOF, Change
from ..repo.contents import Contents
from ..repo.keys import checksum, hasher, key_size
from ..repo.trees import GITLINK, object_sizes, read_blobs
from .activities import IN_GIT, is_trivial
from .inputs import node_of

#: bytes of a file in git that is compared, instead of taken for the same
_LARGEST = 64 << 20


class Replaced(NamedTuple):
    """One content in the place of another; ``recorded`` when a run record tells how it came."""

    old: str
    new: str
    recorded: bool


def replaced(changes: Iterable[tuple[Change, bool]], contents: Contents) -> list[Replaced]:
    """What took the place of another content, in commits with one parent."""
    pairs = [
        (change.before[0], change.oid, recorded)
        for change, recorded in changes
        if change.mode != GITLINK and len(change.before) == 1 and change.before[0].strip("0")
    ]
    contents.learn(("100644", before) for before, _, _ in pairs)
    found = (Replaced(node_of(b, contents), node_of(a, contents), r) for b, a, r in pairs)
    return [one for one in dict.fromkeys(found) if one.old != one.new]


def added_again(repo: Path, pairs: Iterable[Replaced]) -> list[tuple[str, str]]:
    """Those that are the same content."""
    found: list[tuple[str, str]] = []
    asked: list[tuple[str, str]] = []
    for old, new, recorded in pairs:
        key, other = (new, old) if old.startswith(IN_GIT) else (old, new)
        if key.startswith(IN_GIT) or is_trivial(key) or is_trivial(other):
            continue
        if other.startswith(IN_GIT):
            asked.append((key, other.removeprefix(IN_GIT)))
        elif not recorded and _may_be_the_same(key, other):
            found.append((old, new))
    return found + [(key, IN_GIT + oid) for key, oid in _equal(repo, asked)]


def _may_be_the_same(one: str, other: str) -> bool:
    """Whether two keys are of one size and of two backends, which do not agree on a checksum."""
    backends = {key.partition("-")[0].removesuffix("E") for key in (one, other)}
    return len(backends) > 1 and key_size(one) == key_size(other)


def _equal(repo: Path, asked: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    pairs = list(dict.fromkeys(asked))
    sizes = object_sizes(repo, dict.fromkeys(oid for _, oid in pairs), ALOOF)
    sized = [(k, o) for k, o in pairs if key_size(k) in (None, sizes.get(o))]
    known = [(k, o) for k, o in sized if hasher(k) is not None and sizes.get(o, 0) <= _LARGEST]
    different: set[tuple[str, str]] = set()
    keys: dict[str, list[str]] = {}
    for key, oid in known:
        keys.setdefault(oid, []).append(key)
    for oid, content in read_blobs(repo, keys, ALOOF):
        for key in keys[oid]:
            digest = hasher(key)
            assert digest is not None
            digest.update(content)
            if digest.hexdigest() != checksum(key):
                different.add((key, oid))
    return [pair for pair in sized if pair not in different]
