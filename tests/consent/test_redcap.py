"""A REDCap-style export through a column map: what is read, and what is refused where."""

from __future__ import annotations

import random
from datetime import date

import pytest

from datalad_mrishare.consent import Basis, By, ImportResult, State, Then, load_forms, parse_map
from datalad_mrishare.consent import import_records as import_
from datalad_mrishare.errors import InputError

TODAY = date(2026, 5, 3)
FORMS = load_forms()
PEOPLE = {f"sub-{number:02}" for number in range(1, 21)}
MAP = """\
format: redcap
participant_id: {column: record_id, prefix: sub-, digits: 2}
state:
  column: share
  values: {"1": given, "0": refused, "2": withdrawn}
  no_answer: ["", "99"]
form: obc-gdpr-ult-1.1.0
from: {column: signed, date: DD.MM.YYYY}
"""
HEAD = "record_id,share,signed,notes\n"


def read(
    text: str | bytes, mapping: str = MAP, name: str = "export.csv", existing=()
) -> ImportResult:
    data = text.encode() if isinstance(text, str) else text
    return import_(
        data,
        name,
        existing=existing,
        forms=FORMS,
        participants=PEOPLE,
        today=TODAY,
        mapping=parse_map(mapping.encode(), "map.yaml"),
    )


def refused(text: str | bytes, mapping: str = MAP) -> str:
    with pytest.raises(InputError) as caught:
        read(text, mapping)
    return str(caught.value)


def test_an_export() -> None:
    text = (
        HEAD + '7,1,03.05.2024,"two\nlines, of ""notes"""\n'
        "012,0,04.05.2024,\n3,99,,\n4,,,\n"
        "5,2,05.05.2024,\tx\n"
    )
    found = read(text)
    assert (len(found.new), found.known, found.skipped) == (3, 0, 2)
    given, no, gone = found.new
    assert (given.participant_id, given.state) == ("sub-07", State.GIVEN)
    assert (given.form, given.from_) == ("obc-gdpr-ult-1.1.0", date(2024, 5, 3))
    assert (no.participant_id, no.state, no.form) == ("sub-12", State.REFUSED, None)
    assert (gone.participant_id, gone.state) == ("sub-05", State.WITHDRAWN)


def test_the_same_file_again_changes_nothing() -> None:
    text = HEAD + "7,1,03.05.2024,\n8,0,03.05.2024,\n"
    first = read(text)
    again = read(text, existing=first.new)
    assert (len(first.new), len(again.new), again.known) == (2, 0, 2)
    # and the same said in the registry's own words
    tsv = "participant_id,state,form,from\nsub-07,given,obc-gdpr-ult-1.1.0,2024-05-03\n"
    plain = import_(
        tsv.encode(), "a.csv", existing=first.new, forms=FORMS, participants=PEOPLE, today=TODAY
    )
    assert (len(plain.new), plain.known) == (0, 1)


def test_every_column_fixed_or_from_a_column() -> None:
    mapping = """\
format: redcap
delimiter: semicolon
participant_id: {column: id, strip: "MRI-", prefix: sub-}
state: {column: s, values: {ja: given, weg: withdrawn, nein: refused}}
form: {column: f, values: {"2": obc-ult-1.0.1, "3": obc-gdpr-ult-1.1.0}}
from: {column: d, date: YYYY/MM/DD hh:mm}
until: {column: e}
by: {column: who, values: {"": self, mother: guardian}}
basis: consent
scope: datatype=anat
then: stop-sharing
refusal: form
evidence: {column: paper}
record: {column: token}
recorded: 2024-06-01
"""
    head = "id;s;f;d;e;who;paper;token\n"
    rows = (
        "MRI-01;ja;2;2024/05/03 10:15;2030-01-01;mother;binder 3;a1\n"
        "MRI-02;weg;2;2024/05/04 08:00;2030-01-01;;;a2\n"
        "MRI-03;nein;3;2024/05/04 08:00;;;n/a;a3\n"
    )
    one, two, three = read(head + rows, mapping).new
    assert (one.record, one.participant_id, one.by, one.until) == (
        "a1",
        "sub-01",
        By.GUARDIAN,
        date(2030, 1, 1),
    )
    assert (one.basis, str(one.scope), one.evidence) == (Basis.CONSENT, "datatype=anat", "binder 3")
    assert (one.then, two.then, two.until) == (None, Then.STOP_SHARING, None)
    assert (three.state, three.form, three.recorded) == (
        State.REFUSED,
        "obc-gdpr-ult-1.1.0",
        date(2024, 6, 1),
    )


