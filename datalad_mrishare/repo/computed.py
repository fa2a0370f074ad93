"""What git-annex's compute remotes made, read from the git-annex branch and its journals.

``git annex findcomputed --inputs`` tells the same of files in the working tree, but only where the
compute remote is enabled; in a fresh clone it prints nothing and ends with 0, and it
initialises a repository that was none. The branch has it all: the state that a compute
remote keeps of a key (``KEY.log.rmet``, a query string: ``p`` parameters, ``i`` inputs with
their keys, ``o`` outputs), and the checksums that a ``VURL`` key is known to have had
(``KEY.log.ek``). Of remotes that were made with ``--private`` the same files are in
``annex/journal-private`` of the repository that has them, and nowhere else. Seen with
git-annex 10.20261026; its page ``internals`` describes the logs.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from ..errors import RepoError
from .annexbranch import BRANCH
from .commits import ALOOF, committed_file
from .installed import commit_named, place_of
from .keys import from_file_name, is_key
from .process import git
from .trees import decode, object_sizes, read_blobs

_LOG = re.compile(r"\d{6} blob ([0-9a-f]+)\t[^/\0]{3}/[^/\0]{3}/([^/\0]+)\.log\.(rmet|ek)\0")
_JOURNALED = re.compile(r"[^_]{3}_[^_]{3}_(.+)\.log\.(rmet|ek)", re.DOTALL)
#: in ``annex``: what will be in the branch, and what of private remotes never will
_JOURNALS = ("journal", "journal-private")
_IN_GIT = re.compile(r"GIT(?:-s\d+)?--([0-9a-f]{40}|[0-9a-f]{64})")
_LARGEST_LOG = 16 << 20


class Computed(NamedTuple):
    """One output: the keys and blobs it was computed from, and the keys it is known by.

    Of ``inputs`` each is an annex key or, for a file in git, the id of a blob.
    """

    key: str
    inputs: tuple[str, ...]
    blobs: tuple[str, ...]
    equivalent: tuple[str, ...]
    what: str


class _Log(NamedTuple):
    """What is known of a key: its states, or its checksums (``ek``)."""

    key: str
    kind: str
    text: bytes


def read_computed(repo: Path, ref: str = BRANCH) -> list[Computed]:
    """Everything that any compute remote is on record here to have made.

    Raises
    ------
    RepoError
        When a journal cannot be read.
    """
    annex = place_of(repo).objects.parent
    journals = [annex / name for name in _JOURNALS]
    if not _is_any(repo, ref, journals):
        return []
    equivalent: dict[str, list[str]] = {}
    states: dict[str, list[bytes]] = {}
    for log in (*_committed(repo, ref), *chain(*map(_journaled, journals))):
        if log.kind == "ek":
            equivalent.setdefault(log.key, []).extend(_equivalent(log.text))
        else:
            states.setdefault(log.key, []).extend(_states(log.text))
    return [
        _computed(key, state, equivalent.get(key, []))
        for key, found in states.items()
        for state in dict.fromkeys(found)
    ]


def is_computed(key: str) -> bool:
    """Whether a key is by its name one that a compute remote made.

    >>> is_computed("VURL--annex-compute:a66ce3ea-861c-492-4b8c491c"), is_computed("URL--http:x")
    (True, False)
    """
    return key.startswith("VURL-") and "--annex-compute:" in key


def _is_any(repo: Path, ref: str, journals: Iterable[Path]) -> bool:
    texts = (committed_file(repo, ref, "remote.log"), *(_file(j / "remote.log") for j in journals))
    return any(b"type=compute" in text for text in texts)


def _committed(repo: Path, ref: str) -> Iterator[_Log]:
    if not commit_named(repo, ref):
        return
    listed = _LOG.findall(decode(git(repo, "ls-tree", "-r", "-z", "--full-tree", ref, env=ALOOF)))
    sizes = object_sizes(repo, dict.fromkeys(oid for oid, _, _ in listed), ALOOF)
    short = [oid for oid, size in sizes.items() if size <= _LARGEST_LOG]
    texts = dict(read_blobs(repo, short, ALOOF))
    for oid, name, kind in listed:
        yield _Log(from_file_name(name), kind, texts.get(oid, b""))


def _journaled(journal: Path) -> Iterator[_Log]:
    """What is not in the branch yet, or never will be."""
    try:
        names = os.listdir(journal)
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as exc:
        raise RepoError(f"cannot be read: {exc.strerror}", where=str(journal)) from exc
    for name in names:
        match = _JOURNALED.fullmatch(name)
        if match:
            # a slash is written as an underscore there, and an underscore twice
            key = from_file_name(match[1].replace("__", "_"))
            yield _Log(key, match[2], _file(journal / name))


def _file(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(_LARGEST_LOG)
    except (FileNotFoundError, NotADirectoryError):
        return b""
    except OSError as exc:
        raise RepoError(f"cannot be read: {exc.strerror}", where=str(path)) from exc


def _equivalent(text: bytes) -> Iterator[str]:
    for line in text.splitlines():
        words = line.split(b" ", 2)
        if len(words) == 3 and is_key(decode(words[2])):
            yield decode(words[2])


def _states(text: bytes) -> Iterator[bytes]:
    """Every state that any compute remote ever had of a key: what was true once counts."""
    for line in text.splitlines():
        for word in line.split(b" ")[1:]:
            if not word.startswith(b"+"):
                continue
            value = word[1:]
            if value.startswith(b"!"):  # base64, for what has white space in it
                try:
                    value = base64.b64decode(value[1:], validate=True)
                except binascii.Error:
                    continue
            yield value


def _computed(key: str, state: bytes, equivalent: list[str]) -> Computed:
    inputs: dict[str, None] = {}
    blobs: dict[str, None] = {}
    words: list[str] = []
    for pair in state.split(b"&"):
        name, _, value = pair.partition(b"=")
        kind, used = name[:1], decode(unquote_to_bytes(value))
        if kind == b"p":
            words.append(decode(unquote_to_bytes(name[1:])))
        elif kind == b"i":
            match = _IN_GIT.fullmatch(used)
            if match:
                blobs[match[1]] = None
            else:
                inputs[used] = None
    return Computed(key, tuple(inputs), tuple(blobs), tuple(equivalent), " ".join(words))
