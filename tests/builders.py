"""Build datasets for tests, and look at what a command did to them."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import stat
import subprocess
import uuid
from pathlib import Path
from typing import Any

_TOOL = Path(__file__).parents[1] / "tools/make_bids.py"
_spec = importlib.util.spec_from_file_location("make_bids", _TOOL)
assert _spec and _spec.loader
_module = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_module)

make_bids = _module.make_bids


def run(cwd: Path, *argv: str, ok: tuple[int, ...] = (0,), **kwargs: Any) -> str:
    """Run a command and return its output; any other exit code fails the test."""
    done = subprocess.run(argv, cwd=cwd, capture_output=True, timeout=300, check=False, **kwargs)
    out = done.stdout.decode("utf-8", "surrogateescape")
    assert done.returncode in ok, (argv, done.returncode, out, done.stderr.decode())
    return out


def copy_dataset(template: Path, path: Path) -> Path:
    """Copy an annex and give the copy a uuid of its own, everywhere.

    With the old uuid git-annex would take the copy and its template for one repository.
    The git-annex branch is rewritten, so that the copy knows nothing of the template.
    """
    shutil.copytree(template, path, symlinks=True)
    old = run(path, "git", "config", "annex.uuid").strip()
    new = str(uuid.uuid4())
    run(path, "git", "config", "annex.uuid", new)
    export = subprocess.run(
        ["git", "fast-export", "refs/heads/git-annex"], cwd=path, capture_output=True, check=True
    )
    # both have the same length, so the lengths in the stream stay right
    stream = export.stdout.replace(old.encode(), new.encode())
    subprocess.run(["git", "fast-import", "--quiet", "--force"], cwd=path, input=stream, check=True)
    (path / ".git/annex/index").unlink(missing_ok=True)
    return path


def snapshot(path: Path, *, times: bool = True) -> dict[str, tuple[Any, ...]]:
    """Every path below ``path`` with mode, size or target, checksum and (``times``) mtime in ns."""
    found: dict[str, tuple[Any, ...]] = {}
    for directory, names, files in os.walk(path):
        for name in [*names, *files]:
            full = os.path.join(directory, name)
            seen = os.lstat(full)
            mtime = seen.st_mtime_ns if times else 0
            if stat.S_ISLNK(seen.st_mode):
                what: Any = os.readlink(full)
            elif stat.S_ISREG(seen.st_mode):
                what = hashlib.sha256(Path(full).read_bytes()).hexdigest()
            else:
                what = stat.S_IFMT(seen.st_mode)
            found[os.path.relpath(full, path)] = (stat.S_IMODE(seen.st_mode), what, mtime)
    found["."] = (stat.S_IMODE(os.lstat(path).st_mode), "", os.lstat(path).st_mtime_ns * times)
    return found


def annexed(path: Path, *conditions: str) -> set[str]:
    """Paths of annexed files that match git-annex's ``conditions``."""
    out = run(
        path, "git", "annex", "find", "--format=${file}\\000", *(conditions or ("--anything",))
    )
    return set(filter(None, out.split("\0")))


def metadata(path: Path, file: str) -> dict[str, list[str]]:
    """git-annex metadata of a file, as git-annex itself tells it."""
    import json

    fields = json.loads(run(path, "git", "annex", "metadata", "--json", "--", file))["fields"]
    return {k: sorted(v) for k, v in fields.items() if not k.endswith("lastchanged")}


def remove(path: Path) -> None:
    """Remove a tree with write-protected directories."""
    for directory, _, _ in os.walk(path):
        os.chmod(directory, 0o700)
    shutil.rmtree(path)
