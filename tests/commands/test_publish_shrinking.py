"""A release that only gets smaller does not wait for what forbids sending."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from builders import run
from mirrors import TODAY, add_path, consent, keys_at, keys_of, publish, tree_of

from datalad_mrishare.repo.worktree import Checkout
from datalad_mrishare.sharing.reports import ProblemReport, SummaryReport
from datalad_mrishare.sharing.siblings import declare

AGREEMENT = "dua: {reference: Agreement-2026-017, until: 2027-01-01}"
ENDED = date(2027, 1, 1)
THREE = tuple((f"sub-0{n}", "given") for n in (1, 2, 3))


def policy(dataset: Path, *lines: str) -> str:
    path = dataset.parent / "policy.yaml"
    path.write_text("\n".join(("policy: institution", *lines)) + "\n")
    return str(path)


def add_files(dataset: Path, name: str, asked: str) -> Path:
    place = dataset.parent / name
    place.mkdir()
    words = ("type=directory", f"directory={place}", "encryption=none", "exporttree=yes")
    run(dataset, "git", "annex", "initremote", name, *words)
    declare(Checkout(dataset), name, asked)
    return place


def refused(reports: list[Any]) -> list[str]:
    return [r.what for r in reports if isinstance(r, ProblemReport)]


def files_at(place: Path) -> set[str]:
    found = (p.relative_to(place) for p in place.rglob("*") if p.is_file())
    return {str(p) for p in found if p.parts[0] != ".git"}


def add_larger(dataset: Path) -> None:
    """A file of 90 kB for everybody, so that no unit fits into 80 kB."""
    for n in (1, 2, 3):
        image = dataset / f"sub-0{n}/anat/sub-0{n}_T2w.nii.gz"
        image.write_bytes(bytes([n]) * 90_000)
    run(dataset, "datalad", "save", "-m", "more")


def table(sibling: Path, ref: str = "main") -> str:
    return run(sibling, "git", "cat-file", "blob", f"{ref}:participants.tsv")


def test_no_room_keeps_nobody_in_the_release(registered: Path) -> None:
    asked = policy(registered, "budget: 80kB")
    place, files = add_path(registered, "mir", asked), add_files(registered, "plain", asked)
    consent(registered, *THREE)
    for name in ("mir", "plain"):
        assert publish(registered, name)[-1].changed
    before = tree_of(place)
    assert "sub-03\t" in table(place)
    assert any(path.startswith("sub-03/") for path in files_at(files))
    add_larger(registered)
    consent(registered, ("sub-03", "withdrawn"))
    for name in ("mir", "plain"):
        reports = publish(registered, name)
        assert "smallest unit needs" in refused(reports)[0]
        assert isinstance(reports[-1], SummaryReport) and reports[-1].changed
        again = publish(registered, name)
        assert refused(again) and not any(isinstance(r, SummaryReport) for r in again)
    after = tree_of(place)
    assert after.keys() - before.keys() == {".datalad/mrishare/revoked.tsv"}
    gone = before.keys() - after.keys()
    assert gone and all("sub-03" in path for path in gone)
    assert not any("sub-03" in path for path in {*after} | files_at(files))
    assert "sub-03" not in table(place) + (files / "participants.tsv").read_text()
    assert "sub-01\t" in table(place) and "sub-02\t" in table(place)
    assert keys_at(place) == keys_of(registered, "sub-01") - keys_of(
        registered, "sub-01/anat/sub-01_T2w"
    )
    assert not any("T2w" in path for path in {*after} | files_at(files))


def test_an_agreement_that_has_ended_keeps_nobody_and_lets_nothing_new(registered: Path) -> None:
    asked = policy(registered, AGREEMENT)
    place, files = add_path(registered, "mir", asked), add_files(registered, "plain", asked)
    consent(registered, *THREE)
    for name in ("mir", "plain"):
        publish(registered, name)
    before = tree_of(place)
    rows = table(place)
    add_larger(registered)
    (registered / "sub-01/anat/sub-01_T1w.nii.gz").unlink()
    (registered / "sub-01/anat/sub-01_T1w.nii.gz").write_bytes(b"a better image")
    people = registered / "participants.tsv"
    people.write_text(people.read_text().replace("\t2", "\t3"))
    (registered / "README").write_text("Something new.\n")
    run(registered, "datalad", "save", "-m", "better")
    consent(registered, ("sub-03", "withdrawn"), ("sub-04", "given"))
    for name in ("mir", "plain"):
        reports = publish(registered, name, at=ENDED)
        assert "holds no longer" in refused(reports)[0]
        assert reports[-1].changed
    after = tree_of(place)
    assert after.keys() - before.keys() == {".datalad/mrishare/revoked.tsv"}
    gone = before.keys() - after.keys()
    rest = {p for p in gone if "sub-03" not in p}
    assert rest == {"sub-01/anat/sub-01_T1w.nii.gz", "sub-01/anat/sub-01_T1w.json"}
    assert not any("sub-03" in path for path in {*after} | files_at(files))
    assert table(place) == "".join(
        line for line in rows.splitlines(keepends=True) if not line.startswith("sub-03")
    )
    assert "Something new" not in (files / "README").read_text()
    named = keys_of(place, "", commit="main")
    assert named == keys_at(place), "it promises what is there, and nothing else"
    event = json.loads((registered / reports[-1].event).read_text())
    assert event["keys_sent"] == 0 and "sub-03" not in event["holds"]


def test_nothing_was_released_and_nothing_is(registered: Path) -> None:
    place = add_path(registered, "mir", policy(registered, AGREEMENT))
    consent(registered, *THREE)
    reports = publish(registered, "mir", at=ENDED)
    assert refused(reports) and not any(isinstance(r, SummaryReport) for r in reports)
    assert run(place, "git", "for-each-ref", "refs/heads/main") == ""


@pytest.mark.slow
def test_once_it_may_be_sent_again_all_is_as_if_nothing_had_been(registered: Path) -> None:
    place = add_path(registered, "mir", policy(registered, AGREEMENT))
    consent(registered, *THREE)
    publish(registered, "mir")
    add_larger(registered)
    consent(registered, ("sub-03", "withdrawn"))
    publish(registered, "mir", at=ENDED)
    publish(registered, "mir", at=TODAY)
    assert keys_at(place) == keys_of(registered, "sub-01", "sub-02")
    assert sum("T2w" in path for path in tree_of(place)) == 2


@pytest.mark.slow
def test_a_history_that_is_to_be_forgotten_is(registered: Path) -> None:
    place = add_path(registered, "mir", policy(registered, AGREEMENT))
    consent(registered, *THREE)
    publish(registered, "mir")
    consent(registered, ("sub-03", "withdrawn"))
    assert refused(publish(registered, "mir", at=ENDED, new_root=True))
    assert run(place, "git", "rev-list", "--count", "main").strip() == "1"
    assert not any("sub-03" in path for path in tree_of(place))


def test_own_storage_of_plain_files_gets_rid_of_it(registered: Path) -> None:
    path = registered.parent / "own.yaml"
    path.write_text("policy: backup\nbudget: 400kB\n")
    files = add_files(registered, "own", str(path))
    consent(registered, *THREE)
    publish(registered, "own")
    assert any(p.startswith("sub-03/") for p in files_at(files))
    before = files_at(files)
    add_larger(registered)
    path.write_text("policy: backup\nbudget: 1kB\n")
    declare(Checkout(registered), "own", str(path))
    consent(registered, ("sub-03", "withdrawn", "erase"))
    reports = publish(registered, "own")
    left = files_at(files)
    assert not any(p.startswith("sub-03/") for p in left)
    assert {p for p in left - before if not p.startswith(".datalad/")} == set(), reports


@pytest.mark.slow
def test_a_backup_of_plain_files_loses_nothing_else(registered: Path) -> None:
    """What was edited or renamed waits, and the former version stays where it is."""
    path = registered.parent / "own.yaml"
    path.write_text("policy: backup\nbudget: 400kB\n")
    place = add_files(registered, "own", str(path))
    consent(registered, *THREE)
    publish(registered, "own")
    before, readme = files_at(place), (place / "README").read_bytes()
    for n in (1, 2, 3, 4):
        image = registered / f"sub-0{n}/anat/sub-0{n}_T2w.nii.gz"
        image.write_bytes(bytes([n]) * 900_000)
    (registered / "README").write_text("Something new.\n")
    run(
        registered,
        "git",
        "mv",
        "sub-01/anat/sub-01_T1w.nii.gz",
        "sub-01/anat/sub-01_acq-a_T1w.nii.gz",
    )
    run(registered, "datalad", "save", "-m", "more")
    path.write_text("policy: backup\nbudget: 1kB\n")
    declare(Checkout(registered), "own", str(path))
    assert refused(publish(registered, "own"))
    assert files_at(place) == before and (place / "README").read_bytes() == readme


@pytest.mark.slow
def test_what_is_renamed_meanwhile_is_not_revoked(registered: Path) -> None:
    place = add_path(registered, "mir", policy(registered, AGREEMENT))
    consent(registered, *THREE)
    publish(registered, "mir")
    new = "sub-01/anat/sub-01_acq-a_T1w.nii.gz"
    run(registered, "git", "mv", "sub-01/anat/sub-01_T1w.nii.gz", new)
    run(registered, "datalad", "save", "-m", "renamed")
    (key,) = keys_of(registered, "sub-01/anat/sub-01_acq-a_T1w")
    consent(registered, ("sub-03", "withdrawn"))
    assert refused(publish(registered, "mir", at=ENDED))
    revoked = run(place, "git", "cat-file", "blob", "main:.datalad/mrishare/revoked.tsv")
    assert key in keys_at(place) and key not in revoked
