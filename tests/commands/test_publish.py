"""``datalad mrishare-publish``: what arrives, what is reported, exit codes."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from builders import annexed, copy_dataset, remove, run, snapshot
from mirrors import (
    add_path,
    add_ria,
    bare,
    consent,
    keys_at,
    keys_of,
    lent,
    locations,
    told,
    tree_of,
    units,
)

from datalad_mrishare.repo.worktree import Checkout
from datalad_mrishare.sharing.publishing import Publication
from datalad_mrishare.sharing.siblings import declare

BOTH = ("sub-01", "sub-02")


def add_checkout(dataset: Path, name: str, policy: str) -> Path:
    """A declared sibling with a working tree, as datalad makes them."""
    place = dataset.parent / name
    run(dataset, "datalad", "create-sibling", "-s", name, str(place))
    declare(Checkout(dataset), name, policy)
    return place


ADD = {"path": add_path, "ria": add_ria, "checkout": add_checkout}


def cli(dataset: Path, *args: str, code: int = 0) -> list[dict[str, Any]]:
    """Result records of the command; its exit code must be ``code``."""
    argv = ("datalad", "-f", "json", "mrishare-publish", *args)
    out = run(dataset, *argv, ok=(code,))
    return [json.loads(line) for line in out.splitlines() if line.startswith("{")]


def refs(repo: Path) -> str:
    return run(repo, "git", "for-each-ref")


def state(dataset: Path, sibling: Path) -> dict[str, Any]:
    """All of both, but our private directory and what git only refreshes."""
    seen = {f"dataset/{path}": what for path, what in snapshot(dataset, times=False).items()}
    seen |= {f"sibling/{path}": what for path, what in snapshot(sibling).items()}
    passing = ("dataset/.git/mrishare", "dataset/.git/FETCH_HEAD", "dataset/.git/index")
    passing += ("dataset/.git/annex/mergedrefs",)
    return {path: what for path, what in seen.items() if not path.startswith(passing)}


def different(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Paths that are not as they were."""
    return sorted(p for p in before.keys() | after.keys() if before.get(p) != after.get(p))


@pytest.fixture
def dataset(registered: Path) -> Path:
    """01 and 02 permit sharing with the institution, 03 refused, 04 said nothing."""
    consent(registered, ("sub-01", "given"), ("sub-02", "given"), ("sub-03", "refused"))
    return registered


# -- the normal path


@dataclass
class Course:
    """A dataset and a new sibling: dry run, run, and run again."""

    dataset: Path
    sibling: Path
    own: bool
    touched: list[str]
    planned: list[dict[str, Any]]
    done: list[dict[str, Any]]
    again: list[dict[str, Any]]
    moved: bool


