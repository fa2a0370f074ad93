"""What git-annex's compute remotes made, read from the git-annex branch.

``git annex findcomputed --inputs`` tells the same of files in the working tree, but only where the
compute remote is enabled; in a fresh clone it prints nothing and ends with 0, and it
initialises a repository that was none. The branch has it all: the state that a compute
remote keeps of a key (``KEY.log.rmet``, a query string: ``p`` parameters, ``i`` inputs with
their keys, ``o`` outputs), and the checksums that a ``VURL`` key is known to have had
(``KEY.log.ek``). Seen with git-annex 10.20261026; its page ``internals`` describes the logs.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from .annexbranch import BRANCH
from .commits import ALOOF, committed_file
from .keys import from_file_name, is_key
from .process import git
from .trees import decode, object_sizes, read_blobs

_LOG = re.compile(r"\d{6} blob ([0-9a-f]+)\t[^/\0]{3}/[^/\0]{3}/([^/\0]+)\.log\.(rmet|ek)\0")
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


def read_computed(repo: Path, ref: str = BRANCH) -> list[Computed]:
    """Everything that any compute remote is on record to have made, by four processes at most."""
    if b"type=compute" not in committed_file(repo, ref, "remote.log"):
        return []
    listed = _LOG.findall(decode(git(repo, "ls-tree", "-r", "-z", "--full-tree", ref, env=ALOOF)))
    sizes = object_sizes(repo, dict.fromkeys(oid for oid, _, _ in listed), ALOOF)
    short = [oid for oid, size in sizes.items() if size <= _LARGEST_LOG]
    texts = dict(read_blobs(repo, short, ALOOF))
    equivalent: dict[str, list[str]] = {}
    states: dict[str, list[bytes]] = {}
    for oid, name, kind in listed:
        key, text = from_file_name(name), texts.get(oid, b"")
        if kind == "ek":
            equivalent.setdefault(key, []).extend(_equivalent(text))
        else:
            states.setdefault(key, []).extend(_states(text))
    return [
        _computed(key, state, equivalent.get(key, []))
        for key, found in states.items()
        for state in found
    ]


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
