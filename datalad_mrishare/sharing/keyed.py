"""JSON that is keyed by participant: entries are to it what rows are to a table. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection
from typing import Any

from ..privacy.fields import each_once

_LABEL = re.compile(r"sub-[a-z0-9+]+", re.IGNORECASE | re.ASCII)
#: deeper ones are no file that anybody wrote
_DEEPEST = 64


May = Callable[[str, object], bool | None]
"""Label and value of an entry -> whether it may leave; None where the label is nobody's."""


def without_entries(content: bytes, may: May) -> bytes | None:
    """``content`` without the entries of participants that may not leave, at every depth.

    Parameters
    ----------
    content : bytes
        A text file.
    may : callable
        See :data:`May`.

    Returns
    -------
    bytes or None
        None when it is no JSON, gives a key twice, or has no participant for a key.

    >>> found = without_entries(b'{"sub-01": 1, "sub-02": 2}', lambda who, _: who == "sub-01")
    >>> json.loads(found)
    {'sub-01': 1}
    >>> without_entries(b'{"age": "of sub-01"}', lambda *_: False) is None
    True
    """
    try:
        kept, keyed = people_may(json.loads(content, object_pairs_hook=each_once), may)
    except (ValueError, RecursionError):
        return None
    return (json.dumps(kept, indent=4, ensure_ascii=False) + "\n").encode() if keyed else None


def people_may(value: Any, may: May) -> tuple[Any, bool]:
    """What may stay of a parsed value, and whether participants are keys in it.

    Raises
    ------
    ValueError, RecursionError
        When it is deeper than any file that somebody wrote.
    """
    return _kept(value, may, 0)


def people_keyed(content: bytes, known: Collection[str]) -> set[str]:
    """The participants that are keys in JSON, of those who are ``known``.

    >>> found = people_keyed(b'[{"sub-01": {"sub-02": 1}, "sub-group": 1}]', ["sub-01", "sub-02"])
    >>> sorted(found)
    ['sub-01', 'sub-02']
    """
    found: set[str] = set()

    def note(who: str, _: object) -> bool:
        found.add(who)
        return True

    without_entries(content, note)
    return found.intersection(known)


def _kept(value: Any, may: May, depth: int) -> tuple[Any, bool]:
    """What stays of a value, and whether participants are keys in it."""
    if depth > _DEEPEST:
        raise ValueError("too deep")
    if isinstance(value, dict):
        asked = {k: may(k, inner) for k, inner in value.items() if _LABEL.fullmatch(k)}
        people = {key: stays for key, stays in asked.items() if stays is not None}
        found = {
            key: _kept(inner, may, depth + 1)
            for key, inner in value.items()
            if people.get(key, True)
        }
        keyed = bool(people) or any(inside for _, inside in found.values())
        return {key: inner for key, (inner, _) in found.items()}, keyed
    if isinstance(value, list):
        listed = [_kept(inner, may, depth + 1) for inner in value]
        return [inner for inner, _ in listed], any(inside for _, inside in listed)
    return value, False
