"""A sibling with a working tree, as ``datalad create-sibling`` makes it: it shows the last release.

git brings such a tree up to date before it moves the branch; here it is killed in between.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from builders import run
from mirrors import consent, told
from servers.ssh import Sshd

from datalad_mrishare.repo.worktree import Checkout
from datalad_mrishare.sharing.siblings import declare

GONE, NEW = "sub-02/anat/sub-02_T1w.json", "sub-03/anat/sub-03_T1w.json"


@pytest.fixture(params=["path", pytest.param("ssh", marks=pytest.mark.slow)])
def sibling(request: pytest.FixtureRequest, registered: Path, tmp_path: Path) -> Path:
    """One that has the first release; sub-02 withdraws and sub-03 permits for the next."""
    place = tmp_path / "mir"
    url = str(place)
    if request.param == "ssh":
        sshd: Sshd = request.getfixturevalue("sshd")
        place, url = sshd.root / "mir", sshd.url("mir")
    run(registered, "datalad", "create-sibling", "-s", "mir", url)
    declare(Checkout(registered), "mir", "institution")
    consent(registered, ("sub-01", "given"), ("sub-02", "given"))
    told(registered)
    assert (place / GONE).exists()
    consent(registered, ("sub-02", "withdrawn"), ("sub-03", "given"))
    return place


def is_clean(place: Path) -> None:
    """The tree is that of the last release, and nothing else lies there."""
    assert run(place, "git", "status", "--porcelain", "--untracked-files=all") == ""
    assert not (place / GONE).exists() and (place / NEW).exists()
    assert not (place / ".git/mrishare-halfway").exists()


def back(place: Path) -> tuple[str, str]:
    """Let the branch be at the release before, as before git moves it; both releases."""
    new, old = run(place, "git", "rev-parse", "main", "main~1").split()
    run(place, "git", "update-ref", "refs/heads/main", old)
    return old, new


def locked(place: Path) -> None:
    """A lock that nobody holds; behind ssh one that is minutes old."""
    lock = place / ".git/index.lock"
    lock.touch()
    os.utime(lock, (1e9, 1e9))


def test_killed_when_the_tree_was_new(registered: Path, sibling: Path) -> None:
    told(registered)
    is_clean(sibling)
    back(sibling)
    told(registered)
    is_clean(sibling)
    assert told(registered)[-1]["status"] == "notneeded"


def test_killed_in_the_middle_of_the_tree(registered: Path, sibling: Path) -> None:
    """Some files are of the old release, some are gone, some are of the new one."""
    told(registered)
    old, _ = back(sibling)
    run(sibling, "git", "read-tree", old)
    locked(sibling)
    assert NEW in run(sibling, "git", "status", "--porcelain", "--untracked-files=all")
    told(registered)
    is_clean(sibling)


def test_who_withdraws_after_the_kill_leaves_no_file(registered: Path, sibling: Path) -> None:
    told(registered)
    old, _ = back(sibling)
    run(sibling, "git", "read-tree", old)
    locked(sibling)
    consent(registered, ("sub-03", "withdrawn"))
    told(registered)
    assert not (sibling / NEW).exists() and not (sibling / "sub-03").exists()
    assert run(sibling, "git", "status", "--porcelain", "--untracked-files=all") == ""


@pytest.mark.parametrize("staged", [False, True])
def test_what_somebody_changed_there_stays(registered: Path, sibling: Path, staged: bool) -> None:
    (sibling / "README").write_text("a note of theirs\n")
    (sibling / "notes.txt").write_text("more of them\n")
    if staged:
        run(sibling, "git", "add", "README")
    else:
        locked(sibling)
    refused = [r for r in told(registered, code=1) if r["status"] == "error"]
    assert len(refused) == 1 and "git reset --hard" in refused[0]["remedy"]
    assert (sibling / "README").read_text() == "a note of theirs\n"
    assert (sibling / "notes.txt").read_text() == "more of them\n"
    run(sibling, "git", "reset", "--quiet", "--hard")
    told(registered)
    assert not (sibling / GONE).exists() and (sibling / "notes.txt").exists()


def test_a_rename_that_somebody_staged_there_stays(registered: Path, sibling: Path) -> None:
    """All its contents are known, but no commit has such a tree; also when git was killed there."""
    run(sibling, "git", "mv", "README", "READ")
    told(registered, code=1)
    locked(sibling)
    told(registered, code=1)
    assert (sibling / "READ").exists() and not (sibling / "README").exists()
    assert not (sibling / ".git/mrishare-halfway").exists()