@pytest.fixture(
    scope="module",
    params=[
        pytest.param((kind, policy), marks=() if kind == "path" else pytest.mark.slow)
        for kind in ADD
        for policy in ("institution", "backup")
    ],
    ids="-".join,
)
def course(
    request: pytest.FixtureRequest,
    registered_template: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Course:
    kind, policy = request.param
    dataset = copy_dataset(registered_template, tmp_path_factory.mktemp("course") / "dataset")
    consent(dataset, ("sub-01", "given"), ("sub-02", "given"), ("sub-03", "refused"))
    mir = ADD[kind](dataset, "mir", policy)
    before = state(dataset, mir)
    planned = told(dataset, dry_run=True)
    touched = different(before, state(dataset, mir))
    done = told(dataset)
    before_again = refs(mir), run(dataset, "git", "rev-parse", "HEAD")
    again = told(dataset)
    moved = (refs(mir), run(dataset, "git", "rev-parse", "HEAD")) != before_again
    return Course(dataset, mir, policy == "backup", touched, planned, done, again, moved)


def test_a_dry_run_changes_nothing(course: Course) -> None:
    assert course.touched == []


def test_a_dry_run_tells_what_the_run_does(course: Course) -> None:
    went = {name: "planned" if o == "sent" else o for name, o in units(course.done).items()}
    assert units(course.planned) == went
    keep = ("who", "files", "bytes", "reason")
    told_twice = [
        [{k: r[k] for k in keep} for r in records if r.get("who")]
        for records in (course.planned, course.done)
    ]
    assert told_twice[0] == told_twice[1]


def test_what_is_there(course: Course) -> None:
    people = {"sub-01", "sub-02"} | ({"sub-03", "sub-04"} if course.own else set())
    assert units(course.done) == dict.fromkeys(people, "sent")
    assert keys_at(course.sibling) == keys_of(course.dataset, *people)
    assert {p.split("/")[0] for p in tree_of(course.sibling) if p.startswith("sub-")} == people
    if course.own:
        assert tree_of(course.sibling) == tree_of(course.dataset)
        commits = {run(d, "git", "rev-parse", "main") for d in (course.sibling, course.dataset)}
        assert len(commits) == 1
    else:
        rows = run(course.sibling, "git", "show", "main:participants.tsv").splitlines()
        assert [row.split("\t")[0] for row in rows[1:]] == ["sub-01", "sub-02"]
        assert lent(course.dataset, "mir") == set()


def test_a_second_run_does_nothing_and_says_so(course: Course) -> None:
    assert {r["status"] for r in course.again} == {"notneeded"}
    assert set(units(course.again).values()) == {"keep"}
    assert "Nothing to do" in course.again[-1]["message"]
    assert not course.moved, "an event or a commit of nothing"


def test_a_colleague_gets_all_of_it(course: Course) -> None:
    if course.own:
        return
    clone = course.dataset.parent / "clone"
    run(course.dataset.parent, "datalad", "clone", str(course.sibling), "clone")
    run(clone, "git", "annex", "get", ".")
    assert annexed(clone, "--in=here") == {
        f"{p}/{f}"
        for p in BOTH
        for f in (f"anat/{p}_T1w.nii.gz", f"func/{p}_task-rest_bold.nii.gz")
    }


def test_an_event_tells_of_it(dataset: Path) -> None:
    add_path(dataset, "mir", "institution")
    event = told(dataset)[-1]["event"]
    written = json.loads(run(dataset, "git", "show", f"HEAD:{event}"))
    assert written["units_sent"] == ["sub-01", "sub-02"] and written["keys_sent"] == 4
    assert written["bytes_sent"] == sum(int(k.split("-")[1][1:]) for k in keys_of(dataset, *BOTH))


def test_exit_codes_and_what_a_person_reads(dataset: Path) -> None:
    add_path(dataset, "mir", "institution")
    out = run(dataset, "datalad", "mrishare-publish", "--to", "mir", "--budget", "1kB", ok=(1,))
    assert out.startswith("refused") and "--budget" in out
    records = cli(dataset, "--to", "mir", "-J2")
    assert units(records) == {"sub-01": "sent", "sub-02": "sent"}
    out = run(dataset, "datalad", "mrishare-publish", "--to", "mir")
    assert out.splitlines()[-1].startswith("in sum") and "Nothing to do" in out


def test_parallel_jobs(dataset: Path) -> None:
    mir = add_path(dataset, "mir", "institution")
    told(dataset, jobs=2)
    assert keys_at(mir) == keys_of(dataset, *BOTH)


def test_from_python(dataset: Path) -> None:
    from datalad.api import mrishare_publish
    from datalad.support.exceptions import IncompleteResultsError

    with pytest.raises(IncompleteResultsError, match="mrishare-sibling typo --policy"):
        mrishare_publish(to="typo", dataset=dataset, result_renderer="disabled")


# -- wrong use


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"to": None}, "--to SIBLING"),
        ({"budget": "much"}, "--budget: `much` is not a size"),
        ({"budget": "-5"}, "--budget: `-5` is not a size"),
        ({"select": "anat"}, "--select: `anat` selects nothing"),
        ({"select": "datatype="}, "--select: `datatype=` selects nothing"),
        ({"select": "datatpye=anat"}, "--select: unknown entity `datatpye`"),
        ({"jobs": "0"}, "--jobs: `0` is not a number of jobs"),
    ],
)
def test_wrong_use(options: dict[str, Any], sentence: str, registered_template: Path) -> None:
    from datalad.api import mrishare_publish
    from datalad.support.exceptions import InsufficientArgumentsError

    with pytest.raises(InsufficientArgumentsError, match=re.escape(sentence)):
        mrishare_publish(**{"to": "mir", "dataset": registered_template, **options})


def test_exit_code_of_wrong_use(registered_template: Path) -> None:
    argv = ("datalad", "mrishare-publish", "--to", "mir", "--budget", "much")
    run(registered_template, *argv, ok=(2,))


