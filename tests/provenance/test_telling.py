"""What an account tells, and above all what it does not. Pure."""

from __future__ import annotations

import re
from datetime import date

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from provenance.history import (
    ABOUT,
    CANARIES,
    CHANGES,
    ELSEWHERE,
    NEVER,
    ROOT,
    current,
    history,
    key,
    mask,
    permitted,
)

from datalad_mrishare.provenance.activities import Activity
from datalad_mrishare.provenance.evidence import Evidence
from datalad_mrishare.provenance.exporting import export_files
from datalad_mrishare.provenance.exporting.account import Account, Place
from datalad_mrishare.provenance.exporting.telling import Permitted, tell_sibling, tell_steward
from datalad_mrishare.provenance.graph import Lineage

ADDRESS = re.compile(r"\w@\w")
DAY = date(2026, 5, 3)
BEP_AND_CRATE = ("bids-prov", "ro-crate")


def text_of(account: Account, form: str) -> str:
    """All files of an export, one after the other."""
    return "\n".join(f"{n}\n{t}" for n, t in sorted(export_files(account, form, DAY).items()))


def for_sibling(sub_02: bool = True) -> Account:
    return tell_sibling(history(sub_02), permitted(), ABOUT)


def for_steward(**more: bool) -> Account:
    return tell_steward(history(), current(), ABOUT, (ROOT,), ("sub/dataset",), **more)


def steps(account: Account) -> set[tuple[str, tuple[str, ...], tuple[str, ...]]]:
    """Label, paths used, paths made of every step."""
    path = {file.uid: file.path for file in account.files}
    return {
        (a.label, tuple(sorted(path[u] for u in a.used)), tuple(sorted(path[u] for u in a.made)))
        for a in account.activities
    }


@pytest.mark.parametrize("form", BEP_AND_CRATE)
def test_a_sibling_cannot_tell_that_somebody_is_withheld(form: str) -> None:
    """The export is the same, byte by byte, as that of a dataset that never had sub-02."""
    assert text_of(for_sibling(), form) == text_of(for_sibling(sub_02=False), form)
    assert for_sibling() == for_sibling(sub_02=False)


@pytest.mark.parametrize("form", BEP_AND_CRATE)
def test_no_canary_in_what_a_sibling_is_told(form: str) -> None:
    told = text_of(for_sibling(), form).lower()
    assert "bet" in told and "sub-03" in told  # there is something to look through
    for word in (*CANARIES, *NEVER):
        assert word not in told, word
    assert not ADDRESS.search(told)


def test_what_a_sibling_is_told() -> None:
    t1w = "sub-{0}/anat/sub-{0}_T1w.nii.gz".format
    mask_of = "derivatives/bet/sub-{0}/sub-{0}_mask.nii.gz".format
    sidecar = "sub-{0}/func/sub-{0}_bold.json".format
    assert steps(for_sibling()) == {
        ("heudiconv 1.1.0", (), (t1w("01"),)),
        ("heudiconv 1.1.0", (), (t1w("03"),)),
        ("sidecars", (), (t1w("01"), sidecar("01"))),
        ("sidecars", (), (sidecar("01"), t1w("03"))),
        ("bet", (t1w("01"),), (mask_of("01"),)),
        ("bet", (t1w("03"),), (mask_of("03"),)),
        (
            "register",
            ("atlas/mni.nii.gz",),
            ("CHANGES", *(f"derivatives/reg/sub-{w}/sub-{w}_w.nii.gz" for w in ("01", "03"))),
        ),
        ("mean", (mask_of("01"), mask_of("03")), ("derivatives/group/pair ä#1.nii.gz",)),
        ("statement of the data steward", (), ("derivatives/reg/sub-01/sub-01_w.nii.gz",)),
    }


def test_a_sibling_is_told_neither_times_nor_commits_nor_descriptions() -> None:
    account = for_sibling()
    assert not any(a.when or a.record or a.why for a in account.activities)
    assert all(file.place is Place.PRESENT and not file.evidence for file in account.files)
    assert {t.name for t in account.tools} >= {"bet", "FSL", "reg", "register"}


def test_what_is_anonymous_has_no_origin() -> None:
    (file,) = (f for f in for_sibling().files if f.path == "derivatives/group/mean.nii.gz")
    assert file.uid not in for_sibling().makers()


