"""Words, order and comparison of grants, against values worked out by hand."""

from __future__ import annotations

import json
from datetime import date

import pytest

from datalad_mrishare.consent import (
    ANYWHERE,
    BOTTOM,
    TOP,
    Deid,
    Reach,
    Use,
    duo,
    failing,
    grant_fields,
    load_forms,
    meet,
    parse_duty,
    parse_grant,
    parse_region,
)
from datalad_mrishare.consent.forms import check_forms, shipped_document
from datalad_mrishare.errors import InputError

X, Y = "DS:MONDO:0005148", "DS:MONDO:0004975"


def use(*words: str) -> Use:
    return Use.parse(list(words))


@pytest.mark.parametrize(
    ("low", "high"),
    [
        ((X,), ("HMB",)),
        (("HMB",), ("GRU",)),
        (("GRU",), ("NRES",)),
        (("POA",), ("GRU",)),
        ((X, "POA"), ("HMB", "POA")),
        ((), (X,)),
        (("HMB", "POA"), ("GRU",)),
    ],
)
def test_purposes_below(low, high) -> None:
    assert use(*low) <= use(*high) and not use(*high) <= use(*low)
    assert use(*low) & use(*high) == use(*low)


def test_purposes_apart() -> None:
    assert not use("POA") <= use("HMB") and not use("HMB") <= use("POA")
    assert use(X) & use(Y) == use() and use("HMB") & use("POA") == use()
    assert use("POA", X) & use("HMB") == use(X)
    assert use(X, "HMB") == use("HMB")
    assert use("DUO:0000042") == use("GRU")
    assert use("DUO:0000007:MONDO:0005148").words == (X,)
    assert use("GRU", X).words == ("GRU",)
    assert use("HMB", "POA").duo == ("DUO:0000006", "DUO:0000011")
    assert use(X).duo == ("DUO:0000007:MONDO:0005148",)


@pytest.mark.parametrize("word", ["GRUU", "DS", "DS:MONDO:1", "DS:OMIM:1", "IRB", "gru", "NMDS"])
def test_purposes_refused(word: str) -> None:
    with pytest.raises(InputError):
        use(word)


def test_regions() -> None:
    assert len(ANYWHERE) == 249 and len(parse_region("EEA")) == 30
    assert parse_region("EEA") & parse_region("adequate") == frozenset()
    assert {"DE", "NO"} < parse_region("EEA") and "GB" not in parse_region("EEA")
    assert {"CH", "GB"} < parse_region("adequate") and "US" not in parse_region("adequate")
    for word in ("UK", "XX", "eea", "EU"):
        with pytest.raises(InputError, match="unknown region"):
            parse_region(word)


def test_duties() -> None:
    assert parse_duty("NPUNCU") == {"NPU", "NCU"} == parse_duty("DUO:0000018")
    assert parse_duty(["DUO:0000021", "NRI"]) == {"IRB", "NRI"}
    for word in ("GRU", "NRX", "GS"):
        with pytest.raises(InputError):
            parse_duty(word)


def test_table_of_duo() -> None:
    found = {term.shorthand: term.id for term in duo.terms().values()}
    assert found["NPU"] == "DUO:0000045" and found["NPUNCU"] == "DUO:0000018"
    assert len(found) == 23 and len(set(found.values())) == 23


def test_levels() -> None:
    assert Reach.OWN < Reach.INSTITUTION < Reach.CONSORTIUM < Reach.REGISTERED < Reach.PUBLIC
    assert Deid.IDENTIFIABLE < Deid.PSEUDONYMISED < Deid.DEIDENTIFIED < Deid.ANONYMOUS
    assert Reach.parse("public").word == "public"
    with pytest.raises(InputError, match="Did you mean `public`"):
        Reach.parse("Public")
    assert {TOP: 1}[parse_grant({"reach": "public", "use": "NRES"})] == 1


def test_a_grant_that_permits_nothing_always_fails() -> None:
    public = parse_grant({"reach": "public", "use": "GRU"})
    empty_use = meet(*(parse_grant({"reach": "public", "use": word}) for word in (X, Y)))
    empty_region = meet(*(parse_grant({"reach": "public", "use": "NRES", "region": r})
                          for r in ("DE", "FR")))  # fmt: skip
    for grant, component in [(BOTTOM, "reach"), (empty_use, "use"), (empty_region, "region")]:
        assert grant.is_bottom
        for policy in (public, grant, BOTTOM, TOP):
            found = failing(
                policy, grant, at=date(2026, 5, 3), recall=True, clearance=Deid.ANONYMOUS
            )
            assert component in [failure.component for failure in found]


def test_shipped_forms_fit_the_schema() -> None:
    document = shipped_document()
    assert len(document.value) >= 5
    check_forms(document)
    (name, *_) = document.value
    document.value[name]["raech"] = "public"
    with pytest.raises(InputError, match="raech"):
        check_forms(document)


