"""Permit or deny: hand-worked cases, and thousands against a naive second opinion."""

from __future__ import annotations

import random
from collections import Counter
from datetime import date
from typing import Any

import pytest

from datalad_mrishare.consent import (
    Deid,
    FileScope,
    Registry,
    Resolver,
    build_record,
    load_forms,
)
from datalad_mrishare.provenance.bids import bids_name
from datalad_mrishare.provenance.participants import participants_in_path
from datalad_mrishare.repo.trees import FILE, GITLINK, LINK, Entry
from datalad_mrishare.sharing.facts import Facts, Kind, facts_of
from datalad_mrishare.sharing.policies import load_policies
from datalad_mrishare.sharing.verdicts import Judge, Verdict, decide

TODAY = date(2026, 5, 3)
GDPR = "obc-gdpr-ult-1.1.0"


def entry(path: str, key: str | None = None) -> Entry:
    """An annexed file; its key is made from its path unless one is given."""
    name = f"SHA256E-s9999--{path.replace('/', '.')}.nii.gz".replace("sub-", "")
    return Entry(path, LINK, "0" * 40, 90, key or name)


def judge(policy: str, *records: dict[str, str], forms: str | None = None) -> Judge:
    """Who decides for a sibling ``m`` (a line of YAML) with these records."""
    known = load_forms(forms)
    rows = [
        build_record({"record": f"r{n}", "recorded": row["from"], **row}, forms=known)
        for n, row in enumerate(records)
    ]
    chosen = load_policies(f"siblings:\n  m: {policy}\n")["m"]
    return Judge(chosen, Resolver(Registry(known, tuple(rows)), TODAY), TODAY)


def given(person: str, form: str = GDPR, **more: str) -> dict[str, str]:
    return {
        "participant_id": person,
        "state": "given",
        "form": form,
        "from": "2026-01-01",
        **more,
    }


def said(person: str, state: str, **more: str) -> dict[str, str]:
    return {"participant_id": person, "state": state, "from": "2026-02-01", **more}


def decided(who: Judge, *entries: Entry, findings: dict[str, str] | None = None) -> list[Verdict]:
    facts = facts_of(entries, lambda _: {}, findings or {}, who.policy.commons)
    return decide(facts, who)


def components(verdicts: list[Verdict]) -> list[list[str]]:
    return [[r.component for r in v.reasons] for v in verdicts]


INSTITUTION = "{policy: institution}"
BOLD, T1W = "sub-01/func/sub-01_bold.nii.gz", "sub-01/anat/sub-01_T1w.nii.gz"


@pytest.mark.parametrize(
    ("policy", "records", "path", "expected"),
    [
        (INSTITUTION, [given("sub-01")], T1W, []),
        (INSTITUTION, [], T1W, ["consent"]),
        (INSTITUTION, [given("sub-02")], T1W, ["consent"]),
        (INSTITUTION, [said("sub-01", "refused")], T1W, ["consent"]),
        (INSTITUTION, [given("sub-01"), said("sub-01", "withdrawn")], T1W, ["consent"]),
        (INSTITUTION, [given("sub-01", scope="datatype=func")], T1W, ["consent"]),
        (INSTITUTION, [given("sub-01", scope="datatype=func")], BOLD, []),
        (INSTITUTION, [given("sub-01", until="2026-05-03")], BOLD, ["consent"]),
        (INSTITUTION, [given("sub-01", until="2026-05-04")], BOLD, []),
        ("{policy: registered}", [given("sub-01")], BOLD, []),
        ("{policy: registered}", [given("sub-01")], T1W, ["deid"]),
        ("{policy: registered}", [given("sub-01", until="2026-05-04")], BOLD, ["until"]),
        ("{policy: public}", [given("sub-01")], BOLD, ["reach", "use", "duty"]),
        ("{policy: public}", [given("sub-01", "obc-ult-1.0.1")], BOLD, []),
        ("{policy: institution, use: GRU}", [given("sub-01")], BOLD, ["use"]),
        ("{policy: institution, duty: DUA}", [given("sub-01")], BOLD, ["duty"]),
        ("{policy: institution, select: {datatype: anat}}", [given("sub-01")], BOLD, ["select"]),
        ("{policy: institution, select: {datatype: anat}}", [given("sub-01")], T1W, []),
        (INSTITUTION, [], "notes.nii.gz", ["participant"]),
        (INSTITUTION, [given("sub-01")], "sourcedata/sub-01/x.nii.gz", ["excluded"]),
        ("{policy: backup}", [], T1W, []),
        ("{policy: backup}", [said("sub-01", "refused")], T1W, []),
        ("{policy: backup}", [said("sub-01", "opted-out")], T1W, []),
        ("{policy: backup}", [said("sub-01", "withdrawn", then="stop-sharing")], T1W, []),
        ("{policy: backup}", [said("sub-01", "withdrawn")], T1W, ["withdrawn"]),
        ("{policy: backup}", [said("sub-01", "withdrawn", then="erase")], T1W, ["withdrawn"]),
    ],
)
def test_one_file(policy: str, records: list, path: str, expected: list[str]) -> None:
    assert components(decided(judge(policy, *records), entry(path))) == [expected]


