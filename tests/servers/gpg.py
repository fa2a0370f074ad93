"""Keys of two people who share encrypted data, and of nobody else.

Each has a GNUPGHOME: an own secret key and the other's public one.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from . import require

INSTALL = "apt-get install gnupg"


@dataclass(frozen=True)
class Keys:
    """Fingerprints and homes; ``GNUPGHOME`` chooses who somebody is."""

    steward: str
    partner: str
    #: of the steward's, can sign and not encrypt
    signing: str
    steward_home: Path
    partner_home: Path
    #: no key at all
    stranger_home: Path

    def environment(self, home: Path) -> dict[str, str]:
        """Environment of somebody."""
        return {**os.environ, "GNUPGHOME": str(home)}


def _gpg(home: Path, *words: str, stdin: str = "") -> str:
    program = require("gpg", INSTALL)
    done = subprocess.run(
        [program, "--homedir", home, "--batch", "--quiet", "--no-tty", *words],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, (words, done.stderr)
    return done.stdout


def _make(home: Path, name: str, *, encrypts: bool = True) -> str:
    """Make a key without a passphrase; its fingerprint."""
    lines = ["%no-protection", "Key-Type: eddsa", "Key-Curve: ed25519", "Key-Usage: sign"]
    if encrypts:
        lines += ["Subkey-Type: ecdh", "Subkey-Curve: cv25519", "Subkey-Usage: encrypt"]
    lines += [f"Name-Real: {name}", "Expire-Date: 0", "%commit"]
    said = _gpg(home, "--status-fd=1", "--generate-key", stdin="\n".join(lines)).splitlines()
    return next(line.split()[3] for line in said if " KEY_CREATED " in line)


@pytest.fixture(scope="session")
def _gpg_keys() -> Iterator[Keys]:
    # the agent's socket lies in the home, and its path has 107 bytes at most
    top = Path(tempfile.mkdtemp(prefix="gpg-", dir="/tmp"))
    homes = [top / who for who in ("steward", "partner", "stranger")]
    for home in homes:
        home.mkdir(mode=0o700)
    try:
        steward, partner = homes[:2]
        keys = Keys(
            _make(steward, "Key of the Steward"),
            _make(partner, "Key of the Partner"),
            _make(steward, "Key for Signatures", encrypts=False),
            *homes,
        )
        _gpg(steward, "--import", stdin=_gpg(partner, "--armor", "--export", keys.partner))
        _gpg(partner, "--import", stdin=_gpg(steward, "--armor", "--export", keys.steward))
        yield keys
    finally:
        conf = shutil.which("gpgconf") or "gpgconf"
        for home in homes:
            subprocess.run([conf, "--homedir", home, "--kill", "all"], check=False, timeout=60)
        shutil.rmtree(top, ignore_errors=True)


@pytest.fixture
def gpg(_gpg_keys: Keys, monkeypatch: pytest.MonkeyPatch) -> Keys:
    """Keys of two people; within the test one is the steward."""
    monkeypatch.setenv("GNUPGHOME", str(_gpg_keys.steward_home))
    return _gpg_keys
