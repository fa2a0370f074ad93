"""Sealing killed while the command runs again: nothing is recorded, and the next one seals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from builders import run
from mirrors import TODAY, objects
from runs import raw, recorded
from servers.process import wait_until

from datalad_mrishare.repo.worktree import Checkout
from datalad_mrishare.sharing.sealing import seal
from datalad_mrishare.sharing.snapshot import take_snapshot

OUT = "derivatives/copy/sub-01_bold.nii.gz"
MAIN = "from datalad.cli.main import main; main()"


@pytest.mark.slow
@pytest.mark.parametrize("whom", ["group", "python"])
def test_while_the_command_runs(registered: Path, tmp_path: Path, whom: str) -> None:
    begun, go = tmp_path / "begun", tmp_path / "go"
    waiting = f"touch {begun}; while [ ! -e {go} ]; do sleep 0.1; done"
    cmd = f"{waiting}; mkdir -p {os.path.dirname(OUT)}; cp -L {raw('sub-01')} {OUT}"
    content = (registered / raw("sub-01")).read_bytes()
    commit = recorded(registered, {OUT: content}, [raw("sub-01")], cmd=cmd)
    before = objects(registered)
    argv = [sys.executable, "-c", MAIN, "mrishare-provenance", "--seal", commit]
    with subprocess.Popen(
        argv,
        cwd=registered,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as sealing:
        deadline = time.monotonic() + 60
        while not begun.exists():
            assert sealing.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
        if whom == "group":
            os.killpg(sealing.pid, signal.SIGKILL)
        else:
            sealing.kill()
        sealing.wait()
    assert take_snapshot(Checkout(registered)).statements == ()
    assert run(registered, "git", "status", "--porcelain") == ""
    begun.unlink()
    with ThreadPoolExecutor() as pool:
        sealed = pool.submit(seal, Checkout(registered), commit, today=TODAY)
        try:
            if whom == "group":
                assert wait_until(lambda: begun.exists() or sealed.done(), 120) and begun.exists()
            else:  # what is left of it runs on in its clone, and the next one waits for its end
                time.sleep(5)
                assert not begun.exists()
        finally:
            go.touch()
        assert sealed.result().outcome == "sealed" and begun.exists()
    assert not (registered / ".git/mrishare/seal").exists()
    assert objects(registered) == before
    run(registered, "git", "annex", "fsck", "--quiet")
    assert len(take_snapshot(Checkout(registered)).statements) == 1
