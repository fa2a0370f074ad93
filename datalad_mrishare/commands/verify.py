"""``datalad mrishare-verify``: what a sibling holds, seen from a fresh clone."""

from __future__ import annotations

import re
from pathlib import Path

from datalad.distribution.dataset import datasetmethod
from datalad.interface.base import Interface, build_doc, eval_results
from datalad.support.param import Parameter

from .shared import count, dataset_param, error_record, open_checkout, record, say_record

ACTION = "mrishare-verify"
_SENTENCES = {
    "participant": "{what} is named, and may not be",
    "key": "content that is withheld is named: {what}",
    "content": "content that is withheld is there: {what}",
    "registry": "our own records are there: {what}",
    "metadata": "metadata of a key is there: {what}",
    "address": "where content came from is told: {what}",
    "credential": "the configuration of a special remote holds a secret",
    "identity": "a commit or tag names {what}",
    "machine": "the steward's machine or account is told: {what}",
    "canary": "a word of the private list is there",
    "header": "a content tells too much: {what}",
    "unread": "could not be looked into: {what}",
    "missing": "is promised and not there: {what}",
    "residue": "was permitted once and stays in the history: {what}",
}


@build_doc
class Verify(Interface):
    """Verify that a sibling holds nothing that is withheld, and all that is promised.

    Makes a fresh clone, as a stranger would with plain git, and reads every object of every
    ref in it: files, names, messages, identities, what git-annex notes. Where the storage can be
    listed (a directory here or behind ssh, an S3 bucket, a WebDAV collection), every file there
    is read, too. Exit code 1 when anything is
    found. A sibling that was never declared is verified as well: what it tells, and about whom.

    What was permitted when it was released and is denied now stays in the history of a release
    (residue). It is listed, and is no finding unless the participant withdrew to 'erase'.

    What is found is for the steward: it names participants.
    """

    result_renderer = "tailored"

    _examples_ = [
        {
            "text": "Is there anything at 'mirror' that must not be?",
            "code_cmd": "datalad mrishare-verify mirror",
            "code_py": "mrishare_verify('mirror')",
        },
        {
            "text": "The same, looking for names and hospital numbers, inside images too",
            "code_cmd": "datalad mrishare-verify mirror --canaries names.txt --content",
            "code_py": "mrishare_verify('mirror', canaries='names.txt', content=True)",
        },
        {
            "text": "What does a sibling tell that was filled with datalad push?",
            "code_cmd": "datalad mrishare-verify origin --policy public",
            "code_py": "mrishare_verify('origin', policy='public')",
        },
    ]

    _params_ = {
        "sibling": Parameter(
            args=("sibling",),
            metavar="SIBLING",
            doc="""a declared sibling, or any remote of the dataset.""",
        ),
        "dataset": dataset_param,
        "canaries": Parameter(
            args=("--canaries",),
            metavar="FILE",
            doc="""a private list of words that must not be found (names, hospital numbers, hosts,
            birth dates), one a line; looked for in texts, headers and packed files, in upper
            and lower case. It is never copied, and its words are in no result.""",
        ),
        "content": Parameter(
            args=("--content",),
            action="store_true",
            doc="""retrieve everything that is promised, compare checksums, look for the canaries
            in it.""",
        ),
        "sample": Parameter(
            args=("--sample",),
            metavar="N",
            doc="""the same with so many files, always the same ones.""",
        ),
        "policy": Parameter(
            args=("--policy",),
            metavar="PRESET",
            doc="""what a sibling without a declared policy is held against; default
            institution.""",
        ),
    }

    @staticmethod
    @datasetmethod(name="mrishare_verify")
    @eval_results
    def __call__(sibling, *, dataset=None, canaries=None, content=False, sample=None, policy=None):
        from datalad.distribution.dataset import resolve_path
        from datalad.support.exceptions import InsufficientArgumentsError

        from ..errors import MriShareError
        from ..sharing.disclosures import Grouped
        from ..sharing.verification import DEFAULT_POLICY, Asked, Verification, read_canaries

        if sample is not None and not str(sample).isdigit():
            raise InsufficientArgumentsError(f"--sample: `{sample}` is not a number of files")
        ds, checkout = open_checkout(dataset, "verify")
        try:
            words = read_canaries(Path(resolve_path(canaries, dataset))) if canaries else ()
            asked = Asked(words, bool(content), int(sample or 0), policy)
            wrong = 0
            for report in Verification(checkout, sibling, asked).run():
                if isinstance(report, Grouped):
                    wrong += report.kind != "residue"
                    yield _finding(ds, sibling, report, words)
                else:
                    yield _summary(ds, sibling, report, wrong, asked, policy or DEFAULT_POLICY)
        except MriShareError as exc:
            yield error_record(ds, ACTION, exc)

    @staticmethod
    def custom_result_renderer(res, **_kwargs):
        plain = res["status"] == "error" and not ("kind" in res or "findings" in res)
        words = {"ok": "verified", "notneeded": "residue", "error": "found"}
        say_record(res, "error" if plain else words.get(res["status"]))


def _finding(ds, sibling, found, words):
    def masked(text):
        """Without words of the private list: a place or a name may hold one."""
        for word in words:
            text = re.sub(re.escape(word), "...", text, flags=re.IGNORECASE)
        return text

    secret = found.kind in ("canary", "credential")
    what, where = masked(found.what), masked(found.first)
    said = _SENTENCES[found.kind].format(what=what)
    line = words.index(found.what) + 1 if found.kind == "canary" else None
    if line:
        said += f" (number {line})"
    status = "notneeded" if found.kind == "residue" else "error"
    message = f"{said}; {count(found.count, 'place')}, such as {where}"
    fields = {"to": sibling, "kind": found.kind, "what": None if secret else what, "canary": line}
    return record(ds, ACTION, status, message, places=found.count, first=where, **fields)


def _summary(ds, sibling, report, wrong, asked, policy):
    message = f"{sibling}: {count(report.objects, 'object')} of git read"
    message += f", {report.there} of {report.promised} promised files there"
    if report.retrieved or asked.content or asked.sample:
        message += f", {report.retrieved} retrieved"
    if report.unreached:
        message += (
            f"; {count(report.unreached, 'file')} more in storage that has to be enabled first"
        )
    for why in report.unlisted:
        message += f"; not all of its storage was listed ({why})"
    if report.release is None:
        message += "; there is no branch that a clone would check out, so nothing is promised"
    if not report.declared:
        message += f"; it has no policy and was held against '{policy}'"
    message += f"; {count(wrong, 'finding')}"
    fields = {
        "to": sibling,
        "outcome": "summary",
        "objects": report.objects,
        "promised": report.promised,
        "there": report.there,
        "retrieved": report.retrieved,
        "unreached": report.unreached,
        "storage": list(report.storage),
        "unlisted": list(report.unlisted),
        "declared": report.declared,
        "release": report.release,
        "event": report.event,
        "findings": wrong,
    }
    return record(ds, ACTION, "error" if wrong else "ok", message, **fields)
