"""``datalad mrishare-provenance``: answers as result records, and for people."""

from __future__ import annotations

import os

from .shared import count, printable, record, say, say_record

#: contents of one step that are shown to people; programs get all
_SHOWN = 12


def trace_record(ds, action, found):
    """The way to and from a file."""
    known = found.evidence if found.opaque or found.evidence != "opaque" else "nothing recorded"
    message = f"{found.path}: {_whose(found.participants)} ({known})"
    remedy = (
        "Say what it was made from: datalad mrishare-provenance PATH --derived-from ... --by ..."
    )
    if found.opaque:
        message += f"; nobody can tell whose it is: {found.opaque}"
    if not found.current:
        message += "; not in the dataset any more"
    fields = {
        "path": os.path.join(ds.path, found.path),
        "type": "file",
        "outcome": "trace",
        "node": found.node,
        "paths": list(found.paths),
        "current": found.current,
        "participants": list(found.participants),
        "evidence": found.evidence,
        "opaque": found.opaque,
        "ancestors": [_step(step) for step in found.ancestors],
        "descendants": [_step(step) for step in found.descendants],
        "remedy": remedy if found.opaque or not found.participants else None,
    }
    return record(ds, action, "ok", message, **fields)


def _step(step):
    if step.activity is None:
        return {
            "depth": step.depth,
            "node": step.node,
            "path": step.path,
            "participants": list(step.participants),
            "again": step.again,
        }
    done = step.activity
    return {
        "depth": step.depth,
        "activity": done.token,
        "kind": done.kind,
        "evidence": done.evidence.word,
        "what": done.what,
        "when": done.when,
        "software": list(done.software),
        "why": done.why,
    }


def held_records(ds, action, participant, found, untold):
    """A record for each content of a participant, then the sum; ``untold`` are files of whom
    nobody knows.
    """
    from ..sharing.tracing import counts

    for one in found:
        where = "" if one.current else ", a former version"
        others = len(one.participants) - 1
        more = f", with {count(others, 'other')}" if one.kind == "group" and others else ""
        yield record(
            ds,
            action,
            "ok",
            f"{one.path} ({one.kind}{more}, {one.evidence}{where})",
            path=os.path.join(ds.path, one.path),
            type="file",
            outcome="held",
            node=one.node,
            paths=list(one.paths),
            kind=one.kind,
            evidence=one.evidence,
            current=one.current,
            copies=one.copies,
            participant=participant,
            participants=list(one.participants),
        )
    numbers = counts(found)
    said = ", ".join(f"{number} {kind}" for kind, number in numbers.items() if number)
    message = f"{participant}: {count(len(found), 'content')}" + (f" ({said})" if said else "")
    if untold:
        message += f"; of {count(untold, 'file')} nobody can tell whose data they hold"
    yield record(
        ds,
        action,
        "ok",
        message,
        outcome="summary",
        participant=participant,
        counts=dict(numbers),
        untold=untold,
    )


def derived_record(ds, action, done, dry_run):
    """What was recorded as made outside."""
    would = "would be " if dry_run and not done.known else ""
    what = done.outputs[0] if len(done.outputs) == 1 else count(len(done.outputs), "file")
    message = f"{what}: {would}recorded as made from {count(done.inputs, 'file')}"
    message += ", as on record already" if done.known else ""
    message += f"; data of {_whose(done.participants)}"
    fields = {
        "outcome": "derived",
        "outputs": list(done.outputs),
        "inputs": done.inputs,
        "participants": list(done.participants),
        "statement": done.statement,
        "dry_run": dry_run,
    }
    return record(ds, action, "notneeded" if done.known else "ok", message, **fields)


def sealed_record(ds, action, done):
    """How sealing ended."""
    plan, commit = done.plan, done.plan.activity.token[:10]
    lent = count(len(plan.inputs), "declared input")
    status, message = "impossible", f"{commit}: "
    if done.outcome == "sealed":
        status = "ok"
        message += f"the same came out of {lent} and nothing else of the dataset, so it is sealed"
    elif done.outcome == "known":
        status, message = "notneeded", f"{message}sealed already"
    elif done.outcome == "planned":
        status = "ok"
        message += f"would run again with {lent}: {plan.activity.what}"
    elif done.outcome == "different":
        message += (
            f"{count(len(done.different), 'output')} came out different"
            f" ({_few(done.different)}), so it is not deterministic, or reads what it does not"
            " declare"
        )
    else:
        message += "failed where only its declared inputs are"
    if done.outcome in ("different", "failed"):
        message += _asked_for(done)
    fields = {
        "outcome": done.outcome,
        "commit": plan.activity.token,
        "command": plan.activity.what,
        "inputs": [c.path for c in plan.inputs],
        "outputs": [c.path for c in plan.outputs],
        "absent": list(plan.absent),
        "undeclared": list(done.undeclared),
        "different": list(done.different),
        "said": done.said,
        "statement": done.statement,
    }
    return record(ds, action, status, message, type="commit", **fields)


def _asked_for(done):
    if done.undeclared:
        return f". It asked for what it does not declare: {_few(done.undeclared)}"
    absent = (*done.plan.absent, *done.plan.hidden)
    return f". Not declared, so not there: {_few(absent)}" if absent else ""


def _few(paths):
    more = f" and {len(paths) - 5} more" if len(paths) > 5 else ""
    return ", ".join(paths[:5]) + more


def _whose(participants):
    from ..sharing.facts import some_of

    return some_of(participants) if participants else "nobody known"


def render(res):
    """A tree for a file, lines for everything else."""
    outcome = res.get("outcome")
    if outcome == "trace":
        say_record(res, "lineage")
        if res["remedy"]:
            say(f"            -> {res['remedy']}")
        _tree("made from", res["ancestors"], "nothing that is recorded")
        _tree("used for", res["descendants"], "nothing that is recorded")
    elif outcome == "summary":
        say_record(res, "in sum")
    elif outcome in ("failed", "different"):
        say_record(res, outcome)
        for line in res["said"].splitlines():
            say(f"            {line}")
    else:
        words = {"held": res.get("kind"), "derived": "recorded", "planned": "planned"}
        say_record(res, words.get(outcome))


def _tree(title, steps, nothing):
    say(f"            {title}:" if steps else f"            {title}: {nothing}")
    shown = {}
    for step in steps:
        indent = " " * 14 + "    " * step["depth"]
        if "activity" in step:
            shown[step["depth"] + 1] = 0
            when = f" {step['when'][:10]}" if step["when"] else ""
            what = " ".join((step["what"] or "").split())
            what = what if len(what) <= 80 else f"{what[:77]}..."
            why = f": {step['why']}" if step["why"] else ""
            token = step["activity"]
            # statements, computations and the like have what they are before the colon
            kind = "" if token.startswith(f"{step['kind']}:") else f"{step['kind']} "
            token = token if ":" in token else token[:10]
            what = printable(what)
            say(f"{indent}{kind}{token}{when} ({step['evidence']}{why}) {what}".rstrip())
            continue
        number = shown[step["depth"]] = shown.get(step["depth"], 0) + 1
        if number == _SHOWN + 1:
            say(f"{indent}... and more: see -f json")
        if number <= _SHOWN:
            again = " (see above)" if step["again"] else ""
            say(f"{indent}{printable(step['path'])}: {_whose(step['participants'])}{again}")
