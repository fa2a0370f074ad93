"""Link targets and pointers kept beside the repository, so that git need not unpack them again.

Git takes 11 µs to take a link out of a pack, where they are stored as differences of
differences; a hundred thousand of them are most of what reading a tree costs. What is
remembered decides nothing: a text counts only for the object id that is its own
checksum, so a file that somebody changed is as good as none.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

#: fewer are read from git in no time
WORTHWHILE = 1000


def recall(path: Path, oid_length: int) -> dict[str, bytes]:
    """Blob id -> text of everything remembered in ``path``; nothing when it cannot be read.

    ``oid_length`` is 40 for a repository of SHA-1, 64 for one of SHA-256.
    """
    try:
        texts = path.read_bytes().split(b"\n")
    except OSError:
        return {}
    checksum = hashlib.sha1 if oid_length == 40 else hashlib.sha256
    return {checksum(b"blob %d\0%b" % (len(text), text)).hexdigest(): text for text in texts}


def remember(path: Path, texts: Mapping[str, bytes]) -> None:
    """Keep texts of one line each for :func:`recall`, all or none; not at all on a full disk."""
    lines = b"\n".join(text for text in texts.values() if b"\n" not in text)
    # one name for all: what two of us write at once is no worse than any other lie
    scratch = path.with_name(f"{path.name}.lock")
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch.write_bytes(lines)
        os.replace(scratch, path)
