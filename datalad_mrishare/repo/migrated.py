"""Keys that git-annex moved to other backends, read from its branch.

``git annex migrate`` commits a tree ``migrate.tree`` to its branch and takes it away with the next
commit, so that it stays in the history: ``old/N`` and ``new/N`` are links to the keys of one
content before and after. Seen with git-annex 10.20261026; its page ``internals`` describes it.
What ``git annex forget`` has dropped is not known any more.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from .commits import ALOOF
from .contents import Contents
from .process import git_text
from .trees import LINK
from .treewalk import DIRECTORY, Found, Trees, look_up

#: the branch of git-annex here, and as others have it; without a star git takes it for a directory
_BRANCHES = ("--glob=refs/heads/git-anne[x]", "--glob=refs/remotes/*/git-annex")


def read_migrated(repo: Path) -> list[tuple[str, str]]:
    """The keys before and after, of every migration that anybody recorded."""
    # commits of this message put a tree where another commit of git-annex takes it away again
    argv = ("rev-list", "--format=%T", "--basic-regexp", "--grep=^graft$", *_BRANCHES)
    lines = git_text(repo, *argv, env=ALOOF, timeout=None).splitlines()
    roots = [line for line in lines if not line.startswith("commit ")]
    if not roots:
        return []
    asked = [(root, f"migrate.tree/{side}") for root in roots for side in ("old", "new")]
    found = look_up(repo, asked)
    pairs: list[tuple[str, str]] = []
    with Trees(repo) as trees:
        for root in roots:
            ids = [
                found.get((root, f"migrate.tree/{side}"), ("", ""))[1] for side in ("old", "new")
            ]
            before, after = ({f.path: f.oid for f in _files(trees, oid)} for oid in ids)
            pairs += [(oid, after[path]) for path, oid in before.items() if path in after]
    contents = Contents(repo)
    contents.learn((LINK, oid) for pair in pairs for oid in pair)
    keys = ((contents.of(old).key, contents.of(new).key) for old, new in pairs)
    return list(dict.fromkeys((old, new) for old, new in keys if old and new))


def _files(trees: Trees, oid: str) -> Iterator[Found]:
    return trees.below(Found("", DIRECTORY, oid))
