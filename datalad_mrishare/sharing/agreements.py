"""The data use agreement that a sibling is served under, as its policy tells. Pure.

::

    dua: required                                 there has to be one, and there is none yet
    dua: {reference: 2026-017, until: 2028-01-01} up to that day; `until: open` without an end

A policy without `dua` leaves the agreement to the steward. Releases never tell of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from ..consent.values import read_date, unknown
from ..errors import InputError

_FORM = "Write dua: {reference: TEXT, until: YYYY-MM-DD}, or `until: open` where it has no end"


@dataclass(frozen=True)
class Agreement:
    """An agreement that is demanded; ``reference`` is None as long as there is none.

    ``until`` is the first day on which it holds no longer, None where it has no end.
    """

    reference: str | None = None
    until: date | None = None

    def lapse(self, day: date) -> str | None:
        """Why nothing may be served under it on ``day``, None where it may."""
        if self.reference is None:
            return "its policy demands a data use agreement, and names none"
        if self.until is not None and self.until <= day:
            return f"the data use agreement {self.reference} holds no longer (until {self.until})"
        return None


def parse_agreement(value: Any, at: Callable[..., str]) -> Agreement | None:
    """What a policy says under ``dua``; ``at(key)`` is where in the file.

    Raises
    ------
    InputError
        For anything but the forms above.
    """
    if value is None:
        return None
    if value == "required":
        return Agreement()
    if not isinstance(value, Mapping):
        raise InputError(f"`{value}` is no data use agreement", where=at(), remedy=_FORM)
    for key in value:
        if key not in ("reference", "until"):
            raise unknown("field of `dua`", str(key), ("reference", "until"), at(key))
    reference, until = value.get("reference"), value.get("until")
    if not isinstance(reference, str) or not reference.strip():
        raise InputError("`dua` names no agreement", where=at(), remedy=_FORM)
    if not isinstance(until, str):
        raise InputError("`dua` does not say until when it holds", where=at(), remedy=_FORM)
    if until == "open":
        return Agreement(reference.strip())
    try:
        return Agreement(reference.strip(), read_date(until))
    except InputError as exc:
        raise InputError(exc.what, where=at("until"), remedy=exc.remedy) from None
