"""What a real compute remote made, read where it is enabled and where it is not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from builders import run

from datalad_mrishare.provenance.evidence import Evidence
from datalad_mrishare.provenance.reading import read_lineage
from datalad_mrishare.repo.computed import read_computed

#: the compute protocol of git-annex: name inputs and outputs, read where the input is
PROGRAM = """#!/bin/sh
echo "INPUT $1"
read path
echo "INPUT $3"
read more
echo "OUTPUT $2"
read out
[ -z "$path" ] || cat "$path" "$more" > "$2"
"""


def test_a_compute_remote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "bin/git-annex-compute-join"
    program.parent.mkdir()
    program.write_text(PROGRAM)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    repo = tmp_path / "ds"
    run(tmp_path, "git", "init", "-q", str(repo))
    run(repo, "git", "annex", "init", "here")
    one, two = "sub-01/sub 01%&=ü.nii.gz", "sub-02/sub-02_T1w.nii.gz"
    for path in (one, two):
        (repo / path).parent.mkdir()
        (repo / path).write_text(path)
    run(repo, "git", "annex", "add", ".")
    run(repo, "git", "commit", "-qm", "Raw")
    run(repo, "git", "annex", "initremote", "c", "type=compute", "program=git-annex-compute-join")
    run(repo, "git", "annex", "addcomputed", "--to=c", one, "mean.nii.gz", two)
    run(repo, "git", "commit", "-qm", "Computed")
    run(repo, "git", "annex", "metadata", "--key=SHA256E-s0--none")  # writes its journal

    def key(path: str) -> str:
        return run(repo, "git", "annex", "lookupkey", "--", path).strip()

    graph = read_lineage(repo)
    mean = key("mean.nii.gz")
    assert graph.inherited(mean) == {"sub-01", "sub-02"}
    assert graph.evidence(mean) is Evidence.COMPUTED
    assert graph.ancestors(mean) >= {key(one), key(two)}
    # what the content is known as when it is added by its checksum
    (made,) = read_computed(repo)
    assert made.equivalent and all(graph.inherited(k) for k in made.equivalent)
    # in a clone nothing is enabled, and git-annex has never run
    clone = tmp_path / "clone"
    run(tmp_path, "git", "clone", "-q", str(repo), str(clone))
    run(clone, "git", "branch", "-q", "git-annex", "origin/git-annex")
    program.unlink()
    there = read_lineage(clone)
    assert there.inherited(mean) == {"sub-01", "sub-02"}
    assert run(clone, "git", "config", "annex.uuid", ok=(0, 1)) == ""


def test_a_private_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its records are in no branch; where they are not nobody can tell."""
    program = tmp_path / "bin/git-annex-compute-join"
    program.parent.mkdir()
    program.write_text(PROGRAM)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    repo, clone = tmp_path / "ds", tmp_path / "clone"
    run(tmp_path, "git", "init", "-q", str(repo))
    run(repo, "git", "annex", "init", "here")
    one, two, out = "sub-01/a.nii.gz", "sub-02/b.nii.gz", "a_mean.nii.gz"
    for path in (one, two):
        (repo / path).parent.mkdir()
        (repo / path).write_text(path)
    run(repo, "git", "annex", "add", ".")
    run(repo, "git", "commit", "-qm", "Raw")
    made = ("--private", "type=compute", "program=git-annex-compute-join")
    run(repo, "git", "annex", "initremote", "c_d", *made)
    run(repo, "git", "annex", "addcomputed", "--to=c_d", one, out, two)
    run(repo, "git", "annex", "addcomputed", "--to=c_d", "--reproducible", one, "again", two)
    run(repo, "git", "commit", "-qm", "Computed")
    keys = [run(repo, "git", "annex", "lookupkey", "--", path).strip() for path in (out, "again")]
    graph = read_lineage(repo)
    assert all(graph.inherited(key) == {"sub-01", "sub-02"} for key in keys)
    run(tmp_path, "git", "clone", "-q", str(repo), str(clone))
    assert "what from is not on record" in (read_lineage(clone).opaque(keys[0]) or "")


def test_nothing_is_read_without_one(tmp_path: Path) -> None:
    run(tmp_path, "git", "init", "-q", "-b", "main")
    assert read_computed(tmp_path) == []
