"""A directory of plain files as own storage: the dataset as it is, under its own names."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from builders import run
from datalad.api import mrishare_verify
from mirrors import consent, keys_of, publish, told, tree_of, units
from siblings.life import BOLD, Kind
from siblings.test_exporttree import KILLED, T1W, directory, files

from datalad_mrishare.errors import SiblingError
from datalad_mrishare.repo.worktree import Checkout
from datalad_mrishare.sharing.siblings import declare

ERASED = ("sub-03", "withdrawn", "erase")


def whole(dataset: Path, *without: str) -> dict[str, bytes]:
    """Path -> content of everything in HEAD but for what starts with ``without``."""
    paths = [p for p in tree_of(dataset, "HEAD") if not p.startswith(without or ("//",))]
    return {path: (dataset / path).read_bytes() for path in paths}


def kept(dataset: Path, tmp_path: Path, *words: str, name: str = "mir") -> Kind:
    """Such a directory, declared."""
    kind = directory(dataset, tmp_path, *words, name=name)
    assert not declare(Checkout(dataset), name, "backup").moved
    return kind


def stamps(place: Path) -> dict[Path, int]:
    return {p: p.stat().st_mtime_ns for p in place.rglob("*") if p.is_file()}


def test_planned_filled_and_filled_again(registered: Path, tmp_path: Path) -> None:
    consent(registered, ("sub-01", "given"), ("sub-03", "withdrawn"))
    kind = kept(registered, tmp_path)
    planned = told(registered, dry_run=True)
    assert {*units(planned).values()} == {"planned"} and len(units(planned)) >= 4
    assert not any(kind.directory.rglob("*"))
    sent = told(registered)
    assert units(sent).keys() == units(planned).keys()
    assert files(kind.directory) == whole(registered)
    assert kind.held() == keys_of(registered, "")
    assert any(p.startswith(".datalad/mrishare/events/") for p in files(kind.directory))

    before = stamps(kind.directory)
    for _ in range(2):
        assert told(registered)[-1]["status"] == "notneeded"
    assert stamps(kind.directory) == before
    # what lies there are the steward's own copies
    run(registered, "git", "annex", "drop", "--force", BOLD)
    run(registered, "git", "annex", "get", "--from", "mir", BOLD)


@pytest.mark.slow
def test_it_follows_the_dataset(registered: Path, tmp_path: Path) -> None:
    kind = kept(registered, tmp_path)
    told(registered)
    run(registered, "git", "mv", BOLD, BOLD.replace("rest", "sleep"))
    run(registered, "git", "rm", "--quiet", "sub-02/func/sub-02_task-rest_bold.nii.gz")
    (registered / "README").write_text("another word\n")
    (registered / T1W).unlink()
    (registered / T1W).write_bytes(b"scanned once more")
    (registered / "sub-04/anat/sub-04_T2w.nii.gz").write_bytes(b"a new one")
    run(registered, "git", "annex", "add", "--quiet", T1W, "sub-04")
    run(registered, "git", "commit", "--quiet", "-a", "-m", "change")
    assert files(kind.directory) != whole(registered)
    told(registered)
    assert files(kind.directory) == whole(registered)
    assert (kind.directory / T1W).read_bytes() == b"scanned once more"
    assert told(registered)[-1]["status"] == "notneeded"


@pytest.mark.slow
def test_who_is_erased_is_taken_back(registered: Path, tmp_path: Path) -> None:
    kind = kept(registered, tmp_path)
    told(registered)
    before = files(kind.directory)
    theirs = {p for p in before if p.startswith("sub-03/")}
    in_git = {p for p in theirs if not (registered / p).is_symlink()}
    assert in_git and theirs - in_git
    consent(registered, ("sub-02", "withdrawn"), ERASED)
    said = told(registered)
    assert any(r.get("outcome") == "taken back" for r in said), said
    assert files(kind.directory) == whole(registered, "sub-03/")
    assert any(p.startswith("sub-02/") for p in files(kind.directory))
    event = max((registered / ".datalad/mrishare/events").glob("*published-mir.json"))
    text = event.read_text()
    assert '"keys_taken_back": 2' in text and '"sub-03"' not in text
    quiet = {"result_renderer": "disabled", "on_failure": "ignore"}
    found = mrishare_verify("mir", dataset=registered, **quiet)
    assert {r["status"] for r in found} == {"ok"}, found
    assert told(registered)[-1]["status"] == "notneeded"


@pytest.mark.slow
def test_who_has_only_files_in_git(registered: Path, tmp_path: Path) -> None:
    """Also where the records are elsewhere, so that no commit tells of them."""
    outside = tmp_path / "registry"
    outside.mkdir()
    run(registered, "git", "config", "datalad.mrishare.registry", str(outside))
    run(registered, "git", "rm", "--quiet", "-r", "sub-03")
    (registered / "sub-03").mkdir(exist_ok=True)
    (registered / "sub-03/sub-03_scans.tsv").write_text("filename\tacq_time\n")
    run(registered, "git", "add", "sub-03")
    run(registered, "git", "commit", "--quiet", "-m", "nothing but a table")
    kind = kept(registered, tmp_path)
    told(registered)
    assert "sub-03/sub-03_scans.tsv" in files(kind.directory)
    consent(registered, ERASED)
    told(registered)
    assert not any(p.startswith("sub-03/") for p in files(kind.directory))


@pytest.mark.slow
def test_never_the_last_copy(registered: Path, tmp_path: Path) -> None:
    kind = kept(registered, tmp_path)
    told(registered)
    path = "sub-03/func/sub-03_task-rest_bold.nii.gz"
    only = (kind.directory / path).read_bytes()
    run(registered, "git", "annex", "drop", "--force", path)
    consent(registered, ("sub-03", "withdrawn", "stop-use"))
    told(registered, code=1)
    there = files(kind.directory)
    assert there[path] == only and "sub-03/anat/sub-03_T1w.nii.gz" not in there


@pytest.mark.slow
def test_damaged_and_lost(registered: Path, tmp_path: Path) -> None:
    kind = kept(registered, tmp_path)
    told(registered)
    damaged = kind.directory / BOLD
    damaged.chmod(0o600)
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"x")
    (kind.directory / T1W).unlink()
    told(registered, checksum=True)
    assert files(kind.directory) == whole(registered)


@pytest.mark.slow
def test_room(registered: Path, tmp_path: Path) -> None:
    kind = kept(registered, tmp_path)
    told(registered, budget="100kB")
    annexed = [p for p in files(kind.directory) if p.endswith(".nii.gz")]
    assert annexed and sum((kind.directory / p).stat().st_size for p in annexed) <= 100_000
    assert len(annexed) < len([p for p in whole(registered) if p.endswith(".nii.gz")])
    told(registered)
    assert files(kind.directory) == whole(registered)


@pytest.mark.slow
def test_two_in_one_dataset(registered: Path, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    one = kept(registered, tmp_path / "a", name="one")
    told(registered, "one")
    other = kept(registered, tmp_path / "b", name="other")
    told(registered, "other")
    told(registered, "one")
    consent(registered, ERASED)
    told(registered, "other")
    assert not any(p.startswith("sub-03/") for p in files(other.directory))
    assert any(p.startswith("sub-03/") for p in files(one.directory))
    told(registered, "one")
    assert not any(p.startswith("sub-03/") for p in files(one.directory))


def test_what_others_put_there(registered: Path, tmp_path: Path) -> None:
    kind = directory(registered, tmp_path)
    (kind.directory / "README").write_text("of mine\n")
    with pytest.raises(SiblingError, match="holds what no publication put there"):
        declare(Checkout(registered), "mir", "backup")
    assert files(kind.directory) == {"README": b"of mine\n"}
    (kind.directory / "README").unlink()
    run(registered, "git", "annex", "export", "--quiet", "HEAD", "--to", "mir")
    declare(Checkout(registered), "mir", "backup")  # ours, put there by hand
    told(registered)
    assert files(kind.directory) == whole(registered)


def test_beside_a_git_repository(registered: Path, tmp_path: Path) -> None:
    run(tmp_path, "git", "init", "--quiet", "--bare", "names.git")
    directory(registered, tmp_path, name="store")
    run(registered, "git", "remote", "add", "mir", str(tmp_path / "names.git"))
    run(registered, "git", "config", "remote.mir.datalad-publish-depends", "store")
    with pytest.raises(SiblingError, match="holds a tree of files"):
        declare(Checkout(registered), "mir", "backup")


def test_that_is_not_mounted(registered: Path, tmp_path: Path) -> None:
    kind = kept(registered, tmp_path)
    kind.directory.rename(tmp_path / "elsewhere")
    with pytest.raises(SiblingError, match="no such directory"):
        publish(registered, "mir")
    assert not kind.directory.exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    "point",
    ["during:transfer:400", "after:push"],  # at random instants in faults/test_kill_far.py
)
def test_killed(registered: Path, tmp_path: Path, point: str) -> None:
    kind = kept(registered, tmp_path)
    told(registered)
    consent(registered, ERASED)
    (registered / "sub-04/anat/sub-04_T2w.nii.gz").write_bytes(b"a new one" * 1000)
    run(registered, "git", "annex", "add", "--quiet", "sub-04")
    run(registered, "git", "commit", "--quiet", "-m", "more")
    argv = [sys.executable, str(KILLED), str(registered), "mir", str(tmp_path / "log"), point]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run([*argv, "group"], env=env, start_new_session=True, check=False)
    assert done.returncode == -signal.SIGKILL, (tmp_path / "log").read_text()
    told(registered)
    assert files(kind.directory) == whole(registered, "sub-03/")
    assert told(registered)[-1]["status"] == "notneeded"


@pytest.mark.slow
def test_a_full_disk(registered: Path, tmp_path: Path, smalldisk: Callable[[int], Path]) -> None:
    kind = kept(registered, smalldisk(1))
    (registered / "sub-04/anat/sub-04_T2w.nii.gz").write_bytes(os.urandom(2_000_000))
    run(registered, "git", "annex", "add", "--quiet", "sub-04")
    run(registered, "git", "commit", "--quiet", "-m", "more than there is room for")
    said = units(told(registered))
    assert said["sub-04"] == "defer" and said["sub-01"] == "sent"
    there = files(kind.directory)
    assert not {p for p in there if p.startswith("sub-04") and p.endswith(".gz")}
    assert {p for p in whole(registered) if not p.endswith(".gz")} <= {*there}
