"""Content that was damaged or deleted at a sibling behind our back is found and sent anew."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from builders import copy_dataset, run
from faults.worlds import World, add, side_by_side
from mirrors import consent, keys_of, told
from servers.gpg import Keys
from servers.p2phttp import P2pHttp
from servers.s3 import S3
from servers.ssh import Sshd
from servers.webdav import WebDav


def object_of(place: Path, key: str) -> Path:
    """The file that holds the content of ``key``."""
    files = (p for p in place.rglob(key) if p.is_file())
    (found,) = (p for p in files if "transfer" not in p.parts)  # notes of failures
    return found


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["", "own "])
@pytest.mark.parametrize("where", ["ssh", "ria-ssh", "directory", "rsync"])
def test_it_is_found_and_refilled(
    tmp_path: Path, registered_template: Path, sshd: Sshd, where: str, policy: str
) -> None:
    server = None if where == "directory" else sshd
    world = World(tmp_path, policy + where, tmp_path / "mir.store", server)
    dataset = copy_dataset(registered_template, world.dataset)
    consent(dataset, ("sub-01", "given"), ("sub-02", "given"))
    add(world)
    told(dataset)
    flipped, deleted = keys_of(dataset, "sub-01/func") | keys_of(dataset, "sub-02/func")
    sound = {key: object_of(world.sibling, key).read_bytes() for key in (flipped, deleted)}

    damaged = bytearray(sound[flipped])
    damaged[len(damaged) // 2] ^= 1
    for key in (flipped, deleted):
        file = object_of(world.sibling, key)
        os.chmod(file.parent, 0o755)
        os.chmod(file, 0o644)
    object_of(world.sibling, flipped).write_bytes(damaged)
    object_of(world.sibling, deleted).unlink()
    assert "Nothing to do" in told(dataset)[-1]["message"], "only a look at the content tells"

    (found,) = (r for r in told(dataset, checksum=True) if r.get("outcome") == "compared")
    assert (found["status"], set(found["damaged"])) == ("ok", {flipped, deleted})
    assert sorted(found["units"]) == ["sub-01", "sub-02"]
    for key, content in sound.items():
        assert object_of(world.sibling, key).read_bytes() == content
    assert told(dataset, checksum=True)[-1]["status"] == "notneeded"
    run(dataset, "git", "annex", "fsck", "--quiet")


def content_of(world: World) -> list[Path]:
    """What has the content of two keys there; of encrypted content nobody can tell whose it is."""
    if world.where == "files":
        return [world.storage / name for name, key in sorted(world.files().items()) if key][:2]
    if world.where in ("encrypted", "crypt"):
        return sorted(p for p in world.storage.rglob("GPGHMAC*") if p.is_file())[:2]
    return [object_of(world.storage, key) for key in sorted(keys_of(world.dataset, "sub-01/"))]


@pytest.mark.slow
@pytest.mark.parametrize("kept", [False, True], ids=["shared", "kept"])
def test_it_is_found_in_every_other_kind(
    registered: Path,
    s3: S3,
    webdav: WebDav,
    p2phttps: P2pHttp,
    gpg: Keys,
    monkeypatch: pytest.MonkeyPatch,
    kept: bool,
) -> None:
    for server in (s3, webdav):
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
    consent(registered, ("sub-01", "given"), ("sub-02", "given"))
    kinds = ["s3", "webdav", "https", "rsync-here", "files", "depends", "encrypted"]
    if kept:
        kinds = [f"own {kind}" for kind in kinds if kind != "encrypted"] + ["own crypt"]
    worlds = side_by_side(registered, kinds, (s3, webdav, p2phttps), gpg)
    told(registered, list(worlds))
    sound = {}
    for name, world in worlds.items():
        sound[name] = {path: path.read_bytes() for path in content_of(world)}
        (flipped, content), (deleted, _) = sound[name].items()
        for path in (flipped, deleted):
            os.chmod(path.parent, 0o755)
            os.chmod(path, 0o644)
        flipped.write_bytes(content[:-2] + bytes([content[-2] ^ 1]) + content[-1:])
        deleted.unlink()
    records = told(registered, list(worlds), checksum=True)
    found = {r["to"]: r for r in records if r.get("outcome") == "compared"}
    for name, world in worlds.items():
        assert (found[name]["status"], len(found[name]["damaged"])) == ("ok", 2), name
        for path, content in sound[name].items():
            if world.where in ("encrypted", "crypt"):  # encrypted again it is another text
                assert abs(path.stat().st_size - len(content)) < 100
            else:
                assert path.read_bytes() == content, name
    again = told(registered, list(worlds), checksum=True)
    assert {r["status"] for r in again if r.get("outcome") == "compared"} == {"notneeded"}
