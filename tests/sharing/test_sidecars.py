"""Loose ends of JSON in a release: columns, references, sidecars of what stays here."""

from __future__ import annotations

import json
from typing import Any

import pytest
from released import IMAGES, denied, table, taken, tree

BOLD = "sub-0{0}/func/sub-0{0}_bold.json"
EPI = "sub-0{0}/fmap/sub-0{0}_epi.json"


def text(value: Any) -> bytes:
    return json.dumps(value).encode()


def after(value: dict[str, Any], path: str = BOLD.format(1), **texts: bytes) -> Any:
    """What the release has of a sidecar; None where it goes as it is."""
    found = tree({path: text(value), **texts})
    assert not denied(found)
    assert (path in taken(found)) != (path in found.written)
    written = found.written.get(path)
    return None if written is None else json.loads(written)


def test_only_columns_that_are_there_are_described() -> None:
    texts = {
        "participants.tsv": table("participant_id age iq", "sub-01 30 99"),
        "participants.json": text({"age": {"Units": "year"}, "iq": {}, "diagnosis": "F20"}),
    }
    found = tree(texts, "{policy: public}")
    assert json.loads(found.written["participants.json"]) == {"age": {"Units": "year"}}
    found = tree(texts, "{policy: public, columns: [iq]}")
    assert json.loads(found.written["participants.json"]) == {"iq": {}}
    everything = {**texts, "participants.json": text({"age": {}, "iq": {}})}
    assert "participants.json" in taken(tree(everything))


def test_a_description_of_a_table_that_stays_is_left_out() -> None:
    tool = {"MeasurementToolMetadata": {"Description": "x"}, "moca": {"Units": "1"}}
    rows = {
        "phenotype/moca.tsv": table("participant_id moca", "sub-03 1"),
        "phenotype/moca.json": text(tool),
    }
    found = tree(rows)
    assert "phenotype/moca.json" not in {*taken(found), *found.written} and not denied(found)
    rows["phenotype/moca.tsv"] = table("participant_id moca x", "sub-01 1 2")
    assert "phenotype/moca.json" in taken(tree(rows))
    rows["phenotype/moca.json"] = text({**tool, "gone": {}})
    assert json.loads(tree(rows).written["phenotype/moca.json"]) == tool


def test_an_inherited_description_of_several_tables() -> None:
    name = "sub-0{0}/sub-0{0}_scans.{1}"
    texts = {
        name.format(1, "tsv"): table("filename age", "func/sub-01_bold.nii.gz 1"),
        name.format(3, "tsv"): table("filename secret", "func/sub-03_bold.nii.gz 1"),
        "scans.json": text({"age": {}, "secret": {}}),
    }
    assert json.loads(tree(texts).written["scans.json"]) == {"age": {}}


def test_a_sidecar_of_an_image_that_stays_is_left_out() -> None:
    """A head is identifiable, whatever its sidecar says; so it stays, and the sidecar with it."""
    texts = {
        "sub-01/anat/sub-01_T1w.nii.gz": b"an image in git",
        "sub-01/anat/sub-01_T1w.json": b"{}",
        "T1w.json": b"{}",
        "sub-01/func/sub-01_bold.json": b"{}",
        "bold.json": b"{}",
        "dwi.json": b"{}",
    }
    found = tree(texts, "{policy: public}")
    assert taken(found) == {*IMAGES[:2], *list(texts)[3:]} and not denied(found)
    assert not {*found.written} & {*texts}
    assert taken(tree(texts)) == {*IMAGES[:2], *texts}


def test_who_has_no_more_than_such_a_sidecar_is_not_in_the_release() -> None:
    anat = {f"sub-01/anat/sub-01_T1w.{e}": b"{}" for e in ("nii.gz", "json")}
    texts = {**anat, "README": b"sub-01", "participants.tsv": table("participant_id", "sub-01")}
    found = tree(texts, "{policy: public, select: {suffix: T1w}}")
    assert taken(found) == set() and denied(found) == {"README": "mention"}
    assert "participants.tsv" not in found.written


GONE = "func/sub-03_bold.nii.gz"
HERE = "func/sub-01_bold.nii.gz"


