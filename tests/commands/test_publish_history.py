"""``datalad mrishare-publish --history``: what was published, and whether it was right then."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from builders import copy_dataset, run
from mirrors import add_path, consent, keys_of, told

BOTH = ("sub-01", "sub-02")


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory, registered_template: Path) -> Path:
    """Two publications to ``mir``, one to ``bak``: both, then one withdrawn, then all."""
    registered = copy_dataset(registered_template, tmp_path_factory.mktemp("past") / "dataset")
    consent(registered, ("sub-01", "given"), ("sub-02", "given"), ("sub-03", "refused"))
    add_path(registered, "mir", "institution")
    add_path(registered, "bak", "backup")
    told(registered)
    told(registered, "bak")
    consent(registered, ("sub-02", "withdrawn"))
    told(registered)
    return registered


@pytest.fixture
def dataset(tmp_path: Path, published: Path) -> Path:
    """A copy with that past; its siblings are those of the original."""
    return copy_dataset(published, tmp_path / "dataset")


def past(dataset: Path, to: str | None = None, history: Any = True, code: int = 0) -> list[dict]:
    return told(dataset, to, code=code, history=history)  # type: ignore[arg-type]


def digest(keys: set[str]) -> str:
    return hashlib.sha256("".join(f"{k}\n" for k in sorted(keys)).encode()).hexdigest()


def test_what_was_published(dataset: Path) -> None:
    every = past(dataset)
    assert [r["to"] for r in every] == ["mir", "bak", "mir"]
    first, second = past(dataset, "mir")
    assert first["units_sent"] == list(BOTH) and second["units_sent"] == []
    assert (first["keys_sent"], first["keys_taken_back"], second["keys_taken_back"]) == (4, 0, 2)
    assert first["bytes_sent"] == sum(int(k.split("-")[1][1:]) for k in keys_of(dataset, *BOTH))
    assert first["keys_digest"] == digest(keys_of(dataset, *BOTH))
    assert Path(first["path"]).is_file() and first["unit"] == "participant"
    assert [r["when"] for r in every] == sorted(r["when"] for r in every)
    (error,) = past(dataset, "mri", code=1)
    assert error["remedy"] == "Did you mean 'mir'?"
    assert "refs/heads/main" in run(dataset, "git", "for-each-ref"), "nothing else happened"


def test_on_the_command_line(dataset: Path) -> None:
    argv = ("datalad", "mrishare-publish", "--to", "mir", "--history")
    lines = run(dataset, *argv).splitlines()
    assert len([line for line in lines if line.startswith("published")]) == 2
    assert "to mir: 2 units, 4 objects (" in lines[0] and "0 taken back" in lines[0]
    out = run(dataset, "datalad", "-f", "json", *argv[1:])
    records = [json.loads(line) for line in out.splitlines()]
    assert [r["keys_sent"] for r in records] == [4, 0]


def test_what_was_sent_might_go_then(dataset: Path) -> None:
    """It is withdrawn today; on that day, with the records of that commit, it was permitted."""
    first, _ = past(dataset, "mir")
    records = past(dataset, history=Path(first["path"]).name)
    found = {r["unit"]: r for r in records if r["type"] == "unit"}
    assert {u: r["outcome"] for u, r in found.items()} == dict.fromkeys(BOTH, "permit")
    assert set(found["sub-02"]["keys"]) == keys_of(dataset, "sub-02")
    last = records[-1]
    assert (last["same_keys"], last["same_registry"], last["same_policy"]) == (True, True, True)
    assert "exactly those that were sent" in last["message"]


def change_event(dataset: Path, event: dict[str, Any], **fields: Any) -> None:
    path = Path(event["path"])
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))
    run(dataset, "git", "commit", "-qam", "changed by hand")


def test_what_might_not_go_is_told(dataset: Path) -> None:
    """An event that claims to have sent somebody who had refused."""
    first, _ = past(dataset, "mir")
    change_event(dataset, first, units_sent=["sub-01", "sub-03", "sub-99"])
    records = past(dataset, history=first["path"], code=1)
    found = {r["unit"]: r for r in records if r["type"] == "unit"}
    outcomes = {u: r["outcome"] for u, r in found.items()}
    assert outcomes == {"sub-01": "permit", "sub-03": "deny", "sub-99": "deny"}
    assert "refused" in found["sub-03"]["message"]
    assert "not in the commit" in found["sub-99"]["message"]
    assert not records[-1]["same_keys"] and "1 of 3 units" in records[-1]["message"]


def test_an_older_event_without_unit_and_version(dataset: Path) -> None:
    first, _ = past(dataset, "mir")
    path = Path(first["path"])
    content = json.loads(path.read_text())
    for name in ("unit", "version", "registry"):
        del content[name]
    path.write_text(json.dumps(content))
    run(dataset, "git", "commit", "-qam", "as an older version wrote it")
    last = past(dataset, history=path.name)[-1]
    assert last["same_keys"] and last["same_registry"] is None


def test_records_kept_outside_have_changed(dataset: Path, tmp_path: Path) -> None:
    outside = tmp_path / "registry"
    outside.mkdir()
    text = (dataset / ".datalad/mrishare/consent.tsv").read_text()
    (outside / "consent.tsv").write_text(text)
    run(dataset, "git", "config", "datalad.mrishare.registry", str(outside))
    first, _ = past(dataset, "mir")
    last = past(dataset, history=first["path"], code=1)[-1]
    assert last["same_registry"] is False and "records of that time" in last["message"]


@pytest.mark.parametrize("commit", ["0" * 40, "no commit"])
def test_a_commit_that_is_not_there(dataset: Path, commit: str) -> None:
    first, _ = past(dataset, "mir")
    change_event(dataset, first, commit=commit)
    error = past(dataset, history=first["path"], code=1)[-1]
    assert error["status"] == "error" and "is not in this dataset" in error["message"]


def test_no_such_event(dataset: Path) -> None:
    (error,) = past(dataset, history="typo.json", code=1)
    assert "--history" in error["remedy"]
