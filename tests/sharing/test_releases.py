"""The tree of a release, from verdicts and texts alone."""

from __future__ import annotations

import gzip
import json
import random
import re
from collections.abc import Callable

import pytest
from released import IMAGES, PEOPLE, denied, table, taken, tree

from datalad_mrishare.provenance.participants import participants_in_path, participants_in_paths
from datalad_mrishare.sharing.facts import Kind
from datalad_mrishare.sharing.mentions import Mentions, against


def test_files_of_whom_permits_and_nothing_else() -> None:
    found = tree({})
    assert taken(found) == {IMAGES[0], IMAGES[1]}
    assert found.message == "Release of 4 files of 2 participants\n"
    assert set(found.written) == {".datalad/config", ".datalad/mrishare/policy.yaml"}
    assert found.written[".datalad/config"] == b'[datalad "dataset"]\n\tid = an-id\n'


def test_revoked_keys_are_listed_in_order_and_nothing_else_about_them() -> None:
    written = tree({}, revoked=("KEY-s1--b", "KEY-s1--a")).written
    assert written[".datalad/mrishare/revoked.tsv"] == b"key\nKEY-s1--a\nKEY-s1--b\n"


def test_rows_of_participants() -> None:
    """A row with all its cells, one with its label only, none, none."""
    rows = ["sub-01 30 F", "sub-02 31 M", "sub-03 32 F", "sub-04 33 M", "sub-99 34 F", "01 35 F"]
    found = tree({"participants.tsv": table("participant_id age sex", *rows)})
    expected = table("participant_id age sex", "sub-01 30 F", "sub-02 n/a n/a")
    assert found.written["participants.tsv"] == expected


def test_rows_of_other_tables_need_consent_for_that_table() -> None:
    rows = ("participant_id moca", "sub-01 29", "sub-02 28", "sub-03 27")
    found = tree({"phenotype/moca.tsv": table(*rows)})
    assert found.written["phenotype/moca.tsv"] == table("participant_id moca", "sub-01 29")


KEYED = (
    b'{"Note": "by hand", "sub-01": {"age": 30}, "more": [{"sub-02": 1, "SUB-03": {"age": 31}}]}'
)


def test_entries_of_json_that_are_keyed_by_participant() -> None:
    """As rows: hers whose consent covers it stays, theirs that does not or is withheld goes."""
    found = tree({"participants.json": KEYED})
    written = found.written["participants.json"]
    assert json.loads(written) == {"Note": "by hand", "sub-01": {"age": 30}, "more": [{}]}
    assert "participants.json" not in taken(found) and not denied(found)


@pytest.mark.parametrize(
    ("entry", "stays"), [(b'{"age": 30}', True), (b'{"iq": 99}', False), (b'"a text"', False)]
)
def test_entries_that_are_not_clean_enough(entry: bytes, stays: bool) -> None:
    found = tree({"participants.json": b'{"sub-01": %b}' % entry}, "{policy: public}")
    assert ("sub-01" in json.loads(found.written["participants.json"])) is stays


@pytest.mark.parametrize(
    "text",
    [
        b'{"sub-01": 1, "Note": "not for sub-03"}',
        b'{"sub-01": {"of": "sub-03"}}',
        b'{"sub-03 and others": 1}',
        b'{"sub-03": 1, "sub-03": 2}',
        b'{"sub-03": 1',
        b'{"a":' * 100_000 + b'"sub-03"' + b"}" * 100_000,
    ],
    ids=range(6),
)
def test_json_that_names_somebody_in_another_way_stays(text: bytes) -> None:
    found = tree({"participants.json": text})
    assert denied(found) == {"participants.json": "mention"}
    assert "participants.json" not in {*taken(found), *found.written}


@pytest.mark.parametrize(
    "text", [b'{"age":   {"Description": "like sub-01"}}', b'{"sub-group": {"Levels": {}}}']
)
def test_json_that_is_keyed_by_nobody_goes_as_it_is(text: bytes) -> None:
    found = tree({"participants.json": text})
    assert "participants.json" in taken(found)


