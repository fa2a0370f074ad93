"""Sealing: a recorded command, run again where nothing is but what it declared as inputs.

A run record is somebody's word that a command read what it declares and nothing else. In a
clone that holds only that, an undeclared read of annexed content fails, and the same result
shows that nothing else was needed. Data of participants in git that is not declared is taken
away, too. What is not seen: what a command reads elsewhere on the machine.

This executes what is recorded in the dataset. Nothing else in this package does.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import NoReturn

from ..errors import InputError, Refused
from ..provenance.activities import Activity
from ..provenance.evidence import Evidence
from ..provenance.statements import Content, Seal
from ..repo.locks import lock
from ..repo.process import git_succeeds, git_text
from ..repo.sealed import Repeated, repeat, sealed_clone
from ..repo.trees import GITLINK, Entry, read_tree
from ..repo.worktree import Checkout
from .facts import Kind, facts_of
from .origins import node_of
from .snapshot import Snapshot, take_snapshot
from .stating import content_of, new_token, refuse_uncommitted, save_statements

#: what a command needs and nobody's data is: images of containers, and its own record
_TOOLS = (".datalad/environments/", ".datalad/runinfo/")


@dataclass(frozen=True)
class Sealing:
    """What is to be run again, and with what.

    ``inputs`` are what was declared, ``lent`` all annexed content that the clone gets, ``hidden``
    files in git that it does not get, ``absent`` annexed files that it does not get;
    ``outputs`` the files that came out.
    """

    activity: Activity
    parent: str
    inputs: tuple[Content, ...]
    outputs: tuple[Content, ...]
    lent: tuple[str, ...]
    hidden: tuple[str, ...]
    absent: tuple[str, ...]


@dataclass(frozen=True)
class Sealed:
    """How it ended.

    ``outcome`` is sealed, known (there is a seal already), planned, different or failed;
    ``undeclared`` are files that the command asked for and that were not declared, as far
    as it said so; ``different`` outputs that came out otherwise; ``said`` the end of what was
    printed.
    """

    plan: Sealing
    outcome: str
    undeclared: tuple[str, ...] = ()
    different: tuple[str, ...] = ()
    said: str = ""
    statement: str | None = None


def plan_sealing(checkout: Checkout, asked: str) -> tuple[Snapshot, Sealing]:
    """What sealing the run of a commit would do.

    Raises
    ------
    InputError
        When it is no commit of a run that can be repeated here.
    """
    state = take_snapshot(checkout)
    activity = _run(state, asked)
    commit = activity.token
    parent = git_text(checkout.path, "rev-parse", f"{commit}^1")
    before = read_tree(checkout.path, parent)
    after = read_tree(checkout.path, commit)
    standing = {e.path: node_of(e) for e in before}
    outputs = [
        e
        for e in after
        if node_of(e) is not None
        and standing.get(e.path) != node_of(e)
        and not e.path.startswith(".datalad/")
    ]
    declared = frozenset(activity.inputs)
    _refuse_inputs_below(state, before, declared)
    tools = {e.key for e in (*before, *after) if e.key and e.path.startswith(_TOOLS)}
    inputs = [e for e in before if node_of(e) in declared]
    lent = {e.key for e in inputs if e.key} | tools
    made = {e.path for e in outputs}
    absent = [e.path for e in before if e.key and e.key not in lent and e.path not in made]
    hidden = [p for p in _personal(state, before, declared) if p not in made]
    plan = Sealing(
        activity,
        parent,
        tuple(map(content_of, inputs)),
        tuple(map(content_of, outputs)),
        tuple(sorted(key for key in lent if key)),
        tuple(hidden),
        tuple(absent),
    )
    return state, plan


def _run(state: Snapshot, asked: str) -> Activity:
    repo = state.checkout.path
    name = f"{asked}^{{commit}}"
    if asked.startswith("-") or not git_succeeds(repo, "rev-parse", "-q", "--verify", name):
        raise InputError("is no commit of this dataset", where=asked)
    commit = git_text(repo, "rev-parse", name)
    for activity in state.lineage.activities:
        if activity.token == commit and activity.kind == "run":
            if activity.evidence is Evidence.OPAQUE:
                raise InputError(f"cannot be repeated: {activity.why}", where=asked)
            if not activity.outputs:
                raise InputError("recorded a run without any output", where=asked)
            _refuse_elsewhere(state.checkout, activity, asked)
            return activity
    raise InputError(
        "is not the commit of a run",
        where=asked,
        remedy="See which command made a file: datalad mrishare-provenance PATH",
    )


def _refuse_inputs_below(
    state: Snapshot, before: Sequence[Entry], declared: Collection[str]
) -> None:
    """The clone has no subdatasets, so a run that read one would fail for no fault of its own."""
    links = [f"{e.path}/" for e in before if e.mode == GITLINK]
    here = {node_of(e) for e in before}
    for node in sorted(set(declared) - here) if links else ():
        for path in state.lineage.paths(node):
            if path.startswith(tuple(links)):
                raise InputError(
                    "is a declared input in a subdataset, and sealing has none of these",
                    where=path,
                    remedy="Say what is known of the outputs: datalad mrishare-provenance OUTPUTS"
                    " --derived-from INPUTS --by TEXT",
                )


#: an absolute path as a shell would have it, also below a home
_ABSOLUTE = re.compile(r"(?<![\w.~/])~?/[^\s'\"`;|&<>(),:]*")


def _refuse_elsewhere(checkout: Checkout, activity: Activity, asked: str) -> None:
    """A command that names this dataset's place would read it, and not the clone."""
    here = checkout.path.resolve()
    # as it is written, whatever is glued to it or is odd in it
    written = (re.escape(str(place)) for place in {checkout.path, here})
    if re.search(f"(?:{'|'.join(written)})(?![\\w.-])", activity.what):
        _refuse_absolute(asked)
    named = (os.path.expanduser(word) for word in _ABSOLUTE.findall(activity.what))
    if any(Path(os.path.realpath(word)).is_relative_to(here) for word in named):
        _refuse_absolute(asked)


