"""A server in a process of its own: started, waited for, and always ended again."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

HOST = "127.0.0.1"
#: seconds that a server has to answer, and to end
PATIENCE = 20.0


#: below those that the system gives to whoever asks for any, each worker in another place
_FIRST, _PORTS = 12000, 20000
_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_NEXT = itertools.count(os.getpid() + 2500 * _WORKER)


def free_port() -> int:
    """A port that nobody listens on, and that nobody is given who does not name it."""
    while True:
        port = _FIRST + next(_NEXT) % _PORTS
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((HOST, port))
            return port


def answers(port: int, greeting: bytes = b"") -> bool:
    """Whether a connection is taken and begins with ``greeting``."""
    try:
        with socket.create_connection((HOST, port), timeout=1) as link:
            return link.recv(len(greeting)) == greeting if greeting else True
    except OSError:
        return False


def wait_until(condition: Callable[[], bool], seconds: float = PATIENCE) -> bool:
    """Poll until ``condition`` holds; False when it never did."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def descendants(pid: int) -> list[int]:
    """Every process below ``pid``, children before grandchildren."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            # the name, in parentheses, may hold anything
            parent = int(stat.read_text(errors="replace").rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(stat.parent.name))
    found = [pid]
    for one in found:
        found += children.get(one, [])
    return found[1:]


class Server:
    """A program that serves until it is told to stop.

    Parameters
    ----------
    log : Path
        Where its output goes; shown when it does not start.
    ready : callable
        Whether it answers.
    """

    def __init__(self, log: Path, ready: Callable[[], bool]) -> None:
        self.log = log
        self._ready = ready
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, argv: Sequence[str], **kwargs: Mapping[str, str] | Path) -> None:
        """Start it and return when it answers; fail the test when it does not."""
        assert self._process is None, "it runs already"
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                **kwargs,  # type: ignore[call-overload]
            )
        process = self._process
        answers = wait_until(lambda: process.poll() is not None or self._ready())
        if answers and process.poll() is None:
            return
        self.end(signal.SIGKILL)
        said = self.log.read_text(errors="replace")
        pytest.fail(f"{argv[0]} does not answer. {self.log} says:\n{said}", pytrace=False)

    def end(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End it and everything below it; nothing is left when this returns."""
        if self._process is None:
            return
        process, self._process = self._process, None
        family = [process.pid, *descendants(process.pid)]
        for pid in family:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, how)
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if not wait_until(lambda: not any(map(_alive, family[1:])), 5):
            for pid in filter(_alive, family[1:]):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    @property
    def pid(self) -> int:
        """Its process."""
        assert self._process is not None, "it does not run"
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it was started and has not been ended."""
        return self._process is not None and self._process.poll() is None


def _alive(pid: int) -> bool:
    """Whether a process does anything still; one that only waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2][1] != "Z"
    except OSError:
        return False
