"""Special remotes whose content is encrypted with gpg, each with a cipher of its own.

git-annex keeps the cipher in ``remote.log`` of the git-annex branch, so a remote that was
made in the steward's dataset is made anew for a release: the same place and recipients,
another cipher (git-annex(1) under "encryption").
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ..errors import SiblingError
from .process import annex, complete

#: what remote.log has of a cipher; the keys of recipients are in one of the last two
_CIPHER = ("cipher", "cipherkeys", "pubkeys")
#: schemes whose cipher only a recipient can read
_FOR_RECIPIENTS = ("hybrid", "pubkey")


def without_cipher(settings: Mapping[str, str]) -> dict[str, str]:
    """Settings with the recipients under ``keyid``, and without the cipher.

    >>> without_cipher({"encryption": "hybrid", "cipher": "x", "cipherkeys": "A,B"})
    {'encryption': 'hybrid', 'keyid': 'A,B'}
    """
    found = {k: v for k, v in settings.items() if k not in _CIPHER}
    keys = settings.get("cipherkeys") or settings.get("pubkeys")
    return {**found, "keyid": keys} if keys else found


def recipients(settings: Mapping[str, str]) -> list[str]:
    """The gpg keys that content is encrypted for."""
    return [key for key in settings.get("keyid", "").split(",") if key]


def is_encrypted(settings: Mapping[str, str]) -> bool:
    """Whether these are settings of an encrypted special remote."""
    return settings.get("encryption", "none") != "none"


def check_recipients(settings: Mapping[str, str], where: str) -> None:
    """See that content can be encrypted for every recipient.

    git-annex makes a remote for a key that cannot encrypt, and leaves empty objects there
    that it then takes for content.

    Raises
    ------
    SiblingError
        When gpg cannot encrypt for one of them, or nobody here can read the cipher.
    """
    keys = recipients(settings)
    for key in keys:
        done = _gpg("--trust-model", "always", "--encrypt", "--recipient", key)
        if done is not None:
            raise SiblingError(
                f"cannot be encrypted for the gpg key {key} ({done})",
                where=where,
                remedy=f"Import or renew that key (gpg --list-keys {key}), or make the special"
                " remote anew with another keyid=",
            )
    if keys and settings["encryption"] in _FOR_RECIPIENTS and not _readable(keys):
        raise SiblingError(
            f"is encrypted ({settings['encryption']}) for others only, and without a recipient's"
            " secret key nothing can be put there",
            where=where,
            remedy="Add your own key: git annex enableremote NAME keyid+=YOURS, or make it with"
            " encryption=sharedpubkey",
        )


def can_read(settings: Mapping[str, str]) -> bool:
    """Whether what lies in an encrypted special remote can be read again from here."""
    if not is_encrypted(settings):
        return False
    keys = recipients(without_cipher(settings))
    return settings["encryption"] == "shared" or bool(_readable(keys))


def _readable(keys: list[str]) -> list[str]:
    """Those whose secret key is here."""
    return [key for key in keys if _gpg("--list-secret-keys", key) is None]


def _gpg(*words: str) -> str | None:
    """Why gpg did not do it; None when it did."""
    argv = ("gpg", "--batch", "--no-tty", "--quiet", *words)
    done = complete(argv, "/", stdin=b"test\n", timeout=60)
    if done.returncode == 0:
        return None
    said = done.stderr.decode("utf-8", "replace").strip().splitlines()
    return said[-1].removeprefix("gpg: ") if said else f"exit code {done.returncode}"


def make_commands(name: str, settings: Mapping[str, str]) -> list[list[str]]:
    """Words after ``git annex`` that make a special remote, with a fresh cipher.

    initremote takes one recipient, and who adds the others to a cipher must be able to read it.
    """
    keys = recipients(settings)
    if settings.get("encryption") in _FOR_RECIPIENTS:
        keys = list(dict.fromkeys([*_readable(keys), *keys]))
    words = [f"{k}={v}" for k, v in settings.items() if k not in ("name", "keyid")]
    local = [w for w in words if w.startswith("directory=")]
    more = [["enableremote", name, *local, f"keyid+={key}"] for key in keys[1:]]
    return [["initremote", name, *words, *(f"keyid={key}" for key in keys[:1])], *more]


def make_remote(repo: Path, name: str, settings: Mapping[str, str], env: Mapping[str, str]) -> None:
    """Make the special remote ``name`` in ``repo``."""
    for words in make_commands(name, settings):
        annex(repo, *words, env=env)
