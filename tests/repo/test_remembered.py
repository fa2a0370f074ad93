"""Links that were read once: whatever is done to the memory, the tree is read right."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from builders import run

from datalad_mrishare.repo import trees
from datalad_mrishare.repo.remembered import recall, remember
from datalad_mrishare.repo.trees import Entry, read_tree


@pytest.fixture(autouse=True)
def worthwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trees, "WORTHWHILE", 1)


def keys(entries: list[Entry]) -> dict[str, str]:
    return {e.path: e.key for e in entries if e.key}


def test_what_is_remembered_is_read_without_git(
    registered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = tmp_path / "private" / "links"
    plain = read_tree(registered, "HEAD")
    assert keys(plain) and read_tree(registered, "HEAD", memory) == plain
    asked: list[str] = []
    read = trees.read_blobs
    monkeypatch.setattr(
        trees, "read_blobs", lambda repo, oids: (asked.extend(oids), read(repo, oids))[1]
    )
    assert read_tree(registered, "HEAD", memory) == plain
    linked = {e.oid for e in plain if e.mode == trees.LINK}
    assert not linked & {*asked}


@pytest.mark.parametrize("how", ["swapped", "cut", "garbage", "directory"])
def test_a_memory_that_lies_changes_nothing(registered: Path, tmp_path: Path, how: str) -> None:
    memory = tmp_path / "links"
    plain = read_tree(registered, "HEAD", memory)
    told = memory.read_bytes()
    assert len(told.split(b"\n")) > 4
    if how == "swapped":  # the key of one participant under the name of another
        first, second = sorted(k for p, k in keys(plain).items() if p.endswith("_T1w.nii.gz"))[:2]
        assert first.encode() in told
        memory.write_bytes(told.replace(first.encode(), second.encode()))
    elif how == "cut":
        memory.write_bytes(told[: len(told) // 2])
    elif how == "garbage":
        memory.write_bytes(b"\0\xff\n" * 999)
    else:
        memory.unlink()
        memory.mkdir()
    assert read_tree(registered, "HEAD", memory) == plain


def test_a_commit_more_is_read_and_remembered(registered: Path, tmp_path: Path) -> None:
    memory = tmp_path / "links"
    read_tree(registered, "HEAD", memory)
    before = recall(memory)
    for name in ("a", "b"):
        (registered / f"{name}.dat").symlink_to(
            f".git/annex/objects/aa/bb/MD5-s1--{name}/MD5-s1--{name}"
        )
        run(registered, "git", "add", f"{name}.dat")
    run(registered, "git", "commit", "--quiet", "-m", "more")
    assert keys(read_tree(registered, "HEAD", memory))["b.dat"] == "MD5-s1--b"
    assert len(recall(memory)) >= len(before) + 2


def test_keys_of_any_letters_and_full_disks(tmp_path: Path) -> None:
    memory = tmp_path / "links"
    told = {"1": "WORM-s1-m2--a b", "2": "", "3": "MD5-s1--\udcff"}
    remember(memory, told)
    assert recall(memory) == told
    (tmp_path / "file").touch()
    remember(tmp_path / "file" / "links", told)
    assert recall(tmp_path / "file" / "links") == {}
    assert [p.name for p in tmp_path.iterdir() if p.name not in ("links", "file")] == []


def test_what_killed_runs_left_of_it_is_removed(tmp_path: Path) -> None:
    memory, told = tmp_path / "links", {"1": "MD5-s1--0"}
    old, new = memory.with_name("links.01.new"), memory.with_name("links.02.new")
    for left in (old, new):
        left.write_text("half")
    os.utime(old, (1, 1))
    remember(memory, told)
    assert recall(memory) == told
    assert not old.exists() and new.exists()  # somebody may be at it