@pytest.mark.parametrize(
    ("row", "place", "reason"),
    [
        ("7,3,03.05.2024,\n", "line 2, column 2 (share)", "does not say what `3` means"),
        ("7,1 ,03.05.24,\n", "line 2, column 3 (signed)", "not a date written DD.MM.YYYY"),
        ("7,1,2024-05-03,\n", "line 2, column 3 (signed)", "not a date written DD.MM.YYYY"),
        ("7,1,31.02.2024,\n", "line 2, column 3 (signed)", "calendar"),
        ("7,1,,\n", "line 2, column 3 (signed)", "from when"),
        ("x7,1,03.05.2024,\n", "line 2, column 1 (record_id)", "not a number"),
        ("-7,1,03.05.2024,\n", "line 2, column 1 (record_id)", "not a number"),
        ("७,1,03.05.2024,\n", "line 2, column 1 (record_id)", "not a number"),
        (",1,03.05.2024,\n", "line 2, column 1 (record_id)", "no participant is named"),
        ("77,1,03.05.2024,\n", "line 2, column 1 (record_id)", "no participant sub-77"),
        ("7,1,03.05.2024,\n007,1,03.05.2024,\n", "line 3, column 1", "`7` and `007` both become"),
        ("7,1,03.05.2024\n", "line 2", "3 cells, the header has 4"),
        ('7,1,03.05.2024,"a"b\n', "line 2", "not valid CSV"),
        ('7,1,03.05.2024,"a\n', "line 2", "not valid CSV"),
        ("7,1,03.05.2024,a\x07\n", "line 2, column 17", "U+0007"),
    ],
)
def test_rows_refused(row: str, place: str, reason: str) -> None:
    message = refused(HEAD + row)
    assert message.startswith("export.csv") and place in message and reason in message


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        ("record_id,sharing,signed\n", "no column `share`, from which the map takes `state`"),
        ("record_id,share\n", "no column `signed`, from which the map takes `from`"),
        ("record_id,share,share,signed\n", "line 1, column 3: the column `share` is there twice"),
        ("", "no column `record_id`"),
    ],
)
def test_headers_refused(head: str, reason: str) -> None:
    assert reason in refused(head + "7,1,1,03.05.2024\n" * bool(head))


@pytest.mark.parametrize(
    ("old", "new", "place", "reason"),
    [
        ("format: redcap", "format: recap", "line 1, column", "Did you mean `redcap`"),
        ("format: redcap\n", "", "line 1, column 1", "for which format"),
        ("form: ", "from: ", "line 8, column", "given twice"),
        ("form: ", "forms: ", "line 7, column", "unknown key `forms`. Did you mean `form`"),
        ("digits: 2", "digit: 2", "line 2, column", "Did you mean `digits`"),
        ("digits: 2", "digits: two", "line 2, column", "no number of digits"),
        ("column: record_id, ", "", "line 2, column", "names no column"),
        ('"0": refused', '"0": denied', "line 5, column", "unknown state `denied`"),
        ('"", "99"', '"", "1"', "line 6, column", "a value and no answer"),
        ("obc-gdpr-ult-1.1.0", "obc-gdpr-ult-1.1.1", "line 7, column", "unknown form"),
        ("DD.MM.YYYY", "DD.MM.YY", "line 8, column", "how a date is written"),
        ("{column: signed, date: DD.MM.YYYY}", "2024-05-03\nvalues: 1", "line 9", "`values`"),
        ("column: signed, date", "column: signed, values", "line 8", "unknown key `values`"),
        ("from: {column: signed, date: DD.MM.YYYY}\n", "", "line 1", "nothing about `from`"),
        ("form: obc", "refusal: all\nform: obc", "line 7", "unknown refusal `all`"),
        ("form: obc", "record: r1\nform: obc", "line 7", "`record` comes from a column"),
        ("form: obc", "form: &a obc", "line 7", "anchors"),
    ],
)
def test_maps_refused(old: str, new: str, place: str, reason: str) -> None:
    assert old in MAP
    message = refused(HEAD + "7,1,03.05.2024,\n", MAP.replace(old, new, 1))
    assert message.startswith("map.yaml") and place in message and reason in message


def test_without_a_rule_an_id_must_be_a_participant() -> None:
    plain = MAP.replace(", prefix: sub-, digits: 2", "")
    assert read(HEAD + "sub-07,1,03.05.2024,\n", plain).new[0].participant_id == "sub-07"
    assert "not a participant" in refused(HEAD + "07,1,03.05.2024,\n", plain)


def test_no_answer_only_where_the_map_says_so() -> None:
    strict = MAP.replace('  no_answer: ["", "99"]\n', "")
    assert "line 3, column 2 (share): it is empty" in refused(
        HEAD + "7,1,03.05.2024,\n8,,,\n", strict
    )


def test_all_or_nothing_and_all_problems_at_once() -> None:
    rows = "".join(f"{n},{n % 4},03.05.2024,\n" for n in range(1, 21))
    message = refused(HEAD + rows)
    assert "5 problems, nothing was imported" in message and "line 4, column 2" in message


def test_a_map_for_another_format() -> None:
    assert "is for another format" in refused(HEAD, "format: fhir\n")
    with pytest.raises(InputError, match="is for another format"):
        read("{}", name="bundle.json")


def test_mutated_exports_import_wholly_or_not_at_all() -> None:
    draw = random.Random(7)
    text = HEAD + "".join(f"{n},{n % 3},0{n % 9 + 1}.05.2024,note\n" for n in range(1, 21))
    seen = {"imported": 0, "refused": 0}
    for _ in range(1500):
        data = bytearray(text.encode())
        for _ in range(draw.randint(1, 3)):
            at = draw.randrange(len(data))
            data[at : at + draw.randint(0, 3)] = draw.choice(
                (b"", b",", b'"', b"\n", b"1", b"\xff", b"\x00", b"sub-", b"99", b"\r\n")
            )
        try:
            found = read(bytes(data))
        except InputError:
            seen["refused"] += 1
        else:
            seen["imported"] += 1
            lines = data.decode().count("\n")
            assert len(found.new) + found.known + found.skipped <= lines
    print(seen)
    assert min(seen.values()) > 50, seen
