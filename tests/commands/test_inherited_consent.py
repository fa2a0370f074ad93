"""Consent follows the data until a withdrawal takes it back, whatever files are called."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from builders import copy_dataset, run
from mirrors import add_path, bare, consent, keys_at, told, tree_of
from runs import (
    CONTROL,
    DERIVED,
    FIGURE,
    MEAN,
    OF_TWO,
    ONE,
    RENAMED,
    T1W,
    TABLE,
    TWO,
    derive,
    key_of,
)

from datalad_mrishare.repo.worktree import Checkout
from datalad_mrishare.sharing.siblings import declare


@pytest.fixture(scope="module")
def derived(registered_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Only to be copied."""
    dataset = copy_dataset(registered_template, tmp_path_factory.mktemp("inherit") / "dataset")
    derive(dataset)
    return dataset


@pytest.fixture
def dataset(derived: Path, tmp_path: Path) -> Iterator[Path]:
    yield copy_dataset(derived, tmp_path / "dataset")


def explained(dataset: Path, path: str, to: str = "mir") -> dict:
    from datalad.api import mrishare_explain

    quiet = {"result_renderer": "disabled", "on_failure": "ignore", "return_type": "item-or-list"}
    return mrishare_explain(str(dataset / path), dataset=str(dataset), to=to, **quiet)


def test_nothing_of_somebody_who_refused_leaves_under_a_neutral_name(dataset: Path) -> None:
    consent(dataset, ("sub-01", "given"), ("sub-02", "refused"), ("sub-03", "given"))
    place = add_path(dataset, "mir", "institution")
    found = told(dataset)
    tree = tree_of(place)
    assert CONTROL in tree and ONE in tree
    assert not set(OF_TWO) & set(tree)
    assert key_of(dataset, CONTROL) in keys_at(place)
    assert not {key_of(dataset, p) for p in (DERIVED, RENAMED, MEAN, TWO)} & keys_at(place)
    # neither a name nor a text of it is in any object there
    for oid in run(place, "git", "cat-file", "--batch-all-objects", "--batch-check").splitlines():
        kind, content = oid.split()[1], run(place, "git", "cat-file", "-p", oid.split()[0])
        assert "renamed_bold" not in content and "<svg>2" not in content, kind
    reasons = {(r["who"], r["component"]) for r in found if r.get("outcome") == "withheld"}
    assert ("sub-02", "consent") in reasons


def test_why_it_does_not_leave_is_told_with_what_it_was_made_from(dataset: Path) -> None:
    add_path(dataset, "mir", "institution")
    consent(dataset, ("sub-01", "given"), ("sub-02", "refused"))
    commit = run(dataset, "git", "log", "--format=%H", "--", MEAN).strip()
    found = explained(dataset, MEAN)
    assert found["participants"] == ["sub-01", "sub-02"]
    assert found["lineage"] == [
        f"it was made from {TWO!r} by commit {commit[:10]}, which holds data of sub-02"
    ]
    # a path that names them needs no word on that
    assert explained(dataset, DERIVED)["lineage"] == []
    out = run(dataset, "datalad", "mrishare-explain", MEAN, "--to", "mir", ok=(1,))
    assert f"it was made from {TWO!r}" in out


def test_a_withdrawal_takes_all_of_it_back_and_nothing_else(dataset: Path) -> None:
    consent(dataset, ("sub-01", "given"), ("sub-02", "given"), ("sub-03", "given"))
    place, own = add_path(dataset, "mir", "institution"), bare(dataset.parent / "own.git")
    run(dataset, "git", "remote", "add", "own", str(own))
    declare(Checkout(dataset), "own", "backup")
    told(dataset, "own")
    first = told(dataset)
    named = next(r for r in first if r.get("outcome") == "in git")
    assert sorted(named["paths"]) == [FIGURE, TABLE] and named["status"] == "ok"
    assert set(OF_TWO) < set(tree_of(place))
    old = key_of(dataset, T1W)
    (dataset / T1W).unlink()
    (dataset / T1W).write_bytes(b"another scan")
    run(dataset, "git", "annex", "add", "--quiet", T1W)
    run(dataset, "git", "commit", "--quiet", "-m", "replace")
    again = told(dataset)
    assert not any(r.get("outcome") == "in git" for r in again)  # said once
    told(dataset, "own")
    theirs = {key_of(dataset, p) for p in (TWO, T1W, DERIVED, RENAMED, MEAN)}
    assert theirs <= keys_at(place) and theirs | {old} <= keys_at(own)
    others = keys_at(place) - theirs

    consent(dataset, ("sub-02", "withdrawn", "stop-use"))
    told(dataset)
    assert keys_at(place) == others and key_of(dataset, CONTROL) in others
    tree = tree_of(place)
    assert not set(OF_TWO) & set(tree) and not any("sub-02" in p for p in tree)
    told(dataset, "own")
    assert not (theirs | {old}) & keys_at(own)
    assert others <= keys_at(own)


def test_keys_carry_the_grants_of_whom_they_inherit(dataset: Path) -> None:
    consent(dataset, ("sub-01", "given"), ("sub-02", "given"))
    out = run(dataset, "git", "annex", "metadata", "--json", MEAN, RENAMED, CONTROL)
    fields = [json.loads(line)["fields"] for line in out.splitlines()]
    people = [f["mrishare-participant"] for f in fields]
    assert [sorted(p) for p in people] == [["sub-01", "sub-02"], ["sub-02"], ["sub-01", "sub-03"]]
    # sub-03 said nothing, so nothing is permitted for what holds data of theirs
    assert ["mrishare-use" in f for f in fields] == [True, True, False]


def test_a_receipt_counts_what_was_made_of_one_alone(dataset: Path) -> None:
    from datalad.api import mrishare_consent

    consent(dataset, ("sub-01", "given"), ("sub-02", "given"), ("sub-03", "given"))
    quiet = {"result_renderer": "disabled", "return_type": "item-or-list"}
    text = mrishare_consent(receipt="sub-02", dataset=str(dataset), **quiet)["receipt"]
    # three files of the images, sidecars counted by their path, then two derivatives and a figure
    alone = [p for p in run(dataset, "git", "ls-files").splitlines() if p.startswith("sub-02/")]
    assert f"{len(alone) + 3} files" in text
