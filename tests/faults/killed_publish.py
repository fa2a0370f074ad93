"""Publish and be killed at a chosen point. Run by ``test_kill_publish.py`` as a process.

``killed_publish.py DATASET SIBLING LOG POINT WHOM`` with POINT one of::

    none                  publish undisturbed
    before:PHASE          when the phase begins
    after:PHASE           when it has ended
    during:PHASE:TICK     at its TICK-th tick: a call of a Python function, which includes
                          every line read from git-annex
    sent                  when the first file has arrived; git-annex is at the next
    at:SECONDS            at an instant after the first phase began

and WHOM ``group`` (children too, as a power cut) or ``python`` (children survive). LOG
receives a line ``enter PHASE``, ``leave PHASE TICKS SECONDS`` for each phase.
"""

from __future__ import annotations

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

from datalad_mrishare.repo.worktree import Checkout
from datalad_mrishare.sharing.publishing import Options, Publication

PHASES = "snapshot decide plan preflight take_back transfer check release push event".split()

dataset, sibling, log, point, whom = sys.argv[1:]
kind, _, where = point.partition(":")
out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)


def die() -> None:
    """SIGKILL, to everybody or to ourselves only."""
    if whom == "group":
        os.killpg(0, signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


class Phase:
    """What is to happen around one method of ``Publication``."""

    def __init__(self, name: str):
        self.name, self.ticks = name, 0
        self.fatal = int(where.partition(":")[2]) if point.startswith(f"during:{name}:") else -1

    def __enter__(self) -> None:
        os.write(out, f"enter {self.name}\n".encode())
        if kind == "at" and self.name == "snapshot":
            threading.Timer(float(where), die).start()
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
list(publication.run())
os._exit(0)  # a timer may still wait
