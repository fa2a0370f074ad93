"""Records: dated statements about one participant, and the table that keeps them.

A record says that somebody gave, refused or withdrew consent, opted out, or that a
consent was invalid. Records are never changed or removed: what is corrected is said by
another record. The registry's own table ``consent.tsv`` is read strictly, line by line;
what people hand in is read by :mod:`.importing` with the same rules for a row.

The columns follow ISO/IEC TS 27560 (consent records) and FHIR R5 Consent in what they
say, and BIDS in how they are written (tab-separated, ``n/a`` where there is nothing).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import Enum
from typing import TypeVar

from ..errors import InputError
from .scopes import EVERYTHING, Scope
from .values import HIDDEN, read_date, unknown


class _Word(str, Enum):
    """A word of a closed list; its value is how it is written."""

    def __str__(self) -> str:
        return str(self.value)


class State(_Word):
    """What the record says."""

    GIVEN = "given"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    OPTED_OUT = "opted-out"
    INVALID = "invalid"


class By(_Word):
    """Who said it."""

    SELF = "self"
    GUARDIAN = "guardian"
    PROXY = "proxy"
    COMMITTEE = "committee"


class Basis(_Word):
    """On what ground data may be used; ``no-person`` is for phantoms."""

    CONSENT = "consent"
    OPT_OUT = "opt-out"
    WAIVER = "waiver"
    PUBLIC_TASK = "public-task"
    NO_PERSON = "no-person"


class Then(_Word):
    """How far a withdrawal goes, from mild to strict."""

    STOP_SHARING = "stop-sharing"
    STOP_USE = "stop-use"
    ERASE = "erase"


#: states that deny until a later record lifts them by name
DENIALS = frozenset((State.REFUSED, State.WITHDRAWN, State.OPTED_OUT))

#: the columns of consent.tsv, in their order
COLUMNS = (
    "record",
    "participant_id",
    "state",
    "form",
    "from",
    "until",
    "by",
    "basis",
    "recorded",
    "scope",
    "then",
    "lifts",
    "evidence",
)
EMPTY = "n/a"

_TOKEN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
_PARTICIPANT = re.compile(r"sub-[A-Za-z0-9+]+", re.ASCII)
_LONGEST_EVIDENCE = 500


def is_token(text: str) -> bool:
    """Whether a record may be named so."""
    return _TOKEN.fullmatch(text) is not None


def is_participant(text: str) -> bool:
    """Whether it is ``sub-`` and a BIDS label."""
    return _PARTICIPANT.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class Record:
    """One row of the registry.

    Parameters
    ----------
    record : str
        Its unique token.
    participant_id : str
        ``sub-XX``.
    state, by, basis, then
        See the enumerations; ``then`` only for withdrawals.
    form : str or None
        The form that was given, refused or invalid; None: every form.
    from_, until : date
        When it holds, ``until`` not included; None: no end of its own.
    recorded : date
        The day on which it was entered, so that it can be told what was known when.
    scope : Scope
        What of the participant's data it is about.
    lifts : tuple of str
        Tokens of the denials that this record ends.
    evidence : str or None
        A reference to the signed paper, a vote, an approval; never the paper itself.
    """

    record: str
    participant_id: str
    state: State
    form: str | None
    from_: date
    until: date | None = None
    by: By = By.SELF
    basis: Basis = Basis.CONSENT
    recorded: date = date.min
    scope: Scope = EVERYTHING
    then: Then | None = None
    lifts: tuple[str, ...] = ()
    evidence: str | None = None


def record_cells(record: Record) -> tuple[str, ...]:
    """A record as the cells of its row, in the order of :data:`COLUMNS`."""
    return (
        record.record,
        record.participant_id,
        record.state.value,
        record.form or EMPTY,
        record.from_.isoformat(),
        record.until.isoformat() if record.until else EMPTY,
        record.by.value,
        record.basis.value,
        record.recorded.isoformat(),
        str(record.scope) or EMPTY,
        record.then.value if record.then else EMPTY,
        ",".join(record.lifts) or EMPTY,
        record.evidence or EMPTY,
    )


def format_records(records: Iterable[Record]) -> str:
    """The text of ``consent.tsv``: the header and a row for each record, in their order."""
    rows = [COLUMNS, *(record_cells(record) for record in records)]
    return "".join("\t".join(row) + "\n" for row in rows)


class CellError(InputError):
    """An :class:`InputError` in a cell; ``column`` names it."""

    def __init__(self, column: str, what: str, *, remedy: str | None = None):
        self.column = column
        super().__init__(what, remedy=remedy)


_W = TypeVar("_W", bound=_Word)


def _word(kind: type[_W], column: str, text: str, default: _W) -> _W:
    if not text:
        return default
    found = kind._value2member_map_.get(text)
    if found is None:
        error = unknown(column, text, [word.value for word in kind])
        raise CellError(column, error.what, remedy=error.remedy)
    return found  # type: ignore[return-value]


def _date(
    column: str, text: str, reader: Callable[[str], date], default: date | None
) -> date | None:
    if not text:
        return default
    try:
        return reader(text)
    except InputError as exc:
        raise CellError(column, exc.what, remedy=exc.remedy) from None


def build_record(
    cells: Mapping[str, str],
    *,
    forms: Collection[str] | None,
    recorded: date | None = None,
    read: Callable[[str], date] = read_date,
) -> Record:
    """A record from the cells of a row, checked.

    Parameters
    ----------
    cells : mapping
        Column to text; missing and empty (also ``n/a``) are the same.
    forms : collection of str or None
        The ids of the forms there are; None: not checked here.
    recorded : date or None
        For rows that do not say when they were recorded; None: they have to.
    read : callable
        Reads a date.

    Raises
    ------
    CellError
        Naming the column, for the first thing that is wrong.
    """

    if not "".join(cells.values()).isprintable():
        _refuse_hidden(cells)

    def cell(column: str) -> str:
        text = cells.get(column, "")
        return "" if text == EMPTY else text

    token, who, form = cell("record"), cell("participant_id"), cell("form") or None
    if token and not is_token(token):
        raise CellError(
            "record", f"`{token[:40]}` is not a token", remedy="Use letters, digits, `.`, `_`, `-`"
        )
    if not is_participant(who):
        shown = f"`{who[:40]}` is not a participant" if who else "no participant is named"
        raise CellError("participant_id", shown, remedy="Write sub- and the BIDS label: sub-01")
    if not cell("state"):
        raise CellError("state", "no state is given", remedy=f"One of {', '.join(State)}")
    if form is not None and forms is not None and form not in forms:
        error = unknown("form", form, forms)
        raise CellError("form", error.what, remedy=error.remedy)
    start = _date("from", cell("from"), read, None)
    if start is None:
        raise CellError("from", "it does not say from when", remedy="Write a date, YYYY-MM-DD")
    entered = _date("recorded", cell("recorded"), read, recorded)
    if entered is None:
        raise CellError("recorded", "it does not say when it was recorded")
    basis = _word(Basis, "basis", cell("basis"), Basis.CONSENT)
    then = cell("then")
    record = Record(
        token,
        who,
        _word(State, "state", cell("state"), State.GIVEN),
        form,
        start,
        _date("until", cell("until"), read, None),
        _word(By, "by", cell("by"), By.SELF),
        basis,
        entered,
        _scope(cell("scope")),
        _word(Then, "then", then, Then.STOP_USE) if then else None,
        _lifts(cell("lifts")),
        _evidence(cell("evidence")),
    )
    _check(record)
    return record


def _refuse_hidden(cells: Mapping[str, str]) -> None:
    for column, text in cells.items():
        if "\t" in text or "\n" in text or HIDDEN.search(text):
            raise CellError(column, "a tab, a line break or a character that does not show")


def _scope(text: str) -> Scope:
    if not text:
        return EVERYTHING
    try:
        return Scope.parse(text)
    except InputError as exc:
        raise CellError("scope", exc.what, remedy=exc.remedy) from None


def _lifts(text: str) -> tuple[str, ...]:
    tokens = tuple(sorted(set(text.replace(",", " ").split()))) if text else ()
    for token in tokens:
        if not is_token(token):
            raise CellError("lifts", f"`{token[:40]}` is not the token of a record")
    return tokens


def _evidence(text: str) -> str | None:
    if len(text) > _LONGEST_EVIDENCE:
        raise CellError(
            "evidence",
            f"longer than {_LONGEST_EVIDENCE} characters",
            remedy="Give a reference to the document, not the document",
        )
    return text or None


def _check(record: Record) -> None:
    """What the columns of a row demand of one another."""
    given = record.state is State.GIVEN
    if given and record.form is None:
        raise CellError("form", "it does not say which form was given")
    if given and record.basis is not Basis.CONSENT and record.evidence is None:
        raise CellError(
            "evidence",
            f"the basis `{record.basis}` needs evidence",
            remedy="Give a reference: the vote, the notice, the serial number of the phantom",
        )
    if given and record.by is By.GUARDIAN and record.until is None:
        raise CellError(
            "until",
            "consent of a guardian needs an end",
            remedy="Write 1 January of the year of majority; it shows no birthday",
        )
    if record.until is not None:
        if not given:
            raise CellError(
                "until",
                f"`{record.state}` has no end of its own",
                remedy="A later record ends it with `lifts`",
            )
        if record.until <= record.from_:
            raise CellError("until", f"it ends ({record.until}) before it starts")
    if record.then is not None and record.state is not State.WITHDRAWN:
        raise CellError("then", f"`then` is for withdrawals, not for `{record.state}`")
    if record.lifts and not given:
        raise CellError("lifts", f"only a record with state `given` lifts, not `{record.state}`")


def misplaced_lifts(
    records: Iterable[Record], known: Mapping[str, Record]
) -> Iterator[tuple[Record, str]]:
    """Records whose ``lifts`` names no denial of the same participant, with the reason.

    ``known`` are all records by token, those that are checked included.
    """
    for record in records:
        for token in record.lifts:
            lifted = known.get(token)
            if lifted is None:
                yield record, f"there is no record `{token}` to lift"
            elif lifted.participant_id != record.participant_id:
                yield record, f"record `{token}` is about another participant"
            elif lifted.state not in DENIALS:
                yield record, f"record `{token}` is no denial; its state is `{lifted.state}`"
            elif lifted.from_ > record.from_:
                yield record, f"record `{token}` starts later, on {lifted.from_}"


def parse_registry(
    text: str, where: str = "consent.tsv", *, forms: Collection[str] | None = None
) -> tuple[Record, ...]:
    """The records of the registry's own table.

    Parameters
    ----------
    text : str
        The content of ``consent.tsv``. Windows line ends are accepted: git makes them.
    where : str
        Its name, for messages.
    forms : collection of str or None
        The ids of the forms there are; None: not checked here.

    Raises
    ------
    InputError
        Naming line and column, for anything that this package would not have written.
    """
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").split("\n")
    if lines and not lines[-1]:
        lines.pop()
    if not lines:
        return ()
    if tuple(lines[0].split("\t")) != COLUMNS:
        raise InputError(
            "the header is not that of a registry",
            where=f"{where}, line 1",
            remedy=f"It must be, with tabs between: {' '.join(COLUMNS)}",
        )
    records: list[Record] = []
    at: dict[str, int] = {}
    for number, line in enumerate(lines[1:], 2):
        record = _row(line, number, where, forms)
        if record.record in at:
            what = f"the token `{record.record}` was used in line {at[record.record]} already"
            raise InputError(what, where=_place(where, number, "record"))
        at[record.record] = number
        records.append(record)
    known = {record.record: record for record in records}
    for record, reason in misplaced_lifts(records, known):
        raise InputError(reason, where=_place(where, at[record.record], "lifts"))
    return tuple(records)


def _row(line: str, number: int, where: str, forms: Collection[str] | None) -> Record:
    cells: Sequence[str] = line.split("\t")
    if len(cells) != len(COLUMNS):
        raise InputError(
            f"{len(cells)} cells, expected {len(COLUMNS)}",
            where=f"{where}, line {number}",
            remedy="If two branches were merged here, resolve the conflict",
        )
    try:
        record = build_record(dict(zip(COLUMNS, cells, strict=True)), forms=forms)
    except CellError as exc:
        place = _place(where, number, exc.column)
        raise InputError(exc.what, where=place, remedy=exc.remedy) from None
    if not record.record:
        raise InputError("the record has no token", where=_place(where, number, "record"))
    return record


def _place(where: str, line: int, column: str) -> str:
    return f"{where}, line {line}, column {COLUMNS.index(column) + 1} ({column})"
