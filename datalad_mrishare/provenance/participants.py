"""The participants that a path names.

BIDS puts the participant into every path as ``sub-<label>``, labels being of letters, digits
and ``+`` (BIDS 1.11, "Common principles", entities). A path can name several: all of them
count. Nobody holds people to BIDS, though: ``sub-01-2`` and ``sub-01`` are two. What goes on
behind a label is a person of that whole name, too, who has no record. A path alone never
opens anything, it only adds people.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from functools import lru_cache

# also group_sub-01_sub-02_map, sub-01.html, "old sub-01 copy": too many is safe, too few is not.
# What is captured is not used up: there may be another one in it.
# (what must not stand before it is looked for after it: what begins with letters is found faster)
_NAMED = re.compile(r"sub-(?<![A-Za-z0-9]sub-)(?=([^/_\0]*_?))")
#: a directory at the top is all of a name, but for sub-01_ses-1 as FreeSurfer has them
_AT_THE_TOP = re.compile(r"(?:^|\0)sub-([^/\0]*)/")
_WITH_ENTITIES = re.compile(
    r"[A-Za-z0-9+]+((_[a-z]+-[A-Za-z0-9+]+)+(\..*)?|\.(g?feat|ica|ds|base|long\..*))", re.DOTALL
)
_LABEL = re.compile(r"[A-Za-z0-9+]+")
#: who is called as BIDS calls people
PLAIN_LABEL = re.compile(r"sub-[A-Za-z0-9+]+")
_PLAIN = re.compile(r"[A-Za-z0-9]*")
_IN_KEY = re.compile(r"sub-(?<![A-Za-z0-9]sub-)(?=([A-Za-z0-9+]+))")
_NEXT = re.compile(r"[^A-Za-z0-9]sub-")
_NOBODY: frozenset[str] = frozenset()


def participants_in_path(path: str) -> frozenset[str]:
    """Every ``sub-XX`` that occurs in ``path``.

    >>> sorted(participants_in_path("derivatives/x/sub-01/sub-01_from-sub-02_map.nii.gz"))
    ['sub-01', 'sub-02']
    >>> participants_in_path("code/subject-01.py")
    frozenset()
    >>> sorted(participants_in_path("sub-01-2/sub-01-2_T1w.nii.gz"))
    ['sub-01', 'sub-01-2']
    """
    # no label reaches over a slash or an underscore, so the parts that many paths have in
    # common, the directory and the first entity, are looked at once
    above, _, name = path.rpartition("/")
    first, bar, rest = name.partition("_")
    found, more = _in_directory(above), _in_part(first + bar)
    if more is not found and more:
        found = found | more if found and found != more else more
    return found | _in_part(rest) if "sub-" in rest else found


def participants_in_paths(paths: Iterable[str]) -> frozenset[str]:
    """Everybody whom any of ``paths`` names; two runs of an expression in C.

    >>> sorted(participants_in_paths(["sub-01/x", "README", "group_sub-02_map.nii.gz"]))
    ['sub-01', 'sub-02']
    """
    text = "\0".join(paths)
    named = map(_people, set(_NAMED.findall(text)), itertools.repeat(False))
    at_the_top = map(_people, set(_AT_THE_TOP.findall(text)), itertools.repeat(True))
    return frozenset().union(*named, *at_the_top)


def participants_in_key(key: str) -> frozenset[str]:
    """Everybody whom the name of a key tells, of one that is made from that of a file.

    git-annex cuts a long URL, puts a checksum behind it, writes odd letters otherwise: what goes
    on behind a label is none of it.

    >>> sorted(participants_in_key("URL--https&c%%x.org%sub-01-2bcc2c83aa,63y"))
    ['sub-01']
    """
    if "sub-" not in key:
        return _NOBODY
    return frozenset(f"sub-{label}" for label in _IN_KEY.findall(key))


@lru_cache(maxsize=1 << 16)
def _in_directory(path: str) -> frozenset[str]:
    if "sub-" not in path:
        return _NOBODY
    top = path.partition("/")[0]
    whole = _people(top[4:], True) if top.startswith("sub-") else _NOBODY
    found = _in_part(path)
    return _of_all(found, whole)


@lru_cache(maxsize=1 << 16)
def _in_part(text: str) -> frozenset[str]:
    if "sub-" not in text:
        return _NOBODY
    found = [_people(name, False) for name in _NAMED.findall(text)]
    return found[0] if len(found) == 1 else _of_all(*found)


@lru_cache(maxsize=1 << 16)
def _of_all(*found: frozenset[str]) -> frozenset[str]:
    """One object for all files of the same people."""
    return frozenset().union(*found)


@lru_cache(maxsize=1 << 16)
def _people(name: str, whole: bool) -> frozenset[str]:
    """Whom ``sub-`` and ``name`` behind it may mean; an extension is none of a name."""
    if not whole or _WITH_ENTITIES.fullmatch(name):
        name = name.partition("_")[0] if "_" in name else name.partition(".")[0]
        name = _NEXT.split(name, maxsplit=1)[0]  # the next one is found by itself
    if _LABEL.fullmatch(name):
        return frozenset(("sub-" + name,))
    plain = _PLAIN.match(name)
    labels = {plain[0] if plain else "", name} - {""}
    return frozenset("sub-" + label for label in labels)
