"""YAML that people write, read so that nothing in it can surprise.

Every scalar is text (``NO`` stays Norway and ``1.10`` a version), an empty one is
nothing. Refused: anchors and aliases (with them a few lines expand to gigabytes),
tags (``!!python/...``), keys given twice, several documents, deep nesting, and files
above a size that no registry reaches. Each value remembers its line and column.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..errors import InputError

#: bytes; a form is about 500 bytes, a record in YAML about 200
LARGEST = 16 * 1024 * 1024
_DEEPEST = 16

Path = tuple["str | int", ...]


@dataclass(frozen=True)
class Document:
    """A parsed file: its value, and where each part of it stands."""

    value: Any
    where: str
    marks: dict[Path, tuple[int, int]]

    def at(self, *path: str | int) -> str:
        """``file, line N, column M`` of the value (or its nearest parent) at ``path``."""
        while path and path not in self.marks:
            path = path[:-1]
        line, column = self.marks.get(path, (1, 1))
        return f"{self.where}, line {line}, column {column}"


def load_yaml(text: str, where: str) -> Document:
    """Parse one YAML document.

    Parameters
    ----------
    text : str
        The content.
    where : str
        The name of the file, for messages.

    Raises
    ------
    InputError
        When it is not YAML, or uses what this module refuses.
    """
    import yaml

    if len(text) > LARGEST:
        raise InputError(f"more than {LARGEST >> 20} MiB of YAML are not read", where=where)
    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    reader = _Reader(where, iter(yaml.parse(text.removeprefix("\ufeff"), Loader=loader)))
    try:
        value = reader.document()
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        place = f"{where}, line {mark.line + 1}, column {mark.column + 1}" if mark else where
        if "nesting depth" in (exc.problem or ""):  # PyYAML has a limit of its own since 6.0.4
            raise InputError("nested too deeply", where=place) from exc
        raise InputError(f"not valid YAML: {exc.problem}", where=place) from exc
    except (yaml.YAMLError, ValueError) as exc:
        reason = str(exc).splitlines()[0]
        raise InputError(f"not valid YAML: {reason}", where=where) from exc
    return Document(value, where, reader.marks)


class _Reader:
    """Builds values from parser events; the events decide, so nothing is ever expanded."""

    def __init__(self, where: str, events: Iterator[Any]):
        self._where = where
        self._events = events
        self.marks: dict[Path, tuple[int, int]] = {}

    def document(self) -> Any:
        value, documents = None, 0
        for event in self._events:
            kind = type(event).__name__
            if kind == "DocumentStartEvent":
                documents += 1
                if documents > 1:
                    raise self._refused("more than one document in a file", event)
                value = self._value(next(self._events), ())
        return value

    def _value(self, event: Any, path: Path) -> Any:
        kind = type(event).__name__
        if kind == "AliasEvent" or getattr(event, "anchor", None) is not None:
            raise self._refused("anchors and aliases are not accepted; write it out", event)
        if getattr(event, "tag", None) is not None:
            raise self._refused(f"the tag `{event.tag}` is not accepted", event)
        if len(path) > _DEEPEST:
            raise self._refused("nested too deeply", event)
        self.marks.setdefault(path, (event.start_mark.line + 1, event.start_mark.column + 1))
        if kind == "ScalarEvent":
            plain = event.style in (None, "")
            return None if plain and event.value in ("", "~", "null") else event.value
        if kind == "SequenceStartEvent":
            return self._sequence(path)
        return self._mapping(path)

    def _sequence(self, path: Path) -> list[Any]:
        items: list[Any] = []
        while type(event := next(self._events)).__name__ != "SequenceEndEvent":
            items.append(self._value(event, (*path, len(items))))
        return items

    def _mapping(self, path: Path) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while type(event := next(self._events)).__name__ != "MappingEndEvent":
            if type(event).__name__ != "ScalarEvent":
                raise self._refused("a key must be a word", event)
            key = self._value(event, (*path, f"key of {event.value}"))
            if key is None:
                raise self._refused("a key is empty", event)
            if key in found:
                raise self._refused(f"`{key}` is given twice", event)
            place = (*path, key)
            self.marks[place] = (event.start_mark.line + 1, event.start_mark.column + 1)
            found[key] = self._value(next(self._events), place)
        return found

    def _refused(self, what: str, event: Any) -> InputError:
        mark = event.start_mark
        place = f"{self._where}, line {mark.line + 1}, column {mark.column + 1}"
        return InputError(what, where=place)
