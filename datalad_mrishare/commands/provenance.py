"""``datalad mrishare-provenance``: where a file came from, and all that was made of somebody."""

from __future__ import annotations

import logging

from datalad.distribution.dataset import datasetmethod
from datalad.interface.base import Interface, build_doc, eval_results
from datalad.support.param import Parameter

from .provenanceexport import export_params, exported
from .provenancerecords import (
    derived_record,
    held_records,
    render,
    sealed_record,
    trace_record,
)
from .shared import dataset_param, dry_run_param, error_record, open_checkout, paths_in

lgr = logging.getLogger("datalad.mrishare.provenance")
ACTION = "mrishare-provenance"


@build_doc
class Provenance(Interface):
    """Show where files came from, list all that was made of a participant, record more, export.

    Reads the run records of DataLad, git-annex's compute remotes, what BIDS metadata asserts,
    and stewards' statements, over the whole history. With nothing but PATHs: what each file was
    made from and what was made from it, by which commands, whose data it holds, and how well that
    is known (computed, sealed, declared, asserted, opaque).

    What was made outside of DataLad leaves no record: --derived-from records it, as an assertion
    of the steward. --seal runs a recorded command again where nothing is but the inputs that it
    declared: it executes the command as recorded, and no other option does.

    What it prints is for the steward: commands as recorded, and pseudonyms.
    """

    result_renderer = "tailored"

    _examples_ = [
        {
            "text": "What was this made from, and what was made from it?",
            "code_cmd": "datalad mrishare-provenance derivatives/group/mean_bold.nii.gz",
            "code_py": "mrishare_provenance('derivatives/group/mean_bold.nii.gz')",
        },
        {
            "text": "Everything that holds data of sub-07, in every version that is still there",
            "code_cmd": "datalad mrishare-provenance --of sub-07",
            "code_py": "mrishare_provenance(of='sub-07')",
        },
        {
            "text": "Record what was made on a cluster without DataLad",
            "code_cmd": "datalad mrishare-provenance derivatives/fmriprep/sub-01 --derived-from"
            " sub-01 --by 'fmriprep 24.1.1' --evidence slurm-4711.log",
            "code_py": "mrishare_provenance('derivatives/fmriprep/sub-01', derived_from='sub-01',"
            " by='fmriprep 24.1.1', evidence='slurm-4711.log')",
        },
        {
            "text": "Show that a run needed nothing but its declared inputs; executes its command",
            "code_cmd": "datalad mrishare-provenance --seal 4f1c2ab",
            "code_py": "mrishare_provenance(seal='4f1c2ab')",
        },
        {
            "text": "Describe in BIDS-Prov what a release for the mirror holds",
            "code_cmd": "datalad mrishare-provenance --export . --format bids-prov --to mirror",
            "code_py": "mrishare_provenance(export='.', format='bids-prov', to='mirror')",
        },
    ]

    _params_ = {
        "path": Parameter(
            args=("path",),
            metavar="PATH",
            nargs="*",
            doc="""files of the dataset, also such that only former commits have. With
            --derived-from what was made: files, directories, or patterns in quotes.""",
        ),
        "dataset": dataset_param,
        "of": Parameter(
            args=("--of",),
            metavar="PARTICIPANT",
            doc="""list all content that holds data of this participant: raw and derived, renamed,
            replaced, and results of groups.""",
        ),
        "derived_from": Parameter(
            args=("--derived-from",),
            metavar="INPUT",
            nargs="+",
            dest="derived_from",
            doc="""record that the PATHs were made from these: files, directories, or patterns in
            quotes.""",
        ),
        "by": Parameter(
            args=("--by",),
            metavar="TEXT",
            doc="""with --derived-from: what made them, with its version.""",
        ),
        "evidence": Parameter(
            args=("--evidence",),
            metavar="FILE-or-TEXT",
            doc="""with --derived-from: how that is known. Of a file, as a log, its name and
            checksum are recorded.""",
        ),
        "seal": Parameter(
            args=("--seal",),
            metavar="COMMIT",
            doc="""run the command that this commit recorded again, in a temporary clone that holds
            only its declared inputs. The same result is recorded as a seal. This executes the
            command.""",
        ),
        **export_params,
        "dry_run": dry_run_param,
    }

    @staticmethod
    @datasetmethod(name="mrishare_provenance")
    @eval_results
    def __call__(
        path=None,
        *,
        dataset=None,
        of=None,
        derived_from=None,
        by=None,
        evidence=None,
        seal=None,
        export=None,
        format=None,
        to=None,
        as_recorded=False,
        dry_run=False,
    ):
        from datalad.utils import ensure_list

        from ..errors import MriShareError

        asked_export = {"export": export, "format": format, "to": to, "as_recorded": as_recorded}
        _check_export(asked_export)
        _check(path, of, derived_from, by, evidence, seal, export, dry_run)
        ds, checkout = open_checkout(dataset, "tell where files came from")
        try:
            if of is not None:
                yield from _held(ds, checkout, str(of))
            elif seal is not None:
                yield _seal(ds, checkout, str(seal), dry_run)
            elif export is not None:
                yield from exported(ds, dataset, ACTION, checkout, asked_export)
            else:
                asked = paths_in(ds, dataset, ensure_list(path))
                if derived_from is not None:
                    sources = paths_in(ds, dataset, ensure_list(derived_from))
                    yield _derive(ds, checkout, asked, sources, (by, evidence), dry_run)
                else:
                    yield from _traces(ds, checkout, asked)
        except MriShareError as exc:
            yield error_record(ds, ACTION, exc)

    @staticmethod
    def custom_result_renderer(res, **_kwargs):
        render(res)


