"""Ways on which everybody in between could read along are refused, wherever they are named."""

from __future__ import annotations

from pathlib import Path

import pytest
from builders import run
from mirrors import bare, publish

from datalad_mrishare.errors import InputError, SiblingError
from datalad_mrishare.repo.transport import read_on_the_way
from datalad_mrishare.repo.worktree import Checkout
from datalad_mrishare.sharing.policies import load_policies
from datalad_mrishare.sharing.siblings import declare

PLAIN = [
    *("http::http://h/m", "HTTP::http://h/m", "ftp::ftp://h/m", "datalad-annex::http://h/m"),
    "http://h/m",
    "HTTP://h/m",
    "ftp://h/m",
    "git://h/m",
    "rsync://h/m",
    "annex+http://h/m",
]
FINE = [
    "https://h/m",
    "ssh://h/m",
    "h:m",
    "/srv/m",
    "rsync",
    "file:///srv/m",
    "datalad-annex::https://h/m",
    "http://127.0.0.1:80/m",
    "http://127.8.9.1/m",
    "http://localhost/m",
    "http://[::1]:8080/m",
]


@pytest.mark.parametrize(
    "url", [*PLAIN, "h::m", "http://127.0.0.1.example.org/m", "http://[::2]/m"]
)
def test_what_others_could_read(url: str) -> None:
    assert "without encryption" in str(read_on_the_way(url))


@pytest.mark.parametrize("url", ["ext::git-remote-http http://h/m", "EXT::nc h", "fd::7"])
def test_what_nobody_knows(url: str) -> None:
    assert "nobody knows" in str(read_on_the_way(url))


@pytest.mark.parametrize("url", FINE)
def test_what_nobody_else_reads(url: str) -> None:
    assert read_on_the_way(url) is None


@pytest.mark.parametrize("policy", ["institution", "backup"])
@pytest.mark.parametrize("url", PLAIN)
def test_no_such_remote_is_declared(registered: Path, url: str, policy: str) -> None:
    run(registered, "git", "remote", "add", "mir", url)
    with pytest.raises(SiblingError, match=r"without encryption.*ssh://"):
        declare(Checkout(registered), "mir", policy)


@pytest.mark.parametrize(
    "words",
    [
        ("remote", "set-url", "--push", "mir", "http://h/m"),
        ("config", "remote.mir.annexUrl", "annex+http://h/m"),
        ("config", "url.git://h/.insteadOf", "/"),
    ],
)
def test_nor_published_to_when_it_leads_there_later(
    registered: Path, tmp_path: Path, words: tuple[str, ...]
) -> None:
    mir = bare(tmp_path / "mir.git")
    run(registered, "git", "remote", "add", "mir", str(mir))
    declare(Checkout(registered), "mir", "backup")
    run(registered, "git", *words)
    with pytest.raises(SiblingError, match="without encryption"):
        publish(registered, "mir")
    assert not list(mir.glob("annex/objects/*")) and not list(mir.glob("refs/heads/*"))


@pytest.mark.parametrize(
    "words",
    [
        "url: http://h/m",
        "url: /srv/m\n    storage: {name: s, url: ria+http://h/s}",
        "url: annex::u\n    storage: {name: s, uuid: u, type: S3, host: h, bucket: b}",
    ],
)
def test_nor_heeded_when_it_is_written_by_hand(words: str) -> None:
    text = f"siblings:\n  mir:\n    policy: public\n    {words}\n"
    with pytest.raises(InputError, match=r"line \d, .*without encryption"):
        load_policies(text)
