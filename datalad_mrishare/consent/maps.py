"""Maps: YAML that tells how the export of another system says what a record says.

A map decides nothing by itself. It names columns and values, and whatever it does not
name is an error in the import: what an export means is never guessed.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from ..errors import InputError
from .records import CellError, is_participant
from .values import unknown, words_of
from .yamltext import Document, load_yaml

#: the formats that need, or may have, a map
FORMATS = ("redcap", "fhir")


def open_map(text: str, where: str) -> tuple[Document, str]:
    """The YAML of a map, and the format that it is for."""
    document = load_yaml(text, where)
    if not isinstance(document.value, dict) or "format" not in document.value:
        raise InputError(
            "it does not say for which format it is",
            where=document.at(),
            remedy="Write `format: redcap` or `format: fhir`",
        )
    form = document.value["format"]
    if form not in FORMATS:
        raise unknown("format", str(form), FORMATS, document.at("format"))
    return document, form


class Section:
    """A mapping in a map, whose every key is known."""

    def __init__(self, document: Document, path: tuple[str, ...], known: Collection[str]):
        self._document, self._path = document, path
        value = document.value
        for key in path:
            value = value[key]
        if not isinstance(value, dict):
            raise InputError("expected `key: value`", where=document.at(*path))
        for key in value:
            if key not in known:
                raise unknown("key", key, known, self.at(key))
        self.value = value

    def at(self, key: str) -> str:
        """The place of a key, for messages."""
        return self._document.at(*self._path, key)

    def text(self, key: str, default: str = "") -> str:
        """One word or sentence; ``default`` where the key is missing."""
        value = self.value.get(key, default)
        if value is None:
            return ""
        if not isinstance(value, str):
            raise InputError(f"`{key}` takes one value", where=self.at(key))
        return value

    def word(self, key: str, known: Collection[str], default: str = "") -> str:
        """One word of a closed list."""
        text = self.text(key, default)
        if text != default and text not in known:
            raise unknown(key, text, known, self.at(key))
        return text

    def words(self, key: str) -> tuple[str, ...]:
        """A word or a list of words. Blanks and commas do not separate: they may be meant."""
        value = self.value.get(key)
        items = value if isinstance(value, list) else [] if value is None else [value]
        for item in items:
            if item is not None and not isinstance(item, str):
                raise InputError(f"`{key}` takes words", where=self.at(key))
        return tuple(item or "" for item in items)

    def table(self, key: str) -> dict[str, str] | None:
        """Values as exported to what they mean; None where the key is missing."""
        value = self.value.get(key)
        if value is None:
            return None
        if not isinstance(value, dict) or not value:
            raise InputError(f"`{key}` takes `exported: meaning`", where=self.at(key))
        for item in value.values():
            if item is not None and not isinstance(item, str | list):
                raise InputError("a value takes one meaning", where=self.at(key))
        return {name: " ".join(words_of(item)) for name, item in value.items()}


#: keys of the rule that makes a participant of an id
NAMING = ("strip", "prefix", "digits")


@dataclass(frozen=True)
class Naming:
    """How an id becomes a participant: by a rule that is written down, never guessed.

    ``strip`` is what each id starts with and loses, ``prefix`` what it then gets, and
    ``digits`` the least number of digits of a number. Without a rule ids must be
    participants already.

    >>> Naming(prefix="sub-", digits=2).participant("007")
    'sub-07'
    """

    strip: str = ""
    prefix: str = ""
    digits: int = 0

    @classmethod
    def of(cls, section: Section) -> Naming:
        """From the keys :data:`NAMING` of a section."""
        digits = section.text("digits", "0")
        if not (digits.isascii() and digits.isdecimal() and int(digits) <= 12):
            raise InputError(
                f"`{digits}` is no number of digits", where=section.at("digits"), remedy="Write 2"
            )
        return cls(section.text("strip"), section.text("prefix"), int(digits))

    def participant(self, text: str) -> str:
        """The participant with this id; :class:`CellError` where the rule does not fit."""
        if not text.startswith(self.strip):
            raise self._unfit(text, f"does not start with `{self.strip}`")
        label = text.removeprefix(self.strip)
        if self.digits:
            if not (label.isascii() and label.isdecimal() and len(label) <= 18):
                raise self._unfit(text, "is not a number, and the map says `digits`")
            label = f"{int(label):0{self.digits}}"
        named = self.prefix + label
        if not is_participant(named):
            raise self._unfit(text, f"becomes `{named[:40]}`, which is not a participant")
        return named

    def _unfit(self, text: str, why: str) -> CellError:
        return CellError(
            "participant_id",
            f"`{text[:40]}` {why}" if text else "no participant is named",
            remedy="Correct it, or `strip`, `prefix` and `digits` of the map",
        )


class Named:
    """The ids seen so far, so that two of them never become one participant unseen."""

    def __init__(self, naming: Naming):
        self._naming = naming
        self._ids: dict[str, str] = {}

    def participant(self, text: str) -> str:
        """The participant; :class:`CellError` also when another id became the same one."""
        found = self._naming.participant(text)
        first = self._ids.setdefault(found, text)
        if first != text:
            raise CellError(
                "participant_id",
                f"`{first[:40]}` and `{text[:40]}` both become {found}",
                remedy="If they are one person, write the id in one way in the export",
            )
        return found


#: what a refusal ends, in maps
REFUSALS = ("everything", "form")
