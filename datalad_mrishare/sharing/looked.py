"""What contents tell beside their data: kept by registration, or looked for now and remembered.

An image that somebody saved by hand was never registered, and what is no image never is looked
into there. So whoever decides looks into the content that is here, once: the answer is kept in
a private file under the checksum that a key is. Content that is not here nobody can look into;
it cannot be sent, either.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

from ..errors import RepoError
from ..privacy.looking import look_at, look_into
from ..privacy.told import SILENT, Told, Values, from_metadata
from ..repo.keys import Objects, is_checksum
from ..repo.trees import Entry
from ..repo.worktree import write_file

#: another way of looking: what was remembered before does not count
_VERSION = 2


@dataclass(frozen=True)
class Looked:
    """``told`` by each content that tells anything; ``unseen`` are keys nobody looked into."""

    told: Mapping[str, Told] = field(default_factory=dict)
    unseen: frozenset[str] = frozenset()


def look(
    entries: Iterable[Entry],
    metadata: Callable[[], Mapping[str, Values]],
    objects: Path,
    memory: Path,
    contents: Callable[[Sequence[Entry]], Mapping[str, bytes]],
) -> Looked:
    """What the contents of ``entries`` tell.

    Parameters
    ----------
    metadata : callable
        Key -> its metadata; asked only when there is content that is not in ``memory``.
    objects : Path
        ``annex/objects`` of the dataset.
    memory : Path
        A private file with what was seen before; missing or damaged it is as good as none.
    contents : callable
        Entries in git -> content by blob id.
    """
    before, find = _recall(memory), Objects(objects).find
    told: dict[str, Told] = {}
    here: dict[str, tuple[Path, str]] = {}
    in_git: list[Entry] = []
    unseen: set[str] = set()
    for entry in entries:
        key = entry.key
        if key is None:
            in_git.append(entry)
        elif key in before:
            told[key] = before[key]
        elif key not in here and key not in unseen:
            if content := find(key):
                here[key] = content, entry.path
            else:
                unseen.add(key)
    if here:
        known, lasting = metadata(), dict(told)
        for key, (content, path) in here.items():
            seen = from_metadata(key, known.get(key, {})) or look_into(content, path)
            if seen is None:
                unseen.add(key)
                continue
            told[key] = seen
            if is_checksum(key):
                lasting[key] = seen
        _remember(memory, lasting)
    texts = contents(in_git) if in_git else {}
    for entry in in_git:
        raw = texts[entry.oid]
        told[entry.oid] = look_at(BytesIO(raw), len(raw), entry.path)
    return Looked({k: t for k, t in told.items() if t.places or t.labels}, frozenset(unseen))


def _recall(memory: Path) -> dict[str, Told]:
    try:
        version, silent, telling = json.loads(memory.read_bytes())
        if version != _VERSION:
            return {}
        found = {
            str(key): Told(tuple(map(str, places)), frozenset(map(str, labels)))
            for key, (places, labels) in telling.items()
        }
        return dict.fromkeys(map(str, silent), SILENT) | found
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _remember(memory: Path, told: Mapping[str, Told]) -> None:
    """Keep it, all or nothing; not at all on a full disk."""
    silent = [key for key, t in told.items() if t == SILENT]
    telling = {key: (t.places, sorted(t.labels)) for key, t in told.items() if t != SILENT}
    with suppress(OSError, RepoError):
        write_file(memory, json.dumps([_VERSION, silent, telling]).encode())
