"""A registered dataset of any size without any content, for benchmarks.

Files are annex symlinks to made-up keys, written by ``git fast-import`` together with
their location logs, so that a hundred thousand of them take seconds.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from datalad_mrishare.repo.keys import hash_lower, hash_mixed

PER_PARTICIPANT = 200
FORM = "obc-gdpr-ult-1.1.0"
ELSEWHERE = "11111111-2222-3333-4444-555555555555"


def make_large(path: Path, files: int) -> list[str]:
    """Build it in ``path`` and return the keys; every tenth participant refused."""
    path.mkdir(parents=True)
    for argv in (
        ["init", "-q", "-b", "main"],
        ["config", "user.name", "bench"],
        ["config", "user.email", "bench@localhost"],
        ["commit", "-q", "--allow-empty", "-m", "Begin"],
        ["annex", "init", "bench"],
    ):
        subprocess.run(["git", *argv], cwd=path, check=True, capture_output=True)
    keys: list[str] = []
    stream = b"".join(_stream(files, keys))
    subprocess.run(["git", "fast-import", "--quiet", "--force"], cwd=path, input=stream, check=True)
    # git-annex merges what is in any ref of this ending
    subprocess.run(["git", "reset", "-q", "--hard", "main"], cwd=path, check=True)
    return keys


def make_filled(path: Path, files: int, size: int) -> None:
    """A registered dataset with content: random bytes under the names of images."""
    path.mkdir(parents=True)
    people = max(1, files // 100)
    texts = {
        "dataset_description.json": b'{"Name": "bench", "BIDSVersion": "1.10.0"}\n',
        ".datalad/mrishare/events/0-registered.json": b'{"event": "registered"}\n',
        ".datalad/mrishare/consent.tsv": _records(people, refused=0),
        "participants.tsv": _participants(people),
        ".datalad/config": b'[datalad "dataset"]\n\tid = 7f2d3a52-8c1e-4c53-9a55-0d4bd5a4b0b1\n',
        ".gitattributes": b"* annex.largefiles=nothing\n*.nii.gz annex.largefiles=anything\n",
    }
    for name, content in texts.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    for number in range(files):
        who = f"sub-{number * people // files:04d}"
        place = path / who / "func"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{who}_task-rest_run-{number:05d}_bold.nii.gz").write_bytes(os.urandom(size))
    for argv in (
        ["git", "init", "-q", "-b", "main"],
        ["git", "config", "user.name", "bench"],
        ["git", "config", "user.email", "bench@localhost"],
        ["git", "annex", "init", "bench"],
        ["git", "annex", "add", "--quiet", "."],
        ["git", "commit", "-q", "-m", "bench"],
    ):
        subprocess.run(argv, cwd=path, check=True, capture_output=True)


def say_present(repo: Path, keys: list[str], uuid: str) -> None:
    """Let the git-annex branch of ``repo`` say that the repository ``uuid`` has ``keys``."""
    lines = [_commit("refs/heads/git-annex"), b"from refs/heads/git-annex^0\n"]
    for key in keys:
        log = f"1700000000s 1 {uuid}\n".encode()
        lines.append(_file(f"{hash_lower(key)}/{key}.log", log))
    argv = ["git", "fast-import", "--quiet"]
    subprocess.run(argv, cwd=repo, input=b"".join((*lines, b"\n")), check=True)


def _stream(files: int, keys: list[str]) -> Iterator[bytes]:
    people = max(1, files // PER_PARTICIPANT)
    yield _commit("refs/heads/main")
    yield _file("dataset_description.json", b'{"Name": "bench", "BIDSVersion": "1.10.0"}\n')
    yield _file(".datalad/mrishare/events/0-registered.json", b'{"event": "registered"}\n')
    yield _file(
        ".datalad/mrishare/siblings.yaml", b"siblings:\n  partner:\n    policy: institution\n"
    )
    yield _file("participants.tsv", _participants(people))
    yield _file(".datalad/mrishare/consent.tsv", _records(people))
    for number in range(files):
        who = f"sub-{number // PER_PARTICIPANT:04d}"
        run = number % PER_PARTICIPANT
        digest = hashlib.sha256(str(number).encode()).hexdigest()
        key = f"SHA256E-s{1_000_000 + number}--{digest}.nii.gz"
        keys.append(key)
        datatype, suffix = ("anat", "T1w") if run % 2 else ("func", "task-rest_bold")
        name = f"{who}/{datatype}/{who}_run-{run:03d}_{suffix}.nii.gz"
        if datatype == "func":
            name = f"{who}/func/{who}_task-rest_run-{run:03d}_bold.nii.gz"
        target = f"../../.git/annex/objects/{hash_mixed(key)}/{key}/{key}"
        yield _file(name, target.encode(), mode="120000")
    yield b"\n" + _commit("refs/bench/git-annex")
    for key in keys:
        yield _file(f"{hash_lower(key)}/{key}.log", f"1700000000s 1 {ELSEWHERE}\n".encode())
    yield b"\n"


def _commit(ref: str) -> bytes:
    return f"commit {ref}\ncommitter bench <bench@localhost> 1700000000 +0000\n".encode() + (
        b"data 5\nbench\n"
    )


def _file(path: str, content: bytes, mode: str = "100644") -> bytes:
    head = f"M {mode} inline {path}\ndata {len(content)}\n".encode()
    return head + content + b"\n"


def _participants(people: int) -> bytes:
    rows = ["participant_id\tage\tsex"] + [f"sub-{n:04d}\t{20 + n % 60}\tF" for n in range(people)]
    return ("\n".join(rows) + "\n").encode()


def _records(people: int, refused: int = 10) -> bytes:
    """A record each; every so manieth refused, none with 0."""
    from datalad_mrishare.consent import COLUMNS

    rows = ["\t".join(COLUMNS)]
    for n in range(people):
        cells = dict.fromkeys(COLUMNS, "n/a")
        refuses = refused and n % refused == refused - 1
        cells |= {
            "record": f"r{n}",
            "participant_id": f"sub-{n:04d}",
            "state": "refused" if refuses else "given",
            "form": "n/a" if refuses else FORM,
            "from": "2024-03-01",
            "by": "self",
            "basis": "consent",
            "recorded": "2024-03-02",
        }
        rows.append("\t".join(cells[c] for c in COLUMNS))
    return ("\n".join(rows) + "\n").encode()
