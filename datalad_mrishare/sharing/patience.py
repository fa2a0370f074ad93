"""Trying once more what failed for a reason that may pass, such as a connection that broke.

A full disk, a missing permission or wrong content does not get better by waiting: these
are not tried again. Pure, but for the waiting.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Sequence
from contextlib import closing

from ..errors import SiblingError
from ..repo.transfer import Moved

#: seconds before each further attempt
PAUSES = (0.5, 2.0, 5.0)
#: as the C library, ssh, curl and HTTP servers (RFC 9110, 15.6.4) say it
_PASSING = re.compile(
    r"connection (was )?(reset|refused|timed out|closed|aborted)|timed? ?out|timeout|broken pipe"
    r"|temporar(il)?y|\b503\b|service unavailable|network is unreachable|no route to host",
    re.IGNORECASE,
)
_LASTING = re.compile(
    r"no space|disk full|not enough (free )?(disk )?space|quota|permission denied|read-only|denied"
    r"|not permitted|unauthori[sz]ed|forbidden",
    re.IGNORECASE,
)


def may_pass(note: str) -> bool:
    """Whether a failure with this reason is worth another attempt.

    >>> may_pass("Connection reset by peer"), may_pass("No space left on device")
    (True, False)
    """
    return bool(_PASSING.search(note)) and not _LASTING.search(note)


def patiently(
    send: Callable[[list[str]], Generator[Moved, None, None]],
    keys: Sequence[str],
    pause: Callable[[float], None],
) -> Generator[Moved, None, None]:
    """Send ``keys``, and again those whose failure may pass, at most three times.

    So does a sibling that cannot be reached for a moment.

    Parameters
    ----------
    send : callable
        Sends the keys it is given and yields what became of each.
    keys : sequence of str
        What to send.
    pause : callable
        Waits for so many seconds.

    Yields
    ------
    Moved
        One for each key that ``send`` reported on: success, or the last failure.

    Raises
    ------
    SiblingError
        When the sibling could not be reached in the last attempt, either.
    """
    left = list(keys)
    for wait in (*PAUSES, None):
        settled = set()
        again = []
        try:
            with closing(send(left)) as sent:
                for moved in sent:
                    if moved.ok or wait is None or not may_pass(moved.note):
                        settled.add(moved.key)
                        yield moved
                    else:
                        again.append(moved.key)
        except SiblingError:
            if wait is None:
                raise
            again = [key for key in left if key not in settled]
        if not again:
            return
        left = again
        assert wait is not None
        pause(wait)
