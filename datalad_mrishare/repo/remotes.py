"""The remotes of a repository, as its configuration tells them.

A sibling has a git half (a git remote) and may have a content half (a special
remote) that DataLad ties to it with ``remote.NAME.datalad-publish-depends``.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .annexbranch import remote_configs
from .cloud import CloudPlace
from .process import git, git_text
from .ssh import SshPlace, ssh_place

Place = Path | SshPlace | CloudPlace
"""A directory, on this machine or behind ssh; or storage that is reached by a URL."""


@dataclass(frozen=True)
class Remote:
    """One remote: ``settings`` are its configuration keys in lower case, last value each."""

    name: str
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str | None:
        """Where git fetches from; None for a special remote."""
        return self.settings.get("url")

    @property
    def uuid(self) -> str | None:
        """annex uuid, once git-annex has seen the remote."""
        return self.settings.get("annex-uuid")

    @property
    def special(self) -> bool:
        """Whether it is a special remote: content only, no git."""
        return self.url is None

    @property
    def depends(self) -> str | None:
        """The remote that holds the content of this git half."""
        return self.settings.get("datalad-publish-depends")


_Stand = tuple[str, int, int, int]
_known: dict[Path, tuple[_Stand, dict[str, Remote]]] = {}


def remotes(repo: Path) -> dict[str, Remote]:
    """All remotes of ``repo`` by name.

    A publication asks a dozen times; git is asked again when the file was written since.
    """
    stand = _stand(repo)
    before = _known.get(repo)
    if before and before[0] == stand:
        return dict(before[1])
    found, alone = _read(repo)
    if stand and alone:
        _known[repo] = (stand, found)
    return dict(found)


def _stand(repo: Path) -> _Stand | None:
    """What changes when the configuration is written; None where that is not one plain file,
    and where the clock of the file system is too coarse to tell.
    """
    inside = repo / ".git"
    if inside.is_file():
        return None  # of a worktree or a submodule: it stands elsewhere
    file = (inside if inside.is_dir() else repo) / "config"
    try:
        status = os.stat(file, follow_symlinks=False)
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(status.st_mode) or status.st_mtime_ns % 1_000_000 == 0:
        return None
    return os.fspath(file), status.st_ino, status.st_mtime_ns, status.st_size


def _read(repo: Path) -> tuple[dict[str, Remote], bool]:
    """The remotes, and whether they stand in one file, which includes no other."""
    words = (
        "config",
        "--local",
        "--includes",
        "-z",
        "--get-regexp",
        r"^(remote|include|includeif)\.",
    )
    raw = git(repo, *words, ok=(0, 1))
    alone = True
    found: dict[str, dict[str, str]] = {}
    for item in raw.decode("utf-8", "surrogateescape").split("\0"):
        key, _, value = item.partition("\n")
        alone = alone and not key.startswith("include")
        if not key.startswith("remote.") or key.count(".") < 2:
            continue
        name, _, variable = key[len("remote.") :].rpartition(".")
        found.setdefault(name, {})[variable.lower()] = value
    return {name: Remote(name, settings) for name, settings in found.items()}, alone


def destinations(repo: Path) -> dict[str, set[str]]:
    """Every URL that git would fetch from or push to under each remote's name.

    Unlike the configuration read by :func:`remotes` these are what is left after
    ``insteadOf`` and all push URLs were heeded; special remotes are not among them.
    """
    found: dict[str, set[str]] = {}
    for line in git_text(repo, "remote", "-v").splitlines():
        name, _, rest = line.partition("\t")
        found.setdefault(name, set()).add(re.sub(r" \((fetch|push)\).*$", "", rest))
    return found


def local_path(url: str, base: Path) -> Path | None:
    """The directory a remote's URL means on this machine, or None when it is elsewhere.

    >>> local_path("/srv/mir.git", Path("/")), local_path("ssh://host/srv", Path("/"))
    (PosixPath('/srv/mir.git'), None)
    >>> local_path("../mir", Path("/data/ds")), local_path("host:mir", Path("/"))
    (PosixPath('/data/mir'), None)
    """
    if url.startswith("file://"):
        url = re.sub(r"^file://(localhost)?", "", url)
    elif "://" in url or re.match(r"[^/]+:|\[", url):
        return None
    return Path(os.path.normpath(base / os.path.expanduser(url)))


def place_of(url: str, base: Path) -> Path | SshPlace | None:
    """The directory that a remote's URL means, or None where it means none.

    ``base`` is the repository whose remote it is.
    """
    return local_path(url, base) or ssh_place(url, base)


def same_place(a: Place, b: Place) -> bool:
    """Whether both are one directory."""
    if isinstance(a, CloudPlace) or isinstance(b, CloudPlace):
        return a == b
    if isinstance(a, SshPlace) or isinstance(b, SshPlace):
        return isinstance(a, SshPlace) and isinstance(b, SshPlace) and a.same(b)
    ends = [os.path.realpath(path).removesuffix("/.git") for path in (a, b)]
    return ends[0] == ends[1]


def resolved_url(repo: Path, url: str) -> str:
    """The URL after ``insteadOf`` of this repository was heeded."""
    return git_text(repo, "ls-remote", "--get-url", url)


def refs_at(repo: Path, url: str) -> list[str]:
    """Every ref of the repository at ``url``, where nothing but git can look.

    Raises
    ------
    RepoError
        When it cannot be reached.
    """
    listed = git_text(repo, "ls-remote", "--quiet", url).splitlines()
    return [name for name in (line.partition("\t")[2] for line in listed) if name != "HEAD"]


def store_place(url: str, base: Path) -> Path | SshPlace | None:
    """The directory of a RIA store with a ``ria+file://`` or ``ria+ssh://`` URL.

    >>> store_place("ria+file:///srv/store#x", Path("/")), store_place("ria+http://h/s", Path("/"))
    (PosixPath('/srv/store'), None)
    """
    match = re.fullmatch(r"ria\+((file:///|ssh://)[^#]*)(#.*)?", url)
    return place_of(match[1], base) if match else None


def storage_settings(repo: Path, remote: Remote) -> dict[str, str]:
    """What ``initremote`` needs to make the special remote ``remote`` again.

    Taken from ``remote.log`` of the git-annex branch; credentials are not in it.
    """
    settings = dict(remote_configs(repo).get(remote.uuid or "", {}))
    settings.pop("autoenable", None)
    store = store_place(settings.get("url", ""), repo)
    if isinstance(store, Path):
        # the way there may lead through directories that are nobody's business
        settings["url"] = f"ria+file://{store}"
    settings.update(name=remote.name, uuid=remote.uuid or "")
    return settings


def remove_remote(repo: Path, name: str) -> None:
    """Forget a remote and its tracking branches; nothing at the far end changes."""
    known = remotes(repo).get(name)
    if known is None:
        return
    if known.special:
        git(repo, "config", "--local", "--remove-section", f"remote.{name}")
    else:
        git(repo, "remote", "remove", name)
    for ref in git_text(
        repo, "for-each-ref", "--format=%(refname)", f"refs/remotes/{name}/"
    ).split():
        git(repo, "update-ref", "-d", ref)
