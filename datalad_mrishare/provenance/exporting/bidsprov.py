"""BIDS-Prov: provenance files in ``prov/``, as in a draft of BIDS extension proposal 028.

The draft is not merged and has changed the names of files and fields before. What is written
here follows :data:`REVISION`, and says so. Everything goes into files of our own: the draft's
``GeneratedBy`` of a data file should stand in its sidecar, but sidecars are the users', and
writing to one changes the content that consent and checksums are bound to.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from ...errors import InputError
from .account import (
    MAKER,
    Account,
    Place,
    ToldActivity,
    ToldFile,
    ToldTool,
    in_uri,
    readable,
    uid_of,
)

#: the head of pull request 2099 of bids-standard/bids-specification, of 8 July 2026
REVISION = "7b4fec518a00b772f1773a8d3a1342265ee1bf21"
DRAFT = f"BIDS-Prov (BEP028), bids-specification pull request 2099, revision {REVISION}"

GROUP = "prov-datalad"
TABLE, COLUMNS = "prov/provenance.tsv", "prov/provenance.json"
#: suffix -> key of the list in the file
LISTS = {"act": "Activities", "io": "Files", "soft": "Software", "env": "Environments"}
_ROW = f"{GROUP}\tWritten by {MAKER} from the records of DataLad and git-annex. {DRAFT}"
_COLUMNS = {
    "provenance_id": {"Description": "Group of provenance files."},
    "description": {"Description": "What the group describes, and the draft that it follows."},
}
#: where the draft demands a value and nobody knows it
_MISSING = "n/a"


def bids_files(account: Account, table: str | None = None) -> dict[str, str]:
    """Path below the dataset -> text.

    Parameters
    ----------
    account : Account
        What is told. Of files, those that a step used or made; the draft wants no others.
    table : str, optional
        The ``prov/provenance.tsv`` that is there: its other rows stay.

    Raises
    ------
    InputError
        When that table cannot be understood.
    """
    tools = {tool.uid: tool for tool in account.tools}
    files = {file.uid: file for file in account.files}
    names = {uid: _id_of_file(file) for uid, file in files.items()}
    activities = {a.uid: f"bids::prov#{_slug(a.label)}-{a.uid}" for a in account.activities}
    makers = account.makers()
    involved = dict.fromkeys(u for a in account.activities for u in (*a.used, *a.made))
    lists: dict[str, list[dict[str, Any]]] = {
        "act": [
            _activity(a, activities[a.uid], names, [tools[uid] for uid in a.tools])
            for a in account.activities
        ],
        "io": [
            described
            for file in account.files
            if file.uid in involved
            for described in _file(file, [activities[uid] for uid in makers.get(file.uid, ())])
        ],
        "soft": [
            {"Id": _id_of_tool(t), "Label": t.name, "Version": t.version or _MISSING}
            for t in account.tools
            if not t.container
        ],
        "env": [
            {"Id": _id_of_tool(t), "Label": f"{t.name}:{t.version}" if t.version else t.name}
            for t in account.tools
            if t.container
        ],
    }
    found = {
        f"prov/{GROUP}_{suffix}.json": _json({LISTS[suffix]: items})
        for suffix, items in lists.items()
        if items  # the draft has no empty lists
    }
    if found:
        found[TABLE] = _with_row(table, [_ROW])
        found[COLUMNS] = _json(_COLUMNS)
    elif table and GROUP in table:  # a row without files would be an error
        found[TABLE] = _with_row(table, [])
    return found


def _activity(
    activity: ToldActivity, name: str, files: dict[str, str], tools: Iterable[ToldTool]
) -> dict[str, Any]:
    tools = list(tools)
    told: dict[str, Any] = {
        "Id": name,
        "Label": activity.label,
        # null would say that somebody did it by hand
        "Command": activity.command or _MISSING,
        "Description": f"{activity.kind}; evidence: {activity.evidence}"
        + (f"; {activity.why}" if activity.why else ""),
    }
    if software := [_id_of_tool(t) for t in tools if not t.container]:
        told["AssociatedWith"] = software
    used = [files[uid] for uid in activity.used] + [_id_of_tool(t) for t in tools if t.container]
    if used:
        told["Used"] = used
    if activity.when:
        told["EndedAtTime"] = activity.when
    return told


def _file(file: ToldFile, made_by: list[str]) -> Iterable[dict[str, Any]]:
    """What is said of a content, once for each of its paths."""
    for number, path in enumerate((file.path, *file.also)):
        told: dict[str, Any] = {
            "Id": _id_of_file(file) if not number else _id_of_path(file, path),
            "Label": readable(path.rpartition("/")[2]),
        }
        if not path.startswith("bids:"):
            told["AtLocation"] = readable(path)
        if made_by:
            told["GeneratedBy"] = made_by
        if file.checksum:
            algorithm = f"spdx:checksumAlgorithm_{file.checksum.algorithm}"
            told["Checksum"] = [
                {"ChecksumAlgorithm": algorithm, "ChecksumValue": file.checksum.value}
            ]
        yield told


def _id_of_file(file: ToldFile) -> str:
    return _id_of_path(file, file.path)


def _id_of_path(file: ToldFile, path: str) -> str:
    if path.startswith("bids:"):  # of another dataset, as a sidecar calls it
        return in_uri(path).replace("%3A", ":")
    if file.place in (Place.BELOW, Place.ELSEWHERE):
        return f"bids::prov#entity-{file.uid}" + (f"-{uid_of(path)}" if path != file.path else "")
    return f"bids::{in_uri(path)}" + (f"#{file.uid}" if file.place is Place.PAST else "")


def _id_of_tool(tool: ToldTool) -> str:
    return f"bids::prov#{_slug(tool.name)}-{tool.uid}"


def _slug(label: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "-", label, flags=re.ASCII).strip("-")[:40] or "step"


def _with_row(table: str | None, added: list[str]) -> str:
    """The table of groups with our row or without, and every other row as it was."""
    if not table or not table.strip():
        table = "provenance_id\tdescription\n"
    header, *rows = table.rstrip("\n").split("\n")
    columns = header.rstrip("\r").split("\t")
    if columns[0] != "provenance_id":
        raise InputError(
            "the first column is not 'provenance_id', so no row can be added",
            where=TABLE,
            remedy="Correct it, or export to another directory",
        )
    kept = [row for row in rows if row.rstrip("\r").split("\t")[0] != GROUP]
    for row in added:
        cells = dict(zip(("provenance_id", "description"), row.split("\t"), strict=True))
        kept.append("\t".join(cells.get(column, _MISSING) for column in columns))
    return "\n".join([header, *kept]) + "\n"


def _json(value: object) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"
