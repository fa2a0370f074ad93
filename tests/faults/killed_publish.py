"""Publish and be killed at a chosen point. Run by ``test_kill_publish.py`` as a process.

``killed_publish.py DATASET SIBLING LOG POINT WHOM`` with POINT one of::

    none                  publish undisturbed
    before:PHASE          when the phase begins
    after:PHASE           when it has ended
    during:PHASE:TICK     at its TICK-th tick: a call of a Python function, which includes
                          every line read from git-annex
    sent                  when the first file has arrived; git-annex is at the next
    at:PHASE:SECONDS      at an instant after the phase began

and WHOM ``group`` (children too, as a power cut), ``python`` (children survive), or somebody
else, whom the publication has to survive: ``annex``, the git-annex processes below us,
``sshd:PID``, the sessions of an ssh server, or ``p2phttp:PID``, a server and all below it. From the
chosen point on the first ones that there are get it. LOG receives a line ``enter PHASE``, ``leave
PHASE TICKS SECONDS`` for each phase, and ``struck``. The exit code is 1 after an error of our own
kind.
"""

from __future__ import annotations

import contextlib
import inspect
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
from servers.process import descendants

from datalad_mrishare.errors import MriShareError
from datalad_mrishare.repo.worktree import Checkout
from datalad_mrishare.sharing.planning import Options
from datalad_mrishare.sharing.publishing import Publication

PHASES = "snapshot decide plan preflight take_back transfer check release push event".split()

dataset, sibling, log, point, whom = sys.argv[1:]
kind, _, where = point.partition(":")
out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)


def die() -> None:
    """SIGKILL, to everybody, to ourselves only, or to others."""
    if whom == "group":
        os.killpg(0, signal.SIGKILL)
    if whom == "python":
        os.kill(os.getpid(), signal.SIGKILL)
    threading.Thread(target=strike, daemon=True).start()


def strike() -> None:
    """Kill the first of them that there are."""
    while not (others := victims()):
        time.sleep(0.001)
    os.write(out, b"struck\n")
    for pid in others:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def victims() -> list[int]:
    """Whom ``annex``, ``sshd`` and ``p2phttp`` mean now."""
    served, _, pid = whom.partition(":")
    if pid:
        return [*([int(pid)] if served == "p2phttp" else []), *descendants(int(pid))]
    return [pid for pid in descendants(os.getpid()) if name_of(pid) == "git-annex"]


def name_of(pid: int) -> str:
    """What a process is called; nothing when it has ended."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


class Phase:
    """What is to happen around one method of ``Publication``."""

    def __init__(self, name: str):
        self.name, self.ticks = name, 0
        self.fatal = int(where.partition(":")[2]) if point.startswith(f"during:{name}:") else -1

    def __enter__(self) -> None:
        os.write(out, f"enter {self.name}\n".encode())
        if point.startswith(f"at:{self.name}:"):
            timer = threading.Timer(float(where.partition(":")[2]), die)
            timer.daemon = True
            timer.start()
        if point == f"before:{self.name}":
            die()
        self.began = time.monotonic()
        if kind != "at":  # it costs time
            sys.setprofile(self.tick)

    def tick(self, _frame: Any, event: str, _arg: Any) -> None:
        if event == "call":
            self.ticks += 1
            if self.ticks == self.fatal:
                die()

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)
        took = time.monotonic() - self.began
        os.write(out, f"leave {self.name} {self.ticks} {took:.4f}\n".encode())
        if point == f"after:{self.name}":
            die()


def watched(name: str) -> Callable[..., Any]:
    """The method ``name`` of ``Publication`` inside its phase."""
    method = getattr(Publication, name)

    def call(self: Publication, *args: Any) -> Any:
        with Phase(name):
            return method(self, *args)

    def steps(self: Publication, *args: Any) -> Any:
        with Phase(name):
            yield from method(self, *args)

    return steps if inspect.isgeneratorfunction(method) else call


def first_only(self: Publication, *args: Any) -> Any:
    """Send one file, and die."""
    sent = send(self, *args)
    yield next(sent)
    die()


send = Publication._sent
if kind == "sent":
    Publication._sent = first_only  # type: ignore[method-assign]
for phase in PHASES:
    setattr(Publication, phase, watched(phase))
publication = Publication(Checkout(Path(dataset)), sibling, Options(at=date(2026, 5, 4)))
try:
    list(publication.run())
except MriShareError as exc:
    print(exc, file=sys.stderr, flush=True)
    os._exit(1)
os._exit(0)  # a timer may still wait
