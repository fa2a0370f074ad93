"""Import of records that a steward hands in, all or nothing.

Every problem of the file is collected and reported together, with its line and column.
A record keeps the token it brings; without one the token is made from what the row says,
so that the same file imported again adds nothing. The day of recording is not part of
what a row says: a file imported again tomorrow still adds nothing.
"""

from __future__ import annotations

import gc
import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import date
from operator import attrgetter
from typing import Any

from ..errors import InputError
from .fhir import FhirMap, parse_fhir_map, read_fhir
from .forms import Form
from .maps import FORMATS, open_map
from .records import (
    COLUMNS,
    EMPTY,
    CellError,
    Record,
    build_record,
    is_participant,
    is_token,
    misplaced_lifts,
    record_cells,
)
from .redcap import RedcapMap, parse_redcap_map, read_redcap
from .tables import Row, Table, read_table, read_text
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
    skipped : int
        Rows without a decision, left out because the map says so.
    """

    new: tuple[Record, ...]
    known: int
    skipped: int = 0


ImportMap = RedcapMap | FhirMap


def parse_map(data: bytes, where: str) -> ImportMap:
    """A map: how the export of another system says what a record says.

    Raises
    ------
    InputError
        When it is not YAML, names no known ``format``, or holds an unknown key or word.
    """
    document, form = open_map(read_text(data, where), where)
    return parse_redcap_map(document) if form == "redcap" else parse_fhir_map(document)


def read_records(
    data: bytes,
    where: str,
    *,
    mapping: ImportMap | None = None,
    forms: Mapping[str, Form] | None = None,
) -> Table:
    """The rows of a file with records: TSV, CSV, YAML, a REDCap export, or FHIR JSON."""
    is_json = where.lower().endswith(".json") or data.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"{"
    if is_json and not where.lower().endswith((".yaml", ".yml")):
        if isinstance(mapping, RedcapMap):
            raise _wrong_map("FHIR", mapping.where, where)
        return read_fhir(data, where, mapping, forms or {})
    if isinstance(mapping, FhirMap):
        raise _wrong_map("a table", mapping.where, where)
    if mapping is not None:
        return read_redcap(data, where, mapping, forms or {})
    return read_table(data, where, COLUMNS)


def _wrong_map(what: str, named: str, where: str) -> InputError:
    return InputError(
        f"is {what}, but the map {named} is for another format",
        where=where,
        remedy=f"`format` in the map is one of: {', '.join(FORMATS)}",
    )


def import_records(
    data: bytes,
    where: str,
    *,
    existing: Sequence[Record],
    forms: Mapping[str, Form],
    participants: Collection[str],
    today: date,
    mapping: ImportMap | None = None,
) -> ImportResult:
    """Read records to be added to a registry.

    Parameters
    ----------
    data : bytes
        The content of the file: TSV, CSV, a YAML list, a REDCap export or FHIR JSON.
    where : str
        Its name; tells the format, and is named in messages.
    existing : sequence of Record
        What the registry has.
    forms : mapping
        The forms there are, by id.
    participants : collection of str
        The participants of the dataset, ``sub-XX``.
    today : date
        The day of recording of rows that do not give one.
    mapping : ImportMap or None
        For exports of other systems; see :func:`parse_map`.

    Raises
    ------
    InputError
        For anything that cannot be accepted; then nothing is to be imported. Up to ten
        problems are listed.
    """
    with _no_collection():
        table = read_records(data, where, mapping=mapping, forms=forms)
        return _import_table(table, existing, _Maker(forms, participants, today))


@contextmanager
def _no_collection() -> Iterator[None]:
    """Pause the cycle collector: rows make no cycles, and it would walk all of them for each
    generation, which is a third of the time for 200,000 rows."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _import_table(table: Table, existing: Sequence[Record], maker: _Maker) -> ImportResult:
    """All or nothing, whatever format the rows came from."""
    problems = _Problems(table)
    rows: list[tuple[Row, Record]] = []
    for row in table.rows:
        try:
            if row.problem is not None:
                raise row.problem
            rows.append((row, maker.make(row.cells)))
        except CellError as exc:
            problems.add(row, exc)
    new, known = _merge(rows, existing, problems)
    lifting = {record.record: row for row, record in new if record.lifts}
    if lifting:
        added = [record for _, record in new]
        known_by_token = {record.record: record for record in (*existing, *added)}
        for record, reason in misplaced_lifts(added, known_by_token):
            problems.add(lifting[record.record], CellError("lifts", reason))
    problems.report()
    return ImportResult(tuple(record for _, record in new), known, table.skipped)


class _Maker:
    """Makes the records of a file.

    In a large file most rows differ only in whom they are about, so what else a row says
    is checked once. A record that brings no token gets one made from what it says: ``r``
    and 16 hex digits. The registry writes each date and word in one way only, so the
    format of the file the row came from plays no part.
    """

    def __init__(self, forms: Collection[str], participants: Collection[str], today: date):
        self._forms, self._participants, self._today = forms, participants, today
        self._seen: dict[tuple[tuple[str, str], ...], tuple[tuple[Any, ...], str]] = {}

    def make(self, cells: Mapping[str, str]) -> Record:
        """The record of a row, with a token; :class:`CellError` if it cannot be accepted."""
        said = tuple([cell for cell in cells.items() if cell[0] not in _OWN])
        name, who = cells.get("record", ""), cells.get("participant_id", "")
        found = self._seen.get(said)
        if found is None or not is_participant(who) or (name and not is_token(name)):
            record = build_record(
                cells, forms=self._forms, recorded=self._today, read=read_spreadsheet_date
            )
            self._check(record)
            found = self._seen[said] = (_rest(record), _said_text(record))
        elif who not in self._participants:
            raise _stranger(who)
        if not name or name == EMPTY:
            name = "r" + hashlib.sha256(f"{who}\t{found[1]}".encode()).hexdigest()[:16]
        return Record(name, who, *found[0])

    def _check(self, record: Record) -> None:
        if record.participant_id not in self._participants:
            raise _stranger(record.participant_id)
        if record.recorded > self._today:
            raise CellError("recorded", f"{record.recorded} lies in the future")


_OWN = ("record", "participant_id")
_RECORDED = COLUMNS.index("recorded")
#: what a record says: all but its token and participant; all but its token and recording
_rest = attrgetter(*[f.name for f in fields(Record)][2:])
_said = attrgetter(*(f.name for f in fields(Record) if f.name not in ("record", "recorded")))


def _said_text(record: Record) -> str:
    cells = record_cells(record)
    return "\t".join((*cells[2:_RECORDED], *cells[_RECORDED + 1 :]))


def _stranger(participant: str) -> CellError:
    return CellError(
        "participant_id",
        f"the dataset has no participant {participant}",
        remedy="Register their data first, or correct the name",
    )


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
