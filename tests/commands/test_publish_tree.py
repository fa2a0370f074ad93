"""``datalad mrishare-publish --recursive``: a tree of datasets, subdatasets first, one budget."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from builders import run
from mirrors import add_path, consent, keys_at, told


def summed(found: list[dict[str, Any]]) -> dict[str, str]:
    """Name of the dataset -> status, in the order told."""
    return {Path(r["path"]).name: r["status"] for r in found if r.get("outcome") == "summary"}


@pytest.fixture
def tree(registered: Path) -> Path:
    """A registered dataset in another one, beside a subdataset that nobody registered."""
    below = registered / "derivatives" / "deep"
    below.parent.mkdir()
    run(registered, "git", "clone", "--quiet", str(registered), str(below))
    run(below, "git", "annex", "init", "below")
    run(below, "git", "annex", "get", "--quiet", ".")
    run(below, "git", "remote", "remove", "origin")
    plain = registered / "derivatives" / "plain"
    run(registered, "git", "init", "--quiet", str(plain))
    run(plain, "git", "commit", "--quiet", "--allow-empty", "-m", "begin")
    for path in ("derivatives/deep", "derivatives/plain"):
        run(
            registered,
            "git",
            "-c",
            "protocol.file.allow=always",
            "submodule",
            "add",
            "--quiet",
            f"./{path}",
            path,
        )
    run(registered, "git", "commit", "--quiet", "-m", "subdatasets")
    return registered


def shared(tree: Path) -> tuple[Path, Path]:
    """Where the sibling of the upper and of the lower dataset lies, each with two people."""
    places = []
    for ds in (tree, tree / "derivatives/deep"):
        places.append(add_path(ds, "mir", "institution"))
        consent(ds, ("sub-01", "given"), ("sub-02", "given"))
    run(tree, "git", "commit", "--quiet", "-a", "-m", "subdataset declared")
    return places[0], places[1]


def test_subdatasets_go_first_and_only_where_they_declare_it(tree: Path) -> None:
    upper = add_path(tree, "mir", "institution")
    consent(tree, ("sub-01", "given"))
    found = told(tree, recursive=True)
    assert summed(found) == {"dataset": "ok"} and len(keys_at(upper)) == 2
    notes = {Path(r["path"]).name: r["message"] for r in found if r["path"] != str(tree)}
    assert "declares no sibling 'mir'" in notes["deep"] and "not registered" in notes["plain"]
    lower = add_path(tree / "derivatives/deep", "mir", "institution")
    consent(tree / "derivatives/deep", ("sub-02", "given"))
    assert list(summed(told(tree, recursive=True))) == ["deep", "dataset"]
    assert len(keys_at(lower)) == 2 and len(keys_at(upper)) == 2


@pytest.mark.slow
def test_without_the_word_subdatasets_stay(tree: Path) -> None:
    _, lower = shared(tree)
    assert list(summed(told(tree))) == ["dataset"] and keys_at(lower) == set()


def test_one_budget_over_the_tree(tree: Path) -> None:
    upper, lower = shared(tree)
    dry = told(tree, recursive=True, dry_run=True)
    needs = {Path(r["path"]).name: r["bytes"] for r in dry if r.get("outcome") == "summary"}
    assert needs["deep"] == needs["dataset"] > 0
    one = needs["deep"] // 2  # a participant
    # for one and a half datasets: the lower one whole, half of the upper one
    found = told(tree, recursive=True, budget=str(3 * one))
    assert (len(keys_at(lower)), len(keys_at(upper))) == (4, 2), found
    # what is there counts, also of those that come later
    told(tree, recursive=True, budget=str(3 * one))
    assert (len(keys_at(lower)), len(keys_at(upper))) == (4, 2)


@pytest.mark.slow
def test_what_a_later_dataset_holds_counts_for_an_earlier_one(tree: Path) -> None:
    upper, lower = shared(tree)
    told(tree)
    assert len(keys_at(upper)) == 4
    dry = told(tree / "derivatives/deep", dry_run=True)
    one = next(r["bytes"] for r in dry if r.get("outcome") == "summary") // 2
    told(tree, recursive=True, budget=str(3 * one))
    assert (len(keys_at(lower)), len(keys_at(upper))) == (2, 4)


@pytest.mark.slow
def test_a_plan_is_for_one_dataset(tree: Path) -> None:
    from datalad.support.exceptions import InsufficientArgumentsError

    with pytest.raises(InsufficientArgumentsError, match="no -r"):
        told(tree, recursive=True, plan_to="plan.json")
