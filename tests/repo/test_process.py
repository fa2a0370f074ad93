"""Running programs: nothing is lost of what they say, and nobody waits for ever."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pytest

from datalad_mrishare.errors import RepoError
from datalad_mrishare.repo import pipes
from datalad_mrishare.repo.process import complete, run, stream

UP = (sys.executable, "-c", "import sys; sys.stdout.write(sys.stdin.read().upper())")
SLEEP = (sys.executable, "-c", "import time; time.sleep(600)")


def test_more_than_any_pipe_holds_goes_in_and_comes_out(tmp_path: Path) -> None:
    text = b"a line\n" * 1_000_000
    assert run(UP, tmp_path, stdin=text) == text.upper()
    assert run(UP, tmp_path) == b""


def test_who_does_not_listen_is_no_error(tmp_path: Path) -> None:
    done = complete(("sh", "-c", "echo said; exit 3"), tmp_path, stdin=b"x" * 1_000_000)
    assert (done.returncode, done.stdout) == (3, b"said\n")


def test_who_takes_too_long_is_killed(tmp_path: Path) -> None:
    begun = time.monotonic()
    with pytest.raises(RepoError, match="no answer within 1 seconds"):
        run(SLEEP, tmp_path, timeout=1)
    assert time.monotonic() - begun < 60


def test_output_that_cannot_be_held_is_no_empty_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An empty listing would mean an empty dataset."""

    class Full:
        def __init__(self, pipe: IO[bytes]):
            self._pipe = pipe

        def __enter__(self) -> Full:
            return self

        def __exit__(self, *_: Any) -> None:
            self._pipe.close()

        def read(self) -> bytes:
            raise MemoryError

    talk = pipes.talk

    def short(process: Any, stdin: bytes, timeout: float | None) -> tuple[bytes, bytes]:
        process.stdout = Full(process.stdout)
        return talk(process, stdin, timeout)

    monkeypatch.setattr("datalad_mrishare.repo.process.talk", short)
    for text in (b"few", b"x" * 1_000_000):
        with pytest.raises(MemoryError):
            run(UP, tmp_path, stdin=text)


def test_interrupted_it_may_tidy_up(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    tidy = f"trap 'rm {lock}; exit' INT; touch {lock}; while :; do sleep 0.01; done"
    program = "import sys; from datalad_mrishare.repo.process import run; "
    program += "run(('sh', '-c', sys.argv[1]), '.')"
    paths = os.pathsep.join(filter(None, sys.path))
    with subprocess.Popen(
        [sys.executable, "-c", program, tidy],
        env={**os.environ, "PYTHONPATH": paths},
        start_new_session=True,
        stderr=subprocess.DEVNULL,
        # who runs the tests in the background ignores it, and so would all that they start
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        try:
            deadline = time.monotonic() + 60
            while not lock.exists() and time.monotonic() < deadline:
                time.sleep(0.02)
            assert lock.exists()
            os.killpg(process.pid, signal.SIGINT)
            process.wait(60)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    assert not lock.exists()


def test_what_is_said_in_small_pieces_is_heard_in_large_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As ``git cat-file`` says blobs; each time we are woken costs both sides."""
    monkeypatch.setattr(pipes, "_NAP", 0.1)
    said = "import os\nfor n in range(20000): os.write(1, b'%d\\n' % n)"
    heard = list(stream((sys.executable, "-c", said), tmp_path, sep=None))
    assert b"".join(heard) == b"".join(b"%d\n" % n for n in range(20000))
    assert len(heard) < 1000


def test_what_goes_wrong_while_feeding_is_raised(tmp_path: Path) -> None:
    def fed() -> Iterator[bytes]:
        yield b"one\n"
        raise ValueError("two")

    for _ in range(30):  # also when it ends at once
        with pytest.raises(ValueError, match="two"):
            list(stream(UP, tmp_path, feed=fed()))


def test_silence_counts_from_when_we_are_not_at_work(tmp_path: Path) -> None:
    at_work = threading.Event()

    def fed() -> Iterator[bytes]:
        yield b"one\n"
        at_work.set()
        time.sleep(3.5)
        at_work.clear()
        yield b"two\n"

    lines = stream(UP, tmp_path, feed=fed(), silence=3, busy=lambda _: at_work.is_set())
    assert list(lines) == [b"ONE", b"TWO"]
    with pytest.raises(RepoError, match="said nothing"):
        list(stream(SLEEP, tmp_path, silence=0.5, busy=lambda _: False))
