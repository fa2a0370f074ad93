"""A registered dataset of any size without any content, for benchmarks.

Files are annex symlinks to made-up keys, written by ``git fast-import`` together with
their location logs, so that a hundred thousand of them take seconds. What is written is
made while it is read: a million files need no more memory than their numbers.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import nibabel as nib
import numpy as np

from datalad_mrishare.consent.forms import load_forms
from datalad_mrishare.consent.grants import BOTTOM
from datalad_mrishare.consent.projection import grant_fields
from datalad_mrishare.repo.annexbranch import KeyLogs, metadata_changes
from datalad_mrishare.repo.keys import hash_lower, hash_mixed
from datalad_mrishare.sources.fields import header_fields, name_fields
from datalad_mrishare.sources.headers import Header

PER_PARTICIPANT = 200
FORM = "obc-gdpr-ult-1.1.0"
ELSEWHERE = "11111111-2222-3333-4444-555555555555"
#: bits that hold the number of a file
_NUMBERS = 32


def make_large(
    path: Path, files: int, refused: int = 10, *, described: bool = False, links: bool = True
) -> None:
    """Build it in ``path``; every so manieth participant refused, and nobody with 0.

    ``described``: with the metadata that registering and importing consent write onto keys.
    Without ``links`` they are in git and its index only: for commands that look at what is
    committed, and a file system that takes longer than all of them.
    """
    path.mkdir(parents=True)
    for argv in (
        ["init", "-q", "-b", "main"],
        ["config", "user.name", "bench"],
        ["config", "user.email", "bench@localhost"],
        ["commit", "-q", "--allow-empty", "-m", "Begin"],
        ["annex", "init", "bench"],
    ):
        subprocess.run(["git", *argv], cwd=path, check=True, capture_output=True)
    logs = _logs(range(files), ELSEWHERE, Descriptions(refused) if described else None)
    # git-annex merges what is in any ref of this ending
    _import(path, _stream(files, refused), _commit("refs/bench/git-annex"), logs)
    subprocess.run(["git", "read-tree", "main"], cwd=path, check=True)
    wanted = ["."] if links else [".datalad", "participants.tsv", "dataset_description.json"]
    subprocess.run(["git", "checkout", "-q", "--", *wanted], cwd=path, check=True)


def key_of(number: int) -> str:
    """The key of the file with a number."""
    digest = hashlib.sha256(str(number).encode()).hexdigest()
    return f"SHA256E-s{1_000_000 + number}--{digest}.nii.gz"


def permitted(files: int, refused: int = 10) -> Iterator[int]:
    """Numbers of the files of those who did not refuse."""
    return (n for n in range(files) if not _refuses(n // PER_PARTICIPANT, refused))


def refusing(files: int, refused: int = 10) -> list[str]:
    """Who refused."""
    return [_label(n) for n in range(_people(files)) if _refuses(n, refused)]


def make_filled(path: Path, files: int, size: int) -> None:
    """A registered dataset with content: images of noise, of about ``size`` bytes each."""
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
        (place / f"{who}_task-rest_run-{number:05d}_bold.nii.gz").write_bytes(_noise(size))
    for argv in (
        ["git", "init", "-q", "-b", "main"],
        ["git", "config", "user.name", "bench"],
        ["git", "config", "user.email", "bench@localhost"],
        ["git", "annex", "init", "bench"],
        ["git", "annex", "add", "--quiet", "."],
        ["git", "commit", "-q", "-m", "bench"],
    ):
        subprocess.run(argv, cwd=path, check=True, capture_output=True)


def _noise(size: int) -> bytes:
    """A NIfTI image that no compression makes smaller, packed as images are."""
    voxels = np.frombuffer(os.urandom(size // 512 * 512), np.int16).reshape(16, 16, -1)
    image = nib.Nifti1Image(voxels, np.eye(4), dtype=np.int16)
    return gzip.compress(image.to_bytes(), 1)


def say_present(repo: Path, numbers: Iterable[int], uuid: str) -> None:
    """Let the git-annex branch of ``repo`` say that the repository ``uuid`` has those files."""
    begin = _commit("refs/heads/git-annex") + b"from refs/heads/git-annex^0\n"
    _import(repo, begin, _logs(numbers, uuid))


def _import(repo: Path, *parts: bytes | Iterable[bytes]) -> None:
    """Feed ``git fast-import`` as it reads."""
    argv = ["git", "fast-import", "--quiet", "--force"]
    with subprocess.Popen(argv, cwd=repo, stdin=subprocess.PIPE) as child:
        assert child.stdin is not None
        for part in parts:
            child.stdin.writelines([part] if isinstance(part, bytes) else part)
    if child.returncode:
        raise subprocess.CalledProcessError(child.returncode, argv)


def _people(files: int) -> int:
    return max(1, files // PER_PARTICIPANT)


def _label(person: int) -> str:
    return f"sub-{person:04d}"


def _refuses(person: int, refused: int) -> bool:
    return refused > 0 and person % refused == refused - 1


def _stream(files: int, refused: int) -> Iterator[bytes]:
    people = _people(files)
    yield _commit("refs/heads/main")
    yield _file("dataset_description.json", b'{"Name": "bench", "BIDSVersion": "1.10.0"}\n')
    yield _file(".datalad/mrishare/events/0-registered.json", b'{"event": "registered"}\n')
    yield _file(
        ".datalad/mrishare/siblings.yaml", b"siblings:\n  partner:\n    policy: institution\n"
    )
    yield _file("participants.tsv", _participants(people))
    yield _file(".datalad/mrishare/consent.tsv", _records(people, refused))
    for number in range(files):
        key = key_of(number)
        target = f"../../.git/annex/objects/{hash_mixed(key)}/{key}/{key}"
        yield _file(_path(number), target.encode(), mode="120000")


def _path(number: int) -> str:
    who, run = _label(number // PER_PARTICIPANT), number % PER_PARTICIPANT
    if run % 2:
        return f"{who}/anat/{who}_run-{run:03d}_T1w.nii.gz"
    return f"{who}/func/{who}_task-rest_run-{run:03d}_bold.nii.gz"


def _logs(
    numbers: Iterable[int], uuid: str, descriptions: Descriptions | None = None
) -> Iterator[bytes]:
    """Logs in the order of a tree: fast-import then looks at each directory once."""
    placed = sorted(
        int(hash_lower(key_of(n)).replace("/", ""), 16) << _NUMBERS | n for n in numbers
    )
    log = f"1700000000s 1 {uuid}\n".encode()
    for place in placed:
        number = place & ((1 << _NUMBERS) - 1)
        key = key_of(number)
        name = f"{hash_lower(key)}/{key}.log"
        yield _file(name, log)
        if descriptions is not None:
            yield _file(f"{name}.met", descriptions.of(number).encode())


class Descriptions:
    """Metadata of keys, a line from each of two commands; as long as real ones."""

    def __init__(self, refused: int):
        self._refused = refused
        form = load_forms(None, "none")[FORM]
        self._grants = {True: BOTTOM, False: form.grant}
        self._header = header_fields(
            Header((64, 64, 33, 200), (3.0, 3.0, 3.5), 2.0, "int16", ("mm", "sec"))
        )

    def of(self, number: int) -> str:
        """The whole metadata log of the key of a file."""
        key, person = key_of(number), number // PER_PARTICIPANT
        read = name_fields(_path(number)) | self._header
        mark = {"mri-of": hashlib.sha256(key.encode()).hexdigest()[:16]}
        first = {name: frozenset((value,)) for name, value in (read | mark).items()}
        grant = self._grants[_refuses(person, self._refused)]
        return _line(1700000100, first) + _line(1700000200, grant_fields(grant, (_label(person),)))


def _line(stamp: int, fields: Mapping[str, frozenset[str]]) -> str:
    line = metadata_changes(KeyLogs(), {"": fields}, tuple(fields))[""]
    return f"{stamp}s {line.partition(' ')[2]}"


def _commit(ref: str) -> bytes:
    return f"commit {ref}\ncommitter bench <bench@localhost> 1700000000 +0000\n".encode() + (
        b"data 5\nbench\n"
    )


def _file(path: str, content: bytes, mode: str = "100644") -> bytes:
    head = f"M {mode} inline {path}\ndata {len(content)}\n".encode()
    return head + content + b"\n"


def _participants(people: int) -> bytes:
    rows = ["participant_id\tage\tsex"] + [f"{_label(n)}\t{20 + n % 60}\tF" for n in range(people)]
    return ("\n".join(rows) + "\n").encode()


def _records(people: int, refused: int = 10) -> bytes:
    """A record each; every so manieth refused, none with 0."""
    from datalad_mrishare.consent import COLUMNS

    rows = ["\t".join(COLUMNS)]
    for n in range(people):
        cells = dict.fromkeys(COLUMNS, "n/a")
        refuses = _refuses(n, refused)
        cells |= {
            "record": f"r{n}",
            "participant_id": _label(n),
            "state": "refused" if refuses else "given",
            "form": "n/a" if refuses else FORM,
            "from": "2024-03-01",
            "by": "self",
            "basis": "consent",
            "recorded": "2024-03-02",
        }
        rows.append("\t".join(cells[c] for c in COLUMNS))
    return ("\n".join(rows) + "\n").encode()
