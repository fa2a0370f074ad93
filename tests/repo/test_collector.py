"""What is built while the collector rests is not lost to it."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import gc, weakref
from datalad_mrishare.repo.collector import collector_at_rest
class Ring: pass
with collector_at_rest():
    assert not gc.isenabled()
    rows = [(n, []) for n in range(100_000)]
    ring = Ring(); ring.itself = ring
    seen = weakref.ref(ring)
assert gc.isenabled() and gc.get_freeze_count() == 0
before = gc.get_stats()[2]["collections"]
more = [[] for _ in range(5000)]
assert gc.get_stats()[2]["collections"] == before
del ring
gc.collect()
assert seen() is None
gc.freeze()
frozen = gc.get_freeze_count()
with collector_at_rest():
    pass
assert gc.get_freeze_count() == frozen
gc.disable()
with collector_at_rest():
    pass
assert not gc.isenabled()
"""


def test_it_goes_on_where_it_was() -> None:
    """In a process of its own: tests have frozen what they imported."""
    subprocess.run([sys.executable, "-c", SCRIPT], check=True, timeout=60)
