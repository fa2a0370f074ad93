"""What a resolution says besides the grant: state, record, reason, depth, and speed."""

from __future__ import annotations

from datetime import date

import pytest

from datalad_mrishare.consent import (
    BOTTOM,
    FileScope,
    Record,
    Registry,
    Resolver,
    Then,
    build_record,
    load_forms,
)
from datalad_mrishare.errors import InputError

FORMS = load_forms()
AT = date(2026, 5, 3)
HEAD = FileScope(None, "anat", "T1w", "sub-01/anat/sub-01_T1w.nii.gz")
BOLD = FileScope(None, "func", "bold", "sub-01/func/sub-01_task-rest_bold.nii.gz")


def record(**cells: str) -> Record:
    cells = {name.rstrip("_"): value for name, value in cells.items()}
    defaults = {"record": "r1", "participant_id": "sub-01", "state": "given", "from": "2024-01-01"}
    defaults["recorded"] = cells.get("from", "2024-01-01")
    if cells.get("state", "given") == "given":
        defaults["form"] = "obc-ult-1.0.1"
    return build_record({**defaults, **cells}, forms=FORMS)


def resolver(*records: Record, at: date = AT, known: date | None = None) -> Resolver:
    return Resolver(Registry(FORMS, records), at, known)


GIVEN = record()
WITHDRAWN = record(record="w", state="withdrawn", from_="2025-01-01")


@pytest.mark.parametrize(
    ("records", "state", "reason"),
    [
        ((), "none", "nothing is on record"),
        ((GIVEN,), "given", "sub-01 gave obc-ult-1.0.1 on 2024-01-01 (record r1)"),
        ((record(from_="2026-06-01"),), "none", "starts later"),
        ((record(until="2026-01-01"),), "expired", "which ended on 2026-01-01"),
        ((GIVEN, WITHDRAWN), "withdrawn", "withdrew (stop-use) on 2025-01-01 (record w)"),
        ((GIVEN, record(record="o", state="opted-out")), "opted-out", "opted out"),
        ((record(state="refused"),), "refused", "refused any sharing"),
        (
            (GIVEN, record(record="n", state="refused", form="obc-ult-1.0.1")),
            "refused",
            "ended by record n (refused)",
        ),
        (
            (record(state="refused", form="obc-ult-1.0.1"),),
            "refused",
            "refused obc-ult-1.0.1",
        ),
        ((GIVEN, record(record="i", state="invalid")), "invalid", "ended by record i (invalid)"),
        ((record(scope="suffix=bold"),), "none", "no record of sub-01 permits this file"),
    ],
)
def test_reasons(records: tuple[Record, ...], state: str, reason: str) -> None:
    found = resolver(*records).resolve("sub-01", HEAD)
    assert found.state == state and reason in found.reason
    assert (found.grant == BOTTOM) == (state != "given")


@pytest.mark.parametrize(
    ("records", "head", "bold"),
    [
        ((GIVEN,), None, None),
        ((GIVEN, record(record="n", state="refused")), None, None),
        ((GIVEN, WITHDRAWN), Then.STOP_USE, Then.STOP_USE),
        ((GIVEN, record(record="o", state="opted-out")), Then.STOP_SHARING, Then.STOP_SHARING),
        (
            (record(state="withdrawn", then="erase", scope="suffix=T1w"), GIVEN),
            Then.ERASE,
            None,
        ),
        (
            (
                record(state="withdrawn", then="stop-sharing", from_="2025-02-01"),
                record(record="e", state="withdrawn", then="erase", scope="datatype=anat"),
            ),
            Then.ERASE,
            Then.STOP_SHARING,
        ),
        ((WITHDRAWN, record(from_="2025-06-01", lifts="w")), None, None),
        (
            (WITHDRAWN, record(from_="2025-06-01", lifts="w", scope="suffix=bold")),
            Then.STOP_USE,
            None,
        ),
    ],
)
def test_depth_of_a_withdrawal(
    records: tuple[Record, ...], head: Then | None, bold: Then | None
) -> None:
    found = resolver(*records)
    assert found.withdrawn_depth("sub-01", HEAD) is head
    assert found.withdrawn_depth("sub-01", BOLD) is bold
    assert found.withdrawn_depth("sub-02", HEAD) is None


def test_what_was_known_when() -> None:
    late = record(record="w", state="withdrawn", from_="2025-01-01", recorded="2026-05-20")
    assert resolver(GIVEN, late).resolve("sub-01").state == "withdrawn"
    assert resolver(GIVEN, late, known=date(2026, 5, 19)).resolve("sub-01").state == "given"
    assert resolver(GIVEN, late, known=date(2026, 5, 20)).resolve("sub-01").state == "withdrawn"


def test_one_answer_for_a_participant_without_scopes() -> None:
    found = resolver(GIVEN, record(participant_id="sub-02", record="r2"))
    assert found.resolve("sub-01", HEAD) is found.resolve("sub-01", BOLD)
    assert found.resolve("sub-01").grant is found.resolve("sub-02").grant


def test_a_scope_asks_only_for_what_it_looks_at() -> None:
    found = resolver(record(scope="datatype=anat"))
    other = HEAD._replace(path="sub-01/anat/sub-01_acq-b_T1w.nii.gz")
    assert found.resolve("sub-01", HEAD) is found.resolve("sub-01", other)
    assert found.resolve("sub-01", BOLD).grant == BOTTOM


def test_a_lift_dated_before_its_denial_does_nothing() -> None:
    early = record(from_="2024-06-01", lifts="w")
    assert resolver(WITHDRAWN, early).resolve("sub-01").state == "withdrawn"


def test_an_invalid_record_does_not_lift() -> None:
    again = record(from_="2025-06-01", lifts="w")
    void = record(record="i", state="invalid", from_="2025-07-01")
    assert resolver(WITHDRAWN, again).resolve("sub-01").state == "given"
    assert resolver(WITHDRAWN, again, void).resolve("sub-01").state == "withdrawn"


def test_an_unknown_form_is_refused() -> None:
    with pytest.raises(InputError, match="record r1: unknown form"):
        Registry({}, (GIVEN,))
