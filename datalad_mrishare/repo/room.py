"""How many bytes a sibling can still take.

Only what can be measured is told: the file system of a directory, here or behind ssh.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from .remotes import Place
from .ssh import SshPlace, free_there

#: seconds that an answer from another machine is good for: it is asked for after each failure
_FRESH = 10.0
_answers: dict[Place, tuple[float, int | None]] = {}


def free_bytes(place: Place) -> int | None:
    """Bytes an ordinary user may still write to the file system that holds ``place``.

    The nearest existing parent is asked; None when there is none or it does not answer.
    """
    if isinstance(place, SshPlace):
        asked, free = _answers.get(place, (float("-inf"), None))
        if time.monotonic() - asked > _FRESH:
            free = free_there(place)
            _answers[place] = time.monotonic(), free
        return free
    return _free_here(place)


def _free_here(path: Path) -> int | None:
    probe = path
    while not probe.exists() and probe != probe.parent:
        probe = probe.parent
    try:
        found = os.statvfs(probe)
    except OSError:
        return None
    return found.f_bavail * found.f_frsize
