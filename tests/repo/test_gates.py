"""No plain command puts anything on a sibling that is shared, or on one without a policy.

The commands run one after the other on one dataset for each kind of sibling, and after
each of them the sibling's directory is what it was: refs, objects, configuration, content.
"""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

import pytest
from builders import run, snapshot

from datalad_mrishare.repo.gates import close_url, lock_undeclared, unlock_remote
from datalad_mrishare.repo.remotes import remotes
from datalad_mrishare.repo.worktree import Checkout
from datalad_mrishare.sharing.siblings import declare, reopen

T1W = "sub-01/anat/sub-01_T1w.nii.gz"

CORE = """
git annex copy --to mir
git annex copy --all --to mir
git annex move --to mir sub-01
git annex mirror --to mir
git annex sync --content mir
git annex assist
git annex satisfy
git annex push mir
git push mir
git push --all mir
git push --mirror mir
git push --no-verify mir main
datalad push --to mir --data anything
datalad push --to mir sub-01
"""

MORE = """
git annex copy --to mir --force --fast
git annex copy --auto --to mir
git annex move --all --to mir
git annex mirror --all --to mir
git annex sync mir
git annex sync --content
git annex sync --content --all mir
git annex assist mir
git annex satisfy mir
git annex push
git annex push --content --all
git annex export HEAD --to mir
git annex transferkey KEY --to mir
git annex unused --from mir
git annex drop --from mir
git push
git push --all
git push --mirror
git push --tags --force mir
git push --no-verify --mirror mir
git push mir HEAD:refs/heads/other git-annex
git push -c core.hooksPath=/dev/null mir main
datalad push
datalad push --to mir
datalad push --to mir --data auto
datalad push --to mir --force all --data anything
datalad push --to mir --since=^
"""


def plain_bare(dataset: Path, place: Path) -> None:
    run(dataset, "git", "init", "--bare", "--quiet", str(place))
    run(dataset, "git", "remote", "add", "mir", str(place))


def datalad_sibling(dataset: Path, place: Path) -> None:
    run(dataset, "datalad", "create-sibling", "-s", "mir", str(place))


def ria(dataset: Path, place: Path) -> None:
    store = f"ria+file://{place}"
    run(dataset, "datalad", "create-sibling-ria", "-s", "mir", "--new-store-ok", store)


def directory(dataset: Path, place: Path) -> None:
    place.mkdir()
    settings = ("type=directory", f"directory={place}", "encryption=none")
    run(dataset, "git", "annex", "initremote", "mir", *settings)


def exporttree(dataset: Path, place: Path) -> None:
    place.mkdir()
    settings = ("type=directory", f"directory={place}", "encryption=none", "exporttree=yes")
    run(dataset, "git", "annex", "initremote", "mir", *settings)


def bare_annex(dataset: Path, place: Path) -> None:
    plain_bare(dataset, place)
    run(place, "git", "annex", "init", "mirror")
    run(dataset, "git", "annex", "sync", "--no-content", "mir")


SHARED = [plain_bare, datalad_sibling, ria]
UNDECLARED = [bare_annex, datalad_sibling, ria, directory, exporttree]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Where the sibling is."""
    return tmp_path / "mirror"


def contents(place: Path) -> dict[str, tuple[object, ...]]:
    """All that is at a sibling, except git-annex's empty lock files and caches."""
    found = snapshot(place, times=False)
    passing = ("othertmp", ".lck", "mergedrefs", "sentinal", "/annex/index", "/annex/journal")
    return {path: what for path, what in found.items() if not any(p in path for p in passing)}


def commands(text: str, dataset: Path, kind: object) -> list[list[str]]:
    key = run(dataset, "git", "annex", "lookupkey", T1W).strip()
    lines = [line for line in text.splitlines() if line]
    if kind is ria:
        lines += [line.replace("mir", "mir-storage") for line in lines if "annex" in line]
    return [shlex.split(line.replace("KEY", key)) for line in lines]


