"""A dataset of any size with a history of runs, without any content, for benchmarks.

Raw files of many participants in one commit, then a commit a run with a DataLad record:
most make a few derivatives of one participant, every tenth a group result of what some
runs before it made. Written by ``git fast-import``.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

from datalad_mrishare.repo.keys import hash_mixed

DSID = "7f2d3a52-8c1e-4c53-9a55-0d4bd5a4b0b1"
#: derivatives that each run makes
MADE = 5


def make_history(path: Path, files: int, runs: int, people: int) -> None:
    """Build it in ``path``, checked out without any file in the working tree."""
    subprocess.run(["git", "init", "-q", "-b", "main", str(path)], check=True)
    argv = ["git", "fast-import", "--quiet"]
    with subprocess.Popen(argv, cwd=path, stdin=subprocess.PIPE) as writer:
        assert writer.stdin is not None
        for piece in _stream(files, runs, people):
            writer.stdin.write(piece)
    if writer.returncode:
        raise subprocess.CalledProcessError(writer.returncode, argv)


def add_run(path: Path, number: int) -> None:
    """One more commit of a run that used files of the first participant."""
    stream = _commit(_message(["sub-0000"]), again=True)
    stream += _link(f"derivatives/more/{number}.nii.gz", f"more {number}") + b"\n"
    subprocess.run(["git", "fast-import", "--quiet"], cwd=path, input=stream, check=True)


def _stream(files: int, runs: int, people: int) -> Iterator[bytes]:
    yield _commit("Raw")
    config = f'[datalad "dataset"]\n\tid = {DSID}\n'.encode()
    yield b"M 100644 inline .datalad/config\ndata %d\n%b\n" % (len(config), config)
    raw = files - runs * MADE
    for number in range(raw):
        who = f"sub-{number % people:04d}"
        kind = number // people
        yield _link(f"{who}/func/{who}_task-rest_run-{kind:03d}_bold.nii.gz", f"raw {number}")
    for run in range(runs):
        who = f"sub-{run % people:04d}"
        if run % 10 == 9:
            inputs = [f"derivatives/pipe/sub-{n % people:04d}" for n in range(run - 9, run)]
            place = f"derivatives/group/{run:05d}"
        else:
            inputs = [f"{who}/func/*_bold.nii.gz"] if run % 2 else [f"{who}/func"]
            place = f"derivatives/pipe/{who}/{run:05d}"
        yield _commit(_message(inputs))
        for number in range(MADE):
            yield _link(f"{place}_{number}.nii.gz", f"made {run} {number}")
    yield b"\n"


def _message(inputs: list[str]) -> str:
    record = {"chain": [], "cmd": "make", "dsid": DSID, "exit": 0, "extra_inputs": []}
    text = json.dumps({**record, "inputs": inputs, "outputs": [], "pwd": "."}, indent=1)
    begin, end = "=== Do not change lines below ===", "^^^ Do not change lines above ^^^"
    return f"[DATALAD RUNCMD] make\n\n{begin}\n{text}\n{end}\n"


def _commit(message: str, *, again: bool = False) -> bytes:
    head = "commit refs/heads/main\ncommitter bench <bench@localhost> 1700000000 +0000\n"
    text = message.encode()
    parent = b"from refs/heads/main^0\n" if again else b""
    return head.encode() + b"data %d\n%b\n" % (len(text), text) + parent


def _link(path: str, content: str) -> bytes:
    digest = hashlib.md5(content.encode(), usedforsecurity=False).hexdigest()
    key = f"MD5E-s{1_000_000 + len(content)}--{digest}.nii.gz"
    up = "../" * path.count("/")
    target = f"{up}.git/annex/objects/{hash_mixed(key)}/{key}/{key}".encode()
    return f"M 120000 inline {path}\ndata {len(target)}\n".encode() + target + b"\n"
