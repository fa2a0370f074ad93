"""How much room there is: what git-annex allows, what content takes, what siblings share."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from builders import run
from mirrors import add_path, bare, consent, keys_at, keys_of, told, units
from servers.ssh import Sshd

from datalad_mrishare.repo.annexbranch import max_sizes
from datalad_mrishare.repo.keys import key_size
from datalad_mrishare.repo.room import filesystem
from datalad_mrishare.repo.ssh import SshPlace
from datalad_mrishare.repo.worktree import Checkout
from datalad_mrishare.sharing import preflight
from datalad_mrishare.sharing.siblings import declare
from datalad_mrishare.sharing.storage import Storage

DISK = Storage(on_disk=True)
TWO = (("sub-01", "given"), ("sub-02", "given"))


def size(dataset: Path, *starts: str) -> int:
    """Bytes of the annexed content of these paths, as the keys tell them."""
    return sum(key_size(key) or 0 for key in keys_of(dataset, *starts))


def git_half(dataset: Path) -> int:
    """Bytes that are kept for branches."""
    return 1_000_000 + 1000 * len(run(dataset, "git", "ls-files").splitlines())


def limit(repo: Path, name: str, count: int) -> None:
    run(repo, "git", "annex", "maxsize", name, f"{count} bytes")


def summaries(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [r for r in records if r.get("outcome") == "summary"]


def going(records: list[dict[str, Any]]) -> set[str]:
    """Participants that are sent, or would be."""
    found = units(records).items()
    return {u for u, word in found if word in ("sent", "planned") and u.startswith("sub-")}


def add_directory(dataset: Path, name: str, policy: str, *words: str) -> Path:
    """A declared sibling in a directory special remote beside the dataset."""
    place = dataset.parent / f"{name}.store"
    place.mkdir()
    words = words or ("encryption=none",)
    options = ("type=directory", f"directory={place}", *words)
    run(dataset, "git", "annex", "initremote", name, *options)
    declare(Checkout(dataset), name, policy)
    return place


@pytest.mark.slow
def test_a_limit_that_git_annex_knows(registered: Path) -> None:
    """Set there after the sibling was declared; one participant fits."""
    place = add_path(registered, "mir", "institution")
    consent(registered, *TWO)
    one = size(registered, "sub-01")
    limit(place, "here", one - 1)
    refused = told(registered, code=1)
    assert any("there is room for" in r["message"] for r in refused), refused
    limit(place, "here", one)
    assert going(told(registered, dry_run=True)) == {"sub-01"}
    assert going(told(registered)) == {"sub-01"}
    assert going(told(registered)) == set()
    limit(place, "here", one + size(registered, "sub-02"))
    assert going(told(registered)) == {"sub-02"}
    assert keys_at(place) == keys_of(registered, "sub-01", "sub-02")


@pytest.mark.slow
def test_what_is_taken_back_makes_room_below_a_limit(registered: Path) -> None:
    place = add_path(registered, "mir", "institution")
    consent(registered, *TWO)
    limit(place, "here", max(size(registered, f"sub-0{n}") for n in (1, 2)))
    assert going(told(registered)) == {"sub-01"}
    consent(registered, ("sub-01", "withdrawn"))
    assert going(told(registered)) == {"sub-02"}
    assert keys_at(place) == keys_of(registered, "sub-02")


def test_a_limit_that_the_steward_set_before_sharing(registered: Path) -> None:
    place = registered.parent / "mir.store"
    place.mkdir()
    options = ("type=directory", f"directory={place}", "encryption=none")
    run(registered, "git", "annex", "initremote", "mir", *options)
    limit(registered, "mir", size(registered, "sub-01"))
    declare(Checkout(registered), "mir", "institution")
    consent(registered, *TWO)
    assert going(told(registered)) == {"sub-01"}


@pytest.mark.slow
def test_own_storage_counts_what_former_versions_take(registered: Path) -> None:
    place = add_path(registered, "mir", "backup")
    everything = size(registered, "")
    told(registered)
    image = registered / "sub-04/func/sub-04_task-rest_bold.nii.gz"
    run(registered, "git", "annex", "unlock", "--quiet", str(image))
    image.write_bytes(image.read_bytes()[::-1])
    run(registered, "datalad", "save", "-m", "another version")
    limit(registered, "mir", everything + image.stat().st_size - 1)
    assert going(told(registered, code=0)) == set()
    limit(registered, "mir", everything + image.stat().st_size)
    assert going(told(registered)) == {"sub-04"}
    assert size(registered, "") < sum(key_size(k) or 0 for k in keys_at(place))


def test_a_budget_counts_former_versions_too(registered: Path) -> None:
    place = add_path(registered, "mir", "backup")
    everything = size(registered, "")
    told(registered)
    image = registered / "sub-04/func/sub-04_task-rest_bold.nii.gz"
    run(registered, "git", "annex", "unlock", "--quiet", str(image))
    image.write_bytes(image.read_bytes()[::-1])
    run(registered, "datalad", "save", "-m", "another version")
    both = everything + image.stat().st_size
    assert going(told(registered, budget=str(both - 1))) == set()
    assert going(told(registered, budget=str(both))) == {"sub-04"}
    assert sum(key_size(key) or 0 for key in keys_at(place)) == both
    (summary,) = summaries(told(registered, budget=str(both)))
    assert summary["held"] == both


def test_what_was_replaced_is_told_with_its_size(registered: Path) -> None:
    add_path(registered, "mir", "institution")
    consent(registered, *TWO)
    told(registered)
    image = registered / "sub-01/anat/sub-01_T1w.nii.gz"
    before = image.stat().st_size
    image.unlink()
    image.write_bytes(b"a better image")
    run(registered, "datalad", "save", "-m", "better")
    (back,) = (r for r in told(registered) if r["outcome"] == "taken back")
    assert (back["keys"], back["bytes"]) == (1, before)


def test_limits_as_git_annex_writes_them(registered: Path) -> None:
    assert max_sizes(registered) == {}
    uuid = run(registered, "git", "config", "annex.uuid").strip()
    for words, count in (("1.5 GB", 1_500_000_000), ("2 KiB", 2048), ("0", 0)):
        run(registered, "git", "annex", "maxsize", "here", words)
        assert max_sizes(registered) == {uuid: count}


@pytest.mark.slow
def test_siblings_on_one_file_system_share_its_room(
    registered: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is room for three participants: two here, and one there."""
    for name in ("one", "two"):
        add_path(registered, name, "institution")
    consent(registered, *TWO)
    each = DISK.disk(61954) + DISK.disk(14129)
    free = 3 * each + each // 2 + git_half(registered)
    monkeypatch.setattr(preflight, "free_bytes", lambda place, fresh: free)
    found = told(registered, ["one", "two"], dry_run=True)
    assert {r["to"]: r["units"]["send"] for r in summaries(found)} == {"one": 2, "two": 1}
    found = told(registered, ["two"], dry_run=True)  # alone
    assert {r["to"]: r["units"]["send"] for r in summaries(found)} == {"two": 2}
    monkeypatch.setattr(preflight, "filesystem", lambda place: ("", place))
    found = told(registered, None, all_=True, dry_run=True)  # each on its own
    assert {r["to"]: r["units"]["send"] for r in summaries(found)} == {"one": 2, "two": 2}


