"""What a release says of itself: description, changes, and that nothing changes by itself."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest

from datalad_mrishare import __version__
from datalad_mrishare.repo.trees import FILE, LINK, Entry
from datalad_mrishare.sharing.describing import (
    CHANGES,
    DESCRIPTION,
    Former,
    describe,
    may_be_named,
)
from datalad_mrishare.sharing.policies import Policy, load_policies
from datalad_mrishare.sharing.releases import ReleaseTree

DAY = date(2026, 5, 4)
LATER = date(2026, 6, 1)
SOURCE = {"Name": "A study", "BIDSVersion": "1.10.0", "DatasetType": "raw", "License": "CC0"}


def policy(text: str = "{policy: institution}") -> Policy:
    return load_policies(f"siblings:\n  m: {text}\n")["m"]


def tree(*paths: str, more: dict[str, bytes] | None = None) -> ReleaseTree:
    """A release of these files, whose content is their path; ``path=CONTENT`` has another."""
    taken = []
    for path in (DESCRIPTION, CHANGES, *paths):
        name, _, content = path.partition("=")
        taken.append(Entry(name, LINK, f"{hash(content or name) % 10**8:040d}", 9, None))
    return ReleaseTree(tuple(taken), more or {}, (), 0)


def said(
    found: ReleaseTree,
    *,
    day: date = DAY,
    former: Former | None = None,
    description: Any = SOURCE,
    changes: str = "1.0.0 2026-01-01\n  - First version\n",
    rules: str = "{policy: institution}",
) -> ReleaseTree:
    content = description if isinstance(description, bytes) else json.dumps(description).encode()
    texts = {DESCRIPTION: content, CHANGES: changes.encode()}
    return describe(found, texts, policy(rules), former or Former(), day)


def as_former(found: ReleaseTree) -> Former:
    """The release as the next one finds it; ids of contents computed by git's own rule."""
    import hashlib

    files = {e.path: (e.mode, e.oid) for e in found.taken}
    for path, data in found.written.items():
        files[path] = (FILE, hashlib.sha1(f"blob {len(data)}\0".encode() + data).hexdigest())
    changes, description = (found.written.get(n, b"") for n in (CHANGES, DESCRIPTION))
    return Former(files, description, changes)


def told(found: ReleaseTree) -> dict[str, Any]:
    return dict(json.loads(found.written[DESCRIPTION]))


FIRST = ("sub-01/anat/sub-01_T1w.nii.gz", "sub-02/anat/sub-02_T1w.nii.gz", "README")


def test_the_first_release() -> None:
    found = said(tree(*FIRST))
    assert found.written[CHANGES].decode() == (
        "2026.5.4 2026-05-04\n"
        "  - 3 files added, with 2 new participants\n"
        "\n"
        "1.0.0 2026-01-01\n"
        "  - First version\n"
    )
    expected = {
        **SOURCE,
        "DatasetVersion": "2026.5.4",
        "GeneratedBy": [{"Name": "datalad-mrishare", "Version": __version__}],
        "DataUse": [
            {
                "Code": "HMB",
                "ID": "DUO:0000006",
                "Label": "health or medical or biomedical research",
            },
            {"Code": "DUA"},
            {"Code": "NRI"},
            {"Code": "US", "ID": "DUO:0000026", "Label": "user specific restriction"},
        ],
    }
    assert told(found) == expected
    assert not {DESCRIPTION, CHANGES} & {e.path for e in found.taken}


