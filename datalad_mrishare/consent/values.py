"""Small readers that every module of the consent layer shares: words and dates.

All of them are strict: what is not understood is an :class:`InputError`, because
a typo that is ignored may widen what is shared.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date
from difflib import get_close_matches
from functools import lru_cache

from ..errors import InputError

_ISO = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_DAY_FIRST = re.compile(r"(\d{1,2})([./-])(\d{1,2})\2(\d{4})", re.ASCII)
_SPLIT = re.compile(r"[,\s]+")

#: characters that do not show: control characters but tab and line break, marks that have no
#: width or turn the writing direction
HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufffe]"
)

#: no consent to share MRI data is older: an earlier year is a typing error
EARLIEST = date(1970, 1, 1)


def words_of(value: object) -> tuple[str, ...]:
    """The words of a list, or of a text separated by commas or blanks.

    >>> words_of("DUA, NRI US")
    ('DUA', 'NRI', 'US')
    >>> words_of(["DUA", "NRI"])
    ('DUA', 'NRI')
    """
    if value is None:
        return ()
    if isinstance(value, str):
        return tuple(word for word in _SPLIT.split(value) if word)
    if isinstance(value, Iterable):
        return tuple(word for item in value for word in words_of(item))
    raise InputError(f"expected words, found {value!r}")


def unknown(kind: str, text: str, known: Iterable[str], where: str | None = None) -> InputError:
    """The error for a word that is not in a closed list, with the nearest that are."""
    names = sorted(known)
    near = get_close_matches(text, names, n=1) or get_close_matches(text.upper(), names, n=1)
    if near:
        remedy = f"Did you mean `{near[0]}`?"
    elif names:
        remedy = f"Known: {', '.join(names[:24])}" + (", ..." if len(names) > 24 else "")
    else:
        remedy = None
    shown = text if len(text) <= 60 else f"{text[:57]}..."
    return InputError(f"unknown {kind} `{shown}`", where=where, remedy=remedy)


@lru_cache(maxsize=65536)
def read_date(text: str) -> date:
    """A date as the registry writes it, ``YYYY-MM-DD``.

    >>> read_date("2026-05-03")
    datetime.date(2026, 5, 3)
    """
    if not _ISO.fullmatch(text):
        raise InputError(f"`{text[:40]}` is not a date", remedy="Write it as YYYY-MM-DD")
    return _checked(text, text)


@lru_cache(maxsize=65536)
def read_spreadsheet_date(text: str) -> date:
    """A date as a spreadsheet may have left it, if it can be read in one way only.

    ISO dates are accepted. Day, month and four-digit year (``25.05.2026``, ``05/25/2026``)
    are accepted when the order cannot be mistaken: one number is above 12, or both are
    the same. Everything else is refused, also ``03.05.2026``: with dots the day
    usually comes first (DIN 5008), but not in every file that a spreadsheet has touched.

    >>> read_spreadsheet_date("25.05.2026")
    datetime.date(2026, 5, 25)
    >>> read_spreadsheet_date("03.05.2026")
    Traceback (most recent call last):
    ...
    datalad_mrishare.errors.InputError: `03.05.2026` can be read in two ways. \
Write 2026-05-03 or 2026-03-05
    """
    if _ISO.fullmatch(text):
        return read_date(text)
    match = _DAY_FIRST.fullmatch(text)
    if not match:
        raise InputError(f"`{text[:40]}` is not a date", remedy="Write it as YYYY-MM-DD")
    first, second, year = int(match[1]), int(match[3]), match[4]
    if first <= 12 and second <= 12 and first != second:
        raise InputError(
            f"`{text}` can be read in two ways",
            remedy=f"Write {year}-{second:02}-{first:02} or {year}-{first:02}-{second:02}",
        )
    day, month = (second, first) if second > 12 else (first, second)
    return _checked(f"{year}-{month:02}-{day:02}", text)


def _checked(iso: str, shown: str) -> date:
    try:
        found = date.fromisoformat(iso)
    except ValueError:
        raise InputError(f"`{shown}` is not a day of the calendar") from None
    if found < EARLIEST:
        raise InputError(f"`{shown}` lies before {EARLIEST.year}; is the year right?")
    return found


def years_later(start: date, years: int) -> date:
    """The same day ``years`` later; 29 February becomes 28 (earlier, never later).

    >>> years_later(date(2024, 2, 29), 30)
    datetime.date(2054, 2, 28)
    """
    year = min(start.year + years, date.max.year)
    try:
        return start.replace(year=year)
    except ValueError:
        return start.replace(year=year, day=28)
