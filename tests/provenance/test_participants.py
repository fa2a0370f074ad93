"""Whom a path names: never fewer than it might."""

from __future__ import annotations

import pytest

from datalad_mrishare.provenance.participants import participants_in_path, participants_in_paths
from datalad_mrishare.sharing.mentions import Mentions

#: path -> labels
WHOSE = {
    "sub-01/anat/sub-01_T1w.nii.gz": "01",
    "derivatives/sub-01.html": "01",
    "derivatives/x/sub-01.feat/a": "01",
    "sub-01_ses-1.long.sub-02_base/x": "01 02",
    "sub-01_ses-1/mri/T1.mgz": "01",
    "group_sub-01_sub-02_map.nii.gz": "01 02",
    "xfm/sub-01_from-sub-03_xfm.h5": "01 03",
    "code/subject-01.py": "",
    "sub-/sub-_x": "",
    # BIDS has + in labels
    "sub-01+2/anat/sub-01+2_T1w.nii.gz": "01+2",
    "sub-01+sub-02_map.nii.gz": "01 02",
    "sub-01-sub-02_map.nii.gz": "01 02",
    # what goes on may be a part of the label: somebody else
    "sub-01-2/anat/sub-01-2_T1w.nii.gz": "01 01-2",
    "flat/sub-MR-001_T1w.nii.gz": "MR MR-001",
    "sub-01_b/anat/x": "01 01_b",
    "sub-01.b/anat/x": "01 01.b",
    "flat/sub-01.b_T1w.nii.gz": "01 01.b",
    "sub-01\n2/anat/x": "01 01\n2",
    "sub-01é/anat/x": "01 01é",
    "sub-é1/anat/x": "é1",
    "old sub-01 copy/x": "01 01 copy",
}


@pytest.mark.parametrize("path", WHOSE)
def test_whom_a_path_names(path: str) -> None:
    expected = {f"sub-{label}" for label in WHOSE[path].split(" ") if label}
    if path.startswith("old "):
        expected = {"sub-01", "sub-01 copy"}
    assert participants_in_path(path) == expected
    assert participants_in_paths(["README", path, "x"]) == expected


def test_people_whose_labels_begin_alike_are_found_in_texts() -> None:
    names = Mentions(["sub-01", "sub-01+2", "sub-01-2", "sub-02"], ["sub-01"])
    assert names.found("as sub-01+2 said") == "sub-01+2"
    assert names.found("as Sub-01-2 said") == "sub-01-2"
    assert names.found("sub-01+sub-02") == "sub-02"
    assert names.found("sub-01, sub-01+ and sub-01-") is None
    names = Mentions(["sub-01", "sub-01+2"], ["sub-01+2"])
    assert names.found("as sub-01+2 said") is None
    assert names.found("as sub-01+3 said") in ("sub-01", "sub-01+3")
