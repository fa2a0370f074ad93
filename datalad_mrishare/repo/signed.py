"""Files of ours that decide, kept where others may have put their own.

Whoever hands over a repository with its ``.git`` could put anything there. So what is kept
there and decides is signed with a secret of the user, which is kept outside of all datasets:
``$XDG_STATE_HOME/datalad-mrishare/secret``, by default below ``~/.local/state``. Without a
place for the secret nothing is kept, and all is read anew each time.
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import hmac
import os
import secrets
import stat
import time
from pathlib import Path

_LENGTH = 32
#: what every file begins with, before the signature in hexadecimal and a line break
_HEAD = b"datalad-mrishare signed 1 "


def read_signed(path: Path, purpose: str) -> bytes | None:
    """What :func:`write_signed` wrote there for ``purpose``; None when it is anything else."""
    secret = _secret()
    if secret is None:
        return None
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as source:
            raw = source.read() if stat.S_ISREG(os.fstat(source.fileno()).st_mode) else b""
    except OSError:
        return None
    start, end = len(_HEAD), len(_HEAD) + 64
    if raw[:start] != _HEAD or raw[end : end + 1] != b"\n":
        return None
    content = memoryview(raw)[end + 1 :]
    if not hmac.compare_digest(raw[start:end], _signature(secret, purpose, content)):
        return None
    return bytes(content)


def write_signed(path: Path, purpose: str, content: bytes) -> None:
    """Keep ``content``, all or nothing; not at all on a full disk or without a secret."""
    secret = _secret(make=True)
    if secret is None:
        return
    scratch = path.with_name(f"{path.name}.{secrets.token_hex(4)}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path)
        with open(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
            out.write(_HEAD + _signature(secret, purpose, content) + b"\n")
            out.write(content)
        os.replace(scratch, path)
    except BaseException as exc:
        with contextlib.suppress(OSError):
            scratch.unlink()
        if not isinstance(exc, OSError):
            raise


def _sweep(path: Path) -> None:
    """Remove what killed runs left of it; nobody writes for an hour."""
    for left in path.parent.glob(f"{glob.escape(path.name)}.*.new"):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > 3600:
                left.unlink()


def _signature(secret: bytes, purpose: str, content: bytes | memoryview) -> bytes:
    key = hmac.digest(secret, purpose.encode(), hashlib.sha256)
    return hmac.new(key, content, hashlib.sha256).hexdigest().encode("ascii")


def _place() -> Path | None:
    given = os.environ.get("XDG_STATE_HOME", "")
    home = os.environ.get("HOME", "")
    if os.path.isabs(given):
        return Path(given, "datalad-mrishare", "secret")
    return (
        Path(home, ".local", "state", "datalad-mrishare", "secret") if os.path.isabs(home) else None
    )


def _secret(*, make: bool = False) -> bytes | None:
    """The user's secret; None where there is none, or one that others can read or wrote."""
    place = _place()
    if place is None:
        return None
    found = _read_secret(place)
    if found is None and make and not os.path.lexists(place):
        with contextlib.suppress(OSError):
            place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            scratch = place.with_name(f"secret.{secrets.token_hex(4)}.new")
            with open(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
                out.write(secrets.token_bytes(_LENGTH))
            try:
                os.link(scratch, place)  # of two at once, one wins
            finally:
                scratch.unlink()
        found = _read_secret(place)
    return found


def _read_secret(place: Path) -> bytes | None:
    try:
        with open(os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as source:
            seen = os.fstat(source.fileno())
            private = stat.S_ISREG(seen.st_mode) and not seen.st_mode & 0o077
            found = source.read(_LENGTH + 1) if private and seen.st_uid == os.getuid() else b""
    except OSError:
        return None
    return found if len(found) == _LENGTH else None