def test_everyone_in_a_file_has_to_permit() -> None:
    who = judge(INSTITUTION, given("sub-01"), given("sub-02"), said("sub-03", "refused"))
    paths = ["sub-01_sub-02_map.nii.gz", "sub-01_sub-03_map.nii.gz", "sub-01_sub-04_map.nii.gz"]
    verdicts = decided(who, *(entry(f"derivatives/x/{p}") for p in paths))
    assert [v.permit for v in verdicts] == [True, False, False]
    assert [r.participant for r in verdicts[1].reasons] == ["sub-03"]


def test_content_that_is_withheld_anywhere_is_withheld_everywhere() -> None:
    who = judge(INSTITUTION, given("sub-01"), given("sub-02", scope="datatype=func"))
    same = "SHA256E-s5--aa.json"
    verdicts = decided(
        who,
        entry("sub-01/anat/sub-01_T1w.json", same),
        entry("sub-02/anat/sub-02_T1w.json", same),
        entry("templates/x.json", same),
        entry(BOLD),
    )
    assert components(verdicts) == [["content"], ["consent"], ["participant"], []]


def test_one_content_may_have_several_keys() -> None:
    who = judge(INSTITUTION, given("sub-01"), given("sub-03"))
    digest = "0123456789abcdef" * 4
    keys = (
        f"SHA256E-s9999--{digest}.nii.gz",
        f"SHA256-s9999--{digest}",
        f"SHA256E-s9999--{digest}",
    )
    for key in keys:
        verdicts = decided(who, entry("sub-02/anat/sub-02_T1w.nii.gz", keys[0]), entry(T1W, key))
        assert not any(v.permit for v in verdicts), key
    # both permit, and one of them is not who they are said to be
    third = "sub-03/anat/sub-03_T1w.nii.gz"
    assert (
        components(decided(who, entry(T1W, keys[0]), entry(third, keys[1]))) == [["identity"]] * 2
    )


def test_commons_never_carry_withheld_content() -> None:
    who = judge("{policy: institution, commons: [templates/*]}", given("sub-01"))
    same = entry("sub-02/anat/sub-02_T1w.nii.gz").key
    verdicts = decided(who, entry("templates/x.nii.gz", same), entry("sub-02/x.nii.gz", same))
    assert not any(v.permit for v in verdicts)


def test_the_same_image_under_two_people_is_an_error_even_when_both_permit() -> None:
    who = judge(INSTITUTION, given("sub-01"), given("sub-02"))
    big, small = "SHA256E-s4096--aa.nii.gz", "SHA256E-s4095--aa.nii.gz"
    other = "sub-02/anat/sub-02_T1w.nii.gz"
    assert components(decided(who, entry(T1W, big), entry(other, big))) == [["identity"]] * 2
    assert components(decided(who, entry(T1W, small), entry(other, small))) == [[], []]
    text = "SHA256E-s4096--aa.json"
    both = decided(who, entry("sub-01/a.json", text), entry("sub-02/a.json", text))
    assert components(both) == [[], []]
    # one person, or one in both, is no contradiction
    assert components(decided(who, entry(T1W, big), entry(f"derivatives/x/{T1W}", big))) == [[], []]
    pair = entry("derivatives/x/sub-01_sub-02_T1w.nii.gz", big)
    assert components(decided(who, entry(T1W, big), pair)) == [[], []]


def test_a_finding_withholds_and_so_does_a_subdataset() -> None:
    who = judge(INSTITUTION, given("sub-01"))
    image = entry(T1W)
    assert components(decided(who, image, findings={image.key or "": "truncated"})) == [["finding"]]
    sub = Entry("sub", GITLINK, "0" * 40, 0)
    assert components(decided(who, sub)) == [["subdataset"]]


