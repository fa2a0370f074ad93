"""Locking remotes, so that no plain command puts anything there by accident.

Three bolts, because no single one stops everything (``docs/gates.md``):
``annex-readonly`` stops every git-annex transfer, an invalid ``pushurl`` stops
``git push`` in all its forms, and a pre-push hook says what to do. None of them
stops a person who means to: they stop accidents.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Collection, Sequence

from ..errors import RepoError
from .process import git, git_text
from .remotes import Remote, remotes
from .ssh import ssh_place
from .worktree import Checkout, write_file

_MARK = "mrishare-locked"
_KEPT = "mrishare-kept-"
_BOLTED = ("annex-readonly", "pushurl")
_CLOSED = "mrishare.closedurl"
_EARLIER = "mrishare.earlierhooks"

# git-annex enables no special remote while .git/hooks/pre-push is not its own to the
# letter, so ours stand in a directory in front of the others and hand over to them;
# rarer hooks (reference-transaction runs many times in one command) only where there are any
_HOOKS = """
applypatch-msg pre-applypatch post-applypatch pre-commit pre-merge-commit prepare-commit-msg
commit-msg post-commit pre-rebase post-checkout post-merge pre-push pre-receive update
post-receive post-update pre-auto-gc post-rewrite
""".split()

_HAND_OVER = f"""earlier="$(git config --type=path {_EARLIER})"
earlier="${{earlier:-$(git rev-parse --git-common-dir)/hooks}}/$(basename "$0")"
if [ -x "$earlier" ]; then exec "$earlier" "$@"; fi
exit 0
"""

_PRE_PUSH = f"""# datalad-mrishare: a remote without a policy, or one that is served from a release
# repository, receives nothing from here.
if [ "$(git config --bool "remote.$1.{_MARK}")" = true ]; then
    echo "mrishare: remote '$1' is locked, it has no sharing policy." >&2
    echo "mrishare: declare one: datalad mrishare-sibling '$1' --policy PRESET" >&2
    exit 1
fi
place() {{
    path="${{1#file://}}"
    if path="$(cd "$path" 2>/dev/null && pwd -P)"; then echo "${{path%/.git}}"; else echo "$1"; fi
}}
there="$(place "$2")"
git config --get-all {_CLOSED} | while IFS= read -r url; do
    if [ "$url" = "$2" ] || [ "$(place "$url")" = "$there" ]; then exit 1; fi
done || {{
    echo "mrishare: this sibling is served by 'datalad mrishare-publish' only." >&2
    exit 1
}}
# a push that names a URL and no remote
if [ "$1" = "$2" ]; then
    git config --name-only --get-regexp '^remote\\..*\\.{_MARK}$' | while IFS= read -r variable; do
        name="${{variable#remote.}}"
        name="${{name%.{_MARK}}}"
        if [ "$(place "$(git config "remote.$name.url")")" = "$there" ]; then exit 1; fi
    done || {{
        echo "mrishare: this is where a locked remote leads, it has no sharing policy." >&2
        echo "Declare one: datalad mrishare-sibling NAME --policy PRESET (git remote -v)" >&2
        exit 1
    }}