@pytest.mark.parametrize("name", ["typo", "../../typo", "dataset", "mir/x"])
def test_a_sibling_that_nobody_declared(dataset: Path, name: str) -> None:
    before = snapshot(dataset)
    (refused,) = told(dataset, name, code=1)
    assert refused["status"] == "error" and refused["remedy"]
    assert {p for p in snapshot(dataset).keys() ^ before.keys() if "typo" in p} == set()


# -- a part


def test_a_budget_that_does_not_fit_all(dataset: Path) -> None:
    mir = add_path(dataset, "mir", "institution")
    # a participant takes about 76,080 bytes
    records = told(dataset, budget="100kB")
    assert units(records) == {"sub-01": "sent", "sub-02": "defer"}
    assert keys_at(mir) == keys_of(dataset, "sub-01")
    assert "sub-02/anat/sub-02_T1w.nii.gz" in tree_of(mir), "deferred is named"
    assert units(told(dataset, budget="100kB"))["sub-02"] == "defer"
    assert units(told(dataset, budget="200kB"))["sub-02"] == "sent"
    assert keys_at(mir) == keys_of(dataset, *BOTH)


def test_a_budget_that_fits_nothing_is_refused(dataset: Path) -> None:
    mir = add_path(dataset, "mir", "institution")
    records = told(dataset, budget="1kB", code=1)
    assert records[0]["outcome"] == "refused"
    assert "the smallest unit needs 76.1 kB" in records[0]["what"]
    assert "refs/heads/main" not in refs(mir) and keys_at(mir) == set()


def test_a_selection(dataset: Path) -> None:
    mir = add_path(dataset, "mir", "institution")
    told(dataset, select="datatype=anat")
    assert keys_at(mir) == keys_of(dataset, "sub-01/anat", "sub-02/anat")
    told(dataset, select="sub=01")
    assert keys_at(mir) == keys_of(dataset, "sub-01/", "sub-02/anat")
    told(dataset, select=["suffix=bold", "sub=02,03"])
    assert keys_at(mir) == keys_of(dataset, *BOTH)


# -- later


def test_new_files_and_new_consent_follow(dataset: Path) -> None:
    mir = add_path(dataset, "mir", "institution")
    told(dataset)
    first = run(mir, "git", "rev-parse", "main").strip()
    (dataset / "sub-01/anat/sub-01_T2w.nii.gz").write_bytes(b"another image")
    run(dataset, "datalad", "save", "-m", "more")
    consent(dataset, ("sub-04", "given"))
    assert units(told(dataset)) == {
        "sub-01": "sent", "sub-02": "keep", "sub-04": "sent",
    }  # fmt: skip
    assert keys_at(mir) == keys_of(dataset, *BOTH, "sub-04")
    assert run(mir, "git", "rev-parse", "main^").strip() == first, "clones fast-forward"


def test_a_withdrawal_is_taken_back(dataset: Path) -> None:
    mir = add_path(dataset, "mir", "institution")
    told(dataset)
    consent(dataset, ("sub-02", "withdrawn"))
    planned = told(dataset, dry_run=True)
    done = told(dataset)
    for records in (planned, done):
        (back,) = (r for r in records if r["outcome"] == "taken back")
        assert (back["keys"], back["bytes"]) == (2, 76081)
        assert {*back["listed"]} == keys_of(dataset, "sub-02")
        assert "sub-02/anat/sub-02_T1w.nii.gz" in back["lines"]
        assert "recall" not in back["message"]
    assert keys_at(mir) == keys_of(dataset, "sub-01")
    assert set(locations(mir, "synced/git-annex")) == keys_of(dataset, "sub-01")
    assert not any(path.startswith("sub-02") for path in tree_of(mir))
    assert annexed(dataset, "--in=here") >= {"sub-02/anat/sub-02_T1w.nii.gz"}


@pytest.mark.slow
def test_a_replaced_file_is_taken_back(dataset: Path) -> None:
    mir = add_path(dataset, "mir", "institution")
    told(dataset)
    image = dataset / "sub-01/anat/sub-01_T1w.nii.gz"
    image.unlink()
    image.write_bytes(b"a better image")
    run(dataset, "datalad", "save", "-m", "better")
    told(dataset)
    assert keys_at(mir) == keys_of(dataset, *BOTH)


