"""Choosing participants: fits, depends on nothing but its input, and is better than no choice."""

from __future__ import annotations

import random
import time

import pytest

from datalad_mrishare.sharing.balance import choose
from datalad_mrishare.sharing.plans import natural
from datalad_mrishare.sharing.samples import Sample, make_sample

COLUMNS = ("age", "sex", "site")


def people(draw: random.Random, count: int) -> dict[str, dict[str, str]]:
    """A cohort as they come: the sites were opened one after the other."""
    return {
        f"sub-{n:03d}": {
            "age": str(draw.randint(18, 90)) if draw.random() > 0.05 else "n/a",
            "sex": "F" if draw.random() < 0.3 + 0.4 * n / count else "M",
            "site": "abc"[3 * n // count],
        }
        for n in range(count)
    }


def sample_of(rows: dict[str, dict[str, str]], columns: tuple[str, ...] = COLUMNS) -> Sample:
    return make_sample(columns, rows, list(rows), COLUMNS)


def in_order(costs: dict[str, int], room: int) -> list[str]:
    """What a plan without balance sends."""
    chosen = []
    for who in sorted(costs, key=natural):
        if costs[who] <= room:
            chosen.append(who)
            room -= costs[who]
    return chosen


def test_one_of_each_level_by_hand() -> None:
    rows = {f"sub-{n}": {"age": "n/a", "sex": "FFFM"[n % 4], "site": "a"} for n in range(8)}
    sample = sample_of(rows, ("sex",))
    costs = dict.fromkeys(rows, 10)
    assert choose(sample, (), costs, 45) == ["sub-0", "sub-1", "sub-3", "sub-2"]
    assert sample.distance(choose(sample, (), costs, 45)) == 0
    # with M there already, three F complete the four
    chosen = choose(sample, {"sub-7"}, {w: 10 for w in rows if w != "sub-7"}, 30)
    assert chosen == ["sub-0", "sub-1", "sub-2"]
    assert choose(sample, (), costs, None)[-1] and len(choose(sample, (), costs, None)) == 8
    assert choose(sample, (), costs, 9) == []
    assert choose(sample, (), {**costs, "sub-99": 1}, 10) == ["sub-0"], "who is not permitted"


def test_who_has_begun_to_arrive_comes_first() -> None:
    rows = {f"sub-{n}": {"age": "n/a", "sex": "FM"[n % 2], "site": "a"} for n in range(4)}
    sample = sample_of(rows, ("sex",))
    assert choose(sample, {"sub-3"}, dict.fromkeys(rows, 1), 2) == ["sub-3", "sub-0"]


def test_what_does_not_fit_is_passed_over() -> None:
    rows = {f"sub-{n}": {"age": "n/a", "sex": "FM"[n % 2], "site": "a"} for n in range(4)}
    costs = {"sub-0": 100, "sub-1": 1, "sub-2": 2, "sub-3": 3}
    assert choose(sample_of(rows, ("sex",)), (), costs, 3) == ["sub-1", "sub-2"]


def test_five_hundred_cohorts() -> None:
    seen = {"some but not all": 0, "better": 0, "worse": 0, "begun": 0}
    balanced = ordered = 0.0
    for seed in range(500):
        draw = random.Random(seed)
        rows = people(draw, draw.randint(8, 60))
        sample = sample_of(rows, tuple(draw.sample(COLUMNS, draw.randint(1, 3))))
        there = set(draw.sample(sorted(rows), draw.choice([0, 0, 2])))
        costs = {who: draw.randint(1, 30) for who in rows if who not in there}
        room = draw.randint(1, sum(costs.values()))
        chosen = choose(sample, there, costs, room)
        # never more than fits, nobody twice, and nobody is left who would fit
        assert sum(costs[who] for who in chosen) <= room and len(set(chosen)) == len(chosen)
        left = room - sum(costs[who] for who in chosen)
        assert not [who for who in costs if who not in chosen and costs[who] <= left]
        # the same for any order of the input
        shuffled = list(costs)
        draw.shuffle(shuffled)
        mixed = list(rows)
        draw.shuffle(mixed)
        again = sample_of({who: rows[who] for who in mixed}, sample.columns)
        assert choose(again, sorted(there), {w: costs[w] for w in shuffled}, room) == chosen
        mine = sample.distance(there | set(chosen))
        theirs = sample.distance(there | set(in_order(costs, room)))
        if mine is None or theirs is None:
            assert not chosen and not in_order(costs, room)
            continue
        balanced, ordered = balanced + mine, ordered + theirs
        seen["some but not all"] += 0 < len(chosen) < len(costs)
        seen["better"] += mine < theirs - 1e-12
        seen["worse"] += mine > theirs + 1e-12
        seen["begun"] += bool(there)
    assert seen["some but not all"] > 450 and seen["begun"] > 100, seen
    assert balanced <= 0.6 * ordered, (balanced, ordered)
    assert seen["better"] > 10 * seen["worse"], seen


@pytest.mark.parametrize("different", [False, True], ids=["three sites", "all different"])
def test_five_thousand_participants_in_seconds(different: bool) -> None:
    rows = people(random.Random(1), 5000)
    if different:  # nobody has the levels of another
        for n, row in enumerate(rows.values()):
            row["site"] = f"x{n}"
    costs = {who: 1 + n % 7 for n, who in enumerate(rows)}
    sample = sample_of(rows)
    began = time.process_time()
    chosen = choose(sample, (), costs, sum(costs.values()) // 2)
    assert time.process_time() - began < 3
    assert len(chosen) > 2000
