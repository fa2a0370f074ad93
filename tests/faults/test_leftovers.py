"""What an interrupted transfer left at a sibling goes when the content may not be there any more.

The places are those where git-annex 10.20261026 and rsync 3.2 were seen to leave it, each killed
while it sent; what a full disk makes them leave is in ``test_full_disk.py``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from builders import copy_dataset, run
from datalad.api import mrishare_verify
from faults.worlds import DRIVER, World, side_by_side
from mirrors import consent, keys_of, told
from servers.gpg import Keys
from servers.ssh import Sshd
from servers.webdav import WebDav

from datalad_mrishare.repo import leftovers
from datalad_mrishare.repo.keys import hash_lower, key_size
from datalad_mrishare.repo.leftovers import Leftover
from datalad_mrishare.repo.worktree import Checkout
from datalad_mrishare.sharing.siblings import declare

PART = b"a part of somebody's image " * 100
#: kind -> where a transfer of {key}, or of {file}, leaves what has arrived
PLACES = {
    "path": ["annex/tmp/{key}", "annex/bad/{key}"],
    "ria": ["ora-remote-0/transfer/{key}"],
    "ssh": ["annex/tmp/{key}"],
    "ria-ssh": ["ora-remote-0/transfer/{key}"],
    "directory": ["tmp/{key}/{key}", "tmp/{chunk}/{chunk}"],
    "rsync": ["{hash}/{key}/.rsync-partial/{key}", "{hash}/{key}/.{key}.x9Yz01"],
    "rsync-here": ["{hash}/{key}/.rsync-partial/{key}", "{hash}/{key}/.{key}.x9Yz01"],
    "webdav": ["git-annex-webdav-tmp-{key}"],
    "files": ["{file}132a-b-38e9409", "CHANGES2b-2-3849409.tmp", ".git-annex-tmp-content-{key}"],
    "depends": ["tmp/{key}/{key}"],
    "encrypted": ["tmp/GPGHMACSHA1--{hmac}/GPGHMACSHA1--{hmac}"],
    "crypt": ["tmp/GPGHMACSHA1--{hmac}/GPGHMACSHA1--{hmac}"],
}
LINK = "sub-02/func/sub-02_task-rest_bold.nii.gz"


QUIET = {"result_renderer": "disabled", "on_failure": "ignore"}


def siblings(root: Path, template: Path, kinds: list[str], *more: Any) -> dict[str, World]:
    """A dataset with a sibling of each kind, to which ``sub-01`` was published; by their names."""
    dataset = copy_dataset(template, root / "dataset")
    consent(dataset, ("sub-01", "given"), ("sub-02", "given"))
    found = side_by_side(dataset, kinds, *more)
    told(dataset, list(found), select={"sub": ["01"]})
    return found


def leave(world: World, link: str) -> list[Path]:
    """Parts of an image at the sibling, as transfers leave them."""
    (key,) = keys_of(world.dataset, link)
    words = {
        "key": key,
        "chunk": key.replace("--", "-S1000-C3--", 1),
        "hash": hash_lower(key),
        "hmac": "ab1d059e98b81cdc612b23a8fc3c9a90d21642f9",
        "file": f"{link[:-16]}",  # git-annex cuts long names
    }
    found = [world.storage / place.format(**words) for place in PLACES[world.where]]
    for path in found:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(PART)
    return found


def parts(world: World) -> set[Path]:
    """Whatever there has bytes of the part."""
    files = [p for p in world.storage.parent.rglob("*") if p.is_file()]
    return {p for p in files if PART[:500] in p.read_bytes()}


def content(world: World) -> set[Path]:
    """What has content of ``sub-01``, or encrypted content."""
    mine = (*keys_of(world.dataset, "sub-01/"), "GPGHMAC", "sub-01_")
    return {p for p in world.storage.rglob("*") if p.is_file() and p.name.startswith(mine)}


def they_go(worlds: dict[str, World]) -> None:
    """What may not be there goes and nothing else, at each sibling, and is told of."""
    (dataset,) = {world.dataset for world in worlds.values()}
    before = {name: content(world) for name, world in worlds.items()}
    left = {name: {*leave(world, LINK)} for name, world in worlds.items()}
    (dataset / "README").write_text("another word\n")  # else nobody looks
    run(dataset, "git", "commit", "--quiet", "-m", "reword", "README")
    told(dataset, list(worlds), select={"sub": ["01"]})
    for name, world in worlds.items():
        # a transfer goes on from it, where the name tells whose it is
        stays = world.where not in ("files", "encrypted", "crypt")
        assert parts(world) == (
            left[name] if stays else {p for p in left[name] if "SHA256E" in p.name}
        )
        leave(world, LINK)
    consent(dataset, ("sub-02", "withdrawn", "erase"))
    records = told(dataset, list(worlds))
    back = {r["to"]: r for r in records if r.get("outcome") == "taken back"}
    for name, world in worlds.items():
        assert (back[name]["status"], back[name]["parts"]) == ("ok", len(left[name])), name
        assert "that interrupted transfers had left there" in back[name]["message"]
        assert parts(world) == set() and before[name] and before[name] <= content(world), name
        odd = [p for p in world.storage.rglob("*") if p.name.endswith((".rsync-partial", "9Yz01"))]
        assert odd == []
        events = sorted((dataset / ".datalad/mrishare/events").glob(f"*published-{name}*"))
        assert json.loads(events[-1].read_text())["parts_taken_back"] == len(left[name])
    assert {r["status"] for r in told(dataset, list(worlds)) if "bytes" in r} == {"notneeded"}


@pytest.mark.slow
def test_it_goes_when_its_participant_withdraws(tmp_path: Path, registered_template: Path) -> None:
    they_go(siblings(tmp_path, registered_template, ["path", "files"]))


@pytest.mark.slow
@pytest.mark.parametrize("point", ["after:take_back", "before:event"])
def test_killed_when_only_parts_went(tmp_path: Path, registered_template: Path, point: str) -> None:
    """The next run writes an event, and commits the one that was only written."""
    (world,) = siblings(tmp_path, registered_template, ["directory"]).values()
    consent(world.dataset, ("sub-02", "withdrawn"))
    told(world.dataset, "directory")
    leave(world, LINK)
    log = [str(tmp_path / "log"), point, "group"]
    argv = [sys.executable, str(DRIVER), str(world.dataset), "directory", *log]
    done = subprocess.run(argv, capture_output=True, start_new_session=True, check=False)
    assert done.returncode == -9 and parts(world) == set(), done.stderr.decode()
    events = world.dataset / ".datalad/mrishare/events"
    before = {path.name for path in events.glob("*published*")}
    written = "20260504T000000.000000Z-0780-published-directory.json"
    (events / written).write_text("{}\n")
    told(world.dataset, "directory")
    after = {path.name for path in events.glob("*published*")}
    assert written in after and len(after - before) == 2
    assert run(world.dataset, "git", "status", "--porcelain") == ""
    assert told(world.dataset, "directory")[-1]["status"] == "notneeded"


@pytest.mark.slow
def test_of_every_kind_here(tmp_path: Path, registered_template: Path) -> None:
    kinds = ["ria", "directory", "depends", "own path", "own rsync-here", "own files"]
    they_go(siblings(tmp_path, registered_template, kinds))


@pytest.mark.slow
def test_of_every_kind_elsewhere(
    tmp_path: Path,
    registered_template: Path,
    sshd: Sshd,
    webdav: WebDav,
    gpg: Keys,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in webdav.environment().items():
        monkeypatch.setenv(name, value)
    kinds = ["ssh", "ria-ssh", "rsync", "webdav", "encrypted", "own crypt"]
    worlds = siblings(tmp_path, registered_template, kinds, (sshd, webdav), gpg)
    they_go(worlds)
    (left,), (key,) = leave(worlds["webdav"], LINK), keys_of(worlds["webdav"].dataset, LINK)
    dataset = worlds["webdav"].dataset
    (dataset / "README").write_text("a third word\n")
    run(dataset, "git", "commit", "--quiet", "-m", "reword", "README")
    webdav.readonly = True
    records = told(dataset, "webdav", code=1)
    (back,) = [r for r in records if r.get("outcome") == "taken back"]
    assert back["status"] == "error" and "cannot be removed there: the server" in back["message"]
    assert left.exists() and not records[-1]["complete"]
    verified = mrishare_verify("webdav", dataset=dataset, **QUIET)
    assert key in {r.get("what") for r in verified if r["status"] == "error"}
    webdav.readonly = False
    told(dataset, "webdav")
    assert not left.exists()


def test_nothing_is_followed_or_guessed(tmp_path: Path) -> None:
    """Neither a link out of the place nor a file with any other name is touched."""
    key = "SHA256E-s9--" + "0" * 64 + ".nii.gz"
    place, outside = tmp_path / "place", tmp_path / "outside"
    names = {
        "git": ["annex/tmp/mine.txt", "annex/objects/a/b/" + key],
        "directory": ["tmp/mine.txt", f"a/b/{key}/{key}", "tmp.old/" + key],
        "rsync": [f"a/b/{key}/{key}", ".mine.abcdef", ".rsync-partial/mine"],
        "files": ["sub-01/notes.tmp", "2026-05-04.tmp", ".git/GITMANIFEST--4abc-01-9409a0"],
    }
    for kind, kept in names.items():
        for name in (*kept, "-f\nodd"):
            (place / kind / name).parent.mkdir(parents=True, exist_ok=True)
            (place / kind / name).write_bytes(PART)
    for name in ("annex/tmp", "tmp", "transfer"):
        (outside / name / key).mkdir(parents=True)
        (outside / name / key / key).write_bytes(PART)
    (place / "linked").mkdir()
    for name in ("annex", "tmp", "ora-remote-1"):
        (place / "linked" / name).symlink_to(outside / ("tmp" if name == "tmp" else "."))
    for kind in names:
        assert leftovers.leftovers(place / kind, kind) == []
        assert leftovers.leftovers(place / "linked", kind) == []
    odd = place / "git/annex/tmp/SHA256E-s9--\n-rf"
    odd.write_bytes(PART)
    assert leftovers.leftovers(place / "git", "git") == [], "no key has such a name"
    part = Leftover("annex/tmp/mine.txt", None)
    assert leftovers.remove(place / "git", [part]) == {}
    assert not (place / "git" / part.name).exists() and odd.exists()


@pytest.mark.slow
@pytest.mark.parametrize("waited", [False, True])
def test_whole_chunks_of_what_was_not_finished(
    registered: Path, tmp_path: Path, waited: bool
) -> None:
    """git-annex finds all chunks of a key, and does not tell that there are any.

    They are known as long as they may be there, also when runs came that did not go on with it.
    """
    (tmp_path / "mir").mkdir()
    words = ("type=directory", f"directory={tmp_path}/mir", "encryption=none", "chunk=5kB")
    run(registered, "git", "annex", "initremote", "mir", *words)
    consent(registered, ("sub-01", "given"), ("sub-02", "given"))
    declare(Checkout(registered), "mir", "backup")
    (key,) = keys_of(registered, LINK)
    size = key_size(key)
    assert size and size > 10_000

    def chunks() -> list[Path]:
        found = (p for p in (tmp_path / "mir").rglob("*-S*") if p.is_file())
        return [p for p in found if p.name.endswith(key.partition("--")[2])]

    told(registered)
    assert len(chunks()) == -(-size // 5000)
    last = max(chunks(), key=lambda p: int(p.name.partition("-C")[2].partition("--")[0]))
    os.chmod(last.parent, 0o755)
    last.unlink()
    uuid = run(registered, "git", "config", "remote.mir.annex-uuid").strip()
    run(registered, "git", "annex", "setpresentkey", key, uuid, "0")
    if waited:
        (registered / ".git/mrishare/mir.journal").write_text(json.dumps([key]))
        told(registered, select={"sub": ["01"]})
        told(registered, select={"sub": ["01"]})
        assert chunks() != []
    else:
        (registered / ".git/mrishare/mir.unfinished").write_text(json.dumps([key]))
    consent(registered, ("sub-02", "withdrawn", "erase"))
    told(registered)
    assert chunks() == []
