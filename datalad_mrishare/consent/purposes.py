"""What data may be used for, as sets of purposes.

The permissions of the Data Use Ontology are read as sets: ``DS:MONDO:x`` is research
into one disease, ``HMB`` all health research (every disease and what is common to
them), ``POA`` ancestry research, ``GRU`` all research, ``NRES`` any use. HMB excludes
ancestry by its DUO definition, so ``POA`` lies below ``GRU`` and not below ``HMB``.
Diseases are compared by their MONDO id only: that one disease is a kind of another is
not known here, and two different ids never overlap. That errs on the closed side.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from ..errors import InputError
from . import duo
from .values import words_of

_BELOW = {
    "NRES": frozenset(("NRES", "GRU", "HMB", "POA")),
    "GRU": frozenset(("GRU", "HMB", "POA")),
    "HMB": frozenset(("HMB",)),
    "POA": frozenset(("POA",)),
}
_DISEASE = re.compile(r"MONDO:\d{7}", re.ASCII)


class Use:
    """A set of purposes, downward closed and in normal form; ``<=`` and ``&`` are exact.

    The diseases are kept only while ``HMB`` is not in the set, which holds all of them.

    >>> Use.parse("DS:MONDO:0005148") <= Use.parse("HMB") <= Use.parse("GRU")
    True
    >>> Use.parse("POA") <= Use.parse("HMB")
    False
    >>> print(Use.parse("HMB POA") & Use.parse("DS:MONDO:0005148"))
    DS:MONDO:0005148
    """

    __slots__ = ("_hash", "purposes")

    def __init__(self, words: Iterable[str] = ()):
        closed: set[str] = set()
        for word in words:
            closed |= _BELOW.get(word, {word})
        if "HMB" in closed:
            closed = {word for word in closed if word in _BELOW}
        self.purposes = frozenset(closed)
        self._hash = hash(self.purposes)

    @classmethod
    def parse(cls, value: object, where: str | None = None) -> Use:
        """From DUO shorthands or ids, a text or a list: ``GRU``, ``DUO:0000042``, ``DS:MONDO:...``.

        Raises
        ------
        InputError
            For a word that is not a DUO permission, or a DS without its disease.
        """
        return cls(_permission(word, where) for word in words_of(value))

    @property
    def words(self) -> tuple[str, ...]:
        """The fewest DUO words that name this set, sorted; empty for the empty set."""
        implied = {
            below for word in self.purposes for below in _BELOW.get(word, ()) if below != word
        }
        return tuple(sorted(self.purposes - implied))

    @property
    def duo(self) -> tuple[str, ...]:
        """The same as DUO ids: ``DUO:0000042``, ``DUO:0000007:MONDO:...``."""
        return tuple(
            f"{duo.terms()[word.split(':')[0]].id}{word[2:] if word.startswith('DS:') else ''}"
            for word in self.words
        )

    def __le__(self, other: Use) -> bool:
        if self.purposes <= other.purposes:
            return True
        return "HMB" in other.purposes and all(
            word in other.purposes or word.startswith("DS:") for word in self.purposes
        )

    def __and__(self, other: Use) -> Use:
        if self.purposes == other.purposes:
            return self
        both = self.purposes & other.purposes
        if "HMB" in other.purposes:
            both |= {word for word in self.purposes if word.startswith("DS:")}
        if "HMB" in self.purposes:
            both |= {word for word in other.purposes if word.startswith("DS:")}
        return Use(both)

    def __bool__(self) -> bool:
        return bool(self.purposes)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Use) and self.purposes == other.purposes

    def __hash__(self) -> int:
        return self._hash

    def __str__(self) -> str:
        return ", ".join(self.words) or "nothing"

    def __repr__(self) -> str:
        return f"Use({list(self.words)})"


def _permission(word: str, where: str | None) -> str:
    head, disease = word, ""
    for prefix in ("DS:", "DUO:0000007:"):
        if word.startswith(prefix):
            head, disease = prefix[:-1], word[len(prefix) :]
    found = duo.term(head, "permission", where=where)
    if found.shorthand != "DS":
        return found.shorthand
    if not _DISEASE.fullmatch(disease):
        raise InputError(
            f"`{word}` does not say which disease",
            where=where,
            remedy="Add its MONDO id: DS:MONDO:0005148",
        )
    return f"DS:{disease}"


ANY_USE = Use(["NRES"])
NO_USE = Use()
