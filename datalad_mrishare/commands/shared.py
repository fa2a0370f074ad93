"""What every command needs: the dataset, dates, errors as records, lines for people."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from datalad.distribution.dataset import EnsureDataset, require_dataset
from datalad.interface.results import get_status_dict
from datalad.support.constraints import EnsureNone
from datalad.support.param import Parameter

dataset_param = Parameter(
    args=("-d", "--dataset"),
    metavar="DATASET",
    constraints=EnsureDataset() | EnsureNone(),
    doc="""the steward's dataset; by default the one around the current directory.""",
)
dry_run_param = Parameter(
    args=("-n", "--dry-run"),
    action="store_true",
    doc="""do everything up to the first change, report what would happen, and stop.""",
)
at_param = Parameter(
    args=("--at",),
    metavar="DATE",
    doc="""answer for this day (YYYY-MM-DD), with what was on record then; default today.""",
)


def open_checkout(dataset, purpose):
    """The dataset and its checkout; datalad's own error when there is none."""
    from ..repo.worktree import Checkout

    ds = require_dataset(dataset, check_installed=True, purpose=purpose)
    return ds, Checkout(Path(ds.path))


def paths_in(ds, dataset, paths):
    """Paths relative to the dataset, of paths as a user gives them.

    On the command line they are relative to the current directory, as everywhere in datalad.
    The dataset itself is an empty path.

    Raises
    ------
    InputError
        For a path outside.
    """
    from datalad.distribution.dataset import resolve_path
    from datalad.utils import ensure_list

    from ..errors import InputError

    found = []
    for one in ensure_list(paths):
        full = resolve_path(one, dataset)
        if not full.is_relative_to(ds.pathobj):
            raise InputError("is not in the dataset", where=str(one))
        relative = full.relative_to(ds.pathobj).as_posix()
        found.append("" if relative == "." else relative)
    return found


def parse_day(text):
    """A date from the command line or Python, or None."""
    from ..consent.values import read_date
    from ..errors import InputError

    if text is None or isinstance(text, date):
        return text
    try:
        return read_date(text)
    except InputError as exc:
        raise InputError(exc.what, where="--at", remedy=exc.remedy) from None


def record(ds, action, status, message, **fields):
    """A result record about something in the dataset."""
    fields.setdefault("path", ds.path)
    fields.setdefault("type", "dataset")
    return get_status_dict(action=action, status=status, message=message, refds=ds.path, **fields)


def error_record(ds, action, exc):
    """The record for an error of ours: what, where, and what to do."""
    return record(ds, action, "error", str(exc), what=exc.what, where=exc.where, remedy=exc.remedy)


def say(text):
    """A line for people on standard output; what it quotes cannot move or colour it."""
    _put(printable(text))


def say_text(text):
    """The same of several lines."""
    _put("\n".join(map(printable, text.split("\n"))))


def _put(text):
    from datalad.ui import ui

    ui.message(text)


def printable(text):
    """Names as they are, but for what would move or colour the rest of the line."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


_COLORS = {"ok": "GREEN", "notneeded": "WHITE", "impossible": "YELLOW", "error": "RED"}


def say_record(res, label=None):
    """The usual line for a record: a coloured word, then its message."""
    from datalad.support import ansi_colors as ac

    color = getattr(ac, _COLORS.get(res["status"], "WHITE"))
    message = res.get("message") or ""
    if isinstance(message, tuple):
        message = message[0] % message[1:]
    word = label or res["status"]
    _put(f"{ac.color_word(f'{word:<11}', color)} {printable(message)}")


def count(number, noun):
    """``1 file``, ``3 files``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
