"""What a file is: of whom, of what kind, how clean. Expected values are written by hand."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import pytest

from datalad_mrishare.consent import Deid
from datalad_mrishare.repo.trees import FILE, GITLINK, LINK, Entry
from datalad_mrishare.sharing.facts import Facts, Kind, _facts, _facts_of_many, facts_of

KEY = "SHA256E-s1024--aa.nii.gz"


def facts(
    path: str,
    content: bytes | None = None,
    *,
    key: str | None = None,
    mode: str = FILE,
    commons: Sequence[str] = (),
) -> Facts:
    """Facts about one file: in git with ``content``, or annexed with ``key``."""
    entry = Entry(path, mode, "0" * 40, len(content or b""), key)
    texts = {entry.oid: b"" if content is None else content}
    (found,) = facts_of([entry], lambda entries: texts if entries else {}, {}, commons)
    return found


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("README", Kind.COMMONS),
        ("README.md", Kind.COMMONS),
        ("CHANGES", Kind.COMMONS),
        ("dataset_description.json", Kind.COMMONS),
        ("participants.json", Kind.COMMONS),
        (".bidsignore", Kind.COMMONS),
        ("task-rest_bold.json", Kind.COMMONS),
        ("T1w.json", Kind.COMMONS),
        ("dwi.bval", Kind.COMMONS),
        ("task-rest_events.tsv", Kind.COMMONS),
        ("phenotype/moca.json", Kind.COMMONS),
        ("derivatives/pipe/README", Kind.COMMONS),
        ("derivatives/pipe/desc-preproc_T1w.json", Kind.COMMONS),
        ("derivatives/pipe/dataset_description.json", Kind.COMMONS),
        (".datalad/.gitattributes", Kind.COMMONS),
        # a name that BIDS does not have at this place, or that may be a person's
        ("mapping.json", Kind.DATA),
        ("patients_list.json", Kind.DATA),
        ("Mueller/README", Kind.DATA),
        ("phenotype/README", Kind.DATA),
        ("derivatives/pipe/Mueller/README.md", Kind.DATA),
        ("derivatives/notes.json", Kind.DATA),
        ("notes.txt", Kind.DATA),
        ("participants.csv", Kind.DATA),
        # of a participant, whatever the name
        ("sub-01/README", Kind.DATA),
        ("sub-01/dataset_description.json", Kind.DATA),
        ("derivatives/pipe/sub-01_T1w.json", Kind.DATA),
        # never part of a release
        (".datalad/config", Kind.EXCLUDED),
        (".datalad/mrishare/consent.tsv", Kind.EXCLUDED),
        (".datalad/runinfo/abc", Kind.EXCLUDED),
        (".github/README", Kind.EXCLUDED),
        ("sourcedata/README", Kind.EXCLUDED),
        ("code/dataset_description.json", Kind.EXCLUDED),
        ("derivatives/pipe/logs/README", Kind.EXCLUDED),
    ],
)
def test_kind_by_name(path: str, kind: Kind) -> None:
    assert facts(path, b"{}").kind is kind


def test_kind_by_mode() -> None:
    assert facts("sub", mode=GITLINK).kind is Kind.GITLINK
    assert facts("README", b"/home/x", mode=LINK).kind is Kind.EXCLUDED


@pytest.mark.parametrize(
    ("path", "header", "kind"),
    [
        ("participants.tsv", b"participant_id\tage\n", Kind.TABLE),
        ("participants.tsv", b"\xef\xbb\xbfparticipant_id\tage\r\n", Kind.TABLE),
        ("phenotype/moca.tsv", b"participant_id\tx\n", Kind.TABLE),
        ("task-rest_events.tsv", b"participant_id\tonset\n", Kind.TABLE),
        ("participants.tsv", b"id\tage\n", Kind.DATA),
        ("sub-01/sub-01_scans.tsv", b"filename\n", Kind.TABLE),
        ("sub-01/sub-01_sessions.tsv", b"session_id\n", Kind.TABLE),
        ("sub-01/sub-01_scans.tsv", b"name\n", Kind.DATA),
        ("sub-01/beh/sub-01_beh.tsv", b"participant_id\n", Kind.DATA),
        ("sourcedata/participants.tsv", b"participant_id\n", Kind.EXCLUDED),
    ],
)
def test_kind_of_tables(path: str, header: bytes, kind: Kind) -> None:
    assert facts(path, header).kind is kind


def test_an_annexed_text_is_not_commons_because_nobody_looks_into_it() -> None:
    assert facts("README", key=KEY).kind is Kind.DATA
    assert facts("T1w.json", key=KEY).kind is Kind.DATA
    assert facts("participants.tsv", key=KEY).kind is Kind.DATA
    assert facts("README", key=KEY, commons=["README"]).kind is Kind.COMMONS


@pytest.mark.parametrize(
    ("path", "pattern", "kind"),
    [
        ("templates/mni.nii.gz", "templates/*", Kind.COMMONS),
        ("code/run.py", "code/*", Kind.COMMONS),
        ("templates/sub-01_mask.nii.gz", "templates/*", Kind.DATA),
        ("sub-01/anat/sub-01_T1w.nii.gz", "*", Kind.DATA),
        ("derivatives/x/group_sub-01.html", "*", Kind.DATA),
        (".datalad/config", "*", Kind.EXCLUDED),
        (".datalad/mrishare/consent.tsv", "*", Kind.EXCLUDED),
    ],
)
def test_a_pattern_makes_commons_of_nothing_that_has_a_participant(
    path: str, pattern: str, kind: Kind
) -> None:
    assert facts(path, key=KEY, commons=[pattern]).kind is kind


def test_a_pattern_never_makes_commons_of_a_table_of_participants() -> None:
    table = b"participant_id\tmoca\nsub-03\t29\n"
    assert facts("phenotype/moca.tsv", table, commons=["phenotype/*"]).kind is Kind.TABLE


@pytest.mark.parametrize(
    ("path", "people"),
    [
        ("sub-01/anat/sub-01_T1w.nii.gz", {"sub-01"}),
        ("derivatives/x/sub-01/ses-2/sub-01_T1w.nii.gz", {"sub-01"}),
        ("derivatives/sub-01.html", {"sub-01"}),
        ("sub-01/func/sub-01_from-sub-02_map.nii.gz", {"sub-01", "sub-02"}),
        ("sub-01/anat/old sub-03 copy/x.nii.gz", {"sub-01", "sub-03", "sub-03 copy"}),
        ("group_sub-01_sub-02/map.nii.gz", {"sub-01", "sub-02"}),
        ("subject-01.nii.gz", set()),
        ("xsub-01.nii.gz", set()),
    ],
)
def test_everyone_in_any_part_of_a_path_counts(path: str, people: set[str]) -> None:
    assert facts(path, key=KEY).participants == people


def test_a_name_in_a_key_counts() -> None:
    worm = "WORM-s5-m1--sub-03_T1w.nii.gz"
    assert facts("sub-01/anat/sub-01_T1w.nii.gz", key=worm).participants == {"sub-01", "sub-03"}
    assert facts("templates/mni.nii.gz", key=worm, commons=["*"]).kind is Kind.DATA


def test_people_in_a_column_count() -> None:
    rows = b"participant_id\tscore\nsub-02\t1\n03\t2\n"
    assert facts("sub-01/beh/sub-01_beh.tsv", rows).participants == {"sub-01", "sub-02", "sub-03"}


def test_size_and_finding() -> None:
    entry = Entry("sub-01/anat/sub-01_T1w.nii.gz", LINK, "0" * 40, 200, KEY)
    (found,) = facts_of([entry], lambda _: {}, {KEY: "truncated"})
    assert (found.size, found.finding, found.clearance) == (1024, "truncated", Deid.IDENTIFIABLE)
    assert facts("sub-01/x.nii.gz", key="URL--http&c%%host").size is None
    assert facts("README", b"four").size == 4


def test_the_quick_way_says_what_the_other_says() -> None:
    random = Random(7)
    parts = ["sub-01", "sub-02", "Sub-01", "sub-", "sub-01b", "sub-é", "sub-01.x", "ses-a", "ses-"]
    parts += ["anat", "func", "derivatives", "code", "sourcedata", ".datalad", "group", "", "x y"]
    words = ["task-rest", "ses-b", "run-1", "sub-02", "desc-sub-03", "space-", "-x", "a.b", "é"]
    ends = ["bold.nii.gz", "T1w.nii", "events.tsv", "T1w", "odd.nii.gz", ".nii", "a-b.nii", ""]
    keys = ["MD5-s5--x.nii.gz", "MD5--x", "WORM-s5-m1--sub-04_T1w.nii.gz", "SHA256E-s0--e"]
    findings = {"MD5--x": "a face"}
    quick = 0
    for _ in range(20_000):
        above = [random.choice(parts) for _ in range(random.randrange(4))]
        name = [random.choice(parts + words) for _ in range(random.randrange(4))]
        path = "/".join([*above, "_".join([*name, random.choice(ends)])])
        if not path:
            continue
        entry = Entry(path, LINK, "0" * 40, 0, random.choice(keys))
        found = _facts_of_many(entry, findings)
        if found is not None:
            quick += 1
            assert found == _facts(entry, None, findings, ()), path
    assert quick > 1000
    plain = Entry("sub-01/anat/sub-01_T1w.nii.gz", FILE, "0" * 40, 5, None)
    assert _facts_of_many(plain, findings) is None
