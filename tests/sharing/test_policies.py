"""Policies as they are written, sizes and selections; a typo is an error with its line."""

from __future__ import annotations

from datetime import date

import pytest

from datalad_mrishare.consent import Deid, Reach
from datalad_mrishare.errors import InputError, SiblingError
from datalad_mrishare.sharing.agreements import Agreement
from datalad_mrishare.sharing.digests import policy_digest
from datalad_mrishare.sharing.policies import (
    Policy,
    format_size,
    load_policies,
    parse_select,
    parse_size,
    policy_of,
    presets,
)


def policy(*lines: str) -> Policy:
    """The one policy ``m`` whose fields are ``lines``; they start in line 3."""
    text = "siblings:\n  m:\n" + "".join(f"    {line}\n" for line in lines)
    return load_policies(text)["m"]


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("1", 1),
        ("40GB", 40 * 10**9),
        ("40 gb", 40 * 10**9),
        ("40G", 40 * 10**9),
        ("1kB", 1000),
        ("1KiB", 1024),
        ("1.5 MiB", 1_572_864),
        ("2TiB", 2 * 2**40),
        (" 7 B ", 7),
        ("9007199254740993", 9007199254740993),
        ("0.3 PB", 3 * 10**14),
        ("9" * 400 + "GB", int("9" * 400) * 10**9),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["", "GB", "-1", "-5GB", "1e9", "40 GB 2", "1,5GB", "40XB", "0x10", "inf", "nan", "٣GB"]
)
def test_what_is_not_a_size_is_an_error(text: str) -> None:
    with pytest.raises(InputError, match="is not a size"):
        parse_size(text, "--budget")


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1000, "1.0 kB"),
        (999_949, "999.9 kB"),
        (999_950, "1.0 MB"),
        (2 * 10**15, "2.0 PB"),
    ],
)
def test_sizes_for_people(count: int, text: str) -> None:
    assert format_size(count) == text


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, {}),
        ("datatype=anat suffix=T1w,T2w", {"datatype": ("anat",), "suffix": ("T1w", "T2w")}),
        (["sub=01", "sub=02"], {"sub": ("01", "02")}),
        ({"task": ["rest", "x"]}, {"task": ("rest", "x")}),
        ({"extension": ".nii.gz"}, {"extension": (".nii.gz",)}),
    ],
)
def test_selections(value: object, expected: dict) -> None:
    assert parse_select(value) == expected


@pytest.mark.parametrize("value", ["anat", "datatype=", "=anat", "datatyp=anat", {"sufix": "T1w"}])
def test_a_selection_with_a_typo_is_an_error(value: object) -> None:
    with pytest.raises(InputError, match=r"selects nothing|unknown entity"):
        parse_select(value, "--select")


def test_every_preset_is_a_policy() -> None:
    """The table of DESIGN.md, section 4, by hand."""
    expected = {
        "backup": (Reach.OWN, (), set(), Deid.IDENTIFIABLE, True),
        "institution": (
            Reach.INSTITUTION,
            ("HMB",),
            {"DUA", "NRI", "US"},
            Deid.IDENTIFIABLE,
            True,
        ),
        "consortium": (Reach.CONSORTIUM, ("HMB",), {"DUA", "NRI", "US"}, Deid.PSEUDONYMISED, True),
        "registered": (
            Reach.REGISTERED,
            ("HMB",),
            {"DUA", "NRI", "IRB", "US"},
            Deid.DEIDENTIFIED,
            False,
        ),
        "public": (Reach.PUBLIC, ("GRU",), set(), Deid.DEIDENTIFIED, False),
    }
    assert set(presets()) == set(expected)
    for name, (reach, use, duty, deid, recall) in expected.items():
        found = policy(f"policy: {name}")
        grant = found.grant
        assert (grant.reach, grant.words("use"), set(grant.duty)) == (reach, use, duty), name
        assert (grant.deid, found.recall, found.own) == (deid, recall, reach is Reach.OWN), name


def test_what_is_not_said_is_the_widest_claim() -> None:
    found = policy("reach: public", "use: GRU")
    assert found.grant.region == policy("reach: public", "use: GRU", "region: any").grant.region
    assert (found.grant.until, found.grant.deid) == (None, Deid.DEIDENTIFIED)
    assert (found.recall, found.budget, found.unit) == (False, None, "participant")


def test_a_policy_changes_its_preset() -> None:
    lines = ("policy: public", "deid: anonymous", "budget: 40GB", "select: {datatype: [func]}")
    found = policy(*lines, "columns: [age, date of birth]", "recall: yes", "unit: session")
    assert (found.grant.deid, found.budget, found.recall) == (Deid.ANONYMOUS, 40 * 10**9, True)
    assert (found.select, found.unit) == ({"datatype": ("func",)}, "session")
    assert found.columns == ("age", "date of birth")


def test_an_agreement_and_encryption() -> None:
    plain = policy("policy: institution")
    assert (plain.dua, plain.encryption) == (None, False)
    assert policy("policy: institution", "encryption: none").encryption is False
    assert policy("policy: backup", "encryption: required").encryption is True
    day = date(2028, 1, 1)
    found = policy("policy: institution", "dua: {reference: 2026-017, until: 2028-01-01}").dua
    assert found == Agreement("2026-017", day)
    assert found.lapse(date(2027, 12, 31)) is None and "2026-017" in (found.lapse(day) or "")
    without_end = policy("policy: institution", "dua: {reference: A 7, until: open}").dua
    assert without_end == Agreement("A 7") and without_end.lapse(date.max) is None
    missing = policy("policy: institution", "dua: required").dua
    assert missing == Agreement() and "names none" in (missing.lapse(date.min) or "")


