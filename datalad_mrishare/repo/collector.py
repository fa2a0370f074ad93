"""Python's garbage collector, kept from walking again and again over what is being built."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator

#: new objects that it takes long to walk over
_MANY = 50_000


@contextlib.contextmanager
def collector_at_rest() -> Iterator[None]:
    """No search for cycles while a table of hundreds of thousands of rows is built.

    The rows hold no cycles, yet each search walks over all there are: a fifth of the time. After
    it they count as what has been there for long, so that the next search need not walk over
    them. Do not yield from inside.
    """
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            # what is frozen is somebody else's to thaw; to count that takes its time
            if gc.get_count()[0] > _MANY and not gc.get_freeze_count():
                gc.freeze()
                gc.unfreeze()
            gc.enable()
