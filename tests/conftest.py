"""Shared fixtures: nobody's configuration, real repositories, copies of templates.

Everything that git, git-annex and DataLad read from a home is replaced before the first
of them is imported. Helpers are in ``builders.py`` and ``servers``: import them as
top-level modules. A test asks for a server by the name of its fixture.
"""

from __future__ import annotations

import gc
import importlib.util
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, os.path.dirname(__file__))

pytest_plugins = [
    f"servers.{kind}" for kind in ("gpg", "p2phttp", "s3", "smalldisk", "ssh", "rsync", "webdav")
]

_HOME = Path(tempfile.mkdtemp(prefix="mrishare-home-"))
_CONFIG = """[user]
\tname = Test Steward
\temail = steward@example.org
[init]
\tdefaultBranch = main
[annex]
\tretry = 0
[protocol "file"]
\tallow = always
"""


def _without_a_launcher() -> list[str]:
    """A directory for PATH where git-annex of PyPI is found without the Python that launches it.

    Its launcher starts Python to replace it by git-annex: four times what git-annex takes to
    start. Empty with any other git-annex.
    """
    spec = importlib.util.find_spec("git_annex")
    if spec is None or spec.origin is None:
        return []
    program = Path(spec.origin).with_name("git-annex")
    installed = shutil.which("git-annex", path=str(Path(sys.executable).parent))
    if installed is None or not program.is_file():
        return []
    place = _HOME / "bin"
    place.mkdir()
    for name in ("git-annex", "git-annex-shell", "git-remote-annex"):
        (place / name).symlink_to(program)
    os.environ["MAGIC"] = str(program.with_name("magic.mgc"))  # as the launcher says
    return [str(place)]


def pytest_configure() -> None:
    """Point everything at an empty home; no proxy, no network by accident."""
    (_HOME / "gitconfig").write_text(_CONFIG)
    first = [*_without_a_launcher(), str(Path(sys.executable).parent)]
    for name in [n for n in os.environ if n.startswith(("GIT_", "DATALAD_", "XDG_"))]:
        del os.environ[name]
    # each of thousands of processes would compile this package again
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ.update(
        HOME=str(_HOME),
        GIT_CONFIG_GLOBAL=str(_HOME / "gitconfig"),
        GIT_CONFIG_NOSYSTEM="1",
        GIT_TERMINAL_PROMPT="0",
        http_proxy="http://127.0.0.1:9",
        https_proxy="http://127.0.0.1:9",
        no_proxy="127.0.0.1,localhost",
        PATH=os.pathsep.join((*first, os.environ["PATH"])),
        TZ="UTC",
    )
    time.tzset()


def pytest_collection_finish() -> None:
    """What was imported stays: it need not be looked through for garbage."""
    gc.freeze()


def pytest_unconfigure() -> None:
    """Remove the home."""
    shutil.rmtree(_HOME, ignore_errors=True)


@pytest.fixture(autouse=True, scope="session")
def _pristine_configuration() -> Iterator[None]:
    """No test may leave its mark in the global configuration."""
    before = (_HOME / "gitconfig").read_bytes()
    yield
    assert (_HOME / "gitconfig").read_bytes() == before


@pytest.fixture(scope="session")
def bids_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BIDS folder of four participants; only to be copied."""
    from builders import make_bids

    return make_bids(tmp_path_factory.mktemp("template") / "bids", 4)


@pytest.fixture(scope="session")
def registered_template(
    tmp_path_factory: pytest.TempPathFactory, bids_template: Path
) -> Iterator[Path]:
    """The same as a registered dataset; only to be copied."""
    from builders import remove

    from datalad_mrishare.sources.register import register

    path = tmp_path_factory.mktemp("template") / "registered"
    register(path, bids_template)
    yield path
    remove(path)


@pytest.fixture
def bids_tree(tmp_path: Path, bids_template: Path) -> Path:
    """A plain BIDS folder of four participants, ``sub-01`` to ``sub-04``."""
    return Path(shutil.copytree(bids_template, tmp_path / "bids", symlinks=True))


@pytest.fixture
def registered(tmp_path: Path, registered_template: Path) -> Path:
    """A registered dataset of four participants, with an annex uuid of its own."""
    from builders import copy_dataset

    return copy_dataset(registered_template, tmp_path / "dataset")
