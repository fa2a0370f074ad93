"""Names: entities of a path, and whether BIDS knows it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datalad_mrishare.provenance.bids import BidsName, bids_name, is_bids, outside_bids
from datalad_mrishare.sources.bids import is_ignored, parse_ignore, participants_in_table

INSIDE = """
README
README.md
CHANGES
LICENSE
dataset_description.json
participants.tsv
participants.json
samples.tsv
CITATION.cff
.bidsignore
.datalad/config
task-rest_bold.json
acq-highres_T1w.json
T1w.json
dwi.bval
dwi.bvec
sub-01/sub-01_sessions.tsv
sub-01/sub-01_scans.tsv
sub-01/ses-1/sub-01_ses-1_scans.tsv
sub-01/anat/sub-01_T1w.nii.gz
sub-01/anat/sub-01_T1w.json
sub-01/anat/sub-01_acq-mp2rage_inv-1_part-mag_MP2RAGE.nii.gz
sub-01/ses-pre/func/sub-01_ses-pre_task-rest_acq-mb_dir-AP_run-2_echo-1_bold.nii
sub-01/func/sub-01_task-rest_events.tsv
sub-01/func/sub-01_task-rest_recording-cardiac_physio.tsv.gz
sub-01/dwi/sub-01_dir-PA_dwi.bvec
sub-01/fmap/sub-01_dir-AP_epi.nii.gz
sub-01/fmap/sub-01_phasediff.json
sub-01/perf/sub-01_asl.nii.gz
sub-01/perf/sub-01_aslcontext.tsv
sub-01/eeg/sub-01_task-rest_eeg.edf
sub-01/meg/sub-01_task-rest_meg.ds/sub-01_task-rest_meg.meg4
sub-01/beh/sub-01_task-x_beh.tsv
sub-01/pet/sub-01_pet.nii.gz
derivatives/fmriprep/anything goes
code/run me.py
sourcedata/sub-01/dicom/1.dcm
stimuli/house.png
phenotype/moca.tsv
""".strip().splitlines()

# path -> a part of the reason
OUTSIDE = {
    "notes.docx": "form",
    "brain.nii.gz": "form",
    "data/sub-01_T1w.nii.gz": "no directory 'data'",
    "sub-01/sub-01_T1w.nii.gz": "directory of its datatype",
    "sub-01/anat/T1w.nii.gz": "nothing",
    "sub-01/anat/sub-02_T1w.nii.gz": "sub-02",
    "sub-01/ses-1/anat/sub-01_T1w.nii.gz": "nothing",
    "sub-01/anat/sub-01_ses-1_T1w.nii.gz": "ses-1",
    "sub-01/anat/sub-01_t1w.nii.gz": "suffix 't1w'",
    "sub-01/anat/sub-01_bold.nii.gz": "does not belong",
    "sub-01/func/sub-01_T1w.nii.gz": "does not belong",
    "sub-01/func/sub-01_run-a_bold.nii.gz": "number",
    "sub-01/func/sub-01_run-1_task-rest_bold.nii.gz": "order",
    "sub-01/func/sub-01_task-a_task-b_bold.nii.gz": "order",
    "sub-01/func/sub-01_tsk-rest_bold.nii.gz": "entity 'tsk'",
    "sub-01/func/sub-01_task-my_task_bold.nii.gz": "form",
    "sub-01/anat/sub-01_T1w.nrrd": "extension",
    "sub-01/anat/sub-01_T1w (copy).nii.gz": "suffix",
    "sub-01/T1/sub-01_T1w.nii.gz": "datatype 'T1'",
    "sub-0 1/anat/sub-0 1_T1w.nii.gz": "participant label",
    "sub-01/anat/old/sub-01_T1w.nii.gz": "no directory 'old'",
    "sub-01/anat/sub-01_T1w\n.nii.gz": "suffix",
    "-rf": "form",
}


@pytest.mark.parametrize("path", INSIDE)
def test_names_of_bids(path: str) -> None:
    assert outside_bids(path) is None


@pytest.mark.parametrize("path", OUTSIDE)
def test_names_outside_of_bids(path: str) -> None:
    assert OUTSIDE[path] in (outside_bids(path) or "")


def test_parts_of_a_name() -> None:
    name = bids_name("sub-01/ses-pre/anat/sub-01_ses-pre_acq-x_T1w.nii.gz")
    assert name == BidsName(
        (("sub", "01"), ("ses", "pre"), ("acq", "x")), "T1w", "anat", ".nii.gz", "pre"
    )
    derivative = bids_name("derivatives/x/sub-01/ses-2/sub-01_space-MNI_desc-brain_mask.nii.gz")
    assert (derivative.ses, derivative.suffix, derivative.datatype) == ("2", "mask", "")
    assert bids_name("code/a-b_c.py").suffix == "c"
    assert bids_name("dataset_description.json").suffix == ""
    assert bids_name("") == BidsName()


LABEL = st.text("abcXYZ019", min_size=1, max_size=4)


@given(LABEL, st.none() | LABEL, LABEL, st.integers(0, 99))
def test_a_name_put_together_comes_apart(sub: str, ses: str | None, task: str, run: int) -> None:
    session = f"ses-{ses}" if ses else None
    stem = "_".join(filter(None, (f"sub-{sub}", session, f"task-{task}", f"run-{run}", "bold")))
    path = "/".join(filter(None, (f"sub-{sub}", session, "func", stem + ".nii.gz")))
    assert is_bids(path)
    name = bids_name(path)
    expected = {"sub": sub, "ses": ses, "task": task, "run": str(run)}
    assert name.entities == {k: v for k, v in expected.items() if v is not None}
    assert (name.ses, name.suffix, name.datatype) == (ses or "", "bold", "func")


@given(st.text(max_size=60))
def test_any_text_has_parts(path: str) -> None:
    bids_name(path)
    outside_bids(path)


@pytest.mark.parametrize(
    ("pattern", "path", "ignored"),
    [
        ("extra_data/", "extra_data/a/b", True),
        ("extra_data/", "extra_data", False),
        ("*_mask.nii.gz", "sub-01/anat/x_mask.nii.gz", True),
        ("/top.txt", "sub/top.txt", False),
        ("a/*.txt", "a/b/c.txt", False),
        ("a/**/c.txt", "a/x/y/c.txt", True),
        ("**/c.txt", "c.txt", True),
        ("# a comment", "# a comment", False),
        ("*.log\n!keep.log", "keep.log", False),
        ("*.log\n!keep.log", "lose.log", True),
        ("sub-0?", "sub-01/anat/x", True),
        ("a+(b", "a+(b", True),
    ],
)
def test_bidsignore(pattern: str, path: str, ignored: bool) -> None:
    assert is_ignored(path, parse_ignore(pattern.encode())) is ignored


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"\xef\xbb\xbfparticipant_id\tage\r\nsub-01\t3\r\n\r\n", {"sub-01"}),
        (b"age\tparticipant_id\n3\t01\n4\n", {"sub-01"}),
        (b"participant_id\nsub-01\nn/a\n", {"sub-01"}),
        (b"participant_id\tname\nsub-01\tJos\xe9\n", {"sub-01"}),
        (b'participant_id\tnote\nsub-01\t"open\nsub-02\tx\n', {"sub-01", "sub-02"}),
        (b"id\n1\n", None),
        (b"", None),
    ],
)
def test_participants_table(raw: bytes, expected: set[str] | None) -> None:
    assert participants_in_table(raw) == expected
