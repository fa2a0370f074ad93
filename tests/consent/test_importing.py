"""What is accepted from people, and what is refused with line and column."""

from __future__ import annotations

import time
from datetime import date

import pytest

from datalad_mrishare.consent import (
    State,
    Then,
    format_records,
    import_records,
    load_forms,
    parse_registry,
)
from datalad_mrishare.errors import InputError

TODAY = date(2026, 5, 3)
FORMS = load_forms()
PEOPLE = {f"sub-{number:02}" for number in range(1, 9)}
HEAD = "participant_id\tstate\tform\tfrom\tuntil\n"
ROW = "sub-01\tgiven\tobc-ult-1.0.1\t2024-03-01\tn/a\n"


def read(data: str | bytes, name: str = "in.tsv", existing=(), today: date = TODAY):
    data = data.encode() if isinstance(data, str) else data
    return import_records(
        data, name, existing=existing, forms=FORMS, participants=PEOPLE, today=today
    )


def test_the_same_rows_from_every_format_are_the_same_records() -> None:
    tsv = read(HEAD + ROW + "sub-02\trefused\tn/a\t2024-03-02\t\n").new
    comma = "participant_id,state,form,from\nsub-01,given,obc-ult-1.0.1,2024-03-01\n"
    comma += 'sub-02,"refused",,2024-03-02\n'
    yaml = (
        "- {participant_id: sub-01, state: given, form: obc-ult-1.0.1, from: 2024-03-01}\n"
        "- participant_id: sub-02\n  state: refused\n  from: 2024-03-02\n"
    )
    assert [record.state for record in tsv] == [State.GIVEN, State.REFUSED]
    assert read(comma, "in.csv").new == tsv
    assert read(comma.replace(",", ";"), "in.csv").new == tsv
    assert read(comma, "no-extension").new == tsv
    assert read(yaml, "in.yaml").new == tsv
    assert read(yaml, "no-extension").new == tsv


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("\n", "\r\n").encode(),
        lambda text: b"\xef\xbb\xbf" + text.encode(),
        lambda text: text.rstrip("\n").encode(),
        lambda text: (text + "\n\n").encode(),
        lambda text: text.replace("2024-03-01", "01.03.2024").replace("01.03", "31.03").encode(),
    ],
    ids=["windows", "bom", "no-last-newline", "blank-lines", "day-above-12"],
)
def test_accepted(change) -> None:
    assert len(read(change(HEAD + ROW)).new) == 1


def test_importing_again_adds_nothing() -> None:
    text = HEAD + ROW + "sub-02\twithdrawn\tn/a\t2024-03-02\tn/a\n"
    first = read(text)
    assert (len(first.new), first.known) == (2, 0)
    later = read(text, existing=first.new, today=date(2027, 1, 1))
    assert (len(later.new), later.known) == (0, 2)
    assert (len(read(text + ROW).new), read(text + ROW).known) == (2, 1)
    back = parse_registry(format_records(first.new), forms=FORMS)
    assert back == first.new
    assert read(format_records(back), existing=back).known == 2


def test_tokens_do_not_depend_on_the_way_a_date_is_written() -> None:
    iso = read(HEAD + ROW.replace("03-01", "03-25")).new
    assert read(HEAD + ROW.replace("2024-03-01", "25.03.2024")).new == iso


def test_a_token_keeps_its_meaning() -> None:
    text = (
        "record\tparticipant_id\tstate\tform\tfrom\na1\tsub-01\tgiven\tobc-ult-1.0.1\t2024-03-01\n"
    )
    first = read(text).new
    with pytest.raises(InputError, match=r"in.tsv, line 2, column 1 \(record\): the token `a1`"):
        read(text.replace("sub-01", "sub-02"), existing=first)


def test_lifting() -> None:
    head = "record\tparticipant_id\tstate\tform\tfrom\tlifts\tthen\n"
    no = "w\tsub-01\twithdrawn\t\t2024-03-01\t\terase\n"
    yes = "g\tsub-01\tgiven\tobc-ult-1.0.1\t2025-03-01\tw\t\n"
    new = read(head + yes + no).new
    assert new[0].lifts == ("w",) and new[1].then is Then.ERASE
    assert read(head + yes, existing=new[1:]).new == new[:1]
    for text, reason in [
        (head + yes, "there is no record `w`"),
        (head + no.replace("sub-01", "sub-02") + yes, "another participant"),
        (head + no.replace("2024", "2026") + yes, "starts later"),
        (head + yes.replace("\tw\t", "\tg\t"), "no denial"),
    ]:
        with pytest.raises(InputError, match=reason) as caught:
            read(text)
        assert "(lifts)" in str(caught.value)


