"""What publishing tells while it works; the command turns each into a result record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .plans import Plan, Unit


@dataclass(frozen=True)
class UnitReport:
    """A unit and what became of it: planned, sent, kept, deferred or incomplete.

    ``failed`` are keys that did not arrive, with the reason.
    """

    unit: Unit
    status: str
    failed: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class WithheldReport:
    """Files that may not go, together with everything else of the same reason.

    ``who`` is a participant or the top directory of files of nobody; ``problem`` says that
    somebody has to mend something, not that a rule was applied.
    """

    who: str
    component: str
    sentence: str
    remedy: str
    files: int
    size: int
    problem: bool
    example: str


@dataclass(frozen=True)
class NotedReport:
    """Files that may go, and of which a person has to know something.

    ``outcome`` is one of those in :mod:`.noting`; ``problem`` says that a decision is asked for.
    """

    outcome: str
    sentence: str
    remedy: str
    paths: Sequence[str]
    problem: bool = False


@dataclass(frozen=True)
class TakenBackReport:
    """Content removed from the sibling because it is no longer permitted or replaced.

    ``paths`` are the keys, each with its path (empty when it has none any more); ``recall``
    says whether the sibling promised to delete when asked. ``parts`` counts what interrupted
    transfers had left there; ``failed`` has what could not be removed, with the reason.
    """

    paths: Mapping[str, str]
    size: int
    recall: bool
    failed: Mapping[str, str] = field(default_factory=dict)
    planned: bool = False
    parts: int = 0


@dataclass(frozen=True)
class PushedReport:
    """What the sibling's branch is at now; ``changed`` says whether it moved."""

    commit: str | None
    changed: bool
    files: int


@dataclass(frozen=True)
class NewRootReport:
    """The history of the sibling was begun afresh, or is to be (``planned``).

    ``forgotten`` releases are no longer there; ``left`` says why something of them may be.
    """

    forgotten: int
    left: str = ""
    planned: bool = False


@dataclass(frozen=True)
class NotTakenReport:
    """Why the sibling did not take the names, after content of them may have arrived there."""

    what: str
    where: str
    remedy: str


@dataclass(frozen=True)
class ProblemReport:
    """Why the whole publication was refused, before anything moved.

    ``sending`` says that it is only a reason to send nothing: what has to come back comes back.
    """

    what: str
    where: str
    remedy: str
    sending: bool = False


@dataclass(frozen=True)
class ChecksumReport:
    """What the sibling has, compared with its checksums.

    ``compared`` and ``without`` count objects, the latter those whose keys hold no checksum;
    ``damaged`` are keys, ``units`` those that they belong to, ``failed`` the keys that are
    still not right there, with the reason.
    """

    compared: int
    without: int
    damaged: tuple[str, ...]
    units: tuple[str, ...]
    failed: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class PlanFileReport:
    """A plan was written to ``path``: so many units, so many bytes to send."""

    path: str
    units: int
    size: int


@dataclass(frozen=True)
class SameReport:
    """Nothing is new since the last run, which said this and had nothing to do."""

    told: Sequence[tuple[str, str, Mapping[str, Any]]]


@dataclass(frozen=True)
class SummaryReport:
    """The end of a publication; ``failed`` are keys of the plan that nobody can get there."""

    plan: Plan
    changed: bool
    complete: bool
    dry_run: bool
    event: str | None = None
    failed: frozenset[str] = frozenset()
