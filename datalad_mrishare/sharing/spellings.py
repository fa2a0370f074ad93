"""Labels of participants that are not written as BIDS writes them. Pure: text in, labels out.

In texts ``sub 3``, ``subject_03``, ``sub03`` and the like mean ``sub-03``; in JSON a value
beside the key ``participant_id``, and keys that are all labels without ``sub-``, do.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from typing import Any

# blanks, underscore, number sign, hyphens of Unicode, a hyphen in a URL
_BETWEEN = r"((?:[\s_#\-\u00ad\u2010-\u2015\u2212\ufe63\uff0d]|%2d|no\.){0,4})"
#: all of a label but one that goes on as sub-01+2 does, who is somebody else
_WORD = r"(?=([a-z0-9]+)(?![a-z0-9]|[+.]\d))"
#: behind no letter, but for the end of a line as JSON writes it
_BEGINS = r"(?:(?<![a-z0-9])|(?<=\\[nrtfb]))"
#: words and what follows them; each begins with a word that is looked for first
_WRITTEN = {
    "sub": re.compile(rf"{_BEGINS}sub(j(?:ect)?)?{_BETWEEN}{_WORD}"),
    "participant": re.compile(rf"{_BEGINS}(participant){_BETWEEN}{_WORD}"),
}
#: an image in a text: three letters and a digit are somewhere in it
_EMBEDDED = re.compile(r";base64,\s*[a-z0-9+/]+={0,2}")
#: how a part of a path ends that goes on behind an underscore
OPEN = ("sub", "subj", "subject", "participant", "%2d")
_LABEL = re.compile(r"sub-(?=[a-z]*\d)([a-z0-9]+)", re.ASCII)
#: behind a number they make a size or a time of it
_UNITS = frozenset("mm cm um ms s hz khz mhz d t nd rd th x".split())
#: 2x2x2
_TIMES = re.compile(r"x\d")
_FIELDS = frozenset(("participant_id", "subject", "subject_id"))
#: BIDS 1.11, "Tabular files": what the values of a column mean
_MEANINGS = ("levels", "hed")


class Spellings:
    """Finds those of ``withheld`` whose label has a digit, however it is written.

    Leading zeros do not count. What may be one who is ``released`` is nobody else.

    >>> [*Spellings({"sub-03"}, {"sub-01"}).in_text("see subject 3 and sub001")]
    ['sub-03']
    >>> [*Spellings({"sub-03"}, {"sub-3"}).in_text("see subject 3")]
    []
    """

    def __init__(self, withheld: Collection[str], released: Collection[str]):
        self._released = {_plain(bare) for bare in _bare(released)}
        self._bare = frozenset(_bare(withheld))
        plain = {_plain(bare): f"sub-{bare}" for bare in self._bare}
        self._withheld = {p: who for p, who in plain.items() if p not in self._released}
        lengths = {len(label) for label in (*self._withheld, *self._released)}
        self._lengths = sorted(lengths, reverse=True)
        self._seen: dict[str, str | None] = {}

    def in_text(self, text: str) -> Iterator[str]:
        """Who is meant in a text in lower case."""
        if not self._withheld or not _is_text(text):
            return
        if ";base64," in text:
            text = _EMBEDDED.sub(" ", text)
        for word, expression in _WRITTEN.items():
            if word in text:
                for match in expression.finditer(text):
                    if who := self._meant(match[1] or "", match[2], match[3]):
                        yield who

    def _meant(self, more: str, between: str, word: str) -> str | None:
        """Whom a word means: ``03t1w`` sub-03.

        ``sub_3`` is a name that a program may have for anything, and so is ``sub2std``:
        of such nobody is called who has a zero before.
        """
        padded = word.startswith("0")
        loose = not (more or padded) and between == "_"
        asked = f"{padded or between != ''} {loose} {word}"
        if asked not in self._seen:
            self._seen[asked] = self._begins_with(_plain(word), padded or between != "", loose)
        return self._seen[asked]

    def _begins_with(self, word: str, open_: bool, loose: bool) -> str | None:
        """``open_`` says that something may go on behind the label, ``loose`` see above."""
        for length in self._lengths:
            label, rest = word[:length], word[length:]
            goes_on = rest[:1].isdigit() if label[-1:].isdigit() else rest != ""
            if len(label) < length or goes_on or rest in _UNITS or _TIMES.match(rest):
                continue
            if rest and not open_:
                continue
            if loose and f"sub-{label}" not in self._withheld.values():
                continue
            if label in self._released:
                return None
            if label in self._withheld:
                return self._withheld[label]
        return None

    def in_json(self, text: str, known: Collection[str]) -> Iterator[str]:
        """Who is meant by values and keys of JSON; ``known`` is everyone, in lower case."""
        if not self._withheld:
            return
        # few have such words in quotation marks, and parsing takes longer
        words = text.lower().split('"')
        words = words if '\\"' in text else words[1::2]
        if self._bare.isdisjoint(words) and _FIELDS.isdisjoint(words):
            return
        try:
            value = json.loads(text, object_pairs_hook=tuple)
            yield from self._in_value(value, "", known)
        except (ValueError, RecursionError):
            return

    def _in_value(self, value: Any, key: str, known: Collection[str]) -> Iterator[str]:
        """An object is a tuple of pairs here, so that no key hides another one."""
        if isinstance(value, list):
            for inner in value:
                yield from self._in_value(inner, key, known)
        elif isinstance(value, tuple):
            keys = [name.lower() for name, _ in value]
            if key not in _MEANINGS and all(f"sub-{k}" in known or k in known for k in keys):
                yield from (f"sub-{k}" for k in keys if k in self._bare and _is_label(k))
            for name, inner in zip(keys, (inner for _, inner in value), strict=True):
                yield from self._in_value(inner, name, known)
        elif key in _FIELDS and isinstance(value, str | int):
            who = self._withheld.get(_plain(str(value).strip().lower()))
            yield from (who,) if who else ()


def _bare(labels: Collection[str]) -> Iterator[str]:
    """Labels without ``sub-``, of those that have a digit and are written as BIDS has them."""
    for label in labels:
        if match := _LABEL.fullmatch(label.lower()):
            yield match[1]


def _is_label(key: str) -> bool:
    """Whether a key of JSON is more than a code: those are small numbers."""
    return not key.isdecimal() or key.startswith("0") or len(key) > 2


def _plain(label: str) -> str:
    return label.lstrip("0") or "0"


def _is_text(text: str) -> bool:
    """Whether this is text: three letters and a digit are somewhere in any image."""
    return "\0" not in text and text.count("\ufffd") * 8 <= len(text)
