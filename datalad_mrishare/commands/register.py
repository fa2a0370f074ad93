"""``datalad mrishare-register``: a BIDS tree becomes a registered dataset."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import ClassVar

from datalad.interface.base import Interface, build_doc, eval_results
from datalad.interface.results import get_status_dict
from datalad.support.param import Parameter

lgr = logging.getLogger("datalad.mrishare.register")

ACTION = "mrishare-register"
_UNITS = {"adding": " files", "reading headers": " images"}


@build_doc
class Register(Interface):
    """Make a registered dataset of a BIDS tree, in place or as a copy.

    With one PATH, what is there is registered where it is: a plain folder, a git
    repository or a DataLad dataset. With SOURCE and PATH, SOURCE is copied to PATH
    first (a repository with its history and the content it has); nothing is written in
    SOURCE.

    Images and other binary files go into the annex, JSON, TSV and other text into git.
    The headers of images are kept as metadata on their annex keys, so that for example
    'git annex find --metadata mri-suffix=T1w' works.

    Unreadable or truncated images, names outside of BIDS, participants without data and
    data of unlisted participants, links that lead out of the tree and the like are
    reported with what to do about them, and the exit code is 1; everything else is
    registered nevertheless. When the registration itself fails, the source is untouched
    and the dataset is as it was.

    Remotes that the dataset has and for which no policy is declared are locked, so that
    nothing is pushed there by accident.

    Registering again is cheap and picks up what is new.
    """

    result_renderer = "tailored"

    _params_: ClassVar = {
        "source": Parameter(
            args=("source",),
            metavar="SOURCE",
            nargs="?",
            doc="""a directory to copy from. When it is the only argument, it is the PATH
            to register in place. Default: the current directory.""",
        ),
        "path": Parameter(
            args=("path",),
            metavar="PATH",
            nargs="?",
            doc="""where the registered dataset is to be: a new directory, an empty one,
            or an earlier copy, which then receives what is new or changed.""",
        ),
        "dataset": Parameter(
            args=("-d", "--dataset"),
            metavar="PATH",
            doc="""the dataset to register. With one more argument, that is the SOURCE to
            copy into it.""",
        ),
        "dry_run": Parameter(
            args=("-n", "--dry-run"),
            action="store_true",
            doc="""report what was found and what would be added, and write nothing.""",
        ),
    }

    _examples_: ClassVar = [
        {
            "text": "Register a BIDS folder where it is",
            "code_py": "mrishare_register('bids')",
            "code_cmd": "datalad mrishare-register bids",
        },
        {
            "text": "See first what would be found and added",
            "code_py": "mrishare_register('bids', dry_run=True)",
            "code_cmd": "datalad mrishare-register --dry-run bids",
        },
        {
            "text": "Register a copy and leave the folder as it is; later the same adds more files",
            "code_py": "mrishare_register('/data/incoming/study', 'study')",
            "code_cmd": "datalad mrishare-register /data/incoming/study study",
        },
        {
            "text": "Find the T1-weighted images of a registered dataset",
            "code_py": "",
            "code_cmd": "git annex find --metadata mri-suffix=T1w",
        },
    ]

    @staticmethod
    @eval_results
    def __call__(source=None, path=None, *, dataset=None, dry_run=False):
        from datalad_mrishare.errors import MriShareError
        from datalad_mrishare.sources.register import register

        target, origin = _places(source, path, dataset)
        try:
            with _Bars() as bars:
                report = register(target, origin, dry_run=bool(dry_run), progress=bars)
        except MriShareError as exc:
            fields = {"what": exc.what, "where": exc.where, "remedy": exc.remedy}
            yield _record(target, "error", message=str(exc), refds=str(target), **fields)
            return
        yield from _records(report, bool(dry_run))

    @staticmethod
    def custom_result_renderer(res, **kwargs):
        """Print one record; all of them look alike, one line and its remedy."""
        from datalad.ui import ui

        if res.get("action") != ACTION:
            from datalad.interface.utils import generic_result_renderer

            generic_result_renderer(res)
            return
        for line in _lines(res):
            ui.message(line)


def _places(source, path, dataset):
    """Where to register and what to copy there, from what was given."""
    if dataset is not None:
        named = getattr(dataset, "path", dataset)
        if path is not None and os.path.realpath(path) != os.path.realpath(named):
            from datalad.support.exceptions import InsufficientArgumentsError

            raise InsufficientArgumentsError("give the dataset as PATH or with -d, not both")
        return Path(os.path.abspath(named)), _absolute(source)
    if path is not None:
        return Path(os.path.abspath(path)), _absolute(source)
    return Path(os.path.abspath(source or os.curdir)), None


def _absolute(path):
    return None if path is None else Path(os.path.abspath(path))


def _record(path, status, **kwargs):
    kwargs.setdefault("type", "dataset")
    return get_status_dict(ACTION, path=str(path), status=status, logger=lgr, **kwargs)


def _records(report, dry_run):
    for finding in report.findings:
        where = report.path / finding.path if finding.path else report.path
        yield _record(
            where,
            "notneeded" if finding.is_note else "impossible",
            type="file" if finding.path else "dataset",
            refds=str(report.path),
            finding=finding.kind.value,
            remedy=finding.remedy,
            message=f"{finding.what}. {finding.remedy}",
        )
    for name in report.locked:
        remedy = f"datalad mrishare-sibling {name} --policy PRESET"
        yield _record(
            report.path,
            "ok",
            type="sibling",
            name=name,
            refds=str(report.path),
            remedy=remedy,
            message=f"remote {name!r} has no policy and is locked. Declare one: {remedy}",
        )
    yield _summary(report, dry_run)


def _summary(report, dry_run):
    from datalad_mrishare.sources.wording import summary

    changed = report.changed and not dry_run
    extra = {"event": report.event} if report.event else {}
    return _record(
        report.path,
        "ok" if changed or (dry_run and report.changed) else "notneeded",
        refds=str(report.path),
        dry_run=dry_run,
        added=[os.fsencode(p).decode("utf-8", "backslashreplace") for p in report.added],
        counts=report.counts,
        findings=len(report.findings),
        message=summary(report, dry_run=dry_run),
        **extra,
    )


def _lines(res):
    import datalad.support.ansi_colors as ac

    status = res["status"]
    message = res.get("message", "")
    if isinstance(message, tuple):
        message = message[0] % message[1:]
    path = os.path.relpath(res["path"], res["refds"]) if res.get("refds") else res["path"]
    if path == os.curdir:
        path = res["path"]
    word = ac.color_word(status, ac.RED if status in ("error", "impossible") else ac.GREEN)
    yield f"{ACTION}({word}): {_printable(path)}"
    yield f"    {_printable(str(message))}"


def _printable(text):
    """``text`` on one line and without control characters: names may hold anything."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


class _Bars:
    """A progress callback with one bar a phase; all bars are closed at the end."""

    def __init__(self):
        self._totals = {}

    def __enter__(self):
        return self

    def __call__(self, phase, done, total):
        name = f"{ACTION}-{phase}"
        if phase not in self._totals:
            self._totals[phase] = total
            label, unit = phase.capitalize(), _UNITS.get(phase, " files")
            self._log(name, label, total=total, label=label, unit=unit)
        self._log(name, f"{phase}: {done} of {total}", update=done)

    def __exit__(self, *exc_info):
        for phase in self._totals:
            self._log(f"{ACTION}-{phase}", f"done: {phase}")

    @staticmethod
    def _log(name, message, **kwargs):
        from datalad.log import log_progress

        # a bar on a terminal; in a log file not one line a file
        log_progress(lgr.info, name, "%s", message, noninteractive_level=logging.DEBUG, **kwargs)
