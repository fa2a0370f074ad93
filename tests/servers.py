"""Programs that a test needs and a machine may not have."""

from __future__ import annotations

import os
import shutil

import pytest


def require(program: str, install: str) -> str:
    """Path of ``program``; without it skip the test, or fail it in CI (``CI=true``).

    ``install`` is the command that installs it.
    """
    # sbin is where Debian keeps sshd, and not on the PATH of every user
    found = shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if found:
        return found
    reason = f"{program} is not installed. Install it: {install}"
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
