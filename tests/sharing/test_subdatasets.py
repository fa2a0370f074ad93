"""The way from a release to that of a subdataset: what it tells, and who can follow."""

from __future__ import annotations

from pathlib import Path

import pytest
from builders import run

from datalad_mrishare.repo.worktree import Checkout
from datalad_mrishare.sharing import subdatasets
from datalad_mrishare.sharing.policies import load_policies
from datalad_mrishare.sharing.subdatasets import linked_subdatasets, way

HERE, BELOW = Path("/data/study"), Path("/data/study/below")


@pytest.mark.parametrize(
    ("above", "below", "found"),
    [
        ("/srv/ria/abc/def", "/srv/ria/123/456", "../../123/456"),
        ("/srv/mir.git", "file:///srv/deep.git/", "../deep.git"),
        ("/srv/mir.git", "../deep.git", None),  # below the study: another place
        ("/srv/mir.git", "/home/steward/deep.git", None),
        ("/srv/mir.git", "https://forge.example/deep.git", "https://forge.example/deep.git"),
        ("ssh://host/srv/mir.git", "/srv/deep.git", None),
        ("ssh://host/srv/mir.git", "other:/srv/deep.git", "ssh://other/srv/deep.git"),
        ("me@host:mir.git", "you@host:deep.git", "../deep.git"),
        ("host:mir.git", "host:/srv/deep.git", "ssh://host/srv/deep.git"),
        ("ssh://host:2222/a/mir", "ssh://host:2222/a/deep", "../deep"),
        ("ssh://host:2222/a/mir", "ssh://me@host/a/deep", "ssh://host/a/deep"),
        ("https://f.example/mir", "https://u:p@f.example/deep", "../deep"),
        ("https://f.example/mir", "https://u:p@g.example:8/deep", "https://g.example:8/deep"),
        ("https://f.example/mir", "https://g.example/deep?token=1", None),
        ("https://f.example/mir", "http://[::1/deep", None),
        ("annex::u?type=directory&directory=/x", "/srv/deep.git", None),
        ("/srv/mir.git", "annex::u?type=directory&directory=/x", None),
    ],
)
def test_ways(above: str, below: str, found: str | None) -> None:
    assert way(above, below, HERE, BELOW) == found


@pytest.mark.parametrize(
    "path",
    ["../outside", "/abs", "a/../b", "-x", 'a"b', "a\\\\b", "a\\nb", "link/below", "plain", "gone"],
)
def test_what_is_no_subdataset_is_not_even_looked_at(
    tmp_path: Path, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Git keeps whatever somebody writes into .gitmodules; repositories lie at each of these."""
    top = tmp_path / "top"
    for place in (top, tmp_path / "outside", top / "b", top / "elsewhere/below"):
        run(tmp_path, "git", "init", "--quiet", str(place))
    (top / "link").symlink_to(tmp_path / "outside")
    (tmp_path / "outside/below").mkdir()
    run(tmp_path, "git", "init", "--quiet", str(tmp_path / "outside/below"))
    (top / "plain").mkdir()
    run(top, "git", "config", "-f", ".gitmodules", "submodule.x.path", path)
    run(top, "git", "config", "-f", ".gitmodules", "submodule.y.path", "b")
    run(top, "git", "add", ".gitmodules")
    run(top, "git", "commit", "--quiet", "-m", "x")
    looked: list[str] = []
    monkeypatch.setattr(subdatasets, "_linked", lambda c, path, *_: looked.append(path))
    policy = load_policies("siblings:\n  m: {policy: public, url: /srv/m.git}\n")["m"]
    assert linked_subdatasets(Checkout(top), "HEAD", policy) == {}
    assert looked == ["b"]
