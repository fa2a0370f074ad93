"""How well it is known what a content was made from.

The order is by what would have to go wrong for the answer to be false: a compute remote
made the content itself; a sealed run had nothing else to read; a run record was written
by the tool that ran the command; an assertion is somebody's word; and without any of them
nobody can tell.
"""

from __future__ import annotations

from enum import IntEnum


class Evidence(IntEnum):
    """Weakest first, so that the evidence of a way is the least of its steps.

    >>> min(Evidence.COMPUTED, Evidence.DECLARED).word
    'declared'
    """

    #: no record, or one that cannot be read: nobody can tell whose it is
    OPAQUE = 0
    #: BIDS ``Sources`` or ``GeneratedBy``, a steward's statement, ``sub-XX`` in a path
    ASSERTED = 1
    #: a DataLad run record
    DECLARED = 2
    #: a run that was repeated where only its declared inputs were, with the same result
    SEALED = 3
    #: a git-annex compute remote
    COMPUTED = 4

    @property
    def word(self) -> str:
        """The name in messages and records."""
        return self.name.lower()
