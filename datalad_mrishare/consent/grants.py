"""The algebra: what a participant permits and what a sibling would do, in one lattice.

A :class:`Grant` is a point: ``reach``, ``use``, ``region``, ``duty``, ``until`` and
``deid``. Lower means less is permitted, so fewer duties and less cleanliness demanded
are *higher*. :func:`meet` is what two participants permit together; ``a <= b`` says that
everything ``a`` does is permitted by ``b``. The point of a sibling's policy is of the
same type, and :func:`failing` compares the two at a date.

This is the product lattice of information flow (D. E. Denning, "A lattice model of
secure information flow", CACM 19(5), 1976): a derivative takes the meet of its inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from enum import IntEnum
from functools import reduce
from typing import TypeVar

from ..errors import InputError
from . import duo
from .purposes import ANY_USE, NO_USE, Use
from .regions import ANYWHERE, NOWHERE, Region, parse_region, region_words
from .values import read_date, unknown, words_of

#: the components, in the order in which messages name them
COMPONENTS = ("reach", "use", "region", "duty", "until", "deid")

#: promises a recipient can be held to: modifiers of DUO, a data use agreement, and
#: no re-identification, for which DUO has no term (EBISPOT/DUO#129)
DUTIES = frozenset(
    ("IRB", "PUB", "COL", "RTN", "MOR", "TS", "US", "PS", "IS", "NPU", "NCU", "DUA", "NRI")
)

_Level = TypeVar("_Level", bound="_Levels")


class _Levels(IntEnum):
    """A chain of levels with words for them."""

    @property
    def word(self) -> str:
        """The level as it is written."""
        return self.name.lower()

    @classmethod
    def parse(cls: type[_Level], text: str, where: str | None = None) -> _Level:
        """The level with this word; :class:`InputError` if there is none."""
        for level in cls:
            if level.word == text:
                return level
        kind = {"Reach": "reach", "Deid": "level of de-identification"}[cls.__name__]
        raise unknown(kind, text, [level.word for level in cls], where)


class Reach(_Levels):
    """Who can read it. ``own`` is the controller's own storage: no sharing at all."""

    OWN = 0
    INSTITUTION = 1
    CONSORTIUM = 2
    REGISTERED = 3
    PUBLIC = 4


class Deid(_Levels):
    """How clean a file is, or must be."""

    IDENTIFIABLE = 0
    PSEUDONYMISED = 1
    DEIDENTIFIED = 2
    ANONYMOUS = 3


@dataclass(frozen=True)
class Grant:
    """A point in the lattice.

    Parameters
    ----------
    reach : Reach
        Who may read it at most.
    use : Use
        The purposes permitted.
    region : frozenset of str
        ISO 3166-1 alpha-2 codes of the countries it may go to.
    duty : frozenset of str
        What the recipient must have promised; words of :data:`DUTIES`.
    until : date or None
        The first day on which it is no longer permitted; None for no end.
    deid : Deid or None
        The cleanliness demanded; None leaves it to the policy.
    """

    reach: Reach
    use: Use
    region: Region
    duty: frozenset[str]
    until: date | None
    deid: Deid | None

    def __le__(self, other: Grant) -> bool:
        return (
            self.reach <= other.reach
            and self.use <= other.use
            and self.region <= other.region
            and self.duty >= other.duty
            and _end(self.until) <= _end(other.until)
            and _rank(self.deid) >= _rank(other.deid)
        )

    @property
    def is_bottom(self) -> bool:
        """Whether it permits no sharing at all: own storage only, no purpose, or no place."""
        return self.reach is Reach.OWN or not self.use or not self.region

    def words(self, component: str) -> tuple[str, ...]:
        """A component in the words in which forms and policies write it.

        >>> TOP.words("use"), TOP.words("until")
        (('NRES',), ())
        """
        if component == "use":
            return self.use.words
        if component == "region":
            return region_words(self.region)
        if component == "duty":
            return tuple(sorted(self.duty))
        value = getattr(self, component)
        if value is None:
            return ()
        return (value.isoformat() if isinstance(value, date) else value.word,)


