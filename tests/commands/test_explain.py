"""``datalad mrishare-explain``: every reason, for every kind of path."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from builders import copy_dataset, run
from mirrors import TODAY, add_path, bare

from datalad_mrishare.repo.worktree import Checkout
from datalad_mrishare.sharing.consents import import_consent
from datalad_mrishare.sharing.siblings import declare

FORM = "obc-gdpr-ult-1.1.0"
RECORDS = f"""record\tparticipant_id\tstate\tform\tfrom\tthen\trecorded
a\tsub-01\tgiven\t{FORM}\t2026-01-01\tn/a\t2026-01-01
b\tsub-02\trefused\tn/a\t2026-01-01\tn/a\t2026-01-01
c\tsub-03\tgiven\t{FORM}\t2026-01-01\tn/a\t2026-01-01
d\tsub-03\twithdrawn\tn/a\t2026-03-01\tstop-use\t2026-03-01
"""
BOLD, T1W = "func/{0}_task-rest_bold.nii.gz", "anat/{0}_T1w.nii.gz"


@pytest.fixture(scope="module")
def shared(registered_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three siblings; sub-01 gave, sub-02 refused, sub-03 withdrew. Only to be looked at."""
    registered = copy_dataset(registered_template, tmp_path_factory.mktemp("explain") / "dataset")
    add_path(registered, "mirror", "institution")
    add_path(registered, "world", "registered")
    backup = bare(registered.parent / "backup.git")
    run(registered, "git", "remote", "add", "backup", str(backup))
    declare(Checkout(registered), "backup", "backup")
    (registered / "README").write_text("All about sub-02.\n")
    (registered / "notes.txt").write_text("nothing\n")
    run(registered, "git", "add", "README", "notes.txt")
    run(registered, "git", "commit", "--quiet", "-m", "texts")
    import_consent(Checkout(registered), RECORDS.encode(), "r.tsv", today=TODAY)
    return registered


def cli(cwd: Path, *args: str, ok: tuple[int, ...] = (0, 1)) -> dict[str, dict]:
    """Path -> record; the exit code says whether anything is denied."""
    out = run(cwd, "datalad", "-f", "json", "mrishare-explain", *args, ok=ok)
    found = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    return {r["path"].rpartition("/dataset/")[2]: r for r in found}


def why(record: dict) -> list[tuple[str, str | None, str | None]]:
    return [(r["component"], r["participant"], r["record"]) for r in record["reasons"]]


def test_every_kind_of_path(shared: Path) -> None:
    found = cli(shared, "--to", "mirror", ok=(1,))
    expected = {
        f"sub-01/{BOLD.format('sub-01')}": [],
        f"sub-01/{T1W.format('sub-01')}": [],
        f"sub-02/{BOLD.format('sub-02')}": [("consent", "sub-02", "b")],
        f"sub-03/{BOLD.format('sub-03')}": [("consent", "sub-03", "d")],
        f"sub-04/{BOLD.format('sub-04')}": [("consent", "sub-04", None)],
        "participants.tsv": [],
        "dataset_description.json": [],
        "README": [("mention", None, None)],
        "notes.txt": [("participant", None, None)],
        ".datalad/mrishare/consent.tsv": [("excluded", None, None)],
        ".datalad/config": [("excluded", None, None)],
    }
    assert {path: why(found[path]) for path in expected} == expected
    assert all(found[p]["permit"] == (not reasons) for p, reasons in expected.items())
    tracked = set(run(shared, "git", "ls-files", "-z").split("\0")) - {""}
    assert set(found) == tracked
    for record in found.values():
        assert all(r["sentence"] and r["remedy"] for r in record["reasons"])


def test_a_component_each(shared: Path) -> None:
    """The image is not clean enough; the sentence says what it is and what is asked for."""
    path = f"sub-01/{T1W.format('sub-01')}"
    (record,) = cli(shared, path, "--to", "world", ok=(1,)).values()
    assert why(record) == [("deid", "sub-01", "a")]
    assert "identifiable" in record["reasons"][0]["sentence"]
    (record,) = cli(shared, f"sub-01/{BOLD.format('sub-01')}", "--to", "world", ok=(0,)).values()
    assert (record["permit"], record["clearance"]) == (True, "deidentified")


