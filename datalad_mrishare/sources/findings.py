"""What a source has that is not as it should be: one finding for each.

A finding never stops a registration; it is reported with what to do about it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum


class Kind(str, Enum):
    """The kinds of findings; the value is the word used in records and on annex keys."""

    UNREADABLE = "unreadable"
    TRUNCATED = "truncated"
    CORRUPT = "corrupt"
    NAME = "outside-bids"
    DESCRIPTION = "no-dataset-description"
    PARTICIPANTS_TABLE = "participants-table"
    NO_TABLE = "no-participants-table"
    NO_DATA = "participant-without-data"
    NOT_LISTED = "participant-not-listed"
    LINK_OUT = "link-out-of-tree"
    SPECIAL = "special-file"
    NESTED = "nested-repository"
    PERMISSION = "no-permission"
    IN_GIT = "image-in-git"
    IGNORED = "ignored"
    UNCOMMITTED = "not-committed"


#: worth a line, but nothing is wrong with the data
NOTES = frozenset((Kind.NO_TABLE, Kind.IGNORED))


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing found: ``path`` relative to the dataset (empty: the dataset itself).

    ``what`` is a sentence without a full stop, ``remedy`` the next thing to do.
    """

    kind: Kind
    path: str
    what: str
    remedy: str

    @property
    def is_note(self) -> bool:
        """Whether this is for information only."""
        return self.kind in NOTES


#: called with the phase (``"reading headers"``), how many are done, and how many there are
Progress = Callable[[str, int, int], None]


def no_progress(phase: str, done: int, total: int) -> None:
    """A :data:`Progress` that tells nobody."""
