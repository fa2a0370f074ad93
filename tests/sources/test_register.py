"""Registering: what becomes of a folder, a repository and a dataset, in place and copied."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import socket
from pathlib import Path

import pytest
from builders import annexed, copy_dataset, make_bids, metadata, run, snapshot

from datalad_mrishare.errors import InputError
from datalad_mrishare.repo.events import is_registered, read_events
from datalad_mrishare.sources.findings import Kind
from datalad_mrishare.sources.register import Report, register

T1W = "sub-01/anat/sub-01_T1w.nii.gz"
ODD = (
    "with a space.nii.gz",
    "with'quote\".nii.gz",
    "new\nline.nii.gz",
    "-rf.nii.gz",
    "schädel-脑.nii.gz",
    "bad\udcff.nii.gz",
    "tab\there.nii.gz",
    "*.nii.gz",
    ":(top).nii.gz",
)


def kinds(report: Report) -> dict[str, str]:
    return {f.path: f.kind.value for f in report.findings}


def commits(path: Path) -> int:
    return int(run(path, "git", "rev-list", "--count", "HEAD"))


def in_git(path: Path) -> set[str]:
    """Paths with content in git: what `git ls-tree` has and git-annex does not know."""
    listed = run(path, "git", "ls-tree", "-r", "-z", "--name-only", "HEAD").split("\0")
    return set(filter(None, listed)) - annexed(path)


def state(path: Path) -> dict[str, tuple[object, ...]]:
    """A snapshot without git-annex's cache of file states, which `git status` renews."""
    return {p: what for p, what in snapshot(path).items() if ".git/annex/keysdb" not in p}


def is_clean(path: Path) -> bool:
    return not run(path, "git", "status", "--porcelain")


def test_a_folder_becomes_a_dataset(bids_tree: Path) -> None:
    report = register(bids_tree)
    images = {
        f"sub-0{n}/{kind}/sub-0{n}{rest}.nii.gz"
        for n in range(1, 5)
        for kind, rest in (("anat", "_T1w"), ("func", "_task-rest_bold"))
    }
    assert annexed(bids_tree) == images
    assert {"participants.tsv", "README", ".gitattributes", ".datalad/config"} <= in_git(bids_tree)
    keys = run(bids_tree, "git", "annex", "find", "--format=${key}\\n").split()
    assert all(key.startswith("SHA256E-") for key in keys)
    assert is_clean(bids_tree)
    assert report.findings == ()
    assert report.counts["participants"] == 4
    assert (report.counts["files"], report.counts["annexed"]) == (25, 8)
    run(bids_tree, "git", "annex", "fsck")


def test_datalad_takes_it_for_a_dataset(registered: Path) -> None:
    from datalad.api import Dataset, status

    dataset = Dataset(registered)
    assert dataset.is_installed() and len(dataset.id) == 36
    assert not [r for r in status(dataset=registered) if r["state"] != "clean"]


def test_headers_become_metadata(registered: Path) -> None:
    assert annexed(registered, "--metadata", "mri-suffix=T1w") == {
        f"sub-0{n}/anat/sub-0{n}_T1w.nii.gz" for n in range(1, 5)
    }
    fields = metadata(registered, "sub-02/func/sub-02_task-rest_bold.nii.gz")
    assert len(fields.pop("mri-of")) == 1  # the content that they are about
    assert fields == {
        "mri-suffix": ["bold"],
        "mri-datatype": ["func"],
        "mri-extension": [".nii.gz"],
        "mri-task": ["rest"],
        "mri-dim": ["17x21x3x8"],
        "mri-zooms-mm": ["4x4x8"],
        "mri-tr-s": ["2"],
        "mri-dtype": ["int16"],
        "mri-units": ["mm,sec"],
        "mri-text": ["none"],
    }


def test_the_event(registered: Path, bids_template: Path) -> None:
    (event,) = read_events(registered)
    assert event["event"] == "registered"
    assert event["counts"]["annexed"] == 8
    assert event["source"] == {"kind": "folder", "path": str(bids_template)}
    assert set(event["versions"]) == {"datalad-mrishare", "git-annex", "nibabel", "python"}
    assert is_registered(registered)