def test_shipped_forms() -> None:
    """What DESIGN and the Open Brain Consent page on DUO say."""
    expected = {
        "obc-ult-1.0.1": ("public", ("GRU",), ()),
        "obc-ult-2t-1.0.1-public": ("public", ("GRU",), ()),
        "obc-ult-2t-1.0.1-controlled": ("registered", ("GRU",), ("US",)),
        "obc-gdpr-ult-1.1.0": ("registered", ("HMB",), ("DUA", "NRI")),
        "mii-broad-1.6d": ("registered", ("HMB",), ("DUA", "IRB", "NRI", "PS")),
    }
    forms = load_forms()
    for name, (reach, uses, duty) in expected.items():
        grant = forms[name].grant
        assert (grant.reach.word, grant.words("use"), grant.words("duty")) == (reach, uses, duty)
    assert set(forms) == set(expected)
    for form in forms.values():
        assert form.title and form.version and form.source and form.withdrawal


def test_forms_of_a_dataset() -> None:
    forms = load_forms(
        "ours: {extends: base, region: [NO, DE], version: 1.10}\n"
        "base: {extends: obc-gdpr-ult-1.1.0, duty: [], until: 2030-01-01, term_years: 5}\n"
        "bare:\n  title: says nothing\n"
    )
    ours = forms["ours"]
    assert ours.grant.region == {"NO", "DE"} and ours.version == "1.10"
    assert ours.grant.words("use") == ("HMB",) and ours.grant.duty == frozenset()
    assert ours.end(date(2024, 2, 29), None) == date(2029, 2, 28)
    assert ours.end(date(2027, 1, 1), None) == date(2030, 1, 1)
    assert forms["bare"].grant.is_bottom and forms["bare"].grant.region == ANYWHERE
    assert load_forms("") == load_forms() == load_forms(None)


@pytest.mark.parametrize(
    ("text", "place", "reason"),
    [
        ("a: {reach: publc, use: GRU}\n", "line 1, column 5", "Did you mean `public`"),
        ("a: {reach: public, uses: GRU}\n", "line 1, column 20", "Did you mean `use`"),
        ("a:\n  use: GRUU\n", "line 2, column 3", "unknown DUO term"),
        ("a: {region: UK}\n", "line 1, column 5", "unknown region"),
        ("a: {duty: [DUA, X]}\n", "line 1, column 5", "unknown duty"),
        ("a: {until: 3.5.2026}\n", "line 1, column 5", "until"),
        ("a: {until: 2026-02-30}\n", "line 1, column 5", "calendar"),
        ("a: {use: {b: c}}\n", "line 1, column 5", "a word or a list"),
        ("a: {term_years: 0}\n", "line 1, column 5", "term_years"),
        ("a: {extends: b}\nb: {extends: a}\n", "line 2, column 5", "circle: a -> b -> a"),
        ("a: {extends: a}\n", "line 1, column 5", "circle"),
        ("a: {extends: obc}\n", "line 1, column 5", "unknown form"),
        ("obc-ult-1.0.1: {reach: public}\n", "line 1, column 1", "shipped"),
        ("a: {reach: own}\na: {reach: public}\n", "line 2, column 1", "given twice"),
        ("a: &x {reach: own}\nb: *x\n", "line 1, column 4", "anchors"),
        ("a: {<<: {reach: public}}\n", "line 1, column 5", "unknown key"),
        ("a: !x {}\n", "line 1, column 4", "tag"),
        ("- a\n", "line 1, column 1", "expected"),
        ("a: 3\n", "line 1, column 1", "expected object"),
        ("a b: {}\n", "line 1", "expected"),
        ("a: {}\n---\nb: {}\n", "line 2, column 1", "more than one document"),
        ("a: [\n", "line 2, column 1", "not valid YAML"),
        ("a: {title: '\x00'}\n", "forms.yaml", "not valid YAML"),
    ],
)
def test_forms_refused(text: str, place: str, reason: str) -> None:
    with pytest.raises(InputError) as caught:
        load_forms(text, "forms.yaml")
    assert place in str(caught.value) and reason in str(caught.value)


def test_the_schema_is_a_schema() -> None:
    from jsonschema import Draft202012Validator

    Draft202012Validator.check_schema(json.loads(duo.resource("forms.schema.json")))


def test_fields_of_a_key() -> None:
    grant = parse_grant({"reach": "registered", "use": "GRU", "region": "EEA CH", "duty": "DUA"})
    assert grant_fields(grant, ["sub-01"], ["mirror"]) == {
        "mrishare-participant": {"sub-01"},
        "mrishare-reach": {"registered"},
        "mrishare-use": {"GRU", "HMB", "POA"},
        "mrishare-region": {"EEA", "CH"},
        "mrishare-duty": {"DUA"},
        "mrishare-share": {"mirror"},
    }
