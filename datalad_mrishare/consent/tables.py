"""Tables as people hand them in: bytes to rows of cells, before any meaning.

TSV (BIDS: no quoting), CSV (comma or semicolon, as spreadsheets write it) and YAML
lists. Text must be UTF-8, with or without a byte order mark; Windows line ends are
accepted. Characters that do not show (control characters, marks that turn the writing
direction) are refused, because what is read must be what was seen.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..errors import InputError
from .records import CellError
from .values import HIDDEN, unknown, words_of
from .yamltext import load_yaml

#: bytes; 200,000 records are about 25 MiB
LARGEST = 128 * 1024 * 1024


class Row(NamedTuple):
    """One row: its cells by column, the line it starts in (from 1).

    ``problem`` is what its reader found wrong with it already.
    """

    cells: dict[str, str]
    line: int
    problem: CellError | None = None


@dataclass(frozen=True)
class Table:
    """The rows of a file, whatever its format.

    Parameters
    ----------
    rows : sequence of Row
        In the order of the file.
    columns : tuple of str
        In the order of the file.
    where : str
        Its name.
    skipped : int
        Rows without a decision, left out because a map says so.
    locate : callable or None
        Row and column (or None) to a place, where that is not a line and a column.
    """

    rows: Sequence[Row]
    columns: tuple[str, ...]
    where: str
    skipped: int = 0
    locate: Callable[[Row, str | None], str] | None = None

    def place(self, row: Row, column: str | None = None) -> str:
        """``line 3, column 5 (until)``; the file is not named."""
        if self.locate is not None:
            return self.locate(row, column)
        if column is None:
            return f"line {row.line}"
        if column not in self.columns:
            return f"line {row.line}, {column}"
        return f"line {row.line}, column {self.columns.index(column) + 1} ({column})"


def read_table(data: bytes, where: str, columns: Collection[str]) -> Table:
    """Read a table; the format is told by the name, else by the first line.

    Parameters
    ----------
    data : bytes
        The content of the file.
    where : str
        Its name: ``.tsv``, ``.csv``, ``.yaml`` and ``.yml`` are known.
    columns : collection of str
        The columns that are accepted.

    Raises
    ------
    InputError
        Naming line and column where there is one.
    """
    text = read_text(data, where)
    kind = _kind(text, where)
    if kind == "yaml":
        return _yaml(text, where, columns)
    found = list(_tsv(text, where) if kind == "\t" else _csv(text, where, kind))
    if not found:
        raise InputError("the file is empty", where=where, remedy="It needs a header line")
    header, line = found[0]
    names = tuple(name.strip() for name in header)
    _check_header(names, f"{where}, line {line}", columns)
    rows: list[Row] = []
    for cells, number in found[1:]:
        if len(cells) != len(names):
            raise InputError(
                f"{len(cells)} cells, the header has {len(names)}",
                where=f"{where}, line {number}",
                remedy="Write n/a in a cell that is empty",
            )
        rows.append(Row(dict(zip(names, map(str.strip, cells), strict=True)), number))
    return Table(rows, names, where)


def read_text(data: bytes, where: str) -> str:
    """The text of a file: UTF-8 without hidden characters, line ends made uniform.

    Raises
    ------
    InputError
        Naming line and column.
    """
    if len(data) > LARGEST:
        raise InputError(f"more than {LARGEST >> 20} MiB are not read", where=where)
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise InputError("the text is UTF-16", where=where, remedy="Save it as UTF-8")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        line = data.count(b"\n", 0, exc.start) + 1
        column = exc.start - (data.rfind(b"\n", 0, exc.start) + 1) + 1
        raise InputError(
            f"byte 0x{data[exc.start]:02x} is not UTF-8 (the text may be Latin-1)",
            where=f"{where}, line {line}, column {column}",
            remedy=f"Convert it: iconv -f latin1 -t utf-8 {where}",
        ) from None
    text = text.replace("\r\n", "\n")
    hidden = HIDDEN.search(text)
    if hidden:
        line, column = _position(text, hidden.start())
        raise InputError(
            f"a character that does not show (U+{ord(hidden[0]):04X})",
            where=f"{where}, line {line}, column {column}",
            remedy="Remove it",
        )
    return text


def _position(text: str, offset: int) -> tuple[int, int]:
    line = text.count("\n", 0, offset) + 1
    return line, offset - text.rfind("\n", 0, offset)


def _kind(text: str, where: str) -> str:
    """``yaml``, or the character between the cells."""
    suffix = where.rpartition(".")[2].lower()
    if suffix in ("yaml", "yml"):
        return "yaml"
    first = next((line for line in text.split("\n") if line.strip()), "")
    if suffix == "tsv" or "\t" in first:
        return "\t"
    if suffix == "csv" or "participant_id" in first.replace('"', "").replace(";", ",").split(","):
        return ";" if first.count(";") > first.count(",") else ","
    return "yaml"


def _tsv(text: str, where: str) -> Iterator[tuple[list[str], int]]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        cells = line.split("\t")
        if '"' in line:
            for index, cell in enumerate(cells, 1):
                if cell.startswith('"'):
                    raise InputError(
                        "a cell in quotes; tables of BIDS have no quoting",
                        where=f"{where}, line {number}, column {index}",
                        remedy="Remove the quotes, or save the file as CSV",
                    )
        yield cells, number


def _csv(text: str, where: str, delimiter: str) -> Iterator[tuple[list[str], int]]:
    reader = csv.reader(text.split("\n"), delimiter=delimiter, strict=True)
    start = 1
    try:
        for cells in reader:
            for index, cell in enumerate(cells, 1):
                if "\n" in cell or "\t" in cell:
                    raise InputError(
                        "a cell with a tab or a line break",
                        where=f"{where}, line {start}, column {index}",
                        remedy="Write it in one line",
                    )
            if reader.line_num > start:
                # lines were split before: a quote that goes on swallows the break
                raise InputError("a quoted cell goes over the end of the line", where=where)
            if any(cell.strip() for cell in cells):
                yield cells, start
            start = reader.line_num + 1
    except csv.Error as exc:
        raise InputError(f"not valid CSV: {exc}", where=f"{where}, line {start}") from exc
    except InputError as exc:
        if exc.where == where:
            place = f"{where}, line {start}"
            raise InputError(exc.what, where=place, remedy="Write it in one line") from None
        raise


def _check_header(names: tuple[str, ...], where: str, columns: Collection[str]) -> None:
    for index, name in enumerate(names):
        place = f"{where}, column {index + 1}"
        if not name:
            raise InputError("a column has no name", where=place)
        if name in names[:index]:
            raise InputError(f"the column `{name}` is there twice", where=place)
        if name not in columns:
            raise unknown("column", name, columns, place)
    for name in ("participant_id", "state", "from"):
        if name not in names:
            raise InputError(f"there is no column `{name}`", where=where)


def _yaml(text: str, where: str, columns: Collection[str]) -> Table:
    document = load_yaml(text, where)
    if not isinstance(document.value, list):
        raise InputError("expected a list of records", where=document.at())
    rows: list[Row] = []
    for index, item in enumerate(document.value):
        if not isinstance(item, dict):
            raise InputError("expected a record, `column: value`", where=document.at(index))
        cells: dict[str, str] = {}
        for name, value in item.items():
            place = document.at(index, name)
            if name not in columns:
                raise unknown("column", name, columns, place)
            cells[name] = _yaml_cell(name, value, place)
        rows.append(Row(cells, document.marks[(index,)][0]))
    return Table(rows, (), where)


def _yaml_cell(name: str, value: Any, place: str) -> str:
    if isinstance(value, dict) and name == "scope":
        value = " ".join(f"{key}={','.join(words_of(item))}" for key, item in value.items())
    elif isinstance(value, list) and name == "lifts":
        value = ",".join(words_of(value))
    if value is not None and not isinstance(value, str):
        raise InputError(f"`{name}` takes one value", where=place)
    if value and ("\n" in value or "\t" in value or HIDDEN.search(value)):
        raise InputError("a value with a tab, a line break or a hidden character", where=place)
    return (value or "").strip()
