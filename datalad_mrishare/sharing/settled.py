"""What a run for a sibling ended with when there was nothing to do, kept to say it again.

A nightly run mostly finds nothing new. Deciding about every file again to say so would take
as long as deciding about all of them for the first time. So a run that changed nothing, and
left nothing waiting, keeps what it rested on and what it told; the next one that rests on the
very same tells the same. Whatever differs (a commit, a record, a key's metadata, another
request, another version of this software, a day on which some permission starts or ends, a
ref at the sibling) and the run is a whole one. The file is private to the clone, below
``.git/mrishare``: who can write there can run commands as the steward anyway.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from ..consent.resolution import Registry
from ..repo.worktree import write_file
from .policies import Policy

#: what was told, for who asks: status, message and fields of each result
Told = Sequence[tuple[str, str, Mapping[str, Any]]]


@dataclass(frozen=True)
class Settled:
    """A sibling that has everything it may have.

    ``question`` is a digest of all that was asked and all that it rested on; ``since`` and
    ``until`` are the first day it holds and the first it does not (ISO; None: no such day);
    ``tips`` are the sibling's refs; ``told`` is what the run said.
    """

    question: str
    since: str
    until: str | None
    tips: Mapping[str, str]
    told: Told

    def holds(self, question: str, day: date) -> bool:
        """Whether the same is asked, of the same state, on a day on which the same is permitted."""
        today = day.isoformat()
        in_time = self.since <= today and (self.until is None or today < self.until)
        return self.question == question and in_time


def next_day(registry: Registry, policy: Policy, after: date) -> str | None:
    """The first day after ``after`` on which a record, a form or the policy may say otherwise."""
    days = (registry.next_change(after), *policy.days)
    return min((d.isoformat() for d in days if d is not None and d > after), default=None)


def read_settled(path: Path) -> Settled | None:
    """What was kept, or None where there is nothing that can be read."""
    try:
        held = Settled(**json.loads(path.read_bytes()))
        days = (held.since, held.until or held.since)
        told = [(str(status), str(said), dict(fields)) for status, said, fields in held.told]
        return replace(held, told=told) if all(map(date.fromisoformat, days)) else None
    except (OSError, ValueError, TypeError):
        return None


def keep_settled(path: Path, settled: Settled) -> None:
    """Keep it for the next run."""
    write_file(path, json.dumps(asdict(settled)).encode("ascii"))
