"""How clean a file counts as; everything that is not on a list is identifiable."""

from __future__ import annotations

import json

import pytest

from datalad_mrishare.consent import Deid
from datalad_mrishare.provenance.bids import bids_name
from datalad_mrishare.sharing.clearance import (
    clearance_by_content,
    clearance_by_name,
    needs_content,
)

CLEAN, NOT = Deid.DEIDENTIFIED, Deid.IDENTIFIABLE


@pytest.mark.parametrize(
    ("name", "level"),
    [
        ("sub-01/func/sub-01_task-x_bold.nii.gz", CLEAN),
        ("sub-01/func/sub-01_task-x_sbref.nii", CLEAN),
        ("sub-01/dwi/sub-01_dwi.nii.gz", CLEAN),
        ("sub-01/dwi/sub-01_dwi.bval", CLEAN),
        ("sub-01/dwi/sub-01_dwi.bvec", CLEAN),
        ("sub-01/perf/sub-01_asl.nii.gz", CLEAN),
        ("sub-01/perf/sub-01_m0scan.nii.gz", CLEAN),
        ("sub-01/fmap/sub-01_dir-AP_epi.nii.gz", CLEAN),
        ("sub-01/func/sub-01_task-x_events.tsv", CLEAN),
        ("sub-01/anat/sub-01_T1w.nii.gz", NOT),
        ("sub-01/anat/sub-01_T2w.nii.gz", NOT),
        ("sub-01/anat/sub-01_FLAIR.nii.gz", NOT),
        ("sub-01/fmap/sub-01_magnitude1.nii.gz", NOT),
        ("sub-01/func/sub-01_task-x_bold.dcm", NOT),
        ("sub-01/func/sub-01_task-x_bold.mp4", NOT),
        ("sub-01/func/sub-01_task-x_bold.nii.gz.bak", NOT),
        ("sub-01/anat/sub-01_bold.T1w.nii.gz", NOT),
        ("sub-01/func/sub-01_task-x_physio.tsv.gz", NOT),
        ("sub-01/anat/bold.bval.nii.gz", NOT),
        ("sub-01/anat/face.bval", NOT),
        ("sub-01/anat/sub-01_boldface.nii.gz", NOT),
        ("sub-01/anat/sub-01_T1w", NOT),
    ],
)
def test_by_name(name: str, level: Deid) -> None:
    assert clearance_by_name(bids_name(name)) is level


@pytest.mark.parametrize(
    ("value", "level"),
    [
        ({}, CLEAN),
        ({"RepetitionTime": 2, "EchoTime": 0.03}, CLEAN),
        ({"SliceTiming": [0, 1], "TaskName": "rest"}, CLEAN),
        ({"DeidentificationMethodCodeSequence": [{"CodeValue": "113100"}]}, CLEAN),
        ({"RepetitionTime": 2, "PatientName": "x"}, NOT),
        ({"AcquisitionTime": "10:00"}, NOT),
        ({"repetitiontime": 2}, NOT),
        ({"TaskName": {"InstitutionName": "x"}}, NOT),
        ({"TaskName": [[{"PatientID": 1}]]}, NOT),
        ([{"RepetitionTime": 2}], NOT),
        ("RepetitionTime", NOT),
        (None, NOT),
    ],
)
def test_by_the_keys_of_a_sidecar(value: object, level: Deid) -> None:
    content = json.dumps(value).encode()
    assert clearance_by_content(bids_name("sub-01_T1w.json"), content) is level


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff",
        b"[" * 100_000,
        b'{"TaskName": ' * 50 + b"1" + b"}" * 50,
        b'{"RepetitionTime": 2, "PatientName": 1, "PatientName": 2}',
        # a key given twice: a parser keeps the last one only
        b'{"TaskName": {"PatientName": "x"}, "TaskName": 1}',
    ],
    ids=["empty", "cut", "binary", "deep list", "deep object", "twice", "hidden twice"],
)
def test_a_sidecar_that_is_not_understood_is_identifiable(content: bytes) -> None:
    assert clearance_by_content(bids_name("sub-01_T1w.json"), content) is NOT


@pytest.mark.parametrize(
    ("header", "level"),
    [
        (b"onset\tduration\ttrial_type\n1\t2\tx\n", CLEAN),
        (b"\xef\xbb\xbfonset\tduration\r\n", CLEAN),
        (b"onset\tname\n", NOT),
        (b"filename\tacq_time\n", NOT),
        (b"onset,duration\n", NOT),
        (b"", NOT),
        (b"\n", NOT),
    ],
)
def test_by_the_columns_of_a_table(header: bytes, level: Deid) -> None:
    assert clearance_by_content(bids_name("sub-01_beh.tsv"), header) is level


def test_content_is_asked_for_only_where_it_can_clear() -> None:
    asked = [n for n in ("x_T1w.json", "x_bold.json", "x_beh.tsv") if needs_content(bids_name(n))]
    assert asked == ["x_T1w.json", "x_bold.json", "x_beh.tsv"]
    for name in ("x_bold.nii.gz", "x_T1w.nii.gz", "x_events.tsv", "x_physio.tsv.gz"):
        assert not needs_content(bids_name(name))
