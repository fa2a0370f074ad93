"""Reads what BIDS metadata asserts and ever asserted, and looks up what it speaks of."""

from __future__ import annotations

import posixpath
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

from ..repo.commits import ALOOF
from ..repo.contents import Contents
from ..repo.keys import checksum
from ..repo.trees import GITLINK, object_sizes, read_blobs
from ..repo.treewalk import Found, Listing
from .activities import IN_GIT, Activity
from .assertions import (
    LARGEST,
    Asserted,
    Made,
    Text,
    activities_of,
    asserts,
    stem_of,
    understand,
    unreadable,
)
from .evidence import Evidence
from .inputs import node_of

Named = list[tuple[str, str]]
"""Contents that are only known by name, and the path in that name."""


def read_asserted(
    repo: Path, listed: Listing, places: Iterable[tuple[str, str]]
) -> Iterator[tuple[Activity, Named]]:
    """What the JSON files in git assert, those of a tree and all there ever were.

    A text holds for all contents that ever stood at its path; but where another one in the tree
    tells sources now, an earlier one says nothing of what stands there in the tree.

    Parameters
    ----------
    listed : Listing
        The tree.
    places : iterable of (str, str)
        Content and path for all that ever stood in this dataset.
    """
    every = [*places]
    now = {(found.path, found.oid) for found in listed.json_files()}
    texts, lost = _texts(repo, now)
    said, made = understand(texts)
    # what was said once is still true of what stood there
    then = {(p, n.removeprefix(IN_GIT)) for n, p in every if p.endswith(".json") and _in_git(n)}
    old_texts, old_lost = _texts(repo, then - now)
    once, _ = understand(old_texts, texts)
    said, once = said + lost, once + old_lost
    if not said and not once and not made:
        return
    contents = Contents(repo)
    about = _about(every, {one.stem for one in chain(said, once)})
    current = _current(listed, {one.stem for one in said}, contents)
    meant = {path for one in chain(said, once) for source in one.sources for path in source.paths}
    hashes = {one.md5 for one in chain(said, once) if one.md5}
    stood: dict[str, dict[str, None]] = defaultdict(dict)
    checksums: dict[str, dict[str, None]] = defaultdict(dict)
    for node, path in every:
        if path in meant:
            stood[path][node] = None
        if hashes and node.startswith("MD5") and checksum(node) in hashes:
            checksums[checksum(node)][node] = None
    yield from activities_of(said, lambda stem: about.get(stem, ()), stood, checksums)
    # of what stands there now something else is said by now
    earlier = {stem: [n for n in about[stem] if n not in current.get(stem, ())] for stem in about}
    yield from activities_of(once, lambda stem: earlier.get(stem, ()), stood, checksums)
    for activity in _generated(made, listed, contents):
        yield activity, []


def _in_git(node: str) -> bool:
    return node.startswith(IN_GIT)


def _about(places: Iterable[tuple[str, str]], stems: set[str]) -> dict[str, dict[str, None]]:
    """Stem -> all contents that ever stood there."""
    found: dict[str, dict[str, None]] = defaultdict(dict)
    for node, path in places if stems else ():
        stem = stem_of(path)
        if stem in stems:
            found[stem][node] = None
    return found


def _current(listed: Listing, stems: set[str], contents: Contents) -> dict[str, set[str]]:
    """Stem -> the contents that stand there in the tree."""
    beside = [found for found in listed if stem_of(found.path) in stems] if stems else []
    contents.learn((found.mode, found.oid) for found in beside)
    current: dict[str, set[str]] = defaultdict(set)
    for found in beside:
        current[stem_of(found.path)].add(node_of(found.oid, contents))
    return current


def _texts(repo: Path, asked: Iterable[tuple[str, str]]) -> tuple[list[Text], list[Asserted]]:
    """Path and blob of each -> those that may assert anything, and those too long to be read."""
    paths: dict[str, list[str]] = {}
    for path, oid in sorted(asked):
        paths.setdefault(oid, []).append(path)
    sizes = object_sizes(repo, paths, ALOOF)
    short = [oid for oid in paths if sizes.get(oid, 0) <= LARGEST]
    found = [
        Text(path, oid, content)
        for oid, content in read_blobs(repo, short, ALOOF)
        if asserts(content)
        for path in paths[oid]
    ]
    long = [Text(path, oid, b"") for oid in paths.keys() - set(short) for path in paths[oid]]
    return found, [unreadable(text, "it is too long") for text in sorted(long)]


def _generated(made: Iterable[Made], listed: Listing, contents: Contents) -> Iterator[Activity]:
    """Derivative datasets, each with the files that no other of them is nearer to."""
    roots = {one.directory: one for one in made}
    below: dict[str, list[Found]] = defaultdict(list)
    for found in listed if roots else ():
        above = found.path
        while above and found.mode != GITLINK:
            above = posixpath.dirname(above)
            if above in roots:
                below[above].append(found)
                break
    for directory, one in roots.items():
        contents.learn((found.mode, found.oid) for found in below[directory])
        nodes = dict.fromkeys(node_of(found.oid, contents) for found in below[directory])
        token = f"sources:{one.text.path}@{one.text.oid}"
        yield Activity(
            token, "generated", Evidence.ASSERTED, (), tuple(nodes), one.what, "", one.software
        )
