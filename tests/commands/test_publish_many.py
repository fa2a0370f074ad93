"""``datalad mrishare-publish`` to several siblings, and as of a day in the past."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from builders import remove, run
from mirrors import add_path, consent, keys_at, told

from datalad_mrishare.repo.worktree import Checkout
from datalad_mrishare.sharing.consents import import_consent
from datalad_mrishare.sharing.publishing import Publication


def cli(dataset: Path, *args: str, code: int = 0) -> list[dict[str, Any]]:
    argv = ("datalad", "-f", "json", "mrishare-publish", *args)
    out = run(dataset, *argv, ok=(code,))
    return [json.loads(line) for line in out.splitlines() if line.startswith("{")]


def sums(found: list[dict[str, Any]]) -> dict[str, str]:
    return {r["to"]: r["status"] for r in found if r.get("outcome") == "summary"}


def test_all_siblings_are_served_in_their_order(registered: Path) -> None:
    second = add_path(registered, "zeta", "institution")
    first = add_path(registered, "alpha", "public")
    consent(registered, ("sub-01", "given"))
    found = cli(registered, "--all")
    assert list(sums(found)) == ["zeta", "alpha"]
    assert len(keys_at(second)) == 2 and keys_at(first) == set()
    assert sums(cli(registered, "--to", "alpha", "--to", "zeta", "--to", "alpha")) == {
        "alpha": "notneeded",
        "zeta": "notneeded",
    }


def test_one_that_fails_leaves_the_others_alone(registered: Path) -> None:
    gone, there = (add_path(registered, name, "institution") for name in ("gone", "there"))
    consent(registered, ("sub-01", "given"))
    remove(gone)
    found = cli(registered, "--all", "--dry-run", code=1)
    assert [r["to"] for r in found if r["status"] == "error"] == ["gone"]
    found = cli(registered, "--to", "gone", "--to", "nosuch", "--to", "there", code=1)
    assert [r["to"] for r in found if r["status"] == "error"] == ["gone", "nosuch"]
    assert sums(found) == {"there": "ok"} and len(keys_at(there)) == 2


def test_what_nobody_thought_of_leaves_the_others_alone(
    registered: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    odd, fine = (add_path(registered, name, "institution") for name in ("odd", "fine"))
    consent(registered, ("sub-01", "given"))
    ours = Publication.take_back

    def take_back(publication: Publication) -> Iterator[object]:
        if publication.name == "odd":
            raise UnicodeEncodeError("utf-8", "\udcff", 0, 1, "surrogates\nnot allowed")
        return ours(publication)

    monkeypatch.setattr(Publication, "take_back", take_back)
    with caplog.at_level(logging.DEBUG, logger="datalad.mrishare.publish"):
        found = told(registered, to=["odd", "fine"], code=1)
    (said,) = [r for r in found if r["status"] == "error"]
    assert said["to"] == "odd" and "sibling 'odd'" in said["message"]
    assert "UnicodeEncodeError" in said["what"] and "\n" not in said["message"]
    assert len(keys_at(fine)) == 2 and not keys_at(odd)
    assert "Traceback" in caplog.text


def test_what_this_machine_refuses_leaves_the_others_alone(registered: Path) -> None:
    odd, fine = (add_path(registered, name, "institution") for name in ("odd", "fine"))
    consent(registered, ("sub-01", "given"))
    where = registered / ".git/mrishare/.odd.new"
    remove(where.with_name("odd"))  # so that it has to be built again
    where.write_text("no directory\n")
    found = cli(registered, "--all", code=1)
    (said,) = [r for r in found if r["status"] == "error"]
    assert (said["to"], said["where"]) == ("odd", f"sibling 'odd' at {where}")
    assert "could not be served from here" in said["message"] and said["remedy"]
    assert sums(found) == {"fine": "ok"} and keys_at(fine) and not keys_at(odd)


def test_from_python_one_name_or_several(registered: Path) -> None:
    from datalad.api import mrishare_publish

    add_path(registered, "one", "institution")
    add_path(registered, "two", "institution")
    quiet = {"result_renderer": "disabled", "dry_run": True, "dataset": str(registered)}
    assert list(sums(mrishare_publish(to="two", **quiet))) == ["two"]
    assert list(sums(mrishare_publish(to=["two", "one"], **quiet))) == ["two", "one"]
    assert list(sums(mrishare_publish(all_=True, **quiet))) == ["one", "two"]


def test_nothing_is_declared(registered: Path) -> None:
    (only,) = cli(registered, "--all")
    assert (only["status"], only["message"]) == ("notneeded", "no sibling is declared")


def test_wrong_use(registered: Path) -> None:
    for args in (
        ("--all", "--to", "x"),
        ("--all", "--plan", "p.json"),
        ("--to", "x", "--to", "y", "--plan-to", "p.json"),
        ("--to", "x", "--at", "2026-01-01"),
        ("--to", "x", "--at", "2026-01-01", "--plan-to", "p.json"),
        ("--to", "x", "--at", "yesterday", "--dry-run"),
    ):
        cli(registered, *args, code=2)


@pytest.mark.slow
def test_two_runs_at_once_for_two_siblings_and_for_one(registered: Path) -> None:
    places = [add_path(registered, name, "institution") for name in ("one", "two")]
    consent(registered, ("sub-01", "given"), ("sub-02", "given"))
    datalad = str(Path(sys.executable).with_name("datalad"))
    runs = [
        subprocess.Popen([datalad, "mrishare-publish", "--to", name], cwd=registered)
        for name in ("one", "two", "two")
    ]
    assert [p.wait(timeout=300) for p in runs] == [0, 0, 0]
    assert keys_at(places[0]) == keys_at(places[1]) and len(keys_at(places[0])) == 4
    for place in places:
        run(place, "git", "fsck", "--no-dangling")
        assert "sub-02" in run(place, "git", "ls-tree", "-r", "--name-only", "main")
    assert sums(cli(registered, "--all")) == {"one": "notneeded", "two": "notneeded"}
    events = run(registered, "git", "ls-files", ".datalad/mrishare/events").split()
    assert sum("published-one" in e for e in events) == 1
    assert sum("published-two" in e for e in events) == 1
    assert run(registered, "git", "status", "--porcelain") == ""


@pytest.mark.slow
def test_what_would_have_gone_on_a_day(registered: Path) -> None:
    place = add_path(registered, "mirror", "institution")
    consent(registered, ("sub-01", "given"))
    late = (
        b"participant_id\tstate\tform\tfrom\tthen\trecorded\n"
        b"sub-01\twithdrawn\tn/a\t2026-02-01\tstop-sharing\t2026-04-01\n"
    )
    from mirrors import TODAY

    import_consent(Checkout(registered), late, "late.tsv", today=TODAY)

    def planned(*args: str) -> list[str]:
        found = cli(registered, "--to", "mirror", "--dry-run", *args)
        return [r["unit"] for r in found if r.get("outcome") == "planned"]

    assert planned("--at", "2025-12-31") == []
    assert planned("--at", "2026-03-15") == ["sub-01"]  # withdrawn, but nobody knew
    assert planned("--at", "2026-04-01") == planned() == []
    assert keys_at(place) == set()
