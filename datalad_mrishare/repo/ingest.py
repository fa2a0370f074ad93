"""Taking files into a repository without running anything the repository contains.

Everything here is meant to be called inside ``configured(inert_settings(path))``: no
hooks, no filter drivers but git-annex's own, no fsmonitor, no signing, no automatic
housekeeping. Commits are made with plumbing, so that git never looks into
subdatasets, whose configuration could name programs of its own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import RepoError
from .process import annex, git, git_succeeds, git_text, stream
from .trees import decode, encode
from .worktree import Checkout

#: git-annex's filter as `git annex init` configures it, whatever the repository's config says
_ANNEX_FILTER = {
    "filter.annex.smudge": "git-annex smudge -- %f",
    "filter.annex.clean": "git-annex smudge --clean -- %f",
    "filter.annex.process": "git-annex filter-process",
}
_INERT = {
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    "commit.gpgSign": "false",
    "tag.gpgSign": "false",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "submodule.recurse": "false",
    "diff.ignoreSubmodules": "all",
    "protocol.ext.allow": "never",
    "annex.freezecontent-command": "",
    "annex.thawcontent-command": "",
    "annex.secure-erase-command": "",
}


def inert_settings(path: Path) -> dict[str, str]:
    """Settings under which git and git-annex run no program that ``path`` or its config names."""
    names = git(path, "config", "--name-only", "-z", "--get-regexp", r"^filter\.", ok=(0, 1, 128))
    drivers = {n.rpartition(".")[0] for n in names.decode("utf-8", "surrogateescape").split("\0")}
    settings = dict(_INERT)
    for driver in sorted(drivers - {"", "filter.annex"}):
        for variable in ("clean", "smudge", "process"):
            settings[f"{driver}.{variable}"] = ""
        settings[f"{driver}.required"] = "false"
    return {**settings, **_ANNEX_FILTER}


def create_repository(path: Path) -> Checkout:
    """``git init``, on the user's ``init.defaultBranch`` or ``main``; harmless when repeated."""
    named = git_succeeds(path, "config", "init.defaultBranch")
    git(path, "init", "-q", *(() if named else ("-b", "main")))
    return Checkout(path)


def is_annex(path: Path) -> bool:
    """Whether git-annex is initialised in the repository at ``path``."""
    return git_succeeds(path, "config", "--local", "annex.uuid")


def has_annex_branch(path: Path) -> bool:
    """Whether the repository has a git-annex branch, its own or that of a remote."""
    listed = git(path, "for-each-ref", "--format=%(refname)")
    return any(ref.endswith(b"/git-annex") for ref in listed.splitlines())


def init_annex(checkout: Checkout) -> None:
    """``git annex init``; no special remote is enabled, so no network is waited for."""
    if not is_annex(checkout.path):
        annex(checkout.path, "init", "--no-autoenable", "--quiet", env=checkout.identity)


@dataclass(frozen=True)
class Changes:
    """How checkout and index differ from HEAD.

    ``to_add`` are new and modified files, ``conflicts`` unmerged ones; ``staged`` tells
    whether the index has something that HEAD has not.
    """

    to_add: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()
    staged: bool = False


def read_changes(repo: Path) -> Changes:
    """The state of the checkout by ``git status``; subdatasets are not looked at."""
    raw = git(
        repo,
        "status",
        *("--porcelain=v1", "-z", "--untracked-files=all", "--no-renames"),
        "--ignore-submodules=all",
    )
    to_add, conflicts, staged = [], [], False
    for entry in raw.split(b"\0"):
        if not entry:
            continue
        code, path = entry[:2].decode("ascii"), decode(entry[3:])
        if "U" in code or code in ("AA", "DD"):
            conflicts.append(path)
        elif code == "??" or code[1] in "MTA":
            to_add.append(path)
        staged = staged or code[0] not in " ?"
    return Changes(tuple(to_add), tuple(conflicts), staged)


def ignored_files(repo: Path) -> list[str]:
    """Untracked paths that ``.gitignore`` keeps out; a directory ends with a slash."""
    listed = git(
        repo, "ls-files", "-z", "--others", "--ignored", "--exclude-standard", "--directory"
    )
    return [decode(path) for path in listed.split(b"\0") if path]