def test_again_does_nothing_and_new_files_are_picked_up(bids_tree: Path) -> None:
    register(bids_tree)
    before, count = snapshot(bids_tree / ".git/objects"), commits(bids_tree)
    report = register(bids_tree)
    assert not report.changed and report.event is None
    assert (snapshot(bids_tree / ".git/objects"), commits(bids_tree)) == (before, count)

    new = bids_tree / "sub-01/anat/sub-01_T2w.nii.gz"
    new.write_bytes(gzip.compress(gzip.decompress((bids_tree / T1W).read_bytes()) + b"\0"))
    (bids_tree / "README").write_text("changed\n")
    report = register(bids_tree)
    assert set(report.added) == {"README", "sub-01/anat/sub-01_T2w.nii.gz"}
    assert metadata(bids_tree, "sub-01/anat/sub-01_T2w.nii.gz")["mri-suffix"] == ["T2w"]
    assert is_clean(bids_tree) and len(read_events(bids_tree)) == 2


def test_a_new_version_is_read_again(registered: Path) -> None:
    image = registered / T1W
    content = image.read_bytes()
    for data, finding in ((content[:5000], ["truncated"]), (content + b"\0" * 9, None)):
        image.unlink()
        image.write_bytes(data)
        run(registered, "git", "annex", "add", T1W)
        run(registered, "git", "commit", "-qm", "new version, which inherits the metadata")
        report = register(registered)
        assert [f.kind.value for f in report.findings] == (finding or [])
        assert metadata(registered, T1W).get("mri-finding") == finding


