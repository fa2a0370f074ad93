"""Runs that make a subdataset, leave one at a commit that is gone, or used one that was moved."""

from __future__ import annotations

from pathlib import Path

import pytest
from builders import run
from provenance.histories import DSID, Tree, Writer, config, message, record

from datalad_mrishare.provenance.graph import Lineage
from datalad_mrishare.provenance.reading import read_lineage

ONE = "sub-01/anat/sub-01_T1w.nii.gz"
RAW: Tree = {".datalad/config": ("100644", config(DSID)), ONE: ("100644", b"one")}
MASK, MEAN = ("100644", b"mask"), ("100644", b"mean")


def link(commit: str) -> tuple[str, bytes]:
    return "160000", commit.encode()


def node(repo: Path, revision: str) -> str:
    return "git:" + run(repo, "git", "rev-parse", revision).strip()


@pytest.fixture
def below(tmp_path: Path) -> dict[int, str]:
    """A subdataset with a commit and another on top; number -> commit."""
    below = Writer(tmp_path / "ds/out")
    first: Tree = {"mask.nii.gz": MASK, ".datalad/config": ("100644", config("x"))}
    below.commit("main", first, "By itself", [])
    below.commit("main", {**first, "mean.nii.gz": MEAN}, "By itself", [1])
    ids = below.write(bare=False)
    run(below.repo, "git", "reset", "-q", "--hard")
    return ids


def read(tmp_path: Path, *commits: tuple[Tree, str]) -> Lineage:
    writer = Writer(tmp_path / "ds")
    for number, (tree, text) in enumerate(commits):
        writer.commit("main", tree, text, [number] if number else [])
    writer.write(bare=False)
    return read_lineage(writer.repo)


RUN = message(record([ONE]))


def test_a_run_that_makes_a_subdataset(tmp_path: Path, below: dict[int, str]) -> None:
    graph = read(tmp_path, (RAW, "Raw"), ({**RAW, "out": link(below[2])}, RUN))
    repo = tmp_path / "ds/out"
    for path in ("mask.nii.gz", "mean.nii.gz"):
        assert graph.inherited(node(repo, f"HEAD:{path}")) == {"sub-01"}
    assert not graph.inherited(node(repo, "HEAD:.datalad/config"))


@pytest.mark.parametrize(("before", "after"), [(1, 0), (0, 2), (None, 0)])
def test_a_commit_that_the_subdataset_has_not(
    tmp_path: Path, below: dict[int, str], before: int | None, after: int
) -> None:
    """What may have been made by the run is opaque; what was there before it was not made."""
    ids = {**below, 0: "ab" * 20}
    raw = RAW if before is None else {**RAW, "out": link(ids[before])}
    now = {**RAW, "out": link(ids[after])}
    last = {**RAW, "out": link(below[2]), "log.txt": ("100644", b"log")}
    graph = read(tmp_path, (raw, "Raw"), ({**now, "log.txt": ("100644", b"log")}, RUN), (last, "x"))
    repo = tmp_path / "ds"
    assert "does not have the commit abab" in (
        graph.opaque(node(repo / "out", "HEAD:mean.nii.gz")) or ""
    )
    assert bool(graph.opaque(node(repo / "out", "HEAD:mask.nii.gz"))) == (before != 1)
    log = node(repo, "HEAD:log.txt")
    assert graph.opaque(log) is None and graph.inherited(log) == {"sub-01"}


def test_a_subdataset_that_was_moved(tmp_path: Path, below: dict[int, str]) -> None:
    """It is known by its commit, as an input and where something was made in it."""
    raw = {**RAW, "raw": link(below[1])}
    made = {**RAW, "raw": link(below[2]), "log.txt": ("100644", b"log")}
    then = {**RAW, "out": link(below[2]), "log.txt": ("100644", b"log")}
    text = message(record([ONE, "raw/mask.nii.gz"]))
    graph = read(tmp_path, (raw, "Raw"), (made, text), (then, "Move"))
    repo = tmp_path / "ds"
    log = node(repo, "HEAD:log.txt")
    assert graph.opaque(log) is None
    assert node(repo / "out", "HEAD:mask.nii.gz") in graph.ancestors(log)
    assert graph.inherited(node(repo / "out", "HEAD:mean.nii.gz")) == {"sub-01"}