def test_a_table_of_one_participant_follows_their_consent() -> None:
    who = judge(INSTITUTION, given("sub-01"), said("sub-02", "refused"))
    table = b"filename\n"
    entries = [Entry(f"{p}/{p}_scans.tsv", FILE, p, 9) for p in ("sub-01", "sub-02")]
    verdicts = decide(facts_of(entries, lambda es: {e.oid: table for e in es}, {}), who)
    assert [v.facts.kind for v in verdicts] == [Kind.TABLE, Kind.TABLE]
    assert components(verdicts) == [[], ["consent"]]


def test_a_sentence_for_records_tells_no_decision() -> None:
    who = judge("{policy: public}", said("sub-01", "refused", evidence="x"), given("sub-02"))
    for v in decided(who, entry(T1W), entry("sub-02/func/sub-02_bold.nii.gz")):
        for reason in v.reasons:
            for word in ("refused", "withdr", "opted", "2026", "r0", GDPR):
                assert word not in reason.sentence + reason.remedy


# --- the second opinion ---------------------------------------------------------------

FORMS = """
f-wide: {reach: public, use: NRES}
f-public: {reach: public, use: GRU}
f-hmb: {reach: registered, use: HMB, duty: DUA}
f-close: {reach: institution, use: GRU, region: [DE]}
f-eu: {reach: public, use: GRU, region: [DE, FR]}
f-clean: {reach: public, use: GRU, deid: deidentified}
f-ends: {reach: public, use: GRU, until: 2026-09-01}
f-over: {reach: public, use: GRU, until: 2026-05-03}
f-nothing: {use: GRU}
"""
REACH = "own institution consortium registered public".split()
CLEAN = "identifiable pseudonymised deidentified anonymous".split()
BELOW = {
    "NRES": {"NRES", "GRU", "HMB"},
    "GRU": {"GRU", "HMB"},
    "HMB": {"HMB"},
}
PERMITS: dict[str, dict[str, Any]] = {
    "f-wide": {"reach": "public", "use": "NRES"},
    "f-public": {"reach": "public", "use": "GRU"},
    "f-hmb": {"reach": "registered", "use": "HMB", "duty": {"DUA"}},
    "f-close": {"reach": "institution", "use": "GRU", "region": {"DE"}},
    "f-eu": {"reach": "public", "use": "GRU", "region": {"DE", "FR"}},
    "f-clean": {"reach": "public", "use": "GRU", "deid": "deidentified"},
    "f-ends": {"reach": "public", "use": "GRU", "until": "2026-09-01"},
    "f-over": {"reach": "public", "use": "GRU", "until": "2026-05-03"},
    "f-nothing": {"reach": "own", "use": "GRU"},
}


def why_not(policy: dict[str, Any], form: str | None, clean: str) -> set[str]:
    """Per person and component, as one would do it on paper."""
    if form is None or PERMITS[form]["reach"] == "own":
        return {"consent"}
    may = PERMITS[form]
    end, stays = may.get("until"), policy.get("until", "9999")
    found = {
        "reach": REACH.index(policy["reach"]) > REACH.index(may["reach"]),
        "use": policy["use"] not in BELOW[may["use"]],
        "region": "region" in may and not policy.get("region", {"any"}) <= may["region"],
        "duty": not may.get("duty", set()) <= policy["duty"],
        "until": bool(end) and not (policy["recall"] == "yes" or stays <= end),
        "deid": CLEAN.index(clean)
        < max(CLEAN.index(policy["deid"]), CLEAN.index(may.get("deid", CLEAN[0]))),
    }
    return {"consent"} if end == "2026-05-03" else {c for c, fails in found.items() if fails}


