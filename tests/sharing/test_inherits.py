"""Consent follows the data: what lineage adds to a path, and what is decided by it.

Expected values are worked out by hand.
"""

from __future__ import annotations

from datetime import date

import pytest
from judging import decided_by, given, judge, said

from datalad_mrishare.consent import Deid
from datalad_mrishare.provenance.activities import Activity
from datalad_mrishare.provenance.evidence import Evidence
from datalad_mrishare.provenance.graph import Lineage
from datalad_mrishare.provenance.sidecars import with_several
from datalad_mrishare.provenance.statements import Attestation, Content
from datalad_mrishare.repo.trees import FILE, LINK, Entry
from datalad_mrishare.sharing.anonymous import undecided
from datalad_mrishare.sharing.facts import Kind, facts_of
from datalad_mrishare.sharing.origins import Origins
from datalad_mrishare.sharing.verdicts import Verdict, hold_back

DAY = date(2026, 3, 1)
INSTITUTION = "{policy: institution}"
NEUTRAL = "derivatives/group/mean_bold.nii.gz"


def key(name: str) -> str:
    return f"SHA256E-s9999--{name}.nii.gz"


def annexed(path: str, name: str) -> Entry:
    return Entry(path, LINK, "0" * 40, 90, key(name))


def in_git(path: str, letter: str) -> Entry:
    return Entry(path, FILE, letter * 40, 9, None)


def raw(*labels: str) -> list[Entry]:
    return [annexed(f"sub-{n}/func/sub-{n}_task-x_bold.nii.gz", f"raw{n}") for n in labels]


def ran(outputs: list[str], inputs: list[str], token: str = "c1", **more: str) -> Activity:
    return Activity(token, "run", Evidence.DECLARED, tuple(inputs), tuple(outputs), **more)


def node(entry: Entry) -> str:
    return entry.key or f"git:{entry.oid}"


def origins(
    entries: list[Entry],
    *activities: Activity,
    past: tuple[tuple[str, str], ...] = (),
    attested: Attestation | None = None,
) -> Origins:
    """Lineage of a tree, and of paths at which contents stood before, all of them at once."""
    paths = [*past, *((node(e), e.path) for e in entries)]
    held = {attested.content.node: attested} if attested else {}
    return Origins(Lineage.build(activities, paths, with_several(past)), held)


def attest(entry: Entry, level: Deid = Deid.ANONYMOUS, *considered: str) -> Attestation:
    content = Content(entry.path, node(entry))
    return Attestation("t", content, level, "looked", DAY, "", considered)


def of(entries: list[Entry], known: Origins, commons: tuple[str, ...] = ()) -> dict[str, set[str]]:
    found = facts_of(entries, lambda _: {}, {}, commons, known)
    return {f.path: set(f.participants) for f in found}


def why(verdicts: list[Verdict]) -> dict[str, list[str]]:
    return {v.facts.path: [r.component for r in v.reasons] for v in verdicts}


TWO = [given("sub-01"), said("sub-02", "refused")]


def test_a_neutral_name_does_not_hide_whose_it_is() -> None:
    mine, theirs = annexed("derivatives/a_bold.nii.gz", "a"), annexed(NEUTRAL, "b")
    tree = [*raw("01", "02"), mine, theirs]
    known = origins(
        tree, ran([key("a")], [key("raw01")]), ran([key("b")], [key("raw01"), key("raw02")], "c2")
    )
    assert of(tree, known)[NEUTRAL] == {"sub-01", "sub-02"}
    found = decided_by(judge(INSTITUTION, *TWO), tree, known)
    assert why(found) == {
        "sub-01/func/sub-01_task-x_bold.nii.gz": [],
        "sub-02/func/sub-02_task-x_bold.nii.gz": ["consent"],
        mine.path: [],
        NEUTRAL: ["consent"],
    }
    (reason,) = found[-1].reasons
    assert reason.participant == "sub-02"
    # by their paths alone nobody knows whose they are
    assert why(decided_by(judge(INSTITUTION, *TWO), tree, None))[NEUTRAL] == ["participant"]


