"""Places behind ssh: what a URL means, and a script run there.

git and git-annex find their way by themselves; this is for what they cannot do: look
whether a repository is empty, make it neutral, ask for room. One connection a question,
by the ssh that git itself would call, and nobody is ever asked for a password. It is
also where it turns out, in one sentence, that a host cannot be reached.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import quote, unquote

from ..errors import RepoError, SiblingError
from .process import SSH_OPTIONS, complete, git_text, stream

_SCHEMES = ("ssh", "git+ssh", "ssh+git")
_AUTHORITY = re.compile(r"((?:[^@]*@)?(?:\[[^\]]*\]|[^:\[\]]*))(?::(\d*))?")
_SCP = re.compile(r"((?:[^/:\[\]@]+@)?\[[^\]/]+\]|[^/:\[\]]+):(?!:|//)(.+)", re.DOTALL)


@dataclass(frozen=True)
class SshPlace:
    """A directory on another machine.

    ``host`` may have a user before it; ``path`` is absolute, or relative to the home there.
    ``repo`` is the repository whose configuration says which ssh to call, ``sibling`` whose
    place it is, for messages.
    """

    host: str
    path: str
    port: int | None = None
    repo: Path = field(default=Path("/"), compare=False)
    sibling: str = field(default="", compare=False)

    def __str__(self) -> str:
        user, at, name = self.host.rpartition("@")
        host = f"{user}{at}[{name}]" if ":" in name else self.host
        port = f":{self.port}" if self.port else ""
        path = self.path if self.path.startswith(("/", "~")) else f"~/{self.path}"
        path = quote(path, safe="/~!$&'()*+,;=:@")
        return f"ssh://{host}{port}{'' if path.startswith('/') else '/'}{path}"

    def of(self, sibling: str) -> SshPlace:
        """The same, as the place of this sibling."""
        return replace(self, sibling=sibling)

    def _where(self) -> str:
        return f"sibling '{self.sibling}' at {self}" if self.sibling else str(self)

    def same(self, other: SshPlace) -> bool:
        """Whether both are one place, whoever logs in there."""
        return self._identity() == other._identity()

    def _identity(self) -> tuple[str, str, int]:
        path = os.path.normpath(self.path.removeprefix("~/")).removesuffix("/.git")
        return self.host.rpartition("@")[2].lower(), path, self.port or 22

    def spellings(self) -> list[str]:
        """The URLs that people write for it."""
        path = self.path.rstrip("/")
        forms = [str(SshPlace(self.host, path, self.port))]
        if self.port is None:
            forms.append(f"{self.host}:{path}")
        return [form + end for form in forms for end in ("", "/")]

    def run(self, script: str, *words: str, timeout: float = 600) -> str:
        """What the POSIX shell ``script`` prints there, with ``words`` as ``$1`` and so on.

        Raises
        ------
        SiblingError
            When the host cannot be reached, or the script fails; for a path in the home of
            another account.
        """
        self._must_be_plain()
        # a function, so that the shell has read all of it before anything else can
        text = f'mrishare() {{\n{script}\n}}\nmrishare "$@" </dev/null\n'
        argv = self._argv(shlex.join(["sh", "-s", "--", *words]))
        done = complete(argv, self.repo, stdin=text.encode(), timeout=timeout)
        said = done.stderr.decode("utf-8", "replace")
        if done.returncode:
            raise self._refused(said, done.returncode)
        return done.stdout.decode("utf-8", "surrogateescape")

    def stream(self, script: str, *words: str, feed: bytes = b"") -> Iterator[bytes]:
        """What the script prints there, piece by piece; it reads ``feed``.

        Raises
        ------
        SiblingError
            As :meth:`run` does, after the pieces.
        """
        self._must_be_plain()
        argv = self._argv(shlex.join(["sh", "-c", script, "sh", *words]))
        try:
            yield from stream(argv, self.repo, feed=iter((feed,)), sep=None)
        except RepoError as exc:
            raise self._refused(exc.what, 1) from exc

    def _argv(self, there: str) -> tuple[str, ...]:
        port = ("-p", str(self.port)) if self.port else ()
        command = _ssh_command(self.repo)
        return ("sh", "-c", f'{command} "$@"', command, *SSH_OPTIONS, *port, self.host, there)

    def _must_be_plain(self) -> None:
        """Refuse what a program would take for an option, or what only some servers expand."""
        if not self.host or self.host.startswith("-") or self.path.startswith("-"):
            raise SiblingError("is no host and path that ssh could be given", where=str(self))
        if re.match(r"~[^/]", self.path):
            raise SiblingError(
                "leads to the home of another account",
                where=str(self),
                remedy="Write the full path",
            )

    def _refused(self, said: str, code: int) -> SiblingError:
        reach = " ".join(("ssh", *(("-p", str(self.port)) if self.port else ()), self.host))
        for sign, what, remedy in _REASONS:
            if sign in said:
                return SiblingError(what, where=self._where(), remedy=remedy.format(reach=reach))
        lines = [line.strip() for line in said.splitlines() if line.strip()]
        reason = lines[-1] if lines else f"exit code {code}"
        return SiblingError(
            f"cannot be used over ssh: {reason}",
            where=self._where(),
            remedy=f"See what `{reach} true` says",
        )


_AGAIN = "Try `{reach}`, then run this again"
_REASONS = (
    (
        "IDENTIFICATION HAS CHANGED",
        "the host has another key than it had, so it may be another host",
        "Ask who runs it whether the key was changed, and only then forget the old one"
        " (ssh-keygen -R); nothing was changed here",
    ),
    (
        "Host key verification failed",
        "the key of this host is not known here",
        "Connect once by hand and compare the key: {reach}",
    ),
    (
        "Permission denied",
        "the host refuses to let us in without a password",
        "Give it your public key (ssh-copy-id) or load yours (ssh-add), until `{reach} true`"
        " works without a question",
    ),
    ("Could not resolve", "there is no host of this name", _AGAIN),
    ("Connection refused", "the host cannot be reached: it refuses connections", _AGAIN),
    ("timed out", "the host cannot be reached: it does not answer", _AGAIN),
    ("No route to host", "the host cannot be reached: there is no way to it", _AGAIN),
    ("Network is unreachable", "the host cannot be reached: there is no way to it", _AGAIN),
    ("Connection closed by", "the host closed the connection", _AGAIN),
)


def ssh_place(url: str, repo: Path = Path("/")) -> SshPlace | None:
    """The place behind ssh that git takes ``url`` for, or None (gitfetch(1), GIT URLS).

    >>> ssh_place("ssh://me@host:2222/srv/mir.git").path, ssh_place("host:mir").path
    ('/srv/mir.git', 'mir')
    >>> ssh_place("/srv/a:b"), ssh_place("https://host/mir"), ssh_place("annex::u?type=S3")
    (None, None, None)
    >>> ssh_place("ssh://host/~/my%20mir").path, ssh_place("[host:22]:mir").port
    ('~/my mir', 22)
    >>> str(ssh_place("host:mir")), str(ssh_place("me@[::1]:/my mir"))
    ('ssh://host/~/mir', 'ssh://me@[::1]/my%20mir')
    """
    scheme, found, rest = url.partition("://")
    port: str | None
    if found:
        authority, _, path = rest.partition("/")
        match = _AUTHORITY.fullmatch(authority)
        if scheme not in _SCHEMES or not match:
            return None
        host, port, path = match[1], match[2], unquote(path)
        path = path if path.startswith("~") else f"/{path}"
    else:
        match = _SCP.fullmatch(url)
        if not match:
            return None
        host, port, path = match[1], None, match[2]
        inner = re.fullmatch(r"\[([^:]+):(\d+)\]", host)
        if inner:
            host, port = inner[1], inner[2]
    host = re.sub(r"\[(.*)\]$", r"\1", host)
    return SshPlace(host, path, int(port) if port else None, repo)


def _ssh_command(repo: Path) -> str:
    """The ssh that git would call, as a shell takes it (git(1), GIT_SSH_COMMAND)."""
    given = os.environ.get("GIT_SSH_COMMAND")
    if not given:
        given = git_text(repo, "config", "core.sshCommand", ok=(0, 1))
    return given or shlex.quote(os.environ.get("GIT_SSH") or "ssh")


#: first words of every script: go to the place in "$1", or fail
GO_THERE = """
case "$1" in
"~/"*) place="$HOME/${1#"~/"}" ;;
*) place="$1" ;;
esac
"""

_ROOM = (
    GO_THERE
    + """
while [ ! -d "$place" ] && [ "$place" != / ] && [ "$place" != . ]; do
    place="$(dirname "$place")"
done
df -P -B1 "$place" 2>/dev/null || df -P -k "$place"
"""
)


def room_there(place: SshPlace) -> tuple[int | None, str]:
    """Bytes free on the file system that holds ``place``, and which one it is there.

    None and an empty string when it does not tell.
    """
    try:
        said = place.run(_ROOM, place.path, timeout=120).strip().splitlines()
    except SiblingError:
        return None, ""
    found = re.search(r"^(.*?)\s+\d+\s+-?\d+\s+(-?\d+)\s+\S*%\s*(.*)$", said[-1]) if said else None
    if not found:
        return None, ""
    unit = 1024 if re.search(r"\b(1024|1K|1k)\S*blocks", said[0]) else 1
    # a tmpfs is called tmpfs, each of them
    device = found[1] if "/" in found[1] else f"{found[1]} {found[3]}"
    return max(0, int(found[2]) * unit), device
