"""Plan files: what is written is read, and any change of a byte is noticed."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planned import plan, verdict

from datalad_mrishare.errors import Refused
from datalad_mrishare.sharing.planfiles import (
    PlanFile,
    _digest,
    deviations,
    format_plan,
    parse_plan,
)
from datalad_mrishare.sharing.planning import Options
from datalad_mrishare.sharing.plans import Room, Wishes

DAY = date(2026, 5, 4)
OPTIONS = {"budget": 7, "unit": "file", "select": {}, "first": {"sub": ["01"]}, "balance": ["age"]}
FILES = [
    verdict("sub-01/a", "sub-01", 10),
    verdict("sub-02/a", "sub-02", 10),
    verdict("sub-03/a", "sub-03", 10, False),
]


def made(units: dict[str, tuple[str, ...]], take_back: tuple[str, ...] = ()) -> PlanFile:
    sizes = {name: 10 * len(keys) for name, keys in units.items()}
    return PlanFile("mir", DAY, OPTIONS, {"tree": "0"}, units, sizes, take_back)


names = st.text(min_size=1, max_size=12).map(lambda t: t.encode("utf-8", "replace").decode())


@settings(max_examples=100, database=None, derandomize=True, deadline=None)
@given(st.dictionaries(names, st.lists(names).map(tuple)), st.lists(names).map(tuple))
def test_what_is_written_is_read(
    units: dict[str, tuple[str, ...]], take_back: tuple[str, ...]
) -> None:
    written = made(units, take_back)
    again = parse_plan(format_plan(written), "plan")
    assert again == written and list(again.units) == list(units)


def test_a_name_that_is_no_utf8() -> None:
    written = made({"sub-01/\udcff": ("\udcff",)})
    assert parse_plan(format_plan(written), "plan") == written


def test_every_change_of_a_byte_is_noticed() -> None:
    data = format_plan(made({"sub-01": ("k1", "k2")}, ("k3",)))
    noticed = 0
    for place in range(len(data)):
        changed = bytearray(data)
        changed[place] ^= 1
        try:
            assert parse_plan(bytes(changed), "plan") == parse_plan(data, "plan")
        except Refused:
            noticed += 1
    assert noticed > 0.8 * len(data), "what is left is white space"


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"null", b"\xff", b"{}", b'{"schema": "mrishare-plan-1"}', b"[" * 100000]
)
def test_something_else(data: bytes) -> None:
    with pytest.raises(Refused):
        parse_plan(data, "plan")


def test_a_plan_without_its_parts() -> None:
    content = json.loads(format_plan(made({})))
    for part in ("sibling", "at", "options", "state", "units", "take_back"):
        less = {k: v for k, v in content.items() if k not in (part, "digest")}
        with pytest.raises(Refused, match="is not a plan"):
            parse_plan(json.dumps(less | {"digest": _digest(less)}).encode(), "plan")


@pytest.mark.parametrize("options", [{}, OPTIONS | {"more": 1}, OPTIONS | {"unit": "person"}])
def test_options_that_nobody_could_give(options: dict[str, object]) -> None:
    written = replace(made({}), options=options)
    with pytest.raises(Refused, match="is not a plan"):
        parse_plan(format_plan(written), "plan")


def test_options_are_those_of_the_plan() -> None:
    options = made({}).apply(Options(jobs=4, dry_run=True, at=DAY))
    assert (options.budget, options.unit, options.balance) == (7, "file", ("age",))
    assert (options.jobs, options.dry_run, options.first) == (4, True, {"sub": ["01"]})


@pytest.mark.parametrize(
    ("units", "present", "room", "take_back", "expected"),
    [
        ({"sub-02": ("sub-02/a",)}, set(), None, (), []),
        ({"sub-02": ("sub-02/a",)}, {"sub-02/a"}, None, (), []),
        ({"sub-03": ("sub-03/a",)}, set(), None, (), ["may not go today, in sub-03"]),
        ({"sub-01": ("sub-03/a",)}, set(), None, (), ["may not go today, in sub-01"]),
        ({"sub-01": ("sub-02/a",)}, set(), None, (), ["that is not in it"]),
        ({"sub-09": ("sub-01/a",)}, set(), None, (), ["that is not in it"]),
        ({"sub-01": ("sub-01/a",)}, set(), 5, (), ["cannot be carried out for sub-01: no room"]),
        ({}, {"sub-03/a"}, None, (), ["does not take back all"]),
        ({}, {"sub-03/a"}, None, ("sub-03/a",), []),
        ({}, set(), None, ("sub-03/a",), []),
        ({}, {"sub-01/a"}, None, ("sub-01/a",), ["takes back what is permitted by now"]),
    ],
)
def test_what_does_not_agree_any_more(
    units: dict[str, tuple[str, ...]],
    present: set[str],
    room: int | None,
    take_back: tuple[str, ...],
    expected: list[str],
) -> None:
    written = made(units, take_back)
    found = plan(FILES, present=present, room=Room(room), wishes=Wishes(only=units))
    said = list(deviations(written, FILES, present, found))
    assert len(said) == len(expected)
    assert all(e in s for e, s in zip(expected, said, strict=True)), said
