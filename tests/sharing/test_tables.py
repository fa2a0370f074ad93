"""Tables: whose rows, which cells leave."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datalad_mrishare.sharing.tables import (
    Table,
    filter_table,
    format_table,
    parse_table,
    people_in,
)

many = settings(
    max_examples=400,
    database=None,
    derandomize=True,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
IDENTIFYING = ["participant_id", "filename", "session_id", "sample_id"]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"a\tb\n1\t2\n", Table(("a", "b"), (("1", "2"),))),
        (b"\xef\xbb\xbfa\r\n1\r\n", Table(("a",), (("1",),))),
        (b"a\tb\n\n1\t\n", Table(("a", "b"), (("1", ""),))),
        (b"a\n", Table(("a",), ())),
        (b"", None),
        (b"\n \n", None),
        (b"a\tb\n1\n", None),
        (b"a\n1\t2\n", None),
        (b"a\xff\n", None),
        (b"a\tb\ta\n1\t2\t3\n", None),
    ],
)
def test_parse(content: bytes, expected: Table | None) -> None:
    assert parse_table(content) == expected


def test_a_line_break_of_unicode_in_a_cell_never_makes_a_row_of_its_own() -> None:
    table = parse_table("participant_id\tnote\nsub-01\tx\u2028sub-03\ty\n".encode())
    assert table is None or len(table.rows) == 1


def test_blank_keeps_who_it_is_and_nothing_else() -> None:
    table = Table(("participant_id", "age", "sex"), (("sub-01", "30", "F"), ("sub-02", "40", "M")))
    fates = {"sub-01": "blank", "sub-02": "keep"}
    found = filter_table(table, lambda c: c != "sex", lambda row: fates[row["participant_id"]])
    assert found == Table(("participant_id", "age"), (("sub-01", "n/a"), ("sub-02", "40")))
    assert format_table(found) == b"participant_id\tage\nsub-01\tn/a\nsub-02\t40\n"


def test_nothing_is_left_of_a_table_without_rows() -> None:
    table = Table(("participant_id",), (("sub-01",),))
    assert filter_table(table, lambda _: True, lambda _: "drop") is None
    assert filter_table(Table(("x",), ()), lambda _: True, lambda _: "keep") is None


def test_only_cells_that_may_leave_do() -> None:
    """Cells are unique, so that each one in the result can be told where it came from."""
    seen: Counter[str] = Counter()

    @many
    @given(
        st.lists(st.sampled_from([*IDENTIFYING, "age", "sex", "x"]), min_size=1, unique=True),
        st.lists(st.sampled_from(["keep", "drop", "blank"]), max_size=8),
        st.sets(st.sampled_from(["age", "sex", "x"])),
    )
    def check(columns: list[str], fates: list[str], allowed: set[str]) -> None:
        rows = tuple(tuple(f"{r}:{c}" for c in columns) for r in range(len(fates)))

        def fate(row: dict[str, str]) -> str:
            return fates[int(next(iter(row.values())).partition(":")[0])]

        found = filter_table(Table(tuple(columns), rows), allowed.__contains__, fate)
        expected = {
            f"{r}:{c}"
            for r, fate in enumerate(fates)
            for c in columns
            if (c in IDENTIFYING and fate != "drop") or (c in allowed and fate == "keep")
        }
        text = format_table(found).decode() if found else ""
        assert set(text.split()) - set(columns) - {"n/a"} == expected
        if found:
            assert len(found.rows) == len(fates) - fates.count("drop")
            assert set(found.columns) <= allowed | set(IDENTIFYING)
        seen.update(fates if found else ["nothing left"])

    check()
    assert min(seen.values()) > 20 and len(seen) == 4, seen


def test_people_in_a_column() -> None:
    assert people_in(b"participant_id\tx\nsub-01\t1\n02\t2\n") == {"sub-01", "sub-02"}
    assert people_in(b"x\tparticipant_id\tparticipant_id\n1\tsub-01\tsub-02\n") == {
        "sub-01",
        "sub-02",
    }
    assert people_in(b"x\n1\n") == people_in(b"") == frozenset()
    assert people_in(b"participant_id\tx\nsub-01\n") == {"sub-01"}
