"""How many bytes a sibling can still take.

Only what can be measured is told: the file system of a directory, here or behind ssh, and
the quota of a WebDAV server.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from urllib.parse import urlsplit

from .cloud import CloudPlace
from .quota import quota_left
from .remotes import Place
from .ssh import SshPlace, room_there

#: seconds that an answer from another machine is good for: it is asked for after each failure
_FRESH = 10.0
_answers: dict[Place, tuple[float, int | None, str]] = {}

FileSystem = tuple[str, object]
"""A machine, and a file system of it; the same for all places in it."""


def free_bytes(place: Place, *, fresh: bool = False) -> int | None:
    """Bytes an ordinary user may still write to what holds ``place``.

    The nearest existing parent is asked; None when there is none or it does not answer, and
    of a bucket always. With ``fresh`` a machine is asked again that answered a moment ago.
    """
    if isinstance(place, CloudPlace) and place.kind != "webdav":
        return None
    if isinstance(place, SshPlace | CloudPlace):
        return _asked(place, 0 if fresh else _FRESH)[0]
    try:
        found = os.statvfs(_nearest(place))
    except OSError:
        return None
    return found.f_bavail * found.f_frsize


def filesystem(place: Place) -> FileSystem | None:
    """The file system that holds ``place``, None when nobody knows.

    All collections of a WebDAV server count as one: so does a quota of an account.
    """
    if isinstance(place, CloudPlace):
        return (urlsplit(place.url).netloc, "quota") if place.kind == "webdav" else None
    if isinstance(place, SshPlace):
        device = _asked(place, _FRESH)[1]
        host = f"{place.host.rpartition('@')[2].lower()}:{place.port or 22}"
        return (host, device) if device else None
    try:
        return "", os.stat(_nearest(place)).st_dev
    except OSError:
        return None


def _asked(place: SshPlace | CloudPlace, age: float) -> tuple[int | None, str]:
    """What the machine said at most ``age`` seconds ago."""
    when, free, device = _answers.get(place, (float("-inf"), None, ""))
    if time.monotonic() - when > age:
        if isinstance(place, SshPlace):
            free, device = room_there(place)
        else:
            free, device = quota_left(place), ""
        _answers[place] = time.monotonic(), free, device
    return free, device


def _nearest(path: Path) -> Path:
    probe = path
    while not probe.exists() and probe != probe.parent:
        probe = probe.parent
    return probe
