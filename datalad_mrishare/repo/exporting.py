"""Siblings that hold files under their own names, for people without git-annex.

``git annex export`` fills a special remote made with ``exporttree=yes`` from a tree. It is
only ever given a part of the release: files whose content is there, or is just being sent. The
tree that was exported last is in ``export.log`` of the git-annex branch, so a release repository
that was built anew knows what lies there, and looks whether that is so.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Generator, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

from ..errors import SiblingError
from .annexbranch import BRANCH
from .checksum import Checked
from .keys import hasher, matches_key
from .process import git_succeeds, git_text, json_stream
from .transfer import Moved, _reason
from .trees import Entry, read_tree, write_tree

#: where git-annex keeps the git half in such a remote (git-remote-annex(1))
_GIT_HALF = ".git"


def own_uuid(sibling: str) -> str:
    """annex uuid of the release repository of ``sibling``: the same whenever it is built.

    git-annex names it in ``export.log``, which everyone who clones has to read.
    """
    return str(uuid5(NAMESPACE_URL, f"mrishare:{sibling}"))


def exported(repo: Path, uuid: str) -> list[Entry]:
    """What was exported last to the remote with ``uuid``; nothing when nothing was."""
    trees = _trees(repo, uuid)
    return read_tree(repo, trees[0]) if trees else []


def interrupted(repo: Path, uuid: str) -> bool:
    """Whether an export to the remote with ``uuid`` was killed while it renamed and removed."""
    return len(_trees(repo, uuid)) > 1


def _trees(repo: Path, uuid: str) -> list[str]:
    """The tree that was exported last, and those that were begun after it."""
    log = f"{BRANCH}:export.log"
    if not git_succeeds(repo, "cat-file", "-e", log):
        return []
    # TIMESTAMPs FROM:TO TREE...
    lines = [line.split(" ") for line in git_text(repo, "cat-file", "blob", log).splitlines()]
    there = [line for line in lines if line[1].endswith(f":{uuid}")]
    return max(there, key=lambda line: float(line[0].rstrip("s")))[2:] if there else []


def has_git_half(directory: Path) -> bool:
    """Whether a git half lies there; git-annex itself only tells of what it exported."""
    return any(directory.glob(f"{_GIT_HALF}/annex/objects/*/*/GITMANIFEST-*/GITMANIFEST-*"))


def part(entries: Iterable[Entry], keys: Collection[str]) -> list[Entry]:
    """Files in git, and those annexed whose key is one of ``keys``."""
    return [entry for entry in entries if entry.key is None or entry.key in keys]


def with_last_copies(wanted: Sequence[Entry], before: Iterable[Entry]) -> list[Entry]:
    """``wanted`` and those of ``before`` whose content is nowhere else, at their old paths.

    What could be taken back has left ``before`` by then; what could not is the only known copy.
    """
    keys = {entry.key for entry in wanted}
    kept = [entry for entry in before if entry.key and entry.key not in keys]
    paths = {entry.path for entry in kept}
    return kept + [entry for entry in wanted if entry.path not in paths]


def export(
    repo: Path,
    remote: str,
    entries: Sequence[Entry],
    *,
    reserve: int = 0,
    env: Mapping[str, str],
    pass_fds: Sequence[int] = (),
) -> Generator[Moved, None, None]:
    """Let ``entries``, and no other file, lie at ``remote``.

    Yields one for each file that was put there or removed; its ``key`` is the annex key, or
    the path where the content is in git.
    """
    tree = write_tree(repo, [(e.mode, e.oid, e.path) for e in entries])
    keys = {entry.path: entry.key for entry in entries if entry.key}
    argv = ("git-annex", "export", tree, "--to", remote, "--json", "--json-error-messages")
    settings = {"annex.diskreserve": str(reserve)}
    # exit code 1: some files failed, and each says so itself
    for record in json_stream(argv, repo, env=env, settings=settings, ok=(0, 1), pass_fds=pass_fds):
        path = record.get("file")
        if path is not None:
            ok = bool(record.get("success"))
            yield Moved(keys.get(path, path), ok, _reason(record))


def refuse_strange(directory: Path, repo: Path, name: str, entries: Sequence[Entry]) -> list[str]:
    """Compare ``directory`` with what was exported; the annex keys that are not there.

    Raises
    ------
    SiblingError
        When there are files that were not exported, or are not as they were.
    """
    known = {entry.path: entry for entry in entries}
    strange = []
    for parent, below, files in os.walk(directory):
        if Path(parent) == directory and _GIT_HALF in below:
            below.remove(_GIT_HALF)
        for file in files:
            path = Path(parent, file)
            entry = known.pop(os.path.relpath(path, directory), None)
            if entry is None or not _same(path, repo, entry):
                strange.append(path)
    if strange:
        more = f" and {len(strange) - 1} more" if len(strange) > 1 else ""
        raise SiblingError(
            f"holds what no publication put there ({min(strange)}{more}), and it is not known to be"
            " permitted",
            where=f"sibling '{name}'",
            remedy=f"Move everything but {_GIT_HALF} away from {directory}, then run this again:"
            " what may lie there is put there anew",
        )
    return [entry.key for entry in known.values() if entry.key]


def compare_files(directory: Path, entries: Iterable[Entry]) -> Iterator[Checked]:
    """Compare annexed files there with their keys, and remove those that are damaged.

    ``git annex fsck`` does not trust such a remote, and so says of each file that it is lost.
    """
    wrong: dict[str, str] = {}
    top = os.path.realpath(directory)
    for entry in entries:
        path = directory / entry.path
        if entry.key is None or hasher(entry.key) is None:
            continue
        wrong.setdefault(entry.key, "")
        if os.path.realpath(path.parent) != os.path.normpath(os.path.join(top, entry.path, "..")):
            wrong[entry.key] = "its directory is a link that leads elsewhere"
        elif not path.is_file():
            wrong[entry.key] = "it is not there"
        elif path.is_symlink() or not matches_key(path, entry.key):
            wrong[entry.key] = "its content has another checksum"
            path.unlink()
    for key, note in wrong.items():
        yield Checked(key, not note, True, note)


def _same(path: Path, repo: Path, entry: Entry) -> bool:
    if path.is_symlink() or not path.is_file():
        return False
    if entry.key:
        return matches_key(path, entry.key)
    return git_text(repo, "hash-object", "--no-filters", "--", os.fspath(path)) == entry.oid
