"""Reads what BIDS metadata in a tree asserts, and looks up what it speaks of."""

from __future__ import annotations

import posixpath
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from ..repo.commits import ALOOF
from ..repo.contents import Contents
from ..repo.keys import checksum
from ..repo.trees import GITLINK, object_sizes, read_blobs
from ..repo.treewalk import Found, Listing
from .activities import Activity
from .assertions import LARGEST, Made, Text, activities_of, asserts, stem_of, understand
from .evidence import Evidence
from .inputs import node_of

Named = list[tuple[str, str]]
"""Contents that are only known by name, and the path in that name."""


def read_asserted(
    repo: Path, listed: Listing, places: Iterable[tuple[str, str]]
) -> Iterator[tuple[Activity, Named]]:
    """What the JSON files in git of a tree assert.

    Parameters
    ----------
    listed : Listing
        The tree.
    places : iterable of (str, str)
        Content and path for all that ever stood in this dataset.
    """
    said, made = understand(_texts(repo, listed))
    if not said and not made:
        return
    contents = Contents(repo)
    stems = {one.stem for one in said}
    about: dict[str, dict[str, None]] = defaultdict(dict)
    beside = [found for found in listed if stem_of(found.path) in stems] if stems else []
    contents.learn((found.mode, found.oid) for found in beside)
    for found in beside:
        about[stem_of(found.path)][node_of(found.oid, contents)] = None
    meant = {path for one in said for source in one.sources for path in source.paths}
    hashes = {one.md5 for one in said if one.md5}
    stood: dict[str, dict[str, None]] = defaultdict(dict)
    checksums: dict[str, dict[str, None]] = defaultdict(dict)
    for node, path in places:
        if path in meant:
            stood[path][node] = None
        if hashes and node.startswith("MD5") and checksum(node) in hashes:
            checksums[checksum(node)][node] = None
    yield from activities_of(said, lambda stem: about.get(stem, ()), stood, checksums)
    for activity in _generated(made, listed, contents):
        yield activity, []


def _texts(repo: Path, listed: Listing) -> Iterator[Text]:
    asked: dict[str, list[str]] = {}
    for found in listed.json_files():
        asked.setdefault(found.oid, []).append(found.path)
    sizes = object_sizes(repo, asked, ALOOF)
    short = [oid for oid in asked if sizes.get(oid, 0) <= LARGEST]
    for oid, content in read_blobs(repo, short, ALOOF):
        if asserts(content):
            yield from (Text(path, oid, content) for path in asked[oid])


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
