"""What people do every day brings nobody in who is not in it, and makes nothing opaque."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from builders import run

from datalad_mrishare.provenance.evidence import Evidence
from datalad_mrishare.provenance.graph import Lineage
from datalad_mrishare.provenance.reading import read_lineage
from datalad_mrishare.provenance.same import same_contents

THREE = ("sub-01", "sub-02", "sub-03")


def recorded(path: Path, *inputs: str) -> None:
    """Commit all that is new as the output of a run."""
    record = {"cmd": "x", "dsid": None, "inputs": inputs, "outputs": [], "pwd": ".", "chain": []}
    record |= {"exit": 0, "extra_inputs": []}
    above, below = "=== Do not change lines below ===", "^^^ Do not change lines above ^^^"
    text = f"[DATALAD RUNCMD] x\n\n{above}\n{json.dumps(record)}\n{below}\n"
    run(path, "git", "add", ".")
    run(path, "git", "commit", "-q", "-m", text)


def write(path: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(content)


def repository(path: Path, *, annex: bool = False) -> Path:
    run(path.parent, "git", "init", "-q", "-b", "main", str(path))
    if annex:
        run(path, "git", "annex", "init", "-q")
    return path


def people(path: Path, file: str) -> list[str]:
    lineage = read_lineage(path)
    node = f"git:{run(path, 'git', 'rev-parse', f'HEAD:{file}').strip()}"
    assert lineage.opaque(node) is None
    return sorted(lineage.participants(node))


@pytest.mark.slow
def test_sidecars_that_moved_from_the_annex_to_git(tmp_path: Path) -> None:
    path = repository(tmp_path / "ds", annex=True)
    write(path, {f"{s}/{s}_bold.json": '{"RepetitionTime": 2}' for s in THREE})
    write(path, {f"{s}/{s}_bold.dat": s for s in THREE})
    run(path, "git", "annex", "add", "-q", ".")
    run(path, "git", "commit", "-q", "-m", "raw")
    run(path, "git", "annex", "unannex", "-q", *(f"{s}/{s}_bold.json" for s in THREE))
    run(path, "git", "-c", "annex.largefiles=nothing", "add", ".")
    run(path, "git", "commit", "-q", "-m", "sidecars to git")
    run(path, "git", "config", "annex.largefiles", "nothing")
    write(path, {"out/sub-01_x.txt": "made"})
    recorded(path, "sub-01")
    assert people(path, "out/sub-01_x.txt") == ["sub-01"]


@pytest.mark.slow
def test_a_link_to_a_directory_of_many_files_with_a_link_in_it(tmp_path: Path) -> None:
    path = repository(tmp_path / "ds", annex=True)
    write(path, {f"freesurfer/sub-01/surf/f{n}.mgz": str(n) for n in range(60)})
    os.symlink("f1.mgz", path / "freesurfer/sub-01/surf/lh.pial")
    (path / "inputs").mkdir()
    os.symlink("../freesurfer/sub-01", path / "inputs/fs")
    run(path, "git", "annex", "add", "-q", ".")
    run(path, "git", "commit", "-q", "-m", "raw")
    run(path, "git", "config", "annex.largefiles", "nothing")
    write(path, {"out/x.txt": "made"})
    recorded(path, "inputs/fs")
    (activity,) = read_lineage(path).activities
    assert activity.evidence is Evidence.DECLARED and len(activity.inputs) >= 60


def test_a_merge_with_the_title_of_a_run(tmp_path: Path) -> None:
    """As hosts call the merge of a pull request with one commit."""
    path = repository(tmp_path / "ds")
    write(path, {"sub-01/a.txt": "a"})
    run(path, "git", "add", ".")
    run(path, "git", "commit", "-q", "-m", "first")
    run(path, "git", "checkout", "-q", "-b", "pr")
    write(path, {"sub-02/b.txt": "b"})
    run(path, "git", "add", ".")
    run(path, "git", "commit", "-q", "-m", "Add sub-02")
    write(path, {"sub-01/out.txt": "made"})
    recorded(path, "sub-01/a.txt")
    run(path, "git", "checkout", "-q", "main")
    run(path, "git", "merge", "-q", "--no-ff", "-m", "[DATALAD RUNCMD] average (#5)", "pr")
    assert people(path, "sub-02/b.txt") == ["sub-02"]
    assert people(path, "sub-01/out.txt") == ["sub-01"]


@pytest.mark.slow
def test_a_common_sidecar_in_a_subdataset_of_each(tmp_path: Path) -> None:
    path = repository(tmp_path / "ds")
    for s in THREE:
        below = repository(path / s)
        write(below, {f"func/{s}_bold.json": '{"RepetitionTime": 2}', f"func/{s}_bold.txt": s})
        run(below, "git", "add", ".")
        run(below, "git", "commit", "-q", "-m", "raw")
    run(path, "git", "add", ".")
    run(path, "git", "commit", "-q", "-m", "subdatasets")
    write(path, {"out/sub-01_x.txt": "made"})
    recorded(path, "sub-01/func")
    for s in THREE:
        write(path / s, {f"func/{s}_bold.json": '{"RepetitionTime": 2.0}'})
        run(path / s, "git", "commit", "-q", "-a", "-m", "corrected")
    run(path, "git", "commit", "-q", "-a", "-m", "corrected")
    assert people(path, "out/sub-01_x.txt") == ["sub-01"]


def test_empty_files_tie_nobody_to_anybody() -> None:
    empty = "MD5E-s0--d41d8cd98f00b204e9800998ecf8427e.txt"
    names = [f"WORM-s0-m1--{s}.txt" for s in THREE]
    assert same_contents([*names, empty], [(name, empty) for name in names]) == {}
    assert Lineage.build([], [(n, f"{s}/x") for n, s in zip(names, THREE, strict=True)])