def test_what_a_plan_takes_back_is_room_for_the_next(
    registered: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two"):
        add_path(registered, name, "institution")
    consent(registered, ("sub-01", "given"))
    told(registered, "one")
    consent(registered, ("sub-01", "withdrawn"), ("sub-02", "given"))
    size_back = size(registered, "sub-01")
    each = DISK.disk(61952) + DISK.disk(14129)
    free = 2 * each - size_back + git_half(registered)
    monkeypatch.setattr(preflight, "free_bytes", lambda place, fresh: free)
    found = told(registered, ["one", "two"], dry_run=True)
    assert {r["to"]: r["units"]["send"] for r in summaries(found)} == {"one": 1, "two": 1}
    free -= 1
    found = told(registered, ["one", "two"], dry_run=True, code=1)
    assert {r["to"]: r["units"]["send"] for r in summaries(found)} == {"one": 1}
    assert any("there is room for" in r["message"] for r in found)


def test_a_small_disk_is_promised_once(registered: Path, smalldisk: Callable[[int], Path]) -> None:
    disk = smalldisk(4)
    for name in ("one", "two"):
        run(registered, "git", "remote", "add", name, str(bare(disk / f"{name}.git")))
        declare(Checkout(registered), name, "institution")
    consent(registered, *TWO)
    each = DISK.disk(61954) + DISK.disk(14129)
    seen = os.statvfs(disk)
    taken = seen.f_bavail * seen.f_frsize - 3 * each - each // 2 - git_half(registered)
    (disk / "somebody else's").write_bytes(bytes(taken))
    found = told(registered, ["two", "one"], dry_run=True)
    assert {r["to"]: r["units"]["send"] for r in summaries(found)} == {"two": 2, "one": 1}


def test_places_of_one_file_system(tmp_path: Path) -> None:
    here = filesystem(tmp_path)
    assert here == filesystem(tmp_path / "not" / "there") != filesystem(Path("/proc"))


@pytest.mark.slow
def test_file_systems_behind_ssh(tmp_path: Path, sshd: Sshd) -> None:
    place, other, device = (SshPlace(sshd.alias, p) for p in (str(tmp_path), "/", "/proc"))
    assert filesystem(place) is not None
    same = os.stat(tmp_path).st_dev == os.stat("/").st_dev
    assert (filesystem(place) == filesystem(other)) is same
    assert filesystem(place) != filesystem(device)
    assert filesystem(SshPlace("nobody.invalid", "/")) is None