def test_the_last_copy_is_never_taken_back(dataset: Path) -> None:
    mir = add_path(dataset, "mir", "institution")
    told(dataset)
    run(dataset, "git", "annex", "drop", "--force", "sub-02/func")
    consent(dataset, ("sub-02", "withdrawn"))
    records = told(dataset, code=1)
    (back,) = (r for r in records if r["outcome"] == "taken back")
    assert back["status"] == "error" and back["keys"] == 1
    assert "it is the only known copy" in back["message"]
    assert keys_at(mir) == keys_of(dataset, "sub-01", "sub-02/func")
    assert not any(path.startswith("sub-02") for path in tree_of(mir)), "no longer named"
    again = told(dataset, code=1)
    assert any("only known copy" in r["message"] for r in again), "told each time"


def test_the_last_copy_goes_when_it_is_to_be_erased(dataset: Path) -> None:
    mir = add_path(dataset, "mir", "institution")
    told(dataset)
    run(dataset, "git", "annex", "drop", "--force", "sub-02", "sub-01/func")
    consent(dataset, ("sub-02", "withdrawn", "erase"), ("sub-01", "withdrawn", "stop-use"))
    (back,) = (r for r in told(dataset, code=1) if r["outcome"] == "taken back")
    assert back["keys"] == 3 and {*back["failed"]} == keys_of(dataset, "sub-01/func")
    assert keys_at(mir) == keys_of(dataset, "sub-01/func")


