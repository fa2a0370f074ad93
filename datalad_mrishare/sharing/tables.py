"""Tables in a release: only rows and columns that may leave.

BIDS tables are tab-separated with a header (BIDS 1.11, "Tabular files"). A release
never copies one: it is written anew, row by row, from what is permitted.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath

MISSING = "n/a"
#: how people call the column that BIDS calls participant_id
PERSON_COLUMNS = frozenset("participant_id participant subject_id subject subj sub sub_id".split())
#: how people are called there: with a digit
_A_LABEL = re.compile(r"(?:sub-)?[A-Za-z]*\d[A-Za-z0-9+]*")
#: BIDS 1.11, "Samples file": a column that must be there, and all that may stand in it
SAMPLE_TYPE = "sample_type"
SAMPLE_TYPES = frozenset(
    (
        *("cell line", "in vitro differentiated cells", "primary cell", "cell-free sample"),
        *("cloning host", "tissue", "whole organisms", "organoid", "technical sample"),
    )
)


@dataclass(frozen=True)
class Table:
    """A parsed table: ``rows`` have as many cells as there are ``columns``."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def is_table_name(path: str) -> bool:
    """Whether a file of this name can be a table of participants, scans or sessions."""
    return path.endswith(".tsv")


def is_table(path: str, content: bytes, named: bool) -> bool:
    """Whether rows of this file belong to different participants, scans or sessions.

    ``named`` says that the path itself names a participant.
    """
    header = header_of(content)
    if not named:
        # also where a person would see a column that a program does not
        return any(_is_of_people(name, at, content) for at, name in enumerate(header))
    name = PurePosixPath(path).name
    return (name.endswith("_scans.tsv") and "filename" in header) or (
        name.endswith("_sessions.tsv") and "session_id" in header
    )


def header_of(content: bytes) -> list[str]:
    """The cells of the first line that has any."""
    text = content.decode("utf-8-sig", "replace")
    line = next((line for line in text.splitlines() if line.strip()), "")
    return line.split("\t")


def _is_of_people(name: str, at: int, content: bytes) -> bool:
    """Whether a column is of people: a ``subject`` may also be that of a sentence."""
    plain = _plain(name)
    if plain not in PERSON_COLUMNS or plain == "participant_id":
        return plain == "participant_id"
    rows = content.decode("utf-8-sig", "replace").splitlines()
    cells = (row.split("\t")[at : at + 1] for row in rows)
    return any(_A_LABEL.fullmatch(cell) for found in cells for cell in found)


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", "_", name.strip().strip("\"'").casefold())


def parse_table(content: bytes) -> Table | None:
    """The table in ``content``; None when it is not text, rows differ in length or a column
    is there twice: then nobody can say whose a row is.
    """
    try:
        lines = content.decode("utf-8-sig").replace("\r\n", "\n").split("\n")
    except UnicodeDecodeError:
        return None
    # another program may see two rows where there is a line separator of Unicode
    if any(len(line.splitlines()) > 1 for line in lines):
        return None
    cells = [tuple(line.split("\t")) for line in lines if line.strip()]
    if not cells or any(len(row) != len(cells[0]) for row in cells):
        return None
    if len(set(cells[0])) < len(cells[0]):
        return None
    return Table(cells[0], tuple(cells[1:]))


def format_table(table: Table) -> bytes:
    """The bytes of a table."""
    lines = ["\t".join(row) for row in (table.columns, *table.rows)]
    return ("\n".join(lines) + "\n").encode("utf-8")


def filter_table(
    table: Table,
    columns: Callable[[str], bool],
    rows: Callable[[dict[str, str]], str],
) -> Table | None:
    """The part of ``table`` that may leave.

    Parameters
    ----------
    columns : callable
        Whether a column may leave. Columns that BIDS demands of such a table always do: those
        that identify the row, and of what kind a sample is, as far as it is one that BIDS knows.
    rows : callable
        A row by column name -> ``keep``, ``drop`` or ``blank``: keep the identifying
        columns and leave the others empty.

    Returns
    -------
    Table or None
        None when no row is left.
    """
    identifying = {"participant_id", "filename", "session_id", "sample_id"}
    kept = [i for i, c in enumerate(table.columns) if c in identifying or columns(c)]
    places = set(kept)
    if SAMPLE_TYPE in table.columns and (at := table.columns.index(SAMPLE_TYPE)) not in places:
        kept = sorted({*kept, at})
    found: list[tuple[str, ...]] = []
    for row in table.rows:
        fate = rows(dict(zip(table.columns, row, strict=True)))
        if fate == "drop":
            continue
        found.append(
            tuple(
                row[i]
                if table.columns[i] in identifying
                or (fate == "keep" and (i in places or row[i] in SAMPLE_TYPES))
                else MISSING
                for i in kept
            )
        )
    if not found:
        return None
    return Table(tuple(table.columns[i] for i in kept), tuple(found))


def people_in(content: bytes) -> frozenset[str]:
    """``sub-XX`` of everyone in a column ``participant_id``, also where a label is alone.

    >>> sorted(people_in(b"participant_id\\tscore\\nsub-01\\t3\\n02\\t4\\n"))
    ['sub-01', 'sub-02']
    """
    lines = content.decode("utf-8-sig", "replace").splitlines()
    rows = [line.split("\t") for line in lines if line.strip()]
    places = (
        [i for i, name in enumerate(rows[0]) if _plain(name) == "participant_id"] if rows else []
    )
    labels = (row[i] for row in rows[1:] for i in places if i < len(row))
    return frozenset(f"sub-{label.removeprefix('sub-')}" for label in labels)
