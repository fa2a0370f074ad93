"""Real servers on 127.0.0.1, and programs that a machine may not have.

A test names the fixture it needs; ``conftest.py`` registers them all. Each server belongs
to one test, is waited for, and is gone with the test:

========================== ===========================================================
``sshd``                   OpenSSH as ``mrishare-test`` for git, git-annex, rsync, DataLad
``rsync_ssh, rsync_path``  places for rsync special remotes
``s3``, ``webdav``         storage with credentials; ``readonly``, ``public``, ``quota``, ``hold``
``p2phttp``                a bare annex behind HTTP with a password, git and content
``gpg``                    keys of a steward, a partner and nobody else
``smalldisk``              a directory that is soon full (root only)
========================== ===========================================================
"""

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