@pytest.mark.slow
def test_what_cannot_be_recalled_is_told(dataset: Path, tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text("policy: institution\nrecall: no\n")
    mir = add_path(dataset, "mir", str(policy))
    told(dataset)
    assert keys_at(mir)
    consent(dataset, ("sub-02", "withdrawn"))
    (back,) = (r for r in told(dataset) if r["outcome"] == "taken back")
    assert back["recall"] is False and "copies made of it remain" in back["message"]


@pytest.mark.slow
def test_a_copy_elsewhere_is_enough_to_take_back(dataset: Path) -> None:
    mir = add_path(dataset, "mir", "institution")
    add_path(dataset, "bak", "backup")
    told(dataset)
    told(dataset, "bak")
    former = keys_of(dataset, "sub-01/anat")
    run(dataset, "git", "annex", "drop", "sub-02", "sub-01/anat")
    (dataset / "sub-01/anat/sub-01_T1w.nii.gz").unlink()
    run(dataset, "datalad", "save", "-m", "removed, and no longer in the tree")
    consent(dataset, ("sub-02", "withdrawn"))
    told(dataset)
    assert keys_at(mir) == keys_of(dataset, "sub-01") and not former & keys_at(mir)


@pytest.mark.parametrize("lost", ["dead", "disk", "file"])
def test_a_copy_elsewhere_that_is_lost_is_none(dataset: Path, lost: str) -> None:
    """The location log tells of it all the same."""
    mir = add_path(dataset, "mir", "institution")
    bak = add_path(dataset, "bak", "backup")
    told(dataset)
    told(dataset, "bak")
    two = keys_of(dataset, "sub-02")
    run(dataset, "git", "annex", "drop", "sub-02")
    if lost == "dead":
        run(dataset, "git", "annex", "dead", "bak")
    elif lost == "disk":
        bak.rename(bak.with_name("broken"))
    else:
        remove(bak / "annex/objects")
    consent(dataset, ("sub-02", "withdrawn"))
    (back,) = (r for r in told(dataset, code=1) if r["outcome"] == "taken back")
    assert back["keys"] == 0 and {*back["failed"]} == two & keys_at(mir) == two
    assert "datalad get" in back["message"]
    assert ("bak" in back["message"]) == (lost != "dead")
    assert not any(path.startswith("sub-02") for path in tree_of(mir))
    consent(dataset, ("sub-02", "withdrawn", "erase"))
    told(dataset)
    assert keys_at(mir) == keys_of(dataset, "sub-01")


def test_content_that_is_not_here(dataset: Path) -> None:
    mir = add_path(dataset, "mir", "institution")
    add_path(dataset, "bak", "backup")
    told(dataset, "bak")
    run(dataset, "git", "annex", "drop", "sub-02/anat")
    records = told(dataset, code=1)
    (waits,) = (r for r in records if r.get("unit") == "sub-02")
    assert (waits["status"], waits["outcome"]) == ("impossible", "defer")
    assert "bak" in waits["reason"] and "datalad get sub-02" in waits["reason"]
    assert keys_at(mir) == keys_of(dataset, "sub-01")
    run(dataset, "datalad", "get", "sub-02")
    assert units(told(dataset))["sub-02"] == "sent"


# -- room


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A directory on a file system of 4 MB."""
    place = tmp_path / "small"
    place.mkdir()
    argv = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(argv, capture_output=True, check=False).returncode:
        pytest.skip("needs to be root and able to mount a tmpfs")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def fill(place: Path, leave: int) -> Path:
    """Somebody else's file that leaves ``leave`` bytes of the file system."""
    found = os.statvfs(place)
    theirs = place / "theirs"
    theirs.write_bytes(bytes(found.f_bavail * found.f_frsize - leave))
    return theirs


def image(dataset: Path, participant: str, size: int) -> None:
    """One more file of a participant, of ``size`` bytes that nobody else has."""
    path = dataset / participant / "anat" / f"{participant}_T2w.nii.gz"
    path.write_bytes(participant.encode() + os.urandom(size - len(participant)))
    run(dataset, "datalad", "save", "-m", "larger")


def add_at(dataset: Path, place: Path) -> Path:
    """Sibling ``mir`` in ``place``."""
    mir = bare(place / "mir.git")
    run(dataset, "git", "remote", "add", "mir", str(mir))
    declare(Checkout(dataset), "mir", "institution")
    return mir


def test_free_space_counts(dataset: Path, small: Path) -> None:
    for participant in BOTH:
        image(dataset, participant, 2_000_000)
    mir = add_at(dataset, small)
    records = told(dataset)
    assert units(records) == {"sub-01": "sent", "sub-02": "defer"}
    assert keys_at(mir) == keys_of(dataset, "sub-01")


def test_filled_by_somebody_else_meanwhile(
    dataset: Path, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for participant in BOTH:
        image(dataset, participant, 1_000_000)
    mir = add_at(dataset, small)
    transfer = Publication.transfer
    monkeypatch.setattr(
        Publication, "transfer", lambda self: (fill(small, 1_800_000), transfer(self))[1]
    )
    records = told(dataset, code=1)
    assert units(records) == {"sub-01": "sent", "sub-02": "incomplete"}
    (left,) = (r for r in records if r.get("unit") == "sub-02")
    assert left["status"] == "error" and "did not arrive" in left["message"]
    assert keys_at(mir) >= keys_of(dataset, "sub-01")
    assert "sub-02" not in json.loads((dataset / records[-1]["event"]).read_text())["units_sent"]
    (small / "theirs").unlink()
    assert units(told(dataset)) == {"sub-01": "keep", "sub-02": "sent"}
    assert keys_at(mir) == keys_of(dataset, *BOTH)
    run(mir, "git", "annex", "fsck", "--branch=main")


def test_a_full_disk_is_told_and_nothing_else_is_in_the_way(dataset: Path, small: Path) -> None:
    """git-annex itself writes down what it drops; what we would write is there already."""
    mir = add_at(dataset, small)
    told(dataset)
    config = (mir / "config").stat()
    theirs = fill(small, 0)
    consent(dataset, ("sub-02", "withdrawn"))
    records = told(dataset, code=1)
    (back,) = (r for r in records if r["outcome"] == "taken back")
    assert back["status"] == "error" and back["failed"].keys() == keys_of(dataset, "sub-02")
    (said,) = (r for r in records if r["outcome"] == "not released")
    assert "sibling 'mir' at" in said["where"] and "Make room there" in said["remedy"]
    theirs.unlink()
    told(dataset)
    assert keys_at(mir) == keys_of(dataset, "sub-01")
    assert not any(path.startswith("sub-02") for path in tree_of(mir))
    after = (mir / "config").stat()
    assert (after.st_ino, after.st_mtime_ns) == (config.st_ino, config.st_mtime_ns)


def test_what_cannot_be_prepared_there_is_told_with_its_name(dataset: Path, small: Path) -> None:
    mir = add_at(dataset, small)
    run(mir, "git", "config", "user.name", "Somebody")
    fill(small, 0)
    (refused,) = told(dataset, code=1)
    assert "sibling 'mir' at" in refused["where"] and "git config" in refused["what"]
    assert "run this again" in refused["remedy"]
