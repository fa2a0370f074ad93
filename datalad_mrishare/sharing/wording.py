"""The wording of receipts: named parts of Markdown with words to fill in.

The shipped ``resources/receipt.md`` has all parts, and says which words each can use: those
that it uses there, and ``$participant`` and ``$day`` everywhere. A dataset changes some of them
in ``.datalad/mrishare/receipt.md``, for example to translate them. What cannot be understood in
that file is an error: a receipt that silently leaves something out would not be true.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from string import Template

from ..consent.duo import resource
from ..consent.values import HIDDEN, unknown
from ..errors import InputError

RECEIPT_FILE = ".datalad/mrishare/receipt.md"

#: words that every part can use
COMMON = frozenset(("participant", "day"))

_PART = re.compile(r"<!--\s*part:\s*(.*?)\s*-->")
#: without these the receipt would keep something back
_DEMANDED = {
    "receipt": frozenset(("participant", "day", "records", "permits", "shared", "kept")),
    "shared": frozenset(("places",)),
    "kept": frozenset(("places",)),
    "place": frozenset(("sibling", "steps", "now")),
    "kept-place": frozenset(("sibling", "steps")),
}
_URL = re.compile(r"https?://[^\s<>\\]+", re.ASCII)
_SPECIAL = re.compile(r"([\\`*_\[\]<>#|~&$])")


@dataclass(frozen=True)
class Wording:
    """Parts by name, and the words that all of them can use."""

    parts: Mapping[str, str]
    common: Mapping[str, str] = field(default_factory=dict)

    def say(self, name: str, **words: object) -> str:
        """A part with its words filled in. They are put in as they are: see :func:`plain`."""
        told = {**self.common, **{k: str(v) for k, v in words.items()}}
        return Template(self.parts[name]).substitute(told)


def load_wording(text: str | None = None, where: str = RECEIPT_FILE) -> Wording:
    """The shipped wording, with the parts that a dataset words otherwise.

    Parameters
    ----------
    text : str or None
        The dataset's file; None when it has none.
    where : str
        Its name, for messages.

    Raises
    ------
    InputError
        For a part or a word to fill in that there is not, naming the line; for a part that
        leaves out what a receipt has to say.
    """
    shipped = _shipped()
    if text is None:
        return Wording(shipped)
    parts = _parts(text, where)
    for name, (line, part) in parts.items():
        place = f"{where}, line {line}"
        if name not in shipped:
            raise unknown("part", name, shipped, place)
        words = _check(name, part, line + 1, where, _words(shipped[name]) | COMMON)
        if missing := sorted(_DEMANDED.get(name, frozenset()) - words):
            raise InputError(
                f"the part `{name}` leaves out ${missing[0]}", where=place, remedy="Put it in"
            )
    own = {name: part.strip("\n") for name, (_, part) in parts.items()}
    return Wording({**shipped, **own})


@lru_cache(maxsize=1)
def _shipped() -> dict[str, str]:
    found = _parts(resource("receipt.md"), "receipt.md (shipped)")
    return {name: part.strip("\n") for name, (_, part) in found.items()}


def _parts(text: str, where: str) -> dict[str, tuple[int, str]]:
    """Part name to the line it starts on and its text, without blank lines around it."""
    found: dict[str, tuple[int, str]] = {}
    name, start = "", 0
    lines: list[str] = []
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    for number, line in enumerate([*text.split("\n"), "<!-- part: -->"], 1):
        if HIDDEN.search(line):
            raise InputError("a character that does not show", where=f"{where}, line {number}")
        match = _PART.fullmatch(line.strip())
        if match is None:
            lines.append(line)
            continue
        if name:
            # lines before the text of the part count, so that messages name the right one
            found[name] = (start, "\n".join(lines))
        name, start, lines = match[1], number, []
        if name in found:
            raise InputError(f"the part `{name}` is there twice", where=f"{where}, line {number}")
    if not found:
        raise InputError(
            "has no parts", where=where, remedy="Begin each with a line <!-- part: NAME -->"
        )
    return found


def _words(part: str) -> frozenset[str]:
    """The words that a part fills in."""
    matches = Template.pattern.finditer(part)
    return frozenset(m["named"] or m["braced"] for m in matches if m["named"] or m["braced"])


def _check(name: str, part: str, first: int, where: str, known: frozenset[str]) -> frozenset[str]:
    """The words of a part, all of them known."""
    for match in Template.pattern.finditer(part):
        word = match["named"] or match["braced"]
        place = f"{where}, line {first + part.count(chr(10), 0, match.start())}, part `{name}`"
        if match["invalid"] is not None:
            raise InputError("a dollar sign alone", where=place, remedy="Write $$ for one")
        if word is not None and word not in known:
            raise unknown("word to fill in", f"${word}", [f"${k}" for k in known], place)
    return _words(part)


def plain(text: object) -> str:
    """Text of users as Markdown that shows it and does nothing else, on one line.

    >>> print(plain("a_b *c*\\n# <d>"))
    a\\_b \\*c\\* \\# \\<d\\>
    """
    return _SPECIAL.sub(r"\\\1", _one_line(text))


def link(text: object) -> str:
    """A web address as a link, anything else as :func:`plain` text.

    >>> print(link("https://example.org/a_b"), link("javascript:x"))
    <https://example.org/a_b> javascript:x
    """
    line = _one_line(text)
    return f"<{line}>" if _URL.fullmatch(line) else plain(line)


def _one_line(text: object) -> str:
    shown = "".join(c if c.isprintable() else " " for c in str(text))
    return " ".join(shown.split())