def test_own_storage_gets_all_but_what_may_not_be_used(shared: Path) -> None:
    found = cli(shared, "--to", "backup", ok=(1,))
    denied = {p for p, r in found.items() if not r["permit"]}
    assert denied and all(p.startswith("sub-03/") for p in denied)
    assert why(found[f"sub-03/{BOLD.format('sub-03')}"]) == [("withdrawn", "sub-03", "d")]


def test_a_day_in_the_past(shared: Path) -> None:
    path = f"sub-03/{BOLD.format('sub-03')}"
    for day, permit in (("2025-12-31", False), ("2026-02-28", True), ("2026-03-01", False)):
        (record,) = cli(shared, path, "--to", "mirror", "--at", day).values()
        assert record["permit"] == permit, day


def test_directories_and_many_paths(shared: Path) -> None:
    found = cli(shared, "sub-01", "sub-02/func", "README", "--to", "mirror", ok=(1,))
    assert len([p for p in found if p.startswith("sub-01/")]) == 5
    assert len([p for p in found if p.startswith("sub-02/func/")]) == 3
    assert len(found) == 9
    assert set(cli(shared, "sub-01/", "--to", "mirror", ok=(0,))) < set(found)


def test_paths_are_relative_to_where_one_is(shared: Path) -> None:
    name = BOLD.format("sub-01")
    assert set(cli(shared / "sub-01", name, "--to", "mirror", ok=(0,))) == {f"sub-01/{name}"}
    there = cli(shared.parent, "-d", "dataset", f"dataset/sub-01/{name}", "--to", "mirror", ok=(0,))
    assert set(there) == {f"sub-01/{name}"}
    everything = cli(shared / "sub-01", "--to", "mirror", ok=(1,))
    assert "participants.tsv" in everything


def test_from_a_directory_behind_a_link(shared: Path) -> None:
    link = shared.parent / "link"
    link.symlink_to(shared)
    out = run(link, "datalad", "mrishare-explain", "sub-01", "--to", "mirror")
    assert out.count("permit") == 5


def test_from_python(shared: Path) -> None:
    from datalad.api import mrishare_explain

    quiet = {"result_renderer": "disabled", "on_failure": "ignore"}
    (one,) = mrishare_explain(shared / "README", dataset=str(shared), to="mirror", **quiet)
    assert (one["status"], one["action"], one["type"]) == ("impossible", "mrishare-explain", "file")
    many = mrishare_explain(
        [str(shared / "sub-01"), str(shared / "sub-04")], dataset=str(shared), to="mirror", **quiet
    )
    assert [r["status"] for r in many] == ["ok"] * 5 + ["impossible"] * 5


@pytest.mark.parametrize(
    ("args", "what"),
    [
        (("nothing-here", "--to", "mirror"), "not committed"),
        (("../elsewhere", "--to", "mirror"), "not in the dataset"),
        (("README", "--to", "nobody"), "has no policy"),
        (("README", "--to", "mirror", "--at", "soon"), "--at"),
    ],
)
def test_what_cannot_be_answered(shared: Path, args: tuple[str, ...], what: str) -> None:
    out = run(shared, "datalad", "-f", "json", "mrishare-explain", *args, ok=(1,))
    (record,) = (json.loads(line) for line in out.splitlines() if line.startswith("{"))
    assert record["status"] == "error" and what in record["message"]


def test_wrong_use(shared: Path) -> None:
    run(shared, "datalad", "mrishare-explain", "README", ok=(1, 2))


def test_for_people(shared: Path) -> None:
    out = run(shared, "datalad", "mrishare-explain", "sub-03/func", "--to", "mirror", ok=(1,))
    assert "sub-03 withdrew" in out and "2026-03-01" in out and "->" in out