@pytest.mark.parametrize(
    ("policy", "columns"),
    [
        ("{policy: institution}", "participant_id age iq"),
        ("{policy: consortium}", "participant_id age"),
        ("{policy: public}", "participant_id age"),
        ("{policy: public, columns: [iq]}", "participant_id iq"),
        ("{policy: public, columns: []}", "participant_id"),
    ],
)
def test_columns(policy: str, columns: str) -> None:
    """Unlisted columns are identifiable; naming them in a policy is clearing them."""
    cells = {"participant_id": "sub-01", "age": "30", "iq": "99"}
    found = tree({"participants.tsv": table(" ".join(cells), " ".join(cells.values()))}, policy)
    row = " ".join(cells[c] for c in columns.split())
    assert found.written["participants.tsv"] == table(columns, row)


def test_the_kind_of_a_sample_stays_as_bids_demands_it() -> None:
    head = "sample_id participant_id sample_type"
    rows = (f"{head} age", "sample-a sub-01 tissue 3", "b sub-01 mine 4")
    found = tree({"samples.tsv": table(*rows)}, "{policy: public, columns: []}")
    expected = (head, "sample-a sub-01 tissue", "b sub-01 n/a")
    assert found.written["samples.tsv"] == table(*expected)


def test_a_participant_who_demands_clean_data_keeps_cells_that_are_not() -> None:
    found = tree({"participants.tsv": table("participant_id iq", "sub-01 99")}, form="clean")
    assert found.written["participants.tsv"] == table("participant_id iq", "sub-01 n/a")
    found = tree({"participants.tsv": table("participant_id age", "sub-01 30")}, form="clean")
    assert found.written["participants.tsv"] == table("participant_id age", "sub-01 30")


def test_scans_and_sessions_list_what_is_in_the_release() -> None:
    name = "sub-0{0}/sub-0{0}_scans.tsv"
    rows = ("filename x", "func/sub-0{0}_bold.nii.gz 1", "anat/sub-0{0}_T1w.nii.gz 2")
    texts = {name.format(n): table(*(r.format(n) for r in rows)) for n in (1, 3)}
    texts["sub-01/sub-01_sessions.tsv"] = table("session_id x", "ses-1 1", "../sub-03 2", "func 3")
    found = tree(texts)
    expected = table("filename x", "func/sub-01_bold.nii.gz 1")
    assert found.written[name.format(1)] == expected
    assert name.format(3) not in found.written
    assert found.written["sub-01/sub-01_sessions.tsv"] == table("session_id x", "func 3")


def test_rows_and_columns_that_name_somebody_withheld_are_left_out() -> None:
    rows = ("participant_id like_sub-03 twin", "sub-01 no sub-02", "sub-02 no no")
    moca = ("participant_id note", "sub-01 after_Sub-04")
    found = tree({"participants.tsv": table(*rows), "phenotype/moca.tsv": table(*moca)})
    expected = table("participant_id twin", "sub-01 sub-02", "sub-02 n/a")
    assert found.written["participants.tsv"] == expected
    assert "phenotype/moca.tsv" not in found.written


@pytest.mark.parametrize(
    "rows", [("participant_id x", "sub-01"), ("participant_id x participant_id", "sub-01 1 sub-03")]
)
def test_a_table_that_nobody_can_filter_is_held_back_and_reported(rows: tuple[str, ...]) -> None:
    found = tree({"phenotype/x.tsv": table(*rows)})
    assert "phenotype/x.tsv" not in found.written
    assert denied(found) == {"phenotype/x.tsv": "table"}


@pytest.mark.parametrize(
    ("text", "component"),
    [
        (b"about sub-01 and sub-02", None),
        (b"about sub-031 or sub-XX, sub-cortical, sub-1mm", None),
        (b"about sub-03", "mention"),
        (b"about bids::sub-03/anat", "mention"),
        (b"about SUB-03", "mention"),
        (b"about sub-04.", "mention"),
        (b"about xsub-03", "mention"),
        (b"about sub-99, who left", "mention"),
        (b'{"note": "a\\nsub-03"}', "mention"),
        ("about sub-03".encode("utf-16"), "mention"),
        (b"\x1f\x8b packed", "mention"),
    ],
)
def test_a_text_of_nobody_that_names_somebody_withheld_is_held_back(
    text: bytes, component: str | None
) -> None:
    found = tree({"README": text})
    assert denied(found) == ({"README": component} if component else {})
    assert ("README" in taken(found)) == (component is None)