def random_case(rng: random.Random) -> tuple[dict, dict[str, str | None], list[dict], list[str]]:
    """A policy, what each person permits in the end, their records, the paths."""
    policy: dict[str, Any] = {
        "reach": rng.choice([REACH[1], *REACH[1:]]),
        "use": rng.choice(["HMB", "HMB", "HMB", "GRU", "NRES"]),
        "duty": {"NRI", *rng.choice([["DUA"], ["DUA", "IRB"], []])},
        "deid": rng.choice([CLEAN[0], CLEAN[0], *CLEAN[:3]]),
        "recall": rng.choice(["yes", "no"]),
    }
    if rng.random() < 0.8:
        policy["region"] = set(rng.choice([["DE"], ["DE", "FR"], ["US"]]))
    if rng.random() < 0.4:
        policy["until"] = rng.choice(["2026-06-01", "2026-12-01"])
    forms: dict[str, str | None] = {}
    records: list[dict] = []
    for person in ("sub-01", "sub-02", "sub-03"):
        form = rng.choice([*PERMITS, "f-wide", "f-wide", "f-public", "f-eu", "f-hmb"])
        story = rng.choice(["given"] * 25 + ["none", "refused", "withdrew", "again", "later"])
        forms[person] = form if story in ("given", "again") else None
        token = f"d{person[4:]}"
        if story not in ("none", "refused", "later"):
            records.append(given(person, form if story != "again" else "f-wide"))
        if story in ("refused", "withdrew", "again"):
            state = "refused" if story == "refused" else "withdrawn"
            records.append(said(person, state, record=token))
        if story == "again":
            records.append(given(person, form, **{"from": "2026-03-01", "lifts": token}))
        if story == "later":
            records.append(given(person, form, **{"from": "2026-05-04"}))
    kinds = ["anat/{}_T1w.nii.gz", "func/{}_bold.nii.gz", "anat/{0}_run-2_T1w.nii.gz"]
    paths = [f"{p}/{rng.choice(kinds).format(p)}" for p in forms]
    paths += ["derivatives/x/sub-01_sub-02_bold.nii.gz", "derivatives/x/sub-02_sub-03_T1w.nii.gz"]
    return policy, forms, records, paths


@pytest.mark.slow
def test_thousands_of_cases_against_a_naive_second_opinion() -> None:
    rng = random.Random(20260503)
    seen: Counter[str] = Counter()
    for number in range(2100):
        policy, forms, records, paths = random_case(rng)
        rng.shuffle(records)
        words = {k: sorted(v) if isinstance(v, set) else v for k, v in policy.items()}
        who = judge(str(words).replace("'yes'", "yes").replace("'no'", "no"), *records, forms=FORMS)
        entries = [entry(p) for p in paths]
        if rng.random() < 0.3:  # the same content a second time, somewhere else
            entries.append(entry("derivatives/x/sub-03_bold.nii.gz", entries[0].key))
        expected = []
        for e in entries:
            clean = "deidentified" if "bold" in e.path else "identifiable"
            people = [f"sub-0{n}" for n in (1, 2, 3) if f"sub-0{n}" in e.path]
            expected.append(set().union(*(why_not(policy, forms[p], clean) for p in people)))
        if len(entries) > len(paths):
            expected[0], expected[-1] = expected[0] | {"identity"}, expected[-1] | {"identity"}
        verdicts = decided(who, *entries)
        for v, reasons in zip(verdicts, expected, strict=True):
            assert {r.component for r in v.reasons} == reasons, (number, v, policy, records)
            seen["permit" if v.permit else "deny"] += 1
            if len(reasons) == 1:
                seen[f"only {next(iter(reasons))}"] += 1
    total = seen["permit"] + seen["deny"]
    assert total > 10_000 and seen["permit"] > 0.2 * total and seen["deny"] > 0.2 * total, seen
    for component in ("reach", "use", "region", "duty", "until", "deid", "consent", "identity"):
        assert seen[f"only {component}"] >= 50, seen


def test_what_the_name_says_is_what_the_facts_hold() -> None:
    facts = Facts(
        entry(BOLD),
        Kind.DATA,
        participants_in_path(BOLD),
        FileScope(None, "func", "bold", BOLD),
        Deid.DEIDENTIFIED,
        9999,
    )
    assert facts_of([entry(BOLD)], lambda _: {}, {}) == [facts]
    assert bids_name(BOLD).suffix == "bold"


@pytest.mark.parametrize(
    "key",
    [
        "WORM-s9999-m1--Jane_Doe.nii.gz",
        "URL-s9999--http&c%%xnat.hospital.example%7",
        "VURL--http&c%%xnat.hospital.example%7",
        "XMINE-s9999--0815",
        "GIT--0815",
    ],
)
def test_content_named_after_anything_but_its_checksum_stays(key: str) -> None:
    image, nobodys = entry("sub-01/anat/sub-01_T1w.nii.gz", key), entry("templates/mni", key + "2")
    shared = judge("{policy: institution, commons: [templates/*]}", given("sub-01"))
    assert components(decided(shared, image, nobodys)) == [["finding"], ["finding"]]
    assert components(decided(judge("{policy: backup}", given("sub-01")), image)) == [[]]
    assert components(decided(shared, entry("sub-01/anat/sub-01_T1w.nii.gz"))) == [[]]
    assert components(decided(judge("{policy: institution}"), image)) == [["consent"]]
