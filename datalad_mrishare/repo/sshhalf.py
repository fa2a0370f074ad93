"""The git half of a sibling behind ssh: the same questions and acts as on a path.

One connection to look, one more where something is to be done there (see
:mod:`~datalad_mrishare.repo.githalf` for why a git half is made neutral).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

from ..errors import SiblingError
from .halfway import MEND
from .process import NEUTRAL
from .ssh import GO_THERE, SshPlace

#: prints `WORD VALUE` lines; "$2" is what our own commits are signed with
_LOOK = (
    GO_THERE
    + r"""
cd "$place" 2>/dev/null || { echo "missing $place"; return 0; }
gitdir="$(git rev-parse --absolute-git-dir 2>/dev/null)" || {
    command -v git >/dev/null || { echo "nogit -"; return 0; }
    echo "norepo $(git rev-parse --absolute-git-dir 2>&1 | head -n 1)"; return 0
}
gitdir="$(cd "$gitdir" && pwd -P)"
here="$(pwd -P)"
[ "$gitdir" = "$here" ] || [ "${gitdir%/*}" = "$here" ] || { echo "around $gitdir"; return 0; }
[ -w "$gitdir" ] || echo "readonly -"
command -v git-annex >/dev/null && command -v git-annex-shell >/dev/null && echo "program -"
find "$gitdir"/*.lock "$gitdir"/packed-refs.new "$gitdir"/annex/*.lock "$gitdir/refs" 2>/dev/null \
    \( -name '*.lock' -o -name packed-refs.new \) -type f -mmin +10 | head -n 1 | sed 's/^/stale /'
echo "bare $(git rev-parse --is-bare-repository)"
if [ "$gitdir" != "$here" ]; then
    last="$(git rev-parse -q --verify HEAD || git hash-object -t tree --stdin </dev/null)"
    [ ! -e "$gitdir/mrishare-halfway" ] && git diff-index --quiet --cached "$last" -- ||
        echo "halfway -"
fi
echo "head $(git symbolic-ref -q HEAD)"
echo "version $(git config --local annex.version)"
echo "name $(git config --local user.name)"
echo "mail $(git config --local user.email)"
git for-each-ref --format='ref %(refname)'
foreign="$(git log --all --format='%ae%n%ce' | grep -v -x -F -e "$2" | head -n 1)"
[ -z "$foreign" ] || echo "foreign -"
if [ "$3" = all ] || [ -n "$foreign" ]; then
    git for-each-ref --format='%(refname)' | grep '/git-annex$' | while IFS= read -r ref; do
        git ls-tree -r --name-only "$ref"
    done | grep -q '^[^/]*/[^/]*/[^/]*\.log\(\.met\)\{0,1\}$' && echo "keys -"
    for d in annex/objects archives; do
        [ -z "$(find "$gitdir/$d" -type f 2>/dev/null | head -n 1)" ] || echo "content -"
    done
    named="$(mktemp)" && git rev-list --objects --all | cut -d ' ' -f 1 > "$named"
    git hash-object -t tree --stdin >> "$named"
    [ -z "$(git cat-file --batch-all-objects --batch-check='%(objectname)' |
        grep -v -x -F -f "$named" | head -n 1)" ] || echo "forgotten -"
    rm -f "$named"
    [ "$gitdir" = "$here" ] || [ -z "$(find . -mindepth 1 -maxdepth 1 ! -name .git |
        head -n 1)" ] || echo "files -"
fi
return 0
"""
)

#: removes lock files of git that a killed command left: our account's, minutes old, and no
#: process of the account has them open or runs git there (only those can be looked at)
_SWEEP = (
    GO_THERE
    + r"""
cd "$place" && [ -d /proc/self/fd ] || return 0
gitdir="$(git rev-parse --absolute-git-dir)"
gitdir="$(cd "$gitdir" && pwd -P)"
for process in /proc/[0-9]*; do
    case "$(cat "$process/comm" 2>/dev/null) $(readlink "$process/cwd" 2>/dev/null)/" in
    git*" $gitdir/"* | git*" ${gitdir%/.git}/"*) return 0 ;;
    esac
