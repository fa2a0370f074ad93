"""A Process Run Crate: RO-Crate 1.1 with the profile ``process`` 0.5 of Workflow Run RO-Crate.

Written as plain dictionaries: a library that makes an object of each of 100,000 files takes
minutes. Contents of former versions and of other datasets are no part of the crate; what used
or made them refers to them as works (https://www.researchobject.org/ro-crate/specification/1.1/,
https://w3id.org/ro/wfrun/process/0.5).
"""

from __future__ import annotations

import json
from datetime import date
from typing import Any
from urllib.parse import urlsplit

from .account import (
    MAKER,
    Account,
    Place,
    ToldActivity,
    ToldFile,
    ToldTool,
    by_uid,
    in_uri,
    readable,
)

FILE = "ro-crate-metadata.json"
_CRATE = "https://w3id.org/ro/crate/1.1"
_PROFILE = "https://w3id.org/ro/wfrun/process/0.5"
_TERMS = "https://w3id.org/ro/terms/workflow-run#"
#: images of containers are not in the context of RO-Crate 1.1
_CONTEXT = [
    f"{_CRATE}/context",
    {term: _TERMS + term for term in ("ContainerImage", "containerImage")},
]
#: an action must have an instrument
_UNKNOWN = "#tool-not-recorded"


def crate_files(account: Account, day: date) -> dict[str, str]:
    """File name -> text; ``day`` is that of the export, which the crate has to state."""
    return {FILE: json.dumps(crate(account, day), ensure_ascii=False, indent=1) + "\n"}


def crate(account: Account, day: date) -> dict[str, Any]:
    """The crate as JSON-LD."""
    files = by_uid(account.files)
    containers = {tool.uid for tool in account.tools if tool.container}
    parts = [f for file in account.files if file.place is Place.PRESENT for f in _parts(file)]
    works = [_work(file) for file in account.files if _id(file).startswith("#")]
    actions = [_action(a, files, containers) for a in account.activities]
    tools = [_tool(tool) for tool in account.tools]
    if any(action["instrument"] == [{"@id": _UNKNOWN}] for action in actions):
        tools.append({"@id": _UNKNOWN, "@type": "SoftwareApplication", "name": "not recorded"})
    terms = _license(account.about.licence)
    root: dict[str, Any] = {
        "@id": "./",
        "@type": "Dataset",
        "name": readable(account.about.title) or "Dataset",
        "description": f"{_count(len(parts), 'file')}, and what was recorded of how they were made:"
        f" {_count(len(actions), 'step')}",
        "datePublished": day.isoformat(),
        "license": {"@id": terms["@id"]},
        "conformsTo": {"@id": _PROFILE},
        "hasPart": [{"@id": part["@id"]} for part in parts],
        "mentions": [{"@id": action["@id"]} for action in actions],
    }
    if account.about.dataset_id:
        root["identifier"] = f"urn:uuid:{account.about.dataset_id}"
    graph = [_DESCRIPTOR, root, _PROFILE_ENTITY, terms, *parts, *works, *tools, *actions]
    return {"@context": _CONTEXT, "@graph": graph}


_DESCRIPTOR = {
    "@id": FILE,
    "@type": "CreativeWork",
    "description": f"Written by {MAKER} from the records of DataLad and git-annex",
    "about": {"@id": "./"},
    "conformsTo": {"@id": _CRATE},
}
_PROFILE_ENTITY = {
    "@id": _PROFILE,
    "@type": "CreativeWork",
    "name": "Process Run Crate",
    "version": "0.5",
}


def _parts(file: ToldFile) -> list[dict[str, Any]]:
    """A content, once for each of its paths."""
    return [
        _described(file, path, {"@id": in_uri(path), "@type": "File"})
        for path in (file.path, *file.also)
        if path != FILE
    ]


def _work(file: ToldFile) -> dict[str, Any]:
    work = _described(file, file.path, {"@id": _id(file), "@type": "CreativeWork"})
    work["description"] = f"{file.place.value}: {readable(file.path)}"
    return work


def _described(file: ToldFile, path: str, told: dict[str, Any]) -> dict[str, Any]:
    told["name"] = readable(path.rpartition("/")[2])
    if file.size is not None:
        told["contentSize"] = str(file.size)
    if file.checksum:
        told["identifier"] = f"{file.checksum.algorithm}:{file.checksum.value}"
    return told


def _id(file: ToldFile) -> str:
    if file.place is not Place.PRESENT or file.path == FILE:
        return f"#content-{file.uid}"
    return in_uri(file.path)


def _tool(tool: ToldTool) -> dict[str, Any]:
    told = {
        "@id": f"#tool-{tool.uid}",
        "@type": ["SoftwareApplication", "ContainerImage"]
        if tool.container
        else "SoftwareApplication",
        "name": tool.name,
    }
    if tool.version:
        told["softwareVersion"] = tool.version
    return told


def _action(
    activity: ToldActivity, files: dict[str, ToldFile], containers: set[str]
) -> dict[str, Any]:
    instruments = [{"@id": f"#tool-{uid}"} for uid in activity.tools]
    images = [{"@id": f"#tool-{uid}"} for uid in activity.tools if uid in containers]
    told: dict[str, Any] = {
        "@id": f"#activity-{activity.uid}",
        "@type": "CreateAction",
        "name": activity.label,
        "description": "; ".join(
            word
            for word in (
                activity.kind + (f": {activity.command}" if activity.command else ""),
                f"evidence: {activity.evidence}",
                activity.why,
            )
            if word
        ),
        "instrument": instruments or [{"@id": _UNKNOWN}],
        "object": [{"@id": _id(files[uid])} for uid in activity.used],
        "result": [{"@id": _id(files[uid])} for uid in activity.made],
        "actionStatus": "http://schema.org/CompletedActionStatus",
    }
    if images:
        told["containerImage"] = images
    if activity.when:
        told["endTime"] = activity.when
    if activity.record:
        told["identifier"] = activity.record
    return told


def _license(licence: str) -> dict[str, Any]:
    """Of the words of ``dataset_description.json``, which is all that is known."""
    stated = licence.strip()
    if urlsplit(stated).scheme in ("http", "https") and not any(map(str.isspace, stated)):
        return {"@id": stated, "@type": "CreativeWork", "name": stated}
    return {
        "@id": "#license",
        "@type": "CreativeWork",
        "name": readable(stated) or "not stated",
        "description": "As stated in dataset_description.json"
        if stated
        else "Ask those who share this dataset before you use it",
    }


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
