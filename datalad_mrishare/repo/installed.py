"""Where the halves of a dataset are, and which of its subdatasets are here."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from ..errors import RepoError
from .commits import ALOOF
from .process import git_text


class Place(NamedTuple):
    """A dataset: its working tree (or bare repository), what is private in it, its content."""

    path: Path
    private: Path
    objects: Path


def place_of(path: Path) -> Place:
    """The dataset at ``path``.

    Raises
    ------
    RepoError
        When there is none.
    """
    told = git_text(path, "rev-parse", "--absolute-git-dir", "--git-common-dir", env=ALOOF)
    private, common = told.split("\n")
    return Place(path, Path(private, "mrishare"), (path / common).resolve() / "annex" / "objects")


def subdataset(top: Path, path: Path) -> Place | None:
    """The dataset at ``path`` when it is installed there, and nowhere outside of ``top``."""
    if not os.path.lexists(path / ".git") or path.resolve() != path:
        return None
    try:
        found = place_of(path)
    except RepoError:
        return None
    inside = top.resolve()
    every = (found.private.resolve(), found.objects.parent.parent)
    return found if all(one.is_relative_to(inside) for one in every) else None


def commit_named(repo: Path, name: str) -> str | None:
    """The id of a commit; None when there is none of that name."""
    found = git_text(repo, "rev-parse", "-q", "--verify", f"{name}^0", ok=(0, 1, 128), env=ALOOF)
    return found or None
