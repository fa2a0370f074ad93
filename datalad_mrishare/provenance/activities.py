"""What was done: some contents went in, others came out.

A content is named by its annex key as it is, or by ``git:`` and the id of its blob for a
file in git. What is only known by name, as a file of another dataset that is not here, is
named by its BIDS URI, ``bids:raw:sub-01/anat/sub-01_T1w.nii.gz``. Paths are no part of it,
so renaming and copying cost nothing, and subdatasets need no translation.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

from ..repo.keys import is_empty
from .evidence import Evidence

#: what is put before the id of a blob
IN_GIT = "git:"

#: the id of the blob of no bytes, with SHA-1 and with SHA-256 (gitformat-hash-function(5))
_EMPTY_BLOBS = frozenset(
    IN_GIT + checksum(b"blob 0\0").hexdigest() for checksum in (hashlib.sha1, hashlib.sha256)
)


class Activity(NamedTuple):
    """One step, as far as somebody or something recorded it.

    ``token`` is unique: a commit id, ``compute:KEY``, ``statement:TOKEN``,
    ``sources:PATH@OID``. ``kind`` is run, compute, statement, sources, generated, merge or
    boundary (where a shallow clone begins). All ``outputs`` depend on all ``inputs``; images
    of containers and tools are ``software`` and nobody's data. ``what`` is a command or
    description as recorded, for the steward's eyes and never exported unscrubbed; ``when`` is
    ISO 8601 or empty; ``why`` says in one clause why the activity is opaque.

    A record without inputs says no more than that there was a command, and nothing of its outputs.
    """

    token: str
    kind: str
    evidence: Evidence
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    what: str = ""
    when: str = ""
    software: tuple[str, ...] = ()
    why: str = ""


def is_trivial(node: str) -> bool:
    """Whether a content is known to be of no bytes: nobody's data, and no tie between people.

    >>> is_trivial("git:e69de29bb2d1d6434b8b29ae775ad8c2e48c5391")
    True
    >>> is_trivial("MD5E-s0--d41d8cd98f00b204e9800998ecf8427e.txt"), is_trivial("WORM-s0-m1--a")
    (True, False)
    """
    return node in _EMPTY_BLOBS or ("-s0-" in node and is_empty(node))
