"""What content takes: never less than real git-annex and gpg need for it."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from builders import run
from hypothesis import given
from hypothesis import strategies as st
from servers.gpg import Keys

from datalad_mrishare.repo.annexbranch import remote_configs
from datalad_mrishare.sharing.plans import Action, Room
from datalad_mrishare.sharing.storage import PLAIN, Storage, storage_of

SIZES = (0, 1, 62, 4097, 99_999, 100_000, 100_001, 1_048_576, 3_500_000)


def test_settings_of_special_remotes() -> None:
    assert storage_of({}) == storage_of({"encryption": "none"}) == PLAIN
    assert storage_of({"encryption": "hybrid", "cipherkeys": "A,B"}) == Storage(encrypted=True)
    assert storage_of({"encryption": "pubkey", "cipherkeys": "A,B"}) == Storage(True, 2)
    assert storage_of({"encryption": "none", "chunk": "10MB"}, on_disk=True) == Storage(
        chunk=10_000_000, on_disk=True
    )
    for words, size in (
        ("1MiB", 1_000_000),
        ("1 mebibyte", 1_000_000),
        ("0.5 gb", 500_000_000),
        ("512", 512),
        ("1k", 1000),
    ):
        assert storage_of({"chunk": words}).chunk == size, words
    assert storage_of({"chunk": "0"}).chunk is storage_of({"chunk": "many"}).chunk is None


@given(
    st.integers(0, 10**8),
    st.integers(0, 10**8),
    st.builds(
        Storage,
        st.booleans(),
        st.integers(0, 5),
        st.none() | st.integers(1, 10**7),
        st.booleans(),
    ),
)
def test_more_content_never_takes_less(a: int, b: int, storage: Storage) -> None:
    assert a <= storage.stored(a) <= storage.disk(a)
    assert storage.stored(a) <= storage.stored(a + b) and storage.disk(a) <= storage.disk(a + b)


def test_a_plan_counts_what_content_takes() -> None:
    """Two participants of 1000 bytes: sizes alone would fit, encrypted they do not."""
    from planned import plan, verdict

    files = [verdict(f"sub-0{n}/a", f"sub-0{n}", 1000) for n in (1, 2)]
    encrypted = Storage(encrypted=True)  # 1000 + 4 + 256
    for room, count in (
        (Room(budget=2000), 2),
        (Room(budget=2000, storage=encrypted), 1),
        (Room(budget=2520, storage=encrypted), 2),
        (Room(allowed=2519, storage=encrypted), 1),
        (Room(free=2 * 16384, storage=Storage(on_disk=True)), 2),
        (Room(free=2 * 16384 - 1, storage=Storage(on_disk=True)), 1),
        (Room(budget=2000, free=10**6, storage=Storage(on_disk=True)), 2),
        (Room(budget=10**6, free=10**6, reserve=980_000, storage=Storage(on_disk=True)), 1),
    ):
        found = plan(files, room=room)
        assert found.total(Action.SEND)[0] == count, room
        assert found.takes == count * room.storage.disk(1000)
    held = plan(files, room=Room(budget=2520, storage=encrypted), present={"sub-01/a"})
    assert (held.held, held.room) == (1000, 1260)


@pytest.mark.slow
@pytest.mark.parametrize("chunk", ["", "chunk=1MiB", "chunk=100kB"])
@pytest.mark.parametrize("encryption", ["none", "shared", "hybrid", "pubkey", "sharedpubkey"])
def test_git_annex_needs_no_more(tmp_path: Path, gpg: Keys, encryption: str, chunk: str) -> None:
    repo, place = tmp_path / "repo", tmp_path / "store"
    repo.mkdir()
    place.mkdir()
    run(repo, "git", "init", "--quiet")
    run(repo, "git", "annex", "init", "--quiet")
    keyed = [] if encryption in ("none", "shared") else [f"keyid={gpg.steward}"]
    options = [f"encryption={encryption}", *keyed, *filter(None, [chunk])]
    remote = ("initremote", "s", "type=directory", f"directory={place}")
    run(repo, "git", "annex", *remote, *options)
    if encryption == "pubkey":
        run(
            repo,
            "git",
            "annex",
            "enableremote",
            "s",
            f"keyid+={gpg.partner}",
            "directory=" + str(place),
        )
    (settings,) = remote_configs(repo).values()
    storage = storage_of(settings, on_disk=True)
    assert storage.recipients == {"pubkey": 2, "sharedpubkey": 1}.get(encryption, 0)
    noise = random.Random(20261123)
    for size in (7, *SIZES):
        (repo / "file").write_bytes(noise.randbytes(size))
        run(repo, "git", "annex", "add", "--quiet", "file")
        before = taken(place)
        run(repo, "git", "annex", "copy", "--quiet", "--to", "s", "file")
        objects, disk = (now - was for now, was in zip(taken(place), before, strict=True))
        assert size <= objects <= storage.stored(size), size
        if size != 7:  # the first also makes a directory for all the others
            assert objects <= disk <= storage.disk(size), size
        run(repo, "git", "rm", "--quiet", "--cached", "file")
        (repo / "file").unlink()


def taken(place: Path) -> tuple[int, int]:
    """Bytes of the objects there, and of the blocks of all files and directories."""
    objects = disk = 0
    for parent, _, files in os.walk(place):
        disk += os.lstat(parent).st_blocks * 512
        for name in files:
            seen = os.lstat(os.path.join(parent, name))
            objects += seen.st_size
            disk += seen.st_blocks * 512
    return objects, disk