done
held="$(ls -l /proc/[0-9]*/fd 2>/dev/null | sed -n 's/.* -> //p')"
[ -n "$held" ] || return 0
find "$gitdir"/*.lock "$gitdir"/packed-refs.new "$gitdir"/annex/*.lock "$gitdir/refs" 2>/dev/null \
    \( -name '*.lock' -o -name packed-refs.new \) -type f -mmin +10 | while IFS= read -r file; do
    [ -O "$file" ] || continue
    printf '%s\n' "$held" | grep -q -x -F -e "$file" && continue
    [ "$file" != "$gitdir/index.lock" ] || : > "$gitdir/mrishare-halfway"
    rm -f "$file"
done
"""
)

# $2 branch, $3 name of the annex or nothing, $4 neutral|own, $5 unmake|keep, $6 $7 identity
_PREPARE = (
    GO_THERE
    + r"""
set -e
cd "$place"
if [ -n "$6" ]; then
    export GIT_AUTHOR_NAME="$6" GIT_COMMITTER_NAME="$6" GIT_AUTHOR_EMAIL="$7"
    export GIT_COMMITTER_EMAIL="$7" TZ=UTC
fi
gitdir="$(git rev-parse --absolute-git-dir)"
if [ "$5" = unmake ]; then
    git for-each-ref --format='delete %(refname)' | git update-ref --stdin
    rm -rf "$gitdir/annex" "$gitdir/logs" "$gitdir/gc.log"
    for v in annex.uuid annex.version; do git config --local --unset-all $v || test $? = 5; done
    git reflog expire --expire=now --all
    git gc --quiet --prune=now
fi
if [ "$4" = neutral ]; then
    git config --local user.name "$6"
    git config --local user.email "$7"
    if [ "$(git rev-parse --is-bare-repository)" = false ]; then
        git config --local receive.denyCurrentBranch updateInstead
    fi
fi
if [ -n "$2" ] && ! git rev-parse -q --verify "refs/heads/$2" >/dev/null; then
    git symbolic-ref HEAD "refs/heads/$2"
fi
if [ -n "$3" ] && ! git config --local annex.version >/dev/null; then
    git annex init "$3" >/dev/null
fi
"""
)


class SshHalf:
    """A git repository of a sibling behind ssh, as it was when last looked at."""

    def __init__(self, place: SshPlace, name: str):
        self.place, self.name = place.of(name), name
        self._seen = self._look()
        self._must_be_usable()

    def _look(self, *more: str) -> dict[str, list[str]]:
        words = (self.place.path, NEUTRAL["GIT_AUTHOR_EMAIL"], *more)
        seen: dict[str, list[str]] = {}
        for line in self.place.run(_LOOK, *words).splitlines():
            word, _, value = line.partition(" ")
            seen.setdefault(word, []).append(value)
        return seen

    def _must_be_usable(self) -> None:
        where = f"sibling '{self.name}' at {self.place}"
        create = f"Create it there with: git init --bare {self.place.path}"
        seen = self._seen
        if "missing" in seen:
            raise SiblingError(
                "cannot be reached: there is no such directory",
                where=where,
                remedy=f"{create}; nothing was changed",
            )
        if "nogit" in seen:
            raise SiblingError("has no git on that machine", where=where, remedy="Install it there")
        if "norepo" in seen:
            raise SiblingError("is not a git repository", where=where, remedy=create)
        if "around" in seen:
            raise SiblingError(
                f"is not a git repository (the one around it is {seen['around'][0]})",
                where=where,
                remedy=create,
            )
        if "readonly" in seen:
            raise SiblingError(
                "cannot be written",
                where=where,
                remedy="Ask its owner for write permission; nothing was changed",
            )

    def refs(self) -> list[str]:
        """Every ref there."""
        return self._seen.get("ref", [])

    def annexed(self) -> bool:
        """Whether git-annex has been initialised there, to the end."""
        return bool(self._value("version"))

    def _value(self, word: str) -> str:
        return self._seen.get(word, [""])[0]

    @property
    def bare(self) -> bool:
        """Whether it has no working tree."""
        return self._value("bare") == "true"

    @cached_property
    def _everything(self) -> dict[str, list[str]]:
        return self._look("all")

    def contents(self) -> list[str]:
        """What makes it not empty, in words; an empty list when it is."""
        seen = self._everything
        found = [
            f"ref {name}"
            for name in seen.get("ref", [])
            if not name.endswith("/git-annex") and not name.startswith("refs/annex/")
        ]
        if "keys" in seen:
            found.append("a git-annex branch that knows keys")
        if "content" in seen:
            found.append("annexed content")
        if not found and "forgotten" in seen:
            found.append("objects of branches that were deleted")
        if "files" in seen:
            found.append("files in its working tree")
        return found

    def make_neutral(self, name: str, branch: str, *, with_annex: bool) -> None:
        """Prepare it for releases, as on a path; nothing when that was done before."""
        self._sweep()
        who, mail = NEUTRAL["GIT_COMMITTER_NAME"], NEUTRAL["GIT_COMMITTER_EMAIL"]
        # what holds our own commits only is ours, and stays
        unmake = "foreign" in self._seen and not self.contents()
        done = (self._value("name"), self._value("mail")) == (who, mail)
        ready = self.annexed() or not with_annex
        if done and ready and not unmake and self._on_branch(branch):
            return
        annex = name if with_annex else ""
        self._prepare(branch, annex, "neutral", "unmake" if unmake else "keep", who, mail)

    def make_ready(
        self, name: str, branch: str, *, with_annex: bool, env: Mapping[str, str]
    ) -> bool:
        """Prepare it as own storage; return whether it has become an annex by that."""
        self._sweep()
        heads = any(ref.startswith("refs/heads/") for ref in self.refs())
        branch = branch if self.bare and not heads and not self._on_branch(branch) else ""
        annex = name if with_annex and not self.annexed() else ""
        if branch or annex:
            who = env.get("GIT_COMMITTER_NAME", ""), env.get("GIT_COMMITTER_EMAIL", "")
            self._prepare(branch, annex, "own", "keep", *who)
        return bool(annex)

    def _sweep(self) -> None:
        """Take away what a killed command left; a look has told whether there is anything."""
        if "stale" in self._seen:
            self.place.run(_SWEEP, self.place.path)
        if not self.bare and not {"stale", "halfway"}.isdisjoint(self._seen):
            self.place.run(MEND, self.place.path, timeout=3600)

    def _on_branch(self, branch: str) -> bool:
        ref = f"refs/heads/{branch}"
        return ref in self.refs() or self._value("head") == ref

    def _prepare(self, branch: str, annex: str, *words: str) -> None:
        if annex and "program" not in self._seen:
            raise SiblingError(
                "has no git-annex on the PATH of an ssh session",
                where=f"sibling '{self.name}' at {self.place}",
                remedy="Install git-annex there, then run this again; nothing was changed",
            )
        self.place.run(_PREPARE, self.place.path, branch, annex, *words)
        self._seen = self._look()
        self.__dict__.pop("_everything", None)