def try_all(dataset: Path, place: Path, text: str, kind: object) -> None:
    # DataLad has git-annex wait 1, 2 and 4 seconds to send again what a lock refuses
    run(dataset, "git", "config", "datalad.annex.retry", "0")
    (dataset / "new.txt").write_text("something to sync\n")
    before = contents(place)
    for argv in commands(text, dataset, kind):
        subprocess.run(argv, cwd=dataset, capture_output=True, timeout=120, check=False)
        assert contents(place) == before, argv
    assert run(dataset, "git", "annex", "find", "--in=here", T1W).strip() == T1W


def want_copies(dataset: Path, count: int) -> None:
    run(dataset, "git", "annex", "numcopies", str(count))
    (dataset / "README").write_text("a change to push\n")
    run(dataset, "datalad", "save", "-m", "A change to push")


def open_for_all(dataset: Path) -> None:
    """Preferred content that would have plain commands send everything."""
    for name, remote in remotes(dataset).items():
        if remote.uuid and remote.settings.get("annex-ignore") != "true":
            run(dataset, "git", "annex", "wanted", name, "anything")


@pytest.mark.parametrize("kind", [plain_bare, pytest.param(ria, marks=pytest.mark.slow)])
def test_nothing_reaches_a_shared_sibling(registered: Path, place: Path, kind) -> None:  # type: ignore[no-untyped-def]
    kind(registered, place)
    declare(Checkout(registered), "mir", "institution")
    want_copies(registered, 2)
    try_all(registered, place, CORE, kind)


@pytest.mark.slow
@pytest.mark.parametrize("copies", [1, 2])
@pytest.mark.parametrize("kind", SHARED)
def test_nothing_reaches_a_shared_sibling_by_any_command(  # type: ignore[no-untyped-def]
    registered: Path, place: Path, kind, copies: int
) -> None:
    kind(registered, place)
    declare(Checkout(registered), "mir", "institution")
    want_copies(registered, copies)
    try_all(registered, place, CORE + MORE, kind)


@pytest.mark.parametrize("kind", [bare_annex, pytest.param(directory, marks=pytest.mark.slow)])
def test_nothing_reaches_a_remote_without_policy(registered: Path, place: Path, kind) -> None:  # type: ignore[no-untyped-def]
    kind(registered, place)
    open_for_all(registered)
    assert lock_undeclared(Checkout(registered), ()) == ["mir"]
    want_copies(registered, 2)
    try_all(registered, place, CORE, kind)


@pytest.mark.slow
@pytest.mark.parametrize("copies", [1, 2])
@pytest.mark.parametrize("kind", UNDECLARED)
def test_nothing_reaches_a_remote_without_policy_by_any_command(  # type: ignore[no-untyped-def]
    registered: Path, place: Path, kind, copies: int
) -> None:
    kind(registered, place)
    open_for_all(registered)
    assert "mir" in lock_undeclared(Checkout(registered), ())
    want_copies(registered, copies)
    try_all(registered, place, CORE + MORE, kind)


@pytest.mark.parametrize(
    "command",
    [
        "git annex copy --to mir sub-01",
        "git push --no-verify mir main",
        pytest.param("datalad push --to mir --data anything", marks=pytest.mark.slow),
        pytest.param("git annex assist", marks=pytest.mark.slow),
        pytest.param("git annex push mir", marks=pytest.mark.slow),
    ],
)
def test_the_same_commands_reach_what_is_reopened(
    registered: Path, place: Path, command: str
) -> None:
    """Else all the tests above would prove nothing."""
    bare_annex(registered, place)
    open_for_all(registered)
    checkout = Checkout(registered)
    lock_undeclared(checkout, ())
    want_copies(registered, 2)
    assert reopen(checkout, "mir").unlocked
    before = contents(place)
    run(registered, *command.split())
    assert contents(place) != before


def test_what_was_shared_and_is_reopened_is_reached(registered: Path, place: Path) -> None:
    plain_bare(registered, place)
    declare(Checkout(registered), "mir", "institution")
    assert reopen(Checkout(registered), "mir").moved
    run(registered, "datalad", "push", "--to", "mir")
    key = run(registered, "git", "annex", "lookupkey", T1W).strip()
    assert list(place.rglob(key))


