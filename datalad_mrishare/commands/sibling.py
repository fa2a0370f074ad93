"""``datalad mrishare-sibling``: declare what a sibling would do with the data."""

from __future__ import annotations

from datalad.distribution.dataset import datasetmethod
from datalad.interface.base import Interface, build_doc, eval_results
from datalad.support.param import Parameter

from .shared import dataset_param, dry_run_param, error_record, open_checkout, record, say_record

ACTION = "mrishare-sibling"


@build_doc
class Sibling(Interface):
    """Declare a sibling's policy; beyond own storage, move it behind the release repository.

    The sibling is created first, with the usual commands (`git remote add`, `datalad
    create-sibling`, `datalad create-sibling-ria`). Shipped policies: backup (own storage,
    full dataset), institution, consortium, registered, public; or a YAML file.

    A sibling beyond own storage must be empty. It becomes a remote of the release repository
    in .git/mrishare/NAME and is no longer a remote of this dataset, so that no plain command
    puts anything there by accident.
    """

    result_renderer = "tailored"

    _examples_ = [
        {
            "text": "A backup of everything on a path",
            "code_cmd": "git init --bare /srv/backup.git && git remote add backup"
            " /srv/backup.git && datalad mrishare-sibling backup --policy backup",
            "code_py": "mrishare_sibling('backup', policy='backup')",
        },
        {
            "text": "A mirror for the institution in a RIA store",
            "code_cmd": "datalad create-sibling-ria -s mirror --new-store-ok ria+file:///srv/ria"
            " && datalad mrishare-sibling mirror --policy institution",
            "code_py": "mrishare_sibling('mirror', policy='institution')",
        },
        {
            "text": "Undo a lock or a move: plain commands reach the sibling again",
            "code_cmd": "datalad mrishare-sibling mirror --reopen",
            "code_py": "mrishare_sibling('mirror', reopen=True)",
        },
    ]

    _params_ = {
        "name": Parameter(
            args=("name",),
            metavar="NAME",
            doc="""the sibling: a git remote of the dataset, or one declared before.""",
        ),
        "dataset": dataset_param,
        "policy": Parameter(
            args=("--policy",),
            metavar="PRESET|FILE",
            doc="""a shipped policy by name, or a YAML file with one.""",
        ),
        "reopen": Parameter(
            args=("--reopen",),
            action="store_true",
            doc="""undo a lock or a move, so that plain git, git-annex and datalad commands
            reach the sibling again.""",
        ),
        "dry_run": dry_run_param,
    }

    @staticmethod
    @datasetmethod(name="mrishare_sibling")
    @eval_results
    def __call__(name, *, dataset=None, policy=None, reopen=False, dry_run=False):
        from datalad.support.exceptions import InsufficientArgumentsError

        from ..errors import MriShareError
        from ..sharing import siblings

        if bool(policy) == bool(reopen):
            raise InsufficientArgumentsError("give either --policy PRESET|FILE or --reopen")
        ds, checkout = open_checkout(dataset, "declare a sibling")
        try:
            if reopen:
                undone = siblings.reopen(checkout, name, dry_run=dry_run)
                yield _reopened(ds, undone, dry_run)
            else:
                declared = siblings.declare(checkout, name, str(policy), dry_run=dry_run)
                yield _declared(ds, declared, dry_run)
        except MriShareError as exc:
            yield error_record(ds, ACTION, exc)

    @staticmethod
    def custom_result_renderer(res, **_kwargs):
        say_record(res)


def _declared(ds, declared, dry_run):
    policy = declared.policy
    terms = policy.public_form()
    would = "would be " if dry_run else ""
    if policy.own:
        how = "own storage: the full dataset, plain commands reach it as ever"
    elif declared.moved:
        how = f"{would}moved behind the release repository; only mrishare-publish fills it"
    else:
        how = "served from the release repository"
    status = "ok" if declared.changed or declared.moved else "notneeded"
    message = f"{policy.name} ({declared.where}): reach {terms['reach']}, {how}"
    fields = {"sibling": policy.name, "policy": terms, "moved": declared.moved, "dry_run": dry_run}
    return record(ds, ACTION, status, message, type="sibling", **fields)


def _reopened(ds, undone, dry_run):
    fields = {"sibling": undone.name, "type": "sibling", "dry_run": dry_run}
    if not (undone.moved or undone.unlocked):
        message = f"{undone.name}: nothing to reopen, it is neither locked nor moved"
        return record(ds, ACTION, "notneeded", message, **fields)
    what = "its policy is withdrawn and it is a remote of this dataset again"
    if not undone.moved:
        what = "its lock is off"
    message = (
        f"{undone.name}: {'would be ' if dry_run else ''}OPEN: {what}. Plain git, git-annex and"
        " datalad commands now send it anything, whatever participants consented to."
        f" Close it again while it is empty: datalad mrishare-sibling {undone.name} --policy"
        " PRESET. What has received anything takes no release any more: make a fresh sibling"
    )
    return record(ds, ACTION, "ok", message, **fields)
