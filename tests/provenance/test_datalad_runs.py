"""What DataLad itself records, read back."""

from __future__ import annotations

from pathlib import Path

import pytest
from builders import run

from datalad_mrishare.provenance.evidence import Evidence
from datalad_mrishare.provenance.reading import read_lineage

ONE, TWO = "sub-01/anat/sub-01_T1w.nii.gz", "sub-02/anat/sub-02_T1w.nii.gz"


@pytest.fixture
def raw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A dataset with an image of each of two participants."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    ds = tmp_path / "ds"
    run(tmp_path, "datalad", "create", str(ds))
    for path in (ONE, TWO):
        (ds / path).parent.mkdir(parents=True)
        (ds / path).write_text(path)
    run(ds, "datalad", "save", "-m", "raw")
    return ds


def key_at(ds: Path, path: str, commit: str = "HEAD") -> str:
    """The key of an annexed file in any commit."""
    target = run(ds, "git", "cat-file", "blob", f"{commit}:{path}")
    return target.strip().rpartition("/")[2]


def test_a_command_that_commits_by_itself(raw: Path, tmp_path: Path) -> None:
    """DataLad records it in a merge, and what came in between counts as well."""
    cache = tmp_path / "cache"
    read_lineage(raw, cache=cache)
    command = f"cat {ONE} {TWO} > O; datalad save -m x; cat O O > P; rm O; echo {TWO} > O"
    run(raw, "datalad", "run", "-i", ONE, "-i", TWO, "-o", "O", command)
    assert len(run(raw, "git", "rev-list", "--parents", "-1", "HEAD").split()) == 3
    made = key_at(raw, "O"), key_at(raw, "P"), key_at(raw, "O", "HEAD^2^")
    for graph in (read_lineage(raw), read_lineage(raw, cache=cache)):
        for key in made:
            assert graph.inherited(key) == {"sub-01", "sub-02"}
            assert graph.evidence(key) is Evidence.DECLARED
    # also where the commits of the command were read while it ran
    again, tip = tmp_path / "again", run(raw, "git", "rev-parse", "HEAD").strip()
    run(raw, "git", "branch", "meanwhile", "HEAD^2")
    run(raw, "git", "reset", "-q", "--hard", "HEAD^2")
    assert not read_lineage(raw, cache=again).inherited(made[2])
    run(raw, "git", "reset", "-q", "--hard", tip)
    graph = read_lineage(raw, cache=again)
    assert all(graph.inherited(key) == {"sub-01", "sub-02"} for key in made)


def test_runs_of_datalad(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Patterns, a subdirectory, renaming after it, a record in a file that goes and comes."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    ds, cache = tmp_path / "ds", tmp_path / "cache"
    run(tmp_path, "datalad", "create", str(ds))
    for path in (ONE, TWO):
        (ds / path).parent.mkdir(parents=True)
        (ds / path).write_text(path)
    run(ds, "datalad", "save", "-m", "raw")
    command = "cat anat/* > ../mean.nii.gz; echo >> ../mean.nii.gz"
    run(ds / "sub-01", "datalad", "run", "-i", "anat", "-i", "../sub-*/anat/*", command)
    run(ds, "git", "mv", "mean.nii.gz", "group.nii.gz")
    run(ds, "datalad", "save", "-m", "rename")
    run(ds, "datalad", "run", "--sidecar", "yes", "-i", "sub-02", f"cat {TWO} {TWO} > twice.nii.gz")

    def key(path: str) -> str:
        return run(ds, "git", "annex", "lookupkey", path).strip()

    mean, twice = key("group.nii.gz"), key("twice.nii.gz")
    graph = read_lineage(ds, cache=cache)
    assert graph.paths(mean) == ("mean.nii.gz", "group.nii.gz")
    assert graph.inherited(mean) == {"sub-01", "sub-02"}
    assert graph.inherited(twice) == {"sub-02"}
    assert graph.evidence(mean) is graph.evidence(twice) is Evidence.DECLARED
    assert graph.made_by(mean)[0].what == command
    # a clone without the content of the record cannot know
    clone, cache = tmp_path / "clone", tmp_path / "other"
    run(tmp_path, "git", "clone", "-q", str(ds), str(clone))
    run(clone, "git", "annex", "init", "clone")
    graph = read_lineage(clone, cache=cache)
    assert "is not here (git annex get .datalad/runinfo)" in (graph.opaque(twice) or "")
    assert graph.opaque(mean) is None
    run(clone, "git", "annex", "get", ".datalad/runinfo")
    graph = read_lineage(clone, cache=cache)
    assert graph.opaque(twice) is None and graph.inherited(twice) == {"sub-02"}
    # a damaged one is none
    (record,) = (clone / ".datalad/runinfo").iterdir()
    damaged = record.resolve()
    damaged.parent.chmod(0o755)
    whole = damaged.with_name("whole")
    damaged.rename(whole)
    damaged.write_bytes(b"{}")
    assert "damaged" in (read_lineage(clone).opaque(twice) or "")
    # which is not what is remembered when it was mended
    again = tmp_path / "again"
    assert "damaged" in (read_lineage(clone, cache=again).opaque(twice) or "")
    whole.replace(damaged)
    assert read_lineage(clone, cache=again).opaque(twice) is None
