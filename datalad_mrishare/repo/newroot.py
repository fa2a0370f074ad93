"""Beginning the history of a sibling afresh: one release, and nothing of any before it.

A release that follows another leads to all before it, and so do the logs of git-annex. Where
something must not be named any more, both branches are made anew without parents: the release
as it is, and of the git-annex branch what it says of keys that are there now. Then the sibling
forgets the old objects, as far as somebody but its owner can make it.

In a repository on a path or behind ssh one shell script does all of it. It gets the new commits
under refs of their own first, so that until its one transaction the old history is whole. An
annex there also keeps an index, journals and logs of transfers that name keys; git-annex
unites an index with whatever its branch is set to, so these go before and after.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import SiblingError
from .annexbranch import BRANCH
from .keys import from_file_name
from .process import NEUTRAL, complete, git, git_text
from .remotes import Place
from .ssh import GO_THERE, SshPlace
from .trees import decode, write_tree

#: where the new commits wait; no name of git-annex's, which it would merge by itself
ANEW = "refs/mrishare/anew"
#: logs of a key that stay with it; what was said of it, and where it came from, does not
_KEPT = (".log", ".log.cnk", ".log.rmt", ".log.cid", ".log.ek")

# $2 branch, $3 new commit, $4 new commit of git-annex, $5 `annex` where content is inside
_BEGIN = (
    GO_THERE
    + r"""
set -e
cd "$place"
gitdir="$(cd "$(git rev-parse --absolute-git-dir)" && pwd -P)"
bare="$(git rev-parse --is-bare-repository)"
if [ "$bare" = false ] && [ -n "$(git status --porcelain --untracked-files=no)" ]; then
    echo "changed -"
    return 0
fi
forget() {
    [ ! -d "$gitdir/annex" ] ||
        find "$gitdir/annex" -mindepth 1 -maxdepth 1 ! -name objects -exec rm -rf {} +
}
forget
{
    echo "update refs/heads/$2 $3"
    echo "update refs/heads/git-annex $4"
    [ "$5" != annex ] || echo "update refs/heads/synced/git-annex $4"
    git for-each-ref --format='delete %(refname)' refs/mrishare/anew
} | git update-ref --stdin
[ "$bare" = true ] || git reset --quiet --hard
forget
if [ -d "$gitdir/annex/objects" ]; then
    find "$gitdir/annex/objects" -name '*.lck' -size 0 -type f -exec sh -c '
        for lock; do
            [ -e "${lock%.lck}" ] || { chmod u+w "${lock%/*}"; rm -f "$lock"; }
        done' sh {} + || :
    find "$gitdir/annex/objects" -mindepth 1 -type d -empty -delete || :
fi
rm -f "$gitdir/ORIG_HEAD" "$gitdir/FETCH_HEAD" "$gitdir/gc.log"
git for-each-ref --format='delete %(refname)' refs/annex | git update-ref --stdin
git reflog expire --expire=now --all
git gc --quiet --prune=now
git for-each-ref --format='ref %(refname)'
return 0
"""
)


@dataclass(frozen=True)
class Begun:
    """A history that was begun afresh: the release it starts with, and what may be left there.

    ``left`` says in words why the old one may still be there; empty when it is not.
    """

    commit: str
    left: str = ""


def annex_branch_of(repo: Path, keys: Collection[str], env: Mapping[str, str]) -> str:
    """A commit without parents: what the git-annex branch says of ``keys`` and of remotes."""
    kept = []
    for line in git(repo, "ls-tree", "-r", "-z", "--full-tree", BRANCH).split(b"\0"):
        head, _, raw = line.partition(b"\t")
        path = decode(raw)
        if not path or not (path.count("/") == 0 or _of_key(path) in keys):
            continue
        mode, _, oid = head.decode("ascii").split(" ")
        kept.append((mode, oid, path))
    tree = write_tree(repo, kept)
    return git_text(repo, "commit-tree", tree, "-m", "update", env=env)


def _of_key(path: str) -> str | None:
    """The key that a log is about and may stay with; None of any other file."""
    parts = path.split("/")
    if len(parts) != 3:
        return None
    for end in sorted(_KEPT, key=len, reverse=True):
        if parts[2].endswith(end):
            return from_file_name(parts[2].removesuffix(end))
    return None


def begin_there(
    place: Place, name: str, branch: str, commits: tuple[str, str], *, annexed: bool
) -> str:
    """Let the repository at ``place`` begin with ``commits``, which it has under :data:`ANEW`.

    Parameters
    ----------
    place : Path or SshPlace
    name : str
        The sibling.
    branch : str
        The branch of releases.
    commits : tuple of str
        The release, and that of git-annex.
    annexed : bool
        Whether it holds the content itself.

    Returns
    -------
    str
        Why something of the old history may be left; empty when nothing is.

    Raises
    ------
    SiblingError
        When it cannot be reached or written, or its files were changed there.
    """
    where = f"sibling '{name}' at {place}"
    words = (branch, *commits, "annex" if annexed else "")
    if isinstance(place, SshPlace):
        said = place.of(name).run(_BEGIN, place.path, *words, timeout=3600)
    else:
        text = f'mrishare() {{\n{_BEGIN}\n}}\nmrishare "$@" </dev/null\n'
        argv = ("sh", "-s", "--", str(place), *words)
        done = complete(argv, "/", stdin=text.encode(), env=NEUTRAL, timeout=3600)
        said = done.stdout.decode("utf-8", "surrogateescape")
        if done.returncode:
            reason = done.stderr.decode("utf-8", "replace").strip() or "no reason given"
            raise SiblingError(
                f"could not begin its history afresh: {reason}",
                where=where,
                remedy="Mend that and run this again: it goes on where it stopped",
            )
    lines = said.splitlines()
    if "changed -" in lines:
        raise SiblingError(
            "has files that were changed there, and they would be lost",
            where=where,
            remedy="Save them elsewhere (git status there names them), then run this again",
        )
    ours = {f"refs/heads/{branch}", "refs/heads/git-annex", "refs/heads/synced/git-annex"}
    others = sorted({line.removeprefix("ref ") for line in lines if line.startswith("ref ")} - ours)
    if others:
        return f"{others[0]}{', ...' if len(others) > 1 else ''} there, which no release made"
    return ""