def test_who_keeps_back_an_image_means_what_is_made_of_it_too() -> None:
    head = annexed("sub-01/anat/sub-01_T1w.nii.gz", "head")
    bold = annexed("sub-01/func/sub-01_task-x_bold.nii.gz", "bold")
    step = annexed("derivatives/p/sub-01/sub-01_brain.nii.gz", "step")
    of_head = annexed("derivatives/p/sub-01/func/sub-01_desc-a_bold.nii.gz", "of_head")
    of_bold = annexed("derivatives/p/sub-01/func/sub-01_desc-b_bold.nii.gz", "of_bold")
    tree = [head, bold, step, of_head, of_bold]
    known = origins(
        tree,
        ran([key("step")], [key("head")]),
        ran([key("of_head")], [key("step"), key("bold")], "c2"),
        ran([key("of_bold")], [key("bold")], "c3"),
    )
    kept_back = said("sub-01", "opted-out", scope="suffix=T1w")
    found = why(decided_by(judge(INSTITUTION, given("sub-01"), kept_back), tree, known))
    assert found == {
        head.path: ["consent"],
        bold.path: [],
        step.path: ["consent"],  # a suffix that BIDS does not have may be meant
        of_head.path: ["consent"],
        of_bold.path: [],
    }
    # the other way round: only what was permitted, and what was made of nothing else
    only = given("sub-01", scope="datatype=func suffix=bold")
    found = why(decided_by(judge(INSTITUTION, only), tree, known))
    assert [p for p, reasons in found.items() if not reasons] == [bold.path, of_bold.path]
    assert why(decided_by(judge(INSTITUTION, given("sub-01")), tree, known))[of_head.path] == []


def test_where_it_once_stood_counts_for_content_that_was_renamed() -> None:
    moved = annexed("derivatives/x_bold.nii.gz", "raw02")
    known = origins([moved], past=((key("raw02"), "sub-02/func/sub-02_bold.nii.gz"),))
    assert of([moved], known)[moved.path] == {"sub-02"}
    table = in_git("derivatives/group/scores.csv", "a")
    known = origins([table], past=((node(table), "derivatives/sub-02/scores.csv"),))
    assert of([table], known)[table.path] == {"sub-02"}


@pytest.mark.parametrize("path", ["task-x_bold.json", "dwi.bval", "task-x_events.tsv"])
def test_a_sidecar_of_several_that_was_moved_up_is_nobodys_but_one_that_was_made_is(
    path: str,
) -> None:
    sidecar = in_git(path, "b")
    tree = [*raw("02"), sidecar]
    # of one person alone it may be that one's
    alone = ((node(sidecar), f"sub-02/func/sub-02_{path}"),)
    (_, found) = facts_of(tree, lambda _: {}, {}, (), origins(tree, past=alone))
    assert (found.kind, found.participants) == (Kind.DATA, {"sub-02"})
    past = (*alone, (node(sidecar), f"sub-01/func/sub-01_{path}"))
    (_, found) = facts_of(tree, lambda _: {}, {}, (), origins(tree, past=past))
    assert (found.kind, found.participants) == (Kind.COMMONS, frozenset())
    made = ran([node(sidecar)], [key("raw02")])
    (_, found) = facts_of(tree, lambda _: {}, {}, (), origins(tree, made, past=past))
    assert (found.kind, found.participants) == (Kind.DATA, {"sub-02"})


def test_commons_that_were_made_from_data_are_data_but_for_what_only_describes() -> None:
    names = "README participants.json templates/x.txt CHANGES LICENSE dataset_description.json"
    tree = [in_git(n, c) for n, c in zip(names.split(), "abcdef", strict=True)]
    tree.append(in_git(".datalad/.gitattributes", "1"))
    known = origins([*tree, *raw("02")], ran([node(e) for e in tree], [key("raw02")]))
    found = facts_of(tree, lambda _: {}, {}, ["templates/*"], known)
    assert [f.kind.value for f in found] == ["data"] * 3 + ["commons"] * 4
    assert [len(f.participants) for f in found] == [1] * 3 + [0] * 4


def test_a_table_is_filtered_by_row_and_one_without_rows_is_everyones() -> None:
    rows, plain = in_git("phenotype/a.tsv", "a"), in_git("derivatives/b.tsv", "b")
    scans = in_git("sub-01/sub-01_scans.tsv", "c")
    texts = {
        "a" * 40: b"participant_id\tx\nsub-01\t1\n",
        "b" * 40: b"x\n1\n",
        "c" * 40: b"filename\nx\n",
    }
    tree = [rows, plain, scans]
    known = origins(
        [*tree, *raw("01", "02")], ran([node(e) for e in tree], [key("raw01"), key("raw02")])
    )
    found = facts_of(tree, lambda _: texts, {}, (), known)
    assert [f.kind for f in found] == [Kind.TABLE, Kind.DATA, Kind.TABLE]
    both = {"sub-01", "sub-02"}
    assert [set(f.participants) for f in found] == [set(), both, both]


