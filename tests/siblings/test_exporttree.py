"""A directory of plain files, for people without git-annex."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from builders import run
from leaks import scanner
from mirrors import consent, publish, told
from siblings.life import BOLD, Kind, live

from datalad_mrishare.errors import SiblingError
from datalad_mrishare.repo.remotes import remotes
from datalad_mrishare.repo.worktree import Checkout
from datalad_mrishare.sharing.siblings import declare, reopen

T1W = "sub-01/anat/sub-01_T1w.nii.gz"
KILLED = Path(__file__).parents[1] / "faults" / "killed_publish.py"
GIVEN = (("sub-01", "given"), ("sub-02", "given"))


def files(place: Path) -> dict[str, bytes]:
    """Path -> content of what somebody without git sees there."""
    found = {}
    for parent, below, names in os.walk(place):
        below[:] = [name for name in below if name != ".git"]
        for name in names:
            path = Path(parent, name)
            found[os.path.relpath(path, place)] = path.read_bytes()
    return found


def held(dataset: Path, place: Path) -> set[str]:
    """Keys whose content lies there under a path that they have in the dataset."""
    found = set()
    for path, content in files(place).items():
        link = dataset / path
        if link.is_symlink():
            assert link.read_bytes() == content, path
            found.add(os.path.basename(os.readlink(link)))
    return found


def directory(dataset: Path, tmp_path: Path, *words: str, name: str = "mir") -> Kind:
    place = tmp_path / "my store"
    place.mkdir(exist_ok=True)
    run(
        dataset,
        *("git", "annex", "initremote", name, "type=directory", f"directory={place}"),
        *("encryption=none", "exporttree=yes", *words),
    )

    def clone() -> list[str]:
        text = run(dataset, "git", "show", "HEAD:.datalad/mrishare/siblings.yaml")
        return ["git", "clone", "--quiet", yaml.safe_load(text)["siblings"]["mir"]["url"]]

    return Kind(dataset, place, lambda: held(dataset, place), clone)


@pytest.mark.slow
def test_shared(registered: Path, tmp_path: Path) -> None:
    live(directory(registered, tmp_path))


@pytest.mark.slow
def test_what_lies_there_is_the_release(registered: Path, tmp_path: Path) -> None:
    kind = directory(registered, tmp_path)
    consent(registered, *GIVEN)
    declare(Checkout(registered), "mir", "institution")
    told(registered)
    run(tmp_path, *kind.clone(), "clone")
    names = run(tmp_path / "clone", "git", "ls-files", "-z").split("\0")
    before = files(kind.directory)
    assert {*before} == {name for name in names if name} and BOLD in before
    assert b"sub-02" in before["participants.tsv"] and b"sub-03" not in before["participants.tsv"]
    stamps = {p: p.stat().st_mtime_ns for p in kind.directory.rglob("*") if p.is_file()}
    assert publish(registered, "mir")[-1].changed is False
    assert stamps == {p: p.stat().st_mtime_ns for p in kind.directory.rglob("*") if p.is_file()}

    consent(registered, ("sub-02", "withdrawn"))
    told(registered)
    after = files(kind.directory)
    assert b"sub-02" not in b"".join(after.values()) and not any("sub-02" in p for p in after)
    assert (kind.directory / BOLD).stat().st_nlink == 1  # no link to an object of the steward's
    assert {p for p in before if "sub-02" not in p} <= {*after}
    assert told(registered, checksum=True)[-1]["status"] == "notneeded"
    damaged = kind.directory / BOLD
    damaged.chmod(0o600)
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"x")
    told(registered, checksum=True)
    assert kind.held() == kind.permitted("sub-01")  # which compares contents


@pytest.mark.slow
def test_deferred_files_follow(registered: Path, tmp_path: Path) -> None:
    kind = directory(registered, tmp_path)
    consent(registered, *GIVEN)
    declare(Checkout(registered), "mir", "institution")
    told(registered, budget="100kB")
    first = files(kind.directory)
    assert T1W in first and not any(p.startswith("sub-02") and p.endswith(".gz") for p in first)
    assert kind.held() == kind.permitted("sub-01")
    told(registered)
    assert kind.held() == kind.permitted("sub-01", "sub-02")


@pytest.mark.slow
def test_renamed_and_given_again(registered: Path, tmp_path: Path) -> None:
    kind = directory(registered, tmp_path)
    consent(registered, *GIVEN)
    declare(Checkout(registered), "mir", "institution")
    told(registered)
    run(registered, "git", "mv", BOLD, BOLD.replace("rest", "sleep"))
    run(registered, "git", "commit", "--quiet", "-m", "rename")
    told(registered)
    after = files(kind.directory)
    assert BOLD not in after and BOLD.replace("rest", "sleep") in after
    assert kind.held() == kind.permitted("sub-01", "sub-02")


@pytest.mark.slow
@pytest.mark.parametrize("what", ["strange", "changed", "lost"])
def test_built_again_it_looks_at_every_file(registered: Path, tmp_path: Path, what: str) -> None:
    kind = directory(registered, tmp_path)
    consent(registered, *GIVEN)
    declare(Checkout(registered), "mir", "institution")
    told(registered)
    shutil.rmtree(registered / ".git/mrishare/mir")
    if what == "lost":
        (kind.directory / BOLD).unlink()
        told(registered)
        assert kind.held() == kind.permitted("sub-01", "sub-02")
        return
    path = kind.directory / ("sub-03_T1w.nii.gz" if what == "strange" else "participants.tsv")
    path.unlink(missing_ok=True)
    path.write_text("participant_id\nsub-03\n")
    with pytest.raises(SiblingError, match="holds what no publication put there"):
        publish(registered, "mir")
    path.unlink()
    told(registered)
    assert kind.held() == kind.permitted("sub-01", "sub-02")
    assert b"sub-03" not in (kind.directory / "participants.tsv").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize(
    "point",
    ["during:transfer:400", "after:push"],  # at random instants in faults/test_kill_far.py
)
def test_killed(registered: Path, tmp_path: Path, point: str) -> None:
    kind = directory(registered, tmp_path)
    consent(registered, *GIVEN)
    declare(Checkout(registered), "mir", "institution")
    told(registered)
    consent(registered, ("sub-02", "withdrawn"), ("sub-04", "given"))
    log = tmp_path / "log"
    argv = [sys.executable, str(KILLED), str(registered), "mir", str(log), point, "group"]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(argv, env=env, start_new_session=True, check=False, timeout=120)
    assert done.returncode == -signal.SIGKILL, log.read_text()
    assert not any("sub-03" in path for path in files(kind.directory))
    assert kind.held() <= kind.permitted("sub-01", "sub-02", "sub-04")
    told(registered)
    assert kind.held() == kind.permitted("sub-01", "sub-04")
    assert b"sub-02" not in b"".join([*files(kind.directory).values()])
    assert publish(registered, "mir")[-1].changed is False


@pytest.mark.slow
def test_never_the_last_copy(registered: Path, tmp_path: Path) -> None:
    kind = directory(registered, tmp_path)
    consent(registered, *GIVEN)
    declare(Checkout(registered), "mir", "institution")
    told(registered)
    path = "sub-02/func/sub-02_task-rest_bold.nii.gz"
    only = (kind.directory / path).read_bytes()
    run(registered, "git", "annex", "drop", "--force", path)
    consent(registered, ("sub-02", "withdrawn"))
    told(registered, code=1)
    there = files(kind.directory)
    assert there[path] == only and b"sub-02" not in there["participants.tsv"]
    assert "sub-02/anat/sub-02_T1w.nii.gz" not in there


@pytest.mark.slow
def test_only_an_empty_one(registered: Path, tmp_path: Path) -> None:
    kind = directory(registered, tmp_path)
    (kind.directory / "notes.txt").write_text("of mine\n")
    with pytest.raises(SiblingError, match="is not empty") as refused:
        declare(Checkout(registered), "mir", "institution")
    run(registered, "sh", "-c", str(refused.value.remedy).partition(": ")[2].rpartition(" && ")[0])
    assert declare(Checkout(registered), "mir-release", "institution").moved
    consent(registered, ("sub-01", "given"))
    publish(registered, "mir-release")
    assert T1W in files(tmp_path / "my store-release")


@pytest.mark.parametrize("policy", ["institution", "backup"])
def test_what_is_not_served(registered: Path, tmp_path: Path, policy: str) -> None:
    directory(registered, tmp_path, "importtree=yes")
    with pytest.raises(SiblingError, match="holds a tree of files"):
        declare(Checkout(registered), "mir", policy)
    assert "mir" in remotes(registered)


def test_nothing_goes_past_the_release_repository(registered: Path, tmp_path: Path) -> None:
    kind = directory(registered, tmp_path)
    consent(registered, ("sub-01", "given"))
    declare(Checkout(registered), "mir", "institution")
    run(registered, "git", "annex", "export", "main", "--to", "mir", ok=(1,))
    for command in ("git annex copy --to mir sub-01", "datalad push --to mir"):
        run(registered, *command.split(), ok=(1,))
    assert not any(kind.directory.rglob("*"))
    directory(registered, tmp_path, name="again")
    said = " ".join(str(r) for r in publish(registered, "mir"))
    assert "remote 'again'" in said and not any(kind.directory.rglob("*"))
    run(registered, "git", "config", "--remove-section", "remote.again")
    assert reopen(Checkout(registered), "mir").moved
    run(registered, "git", "annex", "export", "main", "--to", "mir")
    assert any("sub-03" in path for path in files(kind.directory))


def test_nothing_of_the_steward(registered: Path, tmp_path: Path) -> None:
    kind = directory(registered, tmp_path)
    consent(registered, ("sub-01", "given"), ("sub-03", "withdrawn"))
    declare(Checkout(registered), "mir", "institution")
    told(registered)
    secrets = [*kind.withheld("sub-02", "sub-03", "sub-04"), *kind.steward()]
    assert scanner.scan(kind.directory, secrets) == {}
    assert scanner.scan(kind.unbundled(), secrets) == {}