def test_a_text_of_one_that_names_another_is_held_back() -> None:
    texts = {
        "sub-01/func/sub-01_bold.json": b'{"TaskName": "like\\nsub-03"}',
        "sub-02/func/sub-02_bold.json": b'{"TaskName": "like sub-01"}',
    }
    found = tree(texts)
    assert denied(found) == {"sub-01/func/sub-01_bold.json": "mention"}
    assert "sub-02/func/sub-02_bold.json" in taken(found)


@pytest.mark.parametrize("name", ["like-Sub-03_bold", "task-xsub-03_bold", "was-SUB-99_bold"])
def test_a_path_of_one_that_names_another_is_held_back(name: str) -> None:
    path = f"sub-01/func/sub-01_{name}.json"
    assert denied(tree({path: b"{}"})) == {path: "mention"}


def test_who_counts_as_named() -> None:
    names = Mentions(["sub-01", "sub-02", "sub-control1", "sub-Ab"], ["sub-01", "sub-control1"])
    named = ("sub-02", "SUB-02", "sub-03", "sub-patient1 sub-control2", "sub-AB", "x_sub-ab")
    for text in (*named, "sub_02"):
        assert names.found(text), text
    for text in ("", "sub-01", "sub-control1", "sub-021", "sub-second", "sub-2mm", "02"):
        assert not names.found(text), text


SPELT = (
    *("sub-3", "sub-003", "sub03", "Sub_03", "SUB 03", "subject 03", "Subject-3", "subj03"),
    *("sub\u201103", "sub\u201003", "sub%2D03", "sub-03T1w", "sub-03ses-1", "participant 03"),
    *(
        "see sub-03.",
        "subject\n3",
        "subject #3",
        "subject\u00a03",
        "sub - 3",
        "sub-control-1",
        "subject_Control1",
    ),
)
NOT_SPELT = (
    *("sub_1", "subject 001", "sub-031", "sub 30", "subject A", "submit 3", "3 subjects", "sub"),
    *("sub-3mm", "participants.tsv", "sub-control10", "sub-04a", "sub-4", "subcontrol", "S03"),
    *("subsub_03", "LSUB3", "sub_3", "subj3mni", "sub3std", "Subject 3T", "sub-3x3x3", "sub3.5mm"),
    "<svg>data:image/png;base64,aa/sub3aaaa/sub03xx==</svg>",
)


def test_labels_that_are_written_in_another_way() -> None:
    released = ["sub-01", "sub-4"]
    names = Mentions([*released, "sub-03", "sub-04", "sub-control1"], released)
    assert [t for t in SPELT if not names.found(t)] == ["sub-control-1"]
    assert [t for t in NOT_SPELT if names.found(t)] == []
    for text in SPELT[:13]:
        assert against("README", text.encode(), Kind.COMMONS, names), text
        assert against("x.json", json.dumps(text).encode(), Kind.DATA, names), text
        assert names.in_path(f"derivatives/{text}_a/x.json"), text
    # what is no text has any three letters and a digit in it
    assert not names.found("\ufffdsub3\0\ufffd")


@pytest.mark.parametrize(
    ("value", "named"),
    [
        ({"participant_id": "03"}, True),
        ({"a": [{"Subject": 3}]}, True),
        ({"subject_id": ["1", "003"]}, True),
        ({"subject": "03", "é": "\u2011"}, True),
        ({"02": {}, "03": {"dx": "x"}}, True),
        ({"a": {"sub-01": 1, "03": 2}}, True),
        ({"participant_id": "01", "age": "03"}, False),
        ({"03": 1, "left": 2}, False),
        ({"side": {"Levels": {"01": "left", "03": "right"}}}, False),
        ({"participant_id": {"Description": "03"}}, False),
        (["03"], False),
    ],
    ids=range(11),
)
def test_json_that_means_somebody(value: object, named: bool) -> None:
    text = json.dumps(value).encode()
    found = tree({"sub-01/func/sub-01_bold.json": text, "sub-02/func/sub-02_bold.json": b"{}"})
    held = {"sub-01/func/sub-01_bold.json": "mention"} if named else {}
    assert denied(found) == held


def test_nothing_at_all_when_nobody_permits() -> None:
    found = tree(
        {"participants.tsv": table("participant_id", *PEOPLE)}, "{reach: public, use: NRES}"
    )
    assert taken(found) == set() and "participants.tsv" not in found.written
    assert found.participants == 0


