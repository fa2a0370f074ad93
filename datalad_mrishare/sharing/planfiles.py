"""A plan in a file: to be looked at, signed off, and carried out as it is, or not at all.

::

    {"schema": "mrishare-plan-1", "sibling": "mirror", "at": "2026-05-04",
     "options": {"budget": 40000000000, "unit": "participant", ...},
     "state": {"tree": "9c1f...", "registry": "...", "siblings": "..."},
     "units": [{"unit": "sub-01", "bytes": 76081, "keys": ["MD5E-s62...", ...]}, ...],
     "take_back": [], "digest": "..."}

The file never decides: verdicts are made anew when it is carried out, and it is refused when
what it rests on has changed. ``state`` are digests of the tree without the events, of forms and
records, and of the policies; ``digest`` is over the rest of the file, against slips of an
editor and not against forgers.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from ..errors import Refused
from ..repo.events import DIRECTORY as EVENTS
from .facts import some_of
from .planning import Options
from .plans import Action, Plan
from .policies import SIBLINGS_FILE, UNITS
from .registry import FORMS_FILE, RECORDS_FILE, outside_digest
from .reports import PlanFileReport, ProblemReport
from .snapshot import Snapshot
from .verdicts import Verdict

SCHEMA = "mrishare-plan-1"
AGAIN = "Plan again: datalad mrishare-publish --to {} --plan-to FILE"
_OPTIONS = {"budget", "unit", "select", "first", "balance"}
#: what can differ -> how it is called in a message
_STATE = {"registry": "the forms or records", "siblings": "the policies", "tree": "the dataset"}


@dataclass(frozen=True)
class PlanFile:
    """What a plan file says; ``units`` are in the order of sending."""

    sibling: str
    at: date
    options: Mapping[str, Any]
    state: Mapping[str, str]
    units: Mapping[str, tuple[str, ...]]
    sizes: Mapping[str, int]
    take_back: tuple[str, ...]

    def apply(self, options: Options) -> Options:
        """``options`` with what was asked for when the plan was made."""
        asked = self.options
        return replace(
            options,
            budget=asked["budget"],
            unit=asked["unit"],
            select=asked["select"],
            first=asked["first"],
            balance=tuple(asked["balance"]),
        )

    def content(self) -> dict[str, Any]:
        """All of it as JSON holds it, without the digest."""
        units = [
            {"unit": name, "bytes": self.sizes[name], "keys": list(keys)}
            for name, keys in self.units.items()
        ]
        return {
            "schema": SCHEMA,
            "sibling": self.sibling,
            "at": self.at.isoformat(),
            "options": dict(self.options),
            "state": dict(self.state),
            "units": units,
            "take_back": list(self.take_back),
        }


def plan_file(state: Snapshot, name: str, plan: Plan, unit: str, options: Options) -> PlanFile:
    """What there is to write about a plan for sibling ``name`` in units of ``unit``."""
    send = [u for u in plan.units if u.action is Action.SEND]
    return PlanFile(
        sibling=name,
        at=options.at,
        options={
            "budget": options.budget,
            "unit": unit,
            "select": {k: list(v) for k, v in options.select.items()},
            "first": {k: list(v) for k, v in options.first.items()},
            "balance": list(options.balance),
        },
        state=state_of(state),
        units={u.name: u.send for u in send},
        sizes={u.name: u.new for u in send},
        take_back=plan.take_back,
    )


def state_of(state: Snapshot) -> dict[str, str]:
    """Digests of all that a plan rests on; committing an event changes none of them."""
    oids = {e.path: e.oid for e in state.entries}
    inside = [oids.get(FORMS_FILE, ""), oids.get(RECORDS_FILE, "")]
    tree = ([e.mode, e.oid, e.path] for e in state.entries if not e.path.startswith(f"{EVENTS}/"))
    return {
        "tree": _digest(list(tree)),
        "registry": _digest([outside_digest(state.checkout) or inside]),
        "siblings": _digest(oids.get(SIBLINGS_FILE, "")),
    }


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode("ascii")).hexdigest()


def format_plan(written: PlanFile) -> bytes:
    """The bytes of a plan file."""
    content = written.content()
    text = json.dumps({**content, "digest": _digest(content)}, indent=1, ensure_ascii=True)
    return text.encode("ascii") + b"\n"


def parse_plan(data: bytes, where: str) -> PlanFile:
    """What a plan file says.

    Raises
    ------
    Refused
        When it is no plan file, of another version, or has been edited.
    """
    try:
        content = json.loads(data)
        if not isinstance(content, dict) or content.get("schema") != SCHEMA:
            raise ValueError
        told = content.pop("digest", None)
        if told != _digest(content):
            raise Refused("has been changed since it was written", where=where)
        units, options = content["units"], content["options"]
        if {*options} != _OPTIONS or options["unit"] not in UNITS:
            raise ValueError
        return PlanFile(
            sibling=content["sibling"],
            at=date.fromisoformat(content["at"]),
            options=options,
            state=content["state"],
            units={u["unit"]: tuple(u["keys"]) for u in units},
            sizes={u["unit"]: int(u["bytes"]) for u in units},
            take_back=tuple(content["take_back"]),
        )
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise Refused("is not a plan that --plan-to of this version wrote", where=where) from None


def read_plan(path: Path) -> PlanFile:
    """The plan file at ``path``; raises :class:`Refused` where there is none."""
    try:
        data = path.read_bytes()
    except OSError as exc:
        raise Refused(f"cannot be read ({exc.strerror})", where=str(path)) from None
    return parse_plan(data, str(path))


def check_writable(path: Path) -> None:
    """Refuse to replace what is no plan file.

    Raises
    ------
    Refused
        Before anything is planned.
    """
    remedy = "Give another file name"
    if not path.parent.is_dir():
        raise Refused("is in no directory that is there", where=str(path), remedy=remedy)
    if not os.path.lexists(path):
        return
    try:
        content = json.loads(path.read_bytes())
        ours = content["schema"] == SCHEMA and not path.is_symlink()
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        ours = False
    if not ours:
        raise Refused("is there already, and is no plan", where=str(path), remedy=remedy)


def write_plan(path: Path, written: PlanFile) -> PlanFileReport:
    """Write a plan for nobody else's eyes: it holds pseudonyms.

    Raises
    ------
    Refused
        When it cannot be written.
    """
    data = format_plan(written)
    try:
        handle, temporary = tempfile.mkstemp(prefix=".mrishare-", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as out:
                out.write(data)
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
    except OSError as exc:
        raise Refused(f"cannot be written ({exc.strerror})", where=str(path)) from exc
    return PlanFileReport(str(path), len(written.units), sum(written.sizes.values()))


def outdated(written: PlanFile, state: Snapshot, name: str, today: date) -> Iterator[str]:
    """What the plan rests on and is not so any more, a sentence each."""
    if written.sibling != name:
        yield f"is a plan for sibling '{written.sibling}'"
        return
    if written.at > today:
        yield f"was made for {written.at}, which is yet to come"
    now = state_of(state)
    changed = [word for part, word in _STATE.items() if written.state.get(part) != now[part]]
    if changed:
        # the tree holds the others, so that it differs whenever they do
        yield f"was made before {changed[0]} changed"


def deviations(
    written: PlanFile, verdicts: Sequence[Verdict], present: set[str], plan: Plan
) -> Iterator[str]:
    """Where a plan made now, of the units in the file, does not do what the file says."""
    permitted = {v.facts.entry.key for v in verdicts if v.permit and v.facts.entry.key}
    units = {u.name: u for u in plan.units}
    for name, keys in written.units.items():
        if not set(keys) <= permitted:
            yield f"would send what may not go today, in {name}"
            continue
        unit = units.get(name)
        left = [k for k in keys if k not in present]
        if unit is None or not set(keys) <= set(unit.keys):
            yield f"names {name} with content that is not in it"
        elif left and unit.action is not Action.SEND and not set(left) <= set(plan.keys_to_send()):
            yield f"cannot be carried out for {name}: {unit.why}"
    if set(plan.take_back) - set(written.take_back):
        yield "does not take back all that may not be there any more"
    if (set(written.take_back) & present) - set(plan.take_back):
        yield "takes back what is permitted by now"


def more_than_then(
    written: PlanFile, then: Sequence[Verdict], now: Sequence[Verdict]
) -> Iterator[str]:
    """What may go now and might not on the day of the plan, in a sentence: a release names it."""
    might = {v.facts.path for v in then if v.permit}
    new = [v for v in now if v.permit and v.facts.path not in might]
    if new:
        people = frozenset[str]().union(*(v.facts.participants for v in new))
        whose = f" of {some_of(people)}" if people else ""
        what = f"{len(new)} files{whose} may go since"
        yield f"was made for {written.at}; {what}, and it says nothing of them"


def refusals(sentences: Iterable[str], path: Path, name: str) -> list[ProblemReport]:
    """A report for each sentence about a plan file."""
    remedy = AGAIN.format(name)
    return [ProblemReport(sentence, str(path), remedy) for sentence in sentences]
