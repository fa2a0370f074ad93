"""Hosts that go silent or end every session while they are published to: it ends, and says why."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from builders import run
from mirrors import bare, consent, keys_of, publish
from servers.process import descendants
from servers.ssh import Sshd

from datalad_mrishare.errors import MriShareError
from datalad_mrishare.repo import process, ssh
from datalad_mrishare.repo.process import environment
from datalad_mrishare.repo.worktree import Checkout
from datalad_mrishare.sharing.publishing import Publication
from datalad_mrishare.sharing.siblings import declare

BRIEF = (
    *("-o", "BatchMode=yes", "-o", "ConnectTimeout=1"),
    *("-o", "ServerAliveInterval=1", "-o", "ServerAliveCountMax=2"),
)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seconds for what takes a minute otherwise."""
    for module in (process, ssh):
        monkeypatch.setattr(module, "SSH_OPTIONS", BRIEF)


def add(dataset: Path, sshd: Sshd, kind: str) -> Path:
    """A declared sibling; where its content lies."""
    place = sshd.root / "mir"
    if kind == "ria":
        create = ("datalad", "create-sibling-ria", "-s", "mir", "--new-store-ok")
        run(dataset, *create, f"ria+{sshd.url('mir')}")
    elif kind == "rsync":
        place.mkdir()
        words = ("type=rsync", f"rsyncurl={sshd.scp('mir')}", "encryption=none")
        run(dataset, "git", "annex", "initremote", "mir", *words)
    else:
        bare(place)
        run(dataset, "git", "remote", "add", "mir", sshd.url("mir"))
    declare(Checkout(dataset), "mir", "institution")
    return place


def held(place: Path) -> set[str]:
    """Keys that lie there."""
    # unlike glob it heeds no directory that goes away meanwhile
    found = (name for _, _, names in os.walk(place) for name in names)
    return {n for n in found if n.startswith("SHA256E-") and not n.endswith((".log", ".lck"))}


def sessions(sshd: Sshd) -> list[int]:
    return descendants(sshd.pid)


def silence(sshd: Sshd) -> None:
    """Nothing there answers any more; connections stay open."""
    os.kill(sshd.pid, signal.SIGSTOP)
    stopped: set[int] = set()
    while new := {*sessions(sshd)} - stopped:  # one may just have begun
        for pid in new:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
        stopped |= new


def hang_up(sshd: Sshd) -> None:
    """Every session ends; new ones are welcome."""
    for pid in sessions(sshd):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def reading(sshd: Sshd) -> bool:
    """Whether DataLad's part of a RIA store has a shell there, from which it reads."""
    for cmdline in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = cmdline.read_bytes().decode(errors="replace").split("\0")
            ours = f"{sshd.bin.parent}/" in " ".join(words) and words[0].endswith("/ssh")
            if ours and "datalad/sockets" in " ".join(words) and "-fN" not in words:
                return True
    return False


def during(
    monkeypatch: pytest.MonkeyPatch,
    phase: str,
    when: Callable[[], object],
    what: Callable[[], None],
) -> threading.Event:
    """Do ``what`` as soon as ``when`` holds in the phase; tells whether it was done."""
    done, method = threading.Event(), getattr(Publication, phase)

    def wait() -> None:
        end = time.monotonic() + 60
        while not when() and time.monotonic() < end:
            time.sleep(0.001)
        what()
        done.set()

    def call(self: Publication, *args: object) -> object:
        if not done.is_set():
            threading.Thread(target=wait, daemon=True).start()
        return method(self, *args)

    monkeypatch.setattr(Publication, phase, call)
    return done


