"""A working tree at a sibling that a killed push left halfway between two releases.

``datalad create-sibling`` makes repositories with a working tree, and git brings that up to date
before it moves the branch (``receive.denyCurrentBranch=updateInstead``). Killed in between it
leaves files of both releases, and takes them ever after for changes of somebody who works there.

What lies there is only touched when a lock or an index says that git was killed at it, when nobody
has added anything to the index, and when the repository knows the content of every file: then
nothing can be lost.
"""

from __future__ import annotations

from pathlib import Path

from .process import NEUTRAL, complete
from .ssh import GO_THERE

#: says that git was killed at the index, from before its lock is removed until all is well
MARK = "mrishare-halfway"

#: goes on in the repository at "$1", if it has a working tree; nothing of git runs there
MEND = (
    GO_THERE
    + r"""
cd "$place" || return 0
[ "$(git rev-parse --is-bare-repository)" = false ] || return 0
gitdir="$(cd "$(git rev-parse --absolute-git-dir)" && pwd -P)"
[ ! -e "$gitdir/index.lock" ] || return 0
mark="$gitdir/mrishare-halfway"
head="$(git rev-parse -q --verify HEAD || git hash-object -t tree --stdin </dev/null)"
if git diff-index --quiet --cached "$head" --; then
    [ -e "$mark" ] || return 0
else
    # the index was written, the branch not: it is that of a commit that nothing leads to;
    # any other is what somebody has added there
    tree="$(git write-tree)" && git cat-file --batch-all-objects \
        --batch-check='%(objecttype) %(objectname)' | sed -n 's/^commit //p' |
        git log --no-walk --stdin --format=%T | grep -q -x -e "$tree" &&
        ! git log --all --format=%T | grep -q -x -e "$tree" || { rm -f "$mark"; return 0; }
    : > "$mark"
fi
# what of it the repository does not know would have to be written
spare="$(mktemp -d)" || return 0
mkdir "$spare/objects"
[ ! -e "$gitdir/index" ] || cp -p "$gitdir/index" "$spare/index"
if GIT_INDEX_FILE="$spare/index" GIT_OBJECT_DIRECTORY="$spare/objects" \
    GIT_ALTERNATE_OBJECT_DIRECTORIES="$gitdir/objects" \
    git -c filter.annex.clean= -c filter.annex.process= -c filter.annex.required=false \
    add -A . 2>/dev/null && [ -z "$(find "$spare/objects" -type f | head -n 1)" ]; then
    if git rev-parse -q --verify HEAD >/dev/null; then
        git reset --quiet --hard
    else
        git read-tree --empty
    fi
    git clean -q -f -d
fi
rm -rf "$spare"
rm -f "$mark"
return 0
"""
)


def mark(gitdir: Path) -> None:
    """Remember a lock of the index before it is removed."""
    if (gitdir / "index.lock").exists():
        (gitdir / MARK).touch()


def mend(path: Path) -> None:
    """Bring the working tree of the repository at ``path`` back to its branch."""
    text = f'mrishare() {{\n{MEND}\n}}\nmrishare "$@" </dev/null\n'
    complete(("sh", "-s", "--", str(path)), "/", stdin=text.encode(), env=NEUTRAL, timeout=None)
