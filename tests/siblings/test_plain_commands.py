"""After a sibling was moved behind the one door, plain commands bring nothing to it: every kind.

The long list of commands on siblings of this machine is in ``tests/repo/test_gates.py``; here
are those that people type, on each kind that is served, with all that lies there counted.
"""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from builders import run
from mirrors import bare, consent, keys_of, publish
from servers.ssh import Sshd

from datalad_mrishare.repo.worktree import Checkout
from datalad_mrishare.sharing.siblings import declare

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


def amount(place: Path) -> dict[str, int]:
    """Every file there with its size, but for what git-annex locks and looks up with."""
    passing = (".lck", "mergedrefs", "sentinal", "annex/index", "journal", "othertmp")
    files = (p for p in place.rglob("*") if p.is_file())
    found = {str(p.relative_to(place)): p.stat().st_size for p in files}
    return {path: size for path, size in found.items() if not any(w in path for w in passing)}


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