def test_a_locked_remote_is_still_read(registered: Path, place: Path) -> None:
    bare_annex(registered, place)
    run(registered, "git", "annex", "copy", "--to", "mir", T1W)
    lock_undeclared(Checkout(registered), ())
    run(registered, "git", "annex", "drop", "--force", T1W)
    run(registered, "git", "fetch", "mir")
    run(registered, "git", "annex", "get", T1W)
    run(registered, "git", "annex", "drop", "--force", T1W)
    run(registered, "datalad", "get", T1W)


# -- the lock and what was set before


def pushurls(dataset: Path) -> list[str]:
    out = run(dataset, "git", "config", "--get-all", "remote.mir.pushurl", ok=(0, 1))
    return out.splitlines()


def test_a_lock_gives_back_what_was_set_before(registered: Path, place: Path) -> None:
    plain_bare(registered, place)
    for url in ("ssh://host/one", "ssh://host/two"):
        run(registered, "git", "remote", "set-url", "--add", "--push", "mir", url)
    run(registered, "git", "config", "remote.mir.annex-readonly", "true")
    before = (registered / ".git/config").read_text()
    checkout = Checkout(registered)
    assert lock_undeclared(checkout, ()) == ["mir"]
    assert pushurls(registered) != ["ssh://host/one", "ssh://host/two"]
    assert lock_undeclared(checkout, ()) == []
    assert unlock_remote(checkout, "mir") and not unlock_remote(checkout, "mir")
    assert pushurls(registered) == ["ssh://host/one", "ssh://host/two"]
    settings = {k: v for k, v in remotes(registered)["mir"].settings.items() if "mrishare" in k}
    assert settings == {}
    after = (registered / ".git/config").read_text()
    assert remotes(registered)["mir"].settings["annex-readonly"] == "true"
    assert sorted(set(before.splitlines()) - set(after.splitlines())) == []


@pytest.mark.parametrize("variable", ["annex-readonly", "pushurl"])
def test_a_lock_that_lost_a_bolt_is_mended(registered: Path, place: Path, variable: str) -> None:
    plain_bare(registered, place)
    run(registered, "git", "remote", "set-url", "--push", "mir", "ssh://host/mine")
    checkout = Checkout(registered)
    lock_undeclared(checkout, ())
    run(registered, "git", "config", "--unset-all", f"remote.mir.{variable}")
    assert lock_undeclared(checkout, ()) == ["mir"]
    unlock_remote(checkout, "mir")
    assert pushurls(registered) == ["ssh://host/mine"]


def test_a_remote_in_an_included_file_is_locked(registered: Path, place: Path) -> None:
    run(registered, "git", "init", "--bare", "--quiet", str(place))
    (registered / ".git/more").write_text(f'[remote "mir"]\n\turl = {place}\n')
    run(registered, "git", "config", "include.path", "more")
    assert lock_undeclared(Checkout(registered), ()) == ["mir"]
    run(registered, "git", "push", "--no-verify", "mir", "main", ok=(1, 128))


# -- hooks


def script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def backup(registered: Path, tmp_path: Path) -> Path:
    """A remote of own storage, beside a locked one."""
    plain_bare(registered, tmp_path / "mirror")
    run(registered, "git", "init", "--bare", "--quiet", str(tmp_path / "backup"))
    run(registered, "git", "remote", "add", "backup", str(tmp_path / "backup"))
    return tmp_path / "backup"


