"""Subdatasets in a release: the release of each for the same sibling, or nothing.

A subdataset is published by itself, with its own records and policies. Where it has a release for
a sibling of the same name, the release of the dataset above names that commit, and the way to it in
``.gitmodules``. The steward's own commit, and where the steward's copy lies, are named by none.

The way is relative where both siblings lie in the same place (git resolves it by the URL that was
cloned, gitmodules(5)), else the URL of the subdataset's sibling without an account. A way that
leads to a directory of this machine is for siblings on this machine only.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from ..errors import MriShareError
from ..repo.address import Address
from ..repo.contentonly import is_content_only
from ..repo.events import is_registered, read_events
from ..repo.process import git, git_succeeds, git_text
from ..repo.release import BRANCH
from ..repo.remotes import place_of
from ..repo.ssh import SshPlace
from ..repo.trees import encode
from ..repo.worktree import Checkout
from .policies import SIBLINGS_FILE, Policy, load_policies
from .registry import read_file_at
from .snapshot import dataset_id

GITMODULES = ".gitmodules"
#: what git's configuration, or git's own checks of names, could take for something else
_PLAIN = re.compile(r"""(?!-)[^\x00-\x1f"\\\x7f]+""")
_OID = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


@dataclass(frozen=True)
class Linked:
    """A subdataset as a release names it: its own release, and the ``url`` that leads there."""

    path: str
    commit: str
    url: str
    dataset_id: str | None = None


def linked_subdatasets(checkout: Checkout, commit: str, policy: Policy) -> dict[str, Linked]:
    """The subdatasets of ``commit`` that have a release for the sibling of ``policy``, by path.

    Nothing of a subdataset is executed; one that cannot be read has no release.
    """
    address = policy.address
    if policy.own or address is None or address.content_only or address.of_files:
        return {}
    found = {}
    for path in _paths(checkout, commit):
        try:
            linked = _linked(checkout, path, policy.name, address)
        except MriShareError:
            continue
        if linked is not None:
            found[path] = linked
    return found


def _paths(checkout: Checkout, commit: str) -> list[str]:
    """Paths in ``.gitmodules`` at which a repository of its own lies, below the dataset."""
    if not git_succeeds(checkout.path, "cat-file", "-e", f"{commit}:{GITMODULES}"):
        return []
    words = ("config", f"--blob={commit}:{GITMODULES}", "-z", "--get-regexp")
    raw = git(checkout.path, *words, r"^submodule\..*\.path$", ok=(0, 1, 128)).decode(
        "utf-8", "surrogateescape"
    )
    paths = (item.partition("\n")[2] for item in raw.split("\0"))
    return sorted({p for p in paths if _is_below(checkout.path, p)})


def _is_below(top: Path, path: str) -> bool:
    if not _PLAIN.fullmatch(path) or posixpath.normpath(path) != path:
        return False
    if path.startswith(("/", "..")):
        return False
    place = top / path
    if not (place / ".git").exists():
        return False
    return os.path.realpath(place) == os.path.join(os.path.realpath(top), path)


def _linked(checkout: Checkout, path: str, name: str, address: Address) -> Linked | None:
    below = Checkout(checkout.path / path)
    if not is_registered(below.path) or below.head() is None:
        return None
    content = read_file_at(below, "HEAD", SIBLINGS_FILE)
    policies = load_policies(content.decode("utf-8", "replace") if content else None)
    policy = policies.get(name)
    if policy is None or policy.own or policy.address is None:
        return None
    commit = _released(below, name)
    url = way(address.url, policy.address.url, checkout.path, below.path)
    if commit is None or url is None or not _PLAIN.fullmatch(url):
        return None
    return Linked(path, commit, url, dataset_id(below, "HEAD"))


def _released(below: Checkout, name: str) -> str | None:
    """The release that its sibling is at: by its release repository, else by the last event."""
    repo = below.ours / name
    if (repo / "HEAD").exists():
        ref = f"refs/remotes/{name}/{BRANCH}"
        return git_text(repo, "rev-parse", "-q", "--verify", ref, ok=(0, 1)) or None
    commits = [
        str(event.get("release") or "")
        for event in read_events(below.path)
        if event.get("event") == "published" and event.get("sibling") == name
    ]
    last = commits[-1] if commits else ""
    return last if _OID.fullmatch(last) else None


def way(above: str, below: str, base: Path, base_below: Path) -> str | None:
    """How a clone of ``above`` finds ``below``, or None where nobody elsewhere could follow.

    ``base`` and ``base_below`` are the repositories whose siblings they are.

    >>> here = Path("/data/study")
    >>> way("/srv/mir.git", "/srv/deep.git", here, here)
    '../deep.git'
    >>> way("ssh://host/srv/mir.git", "me@host:/srv/deep.git", here, here)
    '../deep.git'
    >>> way("ssh://host/srv/mir.git", "ssh://me@other/x.git", here, here)
    'ssh://other/x.git'
    >>> way("https://forge.example/a/mir", "https://me:pw@forge.example/b/deep", here, here)
    '../../b/deep'
    >>> way("https://forge.example/a/mir", "/srv/deep.git", here, here) is None
    True
    """
    if is_content_only(below) or is_content_only(above):
        return None
    upper, lower = place_of(above, base), place_of(below, base_below)
    if isinstance(lower, Path):
        together = isinstance(upper, Path) and os.path.commonpath((upper, lower)) != "/"
        return _relative(str(upper), str(lower)) if together else None
    if isinstance(lower, SshPlace):
        if isinstance(upper, SshPlace) and _machine(upper) == _machine(lower):
            ends = [place.path.removeprefix("~/") for place in (upper, lower)]
            if ends[0].startswith("/") == ends[1].startswith("/") and "~" not in "".join(ends):
                return _relative(*ends)
        return str(SshPlace(lower.host.rpartition("@")[2], lower.path, lower.port))
    return _by_web(above, below)


def _machine(place: SshPlace) -> tuple[str, int]:
    return place.host.rpartition("@")[2].lower(), place.port or 22


def _by_web(above: str, below: str) -> str | None:
    try:
        upper, lower = urlsplit(above), urlsplit(below)
        host, port = lower.hostname, lower.port
    except ValueError:
        return None
    if lower.scheme not in ("http", "https") or not host or lower.query:
        return None
    served = f"[{host}]" if ":" in host else host
    if (upper.scheme, upper.hostname, upper.port) == (lower.scheme, host, port):
        return _relative(upper.path, lower.path)
    return f"{lower.scheme}://{served}{f':{port}' if port else ''}{lower.path}"


def _relative(above: str, below: str) -> str:
    found = posixpath.relpath(below.rstrip("/") or "/", above.rstrip("/") or "/")
    return found if found.startswith("../") else f"./{found}"


def gitmodules(linked: Iterable[Linked]) -> bytes:
    """The file that says where subdatasets are found.

    >>> gitmodules([Linked("a b", "1" * 40, "../b", "an-id")]).decode().split("\\n\\t")
    ['[submodule "a b"]', 'path = "a b"', 'url = "../b"', 'datalad-id = "an-id"\\n']
    """
    lines = []
    for one in sorted(linked, key=lambda one: one.path):
        lines += [f'[submodule "{one.path}"]', f'\tpath = "{one.path}"', f'\turl = "{one.url}"']
        if one.dataset_id and _PLAIN.fullmatch(one.dataset_id):
            lines.append(f'\tdatalad-id = "{one.dataset_id}"')
    return encode("\n".join(lines) + "\n") if lines else b""
