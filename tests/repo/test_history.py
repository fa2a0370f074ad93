"""Paths and keys of older commits, also those that only a merge made."""

from __future__ import annotations

from pathlib import Path

from builders import run

from datalad_mrishare.repo.history import annexed_in_history

ODD = ["plain", "-dash", ":colon", "new\nline", "ünï", "tab\there"]


def pointer(name: str) -> str:
    return f"/annex/objects/SHA256E-s1--{name}\n"


def commit(repo: Path, **files: str) -> None:
    for name, content in files.items():
        (repo / name).write_text(content)
    run(repo, "git", "add", "-A")
    run(repo, "git", "commit", "-qm", "x", "--allow-empty")


def test_every_path_that_ever_was(tmp_path: Path) -> None:
    run(tmp_path, "git", "init", "-q", "-b", "main")
    for key, value in (
        ("user.name", "a"),
        ("user.email", "a@b"),
        ("log.showSignature", "true"),
        ("log.showRoot", "false"),
        ("diff.renames", "copies"),
        ("color.ui", "always"),
    ):
        run(tmp_path, "git", "config", key, value)
    commit(tmp_path, **{name: pointer(f"odd{n}") for n, name in enumerate(ODD)})
    run(tmp_path, "git", "switch", "-qc", "side")
    commit(tmp_path, side=pointer("side"))
    run(tmp_path, "git", "switch", "-q", "main")
    commit(tmp_path, main=pointer("main"), text="no pointer")
    run(tmp_path, "git", "merge", "-q", "--no-commit", "side")
    commit(tmp_path, merge=pointer("merge"))
    run(tmp_path, "git", "tag", "v1")
    run(tmp_path, "git", "branch", "-qD", "side")
    for name in (*ODD, "side", "main", "merge"):
        (tmp_path / name).unlink()
    commit(tmp_path)
    found = {(e.path, e.key) for e in annexed_in_history(tmp_path, ())}
    names = {name: f"odd{n}" for n, name in enumerate(ODD)}
    names |= {name: name for name in ("side", "main", "merge")}
    assert found == {(path, f"SHA256E-s1--{key}") for path, key in names.items()}
    known = {e.oid for e in annexed_in_history(tmp_path, ()) if e.path == "merge"}
    assert "merge" not in {e.path for e in annexed_in_history(tmp_path, known)}
