"""After a sibling was moved behind the one door, plain commands bring nothing to it: every kind.

The long list of commands on siblings of this machine is in ``tests/repo/test_gates.py``; here
are those that people type, on each kind that is served, with every byte that lies there compared.
"""

from __future__ import annotations

import hashlib
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from builders import run
from faults.worlds import World, side_by_side
from mirrors import bare, consent, keys_of, publish
from servers.gpg import Keys
from servers.p2phttp import P2pHttp
from servers.s3 import S3
from servers.ssh import Sshd
from servers.webdav import WebDav

from datalad_mrishare.repo.gates import lock_undeclared
from datalad_mrishare.repo.remotes import remotes
from datalad_mrishare.repo.worktree import Checkout
from datalad_mrishare.sharing.policies import SIBLINGS_FILE, load_policies
from datalad_mrishare.sharing.siblings import declare, reopen

COMMANDS = """
git push mir
git push mir main git-annex
git push --all mir
git push --mirror mir
git push URL main
git push --all URL
git annex copy --to mir
git annex copy --all --to mir
git annex move --to mir sub-02
git annex mirror --to mir
git annex sync --content
git annex sync --content mir
git annex assist
git annex satisfy
git annex push
git annex push mir
git annex export HEAD --to mir
git annex drop --force --from mir
datalad push
datalad push --to mir
datalad push --to mir --data anything
datalad push --to mir --force all sub-02
"""

Make = Callable[[Path, Path, Sshd | None], str]


def git(dataset: Path, place: Path, sshd: Sshd | None) -> str:
    url = f"ssh://{sshd.alias}{place}" if sshd else str(place)
    bare(place)
    run(dataset, "git", "remote", "add", "mir", url)
    return url


def ria(dataset: Path, place: Path, sshd: Sshd | None) -> str:
    store = f"ria+ssh://{sshd.alias}{place}" if sshd else f"ria+file://{place}"
    run(dataset, "datalad", "create-sibling-ria", "-s", "mir", "--new-store-ok", store)
    return run(dataset, "git", "config", "remote.mir.url").strip()


def directory(dataset: Path, place: Path, sshd: Sshd | None) -> str:
    return special(dataset, place, "type=directory", f"directory={place}")


def rsync(dataset: Path, place: Path, sshd: Sshd | None) -> str:
    there = f"{sshd.alias}:{place}" if sshd else str(place)
    return special(dataset, place, "type=rsync", f"rsyncurl={there}")


def special(dataset: Path, place: Path, *words: str) -> str:
    place.mkdir()
    run(dataset, "git", "annex", "initremote", "mir", "encryption=none", *words)
    return "annex::"


def amount(place: Path) -> dict[str, str]:
    """Every file there and its bytes, but for what git-annex locks and looks up with."""
    passing = (".lck", "mergedrefs", "sentinal", "annex/index", "journal", "othertmp", "keysdb")
    names = ((p, str(p.relative_to(place))) for p in place.rglob("*"))
    files = [(p, name) for p, name in names if not any(w in name for w in passing) and p.is_file()]
    return {name: hashlib.sha256(p.read_bytes()).hexdigest() for p, name in files}


@pytest.mark.slow
@pytest.mark.parametrize("far", [False, True], ids=["here", "ssh"])
@pytest.mark.parametrize("make", [git, ria, directory, rsync])
def test_nothing_is_brought_to_it(
    registered: Path, tmp_path: Path, sshd: Sshd, make: Make, far: bool
) -> None:
    if make is directory and far:
        pytest.skip("a directory is always here")
    place = tmp_path / "mirror"
    make(registered, place, sshd if far else None)
    consent(registered, ("sub-01", "given"), ("sub-02", "refused"))
    url = declare(Checkout(registered), "mir", "institution").where
    publish(registered, "mir")
    before = amount(place)
    sent = keys_of(registered, "sub-01")
    assert len([path for path in before if Path(path).name in sent]) == len(sent) > 0
    run(registered, "git", "annex", "numcopies", "2")
    run(registered, "git", "config", "datalad.annex.retry", "0")  # else it waits to send again
    (registered / "README").write_text("a change to push\n")
    run(registered, "datalad", "save", "-m", "A change to push")
    lines = [line for line in COMMANDS.splitlines() if line]
    if make is ria:
        lines += [line.replace("mir", "mir-storage") for line in lines if "annex" in line]
    for line in lines:
        argv = [url if word == "URL" else word for word in shlex.split(line)]
        subprocess.run(argv, cwd=registered, capture_output=True, timeout=120, check=False)
        assert amount(place) == before, argv
    everything = run(registered, "git", "annex", "find", "--in=here").splitlines()
    assert any(path.startswith("sub-02") for path in everything), "it was moved away"


