"""Special remotes without a git half: a directory, what rsync reaches, S3, WebDAV.

As own storage they get content and nothing else. As a sibling that is shared they get
their git half through git-remote-annex(1): the release lies beside the content as a
bundle, and ``git clone 'annex::UUID?...'`` needs the storage only.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from ..errors import RepoError, SiblingError
from .annexbranch import read_logs, remote_configs
from .cloud import CREDENTIALS, CloudPlace, cloud_place
from .process import complete, git_text
from .quota import holds_files
from .reasons import in_short
from .remotes import Place, Remote, place_of, remotes
from .ssh import GO_THERE, SshPlace
from .transfer import keys_present

#: what git-annex keeps of the git half among the content (git-remote-annex(1)), and what an
#: exporttree remote has that is in git
BUNDLE = "GITBUNDLE-"
_OF_GIT = (BUNDLE, "GITMANIFEST-", "GIT--")
SERVED = ("directory", "rsync", *CREDENTIALS)
#: part of a configuration, and nobody else's business or not valid anywhere else
_LEFT_OUT = ("name", "uuid", "autoenable", "sameas-name")
#: what git-annex embeds into a configuration, or that it does
_SECRET = ("s3creds", "davcreds", "embedcreds", "onlyencryptcreds")
#: seconds that storage has to answer one question
PATIENCE = 60.0
#: keys that a bucket is asked for, to find out whether there are any
_ASKED = 500

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
    told = without_secrets(settings).items()
    words = (f"{k}={quote(v, safe='/:')}" for k, v in told if k not in _LEFT_OUT)
    return f"annex::{settings['uuid']}?{'&'.join(words)}"


def without_secrets(settings: Mapping[str, str]) -> dict[str, str]:
    """The settings of a special remote without credentials that are embedded in them."""
    return {name: value for name, value in settings.items() if name not in _SECRET}


def storage_place(settings: Mapping[str, str], base: Path) -> Place | None:
    """Where the content is: a directory, a bucket or a collection; None of another type."""
    if "directory" in settings:
        return Path(os.path.normpath(base / settings["directory"]))
    if "rsyncurl" in settings:
        return place_of(settings["rsyncurl"], base)
    return cloud_place(settings, base)


def local_settings(remote: Remote) -> dict[str, str]:
    """Where the storage of ``remote`` is, as the repository's configuration tells."""
    pairs = ((name, remote.settings.get(f"annex-{name}")) for name in ("directory", "rsyncurl"))
    return {name: value for name, value in pairs if value and value != "true"}


def storage_places(known: Mapping[str, Remote], repo: Path) -> dict[str, Place]:
    """Where the storage of each special remote among ``known`` is, where that can be told."""
    configs = remote_configs(repo) if any(r.uuid for r in known.values()) else {}
    found = {}
    for name, remote in known.items():
        uuid = remote.uuid or ""
        settings = {**configs.get(uuid, {}), **local_settings(remote), "uuid": uuid}
        place = storage_place(settings, repo) if is_content_only(remote.url) else None
        if place is not None:
            found[name] = place
    return found


def holds_something(place: Place, name: str) -> bool:
    """Whether there is any file at ``place``.

    A bucket is not listed, but asked for the git half and for some of the keys known here: what
    others put there under other names is not seen.

    Raises
    ------
    SiblingError
        When it cannot be reached or written.
    """
    if isinstance(place, CloudPlace):
        return _cloud_holds(place, name)
    if isinstance(place, SshPlace):
        said = place.of(name).run(_FIND, place.path).strip()
    else:
        said = _find(place)
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


def _cloud_holds(place: CloudPlace, name: str) -> bool:
    if has_git(place.repo, name, place.uuid, {}):
        return True
    if place.kind == "webdav":
        return holds_known(place.repo, name, place.uuid, ask=False) or holds_files(place, name)
    return holds_known(place.repo, name, place.uuid)


def holds_known(repo: Path, name: str, uuid: str, *, ask: bool = True) -> bool:
    """Whether remote ``name`` has content that is noted here, or any of some keys known here."""
    known = read_logs(repo, metadata=False).locations
    if any(uuid in uuids for uuids in known.values()):
        return True
    keys = sorted(known) if ask else []
    return any(keys_present(repo, name, keys[:: 1 + len(keys) // _ASKED]).values())


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
    words = ("checkpresentkey", f"GITMANIFEST--{uuid}", remote)
    return _ask(repo, remote, env, *words, ok=(0, 1)) == 0


def connect(repo: Path, remote: str, settings: Mapping[str, str], env: Mapping[str, str]) -> None:
    """Make the special remote with ``settings`` a remote of ``repo``.

    Raises
    ------
    SiblingError
        When the storage does not answer, or takes nothing.
    """
    more = ["embedcreds=no"] if settings.get("type") in CREDENTIALS else []
    words = (f"{k}={v}" for k, v in settings.items() if k != "name")
    _ask(repo, remote, env, "initremote", remote, "autoenable=true", *more, *words)


def _ask(
    repo: Path, remote: str, env: Mapping[str, str], *words: str, ok: tuple[int, ...] = (0,)
) -> int:
    """The exit code of a git-annex that speaks with the storage of ``remote``.

    Raises
    ------
    SiblingError
        When the storage does not answer, or refuses.
    """
    try:
        # not `git annex`: it would leave a git-annex behind that waits for ever
        done = complete(("git-annex", *words), repo, env=env, timeout=PATIENCE)
    except RepoError as exc:
        raise SiblingError(
            exc.what, where=f"sibling '{remote}'", remedy="Try again later; nothing was changed"
        ) from exc
    if done.returncode not in ok:
        said = done.stderr.decode("utf-8", "replace").strip()
        raise _refused(remote, said, _variables(repo, remote, words))
    return done.returncode


def _variables(repo: Path, remote: str, words: tuple[str, ...]) -> str:
    """The variables that its credentials are taken from; all there are where it is not told."""
    settings = remotes(repo)[remote].settings if remote in remotes(repo) else {}
    kinds = [k for k in CREDENTIALS if f"annex-{k.lower()}" in settings or f"type={k}" in words]
    return " or ".join(" and ".join(CREDENTIALS[k]) for k in kinds or CREDENTIALS)


def _refused(remote: str, said: str, variables: str) -> SiblingError:
    where = f"sibling '{remote}'"
    if "redentials" in said or "publicurl" in said or "webdav username" in said:
        return SiblingError(
            "there are no credentials for it",
            where=where,
            remedy=f"Set {variables} and run this again",
        )
    lines = [line for line in said.splitlines() if not line.endswith("1 failed")]
    short = in_short(said)
    reason = short if short != said else (lines[-1].strip() if lines else "no reason given")
    if re.search(r"says 40[13]", reason):
        return SiblingError(
            f"refuses the credentials, or to be written: {reason}",
            where=where,
            remedy=f"See that {variables} are right and may write there; nothing was changed",
        )
    return SiblingError(
        f"cannot be used: {reason}", where=where, remedy="Try again later; nothing was changed"
    )


def of_git(key: str) -> bool:
    """Whether a key is part of a git half, not of the dataset."""
    return key.startswith(_OF_GIT)


def git_url(repo: Path, remote: str) -> None:
    """Let git fetch from and push to the special remote ``remote``."""
    git_text(repo, "config", f"remote.{remote}.url", "annex::")
    git_text(repo, "config", f"remote.{remote}.fetch", f"+refs/heads/*:refs/remotes/{remote}/*")
