"""Own storage that is encrypted with gpg, in special remotes without a git half."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from builders import run
from mirrors import consent, keys_of, publish, told
from servers.gpg import Keys
from servers.rsync import Rsync

from datalad_mrishare.errors import SiblingError
from datalad_mrishare.repo.worktree import Checkout
from datalad_mrishare.sharing.siblings import declare

SCHEMES = ["hybrid", "pubkey", "sharedpubkey", "shared"]


def initremote(dataset: Path, scheme: str, key: str | None, *words: str) -> None:
    more = [f"keyid={key}"] if key and scheme != "shared" else []
    run(dataset, "git", "annex", "initremote", "mir", *words, f"encryption={scheme}", *more)


def there(place: Path) -> list[Path]:
    return [p for p in place.rglob("GPGHMAC*") if p.is_file()]


def readable(dataset: Path, clone: Path, gpg: Keys) -> set[str]:
    """Keys that the steward gets out of it again, elsewhere."""
    run(dataset.parent, "git", "clone", "--quiet", str(dataset), clone.name)
    run(clone, "git", "annex", "init", "--quiet", "elsewhere")
    run(clone, "git", "config", "remote.origin.annex-ignore", "true")
    where = run(dataset, "git", "config", "--get-regexp", r"^remote\.mir\.annex-(dir|rsync)")
    name, _, place = where.strip().partition(" ")
    setting = f"{name.rpartition('annex-')[2]}={place}"
    run(clone, "git", "annex", "enableremote", "mir", setting)
    run(clone, "git", "config", "remote.mir.annex-verified", "verified")
    run(clone, "git", "annex", "get", "--all", ok=(0, 1))
    found = clone / ".git/annex/objects"
    return {name for _, _, names in os.walk(found) for name in names}


def keep(dataset: Path, place: Path, gpg: Keys) -> None:
    """Filled, checked, taken back from, and nothing to do after each of these."""
    every = keys_of(dataset, "")
    consent(dataset, ("sub-01", "given"), ("sub-03", "withdrawn"))
    assert not declare(Checkout(dataset), "mir", "backup").moved
    told(dataset)
    assert len(there(place)) == len(every) > 4
    assert publish(dataset, "mir")[-1].changed is False
    checked = next(r for r in told(dataset, checksum=True) if r.get("outcome") == "compared")
    assert (checked["status"], checked["compared"]) == ("notneeded", len(every)), checked

    gone = keys_of(dataset, "sub-03/")
    consent(dataset, ("sub-03", "withdrawn", "erase"))
    told(dataset)
    assert len(there(place)) == len(every) - len(gone) < len(every)
    assert publish(dataset, "mir")[-1].changed is False
    assert readable(dataset, dataset.parent / "elsewhere", gpg) == every - gone


@pytest.mark.slow
@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_directory(registered: Path, tmp_path: Path, gpg: Keys, scheme: str) -> None:
    (tmp_path / "store").mkdir()
    where = f"directory={tmp_path}/store"
    initremote(registered, scheme, gpg.steward, "type=directory", where)
    keep(registered, tmp_path / "store", gpg)


@pytest.mark.slow
@pytest.mark.parametrize("scheme", SCHEMES)
def test_rsync(registered: Path, gpg: Keys, rsync_path: Rsync, scheme: str) -> None:
    (rsync_path.root / "mir").mkdir()
    url = f"rsyncurl={rsync_path.url}/mir"
    initremote(registered, scheme, gpg.steward, "type=rsync", url)
    keep(registered, rsync_path.root / "mir", gpg)


@pytest.mark.slow
def test_rsync_behind_ssh(registered: Path, gpg: Keys, rsync_ssh: Rsync) -> None:
    (rsync_ssh.root / "mir").mkdir()
    url = f"rsyncurl={rsync_ssh.url}/mir"
    initremote(registered, "hybrid", gpg.steward, "type=rsync", url)
    keep(registered, rsync_ssh.root / "mir", gpg)


@pytest.mark.parametrize(
    ("scheme", "key", "says"),
    [
        ("sharedpubkey", "signing", "cannot be encrypted for the gpg key"),
        ("hybrid", "partner", "for others only"),
    ],
)
def test_keys_that_do_not_do(
    registered: Path, tmp_path: Path, gpg: Keys, scheme: str, key: str, says: str
) -> None:
    (tmp_path / "store").mkdir()
    where = f"directory={tmp_path}/store"
    initremote(registered, scheme, getattr(gpg, key), "type=directory", where)
    consent(registered, ("sub-01", "given"))
    declare(Checkout(registered), "mir", "backup")
    with pytest.raises(SiblingError, match=says):
        publish(registered, "mir")
    assert not any((tmp_path / "store").rglob("*"))


@pytest.mark.parametrize(
    ("scheme", "key"),
    [
        ("sharedpubkey", "steward"),
        pytest.param("hybrid", "steward", marks=pytest.mark.slow),
        ("sharedpubkey", "partner"),
    ],
)
def test_damage_is_found(
    registered: Path, tmp_path: Path, gpg: Keys, scheme: str, key: str
) -> None:
    """git-annex takes an empty object for content until it is decrypted."""
    (tmp_path / "store").mkdir()
    where = f"directory={tmp_path}/store"
    initremote(registered, scheme, getattr(gpg, key), "type=directory", where)
    consent(registered, ("sub-01", "given"))
    declare(Checkout(registered), "mir", "backup")
    told(registered)
    every = sorted(there(tmp_path / "store"))
    *whole, last = every[1].read_bytes()
    for damaged, content in ((every[0], b""), (every[1], bytes((*whole, last ^ 1)))):
        damaged.chmod(0o600)
        damaged.write_bytes(content)
    assert publish(registered, "mir")[-1].changed is False
    readable = key == "steward"
    records = told(registered, checksum=True, code=0 if readable else 1)
    compared = next(r for r in records if r.get("outcome") == "compared")
    if not readable:  # by nobody here, so nobody here can tell
        assert compared["status"] == "error" and len(compared["failed"]) == len(every)
        assert every[0].read_bytes() == b""
        return
    assert compared["status"] == "ok" and len(compared["damaged"]) == 2
    found = next(r for r in told(registered, checksum=True) if r.get("outcome") == "compared")
    assert (found["status"], found["compared"]) == ("notneeded", len(every))
