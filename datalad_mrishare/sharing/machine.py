"""Words that tell of the steward's machine; none that may occur by chance."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable

from ..repo.process import git_text
from ..repo.remotes import remotes
from ..repo.worktree import Checkout

#: shorter words are in many a text
_SHORTEST = 6


def places(checkout: Checkout) -> list[str]:
    """Where the dataset lies, the steward's home, the annex: in no text of a release."""
    path = checkout.path
    return _telling([str(path), os.path.realpath(path), os.path.expanduser("~"), checkout.uuid])


def everything(checkout: Checkout, sibling: str) -> list[str]:
    """The same with the account, the host, and every annex beside that of ``sibling``."""
    words = places(checkout)
    for variable in ("user.name", "user.email"):
        words.append(git_text(checkout.path, "config", "--get", variable, ok=(0, 1)))
    words.append(socket.gethostname())
    known = remotes(checkout.path)
    depends = known[sibling].depends if sibling in known else None
    words += (r.uuid or "" for n, r in known.items() if n not in (sibling, depends))
    return _telling(words)


def _telling(words: Iterable[str]) -> list[str]:
    return sorted({word for word in words if len(word) >= _SHORTEST and word != "localhost"})