def _refuse_absolute(asked: str) -> NoReturn:
    raise InputError(
        "ran a command that names the dataset by its absolute path, so it would read that and"
        " not the clone",
        where=asked,
        remedy="Record it again with paths relative to the dataset: datalad run",
    )


def _personal(
    state: Snapshot, entries: Sequence[Entry], declared: Collection[str]
) -> Iterable[str]:
    """Files in git with data of participants that were not declared."""
    for facts in facts_of(entries, state.contents, {}, (), state.origins()):
        entry = facts.entry
        if entry.key or not entry.is_file or node_of(entry) in declared:
            continue
        # how a program is written may depend on whom it is for; it is no data all the same
        if facts.kind is Kind.EXCLUDED:
            continue
        if facts.participants or facts.kind is Kind.TABLE:
            yield entry.path


def seal(checkout: Checkout, asked: str, *, today: date, dry_run: bool = False) -> Sealed:
    """Run the command of a commit again in a sealed clone, and record a seal if all is the same.

    Raises
    ------
    InputError
        When it is no commit of a run that can be repeated here.
    """
    with lock(checkout.ours / "seal.lock", "sealing") as fd:
        state, plan = plan_sealing(checkout, asked)
        commit = plan.activity.token
        if any(isinstance(s, Seal) and s.commit == commit for s in state.statements):
            return Sealed(plan, "known")
        if dry_run:
            return Sealed(plan, "planned")
        _refuse_missing(checkout, plan)
        with sealed_clone(checkout, plan.parent, plan.lent, plan.hidden) as clone:
            _make_room(clone, plan.outputs)
            done = repeat(clone, commit, (fd,))
            came_out = {e.path: node_of(e) for e in read_tree(clone, done.commit)}
        result = _compared(plan, done, came_out)
        if result.outcome != "sealed":
            return result
        with lock(checkout.ours / "lock", "this dataset"):
            refuse_uncommitted(checkout, "seal")
            new = Seal(new_token(), commit, plan.outputs, plan.inputs, today)
            (statement,) = save_statements(checkout, [new], f"Seal the run of {commit[:10]}")
        return Sealed(plan, "sealed", statement=statement)


def _make_room(clone: Path, outputs: Iterable[Content]) -> None:
    """Directories for the outputs: where they were empty then, no commit tells of them."""
    top = clone.resolve()
    for directory in {(clone / content.path).parent for content in outputs}:
        nearest = next(p for p in (directory, *directory.parents) if os.path.lexists(p))
        if nearest.is_dir() and nearest.resolve().is_relative_to(top):
            directory.mkdir(parents=True, exist_ok=True)


def _refuse_missing(checkout: Checkout, plan: Sealing) -> None:
    from ..repo.keys import find_object

    for content in plan.inputs:
        if content.node in plan.lent and find_object(checkout.objects, content.node) is None:
            raise Refused(
                "is a declared input, and its content is not in this dataset",
                where=content.path,
                remedy=f"Get it first: datalad get {shlex.quote(content.path)}",
            )


def _compared(plan: Sealing, done: Repeated, came_out: Mapping[str, str | None]) -> Sealed:
    missed = tuple(p for p in (*plan.absent, *plan.hidden) if p in done.said)
    said = "\n".join(line for line in done.said.strip().splitlines()[-8:])
    if not done.ok:
        return Sealed(plan, "failed", missed, (), said)
    different = tuple(c.path for c in plan.outputs if came_out.get(c.path) != c.node)
    if different:
        return Sealed(plan, "different", missed, different, said)
    return Sealed(plan, "sealed", missed)
