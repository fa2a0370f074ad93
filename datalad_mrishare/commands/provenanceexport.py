"""``mrishare-provenance --export``: parameters, and a result record for each format."""

from __future__ import annotations

from pathlib import Path

from datalad.support.param import Parameter

from .shared import count, record

export_params = {
    "export": Parameter(
        args=("--export",),
        metavar="DIR",
        doc="""write the provenance of the dataset for others, below this directory.""",
    ),
    "format": Parameter(
        args=("--format",),
        metavar="FORMAT",
        action="append",
        doc="""with --export: prov-json, prov-n, prov-jsonld (W3C PROV), bids-prov (a draft of
        BIDS) or ro-crate (a Process Run Crate). Can be given several times.""",
    ),
    "to": Parameter(
        args=("--to",),
        metavar="SIBLING",
        doc="""with --export: tell what a release for this sibling holds and nothing else. By
        default everything is told, which is for the steward.""",
    ),
    "as_recorded": Parameter(
        args=("--as-recorded",),
        action="store_true",
        dest="as_recorded",
        doc="""with --export and without --to: leave mail addresses and paths of this machine in
        commands.""",
    ),
}


def exported(ds, dataset, action, checkout, asked):
    """Write an export, a record for each format; ``asked`` as the parameters above."""
    from datalad.distribution.dataset import resolve_path
    from datalad.utils import ensure_list

    from ..sharing.accounts import export

    # relative to the current directory on the command line, as everywhere in datalad
    target = Path(resolve_path(asked["export"], dataset))
    for told in export(
        checkout,
        [str(form) for form in ensure_list(asked["format"])],
        target,
        str(asked["to"]) if asked["to"] else None,
        as_recorded=bool(asked["as_recorded"]),
    ):
        of = f"{count(told.steps, 'step')} and {count(told.files, 'file')}"
        whose = (
            f"a release for {asked['to']}" if asked["to"] else "the dataset, for the steward only"
        )
        status, message = "ok", f"{told.form}: {of} of {whose}, in {target}"
        if not told.written:
            status, message = "notneeded", f"{told.form}: no step to tell of, so nothing is written"
        yield record(
            ds,
            action,
            status,
            message,
            path=str(target),
            type="directory",
            format=told.form,
            to=asked["to"],
            written=[str(path) for path in told.written],
            files=told.files,
            steps=told.steps,
        )
