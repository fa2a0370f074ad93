"""Asking whether content at a remote is still what its key says, through ``git annex fsck``.

git-annex has no batch mode for it: it goes through every key that the remote is known to
have, and fetches those of a remote that cannot compute a checksum itself. What is damaged it
removes from the remote, and keeps the damaged content in ``annex/bad`` of the repository. It
always compares what it could fetch, but says so only where it did not on the way: the backend
of a key tells whether there was anything to compare with.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .keys import is_checksum
from .process import json_stream

#: git-annex's words when what it fetched does not match the key
NOT_VERIFIED = "Verification of content failed"


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found out about one key; ``compared`` says whether a checksum was."""

    key: str
    ok: bool
    compared: bool
    note: str = ""


def compare_content(
    repo: Path,
    remote: str,
    *,
    env: Mapping[str, str] | None = None,
    pass_fds: Sequence[int] = (),
) -> Iterator[Checked]:
    """Compare everything that ``remote`` is known to have with its checksums."""
    which = ("--from", remote, "--all", f"--in={remote}", "--numcopies=1")
    argv = ("git-annex", "fsck", *which, "--json", "--json-error-messages")
    # exit code 1: some keys failed, and each says so itself
    for record in json_stream(argv, repo, env=env, ok=(0, 1), pass_fds=pass_fds):
        key = record.get("key")
        if not key:
            continue
        told = "; ".join(str(m).strip() for m in record.get("error-messages") or ())
        yield Checked(key, bool(record.get("success")), is_checksum(key), told or "no reason given")
