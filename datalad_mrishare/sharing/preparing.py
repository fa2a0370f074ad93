"""Publishing to one sibling up to the first change: what there is, what may go, what is to be done.

::

    snapshot -> decide -> plan -> preflight

Nothing here moves anything. What is carried out, and in which order, is in
:mod:`~datalad_mrishare.sharing.publishing`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from functools import cached_property, partial
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

from ..consent.resolution import Resolver
from ..errors import NotTaken, Refused
from ..repo.history import count_commits
from ..repo.journal import Journal
from ..repo.process import meanwhile
from ..repo.release import REVOKED_FILE, ReleaseRepository
from ..repo.trees import Entry, decode, read_blobs
from ..repo.worktree import Checkout
from . import machine
from .anonymous import undecided
from .describing import CHANGES, DESCRIPTION, Former, describe, describes_dataset
from .facts import Facts
from .noting import notes
from .planfiles import (
    PlanFile,
    deviations,
    more_than_then,
    outdated,
    plan_file,
    read_plan,
    refusals,
    write_plan,
)
from .planning import Options, Planning
from .plans import Action, Plan
from .policies import SIBLINGS_FILE, Policy, load_policies, policy_of
from .preflight import new_root_problems, problems, room_at, standing_problems
from .registry import load_registry, read_file_at
from .releases import ReleaseTree, release_tree
from .reports import (
    NewRootReport,
    ProblemReport,
    TakenBackReport,
    UnitReport,
)
from .settled import Settled, Told, keep_settled, next_day, read_settled
from .shrinking import only_released
from .siblings import must_be_declared
from .snapshot import Basis, Snapshot, dataset_id, read_basis, require_registered, take_snapshot
from .stores import Store, open_store
from .subdatasets import Linked, linked_subdatasets
from .takingback import TakingBack
from .verdicts import Judge, Verdict, decide, hold_back
from .withheld import group_withheld

Report = object

T = TypeVar("T")


class Preparation:
    """What a run for one sibling rests on, and what it decides.

    Parameters
    ----------
    checkout : Checkout
        The steward's dataset.
    name : str
        The sibling.
    options : Options
        What was asked for.
    """

    def __init__(self, checkout: Checkout, name: str, options: Options):
        self.checkout, self.name, self.options = checkout, name, options
        self.failed: dict[str, str] = {}
        self.arrived: list[str] = []
        self.dropped: list[str] = []
        self.failed_drops: dict[str, str] = {}
        self.parts = 0
        self.not_taken: NotTaken | None = None
        self.lock_fd = -1
        self.written: PlanFile | None = None
        self.basis: Basis | None = None
        self.changed = True
        self.pushed: str | None = None
        self.linked: Mapping[str, Linked] = {}
        self._linked_at: str | None = None
        self._going: list[Callable[[], Any]] = []

    def _must_be_declared(self) -> None:
        """Look before a lock is made in its name."""
        require_registered(self.checkout)
        must_be_declared(self.checkout, self.name)

    # -- nothing new

    def told_before(self) -> Told | None:
        """What the last run said, when nothing is new since and it had nothing to do."""
        asked = self.options
        if asked.dry_run or asked.plan_from or asked.checksum or asked.new_root:
            return None
        if self.journal.exists() or self._begun.exists():
            return None
        self.basis = read_basis(self.checkout)
        held = read_settled(self._settled)
        if held is None:
            return None
        siblings = read_file_at(self.checkout, self.basis.commit, SIBLINGS_FILE) or b""
        policy = policy_of(load_policies(siblings.decode("utf-8", "replace")), self.name)
        self._find_linked(self.basis.commit, policy)
        if not held.holds(self._question(self.basis), asked.at):
            return None
        store = open_store(self.checkout, policy, self.basis.commit)
        store.open()
        same = store.tips() == held.tips and not store.behind()
        wrong = standing_problems(self.checkout, store, policy, asked.at)
        return held.told if same and not wrong else None

    def _find_linked(self, commit: str, policy: Policy) -> None:
        """Look which subdatasets have a release; once in a run, as each takes some processes."""
        if self._linked_at != commit:
            self.linked = linked_subdatasets(self.checkout, commit, policy)
            self._linked_at = commit

    def keep(self, told: Told) -> None:
        """Keep what this run said for the next one, if there was nothing to do.

        What another command changed meanwhile is not what this run rested on.
        """
        if self.basis is None or self.changed:
            return
        if any(u.action is not Action.KEEP for u in self.the_plan.units):
            return
        until = next_day(self.state.registry, self.policy, self.options.at)
        since, tips = self.options.at.isoformat(), self.store.tips()
        settled = Settled(self._question(self.basis), since, until, tips, told)
        if read_basis(self.checkout) == self.basis:
            keep_settled(self._settled, settled)

    @property
    def _settled(self) -> Path:
        return self.checkout.ours / f"{self.name}.settled"

    def _question(self, basis: Basis) -> str:
        asked = self.options
        words = (asked.budget, asked.select, asked.first, asked.unit, asked.balance, asked.known)
        return basis.digest(self.name, self.checkout.uuid, repr(words), repr(self.linked))

    @property
    def _begun(self) -> Path:
        """Says that a run began the history of the sibling afresh and has not come to its end.

        It holds the new release once that is there.
        """
        return self.checkout.ours / f"{self.name}.newroot"

    @property
    def _is_anew(self) -> bool:
        """Whether a run that was killed had done so already, and only its event is missing."""
        return self._begun.exists() and self._begun.read_bytes() == (self.before or "").encode()

    @property
    def new_root(self) -> bool:
        """Whether the sibling is to forget what it was before."""
        if self.policy.own or self.before is None or self._is_anew:
            return False
        return self.options.new_root or self._begun.exists()

    # -- looking

    def look(self) -> tuple[list[ProblemReport], list[ProblemReport]]:
        """Everything before the first change; reasons why a plan is stale, why all is refused."""
        self.snapshot()
        if stale := self.read_plan():
            return stale, []
        self.decide()
        self.plan()
        return [], self.preflight()

    @cached_property
    def journal(self) -> Journal:
        """The keys that a run is at."""
        return Journal(self.checkout.ours / f"{self.name}.journal")

    @cached_property
    def unfinished(self) -> Journal:
        """The keys that former runs could not bring there to their end."""
        return Journal(self.checkout.ours / f"{self.name}.unfinished")

    def _meanwhile(self, work: Callable[[], T]) -> Callable[[], T]:
        """As :func:`.meanwhile`, but at an end before the lock is given up: see ``at_an_end``."""
        self._going.append(wait := meanwhile(work))
        return wait

    @contextmanager
    def at_an_end(self) -> Iterator[None]:
        """At the end nothing is going on in a thread any more, also when somebody interrupts."""
        try:
            yield
        finally:
            for wait in self._going:
                for _ in range(3):
                    try:
                        wait()
                    except KeyboardInterrupt:
                        continue
                    except BaseException:  # whoever asked for the result has heard of it
                        pass
                    break

    def snapshot(self) -> None:
        """Read the dataset, and open the sibling."""
        basis = self.basis or read_basis(self.checkout)
        siblings = read_file_at(self.checkout, basis.commit, SIBLINGS_FILE) or b""
        self.policy: Policy = policy_of(
            load_policies(siblings.decode("utf-8", "replace")), self.name
        )
        self.store: Store = open_store(self.checkout, self.policy, basis.commit)
        opening = partial(self.store.open, prepare=not self.options.dry_run)
        if self.policy.own:  # what it fetches is part of what is read
            self.state: Snapshot = take_snapshot(self.checkout, basis)
            opening()
        else:
            load_registry(self.checkout, basis.commit)  # nobody is asked when it cannot be read
            opened = self._meanwhile(opening)
            self.looked = self._meanwhile(lambda: (opened(), self._look_there())[1])
            self.state = take_snapshot(self.checkout, basis)
            opened()
        self.before = self.store.released()
        if isinstance(self.store, ReleaseRepository) and self._begun.exists():
            self.before = self.store.begun_from() or self.before

    def _look_there(self) -> tuple[set[str], dict[str, bool]]:
        """The keys that are there, and those about which the log is wrong."""
        present = self.store.present()
        # what a killed run was at: the sibling knows better than any log
        found = self.store.check(self.journal.read())
        wrong = {k: there for k, there in found.items() if there != (k in present)}
        present -= {k for k, there in found.items() if not there}
        return present | {k for k, there in found.items() if there}, wrong

    def decide(self) -> None:
        """A verdict for every file, while git tells what is there."""
        if self.policy.own:
            self.looked = self._meanwhile(self._look_there)
        self._find_linked(self.state.commit, self.policy)
        self.judge = self._judge(self.options.at)
        self.verdicts: list[Verdict] = decide(self._facts(), self.judge)
        self.tree: ReleaseTree | None = None
        if not self.policy.own:
            self._hold_back()
            self.tree = self._release_tree(self.verdicts, self.state.contents)
            denied = {v.facts.path: v for v in self.tree.denied}
            self.verdicts = [denied.get(v.facts.path, v) for v in self.verdicts]

    def _judge(self, day: date) -> Judge:
        resolver = Resolver(self.state.registry, day, known=self.options.known)
        return Judge(self.policy, resolver, day, self.state.participants, linked=self.linked)

    def _decided_at(self, day: date) -> list[Verdict]:
        """The verdicts of another day, with all that is known today."""
        if day == self.options.at:
            return self.verdicts
        return decide(self._facts(), self._judge(day))

    def _hold_back(self) -> None:
        waiting = {found.path for found in undecided(self._facts(), self.judge.resolver)}
        if waiting:
            present, _ = self.looked()
            released = {entry.oid for entry in self._former[0]}
            self.verdicts = hold_back(
                self.verdicts,
                waiting,
                lambda e: e.key in present if e.key else e.oid in released,
            )

    def _facts(self) -> list[Facts]:
        """Facts about every file; what contents tell matters beyond own storage."""
        known, looking = self.options.known, not self.policy.own
        return self.state.facts(self.policy.commons, known=known, looking=looking)

    def read_plan(self) -> list[ProblemReport]:
        """Take over a plan that was made before; the reasons not to."""
        path = self.options.plan_from
        if path is None:
            return []
        try:
            self.written = read_plan(path)
        except Refused as exc:
            return refusals([exc.what], path, self.name)
        self.options = self.written.apply(self.options)
        return refusals(
            outdated(self.written, self.state, self.name, self.options.at), path, self.name
        )

    def write_plan(self) -> Iterator[Report]:
        """Put the plan down where the user wants it."""
        if path := self.options.plan_to:
            unit = self.planning.unit
            yield write_plan(
                path, plan_file(self.state, self.name, self.the_plan, unit, self.options)
            )

    def plan(self) -> None:
        """Choose units as far as there is room."""
        self.present, self.wrong = self.looked()
        self.planning = Planning(
            self.state, self.policy, self.verdicts, frozenset(self.present), self.options
        )
        room = room_at(self.policy, self.store, self.present, self.options, self.state)
        only = self.written.units if self.written else None
        self.the_plan: Plan = self.planning.plan(
            room, only, self.policy.own and not self.store.of_files
        )

    def preflight(self) -> list[ProblemReport]:
        """Everything that can be refused, at once."""
        found = problems(self.state, self.policy, self.store, self.the_plan, self.options)
        if self.options.new_root:
            found += new_root_problems(self.policy, self.store)
        if self.written and self.options.plan_from:
            sentences = chain(
                deviations(self.written, self.verdicts, self.present, self.the_plan),
                more_than_then(self.written, self._decided_at(self.written.at), self.verdicts),
            )
            found += refusals(sentences, self.options.plan_from, self.name)
        return found

    def describe(self) -> Iterator[Report]:
        """The plan: each unit, what is withheld, what comes back."""
        for unit in self.the_plan.units:
            status = "planned" if unit.action is Action.SEND else unit.action.value
            if unit.absent:
                unit = replace(unit, why=f"{unit.why}; {self.planning.known_copies(unit)}")
            if unit.action is not Action.SEND or self.options.dry_run:
                yield UnitReport(unit, status)
        yield from group_withheld(self.the_plan.withheld)
        yield from self._notes()
        yield self.planning.bias(self.the_plan)
        if self.the_plan.take_back and self.options.dry_run:
            paths = self._taking_back("").paths(self.the_plan.take_back)
            freed, recall = self.the_plan.freed, self.policy.recall
            yield TakenBackReport(paths, freed, recall, planned=True)
        if self.new_root and self.options.dry_run:
            yield NewRootReport(self._releases(), planned=True)

    def _releases(self) -> int:
        """How many releases the sibling has."""
        return count_commits(self.store.repo, self.before) if self.before else 0

    def _notes(self) -> Iterator[Report]:
        """What is permitted, and a person has to know of."""
        if not self.policy.own:
            first = self.before is None
            yield from notes(self._facts(), self.verdicts, self.judge.resolver, first=first)

    def _taking_back(self, there: str) -> TakingBack:
        keys = self.the_plan.take_back
        asked = (keys, self.verdicts, self.judge.resolver, self.planning.former(keys))
        return TakingBack(self.checkout, there, *asked)

    @cached_property
    def _former(self) -> tuple[list[Entry], dict[str, bytes]]:
        """What the last release holds, and what it says itself."""
        assert isinstance(self.store, ReleaseRepository)
        if self.before is None:
            return [], {}
        return self.store.read(self.before, REVOKED_FILE, DESCRIPTION, CHANGES)

    def shrink(self) -> None:
        """Let the release be the former one, without what is denied now."""
        self.tree = self._release_tree(
            only_released(self.verdicts, self._former[0]), self._contents
        )

    def _contents(self, entries: Sequence[Entry]) -> dict[str, bytes]:
        """Content of files in git by blob id, those of the dataset and of the last release."""
        released = dict(read_blobs(self.store.repo, dict.fromkeys(e.oid for e in entries)))
        return released | self.state.contents(entries)

    def _release_tree(
        self, verdicts: list[Verdict], contents: Callable[[Sequence[Entry]], dict[str, bytes]]
    ) -> ReleaseTree:
        former, held = Former(), set[str]()
        if self.before:
            entries, texts = self._former
            former = Former.of(entries, texts, anew=self.new_root)
            if not self.new_root:
                held = {e.key for e in entries if e.key}
                listed = decode(texts.get(REVOKED_FILE, b"")).split("\n")
                held.update(key for key in listed[1:] if key)
        tree = release_tree(
            verdicts,
            self.judge,
            self.state.participants,
            contents,
            dataset_id(self.checkout, self.state.commit),
            # what is permitted and waits, as under a new name, is not revoked
            held - {v.facts.entry.key for v in self.verdicts if v.permit},
            self.linked,
            machine.places(self.checkout),
        )
        named = [
            e
            for e in tree.taken
            if e.key is None and (e.path == CHANGES or describes_dataset(e.path))
        ]
        found = contents(named)
        own = {e.path: found[e.oid] for e in named}
        return describe(tree, own, self.policy, former, self.options.at)
