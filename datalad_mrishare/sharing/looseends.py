"""Lines and cells of a release that lead to what is not in it.

As in :mod:`.sidecars`, but in text and in tables: a pattern that names somebody who is withheld,
a stimulus that stays here. The rest of the file is needed. Pure: texts in, texts out.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from dataclasses import replace

from .mentions import Mentions
from .tables import MISSING, format_table, parse_table

#: files of one pattern a line
PATTERNS = (".bidsignore", ".gitattributes")
#: BIDS 1.11, "Events": a column of paths below the directory "stimuli"
STIMULUS, _STIMULI = "stim_file", "stimuli/"


def without_patterns(content: bytes, mentions: Mentions) -> bytes | None:
    """A file of patterns without the lines that name somebody; None when there are none.

    Empty when nothing is left, or when it is no text.
    """
    try:
        lines = content.decode("utf-8").splitlines(keepends=True)
    except UnicodeDecodeError:
        return b""
    kept = [line for line in lines if mentions.may_stay(line)]
    if len(kept) == len(lines):
        return None
    return "".join(kept).encode("utf-8")


def without_stimuli(content: bytes, gone: Callable[[str], bool]) -> bytes | None:
    """A table of events without references to stimuli that stay here; None when it has none.

    Parameters
    ----------
    content : bytes
        The table.
    gone : callable
        Whether a path is in the dataset, and not in the release.
    """
    if STIMULUS.encode() not in content.partition(b"\n")[0]:
        return None
    table = parse_table(content)
    if table is None or STIMULUS not in table.columns:
        return None
    at = table.columns.index(STIMULUS)
    rows = tuple(
        (*row[:at], MISSING, *row[at + 1 :]) if any(map(gone, _places(row[at]))) else row
        for row in table.rows
    )
    return None if rows == table.rows else format_table(replace(table, rows=rows))


def _places(value: str) -> tuple[str, str]:
    """What a reference to a stimulus may mean; below the top it stands in some datasets."""
    path = posixpath.normpath(value.lstrip("/"))
    return _STIMULI + path, path
