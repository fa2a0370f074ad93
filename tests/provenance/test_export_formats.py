"""Exports are accepted by the tools of those who read them, and broken ones are not.

W3C PROV by the round trip of the ``prov`` package, BIDS-Prov by expansion with pyld (rdflib alone
reads it to nothing and says no word) and by a schema, crates by the validator of the RO-Crate
community. No network: contexts are served from here.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import jsonschema
import pytest
from provenance.history import ABOUT, ATLAS, ROOT, current, history, key, mask, permitted

from datalad_mrishare.errors import InputError
from datalad_mrishare.provenance.exporting import export_files
from datalad_mrishare.provenance.exporting.account import (
    About,
    Account,
    Checksum,
    Place,
    ToldActivity,
    ToldFile,
    ToldTool,
)
from datalad_mrishare.provenance.exporting.bidsprov import REVISION, bids_files
from datalad_mrishare.provenance.exporting.telling import tell_sibling, tell_steward

DAY = date(2026, 5, 3)
ODD = 'sub-01/a "b"\n#c%20? ä.nii'


def accounts() -> dict[str, Account]:
    """For the steward, for a sibling, and one of odd names."""
    odd = Account(
        About("A \udcff title", "", "https://example.org/licence"),
        (
            ToldFile("f1", ODD, size=1 << 40, checksum=Checksum("md5", "a" * 32)),
            ToldFile("f2", "bids:raw:sub-01/x.nii", place=Place.ELSEWHERE),
            ToldFile("f3", "x:\udcff", (ODD + "2",), Place.PAST, evidence="opaque"),
            ToldFile("f4", "ro-crate-metadata.json"),
        ),
        (ToldActivity("a1", "x", "command", "opaque", "", ("f2", "f3", "f4"), ("f1",), ("t1",)),),
        (ToldTool("t1", "image", "", True),),
    )
    return {
        "steward": tell_steward(history(), current(), ABOUT, (ROOT,), ("sub/dataset",)),
        "sibling": tell_sibling(history(), permitted(), ABOUT),
        "odd": odd,
    }


@pytest.fixture(params=["steward", "sibling", "odd"])
def account(request: pytest.FixtureRequest) -> Account:
    return accounts()[request.param]


# -- W3C PROV --------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["prov-json", "prov-n", "prov-jsonld"])
def test_prov_comes_back_as_it_went(account: Account, form: str) -> None:
    model = pytest.importorskip("prov.model")
    from datalad_mrishare.provenance.exporting.provdocument import FORMATS, prov_document

    name, reader = FORMATS[form]
    ((written, text),) = export_files(account, form, DAY).items()
    assert written == name and text.endswith("\n")
    back = model.ProvDocument.deserialize(content=text, format=reader)
    assert back == prov_document(account)
    kinds = [type(record).__name__ for record in back.get_records()]
    assert kinds.count("ProvActivity") == len(account.activities) > 0
    assert kinds.count("ProvGeneration") == sum(len(a.made) for a in account.activities) > 0
    tools = sum(len(a.tools) for a in account.activities)
    used = sum(len(a.used) for a in account.activities)
    assert kinds.count("ProvUsage") + kinds.count("ProvAssociation") == used + tools
    broken = model.ProvDocument.deserialize(content=without_an_edge(text, form), format=reader)
    assert broken != back
    with pytest.raises(Exception):  # noqa: B017 - each reader has its own
        model.ProvDocument.deserialize(content=text[: len(text) // 2], format=reader)


def without_an_edge(text: str, form: str) -> str:
    """A document that misses one of the contents that were made."""
    if form == "prov-n":
        return re.sub(r"^ *wasGeneratedBy\(.*\n", "", text, count=1, flags=re.MULTILINE)
    document = json.loads(text)
    if form == "prov-json":
        document["wasGeneratedBy"].popitem()
    else:
        made = next(r for r in document["@graph"] if r["@type"] == "Generation")
        document["@graph"].remove(made)
    return json.dumps(document)


def test_prov_says_what_was_made_from_what() -> None:
    model = pytest.importorskip("prov.model")
    told = accounts()["sibling"]
    (text,) = export_files(told, "prov-n", DAY).values()
    back = model.ProvDocument.deserialize(content=text, format="provn")
    where = {
        str(e.identifier): str(next(iter(e.get_attribute("prov:location"))))
        for e in back.get_records(model.ProvEntity)
        if e.get_attribute("prov:location")
    }
    made = {str(g.args[1]): where[str(g.args[0])] for g in back.get_records(model.ProvGeneration)}
    used = {
        (where[str(u.args[1])], made[str(u.args[0])])
        for u in back.get_records(model.ProvUsage)
        if str(u.args[1]) in where
    }
    t1w, out = "sub-01/anat/sub-01_T1w.nii.gz", "derivatives/bet/sub-01/sub-01_mask.nii.gz"
    assert (t1w, out) in used
    assert not [pair for pair in used if "sub-02" in "".join(pair)]


# -- BIDS-Prov -------------------------------------------------------------------------------

PROV = "http://www.w3.org/ns/prov#"
LABEL = "http://www.w3.org/2000/01/rdf-schema#label"
_IRI = {
    "GeneratedBy": "wasGeneratedBy",
    "AssociatedWith": "wasAssociatedWith",
    "Used": "used",
}
#: what the draft's own context says of the terms that are written here
CONTEXT = {
    "@version": 1.1,
    "Records": {"@container": "@type", "@id": "@graph"},
    "prov": PROV,
    "xsd": "http://www.w3.org/2001/XMLSchema#",
    "spdx": "http://spdx.org/rdf/terms#",
    "Id": "@id",
    "Label": LABEL,
    "Description": "http://www.w3.org/2000/01/rdf-schema#comment",
    "EndedAtTime": {"@id": "prov:endedAtTime", "@type": "xsd:dateTime"},
    **{term: {"@id": f"prov:{name}", "@type": "@id"} for term, name in _IRI.items()},
    "Files": "prov:Entity",
    "Environments": "prov:Entity",
    "Activities": "prov:Activity",
    "Software": "prov:Agent",
    "Checksum": "spdx:Checksum",
    "ChecksumAlgorithm": "spdx:ChecksumAlgorithm",
    "ChecksumValue": "spdx:ChecksumValue",
}
_IDS = {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/id"}}
_TEXT = {"type": "string", "minLength": 1}


def _list_of(required: str, **properties: Any) -> dict[str, Any]:
    known = {"Id": {"$ref": "#/$defs/id"}, "Label": _TEXT, **properties}
    return {
        "type": "array",
        "minItems": 1,
        "items": {
            "type": "object",
            "required": required.split(),
            "additionalProperties": False,
            "properties": known,
        },
    }


#: our own schema of the four files, from the tables of the draft
SCHEMA = {
    "$defs": {
        "id": {"type": "string", "pattern": r"^bids:[A-Za-z0-9]*:[^\s\"<>\\^`{|}]+$"},
        "checksums": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["ChecksumAlgorithm", "ChecksumValue"],
                "properties": {
                    "ChecksumAlgorithm": {"pattern": "^spdx:checksumAlgorithm_[a-z0-9_]+$"},
                    "ChecksumValue": {"pattern": "^[0-9a-f]{32,128}$"},
                },
            },
        },
    },
    "type": "object",
    "minProperties": 1,
    "maxProperties": 1,
    "additionalProperties": False,
    "properties": {
        "Activities": _list_of(
            "Id Label Command",
            Command={"type": ["string", "null"], "minLength": 1},
            Description=_TEXT,
            AssociatedWith=_IDS,
            Used=_IDS,
            EndedAtTime={"pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00$"},
        ),
        "Files": _list_of(
            "Id Label",
            AtLocation={"type": "string", "pattern": "^[^/]"},
            GeneratedBy=_IDS,
            Checksum={"$ref": "#/$defs/checksums"},
        ),
        "Software": _list_of("Id Label Version", Version=_TEXT),
        "Environments": _list_of("Id Label"),
    },
}


def records(files: dict[str, str]) -> dict[str, list[dict[str, Any]]]:
    """The lists of all files of an export."""
    found: dict[str, list[dict[str, Any]]] = {}
    for name, text in files.items():
        if re.fullmatch(r"prov/prov-datalad_(act|io|soft|env)\.json", name):
            found.update(json.loads(text))
    return found


def quads(
    found: dict[str, list[dict[str, Any]]], name: str = "Records"
) -> set[tuple[str, str, str]]:
    """Subject, predicate, object of what the draft makes of the files together."""
    jsonld = pytest.importorskip("pyld").jsonld
    dataset = jsonld.to_rdf({"@context": CONTEXT, name: found})
    return {
        (q["subject"]["value"], q["predicate"]["value"], q["object"]["value"])
        for graph in dataset.values()
        for q in graph
    }


def schema_errors(files: dict[str, str]) -> list[str]:
    """What is wrong with the files, by the schema."""
    check = jsonschema.Draft202012Validator(SCHEMA)
    names = [n for n in files if n.startswith("prov/prov-")]
    return [e.message for n in names for e in check.iter_errors(json.loads(files[n]))]


def test_bids_files_are_those_of_the_draft(account: Account) -> None:
    files = bids_files(account)
    assert not schema_errors(files)
    assert {"prov/prov-datalad_act.json", "prov/prov-datalad_io.json"} < files.keys()
    header, row = files["prov/provenance.tsv"].splitlines()
    assert header == "provenance_id\tdescription"
    assert row.startswith("prov-datalad\t") and REVISION in row and row.count("\t") == 1
    assert set(json.loads(files["prov/provenance.json"])) == set(header.split("\t"))
    ids = [item["Id"] for items in records(files).values() for item in items]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda act: act[0].pop("Command"),
        lambda act: act[0].update(Used=[]),
        lambda act: act[0].update(Id="prov#x"),
        lambda act: act[0].update(Id="bids::a b"),
        lambda act: act[0].update(Digest="x"),
        lambda act: act.clear(),
    ],
)
def test_the_schema_refuses_other_files(spoil: Any) -> None:
    files = bids_files(accounts()["sibling"])
    broken = json.loads(files["prov/prov-datalad_act.json"])
    spoil(broken["Activities"])
    assert schema_errors({"prov/prov-datalad_act.json": json.dumps(broken)})


def test_bids_files_expand_to_the_edges(account: Account) -> None:
    found = records(bids_files(account))
    told = quads(found)
    edges = {p: {(s, o) for s, q, o in told if q == PROV + p} for p in _IRI.values()}
    assert len(told) > 10
    assert len(edges["wasGeneratedBy"]) == sum(
        len(f.get("GeneratedBy", ())) for f in found["Files"]
    )
    assert len(edges["used"]) == sum(len(a.get("Used", ())) for a in found["Activities"])
    # every end of an edge is described
    described = {s for s, p, _ in told if p == LABEL}
    assert {end for pairs in edges.values() for pair in pairs for end in pair} <= described
    types = {o for _, p, o in told if p.endswith("#type")}
    assert {PROV + "Activity", PROV + "Entity"} <= types


def test_bids_edges_are_the_right_ones() -> None:
    told = quads(records(bids_files(accounts()["sibling"])))
    out = "bids::derivatives/bet/sub-01/sub-01_mask.nii.gz"
    (step,) = (o for s, p, o in told if (s, p) == (out, PROV + "wasGeneratedBy"))
    assert (step, LABEL, "bet") in told
    assert (step, PROV + "used", "bids::sub-01/anat/sub-01_T1w.nii.gz") in told
    assert any(o == mask("01").split("--")[1].split(".")[0] for _, _, o in told)


def test_a_broken_copy_loses_its_edges() -> None:
    """As nothing fails when a term has another name, only counting tells."""
    found = records(bids_files(accounts()["sibling"]))
    broken = copy.deepcopy(found)
    for file in broken["Files"]:
        file["Generatedby"] = file.pop("GeneratedBy", [])
    assert not [q for q in quads(broken) if q[1] == PROV + "wasGeneratedBy"]
    for item in [i for items in broken.values() for i in items]:
        item["ID"] = item.pop("Id")
    assert len(quads(broken)) < len(quads(found))
    assert not quads(found, "records")


def test_other_groups_of_provenance_keep_their_rows() -> None:
    told = accounts()["sibling"]
    mine = bids_files(told)["prov/provenance.tsv"].splitlines()[1]
    there = (
        "provenance_id\tby\tdescription\nprov-spm\tme\tSPM\nprov-datalad\tx\told\nprov-z\ty\tz\n"
    )
    assert bids_files(told, there)["prov/provenance.tsv"].splitlines() == [
        "provenance_id\tby\tdescription",
        "prov-spm\tme\tSPM",
        "prov-z\ty\tz",
        mine.replace("\t", "\tn/a\t"),
    ]
    with pytest.raises(InputError, match="first column"):
        bids_files(told, "name\tdescription\n")


def test_nothing_told_is_no_file() -> None:
    assert bids_files(Account()) == {}
    header, other = "provenance_id\tdescription\n", "prov-x\tof others\n"
    assert bids_files(Account(), header + other) == {}
    there = header + other + "prov-datalad\told\n"
    assert bids_files(Account(), there) == {"prov/provenance.tsv": header + other}


# -- Process Run Crate -----------------------------------------------------------------------


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """The validator asks the web for the context of a crate; it gets one that is here."""
    validator = pytest.importorskip("rocrate_validator")
    rocrate = pytest.importorskip("rocrate")
    from rocrate_validator.utils.http import HttpRequester

    assert validator
    text = (Path(rocrate.__file__).parent / "data" / "ro-crate.jsonld").read_text()

    class Answer:
        status_code = 200
        ok = True
        headers = {"Content-Type": "application/ld+json"}  # noqa: RUF012
        content = text.encode()
        url = "https://w3id.org/ro/crate/1.1/context"
        from_cache = False

        def __init__(self) -> None:
            self.text = text

        def json(self) -> Any:
            return json.loads(text)

        def raise_for_status(self) -> None:
            pass

    def answer(_self: object, url: str, **_kwargs: object) -> Answer:
        assert url.startswith("https://w3id.org/ro/"), url
        return Answer()

    monkeypatch.setattr(HttpRequester, "get", answer, raising=False)
    monkeypatch.setattr(HttpRequester, "head", answer, raising=False)


def issues(folder: Path) -> list[str]:
    """What the validator has to say against a crate, as a Process Run Crate."""
    from rocrate_validator import services
    from rocrate_validator.models import Severity, ValidationSettings

    asked = ValidationSettings(
        rocrate_uri=folder,
        profile_identifier="process-run-crate-0.5",
        requirement_severity=Severity.REQUIRED,
    )
    return [f"{i.check.identifier}: {i.message}" for i in services.validate(asked).get_issues()]


def write_crate(folder: Path, account: Account) -> dict[str, Any]:
    """A crate with the files that it names."""
    (text,) = export_files(account, "ro-crate", DAY).values()
    crate: dict[str, Any] = json.loads(text)
    folder.mkdir(exist_ok=True)
    for item in crate["@graph"]:
        if item["@type"] == "File":
            path = folder / unquote(item["@id"], errors="surrogateescape")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"")
    (folder / "ro-crate-metadata.json").write_text(text)
    return crate


def entities(crate: dict[str, Any], kind: str) -> Iterator[dict[str, Any]]:
    return (i for i in crate["@graph"] if i["@type"] == kind)


def test_a_crate_tells_files_and_actions(account: Account) -> None:
    (text,) = export_files(account, "ro-crate", DAY).values()
    crate = json.loads(text)
    ids = [item["@id"] for item in crate["@graph"]]
    assert len(ids) == len(set(ids))
    (root,) = (i for i in crate["@graph"] if i["@id"] == "./")
    files = list(entities(crate, "File"))
    assert {p["@id"] for p in root["hasPart"]} == {f["@id"] for f in files}
    actions = list(entities(crate, "CreateAction"))
    assert len(actions) == len(account.activities)
    for action in actions:
        assert action["instrument"] and action["result"]
        for end in (*action["object"], *action["result"], *action["instrument"]):
            assert end["@id"] in ids


def test_crate_edges_are_the_right_ones() -> None:
    (text,) = export_files(accounts()["sibling"], "ro-crate", DAY).values()
    crate = json.loads(text)
    out = "derivatives/bet/sub-01/sub-01_mask.nii.gz"
    (action,) = (a for a in entities(crate, "CreateAction") if {"@id": out} in a["result"])
    assert action["object"] == [{"@id": "sub-01/anat/sub-01_T1w.nii.gz"}]
    (file,) = (f for f in entities(crate, "File") if f["@id"] == "atlas/mni.nii.gz")
    assert file["identifier"] == "sha256:" + ATLAS.split("--")[1].split(".")[0]
    assert file["contentSize"] == "7"
    assert key("old").split("--")[1].split(".")[0] not in text


@pytest.mark.slow
@pytest.mark.usefixtures("offline")
def test_the_validator_accepts_a_crate(account: Account, tmp_path: Path) -> None:
    write_crate(tmp_path / "crate", account)
    assert issues(tmp_path / "crate") == []


@pytest.mark.slow
@pytest.mark.usefixtures("offline")
def test_the_validator_refuses_a_broken_crate(tmp_path: Path) -> None:
    folder = tmp_path / "crate"
    crate = write_crate(folder, accounts()["sibling"])
    (root,) = (i for i in crate["@graph"] if i["@id"] == "./")
    next(entities(crate, "CreateAction")).pop("instrument")
    root.pop("license")
    root.pop("conformsTo")
    (folder / "CHANGES").unlink()
    (folder / "ro-crate-metadata.json").write_text(json.dumps(crate))
    said = "\n".join(issues(folder))
    for word in ("instrument", "`license`", "permalink of the profile", "'CHANGES'"):
        assert word in said
