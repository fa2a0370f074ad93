"""``datalad mrishare-publish`` when nothing is new: said at once, and only when it is true."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from builders import remove, run
from mirrors import FORM, add_path, add_ria, consent, keys_at, keys_of, told

from datalad_mrishare.repo.worktree import Checkout
from datalad_mrishare.sharing import preparing
from datalad_mrishare.sharing.consents import import_consent
from datalad_mrishare.sharing.planning import Options
from datalad_mrishare.sharing.publishing import Publication

T1W = "sub-01/anat/sub-01_T1w.nii.gz"


def served(dataset: Path, policy: str = "institution") -> Path:
    place = add_path(dataset, "mir", policy)
    consent(dataset, ("sub-01", "given"), ("sub-02", "given"))
    told(dataset)
    told(dataset)
    return place


def looks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Counts how often the whole dataset is read."""
    times: list[int] = []
    take = preparing.take_snapshot

    def counted(*args: Any) -> Any:
        times.append(1)
        return take(*args)

    monkeypatch.setattr(preparing, "take_snapshot", counted)
    return times


def bare_of(records: list[dict[str, Any]]) -> str:
    """All that is told but for the room, which others take."""
    shown = [{k: v for k, v in r.items() if k not in ("room", "message")} for r in records]
    return json.dumps(shown, default=str, sort_keys=True)


@pytest.mark.parametrize("policy", ["institution", pytest.param("backup", marks=pytest.mark.slow)])
def test_the_same_is_said_without_looking(
    registered: Path, monkeypatch: pytest.MonkeyPatch, policy: str
) -> None:
    served(registered, policy)
    whole = told(registered)
    times = looks(monkeypatch)
    (registered / ".git/mrishare/mir.settled").unlink()
    assert bare_of(told(registered)) == bare_of(whole) and len(times) == 1
    assert bare_of(told(registered)) == bare_of(whole) and len(times) == 1
    assert whole[-1]["status"] == "notneeded" and whole[-1]["complete"]
    # what is only looked at, and what is to be compared, is looked at
    told(registered, dry_run=True)
    told(registered, checksum=True)
    assert len(times) == 3


def a_record(dataset: Path, _place: Path) -> None:
    consent(dataset, ("sub-02", "withdrawn"))


def a_file(dataset: Path, _place: Path) -> None:
    (dataset / "README").write_text("other\n")
    run(dataset, "git", "commit", "--quiet", "-m", "reword", "README")


def a_finding(dataset: Path, _place: Path) -> None:
    run(dataset, "git", "annex", "metadata", "--set", "mri-finding=a face", T1W)


def a_ref_there(dataset: Path, place: Path) -> None:
    run(place, "git", "update-ref", "-d", "refs/heads/main")


def another_annex_there(dataset: Path, place: Path) -> None:
    key = sorted(keys_of(dataset, "sub-01/anat"))[0]
    run(place, "git", "annex", "setpresentkey", key, "00000000-0000-0000-0000-000000000001", "1")
    run(place, "git", "annex", "merge")  # writes it to the branch


def a_killed_run(dataset: Path, _place: Path) -> None:
    (dataset / ".git/mrishare/mir.journal").write_text("[]")


def garbage(dataset: Path, _place: Path) -> None:
    file = dataset / ".git/mrishare/mir.settled"
    held = json.loads(file.read_text())
    file.write_text(json.dumps({**held, "since": 7, "told": "all is well"}))


@pytest.mark.parametrize(
    "new",
    [
        a_record,
        *(
            pytest.param(new, marks=pytest.mark.slow)
            for new in (a_file, a_finding, a_ref_there, another_annex_there, a_killed_run, garbage)
        ),
    ],
)
def test_whatever_is_new_is_looked_at(
    registered: Path, monkeypatch: pytest.MonkeyPatch, new: Callable[[Path, Path], None]
) -> None:
    place = served(registered)
    assert len(keys_at(place)) == 4
    new(registered, place)
    times = looks(monkeypatch)
    told(registered, code=1 if new is a_finding else 0)
    assert len(times) == 1
    there = 2 if new is a_record else 3 if new is a_finding else 4
    assert len(keys_at(place)) == there
    assert run(place, "git", "rev-parse", "main").strip()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("what", "word"), [("budget", "1GB"), ("select", "datatype=anat"), ("unit", "session")]
)
def test_another_request(
    registered: Path, monkeypatch: pytest.MonkeyPatch, what: str, word: str
) -> None:
    served(registered)
    times = looks(monkeypatch)
    told(registered, **{what: word})
    assert len(times) == 1


def test_what_is_wrong_here_is_told_each_time(registered: Path) -> None:
    place = served(registered)
    run(registered, "git", "remote", "add", "back", str(place))
    assert "remote 'back'" in str(told(registered, code=1))
    run(registered, "git", "remote", "remove", "back")
    told(registered)
    policies = registered / ".datalad/mrishare/siblings.yaml"
    policies.write_text(policies.read_text() + "# a word\n")
    assert "not committed" in str(told(registered, code=1))
    run(registered, "git", "checkout", "--quiet", str(policies))
    remove(place)
    assert "cannot be reached" in str(told(registered, code=1))


@pytest.mark.slow
def test_the_day_on_which_a_consent_ends(registered: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = add_path(registered, "mir", "institution")
    today = date.today()
    ends = today + timedelta(3)
    data = f"participant_id\tstate\tform\tfrom\tuntil\nsub-01\tgiven\t{FORM}\t2026-01-01\t{ends}\n"
    import_consent(Checkout(registered), data.encode(), "x.tsv", today=today)
    told(registered)
    told(registered)
    held = json.loads((registered / ".git/mrishare/mir.settled").read_text())
    assert held["until"] == ends.isoformat() and held["since"] == today.isoformat()
    times = looks(monkeypatch)

    def run_on(day: date) -> None:
        list(Publication(Checkout(registered), "mir", Options(at=day)).run())

    run_on(ends - timedelta(1))
    assert times == [] and len(keys_at(place)) == 2
    run_on(today - timedelta(1))  # a clock that was set back
    assert len(times) == 1
    run_on(ends)
    assert len(times) == 2 and keys_at(place) == set()


def test_what_waits_for_room_is_tried_each_time(
    registered: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_path(registered, "mir", "institution")
    consent(registered, ("sub-01", "given"), ("sub-02", "given"))
    told(registered, select="sub=01")
    told(registered, select="sub=01")
    times = looks(monkeypatch)
    told(registered, select="sub=01")
    assert len(times) == 1


@pytest.mark.slow
def test_a_ria_store(registered: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_ria(registered, "mir", "institution")
    consent(registered, ("sub-01", "given"))
    told(registered)
    whole = told(registered)
    times = looks(monkeypatch)
    assert bare_of(told(registered)) == bare_of(whole) and times == []