@pytest.fixture
def elsewhere(
    registered: Path,
    s3: S3,
    webdav: WebDav,
    p2phttps: P2pHttp,
    gpg: Keys,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., dict[str, World]]:
    """Make siblings of ``registered`` by their kinds, which are their names, too."""
    for server in (s3, webdav):
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)

    def make(*kinds: str, declared: bool = True) -> dict[str, World]:
        servers = (s3, webdav, p2phttps)
        found = side_by_side(registered, kinds, servers, gpg, declared=declared)
        run(registered, "git", "annex", "numcopies", "2")
        run(registered, "git", "config", "datalad.annex.retry", "0")
        return found

    return make


def attempted(dataset: Path, worlds: dict[str, World], urls: dict[str, str]) -> int:
    """Type every command for each sibling, and compare what lies at each; how many there were."""
    before = {name: (amount(w.storage), amount(w.sibling)) for name, w in worlds.items()}
    tried = 0
    for line in filter(None, COMMANDS.splitlines()):
        to_one = "mir" in line or "URL" in line
        for name in worlds if to_one else [""]:
            words = {"mir": name, "URL": urls.get(name, name)}
            argv = [words.get(word, word) for word in shlex.split(line)]
            subprocess.run(argv, cwd=dataset, capture_output=True, timeout=120, check=False)
            for other, world in worlds.items() if not name else [(name, worlds[name])]:
                assert (amount(world.storage), amount(world.sibling)) == before[other], argv
            tried += 1
    everything = run(dataset, "git", "annex", "find", "--in=here").splitlines()
    assert any(path.startswith("sub-02") for path in everything), "it was moved away"
    return tried


@pytest.mark.slow
@pytest.mark.parametrize(
    "kinds", [("s3", "webdav", "https"), ("encrypted", "depends", "files", "rsync-here")]
)
def test_nothing_is_brought_elsewhere(
    registered: Path, elsewhere: Callable[..., dict[str, World]], kinds: tuple[str, ...]
) -> None:
    worlds = elsewhere(*kinds)
    consent(registered, ("sub-01", "given"), ("sub-02", "refused"))
    for name in worlds:
        publish(registered, name)
    (registered / "README").write_text("a change to push\n")
    run(registered, "datalad", "save", "-m", "A change to push")
    policies = load_policies((registered / SIBLINGS_FILE).read_text())
    urls = {name: policies[name].address.url for name in worlds}  # type: ignore[union-attr]
    assert all(len(amount(world.storage)) >= 2 for world in worlds.values())
    assert attempted(registered, worlds, urls) == 5 + 17 * len(worlds)


@pytest.mark.slow
def test_nothing_is_brought_to_one_without_a_policy(
    registered: Path, elsewhere: Callable[..., dict[str, World]]
) -> None:
    """And as soon as it is opened, the same commands do bring it there."""
    worlds = elsewhere("s3", "webdav", "https", "crypt", declared=False)
    run(registered, "git", "annex", "info", "https")  # and so it is known
    for name in worlds:
        run(registered, "git", "annex", "wanted", name, "anything")
    assert set(lock_undeclared(Checkout(registered), ())) == {*worlds}
    urls = {name: remotes(registered)[name].url or "annex::" for name in worlds}
    assert attempted(registered, worlds, urls) == 5 + 17 * len(worlds)
    for name, world in worlds.items():
        before = amount(world.storage)
        assert reopen(Checkout(registered), name).unlocked
        run(registered, "git", "annex", "copy", "--to", name, "sub-02")
        assert amount(world.storage) != before, name


def test_the_same_commands_do_bring_it_to_what_was_not_moved(
    registered: Path, tmp_path: Path
) -> None:
    """Else the test above would prove nothing."""
    place = tmp_path / "mirror"
    git(registered, place, None)
    run(place, "git", "annex", "init", "mir")
    for line in ("git push mir main git-annex:synced/git-annex", "git annex copy --to mir"):
        before = amount(place)
        run(registered, *line.split())
        assert amount(place) != before
