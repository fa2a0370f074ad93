"""Where a dataset is to be: what is allowed there, and the marks of an unfinished run."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from pathlib import Path

from ..errors import InputError
from ..repo.ingest import inert_settings
from ..repo.process import git, git_succeeds, git_text
from ..repo.trees import Entry, read_blobs
from ..repo.worktree import Checkout, write_file
from .cloning import GitSource, is_repository
from .layout import OUR_FILES
from .undo import remove_tree

#: a registration that was not completed; holds what it began with (``folder``, ``copy``)
_MARK = "registering"
#: participants.tsv and its like; a longer one is not what it says
_SMALL = 64 << 20


def inert(path: Path, source: Path | None) -> dict[str, str]:
    """Settings under which nothing that either place names is executed or contacted."""
    settings = {"remote.origin.annex-ignore": "true"}
    for place in (path, source):
        if place is None or not place.is_dir():
            place = Path("/")
        settings.update(inert_settings(place))
        listed = git(place, "config", "--name-only", "-z", "--get-regexp", r"^remote\.", ok=(0, 1))
        for name in listed.decode("utf-8", "surrogateescape").split("\0"):
            section, _, variable = name.rpartition(".")
            if variable == "url":
                settings[f"{section}.annex-ignore"] = "true"
    return settings


def has_repository(path: Path) -> bool:
    """Whether a repository begins at ``path``."""
    return os.path.lexists(path / ".git")


def check_target(path: Path) -> None:
    """Refuse what cannot be registered in place.

    Raises
    ------
    InputError
        When ``path`` is no directory, or lies inside a repository that begins above it.
    """
    if not path.is_dir():
        raise InputError(
            "is not a directory" if path.exists() else "does not exist",
            where=os.fspath(path),
            remedy="Give the directory of a BIDS dataset",
        )
    if not os.access(path, os.W_OK | os.X_OK):
        raise InputError(
            "the directory is not writable",
            where=os.fspath(path),
            remedy=f"Copy it elsewhere: datalad mrishare-register {os.fspath(path)!r} NEW-PATH",
        )
    if has_repository(path):
        if not git_succeeds(path, "rev-parse", "--git-dir"):
            # says what is wrong with it: owned by another user, broken
            git(path, "rev-parse", "--git-dir")
        if os.path.realpath(git_text(path, "rev-parse", "--show-toplevel")) != os.path.realpath(
            path
        ):
            raise InputError(
                "the working tree of the repository here is another directory",
                where=os.fspath(path),
                remedy="Unset core.worktree, or register that directory",
            )
        return
    if is_repository(path):
        raise InputError(
            "is a bare repository, it has no files to register",
            where=os.fspath(path),
            remedy=f"Copy it: datalad mrishare-register {os.fspath(path)!r} NEW-PATH",
        )
    _refuse_inside(path)


def _refuse_inside(path: Path, there: Path | None = None) -> None:
    """``there`` is the directory to ask in where ``path`` is still to be made."""
    if git_succeeds(there or path, "rev-parse", "--show-toplevel"):
        top = git_text(there or path, "rev-parse", "--show-toplevel")
        raise InputError(
            f"lies inside the repository {top}",
            where=os.fspath(path),
            remedy=f"Register {top}, or make this a dataset of its own first:"
            f" datalad create --force -d {top!r} {os.fspath(path)!r}",
        )


def check_pair(source: Path, path: Path) -> None:
    """Refuse a copy that cannot be made: no source, one inside the other, a full target."""
    if not source.is_dir():
        missing = "does not exist" if not source.exists() else "is not a directory"
        hint = "Give a directory; for a URL: datalad clone URL PATH, then mrishare-register PATH"
        raise InputError(missing, where=os.fspath(source), remedy=hint)
    real_source, real_path = os.path.realpath(source), os.path.realpath(path)
    if f"{real_path}/".startswith(f"{real_source}/") or f"{real_source}/".startswith(
        f"{real_path}/"
    ):
        raise InputError(
            "source and copy lie one inside the other",
            where=os.fspath(path),
            remedy="Choose a place outside of the source",
        )
    if path.exists() and not path.is_dir():
        raise InputError("is a file", where=os.fspath(path), remedy="Choose a new directory")
    if is_fresh(path):
        parent = next(p for p in path.absolute().parents if p.is_dir())
        if not began(path):
            _refuse_inside(path, path if path.is_dir() else parent)
        return
    if not has_repository(path):
        raise InputError(
            "is not empty and not a dataset",
            where=os.fspath(path),
            remedy="Choose a new directory, or register what is there"
            f" first: datalad mrishare-register {os.fspath(path)!r}",
        )
    check_target(path)


def is_fresh(path: Path) -> bool:
    """Whether a copy may be made at ``path``: nothing there, or an unfinished copy of ours."""
    if not path.is_dir():
        return True
    return began(path) in ("copy", "clone") or not any(os.scandir(path))


def mark(checkout: Checkout, began_with: str) -> None:
    """Note that a registration is under way in a repository that it made itself."""
    write_file(checkout.ours / _MARK, f"{began_with}\n".encode())


def unmark(checkout: Checkout) -> None:
    """The registration is complete."""
    (checkout.ours / _MARK).unlink(missing_ok=True)


def began(path: Path) -> str | None:
    """What an unfinished registration at ``path`` began with, or None."""
    mark_file = path / ".git/mrishare" / _MARK
    try:
        return mark_file.read_text().strip()
    except OSError:
        return None


def clear(path: Path, *, keep: bool) -> None:
    """Remove an unfinished copy; with ``keep`` the empty directory stays."""
    if not path.is_dir():
        return
    for entry in list(os.scandir(path)):
        remove_tree(Path(entry.path))
    if not keep:
        path.rmdir()


def check_is_copy(source: GitSource, path: Path) -> None:
    """Accept a second copy of a repository to the same place only when there is nothing new.

    Raises
    ------
    InputError
        When ``path`` is something else, or the source has commits that it lacks.
    """
    if git_succeeds(path, "merge-base", "--is-ancestor", source.commit, "HEAD"):
        return
    raise InputError(
        "is a dataset that does not have the newest commit of the source",
        where=os.fspath(path),
        remedy="Update it first (git pull origin, git annex get), then: datalad mrishare-register"
        f" {os.fspath(path)!r}",
    )


def our_files(root: Path) -> dict[str, bytes | None]:
    """What is there of the files that a registration writes."""
    return {
        name: (root / name).read_bytes() if (root / name).is_file() else None for name in OUR_FILES
    }


def check_our_files(root: Path) -> None:
    """Refuse symlinks where our files have to be written.

    Raises
    ------
    InputError
        Naming the link.
    """
    for name in (*OUR_FILES, ".datalad", ".datalad/mrishare", ".datalad/mrishare/events"):
        if (root / name).is_symlink():
            raise InputError(
                "is a symbolic link; a registration writes there and follows none",
                where=os.fspath(root / name),
                remedy="Replace it with a file or directory of its own",
            )


def reader(root: Path, entries: Collection[Entry] | None = None) -> Callable[[str], bytes | None]:
    """A function that gives the content of a small file at the top of ``root``.

    With ``entries`` it reads the blobs of a commit instead of the checkout.
    """
    if entries is not None:
        oids = {e.path: e.oid for e in entries if "/" not in e.path and not e.key}

        def from_commit(name: str) -> bytes | None:
            wanted = [oids[name]] if name in oids else []
            return next((content for _, content in read_blobs(root, wanted)), None)

        return from_commit

    def from_checkout(name: str) -> bytes | None:
        path = root / name
        try:
            # may be annexed: then it is a link into the annex, perhaps to nothing
            if path.is_file() and path.stat().st_size <= _SMALL:
                return path.read_bytes()
        except OSError:
            return None
        return None

    return from_checkout
