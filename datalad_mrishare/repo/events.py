"""The record of what was done: one small JSON file an event, in git.

Files lie in ``.datalad/mrishare/events/`` and are never changed once committed.
Nobody is named in them: the commit says who.
"""

from __future__ import annotations

import datetime
import json
import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .process import git
from .trees import decode, read_directory
from .worktree import changed_files

DIRECTORY = ".datalad/mrishare/events"
SCHEMA = 1


def event_file(kind: str, details: Mapping[str, Any], *, suffix: str = "") -> tuple[str, bytes]:
    """Path and content of a new event.

    Parameters
    ----------
    kind : str
        What was done, in the past: ``registered``, ``published``.
    details : mapping
        What JSON can hold; must not have the keys ``event``, ``schema``, ``when``.
    suffix : str, optional
        Put behind the kind in the file name, as the name of a sibling.
    """
    now = datetime.datetime.now(datetime.timezone.utc)
    name = "-".join(part for part in (file_stamp(), kind, suffix) if part)
    content = {
        **details,
        "event": kind,
        "schema": SCHEMA,
        "when": f"{now:%Y-%m-%dT%H:%M:%SZ}",
    }
    text = json.dumps(content, indent=1, sort_keys=True, ensure_ascii=True)
    return f"{DIRECTORY}/{name}.json", text.encode("ascii") + b"\n"


def read_events(repo: Path, commit: str = "HEAD") -> list[dict[str, Any]]:
    """The events in ``commit``, oldest first, in two processes.

    Each has its ``path`` added. A file that is not a JSON object is left out: events
    report what happened, nothing is decided by them.
    """
    found = []
    for path, content in read_directory(repo, commit, DIRECTORY):
        try:
            event = json.loads(content) if path.endswith(".json") else None
        except ValueError:
            continue
        if isinstance(event, dict):
            found.append({**event, "path": path})
    return sorted(found, key=lambda event: str(event["path"]))


def file_stamp() -> str:
    """The beginning of a new file's name.

    Names sort by time; two at once, in two clones that are merged later, stay two files.
    """
    now = datetime.datetime.now(datetime.timezone.utc)
    return f"{now:%Y%m%dT%H%M%S.%f}Z-{secrets.token_hex(2)}"


def left_behind(
    path: Path, kind: str, suffix: str = "", directory: str = DIRECTORY
) -> dict[str, bytes]:
    """Events of this kind that a killed command wrote into the checkout and did not commit.

    Temporary files of such a command are removed. Call this only while holding the lock on
    the dataset.
    """
    for temporary in (path / directory).glob(".mrishare-*"):
        temporary.unlink()
    end = "-".join(part for part in (kind, suffix) if part) + ".json"
    name = re.compile(rf"{re.escape(directory)}/[^/-]+-[0-9a-f]+-{re.escape(end)}")
    found = {}
    for letters, file in changed_files(path, directory):
        if letters in ("??", "A ") and name.fullmatch(file):
            found[file] = (path / file).read_bytes()
    return found


def only_events(repo: Path, before: str, after: str) -> bool:
    """Whether two commits differ in records of events only."""
    changed = decode(git(repo, "diff-tree", "-r", "-z", "--name-only", before, after))
    return all(path.startswith(f"{DIRECTORY}/") for path in changed.split("\0")[:-1])


def is_registered(path: Path) -> bool:
    """Whether the checkout at ``path`` holds the event of a registration."""
    if not (path / ".git").exists():
        return False
    return any((path / DIRECTORY).glob("*-registered.json"))