fi
"""


def lock_undeclared(checkout: Checkout, declared: Collection[str]) -> list[str]:
    """Lock every remote whose name is not in ``declared``; return those newly locked.

    The content half of a declared sibling counts as declared.
    """
    known = remotes(checkout.path)
    fine = set(declared) | {known[n].depends for n in declared if n in known}
    undeclared = [remote for name, remote in known.items() if name not in fine]
    newly = [remote for remote in undeclared if not is_locked(remote)]
    for remote in newly:
        lock_remote(checkout, remote)
    if undeclared or closed_urls(checkout):
        install_hook(checkout)
    return [remote.name for remote in newly]


def is_locked(remote: Remote) -> bool:
    """Whether all of our bolts are on ``remote``."""
    bolts = _MARK in remote.settings and remote.settings.get("annex-readonly") == "true"
    return bolts and (remote.special or is_bolt(remote.settings.get("pushurl", "")))


def is_bolt(pushurl: str) -> bool:
    """Whether this push URL is the invalid one that we set."""
    return pushurl.startswith("/dev/null/locked")


def lock_remote(checkout: Checkout, remote: Remote) -> None:
    """Put both bolts on ``remote``; the hook stands once for all."""
    section = f"remote.{remote.name}"
    if _MARK not in remote.settings:
        for variable in _BOLTED:
            _set(
                checkout, f"{section}.{_KEPT}{variable}", _values(checkout, f"{section}.{variable}")
            )
        _set(checkout, f"{section}.{_MARK}", ["true"])
    _set(checkout, f"{section}.annex-readonly", ["true"])
    if not remote.special:
        # git prints a push URL it cannot use, so the URL itself carries the remedy
        remedy = f"datalad mrishare-sibling {shlex.quote(remote.name)} --policy PRESET"
        bolt = f"/dev/null/locked, declare a policy first: {remedy}"
        _set(checkout, f"{section}.pushurl", [bolt])


def _values(checkout: Checkout, variable: str) -> list[str]:
    raw = git(checkout.path, "config", "--local", "-z", "--get-all", variable, ok=(0, 1))
    return [v for v in raw.decode("utf-8", "surrogateescape").split("\0") if v]


def _set(checkout: Checkout, variable: str, values: Sequence[str]) -> None:
    """Give the variable these values and no others."""
    if _values(checkout, variable) == list(values):
        return
    git(checkout.path, "config", "--local", "--unset-all", variable, ok=(0, 5))
    for value in values:
        git(checkout.path, "config", "--local", "--add", variable, value)


def unlock_remote(checkout: Checkout, name: str) -> bool:
    """Take our bolts off and put the remote's own settings back; return whether there were any."""
    remote = remotes(checkout.path).get(name)
    if remote is None or _MARK not in remote.settings:
        return False
    section = f"remote.{name}"
    for variable in _BOLTED:
        kept = f"{section}.{_KEPT}{variable}"
        _set(checkout, f"{section}.{variable}", _values(checkout, kept))
        _set(checkout, kept, [])
    _set(checkout, f"{section}.{_MARK}", [])
    return True


def close_url(checkout: Checkout, url: str) -> None:
    """Let the hook refuse a push to ``url`` under any name."""
    closed = closed_urls(checkout)
    for spelling in _spellings(url):
        if spelling not in closed:
            git(checkout.path, "config", "--local", "--add", _CLOSED, spelling)
    install_hook(checkout)


def reopen_url(checkout: Checkout, url: str) -> None:
    """Undo :func:`close_url`."""
    closed = closed_urls(checkout)
    for spelling in _spellings(url):
        if spelling in closed:
            words = ("--fixed-value", "--unset-all", _CLOSED, spelling)
            git(checkout.path, "config", "--local", *words)


def _spellings(url: str) -> list[str]:
    """Every way to write it; what leads to one directory here, the hook finds out itself."""
    place = ssh_place(url)
    return list(dict.fromkeys([url, *(place.spellings() if place else ())]))


def closed_urls(checkout: Checkout) -> list[str]:
    """URLs that only ``mrishare-publish`` may fill."""
    return _values(checkout, _CLOSED)


def install_hook(checkout: Checkout) -> None:
    """Put our pre-push hook in front of the hooks there are, once.

    All other hooks are handed over to where they were: ``core.hooksPath`` as it was set
    before, else ``.git/hooks``.

    Raises
    ------
    RepoError
        When the hooks cannot be written.
    """
    ours = checkout.ours / "hooks"
    current = git_text(checkout.path, "config", "core.hooksPath", ok=(0, 1))
    if current != str(ours):
        # ours of a time when the dataset was elsewhere is nobody's
        if not current.endswith("/mrishare/hooks"):
            _set(checkout, _EARLIER, [current] if current else [])
        git(checkout.path, "config", "--local", "core.hooksPath", str(ours))
    for name in {*_HOOKS, *_earlier_hooks(checkout)}:
        text = "#!/bin/sh\n" + (_PRE_PUSH if name == "pre-push" else "") + _HAND_OVER
        hook = ours / name
        write_file(hook, text.encode())
        try:
            hook.chmod(0o755)
        except OSError as exc:
            raise RepoError(f"cannot be made executable: {exc.strerror}", where=str(hook)) from exc


def _earlier_hooks(checkout: Checkout) -> list[str]:
    """Names of the hooks that there are, wherever they were looked for before ours."""
    found = git_text(checkout.path, "config", "--type=path", _EARLIER, ok=(0, 1))
    common = git_text(checkout.path, "rev-parse", "--git-common-dir")
    place = checkout.path / (found or os.path.join(common, "hooks"))
    if not place.is_dir():
        return []
    return [h.name for h in place.iterdir() if "." not in h.name and os.access(h, os.X_OK)]
