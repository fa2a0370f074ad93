"""``datalad mrishare-publish``: what the sharing floor reports, as result records."""

from __future__ import annotations

from dataclasses import asdict

from .shared import count

# status of datalad and whether content is missing, by what became of a unit
_UNIT_STATUS = {
    "planned": "ok",
    "sent": "ok",
    "keep": "notneeded",
    "defer": "notneeded",
    "incomplete": "error",
}


def to_parts(report, to):
    """A report of the sharing floor as status, message and fields of result records."""
    from ..sharing import reports
    from ..sharing.bias import BiasReport

    if isinstance(report, reports.SameReport):
        return [tuple(part) for part in report.told]
    makers = {
        BiasReport: _bias,
        reports.UnitReport: _unit,
        reports.WithheldReport: _withheld,
        reports.NotedReport: _noted,
        reports.TakenBackReport: _taken_back,
        reports.PushedReport: _pushed,
        reports.NewRootReport: _new_root,
        reports.NotTakenReport: _not_taken,
        reports.ProblemReport: _problem,
        reports.PlanFileReport: _plan_file,
        reports.ChecksumReport: _checksum,
        reports.SummaryReport: _summary,
    }
    return [makers[type(report)](report, to)]


def _unit(report, to):
    from ..sharing.policies import format_size

    unit = report.unit
    status = "impossible" if unit.absent else _UNIT_STATUS[report.status]
    size = unit.new if report.status != "keep" else unit.size
    message = f"{_short(unit.name)}: {count(unit.files, 'file')}, {format_size(size)}"
    why = unit.why
    if report.failed:
        reasons = sorted(set(report.failed.values()))
        why = f"{count(len(report.failed), 'file')} did not arrive: {reasons[0]}"
    fields = {
        "type": "unit",
        "unit": unit.name,
        "outcome": report.status,
        "files": unit.files,
        "bytes": size,
        "reason": why,
        "failed": dict(report.failed),
    }
    return status, f"{message}{f' ({why})' if why else ''}", fields


def _short(unit):
    """The name of a unit; of one of many participants the first, and how many."""
    people = unit.split("+")
    if len(people) <= 6 or not all(p.startswith("sub-") for p in people):
        return unit
    return f"{'+'.join(people[:3])}+... ({len(people)} participants)"


def _withheld(report, to):
    from ..sharing.policies import format_size

    status = "impossible" if report.problem else "notneeded"
    said = f"{count(report.files, 'file')}, {format_size(report.size)}"
    name = "" if report.sentence.startswith(report.who) else f"{report.who}: "
    message = f"{name}{report.sentence} ({said})"
    if report.problem:
        message += f"; for example {report.example!r}. {report.remedy}"
    fields = {
        "type": "withheld",
        "outcome": "withheld",
        "who": report.who,
        "files": report.files,
        "component": report.component,
        "bytes": report.size,
        "reason": report.sentence,
        "remedy": report.remedy,
        "example": report.example,
    }
    return status, message, fields


def _bias(report, to):
    from ..sharing.bias import aligned

    def said(distance):
        return "nothing there" if distance is None else f"{distance:.3f}"

    message = "who is there after this, beside who was measured and who permits"
    if report.balanced:
        columns = ", ".join(report.balanced)
        message += (
            f"; {report.measure} to who permits over {columns}:"
            f" {said(report.before)} before, {said(report.after)} after"
        )
    fields = {
        "outcome": "bias",
        "levels": [asdict(line) for line in report.lines],
        "balanced": list(report.balanced),
        "measure": report.measure if report.balanced else None,
        "distance_before": report.before,
        "distance_after": report.after,
        "lines": aligned(report),
    }
    return ("ok" if report.changes else "notneeded"), message, fields


def _noted(report, to):
    status = "impossible" if report.problem else "ok"
    message = f"{count(len(report.paths), 'file')} {report.sentence}"
    message += f". {report.remedy}" if report.remedy else ""
    fields = {
        "outcome": report.outcome,
        "files": len(report.paths),
        "reason": report.sentence,
        "remedy": report.remedy,
        "paths": list(report.paths),
        "lines": list(report.paths),
    }
    return status, message, fields


