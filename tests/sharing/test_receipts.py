"""Receipts and what they are made of: wording, holdings of events, escaping. All pure."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from datalad_mrishare.consent import Registry, build_record, load_forms
from datalad_mrishare.consent.duo import resource, terms
from datalad_mrishare.consent.grants import DUTIES, Deid, Reach
from datalad_mrishare.consent.records import Basis, By, Record, State, Then
from datalad_mrishare.consent.scopes import FileScope
from datalad_mrishare.errors import InputError, Refused
from datalad_mrishare.sharing.holdings import Figures, places
from datalad_mrishare.sharing.receipts import Subject, refuse_others, write_receipt
from datalad_mrishare.sharing.wording import _shipped, link, load_wording, plain

DAY = date(2026, 5, 4)
OBC = "obc-gdpr-ult-1.1.0"
FORMS = load_forms()
T1W = FileScope(None, "anat", "T1w", "sub-07/anat/sub-07_T1w.nii.gz")
BOLD = FileScope(None, "func", "bold", "sub-07/func/sub-07_task-rest_bold.nii.gz")
FILES = ((T1W, 1000), (BOLD, 2000))


def record(state: str = "given", start: str = "2026-01-01", **cells: str) -> Record:
    """A record of sub-07, with the form of Open Brain Consent when it was given."""
    row = {"record": f"r-{state}-{start}", "participant_id": "sub-07", "state": state}
    row |= {"from": start, "recorded": start}
    if state == "given":
        row["form"] = OBC
    return build_record({**row, **cells}, forms=None)


def receipt(
    *records: Record,
    files: Any = FILES,
    events: Any = (),
    wording: str | None = None,
    day: date = DAY,
    known: date | None = None,
    forms: Any = FORMS,
) -> str:
    subject = Subject("sub-07", day, files, known)
    return write_receipt(subject, Registry(forms, records), events, load_wording(wording))


def section(text: str, title: str) -> str:
    """What stands below a heading."""
    return text.split(f"## {title}")[1].split("\n## ")[0].strip()


def permitted(*records: Record, day: date = DAY, **options: Any) -> str:
    return section(receipt(*records, day=day, **options), f"What is permitted on {day}")


def event(day: str, sibling: str = "mirror", reach: str = "institution", **fields: Any) -> dict:
    return {"event": "published", "when": f"{day}T10:00:00Z", "sibling": sibling} | {
        "reach": reach,
        **fields,
    }


# -- wording: what cannot be understood is refused


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Contact: Dr. X", ["receipt.md", "no parts"]),
        ("", ["no parts"]),
        ("<!-- part: kontakt -->\nDr. X", ["line 1", "kontakt", "contact"]),
        ("<!-- part: contact -->\nA\n\n$telefone", ["line 4", "part `contact`", "$telefone"]),
        (
            "\n<!-- part: place -->\n$siblingname $steps $now",
            ["line 3", "$siblingname", "$sibling`"],
        ),
        ("<!-- part: contact -->\n${records}", ["line 2", "$records"]),
        ("<!-- part: contact -->\n5 $ an hour", ["line 2", "dollar", "$$"]),
        ("<!-- part: contact -->\nA\n<!-- part: contact -->\nB", ["line 3", "twice"]),
        ("<!-- part: contact -->\nA\x1b[2J", ["line 2", "does not show"]),
        ("<!-- part: receipt -->\n$participant $day $records $permits $kept", ["$shared"]),
        ("<!-- part: place -->\n$sibling $steps", ["line 1", "leaves out $now"]),
    ],
)
def test_a_wording_that_cannot_be_understood_is_refused(text: str, words: list[str]) -> None:
    with pytest.raises(InputError) as refused:
        load_wording(text)
    for word in words:
        assert word in str(refused.value)
    assert ".datalad/mrishare/receipt.md" in str(refused.value)


def test_a_dataset_words_only_what_it_wants_to() -> None:
    own = "Notes for us: $nothing\r\n<!-- part: contact -->\r\n\r\nDr. X, 5 $$, $participant\r\n"
    text = receipt(record(), wording=own)
    assert "\nDr. X, 5 $, sub-07\n" in text and "Notes for us" not in text
    german = resource("receipt.md").replace("Nothing is on record about you.", "Nichts.")
    assert "Nichts." in receipt(wording=german)


def test_every_word_of_the_lattice_and_of_records_has_a_wording() -> None:
    parts = _shipped()
    wanted = {f"reach-{r.word}" for r in Reach} | {f"deid-{d.word}" for d in Deid}
    wanted |= {f"duty-{d}" for d in DUTIES} | {f"by-{b}" for b in By}
    wanted |= {f"basis-{b}" for b in Basis} | {f"then-{t}" for t in Then}
    wanted |= {f"use-{t.shorthand}" for t in terms().values() if t.kind == "permission"}
    wanted |= {str(s) for s in State} | {f"why-{s}" for s in State}
    assert len(wanted) > 40 and wanted <= parts.keys()
    assert all(parts[name].strip() for name in parts)


# -- text of users does nothing


def test_markdown_of_users_is_shown_and_does_nothing() -> None:
    assert plain("a_b*c*`d`[e](f)<g>|h|~i~#j&k$l\\m") == (
        "a\\_b\\*c\\*\\`d\\`\\[e\\](f)\\<g\\>\\|h\\|\\~i\\~\\#j\\&k\\$l\\\\m"
    )
    assert plain("one\n\n# two\x1b[0m\u202e") == "one \\# two \\[0m"
    assert link("https://example.org/a_b?c=1") == "<https://example.org/a_b?c=1>"
    for text in ("https://example.org/> x", "javascript:alert(1)", "http:// x"):
        assert "<" not in link(text).replace("\\<", "")


def test_a_hostile_form_title_and_participant_are_escaped() -> None:
    text = "'my_form': {extends: obc-gdpr-ult-1.1.0, title: '**x** <img src=y> $contact',"
    text += " source: 'file:///home/[steward](z)', withdrawal: 'ask `me`'}"
    forms = load_forms(text)
    shown = receipt(record(form="my_form"), forms=forms)
    assert "\\*\\*x\\*\\* \\<img src=y\\> \\$contact (my\\_form)" in shown
    assert "file:///home/\\[steward\\](z)" in shown and "ask \\`me\\`" in shown
    subject = Subject("sub-*_<7>", DAY)
    plainly = write_receipt(subject, Registry(FORMS, ()), (), load_wording())
    assert plainly.startswith("# Receipt for participant sub-\\*\\_\\<7\\>\n")


# -- nobody else


def test_whoever_else_is_named_the_receipt_is_not_written() -> None:
    everyone = ("sub-07", "sub-070", "sub-08", "sub-A1")
    refuse_others("sub-07 and SUB-07, sub-0, sub-0707, group-08, sub-09", "sub-07", everyone)
    for text in ("see sub-08", "(Sub-08)", "xsub-08_y", "sub-070", "sub-a1", "sub-08+sub-07"):
        with pytest.raises(Refused) as refused:
            refuse_others(text, "sub-07", everyone)
        assert "the receipt of sub-07" in str(refused.value)
    refuse_others("sub-07", "sub-070", ("sub-070", "sub-7"))


def test_patterns_of_paths_and_evidence_are_not_shown() -> None:
    one = record(scope="path=*sub-08*,*sub-07*", evidence="binder of sub-08", record="sub-08-x")
    text = receipt(one)
    assert "certain files" in text
    assert "sub-08" not in text and "binder" not in text


def test_records_of_others_play_no_part() -> None:
    other = build_record(
        {"record": "o", "participant_id": "sub-08", "state": "withdrawn", "from": "2026-02-03"}
        | {"recorded": "2026-02-03"},
        forms=None,
    )
    assert receipt(record(), other) == receipt(record())


# -- what was said


def test_nothing_on_record() -> None:
    text = receipt()
    assert section(text, "What was said").startswith("Nothing is on record about you.")
    assert permitted() == (
        "Nothing. None of your 2 files (3.0 kB) may be shared: no consent for it is on record."
    )
    assert section(text, "Where your data were shared").startswith("Nowhere")


def test_records_stand_in_the_order_of_their_days() -> None:
    given = record(record="a", until="2027-01-01")
    withdrawn = record("withdrawn", "2026-02-01", then="erase", record="b")
    again = record(start="2026-03-01", lifts="b", record="c", by="proxy")
    refused = record("refused", "2026-04-01", form="obc-ult-1.0.1", scope="datatype=anat")
    said = section(receipt(refused, again, withdrawn, given), "What was said")
    days = [line[4:14] for line in said.splitlines() if line.startswith("- **")]
    assert days == ["2026-01-01", "2026-02-01", "2026-03-01", "2026-04-01"]
    assert "deleted" in said and "the person who decides for you agreed" in said
    assert "This ends what was said against it on 2026-02-01." in said
    assert "part of your data (kinds of data: anat)" in said
    assert "Open Brain Consent, ultimate consent form, single access type" in said


def test_every_state_and_basis_has_its_sentence() -> None:
    notice = record(basis="opt-out", evidence="notice 7")
    objected = record("opted-out", "2026-02-01")
    void = record("invalid", "2026-03-01")
    void_form = record("invalid", "2026-03-02", form=OBC)
    said = section(receipt(notice, objected, void, void_form), "What was said")
    assert "a notice to which you can object" in said and "notice 7" not in said
    assert "an objection was made" in said
    assert "no earlier form is valid" in said and "is not valid" in said


def test_terms_are_in_plain_words() -> None:
    text = "own: {reach: consortium, use: 'DS:MONDO:0005148 POA', region: [DE, EEA, FI, CH],"
    text += " duty: [IRB, NPUNCU], deid: deidentified}"
    said = section(receipt(record(form="own"), forms=load_forms(text)), "What was said")
    for words in (
        "partners in the same project",
        "research into one disease (MONDO:0005148), research into origins and ancestry (POA)",
        "CH, the European Economic Area",
        "(IRB)",
        "(NCU)",
        "(NPU)",
        "no face (deidentified)",
        "Until when: no end.",
    ):
        assert words in said


# -- what is permitted


@pytest.mark.parametrize(
    ("records", "words"),
    [
        ([record("refused")], "refused on 2026-01-01"),
        ([record(), record("withdrawn", "2026-02-01")], "withdrawn on 2026-02-01"),
        ([record(), record("opted-out", "2026-02-01")], "objection was made on 2026-02-01"),
        ([record(), record("invalid", "2026-02-01", form=OBC)], "not to be valid on 2026-02-01"),
        ([record(start="2026-05-05")], "starts on a later day"),
        ([record(until="2026-05-04")], "the consent ended on 2026-05-04"),
        ([record(until="2026-05-03", by="guardian")], "the consent ended on 2026-05-03"),
    ],
)
def test_nothing_is_permitted_and_why(records: list[Record], words: str) -> None:
    assert permitted(*records).startswith("Nothing. None of your 2 files")
    assert words in permitted(*records)
    assert permitted(*records, files=()).startswith("Nothing, and there are no data of yours here")


def test_an_older_consent_that_has_ended_does_not_limit_a_newer_one() -> None:
    older, newer = record(until="2026-03-01"), record(start="2026-02-01", record="x")
    assert permitted(older, newer).startswith("For all your data here (2 files, 3.0 kB):")


def test_what_ended_first_is_named_when_two_were_given_on_one_day() -> None:
    long = record(record="a", until="2027-01-01")
    short = record(record="b", until="2026-02-01")
    assert "ended on 2026-02-01" in permitted(long, short)


def test_parts_of_the_data_are_told_apart() -> None:
    anat = record(scope="datatype=anat", until="2026-06-01")
    func = record(record="f", scope="datatype=func", until="2026-07-01")
    both = permitted(anat, func)
    assert "For 1 of your files (anat (T1w); 1.0 kB):" in both and "2026-06-01" in both
    assert "For 1 of your files (func (bold); 2.0 kB):" in both and "2026-07-01" in both
    one = permitted(anat)
    assert "For 1 of your files (func (bold); 2.0 kB) nothing: no consent for it" in one
    visits = ((FileScope("1", "anat", "T1w"), 5), (FileScope("2", "anat", "T1w"), 6))
    assert "(ses-2 anat (T1w); 6 B) nothing" in permitted(record(scope="ses=1"), files=visits)
    odd = [*FILES, (FileScope(), 7), (FileScope(suffix="scans"), 8)]
    assert "(func (bold), other, scans; 2.0 kB) nothing" in permitted(anat, files=odd)


def test_a_day_in_the_past_is_what_was_known_then() -> None:
    late = record("withdrawn", "2026-02-01", recorded="2026-03-01")
    day = date(2026, 2, 15)
    then = receipt(record(), late, day=day, known=day)
    assert "withdrawn" not in section(then, "What was said") and "For all your data" in then
    later = date(2026, 3, 1)
    assert "withdrawn on 2026-02-01" in receipt(record(), late, day=later, known=later)


# -- where the data went

MINE = {"sub-07": {"files": 2, "bytes": 3000, "tables": 1}}


def shared(*events: dict, **options: Any) -> str:
    return section(receipt(record(), events=events, **options), "Where your data were shared")


def test_what_went_where_and_came_back() -> None:
    group = {"sub-07+sub-08": {"files": 1, "bytes": 999999}}
    other = {"sub-08": {"files": 9, "bytes": 888888}}
    text = shared(
        event("2026-01-05", holds=other),
        event("2026-01-06", holds=MINE | other | group),
        event("2026-01-07", holds=MINE | group),
        event("2026-01-08", holds={"sub-07": {"files": 1, "bytes": 2000}}),
        event("2026-01-09", holds=other),
    )
    steps = [line for line in text.splitlines() if line.lstrip().startswith("- ")]
    assert steps == [
        "- 2026-01-06: 2 of your files lie there, 3.0 kB in all.",
        "  - Tables with a line about you: 1.",
        "- 2026-01-08: some were taken back. 1 of your files lie there, 2.0 kB in all.",
        "- 2026-01-09: taken back. None of your files lies there any more.",
        "- Files that were made from the data of several people, yours among them, were sent"
        " there, too.",
    ]
    assert "on record was on 2026-01-09" in text
    for told in ("999", "888", "9 of", "sub-08"):
        assert told not in text


def test_that_somebody_else_withdrew_is_not_told() -> None:
    group = {"sub-07+sub-08": {"files": 1, "bytes": 999999}}
    sent = event("2026-01-05", holds=MINE | group)
    later = event("2026-01-06", holds=MINE, keys_not_taken_back=3)
    dates = [line[2:12] for line in shared(sent, later).splitlines() if line.startswith("- 2")]
    assert dates == ["2026-01-05"]
    same = event("2026-01-06", holds=MINE | group)
    assert shared(sent, later) == shared(sent, same)
    # who withdrew is told what became of these files
    withdrawn = record("withdrawn", "2026-02-01")
    for last, words in ((same, "among them, still lie there."), (later, "were taken back.")):
        text = receipt(record(), withdrawn, events=[sent, last])
        assert f"- Files that were made from the data of several people, yours {words}" in (
            text.replace("yours among them, were taken", "yours were taken")
        )
    # nothing of one's own there: the place is named all the same
    assert "several people" in shared(event("2026-01-05", holds=group))


def test_a_place_that_never_had_anything_of_the_participant_is_not_named() -> None:
    text = receipt(record(), events=[event("2026-01-05", "elsewhere", holds={"sub-08": MINE})])
    assert "elsewhere" not in text and "Nowhere" in text


def test_own_storage_is_kept_and_not_shared() -> None:
    events = [event("2026-01-05", "backup", "own", holds=MINE)]
    text = receipt(record(), events=events)
    assert "Nowhere" in section(text, "Where your data were shared")
    kept = section(text, "What the institution keeps for itself")
    assert "**backup**" in kept and "2 of your files" in kept
    assert "publish --to backup" in section(text, "How to withdraw")
    # what was once more than own storage was sharing
    events.append(event("2026-01-06", "backup", "public", holds=MINE))
    assert "everybody" in shared(*events)


def test_names_without_content_are_told() -> None:
    text = shared(event("2026-01-05", holds={"sub-07": {"listed": 2, "files": 0}}))
    assert "none of your files lies there." in text and "without the content: 2." in text


def test_what_still_lies_there_though_nothing_is_permitted_is_told() -> None:
    withdrawn = record("withdrawn", "2026-02-01")
    events = [event("2026-01-05", holds=MINE)]
    text = receipt(record(), withdrawn, events=events)
    assert "the next one takes back what lies there" in text
    events.append(event("2026-02-02", holds={}))
    assert "takes back" not in receipt(record(), withdrawn, events=events)
    events[-1]["keys_not_taken_back"] = 1
    assert "Ask whether this concerns your data" in receipt(record(), withdrawn, events=events)


def test_events_without_figures_say_that_nothing_was_counted() -> None:
    old = event("2026-01-05", units_sent=["sub-07/ses-1", "sub-08"])
    assert "How many was not recorded" in shared(old)
    assert "Nowhere" in shared(event("2026-01-05", units_sent=["sub-08", "sub-070"]))
    back = shared(old, event("2026-01-06", holds={}))
    assert "2026-01-06: taken back." in back


def test_what_is_no_event_of_ours_is_left_out() -> None:
    odd: list[dict] = [
        {},
        event("2026-13-05", holds=MINE),
        {**event("2026-01-05", holds=MINE), "sibling": 7},
        {**event("2026-01-05", holds=MINE), "event": "registered"},
        event("2026-01-05", holds={"sub-07": [1]}),
        event("2026-01-05", holds={"sub-07": {"files": "2"}}),
        event("2026-01-05", holds=[], units_sent=None),
    ]
    assert "Nowhere" in shared(*odd)
    # a reach that nobody can read is taken for the widest
    assert "everybody" in shared(event("2026-01-05", reach="moon", holds=MINE))


def test_labels_with_a_plus_are_not_taken_apart() -> None:
    events = [
        event("2026-01-05", holds={"sub-07+a": {"files": 1}, "sub-07+sub-07+a": {"files": 1}})
    ]
    (place,) = places(events, "sub-07")
    assert place.now == Figures() and place.together
    (place,) = places(events, "sub-07+a")
    assert place.now == Figures(files=1) and place.together


def test_later_events_do_not_count_for_a_day_in_the_past() -> None:
    events = [event("2026-01-05", holds=MINE), event("2026-02-05", holds={})]
    (place,) = places(events, "sub-07", date(2026, 2, 4))
    assert place.now.files == 2 and place.last == date(2026, 1, 5)
    assert places(events, "sub-07", date(2026, 1, 4)) == []


def test_a_sibling_name_that_is_none_is_not_put_into_a_command() -> None:
    text = receipt(record(), events=[event("2026-01-05", "x; rm -rf *", holds=MINE)])
    assert "--to x" not in text and "**x; rm -rf \\***" in text


def test_the_same_state_makes_the_same_text() -> None:
    assert receipt(record()) == receipt(record())
    assert receipt(record()).endswith("\n")
    assert "\n\n\n" not in receipt(record()) and "$" not in receipt(record())