def spoilt(outputs: list[str]) -> Activity:
    return Activity("m", "merge", Evidence.OPAQUE, (), tuple(outputs), why="it is new in a merge")


def test_opaque_lineage_denies_with_why_and_what_to_do() -> None:
    entry = annexed("sub-01/func/sub-01_task-y_bold.nii.gz", "y")
    known = origins([entry], spoilt([key("y")]))
    (found,) = decided_by(judge(INSTITUTION, given("sub-01")), [entry], known)
    (reason,) = found.reasons
    assert reason.component == "lineage" and "new in a merge" in reason.sentence
    assert "mrishare-provenance" in reason.remedy and "--derived-from" in reason.remedy


def test_a_policy_may_ask_everybody_about_what_is_opaque() -> None:
    entry = annexed(NEUTRAL, "y")
    known = origins([entry], spoilt([key("y")]))
    line = "{policy: institution, opaque: everyone}"
    for rows, expected in (([given("sub-01"), given("sub-02")], []), (TWO, ["consent"])):
        who = judge(line, *rows, everyone=("sub-01", "sub-02"))
        (found,) = decided_by(who, [entry], known)
        assert why([found]) == {NEUTRAL: expected}
        assert found.facts.participants == {"sub-01", "sub-02"}
    # where there is nobody to ask nothing is permitted
    (found,) = decided_by(judge(line, *TWO), [entry], known)
    assert why([found]) == {NEUTRAL: ["participant"]}


def test_a_content_in_no_commit_is_opaque_and_an_empty_one_is_not() -> None:
    entry = annexed("sub-01/func/sub-01_task-x_bold.nii.gz", "raw01")
    (found,) = decided_by(judge(INSTITUTION, given("sub-01")), [entry], origins([]))
    assert [r.component for r in found.reasons] == ["lineage"]
    empty = "SHA256E-s0--e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855.nii.gz"
    entry = entry._replace(key=empty)
    (found,) = decided_by(judge(INSTITUTION, given("sub-01")), [entry], origins([]))
    assert found.permit


def test_path_and_lineage_that_disagree_are_a_finding_even_if_both_permit() -> None:
    lie = annexed("sub-01/func/sub-01_task-z_bold.nii.gz", "z")
    tree = [*raw("01", "02"), lie]
    both = judge(INSTITUTION, given("sub-01"), given("sub-02"))
    known = origins(tree, ran([key("z")], [key("raw02")]))
    assert why(decided_by(both, tree, known))[lie.path] == ["contradiction"]
    # also when the content stood at a path of the other before it was renamed
    past = ((key("z"), "derivatives/sub-02_bold.nii.gz"),)
    known = origins(tree, ran([key("z")], [key("raw02")]), past=past)
    assert why(decided_by(both, tree, known))[lie.path] == ["contradiction"]
    known = origins(tree, ran([key("z")], [key("raw02"), key("raw01")]))
    assert why(decided_by(both, tree, known))[lie.path] == []


def test_one_image_under_two_participants_is_still_an_error() -> None:
    same = [raw("01")[0], raw("02")[0]._replace(key=key("raw01"))]
    both = judge(INSTITUTION, given("sub-01"), given("sub-02"))
    found = why(decided_by(both, same, origins(same)))
    assert list(found.values()) == [["identity"], ["identity"]]


def test_own_storage_keeps_no_derivative_of_a_withdrawal_from_use() -> None:
    group = annexed(NEUTRAL, "g")
    tree = [*raw("01", "02"), group]
    known = origins(tree, ran([key("g")], [key("raw01"), key("raw02")]))
    gone = said("sub-02", "withdrawn", then="stop-use")
    who = judge("{policy: backup}", given("sub-01"), gone)
    assert list(why(decided_by(who, tree, known)).values()) == [[], ["withdrawn"], ["withdrawn"]]


