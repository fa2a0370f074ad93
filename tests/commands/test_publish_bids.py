"""A release stays a good BIDS dataset: the validator finds nothing that the source did not have."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from builders import make_bids, run
from mirrors import add_path, consent, publish
from servers import require

from datalad_mrishare.sources.register import register

pytestmark = pytest.mark.slow
INSTALL = "pip install 'datalad-mrishare[bids]'"
#: a directory with bundles of real datasets, `ds*.bundle`, when there is one
BUNDLES = os.environ.get("MRISHARE_BUNDLES", "")

Finding = tuple[str, str, str, str]


def validate(path: Path) -> set[Finding]:
    """Everything that the validator has to say about a dataset."""
    program = require("bids-validator-deno", INSTALL)
    with tempfile.TemporaryDirectory(prefix="mrishare-", dir="/var/tmp") as elsewhere:
        if path.is_relative_to("/dev"):  # in memory: Deno lets no program read there
            path = Path(shutil.copytree(path, Path(elsewhere, "dataset"), symlinks=True))
        said = run(path, program, "--json", str(path), ok=(0, 1, 16))
    keys = ("code", "subCode", "severity", "location")
    issues = json.loads(said)["issues"]["issues"]
    return {tuple(str(issue.get(k) or "") for k in keys) for issue in issues}  # type: ignore[misc]


def cloned(place: Path, content: bool = True) -> Path:
    """A stranger's copy of a sibling."""
    clone = place.parent / f"{place.stem}-clone"
    run(place.parent, "git", "clone", "--quiet", str(place), clone.name)
    if content:
        run(clone, "git", "annex", "get", "--quiet", ".")
    return clone


def write(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))


def rows(*lines: str) -> str:
    return "".join(line.replace(" ", "\t") + "\n" for line in lines)


def rich(path: Path) -> Path:
    """Four participants with tables and sidecars that refer to each other."""
    make_bids(path, 4)
    people = [f"sub-0{n}" for n in range(1, 5)]
    for who in people:
        bold = f"{who}_task-rest_bold.nii.gz"
        below = path / who
        epi = below / f"fmap/{who}_dir-AP_epi.nii.gz"
        epi.parent.mkdir()
        epi.write_bytes((below / f"func/{bold}").read_bytes() + b"\0")
        field = {"PhaseEncodingDirection": "j", "TotalReadoutTime": 0.1}
        intended = [f"bids::{who}/func/{bold}", f"bids::{who}/anat/{who}_T1w.nii.gz"]
        write(epi.with_name(f"{who}_dir-AP_epi.json"), {**field, "IntendedFor": intended})
        scans = [f"func/{bold} 1", f"anat/{who}_T1w.nii.gz 2", f"fmap/{epi.name} 3"]
        write(below / f"{who}_scans.tsv", rows("filename quality", *scans))
    write(path / "scans.json", {"quality": {"Description": "by eye"}})
    samples = [f"sample-a {who} tissue" for who in people]
    write(path / "samples.tsv", rows("sample_id participant_id sample_type", *samples))
    write(path / "samples.json", {"sample_type": {"Description": "what it is"}})
    moca = [f"{who} {n}" for n, who in enumerate(people)]
    write(path / "phenotype/moca.tsv", rows("participant_id moca", *moca))
    write(path / "phenotype/moca.json", {"moca": {"Description": "score"}})
    write(path / "participants.tsv", rows("participant_id age iq", *(f"{w} 30 99" for w in people)))
    write(
        path / "participants.json", {"age": {"Description": "age"}, "iq": {"Description": "test"}}
    )
    return path


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    path = tmp_path / "dataset"
    register(path, rich(tmp_path / "bids"))
    return path


@pytest.mark.parametrize("policy", ["institution", "registered"])
def test_a_release_has_no_finding_that_its_source_has_not(dataset: Path, policy: str) -> None:
    place = add_path(dataset, "mir", policy)
    consent(dataset, ("sub-01", "given"), ("sub-02", "given"), ("sub-03", "refused"))
    publish(dataset, "mir")
    release = cloned(place)
    source, found = validate(dataset), validate(release)
    assert found - source == set()
    assert len(source) > 10 and len(found) > 10
    assert (release / "sub-01/func/sub-01_task-rest_bold.nii.gz").exists()
    # for who asks for clean data heads stay here, and with them what only they need
    heads = (release / "sub-01/anat").exists()
    assert heads is (policy == "institution")
    (line,) = (release / "sub-01/fmap/sub-01_dir-AP_epi.json").read_text().split("IntendedFor")[1:]
    assert ("T1w" in line) is heads and "bold" in line


def test_the_validator_finds_a_loose_end(dataset: Path) -> None:
    """The other way round: what the release mends is what the validator would find."""
    before = validate(dataset)
    run(dataset, "git", "rm", "-r", "--quiet", "sub-03", "sub-01/anat/sub-01_T1w.nii.gz")
    found = {code for code, *_ in validate(dataset) - before}
    assert {"SIDECAR_WITHOUT_DATAFILE", "SCANS_FILENAME_NOT_MATCH_DATASET"} <= found, found


@pytest.mark.skipif(not BUNDLES, reason="set MRISHARE_BUNDLES to a directory with ds*.bundle")
def test_releases_of_real_datasets(tmp_path: Path) -> None:
    seen = 0
    for bundle in sorted(Path(BUNDLES).glob("ds*.bundle")):
        dataset = tmp_path / bundle.stem / "dataset"
        dataset.parent.mkdir()
        run(dataset.parent, "git", "clone", "--quiet", str(bundle), dataset.name)
        run(dataset, "git", "remote", "remove", "origin")
        register(dataset)
        place = add_path(dataset, "mir", "institution")
        people = sorted(p.name for p in dataset.glob("sub-*"))
        consent(dataset, *((who, "given") for who in people[1:]))
        publish(dataset, "mir")
        extra = validate(cloned(place, content=False)) - validate(dataset)
        assert extra == set(), bundle
        seen += 1
    assert seen