@pytest.mark.slow
@pytest.mark.timeout(200)
@pytest.mark.parametrize("phase", ["transfer", "push"])
@pytest.mark.parametrize("kind", ["git", "ria", "rsync"])
def test_a_host_that_goes_silent(
    registered: Path,
    sshd: Sshd,
    impatient: None,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    phase: str,
) -> None:
    place = add(registered, sshd, kind)
    consent(registered, ("sub-01", "given"))
    ready = reading if (kind, phase) == ("ria", "transfer") else sessions
    done = during(monkeypatch, phase, lambda: ready(sshd), lambda: silence(sshd))
    began = time.monotonic()
    with pytest.raises(MriShareError, match=r"sibling 'mir' at ssh://.*: the host ") as refused:
        publish(registered, "mir", pause=lambda seconds: None)
    print(f"{kind} {phase}: {time.monotonic() - began:.0f} s")
    assert done.is_set() and len(str(refused.value).splitlines()) == 1
    sshd.kill()
    monkeypatch.undo()
    monkeypatch.setenv("PATH", f"{sshd.bin}{os.pathsep}{os.environ['PATH']}")
    sshd.start()
    publish(registered, "mir")
    assert held(place) == keys_of(registered, "sub-01")
    assert publish(registered, "mir")[-1].changed is False


@pytest.mark.slow
@pytest.mark.timeout(200)
@pytest.mark.parametrize("kind", ["git", "ria", "rsync"])
def test_a_host_that_hangs_up(
    registered: Path, sshd: Sshd, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """DataLad's part of a RIA store reads on for ever when its session ends."""
    place = add(registered, sshd, kind)
    consent(registered, *((f"sub-0{n}", "given") for n in range(1, 5)))
    done = during(monkeypatch, "transfer", lambda: held(place), lambda: hang_up(sshd))
    with contextlib.suppress(MriShareError):
        publish(registered, "mir")
    assert done.is_set()
    publish(registered, "mir")
    assert held(place) == keys_of(registered, "")
    assert publish(registered, "mir")[-1].changed is False


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_host_that_answers_slowly(registered: Path, sshd: Sshd, impatient: None) -> None:
    """It takes longer than a silent one is waited for, and is served all the same."""
    place = add(registered, sshd, "git")
    consent(registered, ("sub-01", "given"))
    sshd.be_slow(3)
    publish(registered, "mir")
    assert held(place) == keys_of(registered, "sub-01")
    assert publish(registered, "mir")[-1].changed is False


# -- how


def test_every_ssh_is_told_to_be_brief(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also the one that a core.sshCommand calls, with its own words kept."""
    real = tmp_path / "ssh"
    real.write_text('#!/bin/sh\necho "$@"\n')
    real.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    said = run(tmp_path, "sh", "-c", 'ssh -i "my key" host', env=environment())
    assert said.split() == [*process.SSH_OPTIONS, *"-i my key host".split()]
    run(tmp_path, "git", "init", "--quiet")
    run(tmp_path, "git", "config", "core.sshCommand", f"ssh -F {tmp_path}/config")
    real.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/said\nexit 1\n')
    run(tmp_path, "git", "ls-remote", "ssh://host/x", ok=(128,), env=environment())
    words = (tmp_path / "said").read_text().split()
    assert words[: len(process.SSH_OPTIONS)] == list(process.SSH_OPTIONS)
    assert f"-F {tmp_path}/config" in " ".join(words) and "host" in words


@pytest.mark.parametrize(("code", "survives"), [(255, False), (1, True), (0, True)])
def test_who_reads_on_for_ever_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, survives: bool
) -> None:
    (tmp_path / "ssh").write_text(f"#!/bin/sh\nexit {code}\n")
    reader = tmp_path / "git-annex-remote-ora"
    reader.write_text('#!/bin/sh\nssh -o ControlPath=x host\necho "$?"\nssh -fN host\nexit 3\n')
    for program in (tmp_path / "ssh", reader):
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    said = run(tmp_path, str(reader), ok=(3,) if survives else (-9,), env=environment())
    assert said == (f"{code}\n" if survives else "")


def test_without_any_ssh_nothing_stands_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for program in ("git", "git-annex"):
        (tmp_path / program).symlink_to(str(shutil.which(program)))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "MRISHARE_SSH" not in environment() and environment()["PATH"] == str(tmp_path)