def test_an_attestation_clears_one_content_in_both_directions() -> None:
    image = annexed("sub-01/anat/sub-01_T1w.nii.gz", "t")
    bold = raw("01")[0]
    line = "{policy: registered}"
    who = judge(line, given("sub-01"))
    for entry, level, expected in (
        (image, None, ["deid"]),
        (image, Deid.DEIDENTIFIED, []),
        (image, Deid.PSEUDONYMISED, ["deid"]),
        (bold, None, []),
        (bold, Deid.IDENTIFIABLE, ["deid"]),
    ):
        known = origins([entry], attested=attest(entry, level) if level is not None else None)
        assert why(decided_by(who, [entry], known)) == {entry.path: expected}, (entry.path, level)
    # another version at the same path was not looked at
    newer = image._replace(key=key("newer"))
    known = origins([newer], attested=attest(image, Deid.DEIDENTIFIED))
    assert why(decided_by(who, [newer], known)) == {image.path: ["deid"]}


LABELS = [f"{n:02}" for n in range(1, 13)]


def group(*, used: int = 12, more: tuple[Activity, ...] = (), considered: tuple[str, ...] = ()):
    """A mean over the first ``used`` of twelve, attested anonymous."""
    mean = annexed(NEUTRAL, "mean")
    tree = [*raw(*LABELS), mean]
    made = ran([key("mean")], [key(f"raw{n}") for n in LABELS[:used]])
    known = origins(tree, made, *more, attested=attest(mean, Deid.ANONYMOUS, *considered))
    return tree, known


def test_an_anonymous_result_asks_no_grant_and_brings_nobody_into_a_release() -> None:
    tree, known = group()
    who = judge(INSTITUTION, said("sub-02", "refused"))  # and nothing of the others
    found = decided_by(who, tree, known)
    assert [v.facts.path for v in found if v.permit] == [NEUTRAL]
    assert found[-1].facts.participants == frozenset()
    without = Origins(known.lineage)
    assert not decided_by(who, tree, without)[-1].permit


@pytest.mark.parametrize(
    ("least", "used", "permit"), [(10, 9, False), (10, 10, True), (12, 11, False), (3, 3, True)]
)
def test_enough_participants_are_counted_for_each_sibling_anew(
    least: int, used: int, permit: bool
) -> None:
    tree, known = group(used=used)
    who = judge(f"{{policy: public, min_participants: {least}}}", said("sub-02", "refused"))
    assert decided_by(who, tree, known)[-1].permit is permit


def test_what_is_opaque_or_truncated_is_not_anonymous() -> None:
    tree, known = group(more=(spoilt([key("mean")]),))
    who = judge(INSTITUTION, said("sub-02", "refused"))
    assert [r.component for r in decided_by(who, tree, known)[-1].reasons] == ["lineage"]
    tree, known = group()
    found = decided_by(who, tree, known, findings={key("mean"): "truncated"})
    assert [r.component for r in found[-1].reasons] == ["finding"]


def test_a_later_denial_is_listed_until_somebody_decided_about_it() -> None:
    who = judge(
        INSTITUTION, given("sub-01"), said("sub-02", "withdrawn"), said("sub-13", "refused")
    )
    for considered, expected in (((), [("sub-02",)]), (("r1",), []), (("r9",), [("sub-02",)])):
        tree, known = group(considered=considered)
        facts = facts_of(tree, lambda _: {}, {}, (), known)
        found = list(undecided(facts, who.resolver))
        assert [(u.path, u.participants) for u in found] == [(NEUTRAL, p) for p in expected]
        assert decided_by(who, tree, known)[-1].permit  # it is not dropped silently


@pytest.mark.parametrize("scope", ["path=sub-02/func/*", "datatype=func suffix=bold"])
def test_a_denial_of_some_files_is_one_of_what_was_made_of_them(scope: str) -> None:
    """A result is called otherwise than what it was made from."""
    some = said("sub-02", "opted-out", scope=scope)
    other = said("sub-03", "opted-out", scope="suffix=T1w")
    tree, known = group()
    facts = facts_of(tree, lambda _: {}, {}, (), known)
    (found,) = undecided(facts, judge(INSTITUTION, some, other).resolver)
    assert (found.path, found.participants) == (NEUTRAL, ("sub-02",))


def test_what_waits_is_held_back_at_each_of_its_paths() -> None:
    """A content goes only if it may at all of its paths."""
    tree, known = group()
    again = tree[-1]._replace(path="derivatives/again_bold.nii.gz")
    found = decided_by(judge(INSTITUTION), [*tree, again], known)
    assert [v.permit for v in found[-2:]] == [True, True]
    held = hold_back(found, {NEUTRAL}, lambda _: False)
    assert why(held[-2:]) == {NEUTRAL: ["undecided"], again.path: ["content"]}
    assert hold_back(found, {NEUTRAL}, lambda _: True) == found
