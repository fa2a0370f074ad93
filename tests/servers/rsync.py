"""rsync special remotes: over the ssh server, or to a path of this machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from . import require
from .ssh import Sshd

INSTALL = "apt-get install rsync"


@dataclass(frozen=True)
class Rsync:
    """A place that rsync reaches, and the directory it is.

    Attributes
    ----------
    url : str
        Prefix of an rsync URL.
    root : Path
        The same as a directory.
    """

    url: str
    root: Path

    def initremote(self, path: str, *more: str) -> list[str]:
        """Words after ``git annex initremote NAME``."""
        words = ["type=rsync", f"rsyncurl={self.url}/{path}", *more]
        if not any(word.startswith("encryption=") for word in more):
            words.append("encryption=none")
        return words


@pytest.fixture
def rsync_ssh(sshd: Sshd) -> Rsync:
    """Storage behind rsync and ssh."""
    require("rsync", INSTALL)
    # rsync makes one level of directories and not two
    (sshd.root / "rsync").mkdir()
    return Rsync(sshd.scp("rsync"), sshd.root / "rsync")


@pytest.fixture
def rsync_path(tmp_path_factory: pytest.TempPathFactory) -> Rsync:
    """Storage behind rsync, on a path of this machine."""
    require("rsync", INSTALL)
    root = tmp_path_factory.mktemp("rsync")
    return Rsync(str(root), root)