def _end(until: date | None) -> tuple[bool, date]:
    return (until is None, until or date.max)


def _rank(deid: Deid | None) -> int:
    return -1 if deid is None else int(deid)


#: everything, for everyone, for ever
TOP = Grant(Reach.PUBLIC, ANY_USE, ANYWHERE, frozenset(), None, None)
#: nothing; what is permitted where no record says otherwise
BOTTOM = Grant(Reach.OWN, NO_USE, NOWHERE, DUTIES, date.min, Deid.ANONYMOUS)
#: what a form or policy says where it says nothing: no reach, no use; any region, no duty, no end
UNSAID = Grant(Reach.OWN, NO_USE, ANYWHERE, frozenset(), None, None)


def meet(first: Grant, *others: Grant) -> Grant:
    """What all the grants permit together. At least one: nobody's consent permits nothing.

    >>> meet(TOP, BOTTOM) == BOTTOM
    True
    """
    return reduce(_meet, others, first)


def _meet(a: Grant, b: Grant) -> Grant:
    if a is b or b is TOP:
        return a
    if a is TOP:
        return b
    return Grant(
        reach=min(a.reach, b.reach),
        use=a.use & b.use,
        region=a.region & b.region,
        duty=a.duty | b.duty,
        until=min(a.until, b.until, key=_end),
        deid=max(a.deid, b.deid, key=_rank),
    )


def parse_duty(value: object, where: str | None = None) -> frozenset[str]:
    """Duties from our words, DUO shorthands or ids; ``NPUNCU`` is both of its halves.

    >>> sorted(parse_duty("DUO:0000018 DUA"))
    ['DUA', 'NCU', 'NPU']
    """
    found: set[str] = set()
    for word in words_of(value):
        if word in DUTIES:
            found.add(word)
            continue
        if word not in duo.terms():
            raise unknown("duty", word, [*DUTIES, "NPUNCU"], where)
        shorthand = duo.term(word, "modifier", where=where).shorthand
        found |= {"NPU", "NCU"} if shorthand == "NPUNCU" else {shorthand}
    return frozenset(found)


def parse_grant(
    values: Mapping[str, object],
    locate: Callable[[str], str] = str,
    *,
    base: Grant = UNSAID,
) -> Grant:
    """A grant from the components that a form or policy spells out.

    Parameters
    ----------
    values : mapping
        Component name to text or list of texts. Other keys are not looked at.
    locate : callable
        Component name to the place named in an error.
    base : Grant
        Where missing components come from; see :data:`UNSAID`.

    Raises
    ------
    InputError
        For any word that is not known.

    >>> parse_grant({"reach": "public", "use": "GRU"}).words("use")
    ('GRU',)
    """

    def one(name: str) -> str | None:
        value = values.get(name)
        if value is None or isinstance(value, str):
            return value
        if isinstance(value, date):
            return value.isoformat()
        raise InputError(f"`{name}` takes one word", where=locate(name))

    reach, until, deid = one("reach"), one("until"), one("deid")
    use, region, duty = (values.get(name) for name in ("use", "region", "duty"))
    return Grant(
        reach=base.reach if reach is None else Reach.parse(reach, locate("reach")),
        use=base.use if use is None else Use.parse(use, locate("use")),
        region=base.region if region is None else parse_region(region, locate("region")),
        duty=base.duty if duty is None else parse_duty(duty, locate("duty")),
        until=base.until if until is None else _date(until, locate("until")),
        deid=base.deid if deid is None else Deid.parse(deid, locate("deid")),
    )


def _date(text: str, where: str) -> date:
    try:
        return read_date(text)
    except InputError as exc:
        raise InputError(exc.what, where=where, remedy=exc.remedy) from None
