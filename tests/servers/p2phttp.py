"""A repository behind HTTP with a password: content by p2phttp, git by git-http-backend."""

from __future__ import annotations

import base64
import hmac
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from . import require
from .process import HOST, Server, answers, free_port
from .web import Threaded, module, reach_loopback

USER = "mrishare"
READER = "reader"
PASSWORD = "password-for-http"
#: variables of CGI that WSGI has under the same name
CGI = ("REQUEST_METHOD", "QUERY_STRING", "CONTENT_TYPE", "CONTENT_LENGTH", "HTTP_GIT_PROTOCOL")


class GitHttp(Threaded):
    """git-http-backend for the repositories below a directory.

    ``reader`` may fetch, ``mrishare`` may push as well; nobody else gets anything.
    """

    def __init__(self, root: Path, certificate: Path | None = None) -> None:
        super().__init__()
        self.root = root
        self.port = free_port()
        wsgi = module("cheroot.wsgi")
        self._server = wsgi.Server((HOST, self.port), self._answer, shutdown_timeout=1)
        if certificate:
            tls = module("cheroot.ssl.builtin").BuiltinSSLAdapter
            self._server.ssl_adapter = tls(certificate, certificate.with_name("key.pem"))
        self._server.prepare()
        self._program = require("git", "apt-get install git")

    def serve(self) -> None:
        """Serve until closed."""
        self._server.serve()

    def close(self) -> None:
        """Stop and end all connections."""
        self._server.stop()

    def _answer(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        given = environ.get("HTTP_AUTHORIZATION", "")
        user = next((u for u in (USER, READER) if hmac.compare_digest(given, _basic(u))), None)
        if user is None:
            start("401 Unauthorized", [("WWW-Authenticate", 'Basic realm="git"')])
            return [b""]
        path = environ["PATH_INFO"]
        if path.endswith("/config"):
            # git-annex learns the uuid and the place of the content from it
            start("200 OK", [("Content-Type", "text/plain")])
            return [(self.root / path.strip("/")).read_bytes()]
        git = {
            **os.environ,
            **{name: environ[name] for name in CGI if name in environ},
            "GIT_PROJECT_ROOT": str(self.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_PROTOCOL": environ.get("HTTP_GIT_PROTOCOL", ""),
            "HTTP_CONTENT_ENCODING": environ.get("HTTP_CONTENT_ENCODING", ""),
            "PATH_INFO": path,
            "REMOTE_ADDR": HOST,
        }
        # git-http-backend lets those push who have a name
        if user == USER:
            git["REMOTE_USER"] = user
        with tempfile.TemporaryFile() as body:
            for block in iter(lambda: environ["wsgi.input"].read(1 << 16), b""):
                body.write(block)
            body.seek(0)
            git["CONTENT_LENGTH"] = str(os.fstat(body.fileno()).st_size)
            argv = [self._program, "http-backend"]
            done = subprocess.run(argv, env=git, stdin=body, capture_output=True, check=False)
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        headers = [
            (name, value)
            for name, _, value in (line.partition(": ") for line in head.decode().split("\r\n"))
        ]
        status = next((v for n, v in headers if n == "Status"), "200 OK")
        start(status, [(n, v) for n, v in headers if n != "Status"])
        return [content]


class P2pHttp:
    """A bare annex behind both servers.

    Attributes
    ----------
    path : Path
        The repository, as the server sees it.
    url, annex_url : str
        ``remote.NAME.url`` and ``remote.NAME.annexUrl``.
    certificate : Path or None
        What proves the server, where both speak HTTPS.
    """

    def __init__(self, directory: Path, certificate: Path | None = None) -> None:
        self.path = directory / "served" / "data.git"
        self.path.mkdir(parents=True)
        self.certificate = certificate
        self.scheme = "https" if certificate else "http"
        self._env = {
            **os.environ,
            f"GIT_ANNEX_P2PHTTP_PASSWORD_{USER}": PASSWORD,
            f"GIT_ANNEX_P2PHTTP_PASSWORD_{READER}": PASSWORD,
            f"GIT_ANNEX_P2PHTTP_PERMISSIONS_{READER}": "readonly",
        }
        self._make("Storage Account", "storage@example.org")
        self._git = GitHttp(self.path.parent, certificate)
        self.port = free_port()
        self._annex = Server(directory / "p2phttp.log", lambda: answers(self.port))
        self._run("config", "annex.url", self.annex_url)
        self._credentials = directory / "credentials"
        self.log_in()

    @property
    def url(self) -> str:
        """The git half."""
        return f"{self.scheme}://{self._git.address}/{self.path.name}"

    @property
    def annex_url(self) -> str:
        """The content."""
        return f"annex+{self.scheme}://{HOST}:{self.port}/git-annex/"

    @property
    def helper(self) -> str:
        """Lines of git configuration by which git and git-annex find the password."""
        return f"[credential]\n\thelper = store --file='{self._credentials}'\n"

    def log_in(self, user: str = USER, password: str = PASSWORD) -> None:
        """What the credential helper answers from now on; git forgets what is refused.

        For content git-annex takes what git takes, or asks for ``annex+http`` and a path
        where the git half is not HTTP.
        """
        who = f"{user}:{password}@{HOST}"
        self._credentials.write_text(
            f"{self.scheme}://{who}%3a{self._git.port}\nannex+{self.scheme}://{who}%3a{self.port}/git-annex\n"
        )

    def _make(self, name: str, mail: str) -> None:
        for words in (
            ("init", "--quiet", "--bare", "--initial-branch=main"),
            ("config", "user.name", name),
            ("config", "user.email", mail),
            ("annex", "init", "--quiet", "served"),
        ):
            self._run(*words)

    def make_neutral(self) -> None:
        """Make it anew, so that it tells nobody's name."""
        self.stop_annex()
        shutil.rmtree(self.path)
        self.path.mkdir()
        self._make("datalad-mrishare", "datalad-mrishare@invalid")
        self._run("config", "annex.url", self.annex_url)
        self.start_annex()

    def add(self, repo: Path, name: str) -> None:
        """Make it a remote of ``repo``."""
        for words in (
            ("remote", "add", name, self.url),
            ("config", f"remote.{name}.annexUrl", self.annex_url),
        ):
            subprocess.run(["git", *words], cwd=repo, check=True, timeout=60)

    def start(self) -> None:
        """Start both servers."""
        self._git.start()
        self.start_annex()

    def start_annex(self) -> None:
        """Start p2phttp alone."""
        words = ["--jobs=2", f"--bind={HOST}", f"--port={self.port}"]
        if self.certificate:
            key = self.certificate.with_name("key.pem")
            words += ["--authenv", f"--certfile={self.certificate}", f"--privatekeyfile={key}"]
        else:
            words.append("--authenv-http")
        program = require("git-annex", "pip install git-annex")
        self._annex.start([program, "p2phttp", *words], cwd=self.path, env=self._env)

    def stop_annex(self) -> None:
        """End p2phttp alone, so that git works and content does not."""
        self._annex.end()

    def kill_annex(self) -> None:
        """The same with SIGKILL."""
        self._annex.end(signal.SIGKILL)

    @property
    def pid(self) -> int:
        """The process of p2phttp."""
        return self._annex.pid

    def stop(self) -> None:
        """End both."""
        self._annex.end()
        self._git.stop()

    def _run(self, *words: str) -> None:
        subprocess.run(["git", *words], cwd=self.path, check=True, timeout=60)


def _basic(user: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{PASSWORD}".encode()).decode()


@pytest.fixture
def p2phttp(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[P2pHttp]:
    """A bare annex behind HTTP; within the test git knows the password."""
    directory = tmp_path_factory.mktemp("p2phttp")
    server = P2pHttp(directory)
    reach_loopback(monkeypatch, directory, server.helper)
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture
def p2phttps(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[P2pHttp]:
    """The same behind HTTPS; within the test git and git-annex trust its certificate."""
    directory = tmp_path_factory.mktemp("p2phttps")
    server = P2pHttp(directory, certify(directory))
    trust(monkeypatch, directory, server)
    try:
        server.start()
        yield server
    finally:
        server.stop()


def trust(monkeypatch: pytest.MonkeyPatch, directory: Path, server: P2pHttp) -> None:
    """Let git and git-annex know the certificate and the password of a server."""
    reach_loopback(monkeypatch, directory, server.helper)
    # git's variable, and that of the library of git-annex
    for variable in ("GIT_SSL_CAINFO", "SYSTEM_CERTIFICATE_PATH"):
        monkeypatch.setenv(variable, str(server.certificate))


def certify(directory: Path) -> Path:
    """A certificate of this machine that proves itself; its key lies beside it."""
    certificate = directory / "certificate.pem"
    words = ("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={HOST}")
    files = ("-keyout", directory / "key.pem", "-out", certificate)
    more = ("-addext", f"subjectAltName=IP:{HOST}")
    program = require("openssl", "apt-get install openssl")
    subprocess.run([program, *words, *files, *more], check=True, capture_output=True, timeout=60)
    return certificate
