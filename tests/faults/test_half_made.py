"""What a killed git or git-annex left half made, and would keep every later run from its work."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

import pytest
from builders import run
from mirrors import bare, consent, keys_at, keys_of, told
from servers.ssh import Sshd

from datalad_mrishare.repo.worktree import Checkout
from datalad_mrishare.sharing.siblings import declare


@pytest.fixture(params=["path", pytest.param("ssh", marks=pytest.mark.slow)])
def place(request: pytest.FixtureRequest, registered: Path, tmp_path: Path) -> Path:
    """A bare repository that is a remote, to which sub-01 may go."""
    place, url = tmp_path / "mir.git", str(tmp_path / "mir.git")
    if request.param == "ssh":
        sshd: Sshd = request.getfixturevalue("sshd")
        place, url = sshd.root / "mir.git", sshd.url("mir.git")
    bare(place)
    run(registered, "git", "remote", "add", "mir", url)
    consent(registered, ("sub-01", "given"))
    return place


@pytest.mark.parametrize("policy", ["institution", pytest.param("backup", marks=pytest.mark.slow)])
def test_an_annex_that_has_no_more_than_a_uuid(registered: Path, place: Path, policy: str) -> None:
    """git-annex was killed while it made one of the sibling."""
    declare(Checkout(registered), "mir", policy)
    for variable in ("annex.uuid", "annex.version"):
        run(place, "git", "config", "--unset-all", variable, ok=(0, 5))
    run(place, "git", "config", "annex.uuid", str(uuid.uuid4()))
    told(registered)
    assert keys_of(registered, "sub-01/") <= keys_at(place)
    assert run(place, "git", "config", "annex.version").strip()
    assert told(registered)[-1]["status"] == "notneeded"


@pytest.mark.parametrize("name", ["config.lock", "index.lock", "packed-refs.new"])
def test_locks_here_before_anything_was_begun(registered: Path, tmp_path: Path, name: str) -> None:
    """There is no journal yet; who looks first needs git, too."""
    bare(tmp_path / "mir.git")
    run(registered, "git", "remote", "add", "mir", str(tmp_path / "mir.git"))
    consent(registered, ("sub-01", "given"))
    declare(Checkout(registered), "mir", "backup")
    (registered / ".git" / name).touch()
    told(registered)
    assert keys_of(registered, "sub-01/") <= keys_at(tmp_path / "mir.git")
    assert not (registered / ".git" / name).exists()


def test_a_pack_of_refs_at_the_sibling(registered: Path, place: Path) -> None:
    """git gc was killed there; git says that the file exists, ever after."""
    declare(Checkout(registered), "mir", "institution")
    told(registered)
    (place / "packed-refs.new").touch()
    os.utime(place / "packed-refs.new", (1e9, 1e9))  # minutes old
    told(registered, new_root=True)
    assert not (place / "packed-refs.new").exists()