def _taken_back(report, to):
    from ..sharing.policies import format_size

    status = "error" if report.failed else "ok"
    keys = len(report.paths)
    said = []
    if keys or not report.parts:
        words = f"{count(keys, 'object')} ({format_size(report.size)}) no longer permitted or"
        said.append(f"{words} replaced" + (", would be dropped there" if report.planned else ""))
    if report.parts:
        left = f"{count(report.parts, 'part')} that interrupted transfers had left there"
        said.append(f"{left}, of what may not be there")
    if report.failed:
        reasons = sorted(set(report.failed.values()))
        failed = count(len(report.failed), "object")
        said.append(f"{failed} could not be dropped: {reasons[0]}")
    message = "; ".join(said)
    if not report.recall:
        message += ". Nothing can be recalled from there (recall: no): copies made of it remain"
    fields = {
        "type": "unit",
        "outcome": "taken back",
        "keys": keys,
        "parts": report.parts,
        "listed": dict(report.paths),
        "lines": sorted(path for path in report.paths.values() if path),
        "bytes": report.size,
        "recall": report.recall,
        "failed": dict(report.failed),
    }
    return status, message, fields


def _checksum(report, to):
    message = f"{count(report.compared, 'object')} there compared with their checksums"
    if report.without:
        message += f", {count(report.without, 'object')} without one"
    if report.damaged:
        units = ", ".join(report.units) or "no unit"
        message += f"; {count(len(report.damaged), 'object')} damaged, of {units}"
        message += "" if report.failed else ", sent anew"
    if report.failed:
        message += f"; not right there: {sorted(set(report.failed.values()))[0]}"
    fields = {
        "outcome": "compared",
        "compared": report.compared,
        "without_checksum": report.without,
        "damaged": list(report.damaged),
        "units": list(report.units),
        "failed": dict(report.failed),
    }
    status = "error" if report.failed else "ok" if report.damaged else "notneeded"
    return status, message, fields


def _pushed(report, to):
    status = "ok" if report.changed else "notneeded"
    at = (report.commit or "")[:10]
    word = "now at" if report.changed else "already at"
    message = f"{to} is {word} {at} with {count(report.files, 'file')}"
    return status, message, {"outcome": "released", "commit": report.commit}


def _new_root(report, to):
    word = "would begin" if report.planned else "begins"
    message = (
        f"the history of {to} {word} afresh: {count(report.forgotten, 'release')} forgotten there."
        " Clones cannot go on with git pull and must be made anew"
    )
    if report.left:
        message += f". What may be left: {report.left}"
    fields = {"outcome": "new root", "forgotten": report.forgotten, "left": report.left}
    return "ok", message, fields


def _not_taken(report, to):
    message = f"{report.where}: {report.what}. {report.remedy}"
    fields = {"what": report.what, "where": report.where, "remedy": report.remedy}
    return "error", message, {"outcome": "not released", **fields}


def _problem(report, to):
    message = f"{report.where}: {report.what}. {report.remedy}"
    fields = {"what": report.what, "where": report.where, "remedy": report.remedy}
    return "impossible", message, {"outcome": "refused", **fields}


def _plan_file(report, to):
    from ..sharing.policies import format_size

    units = f"{count(report.units, 'unit')}, {format_size(report.size)}"
    message = f"{report.path}: {units} to send. Carry it out: --plan {report.path}"
    fields = {"outcome": "plan written", "path": report.path, "type": "file"}
    return "ok", message, fields


def _summary(report, to):
    from ..sharing.plans import Action
    from ..sharing.policies import format_size
    from ..sharing.withheld import files_withheld

    plan = report.plan
    withheld = files_withheld(plan.withheld)
    send, keep, defer = (
        plan.total(a, report.failed) for a in (Action.SEND, Action.KEEP, Action.DEFER)
    )
    incomplete = plan.total(Action.SEND)[0] + plan.total(Action.KEEP)[0] - send[0] - keep[0]
    room = "unknown" if plan.room is None else format_size(plan.room)
    word = "to send" if report.dry_run else "sent"
    message = (
        f"{to}: {count(send[0], 'unit')} {word} ({format_size(send[2])} into {room}),"
        f" {keep[0]} there already, {defer[0]} deferred,"
        f" {count(withheld, 'file')} withheld"
    )
    if incomplete:
        message += f", {count(incomplete, 'unit')} incomplete"
    status = "ok" if report.changed or report.dry_run else "notneeded"
    if status == "notneeded" and report.complete:
        message += ". Nothing to do: the sibling has all that it may have and has room for"
    fields = {
        "outcome": "summary",
        "room": plan.room,
        "held": plan.held,
        "bytes": send[2],
        "units": {"send": send[0], "keep": keep[0], "defer": defer[0], "incomplete": incomplete},
        "withheld_files": withheld,
        "complete": report.complete,
        "event": report.event,
    }
    return status, message, fields
