"""Storage that is reached by a URL and with credentials: S3 buckets, WebDAV collections.

git-annex speaks with them. What is here tells where one is, so that two can be compared,
and where git-annex has the credentials from: the environment, or a file in the annex that
only its owner reads. Nothing here writes credentials anywhere but into such a file.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlsplit

from .process import git_text
from .transport import REMEDY

#: the variables that git-annex takes user and password from
CREDENTIALS = {
    "S3": ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
    "webdav": ("WEBDAV_USERNAME", "WEBDAV_PASSWORD"),
}
#: settings that say how a bucket is asked; none of them is a secret
_ASKED = ("bucket", "fileprefix", "host", "region", "datacenter", "signature", "requeststyle")


@dataclass(frozen=True)
class CloudPlace:
    """A bucket, or what of it begins with a prefix (``S3``), or a collection (``webdav``).

    ``repo`` is the repository whose annex has the credentials for ``uuid``, ``settings`` are
    those that say how a bucket is asked.
    """

    kind: str
    url: str
    uuid: str = field(default="", compare=False)
    repo: Path = field(default=Path("/"), compare=False)
    settings: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)

    def __str__(self) -> str:
        return self.url

    def remedy(self, name: str) -> str:
        """What lets git-annex reach remote ``name`` on a way that nobody else reads."""
        return f"git annex enableremote {name} protocol=https" if self.kind == "S3" else REMEDY

    def credentials(self) -> tuple[str, str] | None:
        """User and password as git-annex finds them, or None."""
        user, password = (os.environ.get(name) for name in CREDENTIALS[self.kind])
        if user and password:
            return user, password
        try:
            lines = _kept(self.repo, self.uuid).read_text(encoding="utf-8").split("\n")
        except (OSError, UnicodeDecodeError):
            return None
        return (lines[0], lines[1]) if len(lines) > 1 else None


def cloud_place(settings: Mapping[str, str], repo: Path = Path("/")) -> CloudPlace | None:
    """Where a special remote with these settings of ``initremote`` is; None of another type.

    >>> str(cloud_place({"type": "S3", "bucket": "b", "host": "h", "port": "443"}))
    'https://h/b/'
    >>> str(cloud_place({"type": "S3", "bucket": "b", "fileprefix": "p/"}))
    'http://s3.amazonaws.com/b/p/'
    >>> str(cloud_place({"type": "webdav", "url": "https://H.example.org/dav"}))
    'https://h.example.org/dav/'
    """
    kind = settings.get("type", "")
    if kind not in CREDENTIALS:
        return None
    if kind == "webdav":
        url = settings.get("url", "")
    else:
        # git-annex speaks plain HTTP unless told otherwise, with Amazon, too
        port = settings.get("port", "")
        scheme = settings.get("protocol") or ("https" if port == "443" else "http")
        usual = port in ("", {"http": "80", "https": "443"}.get(scheme))
        host = settings.get("host", "s3.amazonaws.com") + ("" if usual else f":{port}")
        prefix = quote(settings.get("fileprefix", ""))
        url = f"{scheme}://{host}/{settings.get('bucket', '')}/{prefix}"
    parts = urlsplit(url)
    scheme, host = parts.scheme.lower(), parts.netloc.lower()
    path = parts.path if kind == "S3" else f"{parts.path.rstrip('/')}/"
    asked = {name: settings[name] for name in _ASKED if name in settings}
    return CloudPlace(kind, f"{scheme}://{host}{path}", settings.get("uuid", ""), repo, asked)


def credentials(place: object) -> dict[str, str]:
    """The environment in which git-annex finds the credentials for a place; empty without."""
    if not isinstance(place, CloudPlace):
        return {}
    return dict(zip(CREDENTIALS[place.kind], place.credentials() or (), strict=False))


def names_a_user(url: str) -> bool:
    """Whether a URL has a user, or a user and a password, before the host.

    >>> names_a_user("https://me:secret@h/dav"), names_a_user("https://h/dav@2")
    (True, False)
    """
    return "://" in url and "@" in urlsplit(url).netloc


def hand_over(uuid: str, source: Path, target: Path) -> None:
    """Let the annex ``target`` have the credentials that ``source`` keeps for ``uuid``."""
    kept, wanted = _kept(source, uuid), _kept(target, uuid)
    if not kept.is_file():
        return
    wanted.parent.mkdir(parents=True, exist_ok=True)
    wanted.touch(mode=0o600)
    shutil.copyfile(kept, wanted)


def _kept(repo: Path, uuid: str) -> Path:
    """The file in which git-annex keeps the credentials (its ``internals`` page)."""
    return repo / git_text(repo, "rev-parse", "--git-common-dir") / "annex/creds" / uuid
