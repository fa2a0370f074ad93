"""The extension is known to DataLad; shipped, so that an installation can be tried.

``pytest --pyargs datalad_mrishare`` runs this against the installed package.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.metadata import entry_points, version
from pathlib import Path

import pytest

import datalad_mrishare
from datalad_mrishare.repo.process import complete

COMMANDS = datalad_mrishare.command_suite[1]
NAMES = [command[2] for command in COMMANDS]


def test_datalad_finds_the_suite() -> None:
    (found,) = (e for e in entry_points(group="datalad.extensions") if e.name == "mrishare")
    assert found.load() is datalad_mrishare.command_suite


def test_one_version() -> None:
    assert version("datalad-mrishare") == datalad_mrishare.__version__


@pytest.mark.parametrize("spec", COMMANDS, ids=NAMES)
def test_command_is_an_interface(spec: tuple[str, str, str, str]) -> None:
    from datalad.interface.base import Interface

    module, name, _, _ = spec
    assert issubclass(getattr(import_module(module), name), Interface)


@pytest.mark.parametrize("spec", COMMANDS, ids=NAMES)
def test_function_is_in_the_api(spec: tuple[str, str, str, str]) -> None:
    import datalad.api

    function = getattr(datalad.api, spec[3])
    assert callable(function)
    assert function.__doc__


@pytest.mark.parametrize("name", NAMES)
def test_command_has_help(name: str, tmp_path: Path) -> None:
    main = "from datalad.cli.main import main; main()"
    done = complete([sys.executable, "-c", main, name, "--help"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert name.encode() in done.stdout.splitlines()[0]
