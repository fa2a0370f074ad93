"""Every row of ``decision_table.yaml``, whose expected column is written by hand."""

from __future__ import annotations

from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from datalad_mrishare.consent import (
    Deid,
    FileScope,
    Registry,
    Resolver,
    build_record,
    failing,
    load_forms,
    meet,
    parse_grant,
)

TABLE = yaml.load(Path(__file__).with_name("decision_table.yaml").read_text(), yaml.BaseLoader)
FORMS = load_forms(yaml.safe_dump(TABLE["forms"]), "decision_table.yaml")


def _records(row: dict[str, Any]) -> tuple:
    found = []
    for number, cells in enumerate(row.get("records", ())):
        cells = {"record": f"r{number}", "participant_id": "sub-01", **cells}
        cells.setdefault("recorded", cells["from"])
        found.append(build_record(cells, forms=FORMS))
    return tuple(found)


@pytest.mark.parametrize("row", TABLE["rows"], ids=lambda row: row["about"].replace(" ", "-"))
def test_row(row: dict[str, Any]) -> None:
    at = date.fromisoformat(row.get("at", "2026-05-03"))
    known = date.fromisoformat(row["known"]) if "known" in row else None
    resolver = Resolver(Registry(FORMS, _records(row)), at, known)
    file = FileScope(**row.get("file", {}))
    people = [resolver.resolve(person, file) for person in row.get("people", ["sub-01"])]
    policy = TABLE["policies"][row["to"]]
    failures = failing(
        parse_grant(policy),
        meet(*(person.grant for person in people)),
        at=at,
        recall=policy["recall"] == "yes",
        clearance=Deid.parse(row.get("clearance", "deidentified")),
    )
    expected = [] if row["expect"] == "permit" else row["expect"]
    assert [failure.component for failure in failures] == expected, people


def test_the_table_says_something() -> None:
    counts = Counter("permit" if r["expect"] == "permit" else "deny" for r in TABLE["rows"])
    assert counts["permit"] >= 15 and counts["deny"] >= 25
    alone = {r["expect"][0] for r in TABLE["rows"] if len(r["expect"]) == 1}
    assert alone == {"reach", "use", "region", "duty", "until", "deid"}
