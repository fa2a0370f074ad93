"""A git repository behind ssh: shared, kept, and whatever goes wrong on the way."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from builders import run
from mirrors import bare, consent, keys_at, keys_of, publish
from servers.ssh import Sshd
from siblings.life import Kind, keep, live, share

from datalad_mrishare.errors import MriShareError, SiblingError
from datalad_mrishare.repo.remotes import remotes
from datalad_mrishare.repo.room import free_bytes
from datalad_mrishare.repo.ssh import ssh_place
from datalad_mrishare.repo.worktree import Checkout
from datalad_mrishare.sharing.reports import NotTakenReport
from datalad_mrishare.sharing.siblings import declare, reopen


def kind_of(dataset: Path, sshd: Sshd, url: str) -> Kind:
    place = sshd.root / "mir.git"
    return Kind(dataset, place, lambda: keys_at(place), lambda: ["git", "clone", "--quiet", url])


def add(dataset: Path, sshd: Sshd, url: str) -> Path:
    place = bare(sshd.root / "mir.git")
    run(dataset, "git", "remote", "add", "mir", url)
    return place


def test_shared(registered: Path, sshd: Sshd) -> None:
    url = sshd.url("mir.git")
    add(registered, sshd, url)
    share(kind_of(registered, sshd, url))
    assert b"storage@example.org" not in b"".join(
        run(sshd.root / "mir.git", "git", "log", "--all", "--format=%ae %ce").encode().split()
    )


@pytest.mark.slow
def test_shared_and_taken_back(registered: Path, sshd: Sshd) -> None:
    add(registered, sshd, sshd.url("mir.git"))
    live(kind_of(registered, sshd, sshd.url("mir.git")))


@pytest.mark.slow
def test_shared_by_a_short_url(registered: Path, sshd: Sshd) -> None:
    add(registered, sshd, sshd.scp("mir.git"))
    live(kind_of(registered, sshd, sshd.url("mir.git")))


@pytest.mark.slow
def test_shared_in_a_home(registered: Path, sshd: Sshd) -> None:
    place = bare(sshd.home / "my mir.git")
    url = f"ssh://{sshd.alias}/~/my%20mir.git"
    run(registered, "git", "remote", "add", "mir", url)
    clone = ["git", "clone", "--quiet", url]
    live(Kind(registered, place, lambda: keys_at(place), lambda: clone))


@pytest.mark.slow
def test_shared_after_datalad_made_it(registered: Path, sshd: Sshd) -> None:
    run(registered, "datalad", "create-sibling", "-s", "mir", sshd.url("mir.git"))
    live(kind_of(registered, sshd, sshd.url("mir.git")))


@pytest.mark.slow
def test_own_storage(registered: Path, sshd: Sshd) -> None:
    add(registered, sshd, sshd.url("mir.git"))
    keep(kind_of(registered, sshd, sshd.url("mir.git")), "mir")


@pytest.mark.slow
def test_the_reserve_is_told_to_the_program_that_takes_it(
    registered: Path, sshd: Sshd, tmp_path: Path
) -> None:
    place = add(registered, sshd, sshd.url("mir.git"))
    program, seen = tmp_path / "their git-annex-shell", tmp_path / "seen"
    words = 'git config annex.diskreserve >> "$(dirname "$0")/seen"; exec git-annex-shell "$@"'
    program.write_text(f"#!/bin/sh\n{words}\n")
    program.chmod(0o755)
    run(registered, "git", "config", "remote.mir.annex-shell", f"'{program}'")
    consent(registered, ("sub-01", "given"))
    policy = tmp_path / "kept.yaml"
    policy.write_text("policy: backup\nreserve: 3kB\n")
    declare(Checkout(registered), "mir", str(policy))
    publish(registered, "mir")
    assert keys_at(place) == keys_of(registered, "")
    assert set(seen.read_text().split()) == {"3000"}


@pytest.mark.slow
def test_room_is_what_is_free_there(registered: Path, sshd: Sshd, tmp_path: Path) -> None:
    place = ssh_place(sshd.url("not/there/yet"), registered)
    assert place is not None
    free = free_bytes(place)
    assert free is not None
    assert abs(free - shutil.disk_usage(sshd.root).free) < 1 << 30
    policy = tmp_path / "policy.yaml"
    policy.write_text("policy: institution\nreserve: 1000PB\n")
    add(registered, sshd, sshd.url("mir.git"))
    consent(registered, ("sub-01", "given"))
    declare(Checkout(registered), "mir", str(policy))
    said = " ".join(str(r) for r in publish(registered, "mir", dry_run=True))
    assert "there is room for 0 B" in said


@pytest.mark.slow
def test_one_that_is_not_empty(registered: Path, sshd: Sshd) -> None:
    place = add(registered, sshd, sshd.url("mir.git"))
    run(registered, "git", "push", "--quiet", "mir", "main")
    with pytest.raises(SiblingError, match=r"is not empty .*ref refs/heads/main") as refused:
        declare(Checkout(registered), "mir", "institution")
    run(place, "git", "update-ref", "-d", "refs/heads/main")
    with pytest.raises(SiblingError, match="objects of branches that were deleted"):
        declare(Checkout(registered), "mir", "institution")
    commands = str(refused.value.remedy).partition(": ")[2].rpartition(" && ")[0]
    run(registered, "sh", "-c", commands)
    assert declare(Checkout(registered), "mir-release", "institution").moved


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (None, "no such directory"),
        ("mkdir", "is not a git repository"),
        ("content", "annexed content"),
    ],
)
def test_places_that_cannot_be_served(
    registered: Path, sshd: Sshd, made: str | None, says: str
) -> None:
    url = sshd.url("mir.git")
    if made == "content":
        place = add(registered, sshd, url)
        (place / "annex/objects").mkdir(parents=True)
        (place / "annex/objects/key").write_text("content")
    else:
        run(registered, "git", "remote", "add", "mir", url)
    if made == "mkdir":
        (sshd.root / "mir.git").mkdir()
    with pytest.raises(SiblingError, match=says):
        declare(Checkout(registered), "mir", "institution")
    assert set(remotes(registered)) == {"mir"}


@pytest.mark.slow
def test_every_reason_why_a_host_cannot_be_reached_is_told(registered: Path, sshd: Sshd) -> None:
    add(registered, sshd, sshd.url("mir.git"))
    declare(Checkout(registered), "mir", "institution")

    def said() -> Any:
        with pytest.raises(MriShareError) as refused:
            publish(registered, "mir")
        text = str(refused.value)
        assert "mrishare-test" in text and len(text.splitlines()) == 1
        return text

    keys = sshd.bin.parent / "etc/authorized_keys"
    kept = keys.read_bytes()
    keys.write_bytes(b"")
    assert "without a password" in said()
    keys.write_bytes(kept)
    sshd.restart(new_host_key=True)
    assert "another key than it had" in said()
    sshd.stop()
    assert "refuses connections" in said()
    sshd.start()


def test_a_host_without_git_annex(registered: Path, sshd: Sshd, tmp_path: Path) -> None:
    for program in ("sh", "git", "head", "grep", "find", "cut", "mktemp", "rm"):
        (tmp_path / program).symlink_to(str(shutil.which(program)))
    config = sshd.bin.parent / "etc/sshd_config"
    path = os.environ["PATH"].removeprefix(f"{sshd.bin}{os.pathsep}")
    text = config.read_text()
    assert f"PATH={path}" in text
    config.write_text(text.replace(f"PATH={path}", f"PATH={tmp_path}"))
    sshd.restart()
    add(registered, sshd, sshd.url("mir.git"))
    with pytest.raises(SiblingError, match="has no git-annex on the PATH"):
        declare(Checkout(registered), "mir", "institution")
    assert set(remotes(registered)) == {"mir"}


@pytest.mark.slow
def test_no_plain_push_goes_past_the_release_repository(registered: Path, sshd: Sshd) -> None:
    place = add(registered, sshd, sshd.url("mir.git"))
    consent(registered, ("sub-01", "given"))
    declare(Checkout(registered), "mir", "institution")
    before = run(place, "git", "for-each-ref")
    for url in (sshd.url("mir.git"), f"{sshd.url('mir.git')}/", sshd.scp("mir.git")):
        run(registered, "git", "push", url, "main", ok=(1, 128))
    for command in ("git annex copy --to mir sub-01", "datalad push --to mir"):
        run(registered, *command.split(), ok=(1,))
    assert (run(place, "git", "for-each-ref"), keys_at(place)) == (before, set())
    run(registered, "git", "remote", "add", "again", sshd.scp("mir.git"))
    said = " ".join(str(r) for r in publish(registered, "mir"))
    assert "remote 'again'" in said and keys_at(place) == set()
    run(registered, "git", "remote", "remove", "again")
    assert reopen(Checkout(registered), "mir").moved
    run(registered, "git", "push", sshd.url("mir.git"), "main")


@pytest.mark.slow
def not_taken(reports: list[object]) -> list[NotTakenReport]:
    return [report for report in reports if isinstance(report, NotTakenReport)]


@pytest.mark.slow
def test_a_lock_that_a_killed_push_left_there(registered: Path, sshd: Sshd) -> None:
    place = add(registered, sshd, sshd.url("mir.git"))
    consent(registered, ("sub-01", "given"))
    declare(Checkout(registered), "mir", "institution")
    left = [place / "refs/heads/main.lock", place / "refs/heads/git-annex.lock"]
    for file in left:
        file.touch()
    (wrong,) = not_taken(publish(registered, "mir"))  # it may be somebody's who works there now
    assert wrong.where.startswith("sibling 'mir' at ssh://")
    assert left[0].exists()
    long_ago = time.time() - 1200
    for file in left:
        file.touch()
        os.utime(file, (long_ago, long_ago))
    with left[0].open("rb"):
        assert not_taken(publish(registered, "mir"))
    assert [file.exists() for file in left] == [True, False]
    publish(registered, "mir")
    assert not left[0].exists() and keys_at(place) == keys_of(registered, "sub-01")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("ssh://host/srv/mir", "host:/srv/mir/", True),
        ("ssh://me@HOST:22/srv/mir", "host:/srv/x/../mir", True),
        ("host:mir", "ssh://host/~/mir", True),
        ("ssh://host:23/srv/mir", "ssh://host/srv/mir", False),
        ("host:mir", "host:/mir", False),
        ("[me@host:23]:/srv/mir", "ssh://host:23/srv/mir", True),
        ("ssh://[::1]:22/srv/mir", "[::1]:/srv/mir", True),
        ("ssh://host/a%20b?c#d", "host:/a b?c#d", True),
    ],
)
def test_two_spellings_of_one_place(one: str, other: str, same: bool) -> None:
    first, second = ssh_place(one), ssh_place(other)
    assert first is not None and second is not None
    assert first.same(second) is same


@pytest.mark.parametrize("url", ["-oProxyCommand=x:mir", "ssh://-oProxyCommand=x/mir", "host:-x"])
def test_a_host_is_never_an_option(url: str, tmp_path: Path) -> None:
    place = ssh_place(url, tmp_path)
    assert place is not None
    with pytest.raises(SiblingError, match="no host and path"):
        place.run("true")