@pytest.mark.parametrize("odd", ["sub-03", "sub-01_a"])
def test_a_path_is_searched_as_any_text(odd: str) -> None:
    """Part by part, because parts repeat; it must not miss what the whole shows."""
    rng = random.Random(7)
    parts = ["sub-", "Sub-", "01", "02", "9", "a", "_", "/", "-", ".", "ses-1", "+", "SUB-02"]
    mentions = Mentions(["sub-01", "sub-02", "sub-02a", odd], ["sub-01"])
    named = several = 0
    for _ in range(20_000):
        path = "".join(rng.choices(parts, k=rng.randint(1, 10)))
        assert (mentions.in_path(path) is None) == (mentions.found(path) is None), path
        people = participants_in_path(path)
        assert people == participants_in_paths([path]), path
        for label in re.findall(r"(?<![A-Za-z0-9])sub-([A-Za-z0-9]+)", path):
            assert any(re.fullmatch(rf"sub-{label}(\+.*)?", who) for who in people), path
        named += mentions.found(path) is not None
        several += len(people) > 1
    assert named > 1_000 and several > 100, (named, several)


def test_a_label_that_goes_on_is_somebody_else() -> None:
    """Only sub-01 permits: whatever begins with that name is not theirs for that."""
    names = ("sub-01+2", "sub-01-2", "sub-01_b", "sub-01é")
    texts = {f"{name}/beh/{name}_task-x_beh.json": b"{}" for name in names}
    texts["participants.tsv"] = b"participant_id\n" + b"".join(f"{n}\n".encode() for n in names)
    found = tree(texts)
    assert not taken(found) & texts.keys()
    assert not found.written.keys() & texts.keys()


@pytest.mark.parametrize("code", ["utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("policy", ["{policy: institution}", "{reach: public, use: GRU}"])
def test_text_that_nobody_else_reads_stays_here(code: str, policy: str) -> None:
    texts = {
        "sub-01/func/sub-01_bold.json": '{"TaskDescription": "sub-03 moved"}'.encode(code),
        "sub-01/func/sub-01_task-x_events.tsv": "onset\tduration\nsub-03\t1\n".encode(code),
        "sub-01/beh/sub-01_task-x_beh.tsv": "participant_id\tx\nsub-03\t1\n".encode(code),
        "task-x_bold.json": '{"like": "sub-03"}'.encode(code),
    }
    found = tree(texts, policy)
    assert not (taken(found) | found.written.keys()) & texts.keys()


@pytest.mark.parametrize(
    "header",
    ["\nparticipant_id\tx", "Participant_ID\tx", "participant_id \tx", "subject\tx", "x\tSub-ID"],
)
@pytest.mark.parametrize("path", ["task-x_events.tsv", "phenotype/moca.tsv", "group.tsv"])
def test_a_table_of_people_is_one_whatever_its_column_is_called(header: str, path: str) -> None:
    text = f"{header}\n01\t3\n03\t4\n".encode()
    found = tree({path: text})
    assert path not in taken(found)
    assert b"03" not in found.written.get(path, b"")


@pytest.mark.parametrize("text", [b'{"age": {"x": 1},}', b'{"a": 1, "a": 2}', b"[1]", b"\xff"])
def test_what_describes_columns_and_cannot_be_read_stays_here(text: bytes) -> None:
    texts = {"participants.tsv": table("participant_id", *PEOPLE), "participants.json": text}
    found = tree(texts)
    assert "participants.json" not in taken(found) | found.written.keys()


def test_patterns_that_name_nobody_stay() -> None:
    found = tree({".bidsignore": b"*_extra.tsv\nsub-03/odd/*\n", ".gitattributes": b"sub-03/* x\n"})
    assert found.written[".bidsignore"] == b"*_extra.tsv\n"
    assert ".gitattributes" not in taken(found) | found.written.keys()
    assert ".bidsignore" in taken(tree({".bidsignore": b"*_extra.tsv\n"}))


def test_events_do_not_refer_to_stimuli_that_stay_here() -> None:
    events = "sub-01/func/sub-01_task-x_events.tsv"
    text = b"onset\tduration\tstim_file\n1\t2\thouse.png\n3\t4\telsewhere.png\n"
    texts = {events: text, "stimuli/house.png": b"words"}
    assert tree(texts).written[events] == text.replace(b"house.png", b"n/a")
    found = tree(texts, '{policy: institution, commons: ["stimuli/*"]}')
    assert {events, "stimuli/house.png"} <= taken(found)


MACHINE = ("/data/grüne studie", "/home/jane", "a1b2c3d4-0000-4000-8000-000000000001")


@pytest.mark.parametrize("word", MACHINE)
@pytest.mark.parametrize("code", [json.dumps, str.upper], ids=["json", "upper"])
def test_a_text_that_tells_of_the_stewards_machine_is_held_back(
    word: str, code: Callable[[str], str]
) -> None:
    texts = {
        "README": f"Made in {code(word)}/code.".encode(),
        "sub-01/func/sub-01_bold.json": b'{"TaskDescription": %b}'
        % json.dumps(f"{word}/x").encode(),
        "sub-02/func/sub-02_bold.json": b'{"TaskName": "rest"}',
        "participants.tsv": table("participant_id note", "sub-01 no", "sub-02 no")
        + f"sub-01\t{word}/x\n".encode(),
        ".bidsignore": f"extra/\n{word}\n".encode(),
    }
    found = tree(texts, machine=MACHINE)
    held = {"README": "machine", "sub-01/func/sub-01_bold.json": "machine"}
    assert denied(found) == held and "sub-02/func/sub-02_bold.json" in taken(found)
    assert found.written[".bidsignore"] == b"extra/\n"
    rows = found.written["participants.tsv"].decode()
    assert rows == "participant_id\tnote\nsub-01\tno\nsub-02\tno\nsub-01\tn/a\n".replace(
        "sub-02\tno", "sub-02\tn/a"
    )
    assert denied(tree(texts)) == {}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b'{"SourceFile": "\\/home\\/jane\\/x.dcm"}', True),
        (b'{"SourceFile": "file:///home/jane/x"}', True),
        (b'{"SourceFile": "from\\n/home/jane/x"}', True),
        (b'{"SourceFile": "/home/janet/x"}', False),
        (b'{"See": "https://x.example/home/jane"}', False),
    ],
)
def test_how_a_path_of_the_machine_is_written(text: bytes, told: bool) -> None:
    path = "sub-01/func/sub-01_bold.json"
    assert denied(tree({path: text}, machine=("/home/jane",))) == (
        {path: "machine"} if told else {}
    )


