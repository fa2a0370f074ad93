"""Special remotes without a git half: a directory, and what rsync reaches."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from builders import run
from mirrors import consent, objects, publish
from servers import require
from servers.rsync import Rsync
from servers.ssh import Sshd
from siblings.life import Kind, live

from datalad_mrishare.errors import SiblingError
from datalad_mrishare.repo.remotes import remotes
from datalad_mrishare.repo.worktree import Checkout
from datalad_mrishare.sharing.siblings import declare, reopen

T1W = "sub-01/anat/sub-01_T1w.nii.gz"


def initremote(dataset: Path, *words: str, name: str = "mir") -> None:
    words = words if any("encryption" in w for w in words) else (*words, "encryption=none")
    run(dataset, "git", "annex", "initremote", name, *words)


def held(place: Path) -> set[str]:
    """Keys that lie there, but for those of the git half."""
    names = {name for _, _, files in os.walk(place) for name in files}
    return {name for name in names if not name.startswith("GIT")}


def kind_of(dataset: Path, place: Path) -> Kind:
    def clone() -> list[str]:
        text = run(dataset, "git", "show", "HEAD:.datalad/mrishare/siblings.yaml")
        return ["git", "clone", "--quiet", yaml.safe_load(text)["siblings"]["mir"]["url"]]

    return Kind(dataset, place, lambda: held(place), clone)


def directory(dataset: Path, tmp_path: Path) -> Kind:
    place = tmp_path / "my store"
    place.mkdir()
    initremote(dataset, "type=directory", f"directory={place}")
    return kind_of(dataset, place)


def by_rsync(dataset: Path, rsync: Rsync) -> Kind:
    (rsync.root / "mir").mkdir()
    initremote(dataset, *rsync.initremote("mir"))
    return kind_of(dataset, rsync.root / "mir")


def test_a_directory_shared(registered: Path, tmp_path: Path) -> None:
    live(directory(registered, tmp_path))


def test_a_directory_kept(registered: Path, tmp_path: Path) -> None:
    kind = directory(registered, tmp_path)
    consent(registered, ("sub-01", "given"), ("sub-03", "withdrawn"))
    assert not declare(Checkout(registered), "mir", "backup").moved
    publish(registered, "mir")
    assert kind.held() == kind.permitted("sub-01", "sub-02", "sub-03", "sub-04")
    assert publish(registered, "mir")[-1].changed is False
    assert "mir" in remotes(registered)


def test_an_encrypted_directory_kept(registered: Path, tmp_path: Path) -> None:
    require("gpg", "apt-get install gnupg")
    place = tmp_path / "store"
    place.mkdir()
    initremote(registered, "type=directory", f"directory={place}", "encryption=shared")
    kind = kind_of(registered, place)
    declare(Checkout(registered), "mir", "backup")
    publish(registered, "mir")
    everything = kind.permitted("sub-01", "sub-02", "sub-03", "sub-04")
    assert len([p for p in place.rglob("GPGHMAC*") if p.is_file()]) == len(everything) > 0
    assert publish(registered, "mir")[-1].changed is False


@pytest.mark.parametrize("policy", ["institution", "backup"])
def test_another_type(registered: Path, policy: str) -> None:
    initremote(registered, "type=hook", "hooktype=mine")
    with pytest.raises(SiblingError, match="is a special remote of type hook"):
        declare(Checkout(registered), "mir", policy)


@pytest.mark.slow
def test_rsync_to_a_path_shared(registered: Path, rsync_path: Rsync) -> None:
    live(by_rsync(registered, rsync_path))


@pytest.mark.slow
def test_rsync_behind_ssh_shared(registered: Path, rsync_ssh: Rsync) -> None:
    live(by_rsync(registered, rsync_ssh))


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["institution", "backup"])
def test_killed_while_rsync_is_handed_content(
    registered: Path, rsync_path: Rsync, tmp_path: Path, policy: str
) -> None:
    kind = by_rsync(registered, rsync_path)
    consent(registered, ("sub-01", "given"))
    declare(Checkout(registered), "mir", policy)
    before = objects(registered)
    program = tmp_path / "bin/rsync"
    program.parent.mkdir()
    program.write_text(
        "#!/bin/sh\n"
        'case "$*" in *rsynctmp*) kill -9 0 ;; esac\n'  # all of the process group
        f'exec {shutil.which("rsync")} "$@"\n'
    )
    program.chmod(0o755)
    argv = ["datalad", "mrishare-publish", "--to", "mir"]
    path = f"{program.parent}:{os.environ['PATH']}"
    killed = subprocess.run(
        argv, cwd=registered, env=os.environ | {"PATH": path}, start_new_session=True, check=False
    )
    assert killed.returncode == -9 and kind.held() == set()
    assert handed_over(registered), "the kill missed"
    publish(registered, "mir")
    assert not handed_over(registered)
    run(registered, "git", "annex", "fsck", "--quiet")
    assert objects(registered) == before, "content can be written to"


def handed_over(dataset: Path) -> list[Path]:
    return [p for p in dataset.rglob(".git/**/annex/tmp/rsynctmp.*/**/*") if p.is_file()]


def test_what_an_unreachable_host_says(registered: Path, rsync_ssh: Rsync, sshd: Sshd) -> None:
    kind = by_rsync(registered, rsync_ssh)
    declare(Checkout(registered), "mir", "institution")
    sshd.stop()
    with pytest.raises(SiblingError, match="refuses connections"):
        publish(registered, "mir")
    assert kind.held() == set()


def test_a_directory_that_is_not_mounted(registered: Path, tmp_path: Path) -> None:
    kind = directory(registered, tmp_path)
    declare(Checkout(registered), "mir", "institution")
    kind.directory.rename(tmp_path / "elsewhere")
    with pytest.raises(SiblingError, match="no such directory"):
        publish(registered, "mir")
    assert not kind.directory.exists()


@pytest.mark.slow
@pytest.mark.parametrize("how", ["directory", "rsync"])
def test_one_that_is_not_empty(
    registered: Path, tmp_path: Path, rsync_ssh: Rsync, how: str
) -> None:
    rsync = how == "rsync"
    kind = by_rsync(registered, rsync_ssh) if rsync else directory(registered, tmp_path)
    run(registered, "git", "annex", "copy", "--to", "mir", T1W)
    with pytest.raises(SiblingError, match="is not empty") as refused:
        declare(Checkout(registered), "mir", "institution")
    assert "mir" in remotes(registered) and len(kind.held()) == 1
    run(registered, "sh", "-c", str(refused.value.remedy).partition(": ")[2].rpartition(" && ")[0])
    assert declare(Checkout(registered), "mir-release", "institution").moved


@pytest.mark.parametrize(
    ("words", "policy", "says"),
    [
        (("importtree=yes", "exporttree=yes"), "backup", "holds a tree of files"),
        (("encryption=shared",), "institution", "is encrypted .shared."),
        (("chunk=1MiB",), "institution", "in chunks .1MiB., and such a special remote cannot be"),
    ],
)
def test_what_is_not_served(
    registered: Path, tmp_path: Path, words: tuple[str, ...], policy: str, says: str
) -> None:
    (tmp_path / "store").mkdir()
    initremote(registered, "type=directory", f"directory={tmp_path / 'store'}", *words)
    with pytest.raises(SiblingError, match=says):
        declare(Checkout(registered), "mir", policy)
    assert "mir" in remotes(registered)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("rsync://host.invalid/mir", "without encryption"),
        ("me@host.invalid:mir", "names an account"),
    ],
)
def test_ways_that_tell_too_much(registered: Path, url: str, says: str) -> None:
    initremote(registered, "type=rsync", f"rsyncurl={url}")
    with pytest.raises(SiblingError, match=says):
        declare(Checkout(registered), "mir", "institution")


def test_nothing_goes_past_the_release_repository(registered: Path, tmp_path: Path) -> None:
    kind = directory(registered, tmp_path)
    consent(registered, ("sub-01", "given"))
    declare(Checkout(registered), "mir", "institution")
    url = kind.clone()[-1]
    for command in ("git annex copy --to mir sub-01", "datalad push --to mir"):
        run(registered, *command.split(), ok=(1,))
    run(registered, "git", "push", url, "main", ok=(1, 128))
    assert not any(kind.directory.rglob("*"))
    initremote(registered, "type=directory", f"directory={kind.directory}", name="again")
    said = " ".join(str(r) for r in publish(registered, "mir"))
    assert "remote 'again'" in said and kind.held() == set()
    run(registered, "git", "config", "--remove-section", "remote.again")
    assert reopen(Checkout(registered), "mir").moved
    run(registered, "git", "annex", "copy", "--to", "mir", T1W)
    assert len(kind.held()) == 1


@pytest.mark.slow
def test_rsync_behind_ssh_kept(registered: Path, rsync_ssh: Rsync) -> None:
    kind = by_rsync(registered, rsync_ssh)
    consent(registered, ("sub-01", "given"))
    declare(Checkout(registered), "mir", "backup")
    publish(registered, "mir")
    assert kind.held() == kind.permitted("sub-01", "sub-02", "sub-03", "sub-04")
