"""Plans: never more than fits, whole units, nothing denied, the same whatever the order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from planned import plan, verdict

from datalad_mrishare.sharing.plans import Action, Plan, Room, Wishes, make_plan, natural
from datalad_mrishare.sharing.verdicts import Verdict

many = settings(
    max_examples=350,
    database=None,
    derandomize=True,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


def actions(found: Plan) -> dict[str, str]:
    return {u.name: u.action.value for u in found.units}


FILES = [
    verdict("sub-01/a", "sub-01", 10),
    verdict("sub-01/b", "sub-01", 10),
    verdict("sub-02/a", "sub-02", 30, False),
    verdict("sub-03/a", "sub-03", 30),
    verdict("sub-10/a", "sub-10", 5),
    verdict("group", "sub-01 sub-03", 1),
    verdict("template", "", 2),
]


@pytest.mark.parametrize(
    ("budget", "expected"),
    [
        (None, "template sub-01 sub-03 sub-10 group"),
        (58, "template sub-01 sub-03 sub-10 group"),
        (57, "template sub-01 sub-03 sub-10"),
        (28, "template sub-01 sub-10 group"),
        (21, "template sub-10 group"),
        (2, "template"),
        (1, "group"),
        (0, ""),
    ],
)
def test_units_in_order_as_long_as_each_fits(budget: int | None, expected: str) -> None:
    """Commons first, then people in the order of counting, then files of several."""
    found = plan(FILES, room=Room(budget))
    names = {"commons": "template", "sub-01+sub-03": "group"}
    sent = [names.get(u.name, u.name) for u in found.units if u.action is Action.SEND]
    assert sent == expected.split()
    assert all(u.why == "no room there" for u in found.units if u.action is Action.DEFER)


def test_room_is_the_smaller_of_budget_and_free_space() -> None:
    assert Room().left(5, 5) is None
    assert Room(budget=100).left(held=30, freed=20) == 70
    assert Room(free=100, reserve=40).left(held=30, freed=20) == 80
    assert Room(budget=100, free=50, reserve=10).left(held=30, freed=20) == 60
    assert Room(budget=10).left(held=30, freed=0) == 0
    assert Room(free=10, reserve=40).left(held=0, freed=0) == 0


def test_what_is_denied_or_no_longer_there_is_taken_back() -> None:
    present = {"sub-01/a", "sub-02/a", "an older version"}
    found = plan(FILES, present=present)
    assert found.take_back == ("an older version", "sub-02/a")
    assert (found.held, found.freed) == (10, 30)
    assert found.units[1].send == ("sub-01/b",)


def test_former_versions_that_stay_take_room_and_those_that_go_make_some() -> None:
    stays, goes = "SHA256E-s40--a", "SHA256E-s7--b"
    present = {"sub-01/a", stays, goes}
    found = plan(FILES, present=present, room=Room(budget=60), former={stays})
    assert found.take_back == (goes,)
    assert (found.held, found.freed, found.room) == (50, 7, 10)
    sent = [u.name for u in found.units if u.action is Action.SEND]
    assert sent == ["commons", "sub-10", "sub-01+sub-03"]


def test_a_unit_waits_for_content_that_is_not_here_or_has_no_size() -> None:
    found = plan(FILES, here={v.facts.path for v in FILES} - {"sub-01/b"})
    (first,) = (u for u in found.units if u.name == "sub-01")
    assert (first.action, first.absent) == (Action.DEFER, ("sub-01/b",))
    assert "1 of 2 files" in first.why
    found = plan([verdict("sub-01/a", "sub-01", None)], room=Room(100))
    assert actions(found) == {"sub-01": "defer"}


def test_units_by_session_and_by_file() -> None:
    files = [
        verdict("sub-01/ses-1/a", "sub-01", 1, ses="1"),
        verdict("sub-01/ses-2/a", "sub-01", 1, ses="2"),
        verdict("sub-01/x", "sub-01", 1),
    ]
    assert list(actions(plan(files, unit="session"))) == ["sub-01", "sub-01/ses-1", "sub-01/ses-2"]
    assert set(actions(plan(files, unit="file"))) == {v.facts.path for v in files}


def test_content_that_two_units_share_is_sent_and_counted_once() -> None:
    files = [
        verdict("sub-01/a", "sub-01", 10, key="same"),
        verdict("both", "sub-01 sub-02", 10, key="same"),
    ]
    found = plan(files, room=Room(10))
    assert actions(found) == {"sub-01": "send", "sub-01+sub-02": "keep"}
    assert found.keys_to_send() == ["same"]


def test_a_selection_defers_the_rest() -> None:
    files = [
        verdict("sub-01/anat/sub-01_T1w.nii.gz", "sub-01", 10),
        verdict("sub-01/func/sub-01_bold.nii.gz", "sub-01", 10),
        verdict("sub-02/func/sub-02_bold.nii.gz", "sub-02", 10),
    ]
    found = plan(files, wishes=Wishes({"suffix": ["T1w"]}), room=Room(10))
    assert found.keys_to_send() == ["sub-01/anat/sub-01_T1w.nii.gz"]
    assert actions(found) == {"sub-01": "send", "sub-02": "defer"}
    assert plan(files, wishes=Wishes({"sub": ["02"]})).keys_to_send() == [files[2].facts.path]
    assert plan(files, wishes=Wishes({"sub": ["sub-02"]})).keys_to_send() == [files[2].facts.path]


def bids(participant: str, datatype: str, suffix: str, size: int = 10) -> Verdict:
    path = f"{participant}/{datatype}/{participant}_{suffix}.nii.gz"
    return verdict(path, participant, size)


def test_what_is_preferred_comes_first() -> None:
    """Units that have it, and in a unit the files that are it; still whole units only."""
    files = [
        bids("sub-01", "func", "bold"),
        bids("sub-02", "func", "bold"),
        bids("sub-02", "anat", "T1w"),
        bids("sub-03", "anat", "T1w", 30),
        bids("sub-04", "anat", "T1w"),
        verdict("template", "", 1),
    ]
    anat = Wishes(first={"datatype": ["anat"]})
    found = plan(files, wishes=anat)
    assert [u.name for u in found.units] == ["commons", "sub-02", "sub-03", "sub-04", "sub-01"]
    assert found.units[1].send == (files[2].facts.path, files[1].facts.path)
    found = plan(files, wishes=anat, room=Room(31))
    assert [u.name for u in found.units if u.send] == ["commons", "sub-02", "sub-04"]
    by_file = plan(files, wishes=anat, unit="file")
    assert [("T1w" in u.name) for u in by_file.units[1:]] == [True] * 3 + [False] * 2


def test_what_has_begun_to_arrive_is_finished_first() -> None:
    files = [bids("sub-01", "anat", "T1w")]
    files += [bids("sub-02", "anat", "T1w"), bids("sub-02", "func", "bold")]
    present = {files[1].facts.path}
    found = plan(files, present=present, room=Room(20))
    assert actions(found) == {"sub-02": "send", "sub-01": "defer"}
    assert found.units[0].send == (files[2].facts.path,)


def test_a_chooser_is_asked_what_fits_and_obeyed() -> None:
    asked = []

    def choose(costs: Mapping[str, int], room: int | None) -> list[str]:
        asked.append((dict(costs), room))
        return ["sub-10"]

    found = plan(FILES, room=Room(17), wishes=Wishes(choose=choose))
    assert asked == [({"sub-01": 20, "sub-03": 30, "sub-10": 5}, 15)]
    assert [u.name for u in found.units if u.send] == ["commons", "sub-10", "sub-01+sub-03"]


def test_only_what_is_listed_in_its_order() -> None:
    only = {"sub-10": ["sub-10/a"], "sub-01": ["sub-01/b", "sub-02/a", "unheard of"]}
    found = plan(FILES, wishes=Wishes(only=only))
    assert found.keys_to_send() == ["sub-10/a", "sub-01/b"]
    waiting = {u.name: u.why for u in found.units if u.action is Action.DEFER}
    assert waiting == dict.fromkeys(["commons", "sub-03", "sub-01+sub-03"], "not in the plan")


def test_counting_order_of_any_name() -> None:
    names = ["sub-10", "sub-2", "sub-1", "sub-01", "sub-²", "sub-٣", "²", ""]
    ordered = sorted(names, key=natural)
    assert ordered.index("sub-2") < ordered.index("sub-10")


WISHES = (
    None,
    Wishes(first={"sub": ["2", "10"]}),
    Wishes(choose=lambda costs, left: sorted(costs, reverse=True)),
    Wishes(first={"sub": ["2"]}, choose=lambda costs, left: ["sub-10", "nobody"]),
)
people = st.sampled_from(["", "sub-1", "sub-01", "sub-2", "sub-10", "sub-1 sub-2"])


@st.composite
def situations(draw: st.DrawFn) -> tuple[list[Verdict], set[str], set[str], Room, str]:
    """Verdicts, keys that are there, keys that are here, room, unit; keys may be shared.

    As :func:`decide` guarantees, a key is permitted everywhere or nowhere.
    """
    count = draw(st.integers(1, 10))
    keys = [f"k{n}" for n in range(count)]
    sizes = {k: draw(st.one_of(st.integers(0, 50), st.none())) for k in keys}
    if draw(st.booleans()):
        sizes = {k: size or 3 for k, size in sizes.items()}
    permitted = {k: draw(st.integers(0, 3)) > 0 for k in keys}
    verdicts = [
        verdict(
            f"f{n}", draw(people), sizes[k], permitted[k], key=k, ses=draw(st.sampled_from("12"))
        )
        for n, k in enumerate(draw(st.sampled_from(keys)) for _ in range(count))
    ]
    there = draw(st.sets(st.sampled_from([*keys, "old"])))
    gone = draw(st.sets(st.sampled_from(keys))) if draw(st.booleans()) else set()
    numbers = st.none() | st.integers(0, 150)
    room = Room(draw(numbers), draw(numbers), draw(st.integers(0, 20)))
    return (
        verdicts,
        there,
        set(keys) - gone,
        room,
        draw(st.sampled_from(["participant", "session", "file"])),
    )


def test_what_holds_for_every_plan() -> None:
    seen: Counter[str] = Counter()

    @many
    @given(situations(), st.sampled_from(WISHES), st.randoms(use_true_random=False))
    def check(situation: tuple, wishes: Wishes | None, random: object) -> None:
        verdicts, there, here, room, unit = situation
        options = {"present": there, "here": here, "room": room, "unit": unit, "wishes": wishes}
        found = make_plan(verdicts, **options)
        size = {v.facts.entry.key: v.facts.size for v in verdicts}
        permitted = {v.facts.entry.key for v in verdicts if v.permit}
        sent = found.keys_to_send()
        # nothing denied, nothing twice, nothing that is there already, nothing that is not here
        assert set(sent) <= permitted & here - there and len(sent) == len(set(sent))
        assert all(size[k] is not None for k in sent)
        # what is there and not permitted comes back
        assert set(found.take_back) == there - permitted
        # never more than fits
        new = sum(size[k] for k in sent)
        held = sum(size.get(k) or 0 for k in there & permitted)
        freed = sum(size.get(k) or 0 for k in there - permitted)
        if room.budget is not None:
            assert new == 0 or held + new <= room.budget
        if room.free is not None:
            assert new == 0 or new <= room.free - room.reserve + freed
        # a unit is whole: after sending, all of its keys are there
        after = set(sent) | there
        for u in found.units:
            assert (u.action is Action.DEFER) or set(u.keys) <= after
            assert u.action is Action.SEND or not u.send
        # every permitted key is in a unit, and nothing else is
        assert {k for u in found.units for k in u.keys} == permitted
        # the order of the verdicts plays no part
        shuffled = list(verdicts)
        random.shuffle(shuffled)  # type: ignore[attr-defined]
        again = make_plan(shuffled, **options)
        assert actions(again) == actions(found)
        assert set(again.keys_to_send()) == set(sent) and again.take_back == found.take_back
        seen.update(actions(found).values())
        seen["taken back"] += bool(found.take_back)
        seen["no room"] += any(u.why == "no room there" for u in found.units)

    check()
    assert min(seen.values()) > 25 and len(seen) == 5, seen


def test_more_room_never_sends_less_to_one_unit() -> None:
    """One unit alone: it goes as soon as there is room for all of it."""
    files = [verdict(f"sub-01/{n}", "sub-01", n) for n in range(5)]
    for budget in range(15):
        sent = plan(files, room=Room(budget)).keys_to_send()
        assert len(sent) == (5 if budget >= 10 else 0)


def test_a_verdict_of_a_file_in_git_is_no_unit() -> None:
    text = verdict("README", "", 10)
    text = text._replace(facts=text.facts._replace(entry=text.facts.entry._replace(key=None)))
    assert plan([text]).units == ()
