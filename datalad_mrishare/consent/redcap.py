"""Exports of REDCap (and of any other form software): a CSV and a small column map.

The map says which column holds what, and what each exported value means::

    format: redcap
    participant_id: {column: record_id, prefix: sub-, digits: 2}
    state:
      column: share_mri
      values: {"1": given, "0": refused}
      no_answer: ["", "99"]
    form: obc-gdpr-ult-1.1.0
    from: {column: consent_date, date: DD.MM.YYYY}

Each other column of a record is either fixed (``by: self``) or ``{column: ..., values:
...}``. Columns of the export that the map does not name are not looked at.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from ..errors import InputError
from .forms import Form
from .maps import NAMING, REFUSALS, Named, Naming, Section
from .records import COLUMNS, EMPTY, CellError, State
from .tables import Row, Table, read_text
from .values import unknown
from .yamltext import Document

_DATES = ("from", "until", "recorded")
#: what must come from a column: one value for all rows would make no sense
_VARIES = ("record", "participant_id", "state")
_OTHERS = tuple(name for name in COLUMNS if name not in ("participant_id", "state"))
_KEYS = (*COLUMNS, "format", "refusal", "delimiter")
_DELIMITERS = {"": ",", "comma": ",", "semicolon": ";", "tab": "\t"}
_PART = re.compile(r"(YYYY|MM|DD|hh|mm|ss)")
_PARTS = {"YYYY": r"(?P<Y>\d{4})", "MM": r"(?P<M>\d{1,2})", "DD": r"(?P<D>\d{1,2})"}


@dataclass(frozen=True)
class Source:
    """Where a column of a record comes from: a column of the export, or a fixed text."""

    column: str | None = None
    fixed: str = ""
    values: Mapping[str, str] | None = None
    date: re.Pattern[str] | None = None
    written: str = ""

    def cell(self, ours: str, cells: Mapping[str, str]) -> str:
        """The text for our column; :class:`CellError` for a value the map does not know."""
        if self.column is None:
            return self.fixed
        text = cells[self.column]
        if self.values is not None:
            if text not in self.values:
                raise _unmapped(ours, text, self.values)
            return self.values[text]
        if self.date is None or not text:
            return text
        match = self.date.fullmatch(text)
        if match is None:
            raise CellError(ours, f"`{text[:40]}` is not a date written {self.written}")
        return f"{match['Y']}-{int(match['M']):02}-{int(match['D']):02}"


@dataclass(frozen=True)
class RedcapMap:
    """A column map; ``where`` is its file. The format is told by the module."""

    where: str
    participant: str
    naming: Naming
    state: Source
    no_answer: frozenset[str]
    others: Mapping[str, Source] = field(default_factory=dict)
    refusal: str = "everything"
    delimiter: str = ","
    forms: Mapping[str, str] = field(default_factory=dict)

    @property
    def sources(self) -> dict[str, str]:
        """Our column to the column of the export."""
        found = {"participant_id": self.participant, "state": self.state.column or ""}
        return found | {k: s.column for k, s in self.others.items() if s.column is not None}


def parse_redcap_map(document: Document) -> RedcapMap:
    """A column map from its YAML.

    Raises
    ------
    InputError
        For an unknown key or word, with line and column.
    """
    top = Section(document, (), _KEYS)
    for name in ("participant_id", "state", "from"):
        if name not in top.value:
            raise InputError(f"the map says nothing about `{name}`", where=document.at())
    for name in _VARIES:
        if name in top.value and not isinstance(top.value[name], dict):
            raise InputError(
                f"`{name}` comes from a column",
                where=top.at(name),
                remedy=f"Write `{name}: {{column: NAME}}`",
            )
    who = Section(document, ("participant_id",), ("column", *NAMING))
    said = Section(document, ("state",), ("column", "values", "no_answer"))
    values = said.table("values")
    if values is None:
        raise InputError("it does not say what the values mean", where=top.at("state"))
    for state in values.values():
        if state not in State._value2member_map_:
            raise unknown("state", state, [s.value for s in State], said.at("values"))
    no_answer = frozenset(said.words("no_answer"))
    if both := sorted(no_answer & values.keys()):
        raise InputError(f"`{both[0]}` is a value and no answer", where=said.at("no_answer"))
    others = {name: _source(document, top, name) for name in _OTHERS if name in top.value}
    form = others.get("form", Source())
    named = [form.fixed] if form.column is None else (form.values or {}).values()
    return RedcapMap(
        where=document.where,
        participant=_column(who, top.at("participant_id")),
        naming=Naming.of(who),
        state=Source(_column(said, top.at("state")), values=values),
        no_answer=no_answer,
        others=others,
        refusal=top.word("refusal", REFUSALS, "everything"),
        delimiter=_DELIMITERS[top.word("delimiter", tuple(filter(None, _DELIMITERS)))],
        forms={name: top.at("form") for name in named if name not in ("", EMPTY)},
    )


def _column(section: Section, where: str) -> str:
    column = section.text("column")
    if not column:
        raise InputError("it names no column", where=where, remedy="Write `column: NAME`")
    return column


def _source(document: Document, top: Section, name: str) -> Source:
    if not isinstance(top.value[name], dict):
        return Source(fixed=top.text(name))
    keys = ("column", "date") if name in _DATES else ("column", "values")
    section = Section(document, (name,), keys)
    written = section.text("date", "YYYY-MM-DD") if name in _DATES else ""
    return Source(
        _column(section, top.at(name)),
        values=section.table("values"),
        date=_date_pattern(written, section.at("date")) if written else None,
        written=written,
    )


def _date_pattern(written: str, where: str) -> re.Pattern[str]:
    parts = _PART.split(written)
    for part in _PARTS:
        if parts.count(part) != 1:
            raise InputError(
                f"`{written}` does not say how a date is written",
                where=where,
                remedy="Write it with YYYY, MM and DD, such as DD.MM.YYYY or YYYY-MM-DD hh:mm",
            )
    # the time of the day plays no part
    pattern = (_PARTS.get(p) or (r"\d{2}" if _PART.fullmatch(p) else re.escape(p)) for p in parts)
    return re.compile("".join(pattern), re.ASCII)


def read_redcap(data: bytes, where: str, mapping: RedcapMap, forms: Mapping[str, Form]) -> Table:
    """The rows of an export, as rows of records.

    Raises
    ------
    InputError
        When the file cannot be read, or a column is missing. What is wrong with a row is
        kept with the row, so that everything can be told at once.
    """
    for form, place in mapping.forms.items():
        if form not in forms:
            raise unknown("form", form, forms, place)
    lines = _lines(read_text(data, where), where, mapping.delimiter)
    header, _ = next(lines, ([], 0))
    names = tuple(name.strip() for name in header)
    _check_columns(names, mapping, where)
    people = Named(mapping.naming)
    rows: list[Row] = []
    skipped = 0
    for cells, line in lines:
        if len(cells) != len(names):
            raise InputError(
                f"{len(cells)} cells, the header has {len(names)}", where=f"{where}, line {line}"
            )
        by_name = {name: cell.strip() for name, cell in zip(names, cells, strict=True)}
        if by_name[mapping.state.column or ""] in mapping.no_answer:
            skipped += 1
            continue
        try:
            rows.append(Row(_row(by_name, mapping, people), line))
        except CellError as exc:
            rows.append(Row({}, line, exc))
    sources = mapping.sources

    def locate(row: Row, column: str | None) -> str:
        source = sources.get(column or "")
        if source is None:
            return f"line {row.line}" + (f", {column} (of the map)" if column else "")
        return f"line {row.line}, column {names.index(source) + 1} ({source})"

    return Table(rows, names, where, skipped, locate)


def _row(cells: Mapping[str, str], mapping: RedcapMap, people: Named) -> dict[str, str]:
    state = mapping.state.cell("state", cells)
    found = {
        "participant_id": people.participant(cells[mapping.participant]),
        "state": state,
    }
    given = state == State.GIVEN.value
    for name, source in mapping.others.items():
        if name in ("until", "lifts") and not given:
            continue  # an end of the consent says nothing about a denial
        if name == "then" and state != State.WITHDRAWN.value:
            continue
        if name == "form" and state == State.REFUSED.value and mapping.refusal == "everything":
            continue
        found[name] = source.cell(name, cells)
    return found


def _lines(text: str, where: str, delimiter: str) -> Iterator[tuple[list[str], int]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    start = 1
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield cells, start
            start = reader.line_num + 1
    except csv.Error as exc:
        raise InputError(f"not valid CSV: {exc}", where=f"{where}, line {start}") from exc


def _check_columns(names: tuple[str, ...], mapping: RedcapMap, where: str) -> None:
    place = f"{where}, line 1"
    for index, name in enumerate(names):
        if name in names[:index]:
            raise InputError(
                f"the column `{name}` is there twice", where=f"{place}, column {index + 1}"
            )
    for ours, name in mapping.sources.items():
        if name not in names:
            error = unknown("column", name, names)
            raise InputError(
                f"there is no column `{name}`, from which the map takes `{ours}`",
                where=place,
                remedy=error.remedy,
            )


def _unmapped(column: str, text: str, known: Collection[str]) -> CellError:
    error = unknown("value", text, known)
    what = f"the map does not say what `{text[:40]}` means" if text else "it is empty"
    return CellError(column, what, remedy=error.remedy or "Add it to `values` of the map")
