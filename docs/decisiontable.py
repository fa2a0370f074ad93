"""The decision table as a page, from the file that the test of the table reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

TABLE = Path(__file__).resolve().parents[1] / "tests" / "consent" / "decision_table.yaml"
_DEFAULT_DAY = "2026-05-03"


def _words(value: Any) -> str:
    return " ".join(value) if isinstance(value, list) else str(value)


def _record(cells: dict[str, Any]) -> str:
    said = f"{cells['state']} {cells.get('form', '')}".strip()
    until = f" until {cells['until']}" if "until" in cells else ""
    more = [
        f"{name} {_words(cells[name])}"
        for name in ("by", "basis", "scope", "then", "lifts", "recorded")
        if name in cells
    ]
    who = f"{cells['participant_id']}: " if "participant_id" in cells else ""
    token = f"{cells['record']}: " if "record" in cells else ""
    return f"{who}{token}{said} from {cells['from']}{until}" + "".join(f", {m}" for m in more)


def _row(row: dict[str, Any]) -> str:
    records = "<br>".join(map(_record, row.get("records", []))) or "none"
    notes = [f"on {row['at']}" if "at" in row else "", row.get("clearance", "")]
    notes += [f"as known on {row['known']}" if "known" in row else ""]
    to = ", ".join([f"`{row['to']}`", *filter(None, notes)])
    expect = row["expect"]
    answer = "**permit**" if expect == "permit" else f"deny: {_words(expect)}"
    return f"| {row['about']} | {records} | {to} | {answer} |"


def _points(table: dict[str, dict[str, Any]]) -> str:
    lines = ["| | |", "|---|---|"]
    for name, values in table.items():
        said = ", ".join(f"{key} {_words(value)}" for key, value in values.items())
        lines.append(f"| `{name}` | {said} |")
    return "\n".join(lines)


def page() -> str:
    """The page, in Markdown."""
    table = yaml.load(TABLE.read_text("utf-8"), yaml.BaseLoader)
    rows = "\n".join(map(_row, table["rows"]))
    return f"""# The decision table

What may go where, worked out by hand. The tests read the same file. Unless a row says
otherwise it is decided on {_DEFAULT_DAY} about a file of `sub-01` that counts as
deidentified. A denial names the components that fail; where nothing beyond own storage is
permitted that is `reach` alone.

| what | records | to | decision |
|---|---|---|---|
{rows}

## The policies of the table

{_points(table["policies"])}

## The forms of the table

Beside the shipped ones:

{_points(table["forms"])}
"""


def write_page(place: Path) -> None:
    """Write the page to ``place``."""
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(page(), "utf-8")