def test_the_steward_is_told_everybody_and_every_version() -> None:
    account = for_steward()
    paths = {file.path: file for file in account.files}
    assert paths["derivatives/oldversion/sub-01/sub-01_x.nii.gz"].place is Place.PAST
    assert "sub-02/anat/sub-02_T1w.nii.gz" in paths
    assert paths[ELSEWHERE].place is Place.ELSEWHERE
    assert paths["sub/dataset/sub-02_x.nii.gz"].place is Place.BELOW
    group = paths["derivatives/group/withheld_mean.nii.gz"]
    (uid,) = account.makers()[group.uid]
    (step,) = (a for a in account.activities if a.uid == uid)
    assert len(step.used) == 3 and step.command == "mean -n 3 withheld"
    assert step.when == "2026-01-05T10:00:00+00:00" and step.record == "commit5"
    assert len(account.activities) == len(history().activities)


@pytest.mark.parametrize("form", BEP_AND_CRATE)
def test_the_steward_is_told_no_address_and_no_path_of_the_machine(form: str) -> None:
    told = text_of(for_steward(), form)
    assert "--owner=[address]" in told and "sub-02" in told and "-f 0.5" in told
    assert "sidecars sub-02" in told  # a path in the dataset is one relative to it
    for word in NEVER:
        assert word not in told, word
    assert not ADDRESS.search(told)
    asked = text_of(for_steward(as_recorded=True), form)
    assert "jdoe@node17" in asked and "/home/jdoe/dicom/02" in asked


@pytest.mark.parametrize("form", BEP_AND_CRATE)
def test_checksums_are_those_of_keys_and_never_ids_of_blobs(form: str) -> None:
    told = text_of(for_steward(), form) + text_of(for_sibling(), form)
    assert mask("01").partition("--")[2].partition(".")[0] in told
    assert CHANGES.removeprefix("git:") not in told


def test_an_account_does_not_depend_on_the_order_of_what_it_rests_on() -> None:
    whole = history()
    paths = [(n, p) for n in whole.nodes for p in whole.paths(n)]
    other = Lineage.build(list(whole.activities)[::-1], paths[::-1])
    assert tell_sibling(other, permitted(), ABOUT) == for_sibling()
    assert tell_steward(other, current(), ABOUT, (ROOT,), ("sub/dataset",)) == for_steward()


PEOPLE = ("x1", "y2", "z3")
_NODES = [f"{who}.{number}" for who in (*PEOPLE, "none") for number in range(4)]
_SETS = st.tuples(st.sets(st.sampled_from(_NODES)), st.sets(st.sampled_from(_NODES), min_size=1))


def test_whatever_was_done_nothing_of_somebody_withheld_is_told() -> None:
    """z3 is withheld: neither a name of theirs, nor a step that made nothing of others."""
    counted = {"steps": 0, "edges": 0}

    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(_SETS, max_size=12))
    def check(done: list[tuple[set[str], set[str]]]) -> None:
        path = {n: f"sub-{n.split('.')[0]}/{n}.nii" if "none" not in n else n for n in _NODES}
        node = {n: key(n) for n in _NODES}
        acts = [
            Activity(
                f"t{number}",
                "run",
                Evidence.DECLARED,
                tuple(node[n] for n in sorted(ins)),
                tuple(node[n] for n in sorted(outs)),
                "tool " + " ".join(path[n] for n in sorted(ins | outs)),
            )
            for number, (ins, outs) in enumerate(done)
        ]
        lineage = Lineage.build(acts, [(node[n], path[n]) for n in _NODES])
        people = frozenset(("sub-x1", "sub-y2"))
        may = {node[n]: [path[n]] for n in _NODES if lineage.participants(node[n]) <= people}
        named = Permitted(may, people, frozenset(), lambda text: "sub-z3" in text)
        account = tell_sibling(lineage, named, ABOUT)
        assert "z3" not in text_of(account, "bids-prov")
        known = {file.uid for file in account.files}
        assert known.issuperset(u for a in account.activities for u in (*a.used, *a.made))
        assert all(a.made for a in account.activities)
        counted["steps"] += len(account.activities)
        counted["edges"] += sum(len(a.used) for a in account.activities)

    check()
    assert counted["steps"] > 50 and counted["edges"] > 25, counted
