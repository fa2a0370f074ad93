"""One field of all metadata, found by git: the same as reading everything, or an error."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from builders import run

from datalad_mrishare.errors import RepoError
from datalad_mrishare.repo.annexbranch import BRANCH, read_field, read_logs
from datalad_mrishare.repo.keys import hash_lower, to_file_name

FIELD = "mri-finding"
#: key -> its metadata log, and what it says of the field
LOGS = {
    "SHA256E-s1--a.nii.gz": (b"5s mri-finding +truncated\n", {"truncated"}),
    "SHA256E-s2--a.nii.gz": (b"5s mri-finding +truncated\n", {"truncated"}),
    "SHA256E-s3--a.nii.gz": (b"5s mri-finding +a\n6s mri-finding -a\n", None),
    "SHA256E-s4--a.nii.gz": (b"5s note +mri-finding\n", None),
    "SHA256E-s5--a.nii.gz": (b"5s mri-findings +truncated\n", None),
    "SHA256E-s6--a.nii.gz": (b"5s mri-dim +4x5 mri-finding +!YSBi\n", {"a b"}),
    "SHA256E-s7--a.nii.gz": (b"\0\xff\n5s mri-finding +x\n", {"x"}),
    'URL--http://h/"a" b&c%d:mri-finding': (b"5s mri-finding +y\n", {"y"}),
    "URL--http://h/ä-mri-finding": (b"5s other +y\n", None),
    "SHA256E-s8--a.nii.gz": (b"5s other +y\n", None),
}


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    """A repository whose git-annex branch has these logs, loose, and others that say the word."""
    run(tmp_path, "git", "init", "-q", "-b", "main", "repo")
    files = {
        f"{hash_lower(key)}/{to_file_name(key)}.log.met": log for key, (log, _) in LOGS.items()
    }
    files |= {
        ".gitattributes": b"* binary\n* -text diff=none\n",
        "uuid.log": b"aa mri-finding\n",
        "abc/def/ghi/SHA256E-s9--a.log.met": b"5s mri-finding +too-deep\n",
        "abc/def/SHA256E-s9--a.log": b"5s 1 mri-finding\n",
        "abc/def/SHA256E-s9--a.log.web": b"5s 1 http://h/mri-finding\n",
    }
    stream = [f"commit {BRANCH}\ncommitter a <a@b> 1 +0000\ndata 1\nx\n".encode()]
    for path, data in files.items():
        quoted = '"' + path.replace('"', '\\"') + '"' if path.startswith('"') else path
        stream.append(f"M 100644 inline {quoted}\ndata {len(data)}\n".encode() + data + b"\n")
    subprocess.run(
        ["git", "-c", "fastimport.unpackLimit=1000", "fast-import", "--quiet"],
        cwd=tmp_path / "repo",
        input=b"".join(stream),
        check=True,
    )
    return tmp_path / "repo"


EXPECTED = {key: frozenset(values) for key, (_, values) in LOGS.items() if values}


def test_it_says_what_reading_all_logs_says(repo: Path) -> None:
    assert len(EXPECTED) == 5
    assert read_field(repo, FIELD) == EXPECTED
    everything = read_logs(repo).metadata
    assert {k: f[FIELD] for k, f in everything.items() if FIELD in f} == EXPECTED


def test_settings_of_the_user_change_nothing(repo: Path) -> None:
    for name, value in {
        "color.grep": "always",
        "color.ui": "always",
        "grep.patternType": "perl",
        "grep.lineNumber": "true",
        "grep.column": "true",
        "grep.fullName": "true",
        "submodule.recurse": "true",
        "core.quotePath": "true",
    }.items():
        run(repo, "git", "config", name, value)
    assert read_field(repo, FIELD) == EXPECTED


def test_a_field_that_nobody_has(repo: Path) -> None:
    assert read_field(repo, "mri-nothing") == {}


def test_without_a_branch_there_is_nothing(tmp_path: Path) -> None:
    run(tmp_path, "git", "init", "-q", "empty")
    assert read_field(tmp_path / "empty", FIELD) == {}


@pytest.mark.parametrize("damaged", [False, True])
def test_a_log_that_cannot_be_read_is_an_error(repo: Path, damaged: bool) -> None:
    """It could be the one that says that nobody may have the image."""
    key = "SHA256E-s6--a.nii.gz"
    oid = run(repo, "git", "rev-parse", f"{BRANCH}:{hash_lower(key)}/{key}.log.met").strip()
    file = repo / ".git/objects" / oid[:2] / oid[2:]
    file.chmod(0o644)
    if damaged:
        file.write_bytes(file.read_bytes()[:20])
    else:
        file.unlink()
    with pytest.raises(RepoError, match=oid[:8]):
        read_field(repo, FIELD)
