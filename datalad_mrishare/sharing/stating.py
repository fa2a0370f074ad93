"""Statements of the steward: finding what they are about, and committing them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from fnmatch import fnmatchcase

from ..errors import InputError, Refused
from ..provenance.statements import DIRECTORY, Content, Statement, format_statement
from ..repo.events import file_stamp, left_behind
from ..repo.trees import Entry
from ..repo.worktree import Checkout
from .origins import node_of
from .registry import uncommitted


def new_token() -> str:
    """A token for a statement; files of statements sort by it, that is by time."""
    return file_stamp()


def save_statements(
    checkout: Checkout, statements: Sequence[Statement], message: str
) -> tuple[str, ...]:
    """Commit statements, one file each; call it while holding the lock on the dataset.

    Returns
    -------
    tuple of str
        Their paths.
    """
    files: dict[str, bytes] = {}
    kinds = {type(one).__name__.lower() for one in statements}
    for kind in sorted(kinds):  # what a killed command was about to commit
        files |= left_behind(checkout.path, kind, directory=DIRECTORY)
    mine = {
        f"{DIRECTORY}/{one.token}-{type(one).__name__.lower()}.json": format_statement(one)
        for one in statements
    }
    checkout.commit_files(files | mine, message)
    checkout.settle()
    return tuple(mine)


def refuse_uncommitted(checkout: Checkout, *kinds: str) -> None:
    """Refuse to work beside changes that nobody committed.

    Statements of these ``kinds`` that a killed command left do not count: the next one commits
    them.

    Raises
    ------
    Refused
        When there are any.
    """
    left: set[str] = set()
    for kind in kinds:
        left.update(left_behind(checkout.path, kind, directory=DIRECTORY))
    found = uncommitted(checkout)
    type(found)(tuple(path for path in found.paths if path not in left)).refuse()


def entries_at(entries: Iterable[Entry], asked: Sequence[str], *, files: bool) -> list[Entry]:
    """The files that paths name: themselves, what is below directories, what a pattern matches.

    Parameters
    ----------
    asked : sequence of str
        Relative to the dataset.
    files : bool
        Whether each must name one file.

    Raises
    ------
    InputError
        For a path that names nothing that is committed.
    """
    known = {e.path: e for e in entries if node_of(e) is not None}
    found: dict[str, Entry] = {}
    for path in asked:
        mine = [known[path]] if path in known else []
        if not mine and not files:
            mine = _below(known.values(), path)
        if not mine:
            what = "is a directory" if files and _below(known.values(), path) else ""
            raise InputError(
                what or "is no file that is committed in this dataset",
                where=path or ".",
                remedy="Name the files in it"
                if what
                else "See which there are (git ls-files), and save what is new: datalad save",
            )
        found.update((e.path, e) for e in mine)
    return list(found.values())


def _below(entries: Collection[Entry], path: str) -> list[Entry]:
    start = path.rstrip("/") + "/" if path else ""
    if any(letter in path for letter in "*?["):
        return [e for e in entries if fnmatchcase(e.path, path)]
    return [e for e in entries if e.path.startswith(start) and not e.path.startswith(".datalad/")]


def content_of(entry: Entry) -> Content:
    """The content of an entry as a statement holds it."""
    node = node_of(entry)
    assert node is not None
    return Content(entry.path, node)


def refuse_changed(checkout: Checkout, entries: Iterable[Entry]) -> None:
    """Refuse to state something about a file that is not as it is committed.

    What was looked at would be another content than what the statement names.

    Raises
    ------
    Refused
        Naming the first such file.
    """
    for entry in entries:
        if not checkout.holds(entry):
            raise Refused(
                "is not as it is committed, and a statement is about what is committed",
                where=entry.path,
                remedy=f"Save it first: datalad save {entry.path}",
            )
