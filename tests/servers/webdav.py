"""A WebDAV server on 127.0.0.1: wsgidav behind cheroot, with basic authentication and a quota."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from .process import HOST, free_port
from .web import Threaded, module, reach_loopback

USER = "mrishare"
PASSWORD = "a password for webdav"
WRITING = {"PUT", "DELETE", "MKCOL", "MOVE", "COPY", "PROPPATCH", "LOCK"}


class WebDav(Threaded):
    """The server.

    Attributes
    ----------
    root : Path
        Directory that is served.
    quota : int or None
        Bytes that may lie there, told as RFC 4331 says and enforced; None: neither.
    readonly : bool
        Whether writing is denied, whoever asks.
    unlisted, flat : bool
        Whether nothing is told of collections, or not of all that is below one at once.
    hold : threading.Event
        While it is not set, what would write waits for an answer.
    """

    def __init__(self, root: Path) -> None:
        super().__init__()
        self.root = root
        self.root.mkdir(parents=True, exist_ok=True)
        self.quota: int | None = None
        self.readonly = self.unlisted = self.flat = False
        self.hold = threading.Event()
        self.hold.set()
        self.log: list[str] = []
        self.port = free_port()
        self._application = _application(self)
        self._listen()

    def url(self, path: str = "") -> str:
        """URL of a directory."""
        return f"http://{self.address}/{path}"

    def initremote(self, path: str, *more: str) -> list[str]:
        """Words after ``git annex initremote NAME``."""
        words = ["type=webdav", f"url={self.url(path)}", *more]
        if not any(word.startswith("encryption=") for word in more):
            words.append("encryption=none")
        return words

    def environment(self, *, password: str = PASSWORD) -> dict[str, str]:
        """Credentials as git-annex reads them; another ``password`` is refused."""
        return {"WEBDAV_USERNAME": USER, "WEBDAV_PASSWORD": password}

    @property
    def used(self) -> int:
        """Bytes that lie there."""
        return sum(p.stat().st_size for p in self.root.rglob("*") if p.is_file())

    def serve(self) -> None:
        """Serve until closed."""
        self._server.serve()

    def close(self) -> None:
        """Stop and end all connections."""
        self.hold.set()
        self._server.stop()

    def restart(self) -> None:
        """Serve again at the same port."""
        self.stop()
        self._listen()
        self.start()

    def _listen(self) -> None:
        wsgi = module("cheroot.wsgi")
        # cheroot waits this many seconds for connections that are still open
        self._server = wsgi.Server((HOST, self.port), self._guard, shutdown_timeout=1)
        self._server.prepare()

    def _guard(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        """Refuse what a read-only or full server refuses."""
        method = environ["REQUEST_METHOD"]
        self.log.append(f"{method} {environ['PATH_INFO']}")
        refused = ""
        if method in WRITING:
            self.hold.wait()
        if self.readonly and method in WRITING:
            refused = "403 Forbidden"
        elif method == "PROPFIND" and (self.unlisted or self.flat):
            depth = environ.get("HTTP_DEPTH")
            collection = environ["PATH_INFO"].endswith("/")  # git-annex asks for files only
            if depth == "infinity" or (self.unlisted and depth == "1" and collection):
                refused = "403 Forbidden"
        elif self.quota is not None and method == "PUT":
            size = int(environ.get("CONTENT_LENGTH") or 0)
            if self.used + size > self.quota:
                refused = "507 Insufficient Storage"
        if not refused:
            return self._application(environ, start)  # type: ignore[no-any-return]
        start(refused, [("Content-Length", "0"), ("Connection", "close")])
        return [b""]


def _application(server: WebDav) -> Any:
    """wsgidav, telling the quota of ``server``."""
    files, error = module("wsgidav.fs_dav_provider"), module("wsgidav.dav_error")

    class Folder(files.FolderResource):  # type: ignore[name-defined,misc]
        def get_property_value(self, name: str) -> Any:
            if server.quota is None and name.startswith("{DAV:}quota-"):
                raise error.DAVError(error.HTTP_NOT_FOUND)
            return super().get_property_value(name)

        def get_used_bytes(self) -> int | None:
            return None if server.quota is None else server.used

        def get_available_bytes(self) -> int | None:
            return None if server.quota is None else max(0, server.quota - server.used)

    class Provider(files.FilesystemProvider):  # type: ignore[name-defined,misc]
        def get_resource_inst(self, path: str, environ: dict[str, Any]) -> Any:
            found = super().get_resource_inst(path, environ)
            if isinstance(found, files.FolderResource):
                return Folder(path, environ, self._loc_to_file_path(path, environ))
            return found

    logging.getLogger("wsgidav").setLevel(logging.CRITICAL)
    return module("wsgidav.wsgidav_app").WsgiDAVApp(
        {
            "provider_mapping": {"/": Provider(os.fspath(server.root))},
            "simple_dc": {"user_mapping": {"*": {USER: {"password": PASSWORD}}}},
            "http_authenticator": {"accept_digest": False, "default_to_digest": False},
            "logging": {"enable": False},
            "verbose": 0,
        }
    )


@pytest.fixture
def webdav(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[WebDav]:
    """A running WebDAV server; ``environment()`` has its user and password."""
    directory = tmp_path_factory.mktemp("webdav")
    reach_loopback(monkeypatch, directory)
    server = WebDav(directory / "files")
    server.start()
    yield server
    server.stop()