@pytest.mark.parametrize("where", ["hooks", "local", "relative", "global", "home"])
def test_the_hook_hands_over_to_the_one_before(
    registered: Path, backup: Path, tmp_path: Path, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = {
        "hooks": registered / ".git/hooks",
        "local": tmp_path / "my hooks",
        "relative": registered / "code/hooks",
        "global": tmp_path / "my hooks",
        "home": tmp_path / "home/hooks",
    }[where]
    setting = {"relative": "code/hooks", "home": "~/hooks"}.get(where, str(mine))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    if where == "global":
        text = Path(os.environ["GIT_CONFIG_GLOBAL"]).read_text()
        (tmp_path / "gitconfig").write_text(f"{text}[core]\n\thooksPath = {setting}\n")
        monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    elif where != "hooks":
        run(registered, "git", "config", "core.hooksPath", setting)
    note = tmp_path / "note"
    (mine / "pre-push").unlink(missing_ok=True)
    script(mine / "pre-push", f'echo "$1|$2" > {note}; cat >> {note}; exit $(cat {tmp_path}/code)')
    script(mine / "pre-commit", f"echo committed >> {note}.commit")
    script(mine / "reference-transaction", f"echo moved >> {note}.refs")
    lock_undeclared(Checkout(registered), ["backup"])

    (tmp_path / "code").write_text("0\n")
    run(registered, "git", "push", "backup", "main")
    head = run(registered, "git", "rev-parse", "main").strip()
    name, refs = note.read_text().splitlines()
    assert name == f"backup|{backup}"
    assert refs == f"refs/heads/main {head} refs/heads/main {'0' * 40}"

    (tmp_path / "code").write_text("3\n")
    run(registered, "git", "push", "backup", "main:other", ok=(1,))
    run(registered, "git", "commit", "--quiet", "--allow-empty", "-m", "empty")
    assert Path(f"{note}.commit").exists() and Path(f"{note}.refs").exists()
    refused = subprocess.run(
        ["git", "push", "mir", "main"], cwd=registered, capture_output=True, text=True, check=False
    )
    assert refused.returncode and "mrishare-sibling mir --policy PRESET" in refused.stderr


def test_installing_the_hook_again_keeps_the_one_before(registered: Path, tmp_path: Path) -> None:
    run(registered, "git", "config", "core.hooksPath", str(tmp_path / "mine"))
    for url in ("/srv/a", "/srv/b"):
        close_url(Checkout(registered), url)
    earlier = run(registered, "git", "config", "mrishare.earlierhooks").strip()
    assert earlier == str(tmp_path / "mine")


def test_hooks_that_were_unset_are_set_again(registered: Path, place: Path) -> None:
    plain_bare(registered, place)
    checkout = Checkout(registered)
    lock_undeclared(checkout, ())
    run(registered, "git", "config", "--unset", "core.hooksPath")
    assert lock_undeclared(checkout, ()) == []
    assert run(registered, "git", "config", "core.hooksPath").strip() == f"{checkout.ours}/hooks"


def test_special_remotes_are_still_enabled(registered: Path, tmp_path: Path) -> None:
    """git-annex looks at .git/hooks/pre-push before it enables one."""
    plain_bare(registered, tmp_path / "mirror")
    lock_undeclared(Checkout(registered), ())
    (tmp_path / "more").mkdir()
    settings = ("type=directory", f"directory={tmp_path / 'more'}", "encryption=none")
    run(registered, "git", "annex", "initremote", "more", *settings)
    run(registered, "git", "annex", "enableremote", "more", f"directory={tmp_path / 'more'}")
    run(registered, "git", "annex", "copy", "--to", "more", T1W)


def pushed(dataset: Path, *words: str, code: bool) -> str:
    done = subprocess.run(
        ["git", "push", *words], cwd=dataset, capture_output=True, text=True, check=False
    )
    assert (done.returncode == 0) is code, done.stderr
    return done.stderr


def test_a_push_to_a_closed_url_is_refused(registered: Path, place: Path, tmp_path: Path) -> None:
    plain_bare(registered, place)
    declare(Checkout(registered), "mir", "institution")
    (tmp_path / "link").symlink_to(place)
    before = contents(place)
    for url in (str(place), f"{place}/", f"file://{place}", "../mirror", f"{tmp_path}/link"):
        said = pushed(registered, url, "main", code=False)
        assert "served by 'datalad mrishare-publish' only" in said
    run(registered, "git", "remote", "add", "again", str(place))
    assert "mrishare-publish" in pushed(registered, "again", "main", code=False)
    assert contents(place) == before
    reopen(Checkout(registered), "mir")
    pushed(registered, str(place), "main", code=True)


def test_a_push_to_the_url_of_a_locked_remote_is_refused(registered: Path, backup: Path) -> None:
    place = backup.parent / "mirror"
    lock_undeclared(Checkout(registered), ["backup"])
    assert "locked remote" in pushed(registered, str(place), "main", code=False)
    pushed(registered, str(backup), "main", code=True)
    # somebody's own storage stays within reach, also where a locked remote leads there, too
    run(registered, "git", "remote", "set-url", "mir", str(backup))
    pushed(registered, "backup", "main:more", code=True)
