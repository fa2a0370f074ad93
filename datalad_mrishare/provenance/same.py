"""Keys that are names of one content: what is known of one of them is true of all.

The checksum of a content makes a key of each extension, and one without; and git-annex records
which key became which when it moves contents to another backend. Pure.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet

from ..repo.keys import content_named
from .activities import IN_GIT, Activity, is_trivial
from .participants import participants_in_key, participants_in_path

Same = Mapping[str, tuple[str, ...]]
"""Content -> all its names, for those that have several."""


def same_contents(
    nodes: Iterable[str],
    migrated: Iterable[tuple[str, str]],
    shared: AbstractSet[str] = frozenset(),
) -> Same:
    """Which contents have several names.

    Parameters
    ----------
    nodes : iterable of str
        Every content, as often as one likes.
    migrated : iterable of (str, str)
        Names of the same content.
    shared : set of str
        Sidecars that are nobody's: by another name they would bring in all who have them.

    >>> digest = "0cc175b9c0f1b6a831c399e269772661"
    >>> plain, named = f"MD5-s1--{digest}", f"MD5E-s1--{digest}.txt"
    >>> same_contents([plain, "git:a", named], [])[plain] == (plain, named)
    True
    >>> same_contents([], [("WORM-s1-m1--a", plain), (plain, "SHA1-s1--b")])["SHA1-s1--b"][0]
    'MD5-s1--0cc175b9c0f1b6a831c399e269772661'
    """
    # nothing is the same as nothing, and ties nobody to anybody
    tied = [(a, b) for a, b in migrated if a != b and not (is_trivial(a) or is_trivial(b))]
    keys = [node for node in dict.fromkeys(nodes) if not node.startswith(IN_GIT)]
    # found faster than what is the same, and most often each is another one
    digests = [key.partition("--")[2].partition(".")[0] for key in keys]
    if len(set(digests)) < len(keys):
        several = {digest for digest, times in Counter(digests).items() if times > 1}
        first: dict[str, str] = {}
        for key, digest in zip(keys, digests, strict=True):
            if digest in several and (other := first.setdefault(content_named(key), key)) != key:
                tied.append((other, key))
    found = _groups(tied)
    return {n: names for n, names in found.items() if shared.isdisjoint(names)} if shared else found


def _groups(tied: Iterable[tuple[str, str]]) -> Same:
    beside: dict[str, list[str]] = defaultdict(list)
    for one, other in tied:
        beside[one].append(other)
        beside[other].append(one)
    found: dict[str, tuple[str, ...]] = {}
    for start in beside:
        if start in found:
            continue
        group, open_ = {start: None}, [start]
        while open_:
            fresh = [node for node in beside[open_.pop()] if node not in group]
            group.update(dict.fromkeys(fresh))
            open_ += fresh
        names = tuple(sorted(node for node in group if not is_trivial(node)))
        found.update(dict.fromkeys(group, names))
    return found


def known_by_all_names(activities: Iterable[Activity], same: Same) -> list[Activity]:
    """The same activities, each content by all of its names."""
    if not same:
        return list(activities)
    known: dict[tuple[str, ...], tuple[str, ...]] = {}

    def named(nodes: tuple[str, ...]) -> tuple[str, ...]:
        found = known.get(nodes)
        if found is None:  # the same tuple where nothing is added
            if same.keys().isdisjoint(nodes):
                found = nodes
            else:
                found = tuple(dict.fromkeys(n for one in nodes for n in (one, *same.get(one, ()))))
            known[nodes] = found
        return found

    return [a._replace(inputs=named(a.inputs), outputs=named(a.outputs)) for a in activities]


def places_by_other_names(
    places: Iterable[tuple[str, str]], same: Same
) -> Iterator[tuple[str, str]]:
    """Where a content stood by other names, as far as that names somebody whom its own do not."""
    if not same:
        return
    stood: dict[str, dict[str, None]] = defaultdict(dict)
    for node, path in places:
        if node in same:
            stood[node][path] = None
    for names in dict.fromkeys(same.values()):
        every = dict.fromkeys(path for name in names for path in stood[name])
        telling = [(path, participants_in_path(path)) for path in every]
        for name in names:
            known = participants_in_key(name).union(*map(participants_in_path, stood[name]))
            for path, people in telling:
                if not people <= known:
                    known |= people
                    yield name, path
