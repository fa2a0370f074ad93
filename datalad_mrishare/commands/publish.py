"""``datalad mrishare-publish``: send to a sibling what is permitted and fits."""

from __future__ import annotations

import logging

from datalad.distribution.dataset import datasetmethod
from datalad.interface.base import Interface, build_doc, eval_results
from datalad.support.param import Parameter

from .shared import (
    count,
    dataset_param,
    dry_run_param,
    error_record,
    open_checkout,
    record,
    say,
    say_record,
)

lgr = logging.getLogger("datalad.mrishare.publish")
ACTION = "mrishare-publish"


@build_doc
class Publish(Interface):
    """Publish a dataset to a sibling, as far as its participants consented.

    Decides for every file whether it may go to the sibling, plans which units
    (participants, sessions) fit into the room there, sends exactly those, takes back what
    is no longer permitted, checks that everything arrived, and pushes a release: the
    dataset without what is withheld. A sibling that is the institution's own storage
    receives the full dataset instead.

    What is withheld is not named in the release. What is deferred (permitted, but there is
    no room yet) is named, and its content follows once there is room. Run again after an
    interruption: it goes on where it stopped.
    """

    result_renderer = "tailored"

    _examples_ = [
        {
            "text": "See what would go to 'mirror', and what not and why",
            "code_cmd": "datalad mrishare-publish --to mirror --dry-run",
            "code_py": "mrishare_publish(to='mirror', dry_run=True)",
        },
        {
            "text": "Publish within 40 GB",
            "code_cmd": "datalad mrishare-publish --to mirror --budget 40GB",
            "code_py": "mrishare_publish(to='mirror', budget='40GB')",
        },
        {
            "text": "Send only anatomical images now, the rest later",
            "code_cmd": "datalad mrishare-publish --to mirror --select datatype=anat",
            "code_py": "mrishare_publish(to='mirror', select=['datatype=anat'])",
        },
    ]

    _params_ = {
        "dataset": dataset_param,
        "to": Parameter(
            args=("--to",),
            metavar="SIBLING",
            doc="""the sibling, as declared with `datalad mrishare-sibling`.""",
        ),
        "budget": Parameter(
            args=("--budget",),
            metavar="SIZE",
            doc="""what the sibling may hold of this dataset in all, as 40GB or 500MiB. The
            room is the smallest of this, the policy's budget, and what is free there.""",
        ),
        "select": Parameter(
            args=("--select",),
            metavar="ENTITY=VALUE",
            action="append",
            doc="""send only files with this BIDS entity now (also datatype, suffix, sub, ses);
            several values with commas, several entities with several --select. What is not
            selected is deferred.""",
        ),
        "jobs": Parameter(
            args=("-J", "--jobs"),
            metavar="N",
            doc="""number of parallel transfers; default 1.""",
        ),
        "dry_run": dry_run_param,
    }

    @staticmethod
    @datasetmethod(name="mrishare_publish")
    @eval_results
    def __call__(to=None, *, dataset=None, budget=None, select=None, jobs=None, dry_run=False):
        from datalad.support.exceptions import InsufficientArgumentsError

        from ..errors import MriShareError
        from ..sharing.policies import parse_select, parse_size
        from ..sharing.publishing import Options, Publication

        if not to:
            raise InsufficientArgumentsError("say where to: --to SIBLING")
        try:
            options = Options(
                budget=None if budget is None else parse_size(str(budget), "--budget"),
                select=parse_select([select] if isinstance(select, str) else select, "--select"),
                dry_run=bool(dry_run),
                jobs=_jobs(jobs),
                progress=_progress(to),
            )
        except MriShareError as exc:
            raise InsufficientArgumentsError(str(exc)) from exc
        ds, checkout = open_checkout(dataset, "publish")
        try:
            for report in Publication(checkout, to, options).run():
                yield from to_records(ds, to, report, options.dry_run)
        except MriShareError as exc:
            yield error_record(ds, ACTION, exc)

    @staticmethod
    def custom_result_renderer(res, **_kwargs):
        render(res)


def _jobs(jobs):
    from ..errors import InputError

    if jobs is None:
        return 1
    if not str(jobs).isdigit() or int(jobs) < 1:
        raise InputError(f"`{jobs}` is not a number of jobs", where="--jobs", remedy="Try -J 2")
    return int(jobs)


