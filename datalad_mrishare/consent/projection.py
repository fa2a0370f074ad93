"""A grant as git-annex metadata fields, and back.

The fields let plain git-annex see what was decided: ``git annex find --metadata
mrishare-use=HMB``. They are a projection of the registry and can be made again from it
at any time; they never decide anything themselves.

``mrishare-use`` holds every DUO permission that is included (GRU also gives HMB and POA),
so that a search for what is permitted finds all of it. A field that would say nothing is
left out; of a grant that permits nothing only ``mrishare-reach=own`` is kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date

from ..errors import InputError
from .grants import BOTTOM, TOP, Grant, parse_grant

PREFIX = "mrishare-"
#: all fields of ours, for those who clean up
FIELDS = tuple(
    PREFIX + name
    for name in ("participant", "reach", "use", "region", "duty", "until", "deid", "share")
)
_NONE = "none"

Fields = dict[str, frozenset[str]]


def grant_fields(
    grant: Grant, participants: Iterable[str] = (), share: Iterable[str] = ()
) -> Fields:
    """The metadata fields of a key.

    Parameters
    ----------
    grant : Grant
        The meet of the grants of everyone in the content.
    participants : iterable of str
        ``sub-XX`` of everyone in it.
    share : iterable of str
        The siblings it may go to.

    >>> grant_fields(BOTTOM, ["sub-01"])
    {'mrishare-participant': frozenset({'sub-01'}), 'mrishare-reach': frozenset({'own'})}
    """
    found = {"participant": frozenset(participants), "reach": frozenset((grant.reach.word,))}
    if grant != BOTTOM:
        found["use"] = grant.use.purposes or frozenset((_NONE,))
        found["region"] = frozenset(grant.words("region")) or frozenset((_NONE,))
        found["duty"] = grant.duty
        found["until"] = frozenset(grant.words("until"))
        found["deid"] = frozenset(grant.words("deid"))
    found["share"] = frozenset(share)
    return {PREFIX + name: values for name, values in found.items() if values}


def grant_from_fields(fields: Mapping[str, Iterable[str]]) -> Grant:
    """The grant that :func:`grant_fields` wrote; other fields are not looked at.

    Without fields of ours it is :data:`BOTTOM`.

    Raises
    ------
    InputError
        When a field holds what we never write.
    """
    values: dict[str, object] = {}
    for name in ("reach", "use", "region", "duty", "until", "deid"):
        words = sorted(fields.get(PREFIX + name, ()))
        if not words:
            continue
        if name in ("reach", "until", "deid"):
            if len(words) > 1:
                raise InputError(f"the field `{PREFIX}{name}` has {len(words)} values")
            values[name] = words[0]
        else:
            values[name] = [] if words == [_NONE] else words
    if "reach" not in values or "use" not in values or "region" not in values:
        return BOTTOM
    until = values.pop("until", None)
    grant = parse_grant(values, lambda name: PREFIX + name, base=TOP)
    return grant if until is None else _with_until(grant, str(until))


def _with_until(grant: Grant, text: str) -> Grant:
    try:
        until = date.fromisoformat(text)
    except ValueError:
        raise InputError(f"`{text[:40]}` is not a date", where=f"{PREFIX}until") from None
    return Grant(grant.reach, grant.use, grant.region, grant.duty, until, grant.deid)
