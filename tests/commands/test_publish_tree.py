"""``datalad mrishare-publish --recursive``: a tree of datasets, subdatasets first, one budget."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from builders import run
from mirrors import add_path, bare, consent, keys_at, told, tree_of

from datalad_mrishare.repo.worktree import Checkout
from datalad_mrishare.sharing.siblings import declare


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


@pytest.mark.slow
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


@pytest.mark.slow
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


def test_a_budget_that_the_others_used_up_leaves_the_names(tree: Path) -> None:
    """The superdataset is what leads to them; its own content waits."""
    upper, lower = shared(tree)
    dry = told(tree / "derivatives/deep", dry_run=True)
    needed = str(next(r["bytes"] for r in dry if r.get("outcome") == "summary"))
    for _ in range(2):
        found = told(tree, recursive=True, budget=needed)
        assert (len(keys_at(lower)), len(keys_at(upper))) == (4, 0), found
        assert links(upper) == {"derivatives/deep": tip(lower)}
    consent(tree, ("sub-02", "withdrawn"))
    told(tree, recursive=True, budget=needed)
    assert not any(path.startswith("sub-02/") for path in tree_of(upper))
    told(tree, recursive=True, budget="1kB", code=1)  # what fits nowhere is refused as ever


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


def links(place: Path) -> dict[str, str]:
    """Path -> commit of the subdatasets in the release."""
    found = tree_of(place).items()
    return {path: head.split(" ")[2] for path, head in found if head.startswith("160000")}


def tip(place: Path) -> str:
    return run(place, "git", "rev-parse", "main").strip()


@pytest.mark.slow
def test_a_release_leads_to_the_releases_of_subdatasets(tree: Path) -> None:
    upper = add_path(tree, "mir", "institution")
    below = tree / "derivatives/deep"
    lower = bare(tree.parent / "deeper.git")
    run(below, "git", "remote", "add", "mir", str(lower))
    declare(Checkout(below), "mir", "institution")
    for ds in (tree, below):
        consent(ds, ("sub-01", "given"), ("sub-02", "given"))
    run(tree, "git", "commit", "--quiet", "-a", "-m", "subdataset declared")
    told(tree)
    assert links(upper) == {} and ".gitmodules" not in tree_of(upper), "it has no release yet"
    told(tree, recursive=True)
    assert links(upper) == {"derivatives/deep": tip(lower)}
    said = run(upper, "git", "show", "main:.gitmodules")
    assert 'url = "../deeper.git"' in said and "plain" not in said and str(tree) not in said
    # a stranger, with git and with datalad
    run(tree.parent, "git", "clone", "--quiet", "--recurse-submodules", str(upper), "one")
    run(tree.parent, "datalad", "clone", str(upper), "two")
    run(tree.parent / "two", "datalad", "get", "-n", "-r", ".")
    for name in ("one", "two"):
        there = tree.parent / name / "derivatives/deep"
        assert run(there, "git", "rev-parse", "HEAD").strip() == tip(lower)
        assert {p.name for p in there.glob("sub-*")} == {"sub-01", "sub-02"}
    run(tree.parent / "two/derivatives/deep", "datalad", "get", "sub-01")
    # nothing new is said at once, and something new below is new above
    again = told(tree, recursive=True)
    assert {r["status"] for r in again if r.get("outcome") == "summary"} == {"notneeded"}
    consent(below, ("sub-02", "withdrawn"))
    told(tree, recursive=True)
    assert links(upper) == {"derivatives/deep": tip(lower)}
    changes = run(upper, "git", "show", "main:CHANGES").partition("\n\n")[0]
    assert changes.endswith("  - 1 subdataset added or at a new release")
    # its release repository holds no state
    run(below, "rm", "-rf", ".git/mrishare/mir", "../../.git/modules/derivatives/deep/mrishare/mir")
    told(tree)
    assert links(upper) == {"derivatives/deep": tip(lower)}


@pytest.mark.slow
def test_a_subdataset_of_somebody_is_named_if_that_permits_it(registered: Path) -> None:
    """Datasets with one subdataset for each participant; both of them were published."""
    places = {}
    for number in (1, 3):
        path = f"derivatives/sub-0{number}"
        below = registered / path
        run(registered, "git", "clone", "--quiet", str(registered), str(below))
        run(below, "git", "annex", "init", f"below {number}")
        run(below, "git", "annex", "get", "--quiet", "sub-01")
        run(below, "git", "remote", "remove", "origin")
        run(registered, "git", "submodule", "add", "--quiet", f"./{path}", path)
        places[path] = bare(registered.parent / f"deeper{number}.git")
        run(below, "git", "remote", "add", "mir", str(places[path]))
        declare(Checkout(below), "mir", "institution")
        consent(below, ("sub-01", "given"))
    run(registered, "git", "commit", "--quiet", "-a", "-m", "one for each")
    upper = add_path(registered, "mir", "institution")
    consent(registered, ("sub-01", "given"), ("sub-03", "refused"))
    told(registered, recursive=True)
    assert {tip(place) for place in places.values()}, "both have a release"
    assert links(upper) == {"derivatives/sub-01": tip(places["derivatives/sub-01"])}
    assert "sub-03" not in run(upper, "git", "log", "-p", "main")
    consent(registered, ("sub-01", "withdrawn"))
    told(registered)
    assert links(upper) == {} and ".gitmodules" not in tree_of(upper)
