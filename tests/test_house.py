"""The floors of the house, read from the source: who may import whom.

commands -> sources, sharing -> provenance, consent, privacy -> repo; an import never
goes up, and never sideways between consent and privacy. See docs/design.md.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import datalad_mrishare

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "datalad_mrishare"
MODULES = sorted(
    p for p in PACKAGE.rglob("*.py") if p.relative_to(PACKAGE).parts[0] not in {"tests"}
)
FLOORS = {
    "commands": 3,
    "sources": 2,
    "sharing": 2,
    "provenance": 1,
    "consent": 1,
    "privacy": 1,
    "repo": 0,
    "errors": -1,
    "resources": -1,
}
APART = {frozenset({"consent", "privacy"})}
COMMANDS = {
    "mrishare-register",
    "mrishare-consent",
    "mrishare-explain",
    "mrishare-sibling",
    "mrishare-publish",
    "mrishare-verify",
    "mrishare-attest",
    "mrishare-provenance",
}
#: what only repo/ may use: it starts processes and reads git objects
PROCESSES = {"subprocess", "git", "multiprocessing", "pty"}


def imported(path: Path, source: str | None = None) -> Iterator[str]:
    """Absolute names of all that a module imports, functions included.

    ``from package import name`` gives both ``package`` and ``package.name``.
    """
    parts = path.relative_to(ROOT).with_suffix("").parts
    package = parts[:-1]
    for node in ast.walk(ast.parse(source or path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join((*base, *([node.module] if node.module else [])))
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def floor_of(name: str) -> str | None:
    """``consent`` for ``datalad_mrishare.consent.grants``; None for others' packages."""
    parts = name.split(".")
    if parts[0] != "datalad_mrishare" or len(parts) < 2:
        return None
    return parts[1]


def offences(path: Path, source: str | None = None) -> Iterator[str]:
    """Imports of a module that the house does not allow."""
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    here = floor_of(name)
    if here is None or here == "__init__":
        return
    assert here in FLOORS, f"{name} is on no floor; add it to docs/design.md and here"
    for target in imported(path, source):
        top = target.split(".")[0]
        there = floor_of(target)
        if there in FLOORS:
            if FLOORS[there] > FLOORS[here]:
                yield f"{name} imports {target}: upwards"
            elif frozenset({here, there}) in APART:
                yield f"{name} imports {target}: sideways"
        if top in PROCESSES and here != "repo":
            yield f"{name} imports {target}: only repo/ starts processes or reads git"
        if top == "datalad" and here != "commands":
            yield f"{name} imports {target}: only commands/ knows DataLad"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_respect_the_floors(path: Path) -> None:
    assert not list(offences(path))


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("repo/x.py", "from ..sharing import plans"),
        ("repo/x.py", "from .. import consent"),
        ("repo/x.py", "import datalad_mrishare.commands.publish"),
        ("consent/x.py", "from ..privacy.fields import KEYS"),
        ("privacy/x.py", "def f():\n    from ..consent import grants"),
        ("provenance/x.py", "from datalad_mrishare import sharing"),
        ("sharing/x.py", "import subprocess"),
        ("sources/x.py", "from git import Repo"),
        ("sharing/x.py", "def f():\n    from datalad.api import push"),
        ("errors.py", "from .repo import process"),
    ],
)
def test_an_offence_is_seen(module: str, source: str) -> None:
    assert len(set(offences(PACKAGE / module, source))) >= 1


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_modules_stay_small(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 500


def test_gitpython_lives_in_one_module() -> None:
    users = [p for p in MODULES if "git" in {name.split(".")[0] for name in imported(p)}]
    assert len(users) <= 1, users


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_modules_say_what_they_are(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text()))


def test_the_root_imports_nothing() -> None:
    """Every datalad call loads it once the extension is installed."""
    assert not list(imported(PACKAGE / "__init__.py"))


def test_the_commands() -> None:
    commands = datalad_mrishare.command_suite[1]
    assert {name for _, _, name, _ in commands} == COMMANDS
    for module, _, name, function in commands:
        file = name.removeprefix("mrishare-")
        assert module == f"datalad_mrishare.commands.{file}"
        assert function == name.replace("-", "_")
        assert (PACKAGE / "commands" / f"{file}.py").is_file()


def load(path: Path) -> ModuleType:
    from importlib.util import module_from_spec, spec_from_file_location

    spec = spec_from_file_location(path.stem, path)
    assert spec and spec.loader
    module = module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def test_every_command_has_a_page(tmp_path: Path) -> None:
    load(ROOT / "docs" / "commandpages.py").write_pages(tmp_path)
    for name in COMMANDS:
        page = (tmp_path / f"{name}.md").read_text()
        assert page.startswith(f"# {name}\n")
        assert f"datalad {name}" in page
        assert "-d" in page
