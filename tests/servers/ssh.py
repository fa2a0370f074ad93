"""An OpenSSH server on 127.0.0.1 that every client reaches as ``mrishare-test``.

OpenSSH reads the configuration in the home of the passwd entry, not in ``$HOME``, and
git, git-annex, rsync and DataLad each have another setting for the ssh they call. All of
them look for ``ssh`` on the PATH, though: a directory comes first there, with wrappers that
add ``-F``.
"""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from . import require
from .process import HOST, Server, answers, free_port

ALIAS = "mrishare-test"
INSTALL = "apt-get install openssh-server openssh-client"


class Sshd:
    """The server with the storage behind it.

    Attributes
    ----------
    root : Path
        Storage for tests; also its path on the "other" machine.
    bin : Path
        To be put first on the PATH of clients.
    home : Path
        Home of the account in a session, with an identity of its own.
    """

    alias = ALIAS

    def __init__(self, directory: Path) -> None:
        self.root = directory / "storage"
        self.bin = directory / "bin"
        self.home = directory / "home"
        self._etc = directory / "etc"
        for made in (self.root, self.bin, self.home, self._etc):
            made.mkdir(parents=True)
        self._program = require("sshd", INSTALL)
        self.port = free_port()
        self._server = Server(directory / "sshd.log", lambda: answers(self.port, b"SSH-2.0"))
        _make_key(self._etc / "client")
        _make_key(self._etc / "host")
        shutil.copy(self._etc / "client.pub", self._etc / "authorized_keys")
        (self.home / ".gitconfig").write_text(
            "[user]\n\tname = Storage Account\n\temail = storage@example.org\n"
            "[init]\n\tdefaultBranch = main\n"
        )
        self._configure()
        self._trust_host()

    def url(self, path: str = "") -> str:
        """``ssh://`` URL of a path below ``root``; prefix ``ria+`` for a RIA store."""
        return f"ssh://{ALIAS}{self.root / path}"

    def scp(self, path: str = "") -> str:
        """The same in the form of scp and rsync: ``mrishare-test:/...``."""
        return f"{ALIAS}:{self.root / path}"

    def start(self) -> None:
        """Start it; returns when it answers."""
        if os.geteuid() == 0:
            # sshd insists on this one, Debian's boot scripts make it
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        self._server.start([self._program, "-D", "-e", "-f", str(self._etc / "sshd_config")])

    def stop(self) -> None:
        """End it and all sessions, as a shutdown does."""
        self._server.end()

    def kill(self) -> None:
        """The same with SIGKILL, as a power cut does."""
        self._server.end(signal.SIGKILL)

    def restart(self, *, new_host_key: bool = False) -> None:
        """Start again at the same port, with a host key that no client knows if asked."""
        self.stop()
        if new_host_key:
            _make_key(self._etc / "host")
        self.start()

    def be_slow(self, seconds: int) -> None:
        """Every command begins so many seconds late, whoever asks."""
        late = self._etc / "late.sh"
        late.write_text(
            f"#!/bin/sh\nsleep {seconds}\n"
            'case "$SSH_ORIGINAL_COMMAND" in\n'
            "  internal-sftp) exec /usr/lib/openssh/sftp-server ;;\n"
            "  '') exec sh ;;\n"
            '  *) exec sh -c "$SSH_ORIGINAL_COMMAND" ;;\n'
            "esac\n"
        )
        late.chmod(0o755)
        key = (self._etc / "client.pub").read_text()
        (self._etc / "authorized_keys").write_text(f'command="{late}" {key}')

    @property
    def pid(self) -> int:
        """The process that listens; sessions are below it."""
        return self._server.pid

    @property
    def log(self) -> str:
        """What the server said."""
        return self._server.log.read_text(errors="replace")

    def _configure(self) -> None:
        """Write the configurations of both sides, and the wrappers."""
        session = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "GIT_CONFIG_NOSYSTEM": "1",
            "TZ": "UTC",
        }
        server = {
            "ListenAddress": f"{HOST}:{self.port}",
            "HostKey": self._etc / "host",
            "AuthorizedKeysFile": self._etc / "authorized_keys",
            "PidFile": "none",
            "UsePAM": "no",
            "PasswordAuthentication": "no",
            "KbdInteractiveAuthentication": "no",
            "PermitRootLogin": "yes",
            # the directories of tests belong to others on some machines
            "StrictModes": "no",
            # -J4 opens more at once than the default lets in
            "MaxStartups": "100",
            "Subsystem": "sftp internal-sftp",
            # the first line of its kind counts, so all are on one
            "SetEnv": " ".join(f'"{name}={value}"' for name, value in session.items()),
        }
        client = {
            "HostName": HOST,
            "HostKeyAlias": ALIAS,
            "Port": self.port,
            "User": getpass.getuser() if os.geteuid() else "root",
            "IdentityFile": self._etc / "client",
            "IdentitiesOnly": "yes",
            "IdentityAgent": "none",
            "UserKnownHostsFile": self._etc / "known_hosts",
            "GlobalKnownHostsFile": "/dev/null",
            "StrictHostKeyChecking": "yes",
            "BatchMode": "yes",
            "ConnectTimeout": "10",
        }
        (self._etc / "sshd_config").write_text("".join(f"{k} {v}\n" for k, v in server.items()))
        (self._etc / "ssh_config").write_text(
            f"Host {ALIAS}\n" + "".join(f"\t{k} {v}\n" for k, v in client.items())
        )
        for name in ("ssh", "scp", "sftp"):
            wrapper = self.bin / name
            program = require(name, INSTALL)
            wrapper.write_text(f'#!/bin/sh\nexec {program} -F "{self._etc}/ssh_config" "$@"\n')
            wrapper.chmod(0o755)

    def _trust_host(self) -> None:
        kind, key = (self._etc / "host.pub").read_text().split()[:2]
        (self._etc / "known_hosts").write_text(f"{ALIAS} {kind} {key}\n")


def _make_key(path: Path) -> None:
    path.unlink(missing_ok=True)
    subprocess.run(
        [require("ssh-keygen", INSTALL), "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", path],
        check=True,
        stdin=subprocess.DEVNULL,
        timeout=60,
    )


@pytest.fixture
def sshd(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Sshd]:
    """A running ssh server; ``ssh mrishare-test`` reaches it within the test."""
    server = Sshd(tmp_path_factory.mktemp("ssh"))
    monkeypatch.setenv("PATH", f"{server.bin}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    server.start()
    yield server
    server.stop()
