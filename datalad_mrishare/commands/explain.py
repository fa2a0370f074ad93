"""``datalad mrishare-explain``: why a file may or may not go to a sibling."""

from __future__ import annotations

import os
from functools import lru_cache

from datalad.distribution.dataset import datasetmethod
from datalad.interface.base import Interface, build_doc, eval_results
from datalad.support.param import Parameter

from .shared import (
    at_param,
    dataset_param,
    error_record,
    open_checkout,
    parse_day,
    paths_in,
    record,
    say,
    say_record,
)

ACTION = "mrishare-explain"


@build_doc
class Explain(Interface):
    """Explain why files may or may not go to a sibling.

    One sentence per reason, with the participant, the record and form that decide, and what
    would have to change. Directories stand for everything below them. Meant for the
    steward: what it prints tells what participants decided.
    """

    result_renderer = "tailored"

    _examples_ = [
        {
            "text": "Why does this image not go to the mirror?",
            "code_cmd": "datalad mrishare-explain sub-02/anat/sub-02_T1w.nii.gz --to mirror",
            "code_py": "mrishare_explain('sub-02/anat/sub-02_T1w.nii.gz', to='mirror')",
        },
        {
            "text": "Why did it leave on 3 May?",
            "code_cmd": "datalad mrishare-explain sub-02 --to mirror --at 2026-05-03",
            "code_py": "mrishare_explain('sub-02', to='mirror', at='2026-05-03')",
        },
    ]

    _params_ = {
        "path": Parameter(
            args=("path",),
            metavar="PATH",
            nargs="*",
            doc="""files or directories of the dataset; default everything.""",
        ),
        "dataset": dataset_param,
        "to": Parameter(args=("--to",), metavar="SIBLING", doc="""the declared sibling."""),
        "at": at_param,
    }

    @staticmethod
    @datasetmethod(name="mrishare_explain")
    @eval_results
    def __call__(path=None, *, dataset=None, to=None, at=None):
        from datalad.support.exceptions import InsufficientArgumentsError
        from datalad.utils import ensure_list

        from ..errors import MriShareError
        from ..sharing.explaining import explain

        if not to:
            raise InsufficientArgumentsError("say for which sibling: --to SIBLING")
        ds, checkout = open_checkout(dataset, "explain")
        try:
            asked = paths_in(ds, dataset, ensure_list(path) or [ds.path])
            for found in explain(checkout, asked, to, parse_day(at)):
                yield _explained(ds, to, found)
        except MriShareError as exc:
            yield error_record(ds, ACTION, exc)

    @staticmethod
    def custom_result_renderer(res, **_kwargs):
        render(res)


def _explained(ds, to, found):
    verdict = found.verdict
    fields = {
        "path": os.path.join(ds.path, found.path),
        "type": "file",
        "to": to,
        "permit": verdict.permit,
        "participants": sorted(verdict.facts.participants),
        "clearance": verdict.facts.clearance.word,
        "reasons": [dict(_reason(r)) for r in verdict.reasons],
        "lineage": list(found.lineage),
    }
    if verdict.permit:
        note = f" ({found.note})" if found.note else ""
        return record(ds, ACTION, "ok", f"{found.path}: may go to {to}{note}", **fields)
    return record(ds, ACTION, "impossible", f"{found.path}: may not go to {to}", **fields)


@lru_cache(maxsize=4096)
def _reason(reason):
    decides = reason.record
    return {
        "component": reason.component,
        "participant": reason.participant,
        "sentence": reason.detail or reason.sentence,
        "record": decides.record if decides else None,
        "form": decides.form if decides else None,
        "remedy": reason.remedy,
    }


def render(res):
    """The verdict, then one line a reason and what would change it."""
    say_record(res, {"ok": "permit", "impossible": "deny"}.get(res["status"]))
    for reason in res.get("reasons", ()):
        say(f"            {reason['sentence']}")
        say(f"            -> {reason['remedy']}")
    for sentence in res.get("lineage", ()):
        say(f"            {sentence}")
