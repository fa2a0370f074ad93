"""How many bytes a sibling can still take.

Only what can be measured is told: the file system of a path sibling.
"""

from __future__ import annotations

import os
from pathlib import Path


def free_bytes(path: Path) -> int | None:
    """Bytes an ordinary user may still write to the file system that holds ``path``.

    The nearest existing parent is asked; None when there is none or it does not answer.
    """
    probe = path
    while not probe.exists() and probe != probe.parent:
        probe = probe.parent
    try:
        found = os.statvfs(probe)
    except OSError:
        return None
    return found.f_bavail * found.f_frsize
