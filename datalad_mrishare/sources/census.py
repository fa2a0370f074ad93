"""What a directory would be as a registered dataset: files, keys, headers, findings.

Read-only. The same census is taken before registering, on a dry run, and on a run that
finds nothing to do.
"""

from __future__ import annotations

import stat
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..repo.annexbranch import KeyLogs, read_logs, refresh
from ..repo.ingest import Changes, is_annex, read_changes
from ..repo.keys import find_object, key_size
from ..repo.trees import GITLINK, Entry, read_tree
from ..repo.worktree import Checkout
from .bids import check_tree, participants_with_data
from .fields import FINDING, is_indexed
from .findings import Finding, Kind, Progress
from .headers import Damage, Header, is_image, read_header
from .inventory import Inventory, annex_key
from .layout import goes_to_annex


@dataclass(frozen=True)
class Known:
    """What a repository knows already; empty for a plain folder."""

    tracked: Mapping[str, Entry] = field(default_factory=dict)
    changes: Changes = field(default_factory=Changes)
    logs: KeyLogs = field(default_factory=KeyLogs)

    @property
    def subdatasets(self) -> frozenset[str]:
        """Paths of the repositories that belong into this one."""
        return frozenset(e.path for e in self.tracked.values() if e.mode == GITLINK)


def read_known(checkout: Checkout, *, settled: bool) -> Known:
    """Read tree, status, locations and metadata in a handful of processes.

    With ``settled`` git-annex writes its journal first; without, nothing is written, and
    what it has not yet written is not seen.
    """
    head = checkout.head()
    tracked = {e.path: e for e in read_tree(checkout.path, head)} if head else {}
    logs = KeyLogs()
    if is_annex(checkout.path):
        if settled:
            refresh(checkout.path, checkout.identity)
        logs = read_logs(checkout.path)
    return Known(tracked, read_changes(checkout.path), logs)


@dataclass(frozen=True, slots=True)
class File:
    """A file of the dataset: ``content`` is where its bytes can be read, None when absent.

    ``size`` in bytes; ``is_new`` when no commit has it as it is.
    """

    path: str
    key: str | None
    content: Path | None
    size: int
    is_new: bool


@dataclass(frozen=True)
class Census:
    """Files, what was read of their headers now, and everything found."""

    files: tuple[File, ...]
    headers: Mapping[str, Header | Damage]
    findings: tuple[Finding, ...]

    @property
    def participants(self) -> frozenset[str]:
        """Participants with data."""
        return participants_with_data(f.path for f in self.files)

    @property
    def counts(self) -> dict[str, int]:
        """files, annexed, in_git, absent (of the annexed), participants, bytes that are here.

        What DataLad and git keep for themselves is not counted. A file that has no key yet
        counts as annexed when our rules will put it there.
        """
        files = [f for f in self.files if not f.path.startswith((".datalad/", ".git"))]
        annexed = [f for f in files if f.key or (f.is_new and goes_to_annex(f.path, f.size))]
        return {
            "files": len(files),
            "annexed": len(annexed),
            "in_git": len(files) - len(annexed),
            "absent": sum(1 for f in annexed if f.content is None),
            "participants": len(self.participants),
            "bytes": sum(f.size for f in files if f.content is not None),
        }


def files_of_checkout(inventory: Inventory, known: Known, *, plain: bool) -> list[File]:
    """The files of a checkout or folder; what git ignores there is left out."""
    root, new = inventory.root, frozenset(known.changes.to_add)
    objects = root / ".git/annex/objects"
    found = []
    for path, item in inventory.items.items():
        entry = known.tracked.get(path)
        key = annex_key(item)
        if not plain and entry is None and path not in new and key is None:
            continue
        is_new = entry is None or path in new
        if key is None and entry is not None and path not in new:
            key = entry.key  # an unlocked file
        if key is None:
            found.append(File(path, None, root / path, item.size, is_new))
            continue
        content = find_object(objects, key)
        size = content.stat().st_size if content else 0
        found.append(File(path, key, content, size, is_new))
    return found


def files_of_commit(
    root: Path, objects: Path, entries: Iterable[Entry], *, new: bool = False
) -> list[File]:
    """The files of a commit in the repository at ``root`` with its annex ``objects``."""
    found = []
    for entry in entries:
        if entry.mode == GITLINK:
            continue
        content = find_object(objects, entry.key) if entry.key else root / entry.path
        size = (key_size(entry.key) or 0) if entry.key else entry.size
        found.append(File(entry.path, entry.key, content, size, new))
    return found


def take_census(
    files: Collection[File],
    known: Known,
    read: Callable[[str], bytes | None],
    progress: Progress,
) -> Census:
    """Read the headers that no one has read yet, and check everything.

    ``read`` gives the content of small files at the top.
    """
    headers = _read_headers(files, known, progress)
    findings = check_tree((f.path for f in files), read)
    findings += _image_findings(files, known, headers)
    findings += [
        _in_git(f.path)
        for f in files
        if f.key is None and not f.is_new and is_image(f.path) and _is_file(known, f.path)
    ]
    return Census(tuple(files), headers, tuple(findings))


def _read_headers(
    files: Collection[File], known: Known, progress: Progress
) -> dict[str, Header | Damage]:
    todo = [
        f
        for f in files
        if f.content is not None
        and is_image(f.path)
        and not (f.key and is_indexed(f.key, known.logs.metadata.get(f.key, {})))
        and _readable(f.content)
    ]
    headers: dict[str, Header | Damage] = {}
    by_key: dict[str, Header | Damage] = {}
    for number, file in enumerate(todo, start=1):
        assert file.content is not None
        if file.key and file.key in by_key:
            headers[file.path] = by_key[file.key]
        else:
            headers[file.path] = read_header(file.content, file.path)
            if file.key:
                by_key[file.key] = headers[file.path]
        progress("reading headers", number, len(todo))
    return headers


def _image_findings(
    files: Collection[File], known: Known, headers: Mapping[str, Header | Damage]
) -> list[Finding]:
    found = []
    for file in files:
        header = headers.get(file.path)
        if isinstance(header, Damage):
            found.append(_damaged(file.path, header.kind, header.what))
        elif header is None and file.key:
            fields = known.logs.metadata.get(file.key, {})
            for word in fields.get(FINDING, ()) if is_indexed(file.key, fields) else ():
                kind = Kind(word) if word in (Kind.UNREADABLE, Kind.TRUNCATED) else Kind.CORRUPT
                found.append(_damaged(file.path, kind, "as an earlier registration found"))
    return found


def _damaged(path: str, kind: Kind, what: str) -> Finding:
    return Finding(
        kind,
        path,
        f"the image is {kind.value}: {what}",
        "It will not be shared; put a good copy in its place and register again",
    )


def _in_git(path: str) -> Finding:
    return Finding(
        Kind.IN_GIT,
        path,
        "the image is in git, not in the annex: it cannot be withheld or taken back",
        f"Move it to the annex: git rm --cached {path!r}, git annex add {path!r}, and commit",
    )


def _is_file(known: Known, path: str) -> bool:
    entry = known.tracked.get(path)
    return entry is not None and entry.mode.startswith("100")


def _readable(content: Path) -> bool:
    # a link inside the dataset is read where it leads to, as the file there
    try:
        return stat.S_ISREG(content.lstat().st_mode)
    except OSError:
        return False  # only a commit of a source has it