@pytest.mark.parametrize(
    ("value", "left"),
    [
        ({"Sources": [f"bids::sub-01/{HERE}"]}, None),
        (
            {"Sources": [f"bids::sub-01/{HERE}", f"bids::sub-03/{GONE}"]},
            {"Sources": [f"bids::sub-01/{HERE}"]},
        ),
        ({"Sources": [f"bids::sub-03/{GONE}"], "x": 1}, {"x": 1}),
        ({"Sources": f"bids::sub-03/{GONE}"}, {}),
        ({"RawSources": [f"sub-01/{HERE}", f"sub-03/{GONE}"]}, {"RawSources": [f"sub-01/{HERE}"]}),
        (
            {"SpatialReference": [f"sub-01/{HERE}", f"sub-03/{GONE}"]},
            {"SpatialReference": [f"sub-01/{HERE}"]},
        ),
        ({"IntendedFor": HERE}, None),
        ({"IntendedFor": [HERE, "anat/sub-01_T1w.nii.gz"]}, None),
        ({"IntendedFor": f"bids::sub-03/{GONE}"}, {"IntendedFor": []}),
        ({"IntendedFor": ["bids:other:sub-01/x"], "Sources": ["https://x.example/sub"]}, None),
        ({"Sources": ["bids::sub-99/gone.nii.gz"]}, {}),
        ({"Sources": [1, "bids::x"], "IntendedFor": {"a": 1}}, None),
        ({"BasedOn": ["func/nowhere.nii.gz"]}, None),
        (
            {"SpatialReference": {"L": f"bids::sub-01/{HERE}", "R": f"bids::sub-03/{GONE}"}},
            {"SpatialReference": {"L": f"bids::sub-01/{HERE}"}},
        ),
        (
            {"SpatialReference": {"L": [f"sub-01/{HERE}", f"sub-03/{GONE}"], "R": "orig"}},
            {"SpatialReference": {"L": [f"sub-01/{HERE}"], "R": "orig"}},
        ),
        ({"SpatialReference": {"L": f"bids::sub-03/{GONE}"}, "x": 1}, {"x": 1}),
    ],
)
def test_references(value: dict[str, Any], left: Any) -> None:
    assert after(value) == left


def test_references_to_what_is_permitted_and_withheld_of_one() -> None:
    """Of sub-02 only images of function may leave, whatever way a reference is written in."""
    anat = {"sub-02/anat/sub-02_T1w.json": b"{}", "sub-02/anat/sub-02_x.json": b"{}"}
    for way in ("bids::sub-02/anat/sub-02_T1w.json", "anat/sub-02_T1w.json", "sub-02/anat"):
        value = {"IntendedFor": [way, "func/sub-02_bold.nii.gz"]}
        found = after(value, BOLD.format(2), **anat)
        assert found == {"IntendedFor": ["func/sub-02_bold.nii.gz"]}, way
        each = {"SpatialReference": {"L": way, "R": "func/sub-02_bold.nii.gz"}}
        found = after(each, BOLD.format(2), **anat)
        assert found == {"SpatialReference": {"R": "func/sub-02_bold.nii.gz"}}, way


def test_field_maps_by_identifier() -> None:
    source = text({"B0FieldSource": ["map1", "map2"]})
    texts = {
        BOLD.format(1): source,
        BOLD.format(2): source,
        "sub-01/func/sub-01_sbref.json": text({"B0FieldIdentifier": "map1"}),
        "sub-02/func/sub-02_epi.json": text({"B0FieldIdentifier": "map1"}),
    }
    found = tree(texts)
    assert json.loads(found.written[BOLD.format(1)]) == {"B0FieldSource": ["map1"]}
    assert json.loads(found.written[BOLD.format(2)]) == {}
    texts["epi.json"] = text({"B0FieldIdentifier": ["map2"]})
    found = tree(texts)
    assert BOLD.format(1) in taken(found)
    assert json.loads(found.written[BOLD.format(2)]) == {"B0FieldSource": ["map2"]}


def test_a_label_that_is_hidden_by_escapes_is_found() -> None:
    hidden = b'{"Note": "\\u0073ub-03"}'
    assert denied(tree({BOLD.format(1): hidden})) == {BOLD.format(1): "mention"}
    keyed = tree({"participants.json": b'{"\\u0073ub-03": 1, "x": 2}'})
    assert json.loads(keyed.written["participants.json"]) == {"x": 2}


def test_references_to_the_stewards_machine_go_one_by_one() -> None:
    path = BOLD.format(1)
    value = {"RawSources": ["/srv/study/sub-01/x.nii.gz", f"sub-01/{HERE}"], "EchoTime": 0.03}
    found = tree({path: text(value)}, machine=("/srv/study",))
    left = {"RawSources": [f"sub-01/{HERE}"], "EchoTime": 0.03}
    assert json.loads(found.written[path]) == left and not denied(found)
