"""An S3 server on 127.0.0.1: localbucket, with the signatures it does not look at checked.

Buckets are directories below ``root`` and objects plain files in them. No access control
lists, no versioning, no virtual hosts: ``requeststyle=path`` is a must.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import socket
from collections.abc import Iterator
from email.message import Message
from http import HTTPStatus
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from .process import HOST
from .web import Threaded, module, reach_loopback

KEY_ID = "MRISHARETESTKEYID"
VERSIONING = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
SECRET = "a secret only the two sides know"


class S3(Threaded):
    """The server.

    Attributes
    ----------
    root : Path
        Directory of the buckets.
    public : bool
        Whether anybody may read, without a signature.
    readonly : bool
        Whether writing is denied, whoever asks.
    versioning : bool
        Whether it says that older versions are kept, which it does not do.
    """

    def __init__(self, root: Path) -> None:
        super().__init__()
        self.root = root
        self.root.mkdir(parents=True, exist_ok=True)
        self.public = False
        self.readonly = self.versioning = False
        self.log: list[str] = []
        self._handler = _handler(self)
        self._listen(0)

    def initremote(self, bucket: str, *more: str) -> list[str]:
        """Words after ``git annex initremote NAME``."""
        where = ("type=S3", f"host={HOST}", f"port={self.port}", "protocol=http")
        words = [*where, "requeststyle=path", f"bucket={bucket}", *more]
        if not any(word.startswith("encryption=") for word in more):
            words.append("encryption=none")
        return words

    def environment(self, *, secret: str = SECRET) -> dict[str, str]:
        """Credentials as git-annex reads them; another ``secret`` is refused."""
        return {"AWS_ACCESS_KEY_ID": KEY_ID, "AWS_SECRET_ACCESS_KEY": secret}

    def objects(self, bucket: str) -> set[str]:
        """Names of what lies in a bucket."""
        top = self.root / bucket
        return {str(p.relative_to(top)) for p in top.rglob("*") if p.is_file()}

    def serve(self) -> None:
        """Serve until closed."""
        self._server.serve_forever(poll_interval=0.02)

    def close(self) -> None:
        """Stop and end all connections."""
        self._server.shutdown()
        self._server.hang_up()
        self._server.server_close()

    def restart(self) -> None:
        """Serve again at the same port."""
        self.stop()
        self._listen(self.port)
        self.start()

    def _listen(self, port: int) -> None:
        self._server = _Server((HOST, port), self._handler)
        self.port = self._server.server_port


class _Server(ThreadingHTTPServer):
    """Knows its open connections, so that none outlives it."""

    def __init__(self, *args: Any) -> None:
        self._open: set[socket.socket] = set()
        super().__init__(*args)

    # all threads are waited for when the server is closed
    daemon_threads = False

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is no news."""

    def hang_up(self) -> None:
        for link in list(self._open):
            try:
                link.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue


def _handler(server: S3) -> type:
    """localbucket's request handler for one server, with access control."""
    localbucket = module("localbucket")

    class Handler(localbucket.S3Handler):  # type: ignore[name-defined,misc]
        data_root = server.root

        def log_message(self, format: str, *args: Any) -> None:
            server.log.append(format % args)

        def _read_body(self) -> bytes:
            body: bytes = super()._read_body()
            # of a client that died: S3 keeps nothing of it, localbucket what there was
            if len(body) < int(self.headers.get("Content-Length") or 0):
                bad = (HTTPStatus.BAD_REQUEST, "IncompleteBody", "Fewer bytes than announced.")
                raise localbucket.S3Error(*bad)
            return body

        def _dispatch(self, action: Any) -> None:
            reading = self.command in ("GET", "HEAD")
            signed = signature(self.command, self.path, self.headers)
            allowed = hmac.compare_digest(signed, self.headers.get("Authorization", ""))
            if allowed and server.versioning and self.path.endswith("?versioning"):
                self._send(HTTPStatus.OK, VERSIONING)
                return
            if (allowed and (reading or not server.readonly)) or (reading and server.public):
                super()._dispatch(action)
                return
            self._read_body()
            code = "AccessDenied" if allowed else "SignatureDoesNotMatch"
            self._send_error(localbucket.S3Error(HTTPStatus.FORBIDDEN, code, "Not permitted."))

    return Handler


def signature(method: str, target: str, headers: Message) -> str:
    """``Authorization`` of a request by signature version 2, git-annex's default elsewhere.

    Amazon S3 developer guide, "Signing and authenticating REST requests"; of
    the sub-resources only ``versioning`` is asked for.
    """
    amazon = sorted((n.lower(), v) for n, v in headers.items() if n.lower().startswith("x-amz-"))
    text = "\n".join(
        [
            method,
            headers.get("Content-MD5", ""),
            headers.get("Content-Type", ""),
            headers.get("Date", "") if "x-amz-date" not in dict(amazon) else "",
            *(f"{name}:{value}" for name, value in amazon),
            _resource(target),
        ]
    )
    digest = hmac.new(SECRET.encode(), text.encode(), hashlib.sha1).digest()
    return f"AWS {KEY_ID}:{base64.b64encode(digest).decode()}"


def _resource(target: str) -> str:
    """What is asked for, as it is signed: a bucket has a slash behind, as Amazon insists."""
    path, _, query = target.partition("?")
    bucket = path if path.count("/") > 1 else f"{path}/"
    return f"{bucket}?versioning" if query == "versioning" else bucket


@pytest.fixture
def s3(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3]:
    """A running S3 server that git-annex may talk to within the test."""
    directory = tmp_path_factory.mktemp("s3")
    reach_loopback(monkeypatch, directory)
    server = S3(directory / "buckets")
    server.start()
    yield server
    server.stop()