def row(**cells: str) -> str:
    cells = {
        "participant_id": "sub-01",
        "state": "given",
        "form": "obc-ult-1.0.1",
        "from": "2024-03-01",
        **{name.rstrip("_"): value for name, value in cells.items()},
    }
    return "\t".join(cells) + "\n" + "\t".join(cells.values()) + "\n"


@pytest.mark.parametrize(
    ("text", "place", "reason"),
    [
        (row(participant_id="sub-99"), "line 2, column 1 (participant_id)", "no participant"),
        (row(participant_id="01"), "line 2, column 1 (participant_id)", "not a participant"),
        (row(participant_id=""), "line 2, column 1 (participant_id)", "no participant is named"),
        (row(state="agreed"), "line 2, column 2 (state)", "unknown state `agreed`"),
        (row(state="Given"), "line 2, column 2 (state)", "Did you mean `given`"),
        (row(form="obc-ult-1.0.2"), "line 2, column 3 (form)", "Did you mean `obc-ult-1.0.1`"),
        (row(form="n/a"), "line 2, column 3 (form)", "which form"),
        (row(from_="03.05.2026"), "line 2, column 4 (from)", "two ways"),
        (row(from_="5/3/26"), "line 2, column 4 (from)", "not a date"),
        (row(from_="2026-5-3"), "line 2, column 4 (from)", "not a date"),
        (row(from_="2026-02-30"), "line 2, column 4 (from)", "calendar"),
        (row(from_="31.02.2026"), "line 2, column 4 (from)", "calendar"),
        (row(from_="0206-02-03"), "line 2, column 4 (from)", "year"),
        (row(from_="46145"), "line 2, column 4 (from)", "not a date"),
        (row(from_="n/a"), "line 2, column 4 (from)", "from when"),
        (row(until="2024-03-01"), "line 2, column 5 (until)", "before it starts"),
        (row(by="guardian"), "line 2, until", "needs an end"),
        (row(by="gardian"), "line 2, column 5 (by)", "Did you mean `guardian`"),
        (row(basis="waiver"), "line 2, evidence", "needs evidence"),
        (row(basis="no-person", evidence="n/a"), "column 6 (evidence)", "needs evidence"),
        (row(recorded="2026-05-04"), "line 2, column 5 (recorded)", "future"),
        (row(scope="sufix=T1w"), "line 2, column 5 (scope)", "Did you mean `suffix`"),
        (row(scope="suffix=t1w"), "line 2, column 5 (scope)", "Did you mean `T1w`"),
        (row(scope="datatype=anatomy"), "line 2, column 5 (scope)", "Did you mean `anat`"),
        (row(scope="suffix="), "line 2, column 5 (scope)", "no value"),
        (row(then="erase"), "line 2, column 5 (then)", "for withdrawals"),
        (row(state="refused", until="2030-01-01"), "line 2, column 5 (until)", "no end"),
        (row(state="withdrawn", lifts="w"), "line 2, column 5 (lifts)", "only a record"),
        (row(record="a b"), "line 2, column 5 (record)", "not a token"),
        (row(evidence="x" * 501), "line 2, column 5 (evidence)", "longer than 500"),
        (row(consent="yes"), "line 1, column 5", "unknown column `consent`"),
        (row().replace("form\t", "state\t", 1), "line 1, column 3", "there twice"),
        (row().replace("state\t", "\t", 1), "line 1, column 2", "no name"),
        ("state\tfrom\ngiven\t2024-03-01\n", "line 1", "no column `participant_id`"),
        (row() + "sub-02\tgiven\n", "line 3", "2 cells, the header has 4"),
        (row(evidence='"quoted'), "line 2, column 5", "no quoting"),
        (row(evidence="a\x07b"), "line 2, column 40", "U+0007"),
        (row(evidence="a\u202eb"), "line 2, column 40", "U+202E"),
        (row().replace("\n", "\r"), "line 1, column", "U+000D"),
        (row(evidence="M\xfcnchen").encode("latin1"), "line 2, column 40", "0xfc is not UTF-8"),
        (row().encode("utf-16"), "in.tsv", "UTF-16"),
        ("", "in.tsv", "empty"),
    ],
)
def test_refused(text: str | bytes, place: str, reason: str) -> None:
    with pytest.raises(InputError) as caught:
        read(text)
    message = str(caught.value)
    assert message.startswith("in.tsv") and place in message and reason in message
    assert "!" not in message