def test_the_same_files_are_the_same_bytes_on_any_day_and_by_any_version(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = said(tree(*FIRST))
    monkeypatch.setattr("datalad_mrishare.sharing.describing.__version__", "99.0")
    again = said(tree(*FIRST), day=LATER, former=as_former(first))
    assert again.written == first.written
    other = said(tree(*FIRST, "LICENSE"), day=LATER, former=as_former(first))
    assert told(other)["GeneratedBy"] == [{"Name": "datalad-mrishare", "Version": "99.0"}]
    assert told(other)["DatasetVersion"] == "2026.6.1"
    assert (
        other.written[CHANGES]
        .decode()
        .startswith("2026.6.1 2026-06-01\n  - 1 file added\n\n2026.5.4 2026-05-04\n")
    )


def test_withdrawn_expired_and_replaced_look_alike() -> None:
    first = as_former(said(tree(*FIRST)))
    gone = said(tree(FIRST[0], "README"), day=LATER, former=first)
    replaced = said(tree(FIRST[0], FIRST[1] + "=better", "README"), day=LATER, former=first)
    assert gone.written[CHANGES] == replaced.written[CHANGES]
    assert b"  - 1 file replaced or removed\n" in gone.written[CHANGES]
    top = gone.written[CHANGES].partition(b"\n\n")[0]
    assert b"participant" not in top, "whether anybody left is not said"


def test_what_to_remove_from_copies_is_named_when_it_is_new() -> None:
    listed = {".datalad/mrishare/revoked.tsv": b"key\nA-s1--x\n"}
    first = as_former(said(tree(*FIRST)))
    second = said(tree(*FIRST[:1], more=listed), day=LATER, former=first)
    assert (
        b"  - What to remove from copies: .datalad/mrishare/revoked.tsv\n"
        in (second.written[CHANGES])
    )
    third = said(tree(*FIRST[:1], "x", more=listed), day=LATER, former=as_former(second))
    assert third.written[CHANGES].count(b"What to remove") == 1


def test_several_releases_on_a_day_and_a_day_that_came_before() -> None:
    former, versions = Former(), []
    for number, day in enumerate((DAY, DAY, LATER, DAY)):
        found = said(tree(*FIRST[: number + 1], *"xyz"[:number]), day=day, former=former)
        former = as_former(found)
        versions.append(told(found)["DatasetVersion"])
    assert versions == ["2026.5.4", "2026.5.4.2", "2026.6.1", "2026.5.4.3"]
    assert former.changes.count(b"\n  - ") == 4 + 1


def test_a_new_root_tells_of_nothing_before() -> None:
    first = as_former(said(tree(*FIRST)))
    anew = Former(first.files, first.description, first.changes, anew=True)
    found = said(tree(FIRST[0]), former=anew)
    assert found.written[CHANGES].decode() == (
        "2026.5.4.2 2026-05-04\n"
        "  - The history starts here: make clones anew\n"
        "  - 1 file added, with 1 new participant\n"
        "\n"
        "1.0.0 2026-01-01\n"
        "  - First version\n"
    )


def test_the_changes_of_the_dataset_may_change_or_be_those_of_a_release() -> None:
    first = said(tree(*FIRST))
    source = first.written[CHANGES].decode()  # a dataset that was made from a release
    chained = said(tree(*FIRST), changes=source)
    assert told(chained)["DatasetVersion"] == "2026.5.4.2"
    assert chained.written[CHANGES].decode().count(" 2026-05-04\n") == 2
    again = said(tree(*FIRST), changes=source, day=LATER, former=as_former(chained))
    assert again.written == chained.written
    longer = said(
        tree(*FIRST), changes="1.1.0 2026-05-05\n  - More\n", day=LATER, former=as_former(first)
    )
    assert longer.written[CHANGES].decode() == (
        "2026.6.1 2026-06-01\n  - Described anew; its files are the same\n\n"
        "2026.5.4 2026-05-04\n  - 3 files added, with 2 new participants\n\n"
        "1.1.0 2026-05-05\n  - More\n"
    )


def test_a_former_release_that_somebody_wrote_otherwise() -> None:
    for changes in (b"", b"\xff\xfe", b"2026.5.4 today\n  - x\n", b"  - \n" * 3):
        for description in (b"", b"[]", b'{"DatasetVersion": 7}', b'{"GeneratedBy": "x"}'):
            former = Former({"README": (FILE, "0" * 40)}, description, changes)
            found = said(tree(*FIRST), former=former)
            assert told(found)["DatasetVersion"] == "2026.5.4"


@pytest.mark.parametrize("content", [b"{", b"[]", b'"x"', b'{"Name": 1, "Name": 2}', b"\xff"])
def test_a_description_that_cannot_be_added_to_goes_as_it_is(content: bytes) -> None:
    found = said(tree(*FIRST), description=content)
    assert DESCRIPTION in {e.path for e in found.taken} and CHANGES in found.written
    again = said(tree(*FIRST), description=content, day=LATER, former=as_former(found))
    assert again.written == found.written


def test_no_files_of_the_dataset_to_add_to() -> None:
    lone = ReleaseTree((Entry("x", FILE, "1" * 40, 1),), {}, (), 0)
    found = describe(lone, {}, policy(), Former(), DAY)
    assert found.written == {CHANGES: b"2026.5.4 2026-05-04\n  - 1 file added\n"}
    annexed = ReleaseTree((Entry(CHANGES, LINK, "1" * 40, 1, "A-s1--x"),), {}, (), 0)
    found = describe(annexed, {}, policy(), Former(), DAY)
    assert found == annexed
    assert describe(annexed, {}, policy(), as_former(found), LATER) == annexed


def test_who_made_it_before_stays() -> None:
    makers = [{"Name": "heudiconv", "Version": "1.3"}, {"Name": "datalad-mrishare", "Version": "0"}]
    found = told(said(tree(*FIRST), description={**SOURCE, "GeneratedBy": makers}))
    assert [m["Name"] for m in found["GeneratedBy"]] == ["heudiconv", "datalad-mrishare"]
    assert found["GeneratedBy"][1]["Version"] == __version__
    odd = told(said(tree(*FIRST), description={**SOURCE, "GeneratedBy": "me"}))
    assert odd["GeneratedBy"] == "me"


def test_a_raw_dataset_stays_one() -> None:
    """The BIDS validator takes a dataset that says who generated it for a derivative."""
    plain = {"Name": "A study", "BIDSVersion": "1.10.0"}
    assert told(said(tree(*FIRST), description=plain))["DatasetType"] == "raw"
    derived = {**plain, "GeneratedBy": [{"Name": "fmriprep"}]}
    assert "DatasetType" not in told(said(tree(*FIRST), description=derived))
    derived["DatasetType"] = "derivative"
    assert told(said(tree(*FIRST), description=derived))["DatasetType"] == "derivative"


def test_where_it_comes_from() -> None:
    sources = [
        {"URL": "https://xnat.hospital.example/data/projects/x", "Version": "3"},
        {"URL": "file:///data/steward/raw", "DOI": "10.18112/openneuro.ds000002.v1.0.0"},
        {"URL": "https://openneuro.org/datasets/ds000003", "Version": "1.2.0", "Owner": "me"},
        {"URL": "ssh://steward@host/raw"},
        "odd",
    ]
    description = {
        **SOURCE,
        "DatasetDOI": "doi:10.18112/openneuro.ds000001.v1.0.0",
        "SourceDatasets": sources,
        "DatasetLinks": {
            "here": "sourcedata/raw",
            "away": "/srv/raw",
            "up": "../x",
            "f": "file:///x",
        },
    }
    found = told(said(tree(*FIRST), description=description))
    assert found["SourceDatasets"] == [
        {"DOI": "doi:10.18112/openneuro.ds000001.v1.0.0", "Version": "1.0.0"},
        {"DOI": "doi:10.18112/openneuro.ds000002.v1.0.0"},
        {"URL": "https://openneuro.org/datasets/ds000003", "Version": "1.2.0"},
    ]
    assert found["DatasetLinks"] == {"here": "sourcedata/raw"}
    allowed = "{policy: institution, sources: ['https://xnat.hospital.example/']}"
    found = told(said(tree(*FIRST), description=description, rules=allowed))
    assert sources[0] in found["SourceDatasets"]
    hidden = {**SOURCE, "SourceDatasets": sources[:1]}
    assert told(said(tree(*FIRST), description=hidden))["SourceDatasets"] == []


@pytest.mark.parametrize(
    "url",
    [
        *("", "/data", "file:///data", "ssh://openneuro.org/x", "https://openneuro.org:8443/x"),
        *("https://user@openneuro.org/x", "https://openneuro.org/x?token=1", "https://localhost/x"),
        *("https://openneuro.org.evil.example/x", "https://192.168.1.2/x", "https://[::1/x"),
        *("https://openneuro.org/a b", "https://xnat.example/x", "annex::u?type=S3"),
    ],
)
def test_sources_that_may_not_be_named(url: str) -> None:
    assert not may_be_named(url, ())


def test_an_account_in_a_url_is_never_named() -> None:
    assert not may_be_named("https://me:secret@xnat.example/x", ["https://me"])


def test_descriptions_of_derivatives_tell_no_source_that_stays_here() -> None:
    path, odd = f"derivatives/fmriprep/{DESCRIPTION}", f"derivatives/x/{DESCRIPTION}"
    made = {
        "Name": "fMRIPrep",
        "DatasetLinks": {
            "raw": "/srv/hospital/ds",
            "self": "../..",
            "out": "../../../x",
            "doi": "doi:10.1234/x",
        },
        "SourceDatasets": [{"URL": "https://xnat.hospital.example/x"}, {"DOI": "doi:10.1234/x"}],
    }
    texts = {path: json.dumps(made).encode(), odd: b'{"DatasetLinks": {"raw": "/srv"},}'}
    found = describe(tree(path, odd), texts, policy(), Former(), DAY)
    left = json.loads(found.written[path])
    assert left["DatasetLinks"] == {"self": "../..", "doi": "doi:10.1234/x"}
    assert left["SourceDatasets"] == [{"DOI": "doi:10.1234/x"}]
    assert odd not in {e.path for e in found.taken} | found.written.keys()
    plain = describe(tree(path), {path: b'{"Name": "x"}'}, policy(), Former(), DAY)
    assert path in {e.path for e in plain.taken}
