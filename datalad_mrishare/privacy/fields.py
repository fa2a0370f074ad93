"""The closed list of sidecar keys and table columns that count as deidentified.

Whatever is not on the shipped list (``resources/deidentified_fields.yaml``) makes a file
identifiable: a vendor's new field is held back until somebody has looked at it.
"""

from __future__ import annotations

import json
from functools import lru_cache
from importlib.resources import files
from typing import Any


@lru_cache(maxsize=1)
def _listed() -> dict[str, frozenset[str]]:
    import yaml

    text = files("datalad_mrishare").joinpath("resources/deidentified_fields.yaml").read_text()
    return {kind: frozenset(words.split()) for kind, words in yaml.safe_load(text).items()}


def columns_listed(columns: list[str]) -> bool:
    """Whether every column is on the list; a table without a header is not."""
    return bool(columns) and _listed()["column"].issuperset(columns)


def column_listed(column: str) -> bool:
    """Whether one column is on the list."""
    return column in _listed()["column"]


def fields_listed(value: object) -> bool:
    """Whether ``value`` is an object with nothing but listed columns in it.

    >>> fields_listed({"age": 30}), fields_listed({"iq": 99}), fields_listed("a text")
    (True, False, False)
    """
    return isinstance(value, dict) and _keys_listed(value, _listed()["column"], 0)


def sidecar_listed(content: bytes) -> bool:
    """Whether ``content`` is a JSON object with listed keys only, at every depth."""
    try:
        value = json.loads(content, object_pairs_hook=each_once)
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict) and _keys_listed(value, _listed()["sidecar"], 0)


def each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object; a key given twice would hide the first value from us, not from its reader."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key is given twice")
    return found


def _keys_listed(value: Any, listed: frozenset[str], depth: int) -> bool:
    if depth > 16:
        return False
    if isinstance(value, dict):
        return all(k in listed and _keys_listed(v, listed, depth + 1) for k, v in value.items())
    if isinstance(value, list):
        return all(_keys_listed(v, listed, depth + 1) for v in value)
    return True
