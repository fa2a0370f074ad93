"""Hosts that refuse, or are slow: each sibling in one sentence, and the others are served."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from builders import run
from mirrors import add_path, bare, consent, keys_at, keys_of
from servers.ssh import Sshd

from datalad_mrishare.repo.worktree import Checkout
from datalad_mrishare.sharing.siblings import declare

FAR = ("git", "ria", "rsync")


def published(dataset: Path, code: int, *to: str) -> dict[str, dict[str, Any]]:
    """What is said of each sibling, by default of all: its last record."""
    names = [word for name in to for word in ("--to", name)] or ["--all"]
    argv = ("datalad", "-f", "json", "mrishare-publish", *names)
    out = run(dataset, *argv, ok=(code,))
    found = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
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
