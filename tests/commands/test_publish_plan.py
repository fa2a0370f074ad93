"""``datalad mrishare-publish``: what the steward asks of a plan, and plans in files."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from builders import run
from mirrors import FORM, add_path, add_ria, consent, keys_at, keys_of, publish, told, units

from datalad_mrishare.repo.transfer import ByteCount, Moved
from datalad_mrishare.repo.worktree import Checkout
from datalad_mrishare.sharing.consents import import_consent
from datalad_mrishare.sharing.planfiles import _digest
from datalad_mrishare.sharing.publishing import Publication
from datalad_mrishare.sharing.reports import ProblemReport, UnitReport
from datalad_mrishare.sharing.siblings import declare

BOTH = ("sub-01", "sub-02")


@pytest.fixture
def dataset(registered: Path) -> Path:
    """01, 02 and 04 permit it, 03 refused; 01 and 03 are F, 02 and 04 M."""
    given = [(p, "given") for p in ("sub-01", "sub-02", "sub-04")]
    consent(registered, *given, ("sub-03", "refused"))
    return registered


def table(records: list[dict[str, Any]]) -> dict[str, tuple[int, int, int]]:
    """The levels of the one record of the bias."""
    (found,) = (r for r in records if r.get("outcome") == "bias")
    return {
        f"{x['column']} {x['level']}".strip(): (x["with_data"], x["permitted"], x["there"])
        for x in found["levels"]
    }


@pytest.mark.slow
def test_who_is_there_beside_who_was_measured(dataset: Path) -> None:
    mir = add_path(dataset, "mir", "institution")
    planned = told(dataset, budget="100kB", dry_run=True)
    expected = {
        "all": (4, 3, 1),
        "sex F": (2, 1, 1),
        "sex M": (2, 2, 0),
        "age 20-29": (2, 2, 1),
        "age 30-39": (1, 0, 0),
        "age 40-49": (1, 1, 0),
    }
    assert table(planned) == expected
    assert table(told(dataset, budget="100kB")) == expected
    out = run(dataset, "datalad", "mrishare-publish", "--to", "mir", "--budget", "100kB")
    lines = out.splitlines()
    place = next(n for n, line in enumerate(lines) if line.startswith("bias"))
    assert lines[place + 1].split() == ["participants", "with", "data", "permitted", "there"]
    assert lines[place + 4].split() == ["sex", "M", "2", "2", "0"]
    assert "with_data" not in run(mir, "git", "log", "-p", "--all")
    events = run(dataset, "git", "grep", "-l", "with_data", "HEAD", "--", ".datalad", ok=(0, 1))
    assert events == ""


def test_balance_chooses_among_those_who_permit(dataset: Path) -> None:
    """One F and one M where the order of counting would do, too; then two M with F there."""
    mir = add_path(dataset, "mir", "institution")
    records = told(dataset, budget="80kB", balance="sex", dry_run=True)
    assert units(records)["sub-02"] == "planned", "two of three are M"
    assert units(told(dataset, budget="160kB", balance=["sex"]))["sub-04"] == "defer"
    assert keys_at(mir) == keys_of(dataset, *BOTH)
    (bias,) = (r for r in told(dataset, balance="sex,age") if r.get("outcome") == "bias")
    assert bias["balanced"] == ["sex", "age"] and bias["distance_after"] == 0
    assert 0 < bias["distance_before"] < 0.5
    assert "mean total variation distance" in bias["message"]


def test_balance_in_an_unknown_column(dataset: Path) -> None:
    mir = add_path(dataset, "mir", "institution")
    (refused,) = told(dataset, balance="age,weight", code=1)
    assert "no column `weight`" in refused["message"] and "age, sex" in refused["message"]
    assert keys_at(mir) == set()


def test_smaller_units(dataset: Path) -> None:
    mir = add_path(dataset, "mir", "institution")
    records = told(dataset, unit="file", budget="100kB", first="datatype=anat")
    sent = {u for u, outcome in units(records).items() if outcome == "sent"}
    assert "sub-01/anat/sub-01_T1w.nii.gz" in sent and len(sent) == len(keys_at(mir)) > 1
    assert set(units(records).values()) == {"sent", "defer"}


def test_what_is_preferred_goes_first(dataset: Path) -> None:
    for part in ("sub-01/anat", "sub-02/func"):
        run(dataset, "git", "rm", "-q", "-r", part)
    run(dataset, "datalad", "save", "-m", "some have one of both only")
    mir = add_path(dataset, "mir", "institution")
    records = told(dataset, first="datatype=anat", budget="80kB")
    outcome = {u: o for u, o in units(records).items() if o == "sent"}
    assert outcome == {"sub-02": "sent"} or outcome == {"sub-02": "sent", "sub-01": "sent"}
    assert keys_at(mir) >= keys_of(dataset, "sub-02")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"unit": "person"}, "--unit: unknown unit `person`"),
        ({"first": "anat"}, "--first: `anat` selects nothing"),
        ({"balance": "age,"}, "--balance: names no column"),
    ],
)
def test_wrong_use(options: dict[str, Any], sentence: str, registered_template: Path) -> None:
    from datalad.api import mrishare_publish
    from datalad.support.exceptions import InsufficientArgumentsError

    with pytest.raises(InsufficientArgumentsError, match=sentence):
        mrishare_publish(**{"to": "mir", "dataset": registered_template, **options})


# -- failures


def failing(monkeypatch: pytest.MonkeyPatch, keys: set[str], times: int, why: str) -> list[int]:
    """Let the transfer of ``keys`` fail so many times; returns the sizes of all attempts."""
    left = dict.fromkeys(keys, times)
    attempts: list[int] = []
    sent = Publication._sent

    def send(self: Publication, asked: list[str], counter: ByteCount) -> Iterator[Moved]:
        attempts.append(len(asked))
        now = [k for k in asked if left.get(k, 0) > 0]
        for key in now:
            left[key] -= 1
            yield Moved(key, False, why)
        yield from sent(self, [k for k in asked if k not in now], counter)

    monkeypatch.setattr(Publication, "_sent", send)
    return attempts


def test_a_broken_connection_is_tried_again(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mir = add_path(dataset, "mir", "institution")
    attempts = failing(monkeypatch, keys_of(dataset, "sub-02"), 2, "Connection reset by peer")
    waited: list[float] = []
    reports = publish(dataset, "mir", pause=waited.append)
    assert {r.unit.name: r.status for r in reports if isinstance(r, UnitReport)} == dict.fromkeys(
        ("sub-01", "sub-02", "sub-04"), "sent"
    )
    assert attempts == [6, 2, 2] and waited == [0.5, 2.0]
    assert keys_at(mir) == keys_of(dataset, *BOTH, "sub-04")


def test_an_incomplete_unit_is_told_and_comes_first_next_time(
    dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mir = add_path(dataset, "mir", "institution")
    late = keys_of(dataset, "sub-04/func")
    with monkeypatch.context() as patch:
        attempts = failing(patch, late, 99, "Permission denied")
        records = told(dataset, select="sub=04", code=1)
    assert attempts == [2], "it does not get better by waiting"
    (left,) = (r for r in records if r.get("outcome") == "incomplete")
    assert left["unit"] == "sub-04" and set(left["failed"]) == late
    assert "Permission denied" in left["message"]
    (event,) = told(dataset, None, history=True)  # type: ignore[arg-type]
    assert (event["units_sent"], event["units_incomplete"]) == ([], ["sub-04"])
    assert units(told(dataset, budget="100kB"))["sub-04"] == "sent"
    assert keys_at(mir) == keys_of(dataset, "sub-04")


# -- damage


def flip(place: Path, key: str) -> None:
    """Change one byte of an object, and nothing else."""
    (file,) = (p for p in place.rglob(f"objects/**/{key}") if p.is_file())
    file.chmod(0o644)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    file.chmod(0o444)


@pytest.mark.parametrize(
    ("policy", "add"),
    [
        ("institution", add_path),
        pytest.param("backup", add_ria, marks=pytest.mark.slow),
    ],
)
def test_a_flipped_byte_is_found_and_sent_anew(
    dataset: Path, policy: str, add: Callable[[Path, str, str], Path]
) -> None:
    mir = add(dataset, "mir", policy)
    told(dataset)
    there = keys_at(mir)
    assert told(dataset, checksum=True)[-1]["status"] == "notneeded", "nothing is damaged"
    (key,) = keys_of(dataset, "sub-02/func")
    flip(mir, key)
    assert "Nothing to do" in told(dataset)[-1]["message"], "only a checksum can tell"
    records = told(dataset, checksum=True)
    (found,) = (r for r in records if r.get("outcome") == "compared")
    assert (found["status"], found["damaged"], found["units"]) == ("ok", [key], ["sub-02"])
    assert found["compared"] == len(there) and "sub-02, sent anew" in found["message"]
    assert keys_at(mir) == there
    assert told(dataset, checksum=True)[-1]["status"] == "notneeded"
    assert not list((dataset / ".git/mrishare/mir").rglob("bad"))
    source = keys_of(dataset, "sub-02/func")
    assert run(dataset, "git", "annex", "fsck", "--all", "--quiet") == "" and source == {key}


@pytest.mark.parametrize("words", [("chunk=5kB",), ()])
def test_what_is_compared_is_counted_in_chunks_or_whole(
    dataset: Path, tmp_path: Path, words: tuple[str, ...]
) -> None:
    place = tmp_path / "store"
    place.mkdir()
    options = ("type=directory", f"directory={place}", "encryption=none", *words)
    run(dataset, "git", "annex", "initremote", "mir", *options)
    declare(Checkout(dataset), "mir", "backup")
    told(dataset)
    there = len(keys_of(dataset, ""))

    def compared(code: int = 0) -> dict[str, Any]:
        records = told(dataset, checksum=True, code=code)
        (found,) = (r for r in records if r.get("outcome") == "compared")
        return found

    found = compared()
    assert (found["compared"], found["without_checksum"]) == (there, 0)
    (key,) = keys_of(dataset, "sub-02/func")
    file = max(p for p in place.rglob("SHA256E*") if p.is_file() and key[-40:] in p.name)
    file.chmod(0o644)
    file.write_bytes(file.read_bytes()[:-1] + b"!")
    assert compared()["damaged"] == [key]
    assert compared()["damaged"] == []


@pytest.mark.slow
def test_damage_that_cannot_be_mended_is_told(dataset: Path) -> None:
    mir = add_path(dataset, "mir", "institution")
    told(dataset)
    (key,) = keys_of(dataset, "sub-02/func")
    flip(mir, key)
    run(dataset, "git", "annex", "drop", "--force", "sub-02/func")
    records = told(dataset, checksum=True, code=1)
    (found,) = (r for r in records if r.get("outcome") == "compared")
    assert found["status"] == "error" and list(found["failed"]) == [key]
    counted = {"send": 0, "keep": 2, "defer": 0, "incomplete": 1}
    assert records[-1]["units"] == counted, "what lost something is not there"
    assert keys_at(mir) == keys_of(dataset, "sub-01", "sub-02/anat", "sub-04")
    records = told(dataset, code=1)
    assert units(records)["sub-02"] == "defer", "it is known that it is not there"


# -- plans in files


@pytest.fixture
def plan(dataset: Path) -> Path:
    """A plan that sends sub-01 and has no room for the others."""
    add_path(dataset, "mir", "institution")
    file = dataset.parent / "plan.json"
    told(dataset, budget="100kB", plan_to=file)
    return file


def mirror(dataset: Path) -> Path:
    return dataset.parent / "mir.git"


def refused(dataset: Path, plan: Path, sentence: str) -> None:
    """Nothing goes, and the one thing that is wrong is told with what to do about it."""
    before = keys_at(mirror(dataset)), run(mirror(dataset), "git", "for-each-ref")
    records = told(dataset, plan=plan, code=1)
    (problem,) = (r for r in records if r["outcome"] == "refused")
    assert sentence in problem["what"] and "--plan-to" in problem["remedy"], problem
    assert problem["status"] == "impossible" and problem["where"] == str(plan)
    assert (keys_at(mirror(dataset)), run(mirror(dataset), "git", "for-each-ref")) == before


def test_writing_a_plan_sends_nothing(dataset: Path, plan: Path) -> None:
    assert keys_at(mirror(dataset)) == set()
    assert stat.S_IMODE(plan.stat().st_mode) == 0o600
    content = json.loads(plan.read_text())
    assert content["schema"] == "mrishare-plan-1" and content["sibling"] == "mir"
    (unit,) = content["units"]
    assert unit["unit"] == "sub-01" and set(unit["keys"]) == keys_of(dataset, "sub-01")
    assert unit["bytes"] == sum(int(k.split("-")[1][1:]) for k in unit["keys"])


def test_exactly_the_plan_is_carried_out(dataset: Path, plan: Path) -> None:
    """There is room for all now; it still sends one, and a second time does nothing."""
    looked = told(dataset, plan=plan, dry_run=True)
    assert units(looked) == {"sub-01": "planned", "sub-02": "defer", "sub-04": "defer"}
    assert keys_at(mirror(dataset)) == set()
    records = told(dataset, plan=plan)
    assert units(records) == {"sub-01": "sent", "sub-02": "defer", "sub-04": "defer"}
    assert keys_at(mirror(dataset)) == keys_of(dataset, "sub-01")
    assert "Nothing to do" in told(dataset, plan=plan)[-1]["message"], "its event changes nothing"


def test_the_order_of_the_plan(dataset: Path, plan: Path) -> None:
    told(dataset, plan_to=plan, first="sub=04")
    names = [u["unit"] for u in json.loads(plan.read_text())["units"]]
    assert names == ["sub-04", "sub-01", "sub-02"]
    assert [u for u, o in units(told(dataset, plan=plan)).items() if o == "sent"] == names


@pytest.mark.slow
def test_a_plan_that_was_half_carried_out(dataset: Path, plan: Path) -> None:
    told(dataset, plan_to=plan, budget="160kB")
    told(dataset, select="datatype=anat", budget="100kB")
    assert keys_at(mirror(dataset))
    told(dataset, plan=plan)
    assert keys_at(mirror(dataset)) >= keys_of(dataset, *BOTH)


@pytest.mark.slow
def test_taking_back_is_part_of_a_plan(dataset: Path, plan: Path) -> None:
    told(dataset)
    consent(dataset, ("sub-02", "withdrawn"))
    told(dataset, plan_to=plan)
    assert set(json.loads(plan.read_text())["take_back"]) == keys_of(dataset, "sub-02")
    told(dataset, plan=plan)
    assert keys_at(mirror(dataset)) == keys_of(dataset, "sub-01", "sub-04")


def change_records(dataset: Path) -> None:
    consent(dataset, ("sub-02", "withdrawn"))


def change_policy(dataset: Path) -> None:
    file = dataset / ".datalad/mrishare/siblings.yaml"
    file.write_text(file.read_text() + "    budget: 1GB\n")
    run(dataset, "datalad", "save", "-m", "a budget")


def change_tree(dataset: Path) -> None:
    (dataset / "sub-01/anat/sub-01_T2w.nii.gz").write_bytes(b"another image")
    run(dataset, "datalad", "save", "-m", "more")


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (change_records, "the forms or records"),
        (change_policy, "the policies"),
        (change_tree, "the dataset"),
    ],
)
def test_what_it_rests_on_has_changed(
    dataset: Path, plan: Path, change: Callable[[Path], None], word: str
) -> None:
    change(dataset)
    refused(dataset, plan, f"was made before {word} changed")


def test_a_registry_outside_has_changed(dataset: Path, plan: Path, tmp_path: Path) -> None:
    outside = tmp_path / "registry"
    outside.mkdir()
    records = (dataset / ".datalad/mrishare/consent.tsv").read_text()
    (outside / "consent.tsv").write_text(records)
    run(dataset, "git", "config", "datalad.mrishare.registry", str(outside))
    refused(dataset, plan, "was made before the forms or records changed")
    told(dataset, plan_to=plan, budget="100kB")
    lines = [line for line in records.splitlines() if line.split("\t")[1:2] != ["sub-04"]]
    (outside / "consent.tsv").write_text("\n".join(lines) + "\n")
    refused(dataset, plan, "was made before the forms or records changed")


def edited(content: dict[str, Any]) -> dict[str, Any]:
    return content | {"units": []}


def other_sibling(content: dict[str, Any]) -> dict[str, Any]:
    content = content | {"sibling": "other"}
    del content["digest"]
    return content | {"digest": _digest(content)}


def not_ours(content: dict[str, Any]) -> dict[str, Any]:
    return {"schema": "something"}


@pytest.mark.parametrize(
    ("edit", "sentence"),
    [
        (edited, "has been changed since it was written"),
        (other_sibling, "is a plan for sibling 'other'"),
        (not_ours, "is not a plan that --plan-to of this version wrote"),
    ],
)
def test_a_file_that_is_not_the_plan(
    dataset: Path, plan: Path, edit: Callable[[dict[str, Any]], dict[str, Any]], sentence: str
) -> None:
    plan.write_text(json.dumps(edit(json.loads(plan.read_text()))))
    refused(dataset, plan, sentence)


def test_no_file_at_all(dataset: Path, plan: Path) -> None:
    plan.unlink()
    refused(dataset, plan, "cannot be read (No such file or directory)")


def test_a_forged_plan_sends_nothing_that_is_denied(dataset: Path, plan: Path) -> None:
    """The file never decides: with a right digest, a key of somebody who refused stays."""
    content = json.loads(plan.read_text())
    del content["digest"]
    content["units"][0]["keys"] += sorted(keys_of(dataset, "sub-03"))
    plan.write_text(json.dumps(content | {"digest": _digest(content)}))
    refused(dataset, plan, "would send what may not go today, in sub-01")


def test_a_consent_that_ended_between_plan_and_publication(dataset: Path, plan: Path) -> None:
    table = (
        f"participant_id\tstate\tform\tfrom\tuntil\nsub-03\tgiven\t{FORM}\t2026-02-01\t2026-06-01\n"
    )
    lifted = table.replace("until", "until\tlifts").replace("2026-06-01", "2026-06-01\tn/a")
    assert lifted
    run(dataset, "git", "rm", "-q", ".datalad/mrishare/consent.tsv")
    run(dataset, "git", "commit", "-q", "-m", "a new registry")
    import_consent(Checkout(dataset), table.encode(), "r.tsv", today=date(2026, 5, 4))
    publish(dataset, "mir", at=date(2026, 5, 31), dry_run=True, plan_to=plan)
    assert [u["unit"] for u in json.loads(plan.read_text())["units"]] == ["sub-03"]
    reports = publish(dataset, "mir", at=date(2026, 6, 1), plan_from=plan)
    (problem,) = (r for r in reports if isinstance(r, ProblemReport))
    assert problem.what == "would send what may not go today, in sub-03"
    assert keys_at(mirror(dataset)) == set()
    publish(dataset, "mir", at=date(2026, 5, 31), plan_from=plan)
    assert keys_at(mirror(dataset)) == keys_of(dataset, "sub-03")


def test_a_consent_that_began_between_plan_and_publication(dataset: Path, plan: Path) -> None:
    """The release would name them, and those who decided saw nothing of that."""
    table = f"participant_id\tstate\tform\tfrom\nsub-03\tgiven\t{FORM}\t2026-05-20\n"
    run(dataset, "git", "rm", "-q", ".datalad/mrishare/consent.tsv")
    run(dataset, "git", "commit", "-q", "-m", "a new registry")
    table += f"sub-01\tgiven\t{FORM}\t2026-01-01\n"
    import_consent(Checkout(dataset), table.encode(), "r.tsv", today=date(2026, 5, 4))
    publish(dataset, "mir", at=date(2026, 5, 10), dry_run=True, plan_to=plan)
    assert [u["unit"] for u in json.loads(plan.read_text())["units"]] == ["sub-01"]
    reports = publish(dataset, "mir", at=date(2026, 5, 20), plan_from=plan)
    (problem,) = (r for r in reports if isinstance(r, ProblemReport))
    assert "files of sub-03 may go since" in problem.what
    assert keys_at(mirror(dataset)) == set()
    publish(dataset, "mir", at=date(2026, 5, 19), plan_from=plan)
    assert keys_at(mirror(dataset)) == keys_of(dataset, "sub-01")


def test_content_that_is_gone(dataset: Path, plan: Path) -> None:
    run(dataset, "git", "annex", "drop", "--force", "sub-01/anat")
    refused(dataset, plan, "cannot be carried out for sub-01: content of 1 of 2 files")


def test_other_files_are_not_replaced(dataset: Path, plan: Path) -> None:
    other = dataset.parent / "notes.txt"
    other.write_text("notes")
    (record,) = told(dataset, plan_to=other, code=1)
    assert "is there already, and is no plan" in record["message"]
    assert other.read_text() == "notes"
    (record,) = told(dataset, plan_to=dataset.parent / "no/plan.json", code=1)
    assert "is in no directory that is there" in record["message"]


def test_a_plan_and_wishes_at_once(dataset: Path, plan: Path) -> None:
    from datalad.support.exceptions import InsufficientArgumentsError

    with pytest.raises(InsufficientArgumentsError, match="--plan: carries out a plan as it is"):
        told(dataset, plan=plan, budget="1GB")


def test_on_the_command_line(dataset: Path, plan: Path) -> None:
    argv = ("datalad", "mrishare-publish", "--to", "mir")
    out = run(dataset, *argv, "--plan-to", "../plan.json")
    assert "plan written" in out and "3 units" in out
    out = run(dataset, *argv, "--plan", "../plan.json")
    assert "3 units sent" in out
