"""Images that were saved by hand are looked into before they leave."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import nibabel
import numpy as np
import pytest
from builders import metadata, run
from mirrors import add_path, consent, keys_at, keys_of, publish, told, tree_of

from datalad_mrishare.privacy import looking
from datalad_mrishare.repo.worktree import Checkout
from datalad_mrishare.sharing import looked
from datalad_mrishare.sharing.explaining import explain
from datalad_mrishare.sharing.siblings import declare
from datalad_mrishare.sources.register import register

BY_HAND = "sub-01/func/sub-01_task-new_bold.nii.gz"
CLEAN = "policy: institution\ndeid: deidentified\n"


def save(dataset: Path, path: str, descrip: bytes = b"", content: bytes | None = None) -> str:
    """Save a file as anybody would who does not know of us; returns its key."""
    image = nibabel.Nifti1Image(np.full((4, 4, 4), len(path) + len(descrip), np.int16), np.eye(4))
    image.header["descrip"] = descrip
    place = dataset / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(gzip.compress(image.to_bytes(), mtime=0) if content is None else content)
    run(dataset, "git", "annex", "add", "--force-large", "--quiet", path)
    run(dataset, "git", "commit", "--quiet", "-m", "by hand")
    return run(dataset, "git", "annex", "lookupkey", path).strip()


@pytest.fixture
def clean(registered: Path) -> Path:
    """A sibling that takes what is deidentified, and no more."""
    consent(registered, ("sub-01", "given"), ("sub-02", "given"))
    place = add_path(registered, "mir", "institution")
    policy = registered.parent / "policy.yaml"
    policy.write_text(CLEAN)
    declare(Checkout(registered), "mir", str(policy))
    return place


def why(dataset: Path, path: str) -> list[str]:
    (found,) = explain(Checkout(dataset), [path], "mir")
    return [reason.component for reason in found.verdict.reasons]


@pytest.mark.parametrize("registers", [pytest.param(False, marks=pytest.mark.slow), True])
def test_text_in_a_header_makes_an_image_identifiable(
    registered: Path, clean: Path, registers: bool
) -> None:
    key = save(registered, BY_HAND, b"Jane Doe")
    silent = save(registered, BY_HAND.replace("new", "old"), b"FSL5.0")
    clock = save(registered, BY_HAND.replace("new", "clock"), b"TE=30;Time=92745.110")
    if registers:
        register(registered)
        assert metadata(registered, BY_HAND)["mri-text"] == ["descrip"]
    records = told(registered)
    assert {key, clock}.isdisjoint(keys_at(clean)) and silent in keys_at(clean)
    assert why(registered, BY_HAND) == ["header-text"]
    said = json.dumps(records, default=str)
    assert "text in the field descrip, and counts as identifiable" in said
    assert "the time of day of the scan in the field descrip, and counts as pseudonymised" in said
    assert "Jane" not in said
    # a sibling that takes what is identifiable takes it
    declare(Checkout(registered), "mir", "institution")
    told(registered)
    assert {key, clock, silent} <= keys_at(clean)


@pytest.mark.parametrize("registers", [pytest.param(False, marks=pytest.mark.slow), True])
@pytest.mark.parametrize(
    ("path", "content"),
    [
        (BY_HAND, None),
        ("sub-01/beh/sub-01_task-rest_beh.tsv", b"note\nlike sub-03\n"),
        ("sub-01/func/sub-01_task-x_physio.tsv.gz", gzip.compress(b"like sub-03", mtime=0)),
    ],
)
def test_who_is_withheld_is_named_in_no_content(
    registered: Path, path: str, content: bytes | None, registers: bool
) -> None:
    consent(registered, ("sub-01", "given"))
    place = add_path(registered, "mir", "institution")
    key = save(registered, path, b"like sub-03", content)
    if registers:
        register(registered)
    publish(registered, "mir")
    assert key not in keys_at(place) and path not in tree_of(place)
    assert why(registered, path) == ["mention"]
    consent(registered, ("sub-03", "given"))
    publish(registered, "mir")
    assert key in keys_at(place)


@pytest.mark.slow
def test_dicom_beside_images_stays(registered: Path) -> None:
    consent(registered, ("sub-01", "given"))
    place = add_path(registered, "mir", "institution")
    for path in ("sub-01/anat/sub-01_T1w.dcm", "sub-01/anat/0001"):
        key = save(registered, path, content=b"\0" * 128 + b"DICM" + path.encode())
        publish(registered, "mir")
        assert key not in keys_at(place) and path not in tree_of(place)
        assert why(registered, path) == ["finding"]


def test_an_image_in_git_is_looked_into(registered: Path, clean: Path) -> None:
    image = nibabel.Nifti1Image(np.zeros((2, 2, 2), np.int16), np.eye(4))
    for descrip in (b"", b"Jane Doe"):
        image.header["descrip"] = descrip
        (registered / BY_HAND).write_bytes(gzip.compress(image.to_bytes(), mtime=0))
        run(registered, "git", "-c", "annex.largefiles=nothing", "add", BY_HAND)
        run(registered, "git", "commit", "--quiet", "-m", "in git")
        publish(registered, "mir")
        assert (BY_HAND in tree_of(clean)) == (not descrip)


def test_content_is_looked_into_once(
    registered: Path, clean: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    def look_into(file: Path, name: str) -> object:
        seen.append(name)
        return looking.look_into(file, name)

    monkeypatch.setattr(looked, "look_into", look_into)
    save(registered, BY_HAND)
    publish(registered, "mir", dry_run=True)
    assert seen == [BY_HAND]  # what was registered has its answer on its key
    publish(registered, "mir")
    assert seen == [BY_HAND]
    memory = registered / ".git/mrishare/looked.json"
    memory.write_text('[1, [], {"a": 3}]')
    publish(registered, "mir", dry_run=True)
    assert seen == [BY_HAND, BY_HAND]


def test_metadata_of_a_former_version_says_nothing(registered: Path, clean: Path) -> None:
    path = "sub-01/func/sub-01_task-rest_bold.nii.gz"
    assert metadata(registered, path)["mri-text"] == ["none"]
    os.unlink(registered / path)
    key = save(registered, path, b"Jane Doe")
    assert metadata(registered, path)["mri-text"] == ["none"]  # as git-annex carries it over
    publish(registered, "mir")
    assert key not in keys_at(clean)


def test_what_was_not_here_when_all_was_looked_into_is_not_sent(
    registered: Path, clean: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = save(registered, BY_HAND, b"Jane Doe")
    monkeypatch.setattr(looked, "look_into", lambda *_: None)  # it comes a moment later
    publish(registered, "mir")
    assert key not in keys_at(clean)
    monkeypatch.undo()
    publish(registered, "mir")
    assert key not in keys_at(clean)
    assert keys_of(registered, "sub-02/func/") & keys_at(clean)
