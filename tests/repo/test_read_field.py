"""One field of all metadata, found by git: the same as reading everything, or an error."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from builders import run

from datalad_mrishare.errors import RepoError
from datalad_mrishare.repo import annexbranch
from datalad_mrishare.repo.annexbranch import BRANCH, read_field, read_logs
from datalad_mrishare.repo.keys import hash_lower, to_file_name
from datalad_mrishare.repo.signed import write_signed

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


def change(repo: Path, *lines: bytes) -> None:
    """Another commit of the git-annex branch."""
    head = f"commit {BRANCH}\ncommitter a <a@b> 2 +0000\ndata 1\ny\nfrom {BRANCH}^0\n".encode()
    loose = ("-c", "fastimport.unpackLimit=1000")
    run(repo, "git", *loose, "fast-import", "--quiet", input=head + b"".join(lines))


def put(key: str, log: bytes) -> bytes:
    path = f"{hash_lower(key)}/{to_file_name(key)}.log.met"
    return f"M 100644 inline {path}\ndata {len(log)}\n".encode() + log + b"\n"


def test_what_is_remembered_follows_the_branch(
    repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = tmp_path / "private" / "findings"
    assert read_field(repo, FIELD, memory=memory) == EXPECTED
    kept = memory.read_bytes()
    monkeypatch.setattr(annexbranch, "_with_word", None)  # git is not asked about all again
    assert read_field(repo, FIELD, memory=memory) == EXPECTED
    gone, changed, new = "SHA256E-s1--a.nii.gz", "SHA256E-s6--a.nii.gz", "SHA256E-s99--z"
    change(
        repo,
        f"D {hash_lower(gone)}/{gone}.log.met\n".encode(),
        put(changed, b"5s mri-finding +z\n"),
        put(new, b"5s mri-finding +w\n"),
        put("SHA256E-s8--a.nii.gz", b"5s other +z\n"),
        put('URL--http://h/b"c', b"5s mri-finding +q\n"),
    )
    after = {k: v for k, v in EXPECTED.items() if k != gone} | {
        changed: frozenset({"z"}),
        new: frozenset({"w"}),
        'URL--http://h/b"c': frozenset({"q"}),
    }
    assert read_field(repo, FIELD, memory=memory) == after
    monkeypatch.undo()
    assert read_field(repo, FIELD) == after
    memory.write_bytes(kept)  # of a commit before: what is new since is looked into
    assert read_field(repo, FIELD, memory=memory) == after


@pytest.mark.parametrize("how", ["lies", "garbage", "another field", "no commit"])
def test_a_memory_that_cannot_be_believed(repo: Path, tmp_path: Path, how: str) -> None:
    memory = tmp_path / "findings"
    assert read_field(repo, FIELD, memory=memory) == EXPECTED
    told = memory.read_bytes()
    if how == "lies":
        memory.write_bytes(told.replace(b"truncated", b"harmlesss"))
    elif how == "garbage":
        memory.write_bytes(b"\0" * 100)
    elif how == "another field":
        read_field(repo, "other", memory=memory)
    else:
        commit = run(repo, "git", "rev-parse", BRANCH).strip()
        write_signed(
            memory,
            annexbranch._FIELD + FIELD,
            told.partition(b"\n")[2]
            .replace(commit.encode(), b"1" * 40)
            .replace(b"trunc", b"harml"),
        )
    assert read_field(repo, FIELD, memory=memory) == EXPECTED


def test_a_changed_log_that_git_cannot_read_is_an_error(repo: Path, tmp_path: Path) -> None:
    """Else its finding would be forgotten, and what it is about would go."""
    memory, key = tmp_path / "findings", "SHA256E-s1--a.nii.gz"
    assert read_field(repo, FIELD, memory=memory) == EXPECTED
    change(repo, put(key, b"9s mri-finding +lost\n"))
    oid = run(repo, "git", "rev-parse", f"{BRANCH}:{hash_lower(key)}/{key}.log.met").strip()
    loose = repo / ".git/objects" / oid[:2] / oid[2:]
    loose.unlink()
    with pytest.raises(RepoError):
        read_field(repo, FIELD, memory=memory)
