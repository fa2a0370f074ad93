"""W3C PROV: PROV-JSON, PROV-N and PROV-JSONLD, written by the ``prov`` package.

Contents are entities, steps activities, programs software agents, images of containers entities
that were used. There is no ``wasDerivedFrom``: a record says what a command was given and what
came out, not which of these was made from which, and to say it of every pair would claim it.
(PROV-DM, W3C Recommendation of 30 April 2013.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...errors import InputError
from .account import MAKER, Account, Place, ToldActivity, ToldFile, readable

if TYPE_CHECKING:
    from prov.model import ProvDocument

#: format -> file it is written to, name of the serializer
FORMATS = {
    "prov-json": ("prov.json", "json"),
    "prov-n": ("prov.provn", "provn"),
    "prov-jsonld": ("prov.jsonld", "jsonld"),
}
#: what PROV has no word for: evidence, sizes, where the record is
TERMS = f"urn:x-{MAKER}:"
_SPDX = "http://spdx.org/rdf/terms#"


def prov_files(account: Account, form: str) -> dict[str, str]:
    """File name -> text, for one of :data:`FORMATS`.

    Raises
    ------
    InputError
        When the ``prov`` package is not installed.
    """
    name, serializer = FORMATS[form]
    text = prov_document(account).serialize(format=serializer)
    return {name: text if text.endswith("\n") else text + "\n"}


def prov_document(account: Account) -> ProvDocument:
    """The account as a document of the ``prov`` package; names are local to the dataset."""
    try:
        from prov.model import PROV, ProvDocument
    except ImportError as exc:
        raise InputError(
            "W3C PROV is written by the prov package, which is not installed",
            remedy="Install it: pip install 'datalad-mrishare[prov]'",
        ) from exc

    document = ProvDocument()
    about = account.about
    this = f"urn:uuid:{about.dataset_id}#" if about.dataset_id else f"{TERMS}dataset#"
    document.add_namespace("this", this)
    document.add_namespace("mrishare", TERMS)
    document.add_namespace("spdx", _SPDX)
    for file in account.files:
        document.entity(f"this:file-{file.uid}", _of_file(file))
    for tool in account.tools:
        described = [(PROV["label"], f"{tool.name} {tool.version}".strip())]
        if tool.version:
            described.append(("mrishare:version", tool.version))
        if tool.container:
            document.entity(f"this:tool-{tool.uid}", [*described, (PROV["type"], "container")])
        else:
            software = (PROV["type"], PROV["SoftwareAgent"])
            document.agent(f"this:tool-{tool.uid}", [*described, software])
    containers = {tool.uid for tool in account.tools if tool.container}
    for activity in account.activities:
        name = f"this:activity-{activity.uid}"
        document.activity(name, None, activity.when or None, _of_activity(activity))
        for uid in activity.used:
            document.used(name, f"this:file-{uid}")
        for uid in activity.made:
            document.wasGeneratedBy(f"this:file-{uid}", name)
        for uid in activity.tools:
            if uid in containers:
                document.used(name, f"this:tool-{uid}")
            else:
                document.wasAssociatedWith(name, f"this:tool-{uid}")
    return document


def _of_file(file: ToldFile) -> list[tuple[object, object]]:
    from prov.model import PROV, XSD, Literal

    told: list[tuple[object, object]] = [(PROV["label"], readable(file.path.rpartition("/")[2]))]
    told += [(PROV["location"], readable(path)) for path in (file.path, *file.also)]
    if file.size is not None:
        told.append(("mrishare:bytes", Literal(str(file.size), XSD["long"])))
    if file.checksum:
        told.append(("spdx:checksumValue", file.checksum.value))
        told.append(("spdx:algorithm", f"checksumAlgorithm_{file.checksum.algorithm}"))
    if file.place is not Place.PRESENT:
        told.append(("mrishare:place", file.place.value))
    if file.evidence:
        told.append(("mrishare:evidence", file.evidence))
    return told


def _of_activity(activity: ToldActivity) -> list[tuple[object, object]]:
    from prov.model import PROV

    told: list[tuple[object, object]] = [
        (PROV["label"], activity.label),
        (PROV["type"], activity.kind),
        ("mrishare:evidence", activity.evidence),
    ]
    named = {"command": activity.command, "record": activity.record, "note": activity.why}
    told += [(f"mrishare:{term}", text) for term, text in named.items() if text]
    return told
