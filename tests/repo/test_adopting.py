"""Blobs that a release repository takes over: those that were named, however many."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from datalad_mrishare.errors import RepoError
from datalad_mrishare.repo.address import Address
from datalad_mrishare.repo.release import ReleaseRepository
from datalad_mrishare.repo.trees import write_blobs

#: so alike that git stores one as its difference from the other
TEXT = "participants permitted what they permitted\n" * 50


def git(repo: Path, *args: str) -> str:
    argv = ["git", *args]
    return subprocess.run(argv, cwd=repo, check=True, capture_output=True, text=True).stdout


def objects(repo: Path) -> set[str]:
    """Every object in a repository, reachable or not."""
    form = "--batch-check=%(objectname)"
    return set(git(repo, "cat-file", "--batch-all-objects", form).split())


@pytest.fixture
def release(tmp_path: Path) -> ReleaseRepository:
    git(tmp_path, "init", "-q", "steward")
    git(tmp_path / "steward", "init", "-q", "--bare", ".git/mrishare/mir")
    steward = tmp_path / "steward"
    return ReleaseRepository(steward, steward / ".git", "mir", Address(str(tmp_path / "mir")))


@pytest.mark.parametrize("count", [1, 99, 100, 400])
def test_few_and_many_are_taken_over_and_nothing_else(
    release: ReleaseRepository, count: int
) -> None:
    texts = [f"{TEXT}{number}\n" for number in range(2 * count)]
    oids = write_blobs(release.steward, (text.encode() for text in texts))
    # packed, each may be the difference from one that is withheld
    git(release.steward, "read-tree", "--empty")
    lines = "".join(f"100644 {oid}\t{number}\n" for number, oid in enumerate(oids))
    argv = ["git", "update-index", "--index-info"]
    subprocess.run(argv, cwd=release.steward, input=lines, text=True, check=True)
    git(release.steward, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", "a")
    git(release.steward, "repack", "-q", "-a", "-d")
    git(release.steward, "prune-packed")

    release.adopt_blobs(oids[::2])

    assert objects(release.path) == set(oids[::2])
    git(release.path, "fsck", "--full", "--strict")
    assert git(release.path, "cat-file", "blob", oids[-2]) == texts[-2]


def test_what_is_there_is_not_taken_over_again(release: ReleaseRepository) -> None:
    oids = write_blobs(release.steward, (f"{n}\n".encode() for n in range(300)))
    release.adopt_blobs(oids[:150])
    release.adopt_blobs(oids)
    release.adopt_blobs(oids)
    packs = list((release.path / "objects/pack").glob("*.pack"))
    assert len(packs) == 2
    assert objects(release.path) == set(oids)
    counted = git(release.path, "count-objects", "-v").split("\n")
    assert "in-pack: 300" in counted


def test_of_many_with_one_that_is_missing_none_is_kept(release: ReleaseRepository) -> None:
    oids = write_blobs(release.steward, (f"{n}\n".encode() for n in range(200)))
    with pytest.raises(RepoError):
        release.adopt_blobs([*oids, "0123456789" * 4])
    assert objects(release.path) == set()