def add_files(
    checkout: Checkout,
    paths: Sequence[str],
    *,
    dotfiles: bool,
    each: Callable[[], None] = lambda: None,
) -> None:
    """``git annex add`` of exactly ``paths``; ``each`` is called after each of them.

    Parameters
    ----------
    dotfiles : bool
        Whether the rules in ``.gitattributes`` count for dotfiles, too; otherwise they
        all go into git.

    Raises
    ------
    RepoError
        When one file could not be added.
    """
    # the program itself, not `git annex`: a killed git would leave it running
    argv = ["git-annex", "add", "--batch", "-z", "--json", "--json-error-messages"]
    argv += ["-c", f"annex.dotfiles={str(dotfiles).lower()}"]
    if not paths:
        return
    failed: list[str] = []
    try:
        feed = (encode(path) + b"\0" for path in paths)
        for line in stream(argv, checkout.path, feed=feed, env=checkout.identity):
            each()
            record = json.loads(decode(line)) if line.strip() else {}
            if record and not record.get("success", True):
                failed.append("; ".join(record.get("error-messages", [])) or "no reason given")
    except RepoError as exc:
        raise _add_failed(checkout, failed or [exc.what]) from exc
    if failed:
        raise _add_failed(checkout, failed)


def _add_failed(checkout: Checkout, reasons: Sequence[str]) -> RepoError:
    more = f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else ""
    return RepoError(
        f"git-annex could not add a file: {reasons[0].strip()}{more}",
        where=str(checkout.path),
        remedy="Everything was put back; remove the cause and run this again",
    )


def commit_index(checkout: Checkout, message: str) -> str | None:
    """Commit what is in the index; None when HEAD has it already."""
    head, env = checkout.head(), checkout.identity
    tree = git_text(checkout.path, "write-tree")
    if head and tree == git_text(checkout.path, "rev-parse", f"{head}^{{tree}}"):
        return None
    parent = ("-p", head) if head else ()
    made = git_text(
        checkout.path, "commit-tree", tree, *parent, "-F", "-", stdin=message.encode(), env=env
    )
    reason = message.partition("\n")[0]
    git(checkout.path, "update-ref", "-m", reason, "HEAD", made, head or "0" * 40, env=env)
    return made


def refresh_index(repo: Path) -> None:
    """Let the index know files that are as they were added, so that `git status` is quick.

    git-annex adds text without noting its times, and git then asks git-annex's filter
    about each file, on every status: 500 files take 3 s. Without the filter the same
    comparison takes 0.04 s; unlocked annexed files are left for the next status.
    """
    off = ("filter.annex.clean=", "filter.annex.process=", "filter.annex.required=false")
    options = [word for setting in off for word in ("-c", setting)]
    git(repo, *options, "update-index", "-q", "--refresh", ok=(0, 1))


def set_presence(checkout: Checkout, keys: Iterable[str], *, here: bool) -> None:
    """Record that this repository has the content of ``keys``, or has it no more."""
    word = int(here)
    uuid = checkout.uuid

    def lines() -> Iterator[bytes]:
        for key in keys:
            yield encode(f"{key} {uuid} {word}\n")

    argv = ("git-annex", "setpresentkey", "--batch")
    for _ in stream(argv, checkout.path, feed=lines(), env=checkout.identity):
        pass


def fetch_history(checkout: Checkout, source: Path, name: str = "origin") -> None:
    """Add ``source`` as a remote and fetch its branches and tags; nothing is written there.

    A clone that git-annex has not seen yet knows locations only from its own remotes.
    """
    refs = [f"+refs/heads/*:refs/remotes/{name}/*"]
    listed = git_text(source, "for-each-ref", "--format=%(refname)", "refs/remotes").splitlines()
    learned = [ref for ref in listed if ref.endswith("/git-annex")]
    refs += [f"+{ref}:{ref.replace('refs/', f'refs/mrishare/{name}/', 1)}" for ref in learned]
    if not git_succeeds(checkout.path, "config", "--local", f"remote.{name}.url"):
        git(checkout.path, "remote", "add", name, str(source))
    fetch = ("fetch", "-q", "--no-write-fetch-head", "--no-recurse-submodules", "--tags")
    git(checkout.path, *fetch, name, *refs, timeout=None)


def check_out(checkout: Checkout, branch: str, commit: str, settings: Mapping[str, str]) -> None:
    """Make ``branch`` at ``commit`` the checked-out one; ``settings`` are stored for it."""
    git(checkout.path, "checkout", "-q", "-f", "-B", branch, commit, timeout=None)
    for name, value in settings.items():
        git(checkout.path, "config", "--local", f"branch.{branch}.{name}", value)
