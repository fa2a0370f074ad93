"""A file system that is soon full."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from . import require


@pytest.fixture
def smalldisk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[int], Path]]:
    """``smalldisk(megabytes)`` is a directory that holds so many megabytes (MiB) and no more."""
    mounted: list[Path] = []

    def make(megabytes: int) -> Path:
        if os.geteuid() != 0:
            # no failure in CI, either: no package gives the permission to mount
            pytest.skip("a small disk is a mounted tmpfs, and only root can mount one")
        path = tmp_path_factory.mktemp("smalldisk")
        mount = require("mount", "apt-get install mount")
        options = f"size={megabytes}m,mode=0755"
        done = subprocess.run(
            [mount, "-t", "tmpfs", "-o", options, "tmpfs", path],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if done.returncode:
            pytest.skip(f"this machine does not let root mount a tmpfs: {done.stderr.strip()}")
        mounted.append(path)
        return path

    yield make
    for path in mounted:
        # lazily: a test that failed may have left a process in there
        subprocess.run(["umount", "--lazy", path], check=True, timeout=60)
