"""Trees and blobs in bulk, against plain git."""

from __future__ import annotations

from pathlib import Path

import pytest
from builders import run

from datalad_mrishare.repo.trees import (
    FILE,
    GITLINK,
    LINK,
    read_blobs,
    read_tree,
    write_blobs,
    write_tree,
)

CONTENTS = [
    b"",
    b"\n",
    b"\n\n\n",
    b"a",
    b"a\n",
    b"\na",
    b"a\n\nb\n\n",
    b"\0\xff\n" * 999,
    b"x" * 200_000,
    b"\n" * 70_000,
    b"0" * 40 + b" blob 3\nabc\n",
    b"something missing\n",
    b"0" * 3_000_000,
]


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    run(tmp_path, "git", "init", "--quiet", "--initial-branch=main", "repo")
    return tmp_path / "repo"


def test_blobs_of_any_content_come_back(repo: Path) -> None:
    oids = write_blobs(repo, CONTENTS)
    assert len(oids) == len(CONTENTS)
    assert list(read_blobs(repo, oids)) == list(zip(oids, CONTENTS, strict=True))
    backwards = oids[::-1] * 2
    assert [c for _, c in read_blobs(repo, backwards)] == CONTENTS[::-1] * 2
    assert list(read_blobs(repo, [])) == [] and write_blobs(repo, []) == []


def test_a_missing_blob_is_left_out_and_the_others_are_right(repo: Path) -> None:
    oids = write_blobs(repo, CONTENTS)
    asked = ["1" * 40, oids[1], "2" * 40, oids[6], "3" * 40]
    assert list(read_blobs(repo, asked)) == [(oids[1], CONTENTS[1]), (oids[6], CONTENTS[6])]


def test_stopping_early_leaves_no_process(repo: Path) -> None:
    oids = write_blobs(repo, CONTENTS)
    blobs = read_blobs(repo, oids * 50)
    assert next(blobs) == (oids[0], b"")
    blobs.close()


NAMES = ["a b", "-x", "quote\"'", "new\nline", "tab\t", "ä€", "bad\udcff", "d/ü/x", "\\", "*"]


def test_names_of_any_kind(repo: Path) -> None:
    (oid,) = write_blobs(repo, [b"x"])
    tree = write_tree(repo, [(FILE, oid, name) for name in NAMES])
    assert {e.path for e in read_tree(repo, tree)} == set(NAMES)
    again = write_tree(repo, [(e.mode, e.oid, e.path) for e in read_tree(repo, tree)])
    assert again == tree
    raw = run(repo, "git", "ls-tree", "-r", "-z", "--name-only", tree)
    assert [e.path for e in read_tree(repo, tree)] == raw.split("\0")[:-1]


def test_writing_a_tree_leaves_index_and_working_tree_alone(repo: Path) -> None:
    (repo / "mine").write_text("mine")
    run(repo, "git", "add", "mine")
    before = run(repo, "git", "status", "--porcelain")
    (oid,) = write_blobs(repo, [b"x"])
    write_tree(repo, [(FILE, oid, "other")])
    assert run(repo, "git", "status", "--porcelain") == before == "A  mine\n"
    assert (
        write_tree(repo, []) == run(repo, "git", "hash-object", "-t", "tree", "/dev/null").strip()
    )


KEY = "SHA256E-s5--ab.nii.gz"


@pytest.mark.parametrize(
    ("mode", "content", "key"),
    [
        (LINK, f".git/annex/objects/Xq/2p/{KEY}/{KEY}", KEY),
        (LINK, f"../../.git/annex/objects/Xq/2p/{KEY}/{KEY}", KEY),
        (LINK, f"../.git/annex/objects/abc/def/{KEY}/{KEY}", KEY),
        (FILE, f"/annex/objects/{KEY}\n", KEY),
        (FILE, f"/annex/objects/{KEY}", KEY),
        (FILE, f"../.git/annex/objects/Xq/2p/{KEY}/{KEY}", KEY),
        (LINK, ".git/annex/objects/a1/b2/URL--h&c%%x/URL--h&c%%x", "URL--h:" + "//x"),
        # what would tell where the steward works, or hide text behind a pointer
        (LINK, f"/home/me/study/.git/annex/objects/Xq/2p/{KEY}/{KEY}", None),
        (LINK, f"../../other/.git/annex/objects/Xq/2p/{KEY}/{KEY}", None),
        (LINK, f".git/annex/objects/Xq/2p/{KEY}/other", None),
        (LINK, f".git/annex/objects/a/b/c/d/{KEY}/{KEY}", None),
        (FILE, f"/annex/objects/{KEY}\nand more\n", None),
        (FILE, f"see /annex/objects/{KEY}", None),
        (FILE, "/annex/objects/no key at all", None),
        (LINK, "../../etc/passwd-and-more-text", None),
    ],
)
def test_what_is_a_pointer_to_a_key(repo: Path, mode: str, content: str, key: str | None) -> None:
    (oid,) = write_blobs(repo, [content.encode()])
    (entry,) = read_tree(repo, write_tree(repo, [(mode, oid, "x")]))
    assert (entry.key, entry.mode) == (key, mode)
    assert entry.size == (len(content) if mode == FILE else 0)


def test_keys_are_those_of_git_annex(registered: Path) -> None:
    run(registered, "git", "annex", "unlock", "sub-01")
    run(registered, "git", "commit", "--quiet", "-m", "unlock", "-a")
    found = {e.path: e.key for e in read_tree(registered, "HEAD") if e.key}
    said = run(registered, "git", "annex", "find", "--anything", "--format=${file}\\t${key}\\n")
    assert found == dict(line.split("\t") for line in said.splitlines())
    assert len(found) == 8


def test_a_subdataset_is_a_link_without_content(repo: Path) -> None:
    run(repo, "git", "commit", "--quiet", "--allow-empty", "-m", "x")
    commit = run(repo, "git", "rev-parse", "HEAD").strip()
    (entry,) = read_tree(repo, write_tree(repo, [(GITLINK, commit, "sub")]))
    assert (entry.mode, entry.oid, entry.size, entry.key) == (GITLINK, commit, 0, None)
