"""JSON from other systems, read so that nothing in it can surprise.

Refused: keys given twice (parsers differ in which they take), ``NaN`` and ``Infinity``,
deep nesting, and files above a size that no export reaches. A :class:`Node` is a value
that knows its path, so that whatever is wrong is told with its place, and that asks for
the keys it may have, so that nothing in it is passed over.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from ..errors import InputError
from .records import CellError

#: characters; a consent is about 2 kB
LARGEST = 256 * 1024 * 1024
DEEPEST = 32

_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[\[{]|[\]}]', re.DOTALL)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


class _Doubled(dict[str, Any]):
    """An object with a key that is given twice."""

    key = ""


class _NotANumber:
    """``NaN`` or ``Infinity``."""


@dataclass(frozen=True)
class Node:
    """A value in a JSON document and its path, ``entry[3].resource.period``."""

    value: Any
    path: str
    extensions: Collection[str] = ()

    def refuse(self, what: str, remedy: str | None = None, key: str = "") -> CellError:
        """The error about this value, or about its ``key``."""
        return CellError(_join(self.path, key) if key else self.path, what, remedy=remedy)

    def only(self, *keys: str, remedy: str | None = None) -> Node:
        """This object, after all its keys were found to be known.

        ``id`` is always known. An ``extension`` is, where its url is one of those that may
        be passed over; a ``modifierExtension`` never is.
        """
        if not isinstance(self.value, dict) or not self.value:
            raise self.refuse("expected an object with something in it")
        for key in self.value:
            if key == "extension":
                for item in self.items(key):
                    if item.text("url") not in self.extensions:
                        raise item.refuse(
                            "an extension that is not known here may limit the consent",
                            "If it does not, name its url in `ignore_extensions` of the map",
                        )
            elif key != "id" and key not in keys:
                raise self.refuse("this is not known here and may limit the consent", remedy, key)
        return self

    def get(self, key: str) -> Node | None:
        """A member, or None."""
        if not isinstance(self.value, dict):
            raise self.refuse("expected an object")
        if key not in self.value:
            return None
        return Node(self.value[key], _join(self.path, key), self.extensions)

    def items(self, key: str) -> Iterator[Node]:
        """The members of a list, none where there is no list."""
        node = self.get(key)
        if node is None:
            return
        if not isinstance(node.value, list) or not node.value:
            raise node.refuse("expected a list with something in it")
        for number, value in enumerate(node.value):
            yield Node(value, f"{node.path}[{number}]", self.extensions)

    def text(self, key: str) -> str:
        """A text member; empty where there is none."""
        node = self.get(key)
        if node is None:
            return ""
        if not isinstance(node.value, str) or not node.value.strip():
            raise node.refuse("expected a text")
        return node.value.strip()


def _join(path: str, key: str) -> str:
    shown = key if _NAME.fullmatch(key) else f"[{json.dumps(key[:60])}]"
    return f"{path}.{shown}" if path and not shown.startswith("[") else path + shown


def load_json(text: str, where: str, extensions: Collection[str] = ()) -> Node:
    """Parse one JSON document.

    Raises
    ------
    InputError
        Naming line and column, or the path.
    """
    if len(text) > LARGEST:
        raise InputError(f"more than {LARGEST >> 20} MiB of JSON are not read", where=where)
    _check_depth(text, where)
    try:
        value = json.loads(text, object_pairs_hook=_object, parse_constant=lambda _: _NotANumber())
    except json.JSONDecodeError as exc:
        place = f"{where}, line {exc.lineno}, column {exc.colno}"
        raise InputError(f"not valid JSON: {exc.msg}", where=place) from exc
    except ValueError as exc:  # a number with thousands of digits
        raise InputError("not valid JSON: a number is too long", where=where) from exc
    _check_values(value, where)
    return Node(value, "", extensions)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        doubled = _Doubled(found)
        doubled.key = next(name for name in names if names.count(name) > 1)
        return doubled
    return found


def _check_depth(text: str, where: str) -> None:
    depth = 0
    for match in _TOKEN.finditer(text):
        first = match[0][0]
        if first in "[{":
            depth += 1
            if depth > DEEPEST:
                line = text.count("\n", 0, match.start()) + 1
                raise InputError("nested too deeply", where=f"{where}, line {line}")
        elif first in "]}":
            depth -= 1


def _check_values(value: Any, where: str) -> None:
    open_: list[tuple[Any, str]] = [(value, "")]
    while open_:
        item, path = open_.pop()
        if isinstance(item, _NotANumber):
            raise InputError("not a number of JSON (NaN or Infinity)", where=f"{where}, {path}")
        if isinstance(item, _Doubled):
            place = f"{where}, {_join(path, item.key)}"
            raise InputError(f"`{item.key[:60]}` is given twice", where=place)
        if isinstance(item, dict):
            open_.extend((member, _join(path, key)) for key, member in item.items())
        elif isinstance(item, list):
            open_.extend((member, f"{path}[{n}]") for n, member in enumerate(item))
