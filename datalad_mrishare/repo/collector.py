"""Python's garbage collector, kept from walking again and again over what is being built."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator


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
            if not gc.get_freeze_count():  # else it is somebody else's to thaw
                gc.freeze()
                gc.unfreeze()
            gc.enable()
