"""Who may not be named in a release, and where somebody is. Pure: text in, labels out."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from urllib.parse import quote

from ..privacy.needles import windows
from .facts import TEXTS, Kind
from .spellings import OPEN, Spellings
from .verdicts import Reason

# what is captured is not used up: sub-01+sub-02 are two
_LABEL = re.compile(r"sub-(?=([a-z0-9]*)(\+[a-z0-9+]*)?)", re.ASCII)
_WHOLE = re.compile(r"sub-[a-z0-9+]+", re.ASCII)
#: bytes of packed text that are looked at again with the next piece
_OVERLAP = 1 << 12
_ESCAPED = re.compile(r"\\u(00[0-7][0-9a-f]|201[0-5]|2212)", re.IGNORECASE)


class Mentions:
    """Finds in a text who may not be named: anyone known but not released, or unknown.

    Upper and lower case are the same. A label that nobody has counts when it looks like
    those there are (``sub-99`` beside ``sub-01``): it is that of somebody who was removed.
    Those who are known are found in other :mod:`.spellings`, too. ``machine`` are words that tell
    of the steward's machine.

    >>> names = Mentions(["sub-01", "sub-02"], ["sub-01"])
    >>> names.found("like sub-01 and Sub-02"), names.found("sub-01"), names.found("sub-1mm")
    ('sub-02', None, None)
    """

    def __init__(
        self,
        participants: Collection[str],
        released: Collection[str],
        machine: Collection[str] = (),
    ):
        self._machine = _any_of(machine)
        self._released = frozenset(released)
        self._known = {p.lower() for p in participants}
        self._withheld = {p.lower() for p in participants if p not in released}
        #: who is called as BIDS calls nobody: looked for as they are
        self._odd = sorted(p for p in self._withheld if not _WHOLE.fullmatch(p))
        self._shapes = {_shape(p) for p in self._known if any(map(str.isdigit, p))}
        self._spellings = Spellings(self._withheld, released)
        self._parts: dict[str, str | None] = {}

    def found(self, text: str) -> str | None:
        """One who may not be named but is, or None."""
        return next(self._all(text), None)

    def all(self, text: str) -> frozenset[str]:
        """Everyone who may not be named but is."""
        return frozenset(self._all(text))

    def _all(self, text: str) -> Iterator[str]:
        text = text.lower()
        for match in _LABEL.finditer(text):
            plain, more = f"sub-{match[1]}", match[2] or ""
            for label in (plain + more,) if plain + more in self._known else {plain, plain + more}:
                if label in self._withheld or (label not in self._known and self.is_person(label)):
                    yield label
        yield from (odd for odd in self._odd if odd in text)
        yield from self._spellings.in_text(text)

    def in_json(self, text: str) -> frozenset[str]:
        """Everyone whom keys and values of JSON mean without the name that BIDS gives them."""
        return frozenset(self._spellings.in_json(text, self._known))

    def tells(self, text: str) -> bool:
        """Whether a text has a word that tells of the steward's machine."""
        return self._machine is not None and self._machine.search(text.lower()) is not None

    def may_stay(self, text: str) -> bool:
        """Whether a part of a text names nobody, and tells of no machine."""
        return self.found(text) is None and not self.tells(text)

    def is_person(self, label: str) -> bool:
        """Whether a label is that of somebody known, or looks like one."""
        return label.lower() in self._known or _shape(label.lower()) in self._shapes

    def is_released(self, label: str) -> bool:
        """Whether somebody of exactly this label is in the release."""
        return label in self._released

    def in_path(self, path: str) -> str | None:
        """The same for a path: no label of BIDS reaches over a slash or an underscore."""
        if self._odd:
            return self.found(path)
        above, _, name = path.rpartition("/")
        first, _, rest = name.partition("_")
        if not first[-1:].isalnum() or first.lower().endswith(OPEN):
            above, first, rest = "", path, ""  # it may go on behind the underscore
        for part in (above, first):  # what many paths have in common
            if part not in self._parts:
                self._parts[part] = self.found(part)
            if self._parts[part] is not None:
                return self._parts[part]
        rest = rest.lower()
        return self.found(rest) if "sub" in rest or "participant" in rest else None


def _any_of(words: Collection[str]) -> re.Pattern[str] | None:
    """Finds words as they are, as JSON and as URLs write them; no part of a longer name."""
    spelt: set[str] = set()
    for word in map(str.lower, words):
        in_json = json.dumps(word)[1:-1]
        spelt |= {word, in_json, in_json.replace("/", "\\/"), quote(word).lower()}
    if not spelt:
        return None
    longest_first = sorted(spelt, key=lambda word: (-len(word), word))
    # JSON writes the end of a line as a backslash and a letter
    begins = r"(?:(?<![\w.-])|(?<=\\[nrtfb]))"
    return re.compile(rf"{begins}(?:{'|'.join(map(re.escape, longest_first))})(?![\w-])")


def _shape(label: str) -> str:
    return "".join("0" if c.isdigit() else "a" if c.isalpha() else c for c in label)


MENTION = Reason(
    "mention",
    "its text names a participant who is withheld or not in the dataset",
    "Take the name out of the text, or move it to a file below that participant",
)
NAMED = Reason(
    "mention",
    "its path names a participant who is withheld or not in the dataset",
    "Rename it, or move it below that participant",
)
TOLD = Reason(
    "mention",
    "its header or its content names a participant who is withheld or not in the dataset",
    "Take the name out of it, then datalad save and datalad mrishare-register",
)
MACHINE = Reason(
    "machine",
    "its text tells a path of the steward's machine, or the id of the annex there",
    "Take it out of the text, then datalad save",
)
NO_TEXT = Reason(
    "mention",
    "it cannot be looked through for names of participants who are withheld",
    "Save it as UTF-8 text",
)


def against(path: str, content: bytes, kind: Kind, mentions: Mentions) -> Reason | None:
    """Why a text may not leave as it is, or None."""
    # UTF-16, or no text at all: nothing else looks into what is called a text
    text = content.decode("utf-8", "replace")
    if "\0" in text and (kind is Kind.COMMONS or path.endswith(TEXTS)):
        return NO_TEXT
    if kind is Kind.COMMONS and "\ufffd" in text:
        return NO_TEXT
    # packed or not, as whoever verifies it looks
    reasons = (_against(window, mentions) for window in windows([content], _OVERLAP))
    return next(filter(None, reasons), None)


def _against(content: bytes, mentions: Mentions) -> Reason | None:
    text = content.decode("utf-8", "replace")
    if text.lstrip()[:1] in ("{", "[") and mentions.in_json(text):
        return MENTION
    if "\\u" in text:  # what a reader of JSON sees
        text += "\n" + _ESCAPED.sub(lambda match: chr(int(match[1], 16)), text)
    if mentions.found(text):
        return MENTION
    return MACHINE if mentions.tells(text) else None
