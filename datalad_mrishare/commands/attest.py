"""``datalad mrishare-attest``: a steward's statement about how clean a file is."""

from __future__ import annotations

import os

from datalad.distribution.dataset import datasetmethod
from datalad.interface.base import Interface, build_doc, eval_results
from datalad.support.param import Parameter

from .shared import (
    count,
    dataset_param,
    dry_run_param,
    error_record,
    open_checkout,
    paths_in,
    record,
    say,
    say_record,
)

ACTION = "mrishare-attest"


@build_doc
class Attest(Interface):
    """State how clean a file is, with the evidence.

    Everything of a participant counts as identifiable until there is evidence. A defaced image,
    a questionnaire that somebody read: whoever looked at it says so here. The statement is about
    this content: a new version at the same path needs a new one. It is committed to the dataset
    and never part of a release.

    *Anonymous* is for group results, as a mean over many. It is accepted only where lineage
    counts enough participants in the file (min_participants of the policies, 10 unless they say
    otherwise), and looked at again whenever something is published. Then it is no personal data:
    nobody's consent is asked. When one of its participants withdraws later, it is listed for you to
    decide: attest it again to let it stay, or attest it as identifiable to take it back.
    """

    result_renderer = "tailored"

    _examples_ = [
        {
            "text": "The face was removed, and somebody looked at it",
            "code_cmd": "datalad mrishare-attest sub-01/anat/sub-01_T1w.nii.gz --deid deidentified"
            " --evidence 'mideface 1.0, all slices looked at on 4 May'",
            "code_py": "mrishare_attest('sub-01/anat/sub-01_T1w.nii.gz', deid='deidentified',"
            " evidence='mideface 1.0, all slices looked at on 4 May')",
        },
        {
            "text": "A mean over many is nobody's",
            "code_cmd": "datalad mrishare-attest derivatives/mean_bold.nii.gz --deid anonymous"
            " --evidence 'mean over 24, no extreme values, statistics board 2026-17'",
            "code_py": "mrishare_attest('derivatives/mean_bold.nii.gz', deid='anonymous',"
            " evidence='mean over 24, no extreme values, statistics board 2026-17')",
        },
        {
            "text": "Would that be accepted?",
            "code_cmd": "datalad mrishare-attest derivatives/mean_bold.nii.gz --deid anonymous"
            " --evidence 'mean over 24' --dry-run",
            "code_py": "mrishare_attest('derivatives/mean_bold.nii.gz', deid='anonymous',"
            " evidence='mean over 24', dry_run=True)",
        },
    ]

    _params_ = {
        "path": Parameter(
            args=("path",), metavar="PATH", nargs="+", doc="""files of the dataset, as committed."""
        ),
        "dataset": dataset_param,
        "deid": Parameter(
            args=("--deid",),
            metavar="LEVEL",
            doc="""identifiable, pseudonymised, deidentified or anonymous.""",
        ),
        "evidence": Parameter(
            args=("--evidence",),
            metavar="TEXT",
            doc="""what was done and looked at, or where that is on file. Never part of a
            release.""",
        ),
        "by": Parameter(
            args=("--by",), metavar="WHO", doc="""who looked, where that is not who commits."""
        ),
        "dry_run": dry_run_param,
    }

    @staticmethod
    @datasetmethod(name="mrishare_attest")
    @eval_results
    def __call__(path, *, dataset=None, deid=None, evidence=None, by=None, dry_run=False):
        from datetime import date

        from datalad.support.exceptions import InsufficientArgumentsError

        from ..consent.grants import Deid
        from ..errors import MriShareError
        from ..sharing.attesting import Claim, attest

        if not deid:
            raise InsufficientArgumentsError("say how clean it is: --deid LEVEL")
        if not evidence:
            raise InsufficientArgumentsError("say why: --evidence TEXT")
        ds, checkout = open_checkout(dataset, "attest")
        try:
            claim = Claim(Deid.parse(str(deid), "--deid"), str(evidence), str(by or ""))
            asked = paths_in(ds, dataset, path)
            for found in attest(checkout, asked, claim, today=date.today(), dry_run=dry_run):
                yield _attested(ds, found, dry_run)
        except MriShareError as exc:
            yield error_record(ds, ACTION, exc)

    @staticmethod
    def custom_result_renderer(res, **_kwargs):
        render(res)


def _attested(ds, found, dry_run):
    fields = {
        "path": os.path.join(ds.path, found.path),
        "type": "file",
        "node": found.node,
        "deid": found.claim.deid.word,
        "participants": found.participants,
        "lineage": found.lineage,
        "denied": found.denied,
        "siblings": list(found.siblings),
        "statement": found.statement,
        "remedy": found.remedy,
        "dry_run": dry_run,
    }
    if found.refused:
        return record(ds, ACTION, "impossible", f"{found.path}: {found.refused}", **fields)
    would = "would be " if dry_run and not found.known else ""
    message = f"{found.path}: {would}attested {found.claim.deid.word}"
    if found.known:
        message += ", as on record already"
    if found.claim.deid.word == "anonymous":
        where = ", ".join(found.siblings) or "no declared sibling"
        message += f"; lineage ({found.lineage}) counts {count(found.participants, 'participant')}"
        message += f"; it may go to {where}"
        if found.denied:
            message += f"; {found.denied} of them withdrew, refused or objected"
    return record(ds, ACTION, "notneeded" if found.known else "ok", message, **fields)


def render(res):
    """A line for people, and what to do about a refusal."""
    say_record(res, {"impossible": "refused"}.get(res["status"]))
    if res["status"] == "impossible":
        say(f"            -> {res['remedy']}")
