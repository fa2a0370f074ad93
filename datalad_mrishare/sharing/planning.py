"""From what the user asks for and what is there to a plan, and what it means for the sample."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from pathlib import Path

from ..consent.resolution import Resolver
from ..repo.annexbranch import descriptions
from ..repo.keys import Objects
from ..repo.room import FileSystem
from .balance import choose
from .bias import BiasReport, bias, group_people, people_there, permitted_people
from .plans import Plan, Room, Unit, Wishes, make_plan
from .policies import Policy
from .registry import read_file_at
from .samples import Rows, Sample, make_sample, read_people
from .snapshot import Snapshot
from .verdicts import Judge, Verdict, decide

#: files that are named one by one
_FEW = 3

Promised = dict[FileSystem | None, int]


@dataclass(frozen=True)
class Options:
    """What the user may ask for beside the policy.

    Parameters
    ----------
    budget : int or None
        Bytes that the sibling may hold of this dataset.
    elsewhere : int
        Bytes of the budget that other datasets of a tree take; what does not fit for that waits.
    select, first : mapping
        BIDS entity -> values: send only these now; send these first.
    unit : str or None
        Takes the place of the policy's unit.
    balance : tuple of str
        Columns of ``participants.tsv`` whose distribution is to be kept.
    dry_run : bool
        Stop before the first change.
    jobs : int
        Parallel transfers.
    at : date
        The day of the decision.
    known : date or None
        Look at a day in the past: what was recorded later does not count.
    plan_to, plan_from : Path or None
        Where to write the plan, instead of acting; which one to carry out.
    checksum : bool
        Compare all content at the sibling with its checksums.
    new_root : bool
        Begin the history of the sibling afresh.
    progress : callable, optional
        Called with bytes just sent and bytes in all.
    pause : callable
        Waits for so many seconds.
    promised : dict
        File system -> bytes that plans of other siblings would take of it, which were shown
        and not carried out. Plans that are shown add to it.
    """

    budget: int | None = None
    elsewhere: int = 0
    select: Mapping[str, Sequence[str]] = field(default_factory=dict)
    first: Mapping[str, Sequence[str]] = field(default_factory=dict)
    unit: str | None = None
    balance: tuple[str, ...] = ()
    dry_run: bool = False
    jobs: int = 1
    at: date = field(default_factory=date.today)
    known: date | None = None
    plan_to: Path | None = None
    plan_from: Path | None = None
    checksum: bool = False
    new_root: bool = False
    progress: Callable[[int, int], None] | None = None
    pause: Callable[[float], None] = time.sleep
    promised: Promised = field(default_factory=dict)


@dataclass(frozen=True)
class Planning:
    """All that a plan for one sibling is made of; ``present`` are the keys it has."""

    state: Snapshot
    policy: Policy
    verdicts: Sequence[Verdict]
    present: frozenset[str]
    options: Options

    @property
    def unit(self) -> str:
        """What is sent together or not at all."""
        return self.options.unit or self.policy.unit

    def plan(
        self,
        room: Room,
        only: Mapping[str, Sequence[str]] | None = None,
        former: bool = False,
    ) -> Plan:
        """Choose units as far as there is room, or exactly those in ``only``.

        ``former``: whether the sibling keeps what former versions of files held.

        Raises
        ------
        InputError
            When a column is to be balanced that there is not.
        """
        permitted = {v.facts.entry.key for v in self.verdicts if v.permit}
        missing = permitted - self.present
        find = Objects(self.state.checkout.objects).find
        # content that came while we looked is sent by the next run
        unseen = frozenset() if self.policy.own else self.state.looked.unseen
        return make_plan(
            self.verdicts,
            present=self.present,
            here={k for k in missing if k and k not in unseen and find(k)},
            room=room,
            unit=self.unit,
            wishes=self._wishes(only),
            former=self._staying() if former else (),
        )

    def _staying(self) -> frozenset[str]:
        """What is there of former versions of files, and nobody is known to deny."""
        known = {v.facts.entry.key for v in self.verdicts}
        gone = self.present - known
        return gone.difference(v.facts.entry.key or "" for v in self.former(gone))

    def former(self, keys: Iterable[str]) -> list[Verdict]:
        """Denials of content that is in the tree no more, whosever it was by path or lineage."""
        asked, known = self.options, self.options.known
        judge = Judge(self.policy, Resolver(self.state.registry, asked.at, known=known), asked.at)
        verdicts = decide(self.state.former(keys), judge)
        return [v for v in verdicts if not v.permit]

    def known_copies(self, unit: Unit) -> str:
        """Where content of a unit is that is not here, in words."""
        places = [self.state.logs.locations.get(k, frozenset()) for k in unit.absent]
        checkout = self.state.checkout
        names = descriptions(checkout.path)
        known = {names.get(u, u) for uuids in places for u in uuids if u != checkout.uuid}
        if not known:
            return "no copy is known anywhere"
        get = f"cd {shlex.quote(str(checkout.path))} && datalad get {self._absent(unit)}"
        return f"known copies: {', '.join(sorted(known))}; get them first: {get}"

    def _absent(self, unit: Unit) -> str:
        """What to get for a unit, as a shell wants it: a few files, or directories at the top."""
        paths = sorted(self._paths[key] for key in unit.absent)
        if len(paths) > _FEW:
            paths = sorted({path.partition("/")[0] for path in paths})
        return shlex.join(paths)

    @cached_property
    def _paths(self) -> dict[str, str]:
        """A path of each key."""
        entries = (v.facts.entry for v in self.verdicts)
        return {e.key: e.path for e in entries if e.key}

    def _wishes(self, only: Mapping[str, Sequence[str]] | None) -> Wishes:
        asked, sample = self.options, self.sample
        if sample is None:
            return Wishes(asked.select, asked.first, only=only)

        def chosen(costs: Mapping[str, int], left: int | None) -> list[str]:
            return choose(sample, self.before, costs, left)

        return Wishes(asked.select, asked.first, chosen, only)

    @cached_property
    def _table(self) -> tuple[tuple[str, ...], Rows]:
        state = self.state
        return read_people(read_file_at(state.checkout, state.commit, "participants.tsv"))

    @cached_property
    def before(self) -> frozenset[str]:
        """Participants of whom something is there already."""
        return people_there(self.verdicts, self.present)

    @cached_property
    def sample(self) -> Sample | None:
        """Everybody who permits something, when their distribution is to be kept."""
        if not self.options.balance:
            return None
        columns, rows = self._table
        return make_sample(self.options.balance, rows, permitted_people(self.verdicts), columns)

    def bias(self, plan: Plan) -> BiasReport:
        """Who is there after the plan, beside who was measured and who permits."""
        groups = group_people(self.verdicts, self.present, plan)
        changes = bool(plan.keys_to_send())
        before = self.before if self.sample else ()
        return bias(groups, *self._table, self.sample, before, changes)
