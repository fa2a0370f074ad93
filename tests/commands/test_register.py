"""``datalad mrishare-register``: arguments, records, exit codes, words."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from builders import run, snapshot

from datalad_mrishare.repo.events import is_registered

T1W = "sub-01/anat/sub-01_T1w.nii.gz"


def records(out: str) -> list[dict]:
    return [json.loads(line) for line in out.splitlines() if line.startswith("{")]


def cli(cwd: Path, *args: str, ok: tuple[int, ...] = (0,)) -> str:
    return run(cwd, "datalad", "mrishare-register", *args, ok=ok)


def test_from_python(bids_tree: Path, tmp_path: Path) -> None:
    from datalad.api import mrishare_register

    (done,) = mrishare_register(bids_tree, result_renderer="disabled")
    assert (done["status"], done["action"], done["type"]) == ("ok", "mrishare-register", "dataset")
    assert done["counts"]["participants"] == 4
    (again,) = mrishare_register(dataset=bids_tree, result_renderer="disabled")
    assert again["status"] == "notneeded"
    source = shutil.copytree(bids_tree / "sub-01", tmp_path / "study/sub-01").parent
    copied = mrishare_register(
        str(source), str(tmp_path / "copy"), result_renderer="disabled", on_failure="ignore"
    )
    assert copied[-1]["path"] == str(tmp_path / "copy")


def test_arguments(bids_tree: Path, tmp_path: Path) -> None:
    cli(tmp_path, "bids", "copy")
    assert is_registered(tmp_path / "copy") and not is_registered(bids_tree)
    (bids_tree / "README").write_text("new\n")
    cli(tmp_path, "-d", "copy", "bids")
    assert (tmp_path / "copy/README").read_text() == "new\n"
    cli(bids_tree)
    assert is_registered(bids_tree)
    assert "nothing is new" in cli(tmp_path, "-d", "bids")


def test_exit_code_and_records_of_findings(bids_tree: Path) -> None:
    (bids_tree / T1W).write_bytes(b"")
    (bids_tree / "notes.docx").write_bytes(b"x")
    out = run(bids_tree, "datalad", "-f", "json", "mrishare-register", ok=(1,))
    found = {r["finding"]: r for r in records(out) if r["status"] == "impossible"}
    assert set(found) == {"unreadable", "outside-bids"}
    assert found["unreadable"]["path"] == str(bids_tree / T1W)
    assert found["unreadable"]["remedy"]
    (done,) = [r for r in records(out) if r["type"] == "dataset"]
    assert done["status"] == "ok" and is_registered(bids_tree)


def test_a_missing_table_does_not_fail(bids_tree: Path) -> None:
    (bids_tree / "participants.tsv").unlink()
    assert "there is no participants.tsv for 4 participants" in cli(bids_tree)


def test_what_is_printed(bids_tree: Path) -> None:
    (bids_tree / "sub-01/anat/odd\nname\x1b[31m.nii.gz").write_bytes(b"x")
    out = cli(bids_tree, "--dry-run", ok=(1,))
    assert "would add 26 new or changed files; nothing was written" in out
    assert "odd\\nname\\x1b[31m.nii.gz" in out
    assert not (bids_tree / ".git").exists()
    out = cli(bids_tree, ok=(1,))
    assert "registered with 26 new or changed files; 4 participants, 26 files" in out
    assert "2 findings to look at" in out


def test_a_locked_remote_is_reported(registered: Path, tmp_path: Path) -> None:
    run(tmp_path, "git", "init", "-q", "--bare", "there.git")
    run(registered, "git", "remote", "add", "there", str(tmp_path / "there.git"))
    out = cli(registered)
    assert "remote 'there' has no policy and is locked" in out
    assert "datalad mrishare-sibling there --policy PRESET" in out


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("nowhere",), "does not exist"),
        (("other",), "is not a BIDS dataset"),
        (("bids", "bids/copy"), "one inside the other"),
        (("https://example.org/x", "copy"), "datalad clone"),
    ],
)
def test_errors_are_records(
    args: tuple[str, ...], message: str, bids_tree: Path, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other/letter.txt").write_text("x")
    before = snapshot(tmp_path)
    assert message in cli(tmp_path, *args, ok=(1,))
    assert snapshot(tmp_path) == before


def test_wrong_use(bids_tree: Path) -> None:
    cli(bids_tree, "a", "b", "-d", "c", ok=(2,))


def test_help(tmp_path: Path) -> None:
    out = cli(tmp_path, "--help")
    assert "datalad mrishare-register /data/incoming/study study" in out
    assert "mri-suffix=T1w" in out


def test_importing_the_command_is_cheap() -> None:
    heavy = "nibabel,numpy,yaml,git,datalad_mrishare.sources.register"
    code = (
        "import sys, datalad_mrishare.commands.register;"
        f"print([m for m in '{heavy}'.split(',') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout.strip() == b"[]"
