"""What the servers that speak HTTP have in common."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import pytest

from .process import HOST, PATIENCE, answers, wait_until


class Threaded:
    """A server object in a thread of this process: it has ``serve`` and ``close``."""

    port: int

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None

    def serve(self) -> None:
        """Listen on ``port`` and serve until ``close`` is called."""
        raise NotImplementedError

    def close(self) -> None:
        """Make ``serve`` return and end every connection."""
        raise NotImplementedError

    @property
    def address(self) -> str:
        """``127.0.0.1:PORT``."""
        return f"{HOST}:{self.port}"

    def start(self) -> None:
        """Serve; returns when connections are taken."""
        assert self._thread is None, "it runs already"
        self._thread = threading.Thread(target=self.serve, name=type(self).__name__, daemon=True)
        self._thread.start()
        if not wait_until(lambda: answers(self.port)):
            pytest.fail(f"{type(self).__name__} does not answer on {self.address}", pytrace=False)

    def stop(self) -> None:
        """End it and wait for its thread."""
        if self._thread is None:
            return
        thread, self._thread = self._thread, None
        self.close()
        thread.join(PATIENCE)
        assert not thread.is_alive(), f"{type(self).__name__} does not stop"


def reach_loopback(monkeypatch: pytest.MonkeyPatch, directory: Path, more: str = "") -> None:
    """Let git-annex speak HTTP with this machine within the test.

    It asks a proxy in spite of ``no_proxy``, and refuses loopback addresses until told
    otherwise. ``more`` is added to the global git configuration, too, of which
    ``directory`` gets a copy.
    """
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    text = f'[annex "security"]\n\tallowed-ip-addresses = {HOST}\n{more}'
    before = Path(os.environ.get("GIT_CONFIG_GLOBAL", os.devnull))
    after = directory / "gitconfig"
    after.write_text(before.read_text() + text)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(after))


def module(name: str) -> Any:
    """A Python module of the ``test`` extra; without it skip, or fail with ``CI=true``."""
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError:
        reason = (
            f"Python module {name} is missing. Install it: pip install 'datalad-mrishare[test]'"
        )
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
