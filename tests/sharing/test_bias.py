"""The table of who is there: levels, counts worked out by hand, and how it is printed."""

from __future__ import annotations

import pytest
from planned import plan, verdict

from datalad_mrishare.errors import InputError
from datalad_mrishare.sharing.bias import Groups, Line, aligned, bias, group_people
from datalad_mrishare.sharing.plans import Room
from datalad_mrishare.sharing.samples import Bins, bins_of, decade, make_sample, read_people

TABLE = b"""participant_id\tage\tsex\tsite
sub-01\t24\tF\ta
sub-02\t31\tM\ta
sub-03\t38.5\tF\tb
04\t89+\tn/a\tb
sub-05\t93\tF\tb
sub-09\t50\tM\ta
"""


def test_three_counts_for_each_level() -> None:
    """01 and 02 go, 03 has no room, 04 is denied, 05 has a joint file only, 06 is in no row."""
    files = [
        verdict("sub-01/a", "sub-01", 10),
        verdict("sub-01/b", "sub-01", 10, False),
        verdict("sub-02/a", "sub-02", 10),
        verdict("sub-03/a", "sub-03", 90),
        verdict("sub-04/a", "sub-04", 10, False),
        verdict("joint", "sub-04 sub-05", 1),
        verdict("sub-06/a", "sub-06", 10),
        verdict("template", "", 1),
    ]
    found = plan(files, room=Room(30), present={"sub-06/a"})
    columns, rows = read_people(TABLE)
    groups = group_people(files, {"sub-06/a"}, found)
    report = bias(groups, columns, rows)
    assert [(x.column, x.level, x.with_data, x.permitted, x.there) for x in report.lines] == [
        ("all", "", 5, 4, 2),
        ("sex", "F", 2, 2, 1),
        ("sex", "M", 1, 1, 0),
        ("sex", "n/a", 2, 1, 1),
        ("age", "20-29", 1, 1, 1),
        ("age", "30-39", 2, 2, 0),
        ("age", "89+", 1, 0, 0),
        ("age", "n/a", 1, 1, 1),
    ]
    assert groups.there <= groups.permitted <= groups.with_data
    assert report.balanced == () and report.after is None


def test_balanced_columns_and_their_distance() -> None:
    """Of four permitted, two at each site, the one that is there is of site a: 1/2; then both."""
    columns, rows = read_people(TABLE)
    people = frozenset(("sub-01", "sub-02", "sub-03", "sub-05"))
    sample = make_sample(["site"], rows, people, columns)
    groups = Groups(people | {"sub-04"}, people, frozenset(("sub-01", "sub-03")))
    report = bias(groups, columns, rows, sample, {"sub-01"})
    assert report.lines[-2:] == (Line("site", "a", 2, 2, 1), Line("site", "b", 3, 2, 1))
    assert (report.before, report.after) == (0.5, 0.0)
    assert sample.distance([]) is None


def test_the_mean_over_columns() -> None:
    """Only sub-01 (F, a) of F a, M a, F b, F b: sex 1/4, site 1/2, mean 3/8."""
    columns, rows = read_people(TABLE)
    people = ["sub-01", "sub-02", "sub-03", "sub-05"]
    assert make_sample(["sex", "site"], rows, people, columns).distance(["sub-01"]) == 0.375


@pytest.mark.parametrize(
    "content", [None, b"", b"\xff\xfe", b"a\tb\n1\t2\n", b"participant_id\n\n"]
)
def test_without_a_table_there_is_one_line(content: bytes | None) -> None:
    columns, rows = read_people(content)
    people = frozenset(("sub-01",))
    report = bias(Groups(people, people, frozenset()), columns, rows)
    assert report.lines == (Line("all", "", 1, 1, 0),)
    with pytest.raises(InputError, match="no column `sex`"):
        make_sample(["sex"], rows, people, columns)


def test_an_unknown_column_is_refused_with_those_there_are() -> None:
    columns, rows = read_people(TABLE)
    with pytest.raises(InputError, match=r"no column `Sex`.*age, sex, site"):
        make_sample(["age", "Sex"], rows, ["sub-01"], columns)


def test_levels_of_numbers() -> None:
    ages = [str(n) for n in range(1, 9)]
    bins = bins_of([*ages, "n/a"])
    assert bins == Bins((2.0, 4.0, 6.0))
    assert [bins.level(a) for a in ages] == [
        *["to 2"] * 2, *["2 to 4"] * 2, *["4 to 6"] * 2, *["over 6"] * 2
    ]  # fmt: skip
    assert bins_of(["1", "2", "1", "2"]) == Bins(), "codes for groups"
    assert bins_of([*ages, "old"]) == Bins(), "words"
    assert bins_of([]) == Bins()
    assert decade("-3") == "-3" and decade("1e9") == "1e9"


def test_everybody_has_one_of_four_levels() -> None:
    for count in range(5, 60):
        numbers = [str((7 * n) % 53) for n in range(count)]
        bins = bins_of(numbers)
        levels = [bins.level(n) for n in numbers]
        assert 2 <= len(set(levels)) <= 4, (count, set(levels))
        assert not any(n in levels for n in numbers)


def test_how_it_is_printed() -> None:
    columns, rows = read_people(TABLE)
    people = frozenset(("sub-01", "sub-02"))
    lines = aligned(bias(Groups(people, people, people), columns, rows))
    assert len({len(line) for line in lines}) == 1
    assert [line.split() for line in lines][:3] == [
        ["participants", "with", "data", "permitted", "there"],
        ["all", "2", "2", "2"],
        ["sex", "F", "1", "1", "1"],
    ]
