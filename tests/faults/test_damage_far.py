"""Content that was damaged or deleted at a sibling behind our back is found and sent anew."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from builders import copy_dataset, run
from faults.worlds import World, add
from mirrors import consent, keys_of, told
from servers.ssh import Sshd


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
