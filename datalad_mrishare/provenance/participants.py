"""The participants that a path names.

BIDS puts the participant into every path as ``sub-<label>``, labels being
alphanumeric (BIDS 1.11, "Common principles", entities). A path can name several:
all of them count. A path alone never opens anything, it only adds people.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

# also group_sub-01_sub-02_map, sub-01.html, "old sub-01 copy": too many is safe, too few is not
# (what must not stand before it is looked for after it: what begins with letters is found faster)
_LABEL = re.compile(r"sub-(?<![A-Za-z0-9]sub-)([A-Za-z0-9]+)")


_NOBODY: frozenset[str] = frozenset()


def participants_in_path(path: str) -> frozenset[str]:
    """Every ``sub-XX`` that occurs in ``path``.

    >>> sorted(participants_in_path("derivatives/x/sub-01/sub-01_from-sub-02_map.nii.gz"))
    ['sub-01', 'sub-02']
    >>> participants_in_path("code/subject-01.py")
    frozenset()
    """
    # no label reaches over a slash or an underscore, so the parts that many paths have in
    # common, the directory and the first entity, are looked at once
    above, _, name = path.rpartition("/")
    first, _, rest = name.partition("_")
    found, more = _in_part(above), _in_part(first)
    if more is not found and more:
        found = found | more if found and found != more else more
    return found | _in_part(rest) if "sub-" in rest else found


def participants_in_paths(paths: Iterable[str]) -> frozenset[str]:
    """Everybody whom any of ``paths`` names; one run of an expression in C.

    >>> sorted(participants_in_paths(["sub-01/x", "README", "group_sub-02_map.nii.gz"]))
    ['sub-01', 'sub-02']
    """
    return frozenset("sub-" + label for label in set(_LABEL.findall("\n".join(paths))))


@lru_cache(maxsize=1 << 16)
def _in_part(text: str) -> frozenset[str]:
    return _people(*_LABEL.findall(text)) if "sub-" in text else _NOBODY


@lru_cache(maxsize=1 << 16)
def _people(*labels: str) -> frozenset[str]:
    """One object for all files of the same people."""
    return frozenset("sub-" + label for label in labels)
