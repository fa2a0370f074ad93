"""What is remembered of remotes is never older than the configuration."""

from __future__ import annotations

from pathlib import Path

import pytest

from datalad_mrishare.repo.process import git
from datalad_mrishare.repo.remotes import remotes


def urls(repo: Path) -> dict[str, str | None]:
    return {name: remote.url for name, remote in remotes(repo).items()}


@pytest.fixture(params=[False, True], ids=["checkout", "bare"])
def repo(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    bare = ["--bare"] if request.param else []
    git(tmp_path, "init", "-q", *bare, "repo")
    return tmp_path / "repo"


def test_every_change_is_seen(repo: Path) -> None:
    assert urls(repo) == {}
    for number in range(50):
        git(repo, "config", "remote.a.url", f"/at/{number:02}")
        assert urls(repo) == {"a": f"/at/{number:02}"}
    git(repo, "remote", "remove", "a")
    assert urls(repo) == {}


def test_it_asks_git_once(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git(repo, "remote", "add", "a", "/somewhere")
    assert urls(repo) == {"a": "/somewhere"}
    with monkeypatch.context() as patch:
        patch.setenv("PATH", "/nonexistent")
        assert urls(repo) == {"a": "/somewhere"}
    remotes(repo).clear()
    assert urls(repo) == {"a": "/somewhere"}


def test_files_that_it_includes_may_change(repo: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    git(repo, "config", "include.path", str(other))
    for url in ("/one", "/two"):
        git(repo, "config", "--file", str(other), "remote.a.url", url)
        assert urls(repo) == {"a": url}


def test_where_it_stands_elsewhere(tmp_path: Path) -> None:
    """A submodule whose own file is named like the configuration of a bare repository."""
    git(tmp_path, "init", "-q", "--separate-git-dir", str(tmp_path / "kept"), "sub")
    sub = tmp_path / "sub"
    (sub / "config").write_text("ours\n")
    for url in ("/one", "/two"):
        git(sub, "config", "remote.a.url", url)
        assert urls(sub) == {"a": url}