@pytest.mark.parametrize(
    ("text", "place", "reason"),
    [
        ("a: 1\n", "line 1, column 1", "list of records"),
        ("- sub-01\n", "line 1, column 3", "expected a record"),
        ("- {participant_id: sub-01, stat: given}\n", "line 1, column 28", "`state`"),
        ("- &a {state: given}\n- *a\n", "line 1, column 3", "anchors"),
        ("- {state: given, state: refused}\n", "line 1, column 18", "given twice"),
        ("- !!python/object:os.system {}\n", "line 1, column 3", "tag"),
        ("- {state: [given\n", "line 2, column 1", "not valid YAML"),
        ("- {state: {a: b}}\n", "line 1, column 4", "takes one value"),
        ("[" * 500, "line 1, column 18", "deeply"),
        ("[" * 5000, "line 1, column ", "deeply"),
    ],
)
def test_yaml_refused(text: str, place: str, reason: str) -> None:
    with pytest.raises(InputError) as caught:
        read(text, "in.yaml")
    assert place in str(caught.value) and reason in str(caught.value)


def test_yaml_words_stay_words() -> None:
    text = (
        "- record: 007\n  participant_id: sub-01\n  state: withdrawn\n  from: 2024-03-01\n"
        "  scope: {suffix: [T1w, T2w], ses: 01}\n"
        "- {record: g, participant_id: sub-01, state: given, form: obc-ult-1.0.1,\n"
        "   from: 2025-03-01, lifts: [007], evidence: no}\n"
    )
    withdrawn, given = read(text, "in.yml").new
    assert withdrawn.record == "007" and str(withdrawn.scope) == "ses=1 suffix=T1w,T2w"
    assert given.lifts == ("007",) and given.evidence == "no"


def test_a_yaml_bomb_does_not_go_off() -> None:
    levels = "".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]\n" for n in range(1, 12))
    start = time.monotonic()
    with pytest.raises(InputError, match="anchors and aliases"):
        read("l0: &l0 [x]\n" + levels, "bomb.yaml")
    assert time.monotonic() - start < 2


def test_all_problems_are_told_at_once() -> None:
    text = HEAD + "".join(f"sub-77\tgiven\tobc-ult-1.0.1\t{day}/1/26\t\n" for day in range(1, 15))
    with pytest.raises(InputError) as caught:
        read(text + ROW)
    message = str(caught.value)
    assert "in.tsv: 14 problems, nothing was imported" in message
    assert "line 2, column 4 (from)" in message and "and 4 more" in message


@pytest.mark.slow
def test_two_hundred_thousand_lines() -> None:
    people = [f"sub-{number:06}" for number in range(200_000)]
    text = HEAD + "".join(f"{who}\tgiven\tobc-ult-1.0.1\t2024-03-01\tn/a\n" for who in people)
    start = time.monotonic()
    found = import_records(
        text.encode(), "x.tsv", existing=(), forms=FORMS, participants=set(people), today=TODAY
    )
    assert len({record.record for record in found.new}) == 200_000
    assert time.monotonic() - start < 60  # a few seconds; quadratic would be hours


def test_the_registry_is_read_strictly() -> None:
    good = format_records(read(HEAD + ROW).new)
    assert parse_registry(good.replace("\n", "\r\n"), forms=FORMS) == read(HEAD + ROW).new
    assert parse_registry("") == ()
    for text, reason in [
        (good.replace("record\t", "id\t", 1), "line 1: the header"),
        (good + "<<<<<<< HEAD\n", "line 3: 1 cells"),
        (good + good.split("\n")[1] + "\n", "line 3, column 1 (record): the token"),
        (good.replace("2024-03-01", "25.03.2024"), "line 2, column 5 (from): `25.03.2024`"),
        (good.replace("obc-ult-1.0.1", "gone"), "line 2, column 4 (form): unknown form"),
        (good.replace("2026-05-03", "n/a"), "line 2, column 9 (recorded)"),
    ]:
        with pytest.raises(InputError) as caught:
            parse_registry(text, forms=FORMS)
        assert reason in str(caught.value)
