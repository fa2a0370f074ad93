"""Which annex key each link and pointer is, kept so that git need not unpack them again.

Git takes 11 µs to take a link out of a pack, where they are stored as differences of
differences; a hundred thousand of them are most of what reading a tree costs. A key decides
whose content a file is, so what is kept is signed (``signed``): a file that somebody changed is
as good as none.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from .signed import read_signed, write_signed

#: fewer are read from git in no time
WORTHWHILE = 1000
_PURPOSE = "links 1"


def recall(path: Path) -> dict[str, str]:
    """Blob id -> key of everything remembered in ``path``, empty for a blob that is no key's;
    nothing when it cannot be read.
    """
    raw = read_signed(path, _PURPOSE)
    if not raw:
        return {}
    lines = raw.decode("utf-8", "surrogateescape").split("\n")
    return dict(zip(lines[::2], lines[1::2], strict=True))


def remember(path: Path, keys: Mapping[str, str]) -> None:
    """Keep keys for :func:`recall`, all or none; not at all on a full disk."""
    lines = "\n".join(word for pair in keys.items() for word in pair)
    write_signed(path, _PURPOSE, lines.encode("utf-8", "surrogateescape"))
