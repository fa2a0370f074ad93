"""A sibling behind ``https://`` that takes content, too: its server runs ``git annex p2phttp``.

Nothing there can be run or written but by git and git-annex. So it cannot be made neutral from
here: it has to be made so on its server, and that is looked at before anything is shared.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

from ..errors import SiblingError
from .annexbranch import NO_KEY, _log_names, descriptions, discover_remotes
from .contentonly import holds_known
from .process import NEUTRAL, complete, git, git_succeeds, git_text
from .reasons import in_short
from .remotes import refs_at, remotes
from .transport import read_on_the_way

_BRANCH = "refs/heads/git-annex"
#: what the branch there is called here for a moment; of no ending that git-annex merges
_LOOKED_AT = "refs/mrishare/looked-at"
#: seconds that the server has to answer one question
PATIENCE = 60.0


def annex_url(repo: Path, name: str, env: Mapping[str, str]) -> str | None:
    """Where git-annex finds the content of remote ``name``; None where its server does not say."""
    before = remotes(repo)[name].settings
    if not {"annexurl", "annex-uuid"} <= before.keys():
        if not git_succeeds(repo, "ls-remote", "--quiet", name):
            return None  # git-annex would take note of it for ever
        # git-annex asks those only that it does not know
        git(repo, "config", "--local", "--unset-all", f"remote.{name}.annex-uuid", ok=(0, 5))
        discover_remotes(repo, env)
    found = remotes(repo)[name]
    usable = found.uuid and found.settings.get("annex-ignore") != "true"
    if usable and "annexurl" in found.settings:
        return found.settings["annexurl"]
    # what git-annex made of it is not to stay
    for variable in found.settings.keys() - before.keys():
        git(repo, "config", "--local", "--unset-all", f"remote.{name}.{variable}", ok=(0, 5))
    if "annex-uuid" in before and not found.uuid:
        git(repo, "config", "--local", f"remote.{name}.annex-uuid", before["annex-uuid"])
    return None


def must_take_content(repo: Path, name: str, env: Mapping[str, str]) -> None:
    """See that content reaches remote ``name``, and that nobody on the way reads it.

    Raises
    ------
    SiblingError
        When it does not, or somebody could.
    """
    url = annex_url(repo, name, env)
    wrong = read_on_the_way(url) if url else "its server does not say where content goes"
    if wrong:
        raise SiblingError(
            wrong,
            where=f"sibling '{name}'",
            remedy="On its server, let annex.url be annex+https://HOST/git-annex/ in the"
            " repository's file `config`, and serve that file. Then let git-annex look again: git"
            f" config --unset remote.{name}.annexUrl",
        )


def contents(repo: Path, url: str, name: str) -> list[str]:
    """What makes the repository at ``url``, remote ``name``, not empty, in words.

    p2phttp may keep to itself for a while what it knows, so it is asked for the content, too:
    for some of what is known here. What others put there under other names is not seen.

    Raises
    ------
    SiblingError
        When it is empty, but tells who made it.
    """
    found = refs_at(repo, url)
    others = [f"ref {ref}" for ref in found if ref != _BRANCH]
    if holds_known(repo, name, remotes(repo)[name].uuid or ""):
        others.append("annexed content")
    if _BRANCH not in found:
        return others
    refspec = f"+{_BRANCH}:{_LOOKED_AT}"
    git(repo, "fetch", "--quiet", "--no-tags", "--no-write-fetch-head", url, refspec)
    tip = git_text(repo, "rev-parse", _LOOKED_AT)
    git(repo, "update-ref", "-d", _LOOKED_AT)
    if any(True for _ in _log_names(repo, tip)):
        others.append("a git-annex branch that knows keys")
    makers = {*git_text(repo, "log", "--format=%ae%n%ce", tip).split()}
    told = makers - {NEUTRAL["GIT_AUTHOR_EMAIL"], NEUTRAL["GIT_COMMITTER_EMAIL"]}
    told |= {words for words in descriptions(repo, tip).values() if "@" in words or "/" in words}
    if told and not others:
        raise SiblingError(
            f"tells who made it ({min(told)}), and that cannot be taken out over https",
            where=f"sibling '{name}'",
            remedy=f"Make it anew on its server: {commands(name)}",
        )
    return others


def commands(name: str) -> str:
    """What makes such a repository on its server."""
    words = [
        "git init --bare --initial-branch=main DIR",
        "cd DIR",
        f"git config user.name {NEUTRAL['GIT_COMMITTER_NAME']}",
        f"git config user.email {NEUTRAL['GIT_COMMITTER_EMAIL']}",
        f"git annex init {shlex.quote(name)}",
        "git config annex.url annex+https://HOST/git-annex/",
    ]
    return " && ".join(words)


def must_answer(repo: Path, remote: str, env: Mapping[str, str]) -> None:
    """Ask for content that nobody has: git-annex takes what does not answer for not there.

    Raises
    ------
    SiblingError
        When there is no answer.
    """
    argv = ("git-annex", "checkpresentkey", NO_KEY, remote)
    done = complete(argv, repo, env=env, timeout=PATIENCE)
    if done.returncode not in (0, 1):
        said = in_short(done.stderr.decode("utf-8", "replace").strip()).splitlines()
        reason = next((line.strip() for line in said if line.strip()), "no reason given")
        if "could not read" in reason or "Authentication failed" in reason:
            reason = "it is not given the password that it asks for"
        raise SiblingError(
            f"cannot be asked for content: {reason}",
            where=f"sibling '{remote}'",
            remedy="See that `git annex p2phttp` runs on its server, and that git knows the"
            " password: git credential fill",
        )
