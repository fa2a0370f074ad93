"""What of a participant's data a record is about.

A scope such as ``datatype=anat suffix=T1w,T2w`` covers the files that match all its
entities, each with one of its values. Without entities it covers everything. A file of
which an entity is not known is treated according to what is at stake: permission does
not cover it, a denial does.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import translate
from functools import lru_cache
from typing import NamedTuple

from ..errors import InputError
from .values import unknown

#: the datatypes of BIDS 1.10 (schema, objects/datatypes)
DATATYPES = frozenset(
    ("anat", "beh", "dwi", "eeg", "fmap", "func", "ieeg", "meg", "micr", "motion", "mrs")
) | {"nirs", "perf", "pet"}

#: the suffixes of BIDS 1.10 (schema, objects/suffixes) and of its derivatives
_SUFFIXES = """
2PE BF CARS CONF Chimap DF DIC FLAIR FLASH FLUO IRT1 M0map MEGRE MESE MP2RAGE MPE MPM MTR
MTRmap MTS MTVmap MTsat MWFmap NLO OCT PC PD PDT2 PDT2map PDmap PDw PLI R1map R2map R2starmap
RB1COR RB1map S0map SEM SPIM SR T1map T1rho T1w T2map T2star T2starmap T2starw T2w TB1AFI
TB1DAM TB1EPI TB1RFM TB1SRGE TB1TFL TB1map TEM UNIT1 VFA XPCT angio asl aslcontext asllabeling
beh blood bold boldref cbv channels coordsystem defacemask descriptions dseg dwi dwiref eeg
electrodes emg epi events fieldmap headshape ieeg inplaneT1 inplaneT2 m0scan magnitude
magnitude1 magnitude2 markers mask meg mixing motion mrsi mrsref nirs noRF optodes pet phase
phase1 phase2 phasediff photo physio physioevents probseg relmat sbref scans sessions stat stim
svs timeseries tractogram uCT unloc xfm
"""
SUFFIXES = frozenset(_SUFFIXES.split())

_ENTITIES = ("ses", "datatype", "suffix", "path")
_LABEL = re.compile(r"[A-Za-z0-9+]+", re.ASCII)


class FileScope(NamedTuple):
    """What is known of a file: session label, datatype, suffix (None where not known), path."""

    ses: str | None = None
    datatype: str | None = None
    suffix: str | None = None
    path: str = ""


@dataclass(frozen=True)
class Scope:
    """A conjunction of entities, each with alternatives; empty is everything.

    >>> scope = Scope.parse("datatype=anat suffix=T1w,T2w")
    >>> scope.covers(FileScope(datatype="anat", suffix="T1w"))
    True
    >>> scope.covers(FileScope(datatype="anat")), scope.may_cover(FileScope(datatype="anat"))
    (False, True)
    """

    entities: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @classmethod
    def parse(cls, text: str) -> Scope:
        """From the text of a record, ``datatype=anat suffix=T1w ses=1 path=sub-*/anat/*``.

        ``path`` is a shell pattern over the path from the top of the dataset; its ``*``
        also crosses directories. A session is compared as a number if it is one (``1`` is
        ``01``), so that a denial does not miss for a leading zero.

        Raises
        ------
        InputError
            For anything else; also for a suffix or datatype that BIDS does not have.
        """
        return _parse(text)

    @property
    def names(self) -> frozenset[str]:
        """The entities that it looks at."""
        return frozenset(name for name, _ in self.entities)

    def covers(self, file: FileScope) -> bool:
        """Whether it surely covers the file; for permissions."""
        return all(_matches(name, values, file, False) for name, values in self.entities)

    def may_cover(self, file: FileScope) -> bool:
        """Whether it covers the file as far as is known; for denials."""
        return all(_matches(name, values, file, True) for name, values in self.entities)

    def __str__(self) -> str:
        return " ".join(f"{name}={','.join(values)}" for name, values in self.entities)


EVERYTHING = Scope()


def _matches(name: str, values: tuple[str, ...], file: FileScope, unsure: bool) -> bool:
    value = getattr(file, name)
    if not value:
        return unsure
    if name == "path":
        return any(_pattern(pattern).match(value) is not None for pattern in values)
    if name == "ses":
        value = session(value)
    return value in values


def session(label: str) -> str:
    """A session label as it is compared: ``ses-01`` and ``1`` are both ``1``."""
    label = label.removeprefix("ses-")
    return (label.lstrip("0") or "0") if label.isdecimal() else label


@lru_cache(maxsize=4096)
def _pattern(pattern: str) -> re.Pattern[str]:
    return re.compile(translate(pattern))


@lru_cache(maxsize=65536)
def _parse(text: str) -> Scope:
    found: dict[str, tuple[str, ...]] = {}
    for item in text.split():
        name, equals, rest = item.partition("=")
        values = tuple(value for value in rest.split(",") if value)
        if name not in _ENTITIES:
            raise unknown("entity in a scope", name, _ENTITIES)
        if not equals or not values:
            raise InputError(f"`{item[:60]}` has no value", remedy=f"Write {name}=VALUE")
        if name in found:
            raise InputError(f"`{name}` is given twice", remedy=f"Write {name}=A,B for A or B")
        found[name] = tuple(sorted({_checked(name, value) for value in values}))
    return Scope(tuple((name, found[name]) for name in _ENTITIES if name in found))


def _checked(name: str, value: str) -> str:
    if name == "datatype" and value not in DATATYPES:
        raise unknown("datatype", value, DATATYPES)
    if name == "suffix" and value not in SUFFIXES:
        error = unknown("suffix", value, SUFFIXES)
        raise InputError(error.what, remedy=f"{error.remedy} For others use path=*_SUFFIX.*")
    if name == "ses":
        value = session(value)
        if not _LABEL.fullmatch(value):
            raise InputError(f"`{value[:40]}` is not a session label")
    if name == "path" and (value.startswith(("/", "./")) or len(value) > 500):
        raise InputError("a path pattern starts at the top of the dataset, without `/`")
    return value
