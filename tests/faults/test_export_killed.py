"""What a git-annex that was killed while it exported plain files left half done.

Random instants are in ``test_kill_far.py``. Here are those that are rare: what they leave is made
by hand, or git-annex is killed as soon as it is at it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from builders import run
from mirrors import consent, keys_of, told
from siblings.life import BOLD, Kind
from siblings.test_exporttree import GIVEN, T1W, directory, files

from datalad_mrishare.repo.exporting import exported
from datalad_mrishare.repo.journal import Journal
from datalad_mrishare.repo.worktree import Checkout
from datalad_mrishare.sharing.siblings import declare

TEMPORARY = ".git-annex-tmp-content-"


def sibling(dataset: Path, tmp_path: Path, policy: str) -> tuple[Kind, Path]:
    """A directory of plain files, and the repository it is a remote of."""
    kind = directory(dataset, tmp_path)
    declare(Checkout(dataset), "mir", policy)
    return kind, dataset if policy == "backup" else dataset / ".git/mrishare/mir"


@pytest.mark.parametrize("policy", ["institution", pytest.param("backup", marks=pytest.mark.slow)])
def test_arrived_and_not_written_down(registered: Path, tmp_path: Path, policy: str) -> None:
    """It stays there, and is known to be there, while what was to follow it is sent."""
    consent(registered, *GIVEN)
    kind, repo = sibling(registered, tmp_path, policy)
    told(registered)
    before = files(kind.directory)
    (key,) = keys_of(registered, T1W)
    uuid = run(repo, "git", "config", "remote.mir.annex-uuid").strip()
    run(repo, "git", "annex", "setpresentkey", key, uuid, "0")
    Journal(registered / ".git/mrishare/mir.journal").add([key])
    (registered / "sub-01/anat/sub-01_T2w.nii.gz").write_bytes(b"another one")
    run(registered, "git", "annex", "add", "--quiet", "sub-01")
    run(registered, "git", "commit", "--quiet", "-m", "more")
    told(registered)
    after = files(kind.directory)
    assert before[T1W] == after.get(T1W) and "sub-01/anat/sub-01_T2w.nii.gz" in after
    # git-annex does not trust such a remote, so it is none that counts
    assert uuid in run(repo, "git", "annex", "whereis", f"--key={key}", ok=(0, 1))
    assert told(registered)[-1]["status"] == "notneeded"


@pytest.mark.slow
def test_a_file_called_like_a_part_stays(registered: Path, tmp_path: Path) -> None:
    kind, _ = sibling(registered, tmp_path, "backup")
    for name in ("scan-1-20260504", "sub-01/anat/sub-01_a-b-abcdef0.nii"):
        (registered / name).write_text("like a part\n")
    run(registered, "git", "annex", "add", "--quiet", ".")
    run(registered, "git", "commit", "--quiet", "-m", "odd names")
    told(registered)
    part = kind.directory / "sub-01/anat/s23f1-8-2d75b58"
    part.write_text("a part\n")
    theirs = kind.directory / "sub-01/anat/3f2504e0-4f89-11d3-9a0c-0305e82c3301.dcm"
    theirs.write_text("of somebody else\n")
    (registered / "README").write_text("another word\n")  # else nobody looks
    run(registered, "git", "commit", "--quiet", "-m", "reword", "README")
    said = told(registered)
    assert [r["parts"] for r in said if r.get("outcome") == "taken back"] == [1]
    there = files(kind.directory)
    assert "scan-1-20260504" in there and "sub-01/anat/sub-01_a-b-abcdef0.nii" in there
    assert not part.exists() and theirs.exists()


@pytest.mark.slow
@pytest.mark.parametrize("arrived", [False, True])
@pytest.mark.parametrize("policy", ["institution", "backup"])
def test_killed_while_it_renamed(
    registered: Path, tmp_path: Path, policy: str, arrived: bool
) -> None:
    """git-annex removes what it left under temporary names, and sends it anew.

    What has ``arrived`` under its new name, and was not written down, stays.
    """
    for number in range(60):
        path = registered / f"sub-01/func/sub-01_task-{number}_bold.nii.gz"
        path.write_bytes(b"%d" % number)
    run(registered, "git", "annex", "add", "--quiet", "sub-01")
    run(registered, "git", "commit", "--quiet", "-m", "many")
    consent(registered, *GIVEN)
    kind, repo = sibling(registered, tmp_path, policy)
    told(registered)
    aside: list[str] = []
    old, new, tries = "func", "beh", 0
    while not aside:  # on a busy machine git-annex may be through before anybody looks
        tries += 1
        assert tries < 12
        run(registered, "git", "mv", f"sub-01/{old}", f"sub-01/{new}")
        run(registered, "git", "commit", "--quiet", "-m", "rename")
        aside = killed_while_it_renames(registered, kind.directory)
        old, new = new, old
        if not aside:
            told(registered)
    if arrived:
        paths = paths_of(registered, f"sub-01/{old}")
        for name in aside:
            path = paths[name.removeprefix(TEMPORARY)]
            (kind.directory / path).parent.mkdir(parents=True, exist_ok=True)
            (kind.directory / name).rename(kind.directory / path)
    told(registered)
    there = files(kind.directory)
    link = BOLD.replace("/func/", f"/{old}/")
    assert there[link] == (registered / link).read_bytes()
    mine = {p for p in there if p.startswith("sub-01/")}
    assert mine == {*run(registered, "git", "ls-files", "sub-01").splitlines()}
    assert not [name for name in there if TEMPORARY in name]
    uuid = run(repo, "git", "config", "remote.mir.annex-uuid").strip()
    assert {e.path for e in exported(repo, uuid)} == {*there}
    assert told(registered)[-1]["status"] == "notneeded"


def killed_while_it_renames(dataset: Path, directory: Path) -> list[str]:
    """What a publication that was killed left moved aside; nothing if it was too quick."""
    argv = ["datalad", "mrishare-publish", "--to", "mir"]
    with subprocess.Popen(argv, cwd=dataset, start_new_session=True) as running:
        while not moved_aside(directory) and running.poll() is None:
            time.sleep(0.001)
        if running.returncode is None:
            os.killpg(running.pid, signal.SIGKILL)
    return moved_aside(directory)


def moved_aside(directory: Path) -> list[str]:
    """Files that git-annex is renaming."""
    return [name for name in os.listdir(directory) if name.startswith(TEMPORARY)]


def paths_of(dataset: Path, below: str) -> dict[str, str]:
    """The path of each key below a directory; git-annex makes up a key for a file of git."""
    found = {}
    for line in run(dataset, "git", "ls-files", "--stage", below).splitlines():
        about, path = line.split("\t")
        found[f"GIT--{about.split()[1]}"] = path
    annexed = run(dataset, "git", "annex", "find", "--format=${key}\n${file}\n", below).splitlines()
    return found | dict(zip(annexed[::2], annexed[1::2], strict=True))
