"""Look for secrets in everything that a repository and its directory hold.

Deliberately crude and independent of the package: plain git, plain files, substring
search over bytes. :func:`scan` reads every object in the object store (reachable or not),
every file below the directory whatever it is for, and every path and ref name. Whatever is
compressed with gzip is searched uncompressed, too.
"""

from __future__ import annotations

import base64
import gzip
import json
import os
import subprocess
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path


def scan(directory: Path, secrets: Iterable[str]) -> dict[str, list[str]]:
    """Secret -> the places in ``directory`` where it was found; empty when it is clean."""
    needles = {secret: _spellings(secret) for secret in secrets}
    found: dict[str, list[str]] = {}
    for place, content in everything(directory):
        for content_form in _unpacked(content):
            for secret, spellings in needles.items():
                if any(s in content_form for s in spellings):
                    found.setdefault(secret, []).append(place)
    return found


def everything(directory: Path) -> Iterator[tuple[str, bytes]]:
    """``(place, bytes)`` of all there is: files, their names, links, objects, refs."""
    yield from _files(directory)
    for repo in repositories(directory):
        yield from _objects(repo)
        yield f"refs of {repo.name}", _git(repo, "for-each-ref")


def repositories(directory: Path) -> list[Path]:
    """Every git repository at or below ``directory``."""
    return [Path(d) for d, names, _ in os.walk(directory) if {"objects", "refs"} <= set(names)]


def _files(directory: Path) -> Iterator[tuple[str, bytes]]:
    for parent, names, files in os.walk(directory):
        for name in [*names, *files]:
            path = Path(parent, name)
            place = os.path.relpath(path, directory)
            yield f"name {place}", os.fsencode(place)
            if path.is_symlink():
                yield f"link {place}", os.fsencode(os.readlink(path))
            elif path.is_file():
                yield f"file {place}", path.read_bytes()


def _objects(repo: Path) -> Iterator[tuple[str, bytes]]:
    """Every object of the store, whether or not anything refers to it."""
    listed = _git(repo, "cat-file", "--batch-all-objects", "--batch-check").splitlines()
    names = b"".join(line.split()[0] + b"\n" for line in listed)
    stream = memoryview(_git(repo, "cat-file", "--batch", stdin=names))
    while stream:
        end = bytes(stream[:200]).index(b"\n")
        oid, kind, size = bytes(stream[:end]).decode().split()
        yield f"{kind} {oid[:10]} of {repo.name}", bytes(stream[end + 1 : end + 1 + int(size)])
        stream = stream[end + 1 + int(size) + 1 :]


def _git(repo: Path, *args: str, stdin: bytes = b"") -> bytes:
    argv = ("git", "-c", "safe.directory=*", "--git-dir", os.fspath(repo), *args)
    done = subprocess.run(argv, input=stdin, capture_output=True, timeout=300, check=False)
    assert done.returncode == 0, (argv, done.stderr)
    return done.stdout


def _spellings(secret: str) -> list[bytes]:
    """A secret as text, in JSON, as wide characters, in hexadecimal and in base64."""
    raw = secret.encode()
    # base64 has three alignments; the characters that neighbours touch are cut off
    shifted = [base64.b64encode(b"\0" * n + raw)[(0, 2, 3)[n] :] for n in range(3)]
    return [
        raw,
        json.dumps(secret)[1:-1].encode(),
        secret.encode("utf-16-le"),
        raw.hex().encode(),
        *(s.rstrip(b"=")[:-1] for s in shifted if len(raw) > 8),
    ]


def _unpacked(content: bytes) -> Iterator[bytes]:
    yield content
    if content[:2] == b"\x1f\x8b":
        try:
            yield gzip.decompress(content)
        except (OSError, EOFError, zlib.error):
            return