def test_an_event_tells_policies_apart_by_their_promises() -> None:
    lines = (
        "dua: required",
        "dua: {reference: A, until: open}",
        "encryption: required",
        "unit: file",
    )
    digests = [policy_digest(policy("policy: institution", line)) for line in lines]
    assert len({*digests}) == 4 and digests[3] == policy_digest(policy("policy: institution"))


def test_a_pattern_is_never_taken_apart() -> None:
    """``commons: code/*`` was once read letter by letter, and ``*`` matches everything."""
    assert policy("policy: public", "commons: code/*").commons == ("code/*",)
    assert policy("policy: public", "commons: [code/*, my stats *.txt]").commons == (
        "code/*",
        "my stats *.txt",
    )
    for wrong in ("stats *", "{a: b}", "[[a]]", "[]x"):
        with pytest.raises(InputError):
            policy("policy: public", f"commons: {wrong}")


@pytest.mark.parametrize(
    ("lines", "line", "what"),
    [
        (["policy: publc"], 3, "unknown policy preset"),
        (["policy: public", "reech: own"], 4, "unknown policy field"),
        (["reach: world", "use: GRU"], 3, "unknown reach"),
        (["use: GRU"], 2, "says no `reach`"),
        (["reach: public"], 2, "says no `use`"),
        (["reach: public", "use: []"], 2, "says no `use`"),
        (["reach: public", "use: GRUU"], 4, "GRUU"),
        (["policy: public", "duty: NICE"], 4, "unknown duty"),
        (["policy: public", "region: XX"], 4, "XX"),
        (["policy: public", "until: 03.05.2026"], 4, "is not a date"),
        (["policy: public", "deid: clean"], 4, "unknown level of de-identification"),
        (["policy: public", "recall: maybe"], 4, "`yes` or `no`"),
        (["policy: public", "recall: true"], 4, "`yes` or `no`"),
        (["policy: public", "budget: lots"], 4, "is not a size"),
        (["policy: public", "unit: sub"], 4, "unknown value"),
        (["policy: public", "min_participants: 0"], 4, "number of participants"),
        (["policy: public", "min_participants: ²"], 4, "number of participants"),
        (["policy: public", "select: {sufix: T1w}"], 4, "unknown entity"),
        (["policy: institution", "dua: agreement.pdf"], 4, "is no data use agreement"),
        (["policy: institution", "dua: requierd"], 4, "is no data use agreement"),
        (["policy: institution", "dua: []"], 4, "is no data use agreement"),
        (["policy: institution", "dua: {}"], 4, "names no agreement"),
        (["policy: institution", "dua: {until: 2030-01-01}"], 4, "names no agreement"),
        (["policy: institution", "dua: {reference: '', until: open}"], 4, "names no agreement"),
        (["policy: institution", "dua: {reference: [A], until: open}"], 4, "names no agreement"),
        (["policy: institution", "dua: {reference: A}"], 4, "until when it holds"),
        (["policy: institution", "dua: {reference: A, until: never}"], 4, "is not a date"),
        (["policy: institution", "dua: {reference: A, until: 2030-02-30}"], 4, "not a day"),
        (["policy: institution", "dua: {reference: A, untill: open}"], 4, "unknown field of"),
        (["policy: public", "dua: required"], 4, "promises no DUA"),
        (["policy: public", "encryption: gpg"], 4, "unknown value"),
        (["policy: public", "encryption: yes"], 4, "unknown value"),
        (["policy: public", "encryption: [required]"], 4, "unknown value"),
        (["policy: public", "policy: backup"], 4, "given twice"),
        (["- public"], 2, "a policy is a mapping"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_mistake_is_an_error_that_names_its_line(lines: list[str], line: int, what: str) -> None:
    with pytest.raises(InputError) as caught:
        policy(*lines)
    assert what in str(caught.value) and f"line {line}" in str(caught.value)


@pytest.mark.parametrize("text", ["[]", "siblings: []", "other: {}", "siblings: {}\nmore: 1", "x"])
def test_the_file_holds_siblings_and_nothing_else(text: str) -> None:
    with pytest.raises(InputError):
        load_policies(text)


@pytest.mark.parametrize("name", ["../up", ".hidden", "a/b", "a b", "hooks"])
def test_a_name_that_is_a_path_is_an_error(name: str) -> None:
    with pytest.raises(InputError):
        load_policies(f"siblings:\n  '{name}': {{policy: public}}\n")


def test_a_sibling_without_a_policy_gets_nothing() -> None:
    assert load_policies(None) == {}
    with pytest.raises(SiblingError, match="has no policy"):
        policy_of({}, "m")


def test_a_release_tells_the_terms_and_no_place() -> None:
    lines = ("policy: institution", "budget: 40GB", "columns: [age]", "url: /srv/secret")
    lines += ("dua: {reference: secret, until: 2028-01-01}", "encryption: required")
    told = policy(*lines).public_form()
    assert set(told) == {"reach", "use", "region", "duty", "deid", "recall"}
    assert "secret" not in str(told)
