"""Publishing to one sibling: the phases, in the order in which a kill is harmless.

::

    snapshot -> decide -> plan -> preflight | (dry-run stops here)
      -> take back -> transfer -> check -> release -> push -> event

Content goes before the branch that promises it, the event comes last. A journal of the
keys under way (``.git/mrishare/NAME.journal``) lets the next run find what a killed one
had brought there. Each phase is a method, and none does the work of another.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from contextlib import closing

from .. import __version__
from ..errors import NotTaken
from ..repo.collector import collector_at_rest
from ..repo.events import event_file, left_behind, only_events
from ..repo.keys import key_size
from ..repo.locks import lock, sweep_after_kill, sweep_handed_over
from ..repo.ownstorage import OwnStorage
from ..repo.process import git_text
from ..repo.release import ReleaseRepository
from ..repo.room import free_bytes
from ..repo.transfer import ByteCount, Moved, metered
from ..repo.trees import GITLINK, Entry, write_blobs
from ..repo.worktree import write_file
from .anonymous import counts_anonymous
from .comparing import Comparison
from .digests import keys_digest, policy_digest, registry_digest
from .holdings import holdings
from .patience import patiently
from .planfiles import check_writable
from .plans import Action
from .policies import check_name, format_size
from .preflight import promise
from .preparing import Preparation, Report
from .releases import tree_entries
from .reports import (
    ChecksumReport,
    NewRootReport,
    NotTakenReport,
    ProblemReport,
    PushedReport,
    SameReport,
    SummaryReport,
    TakenBackReport,
    UnitReport,
)
from .takingback import Unfinished


class Publication(Preparation):
    """One run for one sibling: what :class:`Preparation` decided, carried out."""

    def run(self) -> Iterator[Report]:
        """Publish; yields reports as things happen.

        Raises
        ------
        MriShareError
            When the state cannot be read or the sibling cannot be reached.
        """
        check_name(self.name)
        if self.options.plan_to:
            check_writable(self.options.plan_to)
        self._must_be_declared()
        locked = lock(self.checkout.ours / f"{self.name}.lock", f"sibling '{self.name}'")
        with locked as fd, self.at_an_end():
            self.lock_fd = fd
            sweep_after_kill(self.checkout.gitdir, self.checkout.path)
            if (told := self.told_before()) is not None:
                yield SameReport(told)
                return
            with collector_at_rest():
                stale, refused = self.look()
            if stale:
                yield from stale
                return
            yield from refused
            yield from self.describe()
            if refused:
                yield from self.shrink_all_the_same(refused)
                return
            if self.options.dry_run:
                promise(self.store, self.the_plan, self.options.promised)
                yield from self.write_plan()
                yield SummaryReport(self.the_plan, False, not self._waiting(), True)
                return
            yield from self.take_back()
            self.transfer()
            self.check()
            compared = [self.compare()] if self.options.checksum else []
            yield from self.results()
            yield from compared
            if self.new_root:
                yield from self.begin_anew()
            else:
                tree = self.release()
                yield self.push(tree)
            yield self.event()

    # -- acting

    def take_back(self) -> Iterator[Report]:
        """Drop at the sibling what is no longer permitted, and what transfers left of it."""
        plan, failed, back = self.the_plan, dict[str, str](), self._taking_back("")
        if plan.take_back:
            self.journal.add(plan.take_back)
            back = self._taking_back(self.store.uuid())
            safe, failed = back.split()
            for moved in self.store.drop(safe, (self.lock_fd,)):
                if moved.ok:
                    self.dropped.append(moved.key)
                else:
                    failed[moved.key] = moved.note
        begun = self._begun_keys()
        unfinished = Unfinished(self.store, self.policy.own, self.verdicts)
        found = unfinished.parts()
        if found:
            self.journal.add(())  # so that a killed run has its event, too
        parts, kept = unfinished.take_back(found, begun, self.present, (self.lock_fd,))
        self.parts, self.failed_drops = len(parts), failed | kept
        if plan.take_back or parts or kept:
            paths, freed = back.paths(self.dropped), plan.freed
            told = self.failed_drops
            yield TakenBackReport(paths, freed, self.policy.recall, told, parts=len(parts))

    def shrink_all_the_same(self, refused: list[ProblemReport]) -> Iterator[Report]:
        """Nothing can be sent, yet a withdrawal does not wait until something can.

        Content comes back, and names, and rows of tables: see :mod:`.shrinking`.
        """
        if self.options.dry_run or not all(problem.sending for problem in refused):
            return
        self.the_plan = self.the_plan.without_sending()
        yield from self.take_back()
        yield from self.release_less()
        if self.pushed or self.dropped or self.parts or self.not_taken:
            yield self.event()
        self.changed = True  # what was refused is refused again, or is not

    def release_less(self) -> Iterator[Report]:
        """Let what was released before be there without what is denied now."""
        if self.before is None and not (self.policy.own and self.store.of_files):
            return
        if not self.policy.own:
            self.shrink()
        self.put_right(self._still_permitted(self.store.exported()) if self.policy.own else None)
        if self.new_root:
            yield from self.begin_anew()
            return
        report = self.push(None if self.policy.own else self.release())
        if isinstance(report, NotTakenReport) or report.changed:
            yield report

    def _still_permitted(self, entries: Iterable[Entry]) -> list[tuple[str, str, str]]:
        """What of ``entries`` nobody denies, wherever it stands by now."""
        denied = [v.facts.entry for v in self.verdicts if not v.permit]
        paths, oids = {e.path for e in denied}, {e.oid for e in denied}
        keys = {e.key for e in denied if e.key}.union(self.the_plan.take_back)
        return [
            (e.mode, e.oid, e.path)
            for e in entries
            if e.path not in paths and e.oid not in oids and e.key not in keys
        ]

    def put_right(self, there: list[tuple[str, str, str]] | None = None) -> None:
        """Say what is to lie there as files, ``there`` where given, and put wrong logs right."""
        if self.store.of_files:
            self.store.stage(self._entries() if there is None else there)
        # git-annex sends nothing of which the log says that it is there, and what lies there as a
        # file is to stay there
        self.store.note({k: there for k, there in self.wrong.items() if k not in self.dropped})

    def transfer(self) -> None:
        """Send the planned keys; what fails is remembered with its reason."""
        self.put_right()
        keys = self.the_plan.keys_to_send()
        if keys:
            self.journal.add(keys)
        total = sum(u.new for u in self.the_plan.units if u.action is Action.SEND)
        counter, finish = metered(self.options.progress, total)
        try:
            sizes = {v.facts.entry.key: v.facts.size or 0 for v in self.verdicts}
            patient = patiently(lambda left: self._sent(left, counter), keys, self.options.pause)
            with closing(patient) as sent:
                for moved in sent:
                    if moved.ok:
                        self.arrived.append(moved.key)
                        counter(moved.key, sizes.get(moved.key, 0))
                    else:
                        self.failed[moved.key] = self._why(moved.note)
        finally:
            finish()

    def _why(self, note: str) -> str:
        """git-annex's reason, with the one that it does not see."""
        place = self.store.content_place
        # what was there before the first failure tells nothing of it
        free = free_bytes(place, fresh=not self.failed) if place else None
        return note if free is None else f"{note} ({format_size(free)} free there)"

    def _sent(self, keys: list[str], counter: ByteCount) -> Generator[Moved, None, None]:
        jobs, fds = self.options.jobs, (self.lock_fd,)
        reserve = self.policy.reserve
        return self.store.send(keys, jobs=jobs, progress=counter, reserve=reserve, pass_fds=fds)

    def check(self) -> None:
        """Ask the sibling whether what was sent is there, and put wrong logs right."""
        missing = [key for key, there in self.store.check(self.arrived).items() if not there]
        self.failed |= dict.fromkeys(missing, "it was sent, but the sibling does not have it")
        self.arrived = [key for key in self.arrived if key not in self.failed]
        self.store.note(dict.fromkeys(missing, False))

    def results(self) -> Iterator[Report]:
        """What became of each unit that was to be sent."""
        for unit in self.the_plan.units:
            if unit.action is Action.SEND:
                failed = {k: self.failed[k] for k in unit.send if k in self.failed}
                yield UnitReport(unit, "incomplete" if failed else "sent", failed)

    def compare(self) -> ChecksumReport:
        """Compare what is there with its checksums, and send anew what is damaged."""
        comparison = Comparison(self.store, self.checkout.objects, self.the_plan, (self.lock_fd,))
        found = comparison.look()
        if found.here:
            self.journal.add(found.here)
        for moved in self._sent(list(found.here), ByteCount(None)):
            if moved.ok:
                self.arrived += [moved.key] if moved.key not in self.arrived else []
            else:
                found.failed[moved.key] = self._why(moved.note)
        report, lost = comparison.report(found, self.arrived)
        self.arrived = [k for k in self.arrived if k not in lost]
        self.present -= lost
        self.failed |= report.failed
        return report

    def release(self) -> str | None:
        """Make the commit that the sibling's branch is to be at; None when it is there."""
        if isinstance(self.store, OwnStorage):
            return self.state.commit if self.state.commit != self.before else None
        assert self.tree is not None
        return self.store.commit(self._entries(), self.tree.message)

    def _entries(self) -> list[tuple[str, str, str]]:
        """``(mode, oid, path)`` of what may lie there; a release takes it over."""
        store = self.store
        if isinstance(store, OwnStorage):
            permitted = (v.facts.entry for v in self.verdicts if v.permit)
            return [(e.mode, e.oid, e.path) for e in permitted if e.key or e.is_file]
        assert self.tree is not None
        store.adopt_blobs(e.oid for e in self.tree.taken if e.mode != GITLINK)
        ids = write_blobs(store.path, self.tree.written.values())
        return tree_entries(self.tree, dict(zip(self.tree.written, ids, strict=True)))

    def push(self, commit: str | None) -> PushedReport | NotTakenReport:
        """Push the branch and what git-annex knows; or why the sibling did not take them."""
        files = len(self.tree.taken) + len(self.tree.written) if self.tree else 0
        changed = commit is not None
        if commit and self.before and isinstance(self.store, OwnStorage):
            changed = not only_events(self.checkout.path, self.before, commit)
        if changed:
            self.journal.add(())  # so that a killed run has its event, too
        if commit or self.arrived or self.dropped or self.store.behind():
            try:
                self.store.push(commit, (self.lock_fd,))
            except NotTaken as exc:
                # content has left nevertheless, and that is written down
                self.not_taken = exc
                return NotTakenReport(exc.what, exc.where or "", exc.remedy or "")
        self.pushed = commit if changed else None
        return PushedReport(commit or self.before, changed, files or len(self.state.entries))

    def begin_anew(self) -> Iterator[Report]:
        """Make the release one without a history, and let the sibling forget the others.

        What says that this was begun stays until the event, so that a run that is killed is
        carried to its end by the next one.
        """
        assert self.tree is not None and isinstance(self.store, ReleaseRepository)
        assert self.before is not None
        forgotten = self._releases()
        write_file(self._begun, b"")
        self.journal.add(())
        begun = self.store.begin_anew(
            self._entries(),
            self.tree.message,
            self.before,
            lambda commit: write_file(self._begun, commit.encode()),
            (self.lock_fd,),
        )
        self.pushed = begun.commit
        files = len(self.tree.taken) + len(self.tree.written)
        yield PushedReport(begun.commit, True, files)
        yield NewRootReport(forgotten, begun.left)

    def event(self) -> SummaryReport:
        """Write down what was done; nothing when nothing changed."""
        moved = self.arrived or self.dropped or self.parts
        killed = self.journal.exists() and not self.not_taken
        changed = bool(self.pushed or moved or killed)
        path = None
        if changed:
            path, data = event_file("published", self._details(), suffix=self.name)
            with lock(self.checkout.ours / "lock", "this dataset"):
                files = left_behind(self.checkout.path, "published", self.name) | {path: data}
                self.checkout.commit_files(files, f"Record publication to {self.name}")
                self.checkout.settle()
            if isinstance(self.store, OwnStorage) and not self.not_taken:
                branch = f"refs/heads/{self.checkout.plain_branch()}"
                commit = git_text(self.checkout.path, "rev-parse", branch)
                self.store.push(commit, (self.lock_fd,))
            # git-annex may have been killed while this run survived
            sweep_handed_over(self.checkout.gitdir, self.checkout.path)
            self.unfinished.replace(sorted(self._left_unfinished()))
            if not self.not_taken:  # what arrived is asked for again, should our logs be lost
                self.journal.remove()
                self._begun.unlink(missing_ok=True)
        self.changed = changed or self._waiting()
        # without the names of its files nobody finds a unit there
        unseen = self.the_plan.keys_to_send() if self.not_taken else ()
        failed = frozenset((*(self.failed.keys() - self._there()), *unseen))
        return SummaryReport(self.the_plan, changed, not self._waiting(), False, path, failed)

    def _begun_keys(self) -> set[str]:
        """Keys of whose transfer nobody knows that it came to its end."""
        return {*self.journal.read(), *self.unfinished.read()}

    def _left_unfinished(self) -> set[str]:
        """Those of them, after this run, of which something may still lie there."""
        begun = (self._begun_keys() | self.failed.keys()) - self._there()
        unfinished = Unfinished(self.store, self.policy.own, self.verdicts)
        return {key for key in begun if unfinished.may_stay(key) or key in self.failed_drops}

    def _waiting(self) -> bool:
        absent = any(u.absent for u in self.the_plan.units)
        return bool(self.failed or absent or self.failed_drops or self.not_taken)

    def _details(self) -> dict[str, object]:
        plan = self.the_plan
        units = [u for u in plan.units if u.action is Action.SEND]
        # without the names of its files nobody finds a unit there
        whole = () if self.not_taken else units
        sent = [u.name for u in whole if not any(k in self.failed for k in u.send)]
        return {
            "sibling": self.name,
            "reach": self.policy.grant.reach.word,
            "at": self.options.at.isoformat(),
            "commit": self.state.commit,
            "release": None if self.policy.own else (self.pushed or self.before),
            "policy": policy_digest(self.policy),
            "registry": registry_digest(self.state.registry),
            "unit": self.planning.unit,
            "version": __version__,
            "units_sent": sent,
            "units_incomplete": [u.name for u in units if u.name not in sent],
            "units_deferred": [u.name for u in plan.units if u.action is Action.DEFER],
            **({"new_root": True} if self._begun.exists() else {}),
            "keys_sent": len(self.arrived),
            "keys_taken_back": len(self.dropped),
            "parts_taken_back": self.parts,
            "keys_not_taken_back": len(self.failed_drops),
            "bytes_sent": sum(key_size(k) or 0 for k in self.arrived),
            "keys_digest": keys_digest(self.arrived),
            "files_anonymous": sum(v.permit and counts_anonymous(v.facts) for v in self.verdicts),
            "holds": holdings(self.verdicts, self._there(), self.tree, self.store.of_files),
        }

    def _there(self) -> set[str]:
        """The keys that the sibling has now."""
        return (self.present | set(self.arrived)) - set(self.dropped)