def _check(path, of, derived_from, by, evidence, seal, export, dry_run):
    from datalad.support.exceptions import InsufficientArgumentsError

    for flag, given in (("--of", of), ("--seal", seal), ("--export", export)):
        if given is not None and not str(given).strip():
            raise InsufficientArgumentsError(f"{flag} is empty: a variable that is not set?")
    chosen = [one is not None for one in (of, derived_from, seal, export)]
    if sum(chosen) > 1:
        raise InsufficientArgumentsError("choose one of --of, --derived-from, --seal and --export")
    if any(one is not None for one in (of, seal, export)) and path:
        raise InsufficientArgumentsError("--of, --seal and --export go without PATH")
    if not any(chosen) and not path:
        raise InsufficientArgumentsError("say of what: PATH, or --of PARTICIPANT")
    if derived_from is not None and not path:
        raise InsufficientArgumentsError("say what was made: PATH, before --derived-from")
    if derived_from is not None and not by:
        raise InsufficientArgumentsError("say what made it: --by TEXT")
    if derived_from is None and (by or evidence):
        raise InsufficientArgumentsError("--by and --evidence go with --derived-from")
    if dry_run and export is not None:
        raise InsufficientArgumentsError(
            "--export has no --dry-run: it writes to the given directory and nowhere else"
        )
    if dry_run and derived_from is None and seal is None:
        raise InsufficientArgumentsError("nothing is changed anyway: leave out --dry-run")


def _check_export(asked):
    from datalad.support.exceptions import InsufficientArgumentsError

    if asked["export"] is None and (asked["format"] or asked["to"] or asked["as_recorded"]):
        raise InsufficientArgumentsError("--format, --to and --as-recorded go with --export")
    if asked["export"] is not None and not asked["format"]:
        raise InsufficientArgumentsError("say in which format: --format FORMAT")


def _traces(ds, checkout, asked):
    from ..sharing.snapshot import take_snapshot
    from ..sharing.tracing import trace

    state = take_snapshot(checkout)
    for found in trace(state, asked):
        yield trace_record(ds, ACTION, found)


def _held(ds, checkout, participant):
    from ..sharing.snapshot import take_snapshot
    from ..sharing.tracing import held_of, untold

    state = take_snapshot(checkout)
    found = held_of(state, participant)
    yield from held_records(ds, ACTION, participant, found, untold(state))


def _derive(ds, checkout, outputs, inputs, told, dry_run):
    from datetime import date
    from pathlib import Path

    from ..sharing.deriving import derive, evidence_text

    by, evidence = told
    text = evidence_text(str(evidence), Path.cwd()) if evidence else ""
    done = derive(
        checkout, outputs, inputs, str(by), text, today=date.today(), dry_run=bool(dry_run)
    )
    return derived_record(ds, ACTION, done, dry_run)


def _seal(ds, checkout, commit, dry_run):
    from datetime import date

    from ..sharing.sealing import seal

    if not dry_run:
        lgr.info("The command that '%s' recorded is executed, in a clone of its inputs", commit)
    return sealed_record(ds, ACTION, seal(checkout, commit, today=date.today(), dry_run=dry_run))
