"""Hosts that refuse, or are slow: each sibling in one sentence, and the others are served."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from builders import run, snapshot
from faults.worlds import World, add, side_by_side
from mirrors import add_path, bare, consent, keys_at, keys_of, told
from servers.gpg import Keys
from servers.p2phttp import READER, P2pHttp
from servers.ssh import Sshd

from datalad_mrishare.repo import store, webhalf
from datalad_mrishare.repo.worktree import Checkout
from datalad_mrishare.sharing.siblings import declare

FAR = ("git", "ria", "rsync")


def published(dataset: Path, code: int, *to: str) -> dict[str, dict[str, Any]]:
    """What is said of each sibling, by default of all: its last error, or its last record."""
    names = [word for name in to for word in ("--to", name)] or ["--all"]
    argv = ("datalad", "-f", "json", "mrishare-publish", *names)
    out = run(dataset, *argv, ok=(code,))
    found = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    found.sort(key=lambda r: r["status"] == "error")
    return {r["to"]: r for r in found if "to" in r}


@pytest.fixture
def siblings(registered: Path, sshd: Sshd) -> Path:
    """A dataset with three siblings behind ssh, and after them one on a path."""
    bare(sshd.root / "git")
    run(registered, "git", "remote", "add", "git", sshd.url("git"))
    create = ("datalad", "create-sibling-ria", "-s", "ria", "--new-store-ok")
    run(registered, *create, f"ria+{sshd.url('ria')}")
    (sshd.root / "rsync").mkdir()
    words = ("type=rsync", f"rsyncurl={sshd.scp('rsync')}", "encryption=none")
    run(registered, "git", "annex", "initremote", "rsync", *words)
    for name in FAR:
        declare(Checkout(registered), name, "institution")
    add_path(registered, "near", "institution")
    consent(registered, ("sub-01", "given"))
    return registered


def etc(sshd: Sshd, name: str, change: Callable[[str], str]) -> None:
    file = sshd.bin.parent / "etc" / name
    file.write_text(change(file.read_text()))


def no_key(sshd: Sshd) -> None:
    etc(sshd, "authorized_keys", lambda text: f"# {text}")


def new_host_key(sshd: Sshd) -> None:
    sshd.restart(new_host_key=True)


def restricted(sshd: Sshd) -> None:
    etc(sshd, "authorized_keys", lambda text: f'restrict,command="echo no shell >&2; false" {text}')


def sftp_only(sshd: Sshd) -> None:
    etc(sshd, "sshd_config", lambda text: f"{text}ForceCommand internal-sftp\n")
    sshd.restart()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (no_key, "without a password"),
        (new_host_key, "another key than it had"),
        (restricted, "cannot be used over ssh: no shell"),
        (sftp_only, "cannot be used over ssh: exit code 1. See what `ssh mrishare-test true` says"),
    ],
)
def test_refused_by_the_host(
    siblings: Path, sshd: Sshd, fault: Callable[[Sshd], None], says: str
) -> None:
    fault(sshd)
    found = published(siblings, 1)
    for name in FAR:
        message = found[name]["message"]
        assert found[name]["status"] == "error" and says in message
        assert message.startswith(f"sibling '{name}' at ssh://") and "\n" not in message
    assert found["near"]["status"] == "ok"
    assert keys_at(siblings.parent / "near.git") == keys_of(siblings, "sub-01")


@pytest.mark.slow
def test_refused_by_a_hook_there(siblings: Path, sshd: Sshd) -> None:
    hook = sshd.root / "git/hooks/pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho not on Sundays >&2\nexit 1\n")
    hook.chmod(0o755)
    found = published(siblings, 1)
    message = found["git"]["message"]
    assert message.startswith("sibling 'git' at ssh://") and "pre-receive hook declined" in message
    assert "\n" not in message
    assert [found[name]["status"] for name in ("ria", "rsync", "near")] == ["ok"] * 3
    hook.unlink()
    found = published(siblings, 0)
    assert [found[n]["status"] for n in (*FAR, "near")] == ["ok", *["notneeded"] * 3]


def errors(dataset: Path, *to: str) -> dict[str, str]:
    """What went wrong at each sibling, one sentence for each; all others were served."""
    found = told(dataset, list(to), code=1)
    said = {r["to"]: str(r["message"]) for r in found if r["status"] == "error"}
    assert not any("\n" in text or len(text) > 400 for text in said.values()), said
    assert {r["to"] for r in found if r.get("outcome") == "summary"} >= {*to} - {*said}
    return said


@pytest.mark.slow
def test_refused_where_only_git_can_look(
    registered: Path, p2phttps: P2pHttp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another password, one that may only read, content that nobody answers for."""
    (kind,) = side_by_side(registered, ["https"], [p2phttps]).values()
    near = add_path(registered, "near", "institution")
    consent(registered, ("sub-01", "given"))
    who = "sibling 'https'"
    p2phttps.log_in(password="another one")
    said = errors(registered, "https", "near")["https"]
    assert who in said and "not given the password that it asks for" in said
    assert keys_at(near) == keys_of(registered, "sub-01") and keys_at(kind.sibling) == set()
    p2phttps.log_in(READER)
    assert who in errors(registered, "https", "near")["https"]
    p2phttps.log_in()
    with monkeypatch.context() as brief:
        brief.setattr(store, "SILENCE", 3.0)
        brief.setattr(webhalf, "PATIENCE", 3.0)
        os.kill(p2phttps.pid, signal.SIGSTOP)
        try:
            said = errors(registered, "https", "near")["https"]
        finally:
            os.kill(p2phttps.pid, signal.SIGCONT)
    assert who in said and "3 seconds" in said
    assert keys_at(kind.sibling) == set()
    told(registered, ["https", "near"])
    assert keys_at(kind.sibling) == keys_of(registered, "sub-01")


@pytest.mark.slow
def test_a_file_system_that_is_read_only(
    registered: Path, smalldisk: Callable[[int], Path], gpg: Keys
) -> None:
    disk, worlds = smalldisk(20), dict[str, World]()
    kinds = ("path", "ria", "directory", "rsync-here", "files", "depends", "encrypted")
    for kind in (*kinds, "own path", "own crypt"):
        name = kind.replace(" ", "-")
        (disk / name).mkdir()
        worlds[name] = World(registered.parent, kind, disk / name / "mir")
        add(worlds[name], gpg if kind in ("encrypted", "own crypt") else None, name)
    add_path(registered, "near", "institution")
    consent(registered, ("sub-01", "given"))
    run(disk, "mount", "-o", "remount,ro", str(disk))
    before = snapshot(disk, times=False)
    said = errors(registered, *worlds, "near")
    assert said.keys() == worlds.keys()
    for name, text in said.items():
        assert f"sibling '{name}'" in text and "cannot be written" in text, text
    assert snapshot(disk, times=False) == before
    assert keys_at(registered.parent / "near.git") == keys_of(registered, "sub-01")
    run(disk, "mount", "-o", "remount,rw", str(disk))
    told(registered, [*worlds, "near"])
    assert told(registered, [*worlds, "near"])[-1]["status"] == "notneeded"
