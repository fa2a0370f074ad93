"""A clone that holds nothing but declared inputs, to run a recorded command again in it.

The clone is a scratch directory below ``.git/mrishare/seal``: no remotes, so that nothing can
be fetched; of the annex only what is lent; of the files in git none that are hidden. It
dies with the command, and what a kill leaves is removed by the next one.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..errors import RepoError
from .keys import find_object
from .process import NEUTRAL, annex, environment, git
from .strangers import remove
from .trees import encode
from .worktree import Checkout

_BRANCH = "sealed"
#: between these lines of DataLad stands what the command says
_START, _END = "== Command start", "== Command exit"
#: DataLad of this very environment, wherever its scripts are
_DATALAD = "from datalad.cli.main import main; main()"
#: no transport of git is left, so that nothing is fetched (git(1), GIT_ALLOW_PROTOCOL)
_ALONE = {"GIT_ALLOW_PROTOCOL": "none", "DATALAD_UI_PROGRESSBAR": "none"}


@dataclass(frozen=True)
class Repeated:
    """How the command ended: whether it did as recorded, what it complained of, the new commit."""

    ok: bool
    said: str
    commit: str


@contextmanager
def sealed_clone(
    checkout: Checkout, parent: str, lent: Iterable[str], hidden: Sequence[str]
) -> Iterator[Path]:
    """A clone at ``parent`` with content of the keys ``lent`` and without the files ``hidden``.

    Raises
    ------
    RepoError
        When it cannot be made, or content that is to be lent is not here.
    """
    place = checkout.ours / "seal"
    remove(place)
    place.mkdir(parents=True)
    clone = place / "clone"
    try:
        git(place, "clone", "--quiet", "--no-checkout", "--", str(checkout.path), str(clone))
        git(clone, "checkout", "--quiet", "-B", _BRANCH, parent)
        # before git-annex knows the clone, so that it hears of no other place
        git(clone, "remote", "remove", "origin")
        annex(clone, "init", "--quiet", "sealed", env=NEUTRAL)
        for key in lent:
            source = find_object(checkout.objects, key)
            if source is None:
                raise RepoError("is a declared input, and its content is not here", where=key)
            target = clone / ".git/annex/objects" / source.relative_to(checkout.objects)
            _copy(source, target)
        _hide(clone, hidden)
        yield clone
    finally:
        remove(place)


def _copy(source: Path, target: Path) -> None:
    """Content for a command that may write to whatever it finds: never a link to the original."""
    target.parent.mkdir(parents=True, exist_ok=True)
    argv = ["cp", "--reflink=auto", os.fspath(source), os.fspath(target)]
    try:
        if subprocess.run(argv, capture_output=True, check=False).returncode:
            shutil.copyfile(source, target)
        target.chmod(0o444)
    except OSError as exc:
        raise RepoError(
            f"content cannot be copied: {exc.strerror}",
            where=str(source),
            remedy="Make room on this file system and run this again",
        ) from exc


def _hide(clone: Path, paths: Sequence[str]) -> None:
    """Take files in git out of the working tree; git shall not take that for a change."""
    if not paths:
        return
    fed = b"".join(encode(path) + b"\0" for path in paths)
    git(clone, "update-index", "-z", "--skip-worktree", "--stdin", stdin=fed)
    for path in paths:
        (clone / path).unlink(missing_ok=True)


def repeat(clone: Path, commit: str, pass_fds: Sequence[int] = ()) -> Repeated:
    """Run the command that ``commit`` recorded, by ``datalad rerun``; this executes it.

    ``pass_fds``: the lock of the clone. Should we be killed, the command runs on in it, and who
    comes next has to wait for its end.
    """
    argv = [sys.executable, "-c", _DATALAD, "rerun", commit]
    done = subprocess.run(
        argv,
        cwd=clone,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env=environment({**NEUTRAL, **_ALONE}),
        pass_fds=tuple(pass_fds),
        check=False,
    )
    said = done.stderr.decode("utf-8", "replace")
    if _START in said:  # what DataLad itself says before and after is about other files
        said = said.partition(_START)[2].partition("\n")[2].partition(_END)[0]
        said = said.rpartition("\n")[0]
    head = git(clone, "rev-parse", "HEAD").decode("ascii").strip()
    return Repeated(done.returncode == 0, said, head)
