"""Lent objects come back, and the owner's are as they were."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from builders import run
from mirrors import add_path, consent, keys_at, keys_of, publish

from datalad_mrishare.errors import RepoError
from datalad_mrishare.repo import lending
from datalad_mrishare.repo.lending import Lender, lend, take_back
from datalad_mrishare.repo.locks import sweep_after_kill
from datalad_mrishare.repo.release import ReleaseRepository


def seen(path: Path) -> tuple[int, ...]:
    """Inode, mode, times, links and content of a file."""
    found = path.lstat()
    content = hash(path.read_bytes())
    return (found.st_ino, found.st_mode, found.st_mtime_ns, found.st_nlink, content)


@pytest.fixture
def thing(tmp_path: Path) -> Path:
    """A write-protected object in a write-protected directory, as git-annex keeps it."""
    path = tmp_path / "owner/KEY/KEY"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"content")
    path.chmod(0o444)
    path.parent.chmod(0o555)
    return path


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    """A directory on another file system."""
    for place in ("/dev/shm", "/var/tmp", "/run"):
        if os.path.isdir(place) and os.stat(place).st_dev != tmp_path.stat().st_dev:
            try:
                path = Path(tempfile.mkdtemp(dir=place))
            except OSError:
                continue
            yield path
            shutil.rmtree(path)
            return
    pytest.skip("no other file system can be written; mount one: mount -t tmpfs tmpfs DIR")


def test_a_protected_object_is_lent_as_a_link_and_comes_back(thing: Path, tmp_path: Path) -> None:
    before, borrowed = seen(thing), tmp_path / "release/objects/aaa/bbb/KEY/KEY"
    lend(thing, borrowed)
    assert borrowed.samefile(thing)
    lend(thing, borrowed)  # a second time changes nothing
    borrowed.parent.chmod(0o555)
    take_back(tmp_path / "release/objects")
    assert seen(thing) == before and not (tmp_path / "release/objects").exists()


@pytest.mark.parametrize("mode", [0o644, 0o464, 0o446])
def test_an_object_that_can_be_written_is_copied(thing: Path, tmp_path: Path, mode: int) -> None:
    """annex.thin: the object is the unlocked file itself."""
    thing.chmod(mode)
    before, borrowed = seen(thing), tmp_path / "objects/KEY/KEY"
    lend(thing, borrowed)
    assert not borrowed.samefile(thing) and borrowed.read_bytes() == b"content"
    thing.write_bytes(b"edited!")
    assert borrowed.read_bytes() == b"content"
    take_back(tmp_path / "objects")
    assert seen(thing)[:2] == before[:2] and thing.read_bytes() == b"edited!"


def test_across_file_systems_it_is_copied(thing: Path, elsewhere: Path) -> None:
    before, borrowed = seen(thing), elsewhere / "objects/KEY/KEY"
    lend(thing, borrowed)
    assert borrowed.read_bytes() == b"content" and seen(thing) == before
    assert os.listdir(borrowed.parent) == ["KEY"]
    take_back(elsewhere / "objects")
    assert seen(thing) == before and not (elsewhere / "objects").exists()


def test_without_room_it_says_so_and_leaves_nothing(thing: Path, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", os.fspath(small)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here; run as root: mount -t tmpfs tmpfs DIR")
    try:
        thing.chmod(0o644)
        thing.write_bytes(b"x" * 200_000)
        with pytest.raises(RepoError, match="cannot be lent"):
            lend(thing, small / "KEY/KEY")
        assert os.listdir(small / "KEY") == [] and thing.stat().st_size == 200_000
    finally:
        run(tmp_path, "umount", str(small))


def test_taking_back_is_safe_to_repeat_and_after_a_kill(thing: Path, tmp_path: Path) -> None:
    take_back(tmp_path / "nothing")
    objects = tmp_path / "objects"
    lend(thing, objects / "KEY/KEY")
    (objects / "KEY/.lending").write_bytes(b"half")
    (objects / "empty/dir").mkdir(parents=True)
    before = seen(thing)
    take_back(objects)
    take_back(objects)
    assert not objects.exists() and seen(thing)[3] == before[3] - 1
    assert stat.S_IMODE(thing.lstat().st_mode) == 0o444


def test_taking_back_never_follows_a_link(thing: Path, tmp_path: Path) -> None:
    objects = tmp_path / "objects"
    (objects / "x").mkdir(parents=True)
    (objects / "x/KEY").symlink_to(thing)
    (objects / "y").symlink_to(thing.parent.parent)
    before = seen(thing)
    take_back(objects)
    assert seen(thing) == before


@pytest.mark.parametrize("thin", [False, True], ids=["unlocked", "thin"])
def test_publishing_leaves_every_object_of_the_steward_as_it_was(
    registered: Path, thin: bool
) -> None:
    run(registered, "git", "config", "annex.thin", str(thin).lower())
    run(registered, "git", "annex", "unlock", "sub-01/anat")
    run(registered, "git", "commit", "--quiet", "-a", "-m", "unlock")
    consent(registered, ("sub-01", "given"), ("sub-02", "given"))
    place = add_path(registered, "mirror", "institution")
    objects = registered / ".git/annex/objects"
    files = [p for p in objects.rglob("*") if p.is_file()]
    before = {p: seen(p) for p in files}
    location = run(registered, "git", "annex", "whereis", "--json")
    publish(registered, "mirror")
    assert {p: seen(p) for p in files} == before and len(files) == 8
    assert run(registered, "git", "annex", "whereis", "--json") == location
    assert keys_at(place) == keys_of(registered, "sub-01/", "sub-02/")
    run(registered, "git", "annex", "fsck")
    run(place, "git", "annex", "fsck", "--all")
    # what the owner edits afterwards does not change what was published
    unlocked = registered / "sub-01/anat/sub-01_T1w.nii.gz"
    with unlocked.open("ab") as file:
        file.write(b"edited")
    run(place, "git", "annex", "fsck", "--all")


def test_what_cannot_be_lent_is_said_and_ends_the_sending(
    registered: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    consent(registered, ("sub-01", "given"))
    add_path(registered, "mirror", "institution")
    link = os.link

    def gone(source: Path, target: Path) -> None:
        if linked:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), os.fspath(target))
        linked.append(os.fspath(source))
        link(source, target)

    linked: list[str] = []
    monkeypatch.setattr(os, "link", gone)
    monkeypatch.setattr(lending, "_copy", gone)
    with pytest.raises(RepoError, match=r"cannot be lent.*Permission denied"):
        publish(registered, "mirror")
    assert linked and keys_at(registered / ".git/mrishare/mirror") == set()
    monkeypatch.undo()
    publish(registered, "mirror")
    assert keys_at(registered.parent / "mirror.git") == keys_of(registered, "sub-01/")


def test_a_lender_ends_with_what_it_could_not_lend() -> None:
    def lend_but(key: str) -> None:
        if key == "b":
            raise FileNotFoundError(key)

    lender = Lender(lend_but)
    assert list(lender(["a", "b", "c"])) == ["a"] and lender.count == 1
    assert isinstance(lender.error, FileNotFoundError)
    assert lender.busy(60) and not lender.busy(0)
    ended = Lender(lend_but)
    ended.end()
    assert list(ended(["a"])) == [] and ended.error is None


def test_nothing_is_taken_back_through_a_link(tmp_path: Path) -> None:
    elsewhere, gitdir = tmp_path / "elsewhere", tmp_path / "dataset/.git"
    elsewhere.mkdir()
    (elsewhere / "mine").touch()
    (gitdir / "annex/tmp/rsynctmp.1").mkdir(parents=True)
    (gitdir / "annex/tmp/rsynctmp.1/left").touch()
    (gitdir / "annex/tmp/rsynctmp.0").symlink_to(elsewhere)
    sweep_after_kill(gitdir, gitdir.parent)
    assert (elsewhere / "mine").exists()
    assert not (gitdir / "annex/tmp/rsynctmp.1").exists()


@pytest.mark.slow
def test_across_file_systems_as_much_is_lent_at_once_as_there_is_room_for(
    registered: Path, smalldisk: Callable[[int], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The release repository is on a disk of 12 MiB, the content has 20."""
    images = [f"sub-0{1 + n % 2}/func/sub-0{1 + n % 2}_task-{n}_bold.nii.gz" for n in range(4)]
    for image in images:
        (registered / image).write_bytes(os.urandom(5 << 20))
    run(registered, "git", "annex", "add", "--quiet", ".")
    run(registered, "git", "commit", "--quiet", "-m", "large")
    consent(registered, ("sub-01", "given"), ("sub-02", "given"))
    (registered / ".git/mrishare").rename(registered.parent / "before")
    small = smalldisk(12)
    (registered / ".git/mrishare").symlink_to(small)
    place = add_path(registered, "mirror", "institution")
    lenders: list[Lender] = []

    def lender(self: ReleaseRepository) -> Lender:
        lenders.append(new_lender(self))
        return lenders[-1]

    new_lender = ReleaseRepository._lender
    monkeypatch.setattr(ReleaseRepository, "_lender", lender)
    files = [p for p in (registered / ".git/annex/objects").rglob("*") if p.is_file()]
    before = {p: seen(p) for p in files}
    location = run(registered, "git", "annex", "whereis", "--json")
    publish(registered, "mirror")
    batches = [each.count for each in lenders]
    assert len(batches) > 1 and sum(batches) == 8
    assert keys_at(place) == keys_of(registered, "sub-01/", "sub-02/")
    assert {p: seen(p) for p in files} == before and keys_at(small / "mirror") == set()
    assert run(registered, "git", "annex", "whereis", "--json") == location
    run(registered, "git", "annex", "fsck", "--fast")
    # what does not fit alone is said, and nothing is left behind
    (registered / images[0]).unlink()
    (registered / images[0]).write_bytes(os.urandom(15 << 20))
    run(registered, "git", "annex", "add", "--quiet", ".")
    run(registered, "git", "commit", "--quiet", "-m", "larger")
    with pytest.raises(RepoError, match="cannot be lent"):
        publish(registered, "mirror")
    assert keys_at(small / "mirror") == set()
