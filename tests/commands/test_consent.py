"""``datalad mrishare-consent``: import, errors, the state."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from builders import metadata, run
from leaks import scanner
from mirrors import add_path, keys_at, publish

FORM = "obc-gdpr-ult-1.1.0"
HEAD = "participant_id\tstate\tform\tfrom\n"
GIVEN = f"sub-01\tgiven\t{FORM}\t2026-01-01\n"
REFUSED = "sub-02\trefused\tn/a\t2026-01-01\n"
BOLD = "sub-01/func/sub-01_task-rest_bold.nii.gz"
T1W = "sub-01/anat/sub-01_T1w.nii.gz"


def cli(cwd: Path, *args: str, ok: tuple[int, ...] = (0,)) -> list[dict]:
    out = run(cwd, "datalad", "-f", "json", "mrishare-consent", *args, ok=ok)
    return [json.loads(line) for line in out.splitlines() if line.startswith("{")]


def call(dataset: Path, *file: str, **options: object) -> list[dict]:
    """The same from Python, which starts no interpreter."""
    from datalad.api import mrishare_consent

    quiet = {"result_renderer": "disabled", "on_failure": "ignore"}
    return mrishare_consent(*file, dataset=str(dataset), **quiet, **options)


def records(dataset: Path, text: str | bytes, name: str = "records.tsv") -> str:
    """A file beside the dataset."""
    path = dataset.parent / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return str(path)


def state(dataset: Path) -> dict[str, object]:
    """Everything that an import could change: refs, index, files, outside registry."""
    tracked = run(dataset, "git", "ls-files", "-s")
    files = sorted(p for p in dataset.rglob("*") if ".git" not in p.relative_to(dataset).parts)
    return {
        "refs": run(dataset, "git", "for-each-ref"),
        "index": tracked,
        "files": {p: p.read_bytes() for p in files if p.is_file()},
        "status": run(dataset, "git", "status", "--porcelain"),
    }


def registry(dataset: Path) -> str:
    return run(dataset, "git", "show", "HEAD:.datalad/mrishare/consent.tsv")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("r.tsv", HEAD + GIVEN + REFUSED),
        ("r.csv", (HEAD + GIVEN + REFUSED).replace("\t", ",")),
        ("r.csv", (HEAD + GIVEN + REFUSED).replace("\t", ";").replace("\n", "\r\n")),
        (
            "r.yaml",
            f"- {{participant_id: sub-01, state: given, form: {FORM}, from: 2026-01-01}}\n"
            "- {participant_id: sub-02, state: refused, from: 2026-01-01}\n",
        ),
    ],
    ids=["tsv", "csv", "semicolon", "yaml"],
)
def test_import_and_import_again(registered: Path, name: str, text: str) -> None:
    file = records(registered, text, name)
    (done,) = cli(registered, file)
    assert (done["status"], done["new"], done["known"], done["keys"]) == ("ok", 2, 0, 8)
    ours = {k: v for k, v in metadata(registered, BOLD).items() if k.startswith("mrishare-")}
    assert ours == {
        "mrishare-participant": ["sub-01"],
        "mrishare-reach": ["registered"],
        "mrishare-use": ["HMB"],
        "mrishare-region": ["any"],
        "mrishare-duty": ["DUA", "NRI"],
    }
    assert metadata(registered, "sub-02/anat/sub-02_T1w.nii.gz")["mrishare-reach"] == ["own"]
    before = state(registered)
    (again,) = cli(registered, file)
    assert (again["status"], again["new"], again["known"], again["keys"]) == ("notneeded", 0, 2, 0)
    assert state(registered) == before


def test_the_same_records_from_another_format_are_the_same(registered: Path) -> None:
    call(registered, records(registered, HEAD + GIVEN))
    before = registry(registered)
    (done,) = call(registered, records(registered, (HEAD + GIVEN).replace("\t", ","), "r.csv"))
    assert done["status"] == "notneeded" and registry(registered) == before


ERRORS = [
    (HEAD + GIVEN + REFUSED.replace("02", "77"), ["line 3", "participant_id", "sub-77"]),
    (HEAD + GIVEN.replace("1.1.0", "9"), ["line 2", "column 3 (form)"]),
    (HEAD.replace("form", "fomr") + GIVEN, ["line 1", "column 3", "fomr"]),
    (HEAD + GIVEN.replace("given", "gave"), ["line 2", "column 2 (state)", "gave"]),
    (HEAD + GIVEN.replace("2026-01-01", "03.05.2026"), ["line 2", "column 4 (from)"]),
    (HEAD + GIVEN.replace("2026-01-01", "2026-02-30"), ["line 2", "column 4 (from)"]),
    (HEAD.replace("form", "state") + GIVEN, ["line 1", "column 3", "twice"]),
    ((HEAD + GIVEN).encode() + b"sub-02\tM\xfcller\n", ["line 3", "column 9", "UTF-8"]),
    (HEAD + GIVEN.replace("\t2026", "\t\t2026"), ["line 2", "cells"]),
    (HEAD + '"sub-01"\tgiven\tx\t2026-01-01\n', ["line 2", "column 1"]),
    ("", ["empty"]),
    ("\n\n", ["empty"]),
    (GIVEN, ["line 1"]),
    (HEAD.replace("\n", "\tscope\n") + GIVEN.replace("\n", "\tsufix=T1w\n"), ["line 2", "scope"]),
    (HEAD.replace("\n", "\tlifts\n") + GIVEN.replace("\n", "\tnone-such\n"), ["line 2", "lifts"]),
    (HEAD.replace("\n", "\tby\n") + GIVEN.replace("\n", "\tguardian\n"), ["line 2", "until"]),
    (HEAD.replace("\n", "\tbasis\n") + GIVEN.replace("\n", "\twaiver\n"), ["line 2", "evidence"]),
]


def test_an_error_names_its_place_and_changes_nothing(registered: Path) -> None:
    call(registered, records(registered, HEAD + "sub-03\trefused\tn/a\t2026-01-01\n"))
    before = state(registered)
    for text, words in ERRORS:
        (found,) = call(registered, records(registered, text))
        assert found["status"] == "error", text
        for word in words:
            assert word in found["message"], (word, found["message"])
        assert state(registered) == before, text
    (missing,) = call(registered, str(registered.parent / "no such file.tsv"))
    assert "no such file.tsv" in missing["message"] and state(registered) == before


def test_all_problems_are_told_at_once(registered: Path) -> None:
    wrong = HEAD + GIVEN.replace("sub-01", "sub-88") + REFUSED.replace("refused", "no")
    (found,) = call(registered, records(registered, wrong))
    assert "line 2" in found["message"] and "line 3" in found["message"]


def test_exit_codes_for_wrong_use(registered: Path, tmp_path: Path) -> None:
    file = records(registered, HEAD + GIVEN)
    cli(registered, file, "--at", "2026-01-01", ok=(2, 1))
    assert "consent.tsv" not in run(registered, "git", "ls-files")
    (wrong,) = cli(registered, "--at", "yesterday", ok=(1,))
    assert "--at" in wrong["message"]
    empty = tmp_path / "plain"
    run(tmp_path, "datalad", "create", "plain")
    (not_registered,) = cli(empty, ok=(1,))
    assert "mrishare-register" in not_registered["message"]


def test_a_dry_run_tells_and_changes_nothing(registered: Path) -> None:
    before = state(registered)
    (done,) = call(registered, records(registered, HEAD + GIVEN), dry_run=True)
    assert (done["new"], done["keys"]) == (1, 8) and "would be" in done["message"]
    assert state(registered) == before


def test_changes_of_ours_that_are_not_committed_are_refused(registered: Path) -> None:
    call(registered, records(registered, HEAD + GIVEN))
    table = registered / ".datalad/mrishare/consent.tsv"
    table.write_text(table.read_text().replace("given", "refused"))
    before = state(registered)
    (refused,) = call(registered, records(registered, HEAD + REFUSED))
    assert "not committed" in refused["message"] and state(registered) == before


def test_what_somebody_staged_stays_staged(registered: Path) -> None:
    (registered / "mine.txt").write_text("mine")
    run(registered, "git", "add", "mine.txt")
    call(registered, records(registered, HEAD + GIVEN))
    assert run(registered, "git", "status", "--porcelain") == "A  mine.txt\n"


def test_the_state_of_everyone_and_in_sum(registered: Path) -> None:
    add_path(registered, "mirror", "institution")
    head = HEAD.replace("\n", "\tscope\tthen\n")
    rows = (
        f"sub-01\tgiven\t{FORM}\t2026-01-01\tn/a\tn/a\n"
        f"sub-02\tgiven\t{FORM}\t2026-01-01\tdatatype=func\tn/a\n"
        "sub-03\twithdrawn\tn/a\t2026-01-01\tn/a\tstop-sharing\n"
    )
    call(registered, records(registered, head + rows))
    found = call(registered)
    people = {r["participant"]: r for r in found if r["type"] == "participant"}
    assert {p: r["state"] for p, r in people.items()} == {
        "sub-01": "given",
        "sub-02": "given",
        "sub-03": "withdrawn",
        "sub-04": "none",
    }
    assert people["sub-01"]["permits"] == {
        "reach": "registered",
        "use": "HMB",
        "region": "any",
        "duty": "DUA NRI",
    }
    assert people["sub-03"]["permits"] == people["sub-04"]["permits"] == {}
    assert people["sub-01"]["files"] == people["sub-01"]["permitted_files"] == 5
    assert (people["sub-02"]["permitted_files"], people["sub-02"]["files"]) == (3, 5)
    (share,) = (r for r in found if r["type"] == "sibling")
    # five files of sub-01, the series with sidecar and events of sub-02
    assert (share["sibling"], share["files"], share["of_files"]) == ("mirror", 8, 20)
    assert 0 < share["bytes"] < share["of_bytes"]
    text = run(registered, "datalad", "mrishare-consent")
    assert "sub-02" in text and "3 of 5 files" in text and "8 of 20 files" in text


def test_the_state_of_a_day_in_the_past_is_what_was_known_then(registered: Path) -> None:
    head = HEAD.replace("\n", "\trecorded\n")
    rows = f"sub-01\tgiven\t{FORM}\t2026-01-01\t2026-02-01\n"
    rows += "sub-01\twithdrawn\tn/a\t2026-03-01\t2026-04-01\n"
    call(registered, records(registered, head + rows))

    def at(day: str) -> tuple[str, int]:
        (found,) = (r for r in call(registered, at=day) if r.get("participant") == "sub-01")
        return found["state"], found["records"]

    assert at("2026-01-15") == ("none", 0)  # given, but nobody had written it down
    assert at("2026-02-01") == ("given", 1)
    assert at("2026-03-15") == ("given", 1)  # withdrawn, but nobody had written it down
    assert at("2026-04-01") == ("withdrawn", 2)


def participants(dataset: Path, **options: object) -> dict[str, dict]:
    found = call(dataset, **options)
    return {r["participant"]: r for r in found if r["type"] == "participant"}


def attention(dataset: Path, **options: object) -> dict:
    (found,) = (r for r in call(dataset, **options) if r["type"] == "attention")
    return found


DAY = "2026-05-04"
#: rows of sub-01 (until, by, scope), what is told as the end, and whether it is soon
ENDS = [
    (["n/a self n/a"], None, False),
    (["2026-05-05 self n/a"], "2026-05-05", True),
    (["2026-08-02 self n/a"], "2026-08-02", True),  # 27 in May, 30, 31, and 2 in August: 90 days
    (["2026-08-03 self n/a"], "2026-08-03", False),
    (["2026-05-03 self n/a"], None, False),  # ended yesterday
    (["2026-05-04 self n/a"], None, False),  # today is the first day without
    (["2026-07-01 guardian n/a"], "2026-07-01", True),
    (["2027-01-01 guardian n/a"], "2027-01-01", False),
    (["2026-06-01 self datatype=anat", "2026-07-01 self datatype=func"], "2026-06-01", True),
    (["2027-06-01 self datatype=anat", "2026-07-01 self datatype=func"], "2026-07-01", True),
    (["n/a self datatype=anat", "2026-07-01 self datatype=func"], "2026-07-01", True),
    (["2026-05-01 self datatype=anat", "2027-07-01 self datatype=func"], "2027-07-01", False),
    # there are no files of that kind, so nothing ends
    (["2027-01-01 self n/a", "2026-06-01 self datatype=dwi"], "2027-01-01", False),
]


@pytest.mark.parametrize(("rows", "ends", "soon"), ENDS)
def test_when_what_is_permitted_ends(
    registered: Path, rows: list[str], ends: str | None, soon: bool
) -> None:
    text = HEAD.replace("\n", "\tuntil\tby\tscope\trecorded\n")
    for row in rows:
        cells = "\t".join(row.split(" "))
        text += GIVEN.replace("\n", f"\t{cells}\t2026-01-01\n")
    call(registered, records(registered, text))
    found = participants(registered, at=DAY)["sub-01"]
    assert (found["ends"], found["ends_soon"]) == (ends, soon)
    seen = attention(registered, at=DAY)
    assert ("sub-01" in seen["ends_soon"]) is soon
    ended = any(row.split()[0] in ("2026-05-01", "2026-05-03", "2026-05-04") for row in rows)
    assert ("sub-01" in seen["expired"]) is ended
    assert seen["no_record"] == ["sub-02", "sub-03", "sub-04"] and seen["no_data"] == []


@pytest.mark.slow
def test_an_end_is_looked_at_from_the_day_asked_about(registered: Path) -> None:
    text = HEAD.replace("\n", "\tuntil\trecorded\n")
    text += GIVEN.replace("\n", "\t2026-08-02\t2026-01-01\n")
    call(registered, records(registered, text))
    for day, soon, word in (
        ("2026-05-03", False, "given"),
        ("2026-05-04", True, "given"),
        ("2026-08-01", True, "given"),
        ("2026-08-02", False, "expired"),
    ):
        found = participants(registered, at=day)["sub-01"]
        assert (found["ends_soon"], found["state"]) == (soon, word), day
    text = run(registered, "datalad", "mrishare-consent", "--at", "2026-08-01")
    assert "; ends in 1 day, on 2026-08-02; 5 files" in text
    assert "ends within 90 days: 1 (sub-01)" in text


def test_who_has_data_or_a_record_only(registered: Path) -> None:
    table = registered / "participants.tsv"
    table.write_text(table.read_text() + "sub-05\t30\tF\nsub-06\t31\tM\n")
    run(registered, "git", "commit", "--quiet", "-a", "-m", "two more")
    rows = "".join(GIVEN.replace("sub-01", who) for who in ("sub-01", "sub-03", "sub-05"))
    call(registered, records(registered, HEAD + rows + REFUSED))
    people = participants(registered)
    assert {p: (r["data"], r["records"]) for p, r in people.items()} == {
        "sub-01": (True, 1),
        "sub-02": (True, 1),
        "sub-03": (True, 1),
        "sub-04": (True, 0),
        "sub-05": (False, 1),
        "sub-06": (False, 0),
    }
    assert (people["sub-05"]["files"], people["sub-05"]["permitted_files"]) == (0, 0)
    found = attention(registered)
    assert (found["no_record"], found["no_data"]) == (["sub-04"], ["sub-05"])
    assert (found["participants"], found["ends_soon"], found["expired"]) == (6, [], [])
    text = run(registered, "datalad", "mrishare-consent")
    assert "sub-04: no record; permits nothing; 5 files" in text
    assert "sub-05: given" in text and "; no data\n" in text
    last = text.splitlines()[-1]
    assert last == "  attention: data but no record: 1 (sub-04); a record but no data: 1 (sub-05)"


def test_what_starts_later_is_on_record_and_not_in_force(registered: Path) -> None:
    head = HEAD.replace("\n", "\trecorded\n")
    rows = GIVEN.replace("2026-01-01\n", "2026-06-01\t2026-01-01\n")
    call(registered, records(registered, head + rows))
    found = participants(registered, at=DAY)["sub-01"]
    assert (found["state"], found["records"], found["permits"]) == ("none", 1, {})
    assert (found["ends"], found["permitted_files"]) == (None, 0)
    assert "on record, but not in force" in found["message"]
    assert "sub-01" not in attention(registered, at=DAY)["no_record"]


def test_a_consent_that_has_ended_for_a_part_is_told(registered: Path) -> None:
    head = HEAD.replace("\n", "\tuntil\tscope\trecorded\n")
    rows = GIVEN.replace("\n", "\tn/a\tn/a\t2026-01-01\n")
    rows += GIVEN.replace("01-01\n", "02-01\t2026-03-01\tdatatype=anat\t2026-02-01\n")
    call(registered, records(registered, head + rows))
    found = participants(registered, at=DAY)["sub-01"]
    # an image with its sidecar; the older consent does not step in for it
    assert (found["permitted_files"], found["expired_files"]) == (3, 2)
    assert "3 of 5 files" in found["message"] and "expired for 2 files" in found["message"]


def test_nobody_needs_attention(registered: Path) -> None:
    everyone = "".join(GIVEN.replace("sub-01", f"sub-0{n}") for n in range(1, 5))
    call(registered, records(registered, HEAD + everyone))
    assert attention(registered)["message"] == "nobody needs attention"


def test_a_table_may_name_somebody_of_whom_nothing_else_is_known(registered: Path) -> None:
    path = registered / "sub-01/beh/sub-01_task-x_beh.tsv"
    path.parent.mkdir()
    path.write_text("participant_id\tscore\nsub-77\t3\n")
    run(registered, "git", "add", "sub-01")
    run(registered, "git", "commit", "--quiet", "-m", "table")
    assert participants(registered)["sub-77"]["files"] == 1


def test_what_git_annex_finds_is_what_publishing_sends(registered: Path) -> None:
    policy = registered.parent / "policy.yaml"
    policy.write_text("policy: institution\ncommons: [templates/*]\n")
    (registered / "templates").mkdir()
    (registered / "templates/mni.nii.gz").write_bytes(b"template" * 999)
    run(registered, "git", "annex", "add", "templates")
    run(registered, "git", "commit", "--quiet", "-m", "template")
    place = add_path(registered, "mirror", str(policy))
    call(registered, records(registered, HEAD + GIVEN + REFUSED))
    find = ("find", "--anything", "--metadata=mrishare-share=mirror", "--format=${key}\\n")
    found = set(run(registered, "git", "annex", *find).split())
    publish(registered, "mirror")
    assert found == keys_at(place) and len(found) == 3
    # and after a change of mind
    withdrawn = "sub-01\twithdrawn\tn/a\t2026-02-01\n"
    call(registered, records(registered, HEAD + withdrawn))
    assert "mrishare-share" not in metadata(registered, BOLD)
    assert metadata(registered, BOLD)["mrishare-reach"] == ["own"]
    found = set(run(registered, "git", "annex", *find).split())
    publish(registered, "mirror")
    assert found == keys_at(place) and len(found) == 1


def test_other_metadata_stays(registered: Path) -> None:
    run(registered, "git", "annex", "metadata", BOLD, "-s", "quality=very good", "-t", "seen")
    before = metadata(registered, BOLD)
    call(registered, records(registered, HEAD + GIVEN))
    after = metadata(registered, BOLD)
    assert {k: after[k] for k in before} == before
    assert set(after) - set(before) >= {"mrishare-participant", "mrishare-reach", "mrishare-use"}


def test_an_outside_registry_leaves_nothing_in_the_dataset(registered: Path) -> None:
    outside = registered.parent / "private"
    outside.mkdir()
    run(registered, "git", "config", "datalad.mrishare.registry", str(outside))
    head = HEAD.replace("\n", "\tevidence\trecord\n")
    row = GIVEN.replace("\n", "\tfolderNineteen\ttokenTwelve\n")
    (done,) = call(registered, records(registered, head + row))
    assert (done["status"], done["keys"]) == ("ok", 8)
    assert "folderNineteen" in (outside / "consent.tsv").read_text()
    assert scanner.scan(registered, ["folderNineteen", "tokenTwelve", "consent.tsv"]) == {}
    (again,) = call(registered, records(registered, head + row))
    assert again["status"] == "notneeded"
    outside.rename(registered.parent / "unmounted")
    (gone,) = call(registered)
    assert "not there" in gone["message"]


def test_a_dataset_cannot_redirect_the_registry(registered: Path) -> None:
    outside = registered.parent / "theirs"
    outside.mkdir()
    config = registered / ".datalad/config"
    for name in ("datalad.mrishare.registry", "include.path"):
        run(registered, "git", "config", "-f", str(config), name, str(outside))
    run(registered, "git", "commit", "--quiet", "-a", "-m", "redirect")
    cli(registered, records(registered, HEAD + GIVEN))
    assert list(outside.iterdir()) == [] and "sub-01" in registry(registered)


def test_from_a_subdirectory_and_from_elsewhere(registered: Path) -> None:
    file = records(registered, HEAD + GIVEN)
    (done,) = cli(registered / "sub-01/anat", file)
    assert (done["status"], done["path"]) == ("ok", str(registered))
    (again,) = cli(registered.parent, "-d", registered.name, Path(file).name)
    assert again["status"] == "notneeded"
