"""Content of the annex, read where it lies."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from ..errors import RepoError
from .keys import checksum, find_object, hasher


def read_object(objects: Path, key: str, most: int) -> bytes:
    """Up to ``most`` bytes and one more of a key's content below ``annex/objects``.

    Content that is not what the key says is no content; of a whole one with a checksum that is
    found out here.

    Raises
    ------
    FileNotFoundError
        When it is not here.
    RepoError
        When it is damaged, or nothing tells whether it is.
    OSError
        When it cannot be read.
    """
    place = find_object(objects, key)
    if place is None:
        raise FileNotFoundError(key)
    # a link here would lead anywhere, and a pipe would be waited for
    with open(os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as source:
        if not stat.S_ISREG(os.fstat(source.fileno()).st_mode):
            raise RepoError("it is no file")
        content = source.read(most + 1)
    digest = hasher(key)
    if digest is None:
        raise RepoError("nothing tells whether it is undamaged")
    digest.update(content)
    if len(content) <= most and digest.hexdigest() != checksum(key):
        raise RepoError("it is damaged")
    return content
