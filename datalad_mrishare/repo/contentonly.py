"""Special remotes without a git half: a directory, or what rsync reaches.

As own storage they get content and nothing else. As a sibling that is shared they get
their git half through git-remote-annex(1): the release lies beside the content as a
bundle, and ``git clone 'annex::UUID?...'`` needs the storage only.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from ..errors import SiblingError
from .process import complete, git_text
from .remotes import Place, Remote, place_of
from .ssh import GO_THERE, SshPlace

#: what git-annex keeps of the git half among the content (git-remote-annex(1))
_OF_GIT = ("GITBUNDLE-", "GITMANIFEST-")
SERVED = ("directory", "rsync")
#: part of a configuration, and nobody else's business or not valid anywhere else
_LEFT_OUT = ("name", "uuid", "autoenable", "embedcreds", "sameas-name")

_FIND = (
    GO_THERE
    + """
[ -d "$place" ] || { echo missing; return 0; }
[ -w "$place" ] || { echo readonly; return 0; }
[ -z "$(find "$place" -type f | head -n 1)" ] || echo holds
return 0
"""
)


def is_content_only(url: str | None) -> bool:
    """Whether a remote with this URL has no git repository to speak with."""
    return url is None or url.startswith("annex::")


def clone_url(settings: Mapping[str, str]) -> str:
    """The URL that clones from the storage alone.

    >>> clone_url({"name": "m", "uuid": "u-1", "type": "directory", "directory": "/my dir"})
    'annex::u-1?type=directory&directory=/my%20dir'
    """
    words = (f"{k}={quote(v, safe='/:')}" for k, v in settings.items() if k not in _LEFT_OUT)
    return f"annex::{settings['uuid']}?{'&'.join(words)}"


def storage_place(settings: Mapping[str, str], base: Path) -> Place | None:
    """The directory that holds the content, or None where it is not in one."""
    if "directory" in settings:
        return Path(os.path.normpath(base / settings["directory"]))
    return place_of(settings["rsyncurl"], base) if "rsyncurl" in settings else None


def local_settings(remote: Remote) -> dict[str, str]:
    """Where the storage of ``remote`` is, as the repository's configuration tells."""
    pairs = ((name, remote.settings.get(f"annex-{name}")) for name in ("directory", "rsyncurl"))
    return {name: value for name, value in pairs if value and value != "true"}


def holds_something(place: Place, name: str) -> bool:
    """Whether there is any file at ``place``.

    Raises
    ------
    SiblingError
        When it cannot be reached or written.
    """
    said = place.run(_FIND, place.path).strip() if isinstance(place, SshPlace) else _find(place)
    where = f"sibling '{name}' at {place}"
    if said == "readonly":
        raise SiblingError(
            "cannot be written",
            where=where,
            remedy="Ask its owner for write permission; nothing was changed",
        )
    # rsync would make the last directory itself, also below a mount point that is not mounted
    if said == "missing":
        raise SiblingError(
            "cannot be reached: there is no such directory",
            where=where,
            remedy="Make, mount or restore it and run this again; nothing was changed",
        )
    return said == "holds"


def _find(place: Path) -> str:
    if not place.is_dir():
        return "missing"
    if not os.access(place, os.W_OK):
        return "readonly"
    return "holds" if any(files for _, _, files in os.walk(place)) else ""


def has_git(repo: Path, remote: str, uuid: str, env: Mapping[str, str]) -> bool:
    """Whether a git half was pushed to the special remote ``remote``.

    Raises
    ------
    SiblingError
        When the storage does not answer.
    """
    argv = ("git", "annex", "checkpresentkey", f"GITMANIFEST--{uuid}", remote)
    done = complete(argv, repo, env=env)
    if done.returncode > 1:
        reason = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise SiblingError(
            f"does not answer: {reason[-1] if reason else done.returncode}",
            where=f"sibling '{remote}'",
        )
    return done.returncode == 0


def of_git(key: str) -> bool:
    """Whether a key is part of a git half, not of the dataset."""
    return key.startswith(_OF_GIT)


def git_url(repo: Path, remote: str) -> None:
    """Let git fetch from and push to the special remote ``remote``."""
    git_text(repo, "config", f"remote.{remote}.url", "annex::")
    git_text(repo, "config", f"remote.{remote}.fetch", f"+refs/heads/*:refs/remotes/{remote}/*")