def test_a_description_goes_without_links_to_the_machine() -> None:
    text = json.dumps({"Name": "x", "DatasetLinks": {"raw": "/home/jane/raw", "doi": "doi:10.1/x"}})
    for path in ("dataset_description.json", "derivatives/fmriprep/dataset_description.json"):
        found = tree({path: text.encode()}, machine=("/home/jane",))
        left = {"Name": "x", "DatasetLinks": {"doi": "doi:10.1/x"}}
        assert denied(found) == {} and json.loads(found.written[path]) == left


def test_codes_are_no_labels() -> None:
    people = [f"sub-{n}" for n in range(1, 11)]
    names = Mentions(people, [p for p in people if p != "sub-2"])
    hed = {"response": {"HED": {"1": "a", "2": "b"}}, "TriggerCodes": {"1": "go", "2": "stop"}}
    assert against("task-x_events.json", json.dumps(hed).encode(), Kind.COMMONS, names) is None


def test_a_column_of_subjects_of_sentences() -> None:
    words = b"sentence\tsubject\tverb\na\tdog\truns\n"
    found = tree({"stimuli/words.tsv": words}, "{policy: institution, commons: ['stimuli/*']}")
    assert "stimuli/words.tsv" in taken(found) and not denied(found)


@pytest.mark.parametrize("name", ["x.jsonl", "x.ipynb", "x.txt.gz"])
def test_what_verify_would_find_does_not_leave(name: str) -> None:
    text = b'{"subject": "03"}\n'
    path = f"sub-01/beh/sub-01_task-x_{name}"
    found = tree({path: gzip.compress(text) if name.endswith("gz") else text})
    assert path not in taken(found)


def test_a_new_line_in_json_hides_nobody() -> None:
    names = Mentions(["sub-01", "sub-03"], ["sub-01"])
    for text in ("see\nsubject 3", "see\tparticipant 03"):
        content = json.dumps({"Note": text}).encode()
        assert against("x.json", content, Kind.DATA, names), text