def test_headers_are_read_once(bids_tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from datalad_mrishare.sources import census

    read: list[str] = []
    original = census.read_header
    monkeypatch.setattr(census, "read_header", lambda f, n: read.append(n) or original(f, n))
    register(bids_tree)
    assert len(read) == 8
    register(bids_tree)
    assert len(read) == 8


def test_a_large_text_file_is_annexed(bids_tree: Path) -> None:
    name = "sub-01/func/sub-01_task-rest_desc-long_timeseries.tsv"
    (bids_tree / name).write_bytes(b"1.0\n" * 2_600_000)
    register(bids_tree)
    assert name in annexed(bids_tree)


def test_run_records_stay_in_git(registered: Path) -> None:
    record = registered / ".datalad/runinfo/abc.jsonl"
    record.parent.mkdir()
    record.write_text("{}\n")
    run(registered, "datalad", "save", "-m", "x")
    assert ".datalad/runinfo/abc.jsonl" in in_git(registered)


def test_odd_names(bids_tree: Path) -> None:
    image = gzip.decompress((bids_tree / T1W).read_bytes())
    for number, name in enumerate(ODD):
        (bids_tree / "sub-01/anat" / name).write_bytes(gzip.compress(image + bytes([number])))
        (bids_tree / name).write_bytes(gzip.compress(image + bytes([100, number])))
    report = register(bids_tree)
    expected = {name for odd in ODD for name in (odd, f"sub-01/anat/{odd}")}
    assert expected <= annexed(bids_tree)
    assert expected == {p for p, kind in kinds(report).items() if kind == "outside-bids"}
    assert is_clean(bids_tree)
    assert not register(bids_tree).changed


def test_an_empty_folder_and_what_is_not_bids(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    assert register(empty).counts["files"] == 0
    assert is_registered(empty)
    assert not register(empty).changed

    other = tmp_path / "other"
    other.mkdir()
    (other / "letter.txt").write_text("x")
    before = snapshot(other)
    with pytest.raises(InputError, match="not a BIDS dataset"):
        register(other)
    assert snapshot(other) == before


def test_findings(bids_tree: Path) -> None:
    root = bids_tree
    whole = (root / T1W).read_bytes()
    (root / T1W).write_bytes(whole[: len(whole) // 2])
    (root / "sub-02/anat/sub-02_T1w.nii.gz").write_bytes(b"nothing")
    (root / "sub-02/anat/brain.nii.gz").write_bytes(whole)
    shutil.rmtree(root / "sub-03")
    table = (root / "participants.tsv").read_text().splitlines()
    (root / "participants.tsv").write_text("\n".join(line for line in table if "04" not in line))
    (root / "sub-01/anat/sub-01_PDw.nii.gz").symlink_to("/etc/passwd")
    (root / "sub-01/anat/sub-01_T2w.nii.gz").symlink_to("../../../outside.nii.gz")
    (root / "sub-01/anat/sub-01_FLAIR.nii.gz").symlink_to("sub-01_T1w.nii.gz")
    os.mkfifo(root / "sub-01/anat/sub-01_T1map.nii.gz")
    with socket.socket(socket.AF_UNIX) as listening:
        here = os.getcwd()
        os.chdir(root)
        listening.bind("socket")
        os.chdir(here)
    run(root, "git", "init", "-q", "code/tool")
    (root / "code/tool/x").write_text("x")
    (root / "dataset_description.json").unlink()
    report = register(root)
    assert kinds(report) == {
        T1W: "truncated",
        "sub-02/anat/sub-02_T1w.nii.gz": "unreadable",
        "sub-02/anat/brain.nii.gz": "outside-bids",
        "participants.tsv": "participant-without-data",
        "sub-04": "participant-not-listed",
        "sub-01/anat/sub-01_PDw.nii.gz": "link-out-of-tree",
        "sub-01/anat/sub-01_T2w.nii.gz": "link-out-of-tree",
        "sub-01/anat/sub-01_T1map.nii.gz": "special-file",
        "socket": "special-file",
        "code/tool": "nested-repository",
        "dataset_description.json": "no-dataset-description",
    }
    assert all(f.what and f.remedy for f in report.findings)
    tracked = run(root, "git", "ls-files")
    assert "sub-01_FLAIR.nii.gz" in tracked
    for name in ("PDw", "T2w", "T1map", "socket", "code/tool"):
        assert name not in tracked
    assert metadata(root, T1W)["mri-finding"] == ["truncated"]
    again = register(root)
    assert not again.changed and kinds(again) == kinds(report)


def test_a_file_without_permission(bids_tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """root may read everything, so the answer of the system is replaced."""
    original = os.access
    monkeypatch.setattr(
        os, "access", lambda p, mode: not str(p).endswith(T1W) and original(p, mode)
    )
    report = register(bids_tree)
    assert kinds(report) == {T1W: "no-permission"}
    assert T1W not in run(bids_tree, "git", "ls-files")
    assert not (bids_tree / T1W).is_symlink()


def test_no_participants_table_is_a_note(bids_tree: Path) -> None:
    (bids_tree / "participants.tsv").unlink()
    (finding,) = register(bids_tree).findings
    assert finding.kind is Kind.NO_TABLE and finding.is_note


def test_bidsignore_and_gitignore(bids_tree: Path) -> None:
    (bids_tree / ".bidsignore").write_text("extra/\n")
    (bids_tree / "extra").mkdir()
    (bids_tree / "extra/x.bin").write_bytes(b"x")
    (bids_tree / ".gitignore").write_text("*.tmp\n")
    (bids_tree / "sub-01/left.tmp").write_bytes(b"x")
    report = register(bids_tree)
    assert "extra/x.bin" in annexed(bids_tree)
    assert kinds(report)["sub-01/left.tmp"] in ("ignored", "outside-bids")
    assert "left.tmp" not in run(bids_tree, "git", "ls-files")


def test_a_repository_without_annex(bids_tree: Path) -> None:
    run(bids_tree, "git", "init", "-q", "-b", "trunk")
    run(bids_tree, "git", "add", "README", T1W)
    run(bids_tree, "git", "commit", "-q", "-m", "mine")
    report = register(bids_tree)
    assert run(bids_tree, "git", "branch", "--show-current").strip() == "trunk"
    assert kinds(report) == {T1W: "image-in-git"}
    assert is_clean(bids_tree) and "mine" in run(bids_tree, "git", "log", "--format=%s")


@pytest.mark.slow
def test_a_datalad_dataset_keeps_its_rules_and_id(bids_tree: Path) -> None:
    run(bids_tree, "datalad", "create", "--force", "-c", "text2git", ".")
    rules = (
        "* annex.backend=MD5E\n**/.git* annex.largefiles=nothing\n*.tsv annex.largefiles=nothing\n"
    )
    (bids_tree / ".gitattributes").write_text(rules)
    run(bids_tree, "datalad", "save")
    config = (bids_tree / ".datalad/config").read_bytes()
    register(bids_tree)
    assert (bids_tree / ".gitattributes").read_text() == rules
    assert (bids_tree / ".datalad/config").read_bytes() == config
    assert len(annexed(bids_tree, "--metadata", "mri-dim=*")) == 8
    assert not register(bids_tree).changed


def test_an_empty_datalad_dataset_gets_our_rules(tmp_path: Path) -> None:
    path = tmp_path / "ds"
    run(tmp_path, "datalad", "create", str(path))
    make_bids(tmp_path / "bids", 1)
    shutil.copytree(tmp_path / "bids", path, dirs_exist_ok=True)
    register(path)
    assert "participants.tsv" in in_git(path)
    assert len(annexed(path)) == 2


def test_unlocked_files_and_adjusted_branches(registered: Path, tmp_path: Path) -> None:
    run(registered, "git", "annex", "unlock", T1W)
    run(registered, "git", "commit", "-q", "-m", "unlocked")
    assert not register(registered).changed

    run(registered, "git", "annex", "adjust", "--unlock")
    assert not register(registered).changed
    new = registered / "sub-02/anat/sub-02_T2w.nii.gz"
    new.write_bytes(gzip.compress(gzip.decompress((registered / T1W).read_bytes()) + b"\0"))
    report = register(registered)
    assert report.added == ("sub-02/anat/sub-02_T2w.nii.gz",)
    assert "sub-02_T2w" in run(registered, "git", "ls-tree", "-r", "--name-only", "main")
    assert not register(registered).changed


def test_absent_content_is_counted_not_a_finding(registered: Path) -> None:
    run(registered, "git", "annex", "drop", "--force", T1W)
    report = register(registered)
    assert report.counts["absent"] == 1 and not report.findings


def test_a_copy_leaves_the_source_alone(bids_tree: Path, tmp_path: Path) -> None:
    before = snapshot(bids_tree)
    copy = tmp_path / "new" / "copy"
    register(copy, bids_tree)
    assert len(annexed(copy)) == 8
    assert not register(copy, bids_tree).changed

    (bids_tree / "README").write_text("new\n")
    new = gzip.compress(gzip.decompress((bids_tree / T1W).read_bytes()) + b"\0")
    (bids_tree / T1W).write_bytes(new)
    changed = snapshot(bids_tree)
    report = register(copy, bids_tree)
    assert set(report.added) == {"README", T1W}
    assert (copy / T1W).read_bytes() == new
    assert is_clean(copy)
    assert snapshot(bids_tree) == changed != before
    assert not register(copy, bids_tree).changed


def test_a_copy_whose_content_was_dropped_is_not_copied_again(
    bids_tree: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    register(copy, bids_tree)
    run(copy, "git", "annex", "drop", "--force", ".")
    assert not register(copy, bids_tree).changed


def test_a_dataset_is_copied_with_history_and_content(registered: Path, tmp_path: Path) -> None:
    run(registered, "git", "annex", "unlock", "sub-02/anat/sub-02_T1w.nii.gz")
    run(registered, "git", "commit", "-q", "-m", "unlocked")
    run(registered, "git", "annex", "drop", "--force", "sub-03")
    before = snapshot(registered)
    copy = tmp_path / "copy"
    report = register(copy, registered)
    assert snapshot(registered) == before
    assert "unlocked" in run(copy, "git", "log", "--format=%s")
    here = annexed(copy, "--in=here")
    assert T1W in here and "sub-02/anat/sub-02_T1w.nii.gz" in here
    assert report.counts["absent"] == 2
    assert (copy / "sub-02/anat/sub-02_T1w.nii.gz").stat().st_size > 1000
    run(copy, "git", "annex", "fsck", "--in=here")
    assert is_clean(copy)
    assert report.locked == ("origin",)
    assert register(copy, registered).changed is False


def test_a_corrupt_object_is_found_and_not_copied(registered: Path, tmp_path: Path) -> None:
    content = (registered / T1W).resolve()
    content.chmod(0o644)
    content.write_bytes(content.read_bytes()[:-1] + b"\xff")
    report = register(tmp_path / "copy", registered)
    assert kinds(report)[T1W] == "corrupt"
    assert T1W not in annexed(tmp_path / "copy", "--in=here")


def test_uncommitted_files_of_a_source_are_reported(registered: Path, tmp_path: Path) -> None:
    (registered / "sub-01/anat/sub-01_T2w.json").write_text("{}")
    report = register(tmp_path / "copy", registered)
    assert kinds(report) == {"sub-01/anat/sub-01_T2w.json": "not-committed"}


def test_remotes_of_a_dataset_are_locked(registered: Path, tmp_path: Path) -> None:
    run(tmp_path, "git", "init", "-q", "--bare", "there.git")
    run(registered, "git", "remote", "add", "there", str(tmp_path / "there.git"))
    report = register(registered)
    assert report.locked == ("there",) and not report.changed
    assert run(registered, "git", "push", "there", "main", ok=(128,)) == ""
    assert register(registered).locked == ()


def test_a_declared_remote_is_not_locked(registered: Path, tmp_path: Path) -> None:
    run(tmp_path, "git", "init", "-q", "--bare", "there.git")
    run(registered, "git", "remote", "add", "there", str(tmp_path / "there.git"))
    file = registered / ".datalad/mrishare/siblings.yaml"
    file.write_text("siblings:\n  there:\n    policy: backup\n")
    assert register(registered).locked == ()


@pytest.mark.parametrize("source", ["folder", "repository"])
def test_a_dry_run_writes_nothing_and_finds_the_same(
    source: str, bids_tree: Path, registered: Path, tmp_path: Path
) -> None:
    tree = bids_tree if source == "folder" else registered
    if source == "folder":
        (tree / T1W).write_bytes(b"nothing")
    before = state(tmp_path)
    copied = register(tmp_path / "copy", tree, dry_run=True)
    in_place = register(tree, dry_run=True)
    assert state(tmp_path) == before
    real = register(tmp_path / "copy", tree)
    assert kinds(copied) == kinds(real)
    if source == "folder":
        assert set(copied.added) == set(real.added) == set(in_place.added)
        assert copied.counts == real.counts == in_place.counts


def test_places_that_are_refused(bids_tree: Path, registered: Path, tmp_path: Path) -> None:
    full = tmp_path / "full"
    full.mkdir()
    (full / "x").write_text("x")
    bare = tmp_path / "bare"
    run(tmp_path, "git", "init", "-q", "--bare", "bare")
    cases = [
        ((tmp_path / "nowhere", None), "does not exist"),
        ((registered / "sub-01", None), "lies inside the repository"),
        ((bare, None), "bare repository"),
        ((tmp_path / "x", tmp_path / "nowhere"), "does not exist"),
        ((bids_tree / "copy", bids_tree), "one inside the other"),
        ((full, bids_tree), "not empty and not a dataset"),
        ((registered / "copy", bids_tree), "lies inside the repository"),
        ((tmp_path / "x", bare), "no commits"),
        ((full / "x", bids_tree), "is a file"),
    ]
    before = snapshot(tmp_path)
    for (path, source), message in cases:
        with pytest.raises(InputError, match=message) as caught:
            register(path, source)
        assert caught.value.remedy
    assert snapshot(tmp_path) == before


def test_no_identity(bids_tree: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "empty"))
    register(bids_tree)
    assert run(bids_tree, "git", "branch", "--show-current").strip() == "main"


def test_two_copies_are_two_repositories(registered: Path, tmp_path: Path) -> None:
    other = copy_dataset(registered, tmp_path / "other")
    uuids = {run(p, "git", "config", "annex.uuid") for p in (registered, other)}
    assert len(uuids) == 2
    found = json.loads(run(other, "git", "annex", "whereis", "--json", T1W))
    assert [place["here"] for place in found["whereis"]] == [True]
