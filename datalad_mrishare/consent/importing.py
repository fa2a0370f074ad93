"""Import of records that a steward hands in, all or nothing.

Every problem of the file is collected and reported together, with its line and column.
A record keeps the token it brings; without one the token is made from what the row says,
so that the same file imported again adds nothing. The day of recording is not part of
what a row says: a file imported again tomorrow still adds nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import date
from operator import attrgetter

from ..errors import InputError
from .records import COLUMNS, CellError, Record, build_record, misplaced_lifts, record_cells
from .tables import Row, Table, read_table
from .values import read_spreadsheet_date

_SHOWN = 10


@dataclass(frozen=True)
class ImportResult:
    """What an import adds.

    Parameters
    ----------
    new : tuple of Record
        In the order of the file.
    known : int
        Rows that the registry has already, or that the file has twice.
    """

    new: tuple[Record, ...]
    known: int


def read_records(data: bytes, where: str) -> Table:
    """The rows of a file with records, as text; see :func:`.tables.read_table`."""
    return read_table(data, where, COLUMNS)


def import_records(
    data: bytes,
    where: str,
    *,
    existing: Sequence[Record],
    forms: Collection[str],
    participants: Collection[str],
    today: date,
) -> ImportResult:
    """Read records to be added to a registry.

    Parameters
    ----------
    data : bytes
        The content of the file: TSV, CSV or a YAML list.
    where : str
        Its name; tells the format, and is named in messages.
    existing : sequence of Record
        What the registry has.
    forms : collection of str
        The ids of the forms there are.
    participants : collection of str
        The participants of the dataset, ``sub-XX``.
    today : date
        The day of recording of rows that do not give one.

    Raises
    ------
    InputError
        For anything that cannot be accepted; then nothing is to be imported. Up to ten
        problems are listed.
    """
    table = read_records(data, where)
    problems = _Problems(table)
    rows: list[tuple[Row, Record]] = []
    for row in table.rows:
        try:
            record = build_record(
                row.cells, forms=forms, recorded=today, read=read_spreadsheet_date
            )
            _check(record, participants, today)
        except CellError as exc:
            problems.add(row, exc)
        else:
            rows.append((row, _named(record)))
    new, known = _merge(rows, existing, problems)
    everything = {record.record: record for record in existing}
    everything |= {record.record: record for _, record in new}
    lines = {record.record: row for row, record in new}
    for record, reason in misplaced_lifts((record for _, record in new), everything):
        problems.add(lines[record.record], CellError("lifts", reason))
    problems.report()
    return ImportResult(tuple(record for _, record in new), known)


def token(record: Record) -> str:
    """The token of a record that brings none: ``r`` and 16 hex digits of what it says.

    The registry writes each date and word in one way only, so the format of the file the
    row came from plays no part.
    """
    cells = record_cells(record)
    said = "\t".join((*cells[1:_RECORDED], *cells[_RECORDED + 1 :]))
    return "r" + hashlib.sha256(said.encode()).hexdigest()[:16]


_RECORDED = COLUMNS.index("recorded")
#: all that a row says: everything but its token and the day it was recorded
_said = attrgetter(*(f.name for f in fields(Record) if f.name not in ("record", "recorded")))


def _named(record: Record) -> Record:
    """The record with a token: its own, else one made from what it says."""
    return record if record.record else Record(token(record), *_ALL(record)[1:])


_ALL = attrgetter(*(f.name for f in fields(Record)))


def _check(record: Record, participants: Collection[str], today: date) -> None:
    if record.participant_id not in participants:
        raise CellError(
            "participant_id",
            f"the dataset has no participant {record.participant_id}",
            remedy="Register their data first, or correct the name",
        )
    if record.recorded > today:
        raise CellError("recorded", f"{record.recorded} lies in the future")


def _merge(
    rows: Iterable[tuple[Row, Record]], existing: Sequence[Record], problems: _Problems
) -> tuple[list[tuple[Row, Record]], int]:
    have = {record.record: record for record in existing}
    new: list[tuple[Row, Record]] = []
    known = 0
    for row, record in rows:
        before = have.get(record.record)
        if before is None:
            have[record.record] = record
            new.append((row, record))
        elif _said(before) == _said(record):
            known += 1
        else:
            problems.add(
                row,
                CellError(
                    "record",
                    f"the token `{record.record}` belongs to another record",
                    remedy="Records are not changed; add a new one with a new token",
                ),
            )
    return new, known


class _Problems:
    """The problems of a file, told together."""

    def __init__(self, table: Table):
        self._table = table
        self._found: list[tuple[int, str, str | None]] = []

    def add(self, row: Row, error: CellError) -> None:
        place = self._table.place(row, error.column)
        self._found.append((row.line, f"{place}: {error.what}", error.remedy))

    def report(self) -> None:
        """Raise if there is anything to tell."""
        if not self._found:
            return
        where = self._table.where
        self._found.sort(key=lambda problem: problem[0])
        if len(self._found) == 1:
            _, text, remedy = self._found[0]
            place, _, what = text.partition(": ")
            raise InputError(what, where=f"{where}, {place}", remedy=remedy)
        lines = [f"{text}. {fix}" if fix else text for _, text, fix in self._found[:_SHOWN]]
        if len(self._found) > _SHOWN:
            lines.append(f"and {len(self._found) - _SHOWN} more")
        listed = "".join(f"\n  {line}" for line in lines)
        count = len(self._found)
        raise InputError(f"{count} problems, nothing was imported:{listed}", where=where)
