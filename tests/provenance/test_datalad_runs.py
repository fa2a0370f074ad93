"""What DataLad itself records, read back."""

from __future__ import annotations

from pathlib import Path

import pytest
from builders import run

from datalad_mrishare.provenance.evidence import Evidence
from datalad_mrishare.provenance.reading import read_lineage

ONE, TWO = "sub-01/anat/sub-01_T1w.nii.gz", "sub-02/anat/sub-02_T1w.nii.gz"


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