def _progress(to):
    """Bytes of the whole plan as a progress bar; -1 ends it."""
    from datalad.log import log_progress

    bar = f"mrishare-publish-{to}"

    def show(increment, total):
        if increment < 0:
            log_progress(lgr.info, bar, "Transferred to %s", to)
        elif increment == 0:
            log_progress(
                lgr.info, bar, "Transfer to %s", to, total=total, unit=" Bytes", label="Transfer"
            )
        else:
            log_progress(lgr.debug, bar, "Transfer", update=increment, increment=True)

    return show


# status of datalad and whether content is missing, by what became of a unit
_UNIT_STATUS = {
    "planned": "ok",
    "sent": "ok",
    "keep": "notneeded",
    "defer": "notneeded",
    "incomplete": "error",
}


def to_records(ds, to, report, dry_run):
    """A report of the sharing floor as result records."""
    from ..sharing import reports

    makers = {
        reports.UnitReport: _unit,
        reports.WithheldReport: _withheld,
        reports.TakenBackReport: _taken_back,
        reports.PushedReport: _pushed,
        reports.ProblemReport: _problem,
        reports.SummaryReport: _summary,
    }
    status, message, fields = makers[type(report)](report, to)
    yield record(ds, ACTION, status, message, to=to, dry_run=dry_run, **fields)


def _unit(report, to):
    from ..sharing.policies import format_size

    unit = report.unit
    status = "impossible" if unit.absent else _UNIT_STATUS[report.status]
    size = unit.new if report.status != "keep" else unit.size
    message = f"{unit.name}: {count(unit.files, 'file')}, {format_size(size)}"
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


def _taken_back(report, to):
    from ..sharing.policies import format_size

    status = "error" if report.failed else "ok"
    message = f"{count(report.keys, 'object')} ({format_size(report.size)}) no longer permitted or"
    message += " replaced" + (", would be dropped there" if report.planned else "")
    if report.failed:
        reasons = sorted(set(report.failed.values()))
        message += f"; {count(len(report.failed), 'object')} could not be dropped: {reasons[0]}"
    fields = {
        "type": "unit",
        "outcome": "taken back",
        "keys": report.keys,
        "bytes": report.size,
        "failed": dict(report.failed),
    }
    return status, message, fields


def _pushed(report, to):
    status = "ok" if report.changed else "notneeded"
    at = (report.commit or "")[:10]
    word = "now at" if report.changed else "already at"
    message = f"{to} is {word} {at} with {count(report.files, 'file')}"
    return status, message, {"outcome": "released", "commit": report.commit}


def _problem(report, to):
    message = f"{report.where}: {report.what}. {report.remedy}"
    fields = {"what": report.what, "where": report.where, "remedy": report.remedy}
    return "impossible", message, {"outcome": "refused", **fields}


def _summary(report, to):
    from ..sharing.plans import Action
    from ..sharing.policies import format_size
    from ..sharing.withheld import files_withheld

    plan = report.plan
    withheld = files_withheld(plan.withheld)
    send, keep, defer = (plan.total(a) for a in (Action.SEND, Action.KEEP, Action.DEFER))
    room = "unknown" if plan.room is None else format_size(plan.room)
    word = "to send" if report.dry_run else "sent"
    message = (
        f"{to}: {count(send[0], 'unit')} {word} ({format_size(send[2])} into {room}),"
        f" {keep[0]} there already, {defer[0]} deferred,"
        f" {count(withheld, 'file')} withheld"
    )
    status = "ok" if report.changed or report.dry_run else "notneeded"
    if status == "notneeded":
        message += ". Nothing to do: the sibling has all that it may have and has room for"
    fields = {
        "outcome": "summary",
        "room": plan.room,
        "held": plan.held,
        "bytes": send[2],
        "units": {"send": send[0], "keep": keep[0], "defer": defer[0]},
        "withheld_files": withheld,
        "complete": report.complete,
        "event": report.event,
    }
    return status, message, fields


def render(res):
    """A line for people: what became of it, then the message."""
    if res["action"] != ACTION:
        from datalad.interface.utils import default_result_renderer

        default_result_renderer(res)
        return
    outcome = res.get("outcome")
    words = {"keep": "kept", "defer": "deferred", "summary": "in sum", None: res["status"]}
    if outcome == "summary":
        say("")
    say_record(res, words.get(outcome, outcome))
