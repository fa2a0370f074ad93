"""FHIR R5 Consent: what is read, and what is refused with its JSON path."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest

from datalad_mrishare.consent import (
    By,
    ImportResult,
    Registry,
    Resolver,
    State,
    Then,
    import_records,
    load_forms,
    parse_map,
)
from datalad_mrishare.errors import InputError

TODAY = date(2026, 5, 3)
FORMS = load_forms("health-public: {reach: public, use: HMB, duty: NCU}\n")
PEOPLE = {f"sub-{number:02}" for number in range(1, 21)}
DUO = "http://purl.obolibrary.org/obo/duo.owl"
REASON = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
ACTION = "http://terminology.hl7.org/CodeSystem/consentaction"
MAP = f"""\
format: fhir
participant: {{prefix: sub-, digits: 2}}
form:
  https://hospital.example/consent/3: health-public
  https://hospital.example/consent/2: obc-ult-1.0.1
  "urn:law|GDPR": n/a
by: {{RelatedPerson: guardian}}
purposes: {{"{REASON}|HRESCH": HMB}}
actions: ["{ACTION}|disclose"]
inactive: withdrawn
then: stop-sharing
skip: [draft]
ignore_resources: [Patient]
"""

#: everything denied but health research: how R5 says what was consented to, with limits
CONSENT: dict[str, Any] = {
    "resourceType": "Consent",
    "id": "c7",
    "meta": {"lastUpdated": "2026-04-01T10:00:00+02:00", "versionId": "2"},
    "text": {"status": "generated", "div": "<div>...</div>"},
    "status": "active",
    "category": [{"coding": [{"system": "http://loinc.org", "code": "59284-0"}]}],
    "subject": {"reference": "Patient/7", "display": "somebody"},
    "date": "2024-03-01",
    "period": {"start": "2024-03-01", "end": "2034-02-28"},
    "grantor": [{"reference": "Patient/7"}],
    "controller": [{"reference": "Organization/1"}],
    "sourceReference": [{"reference": "DocumentReference/55"}],
    "regulatoryBasis": [{"coding": [{"system": "urn:law", "code": "GDPR"}]}],
    "policyBasis": {"url": "https://hospital.example/consent/3"},
    "verification": [{"verified": True, "verificationDate": ["2024-03-01"]}],
    "decision": "deny",
    "provision": [
        {
            "period": {"start": "2024-03-02"},
            "action": [{"coding": [{"system": ACTION, "code": "disclose"}]}],
            "purpose": [{"system": DUO, "code": "DUO:0000006"}],
        }
    ],
}


def bundle(*consents: dict[str, Any], **more: Any) -> dict[str, Any]:
    entries = [{"fullUrl": f"urn:{n}", "resource": c} for n, c in enumerate(consents)]
    return {"resourceType": "Bundle", "type": "collection", "entry": entries, **more}


def changed(change: Callable[[dict[str, Any]], Any], base: dict[str, Any] = CONSENT) -> dict:
    found = copy.deepcopy(base)
    change(found)
    return found


def plain(**values: Any) -> dict[str, Any]:
    """A Consent without limits."""
    base = {k: v for k, v in CONSENT.items() if k != "provision"}
    return {k: v for k, v in {**base, "decision": "permit", **values}.items() if v is not None}


def read(data: Any, mapping: str | None = MAP, existing=(), name: str = "c.json") -> ImportResult:
    text = data if isinstance(data, str | bytes) else json.dumps(data)
    return import_records(
        text.encode() if isinstance(text, str) else text,
        name,
        existing=existing,
        forms=FORMS,
        participants=PEOPLE,
        today=TODAY,
        mapping=parse_map(mapping.encode(), "map.yaml") if mapping else None,
    )


def test_a_consent_with_limits() -> None:
    (record,) = read(CONSENT).new
    assert (record.participant_id, record.state) == ("sub-07", State.GIVEN)
    assert record.form == "health-public" and record.by is By.SELF
    assert (record.from_, record.until) == (date(2024, 3, 2), date(2034, 3, 1))
    assert record.evidence == "DocumentReference/55"
    assert record.recorded == TODAY


def test_a_bundle_and_its_import_again() -> None:
    url = {"reference": "https://fhir.example/Patient/8"}
    other = {**CONSENT, "id": "c8", "subject": url, "grantor": [url]}
    draft = {**CONSENT, "id": "c9", "status": "draft"}
    text = bundle(CONSENT, other, draft, {"resourceType": "Patient", "name": [{"text": "x"}]})
    first = read(text)
    assert [r.participant_id for r in first.new] == ["sub-07", "sub-08"]
    assert (first.known, first.skipped) == (0, 1)
    again = read(json.dumps(text, indent=1), existing=first.new)
    assert (len(again.new), again.known) == (0, 2)
    assert read(json.dumps(text), name="no-extension").new == first.new


@pytest.mark.parametrize(
    ("consent", "state", "cells"),
    [
        (plain(), State.GIVEN, {"from_": date(2024, 3, 1), "until": date(2034, 3, 1)}),
        (plain(period=None), State.GIVEN, {"from_": date(2024, 3, 1), "until": None}),
        (plain(period={"end": "2030-12-31T23:59:59Z"}), State.GIVEN, {"until": date(2030, 12, 31)}),
        (plain(period={"end": "9999-12-31"}), State.GIVEN, {"until": date.max}),
        (plain(date="2025-01-01"), State.GIVEN, {"from_": date(2025, 1, 1)}),
        (plain(sourceReference=None), State.GIVEN, {"evidence": "Consent/c7"}),
        (
            plain(grantor=[{"reference": "RelatedPerson/3"}]),
            State.GIVEN,
            {"by": By.GUARDIAN, "until": date(2034, 3, 1)},
        ),
        (
            plain(decision="deny", period={"start": "2024-03-01"}),
            State.REFUSED,
            {"form": None, "from_": date(2024, 3, 1), "until": None},
        ),
        (
            plain(status="inactive"),
            State.WITHDRAWN,
            {"from_": date(2026, 4, 1), "then": Then.STOP_SHARING, "form": None},
        ),
        (
            {**CONSENT, "status": "entered-in-error"},
            State.INVALID,
            {"form": "health-public", "from_": date(2024, 3, 1)},
        ),
    ],
)
def test_states(consent: dict, state: State, cells: dict[str, Any]) -> None:
    (record,) = read(consent).new
    assert record.state is state
    assert {name: getattr(record, name) for name in cells} == cells


def test_what_else_a_map_can_say() -> None:
    by_form = MAP + "refusal: form\n"
    denied = plain(decision="deny", period={"start": "2024-03-01"})
    assert read(denied, by_form).new[0].form == "health-public"
    ended = MAP.replace("inactive: withdrawn\nthen: stop-sharing", "inactive: invalid")
    assert read(plain(status="inactive"), ended).new[0].state is State.INVALID
    limits = MAP + "provisions: limits\n"
    assert read({**CONSENT, "decision": "permit"}, limits).new[0].from_ == date(2024, 3, 2)
    known = "urn:hospital"
    system = MAP.replace("prefix:", f'system: "{known}", prefix:')
    subject = {"identifier": {"system": known, "value": "007"}}
    assert read(plain(subject=subject, grantor=None), system).new[0].participant_id == "sub-07"
    unnamed = MAP.replace("form:\n", 'form:\n  "": obc-gdpr-ult-1.1.0\n')
    assert read(plain(policyBasis=None, regulatoryBasis=None), unnamed).new[0].form == (
        "obc-gdpr-ult-1.1.0"
    )
    extension = {"url": "https://hospital.example/printed", "valueBoolean": True}
    passed = MAP + "ignore_extensions: https://hospital.example/printed\n"
    assert read(plain(extension=[extension]), passed).new


def test_literal_words_need_no_map() -> None:
    consent = plain(
        subject={"reference": "Patient/sub-07"},
        grantor=[{"reference": "Patient/sub-07"}],
        policyBasis={"url": "obc-ult-1.0.1"},
        regulatoryBasis=None,
    )
    assert read(consent, None).new[0].form == "obc-ult-1.0.1"


def test_a_withdrawal_that_arrives_later_ends_what_was_given() -> None:
    first = read(plain())
    second = read(plain(status="inactive"), existing=first.new)
    registry = Registry(FORMS, (*first.new, *second.new))
    before = Resolver(registry, date(2026, 3, 31)).resolve("sub-07")
    after = Resolver(registry, date(2026, 4, 1)).resolve("sub-07")
    assert not before.grant.is_bottom and after.state == "withdrawn"


def _provision(**values: Any) -> dict[str, Any]:
    return changed(lambda c: c["provision"][0].update(values))


_CODED = [{"coding": [{"system": "s", "code": "c"}]}]
_R = {"reference": "Observation/1"}
REFUSED = [
    # what a record cannot carry
    ({**CONSENT, "decision": "permit"}, "provision[0]", "under `permit` takes something away"),
    (changed(lambda c: c["provision"].append({})), "provision[1]", "carries one provision"),
    (_provision(provision=[{"actor": [{}]}]), "provision[0].provision", "not known here"),
    (_provision(actor=[{"reference": _R}]), "provision[0].actor", "not known here"),
    (_provision(data=[{"meaning": "instance"}]), "provision[0].data", "not known here"),
    (_provision(dataPeriod={"start": "2020"}), "provision[0].dataPeriod", "not known here"),
    (_provision(securityLabel=[{}]), "provision[0].securityLabel", "not known here"),
    (_provision(resourceType=[{}]), "provision[0].resourceType", "not known here"),
    (_provision(documentType=[{}]), "provision[0].documentType", "not known here"),
    (_provision(code=_CODED), "provision[0].code", "not known here"),
    (_provision(expression={}), "provision[0].expression", "not known here"),
    (_provision(action=_CODED), "provision[0].action[0]", "an action that the map does not"),
    (_provision(_period={}), "provision[0]._period", "not known here"),
    (changed(lambda c: c["provision"].__setitem__(0, {})), "provision[0]", "something in it"),
    # purposes that the form exceeds
    (_provision(purpose=[{"system": DUO, "code": "DUO:0000011"}]), "purpose[0]", "permits POA"),
    (_provision(purpose=[{"system": DUO, "code": "DUO:0000007"}]), "purpose[0]", "which disease"),
    (_provision(purpose=[{"system": DUO, "code": "DUO:0000021"}]), "purpose[0]", "demands DUO"),
    (_provision(purpose=[{"system": DUO, "code": "DUO:0000016"}]), "purpose[0]", "cannot be used"),
    (_provision(purpose=[{"system": REASON, "code": "TREAT"}]), "purpose[0]", "no DUO code"),
    (_provision(purpose=[{"code": "HMB"}]), "purpose[0]", "no DUO code"),
    (
        changed(lambda c: c.update(policyBasis={"url": "https://hospital.example/consent/2"})),
        "provision[0].purpose[0]",
        "it permits HMB, the form `obc-ult-1.0.1` permits GRU",
    ),
    # modifiers and what is not known
    (plain(modifierExtension=[{"url": "x"}]), "Consent.modifierExtension", "not known here"),
    (plain(implicitRules="x"), "Consent.implicitRules", "not known here"),
    (plain(extension=[{"url": "x"}]), "Consent.extension[0]", "extension that is not known"),
    (plain(contained=[{}]), "Consent.contained", "not known here"),
    (plain(patient=_R), "Consent.patient", "R4 has `patient`"),
    (plain(text={"status": "additional"}), "Consent.text.status", "says more"),
    (plain(verification=[{"verified": False}]), "verification[0].verified", "not verified"),
    (plain(verification=[{"verified": "true"}]), "verification[0].verified", "not verified"),
    # states
    (plain(status="not-done"), "Consent.status", "skip: [not-done]"),
    (plain(status="unknown"), "Consent.status", "no decision of a participant"),
    (plain(status=None), "Consent.status", "no decision of a participant"),
    (plain(status=["active"]), "Consent.status", "expected a text"),
    (plain(decision=None), "Consent.decision", "neither `permit` nor `deny`"),
    (
        plain(status="entered-in-error", decision="deny"),
        "Consent.status",
        "not ended by its status",
    ),
    (plain(decision="deny"), "Consent.period.end", "has no end of its own"),
    (plain(status="inactive", meta=None, period=None), "meta.lastUpdated", "when it ended"),
    # who
    (plain(subject=None), "Consent.subject", "whose consent"),
    (plain(subject={"reference": "Group/7"}), "subject.reference", "a Patient"),
    (plain(subject={"reference": "urn:uuid:7"}), "subject.reference", "a Patient"),
    (plain(subject={"display": "7"}), "subject.reference", "a Patient"),
    (plain(subject={"reference": "Patient/x"}), "Consent.subject", "is not a number"),
    (plain(subject={"reference": "Patient/77"}, grantor=None), "Consent.subject", "sub-77"),
    (plain(grantor=[{"reference": "Patient/8"}]), "grantor[0]", "another patient"),
    (plain(grantor=[{"reference": "Practitioner/8"}]), "grantor[0]", "who a Practitioner is"),
    (
        plain(grantor=[{"reference": "RelatedPerson/8"}], period=None),
        "Consent.period.end",
        "consent of a guardian needs an end",
    ),
    # which form, from when
    (plain(policyBasis={"url": "https://other"}), "Consent.policyBasis", "which form `https://oth"),
    (plain(policyBasis=None), "Consent.policyBasis", "which form was given"),
    (plain(policyText=[{"reference": "obc-ult-1.0.1"}]), "policyText[0]", "several forms"),
    (plain(regulatoryBasis=_CODED), "regulatoryBasis[0]", "which form `s|c`"),
    (plain(period={"start": "2024-03"}), "Consent.period.start", "not a day"),
    (plain(period={"start": "2024-02-30"}), "Consent.period.start", "calendar"),
    (plain(period={"start": 2024}), "Consent.period.start", "expected a text"),
    (plain(period={"start": "2035-01-01"}, date=None), None, None),
    (plain(period={"end": "2020-01-01"}), "Consent.period.end", "before it starts"),
    (plain(period=None, date=None), "Consent.period.start", "from when"),
    (plain(period=[]), "Consent.period", "something in it"),
]


@pytest.mark.parametrize(("consent", "path", "reason"), REFUSED)
def test_refused(consent: dict, path: str | None, reason: str | None) -> None:
    if path is None:
        assert read(consent).new  # the same shape is accepted where nothing is wrong
        return
    with pytest.raises(InputError) as caught:
        read(consent)
    message = str(caught.value)
    assert message.startswith("c.json, Consent") and path in message and reason in message
    # in a bundle everything is refused with it, and its entry is named
    good = {**CONSENT, "id": "c8", "subject": {"reference": "Patient/9"}, "grantor": None}
    del good["grantor"]
    with pytest.raises(InputError) as caught:
        read(bundle(good, consent))
    assert "entry[1].resource" in str(caught.value) and reason in str(caught.value)


@pytest.mark.parametrize(
    ("text", "place", "reason"),
    [
        ('{"resourceType": "Patient"}', "resourceType", "expected a Consent or a Bundle"),
        ("{}", "resourceType", "expected a Consent"),
        ("[]", "c.json", "expected an object"),
        ("7", "c.json", "expected an object"),
        ("", "line 1, column 1", "not valid JSON"),
        ('{"a": 1,}', "line 1, column 9", "not valid JSON"),
        ('{"a": {"b": 1, "b": 2}}', "a.b", "given twice"),
        ('{"a": [NaN]}', "a[0]", "not a number"),
        ('{"a": -Infinity}', "a", "not a number"),
        ('{"a": ' + "9" * 5000 + "}", "c.json", "too long"),
        ('{"a": "\\ud800"}', "resourceType", "expected a Consent"),
        ("[" * 100_000, "line 1", "nested too deeply"),
        ('{"a":' * 100_000, "line 1", "nested too deeply"),
        (b'{"a": "M\xfcnchen"}', "line 1, column 9", "not UTF-8"),
        ('{"a": "\u202e"}', "line 1, column 8", "U+202E"),
        (bundle(), "entry", "expected a list"),
        ({"resourceType": "Bundle", "type": "collection"}, "c.json", "no Consent in it"),
        (bundle(CONSENT, type="transaction"), "type", "`collection` or `searchset`"),
        (bundle(CONSENT, CONSENT), "entry[1].resource.id", "there twice"),
        (bundle(CONSENT, total=2), "total", "holds 1 Consents"),
        (bundle(CONSENT, total=True), "total", "holds 1 Consents"),
        (bundle(CONSENT, link=[{"relation": "next", "url": "x"}]), "link[0]", "one page"),
        (bundle(CONSENT, signature={}), "signature", "not known here"),
        (bundle(CONSENT, {"resourceType": "Observation"}), "entry[1].resource", "not a Consent"),
        (changed(lambda b: b["entry"][0].update(request={}), bundle(CONSENT)), "request", "known"),
        (changed(lambda b: b["entry"][0].pop("resource"), bundle(CONSENT)), "entry[0]", "holds no"),
    ],
)
def test_documents_refused(text: Any, place: str, reason: str) -> None:
    with pytest.raises(InputError) as caught:
        read(text)
    message = str(caught.value)
    assert message.startswith("c.json") and place in message and reason in message


def test_two_patients_never_become_one_participant() -> None:
    other = {**plain(), "id": "c8", "subject": {"reference": "Patient/07"}, "grantor": None}
    del other["grantor"]
    with pytest.raises(InputError, match=r"entry\[1\].resource.subject: `7` and `07` both become"):
        read(bundle(CONSENT, other))


@pytest.mark.parametrize(
    ("old", "new", "place", "reason"),
    [
        ("skip: [draft]", "skip: [unknown]", "line 12", "unknown status to skip `unknown`"),
        ("skip: [draft]", "skip: [inactive]", "line 12", "unknown status to skip `inactive`"),
        ("RelatedPerson: guardian", "RelatedPerson: parent", "line 7", "unknown by `parent`"),
        (": health-public", ": health-publc", "line 3", "Did you mean `health-public`"),
        ("inactive: withdrawn", "inactive: gone", "line 10", "unknown inactive `gone`"),
        ("inactive: withdrawn", "inactive: invalid", "line 11", "`then` goes with"),
        ("[Patient]", "[Patient, Consent]", "line 13", "not ignored"),
        ("actions:", "action:", "line 9", "Did you mean `actions`"),
        ("digits: 2", "digit: 2", "line 2", "Did you mean `digits`"),
    ],
)
def test_maps_refused(old: str, new: str, place: str, reason: str) -> None:
    assert old in MAP
    with pytest.raises(InputError) as caught:
        read(CONSENT, MAP.replace(old, new, 1))
    message = str(caught.value)
    assert message.startswith("map.yaml") and place in message and reason in message


_ODD = [None, True, 0, -1, 1e308, "", "x", "2024-03-01", [], {}, [[]], [{}], {"": None}, "Consent"]
_KEYS = ["status", "provision", "extension", "period", "start", "url", "system", "code", "actor"]


def _places(value: Any) -> list[tuple[Any, Any]]:
    found = []
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, member in list(items):
        found.append((value, key))
        if isinstance(member, dict | list):
            found += _places(member)
    return found


def _mutate(draw: random.Random, root: Any) -> None:
    parent, key = draw.choice(_places(root))
    kind = draw.randrange(4)
    if kind == 0:
        parent[key] = copy.deepcopy(draw.choice(_ODD))
    elif kind == 1:
        del parent[key]
    elif kind == 2 and isinstance(parent, dict):
        parent[draw.choice(_KEYS)] = copy.deepcopy(draw.choice([*_ODD, parent[key]]))
    elif isinstance(parent, list):
        parent.append(copy.deepcopy(parent[key]))
    else:
        other, name = draw.choice(_places(root))
        parent[key] = copy.deepcopy(other[name])


@pytest.mark.slow
def test_mutated_bundles_import_wholly_or_not_at_all() -> None:
    """Whatever becomes of a bundle: an InputError, or a record for each of its Consents."""
    draw = random.Random(11)
    people = [
        {**plain(), "id": f"c{n}", "subject": {"reference": f"Patient/{n}"}, "grantor": None}
        for n in (1, 2, 3)
    ]
    for person in people:
        del person["grantor"]
    start = bundle(CONSENT, *people, total=4)
    seen = {"imported": 0, "refused": 0}
    for _ in range(2000):
        data = copy.deepcopy(start)
        for _ in range(draw.choice((1, 1, 2, 4))):
            _mutate(draw, data)
            if not data:
                break
        try:
            found = read(data)
        except InputError:
            seen["refused"] += 1
            continue
        seen["imported"] += 1
        inside = [e["resource"] for e in data["entry"]]
        consents = [r for r in inside if r["resourceType"] == "Consent"]
        assert len(found.new) + found.known + found.skipped == len(consents)
    print(seen)
    assert seen["imported"] > 150 and seen["refused"] > 800, seen


def test_damaged_text_is_refused() -> None:
    draw = random.Random(5)
    text = json.dumps(bundle(CONSENT)).encode()
    refused = 0
    for _ in range(1500):
        data = bytearray(text)
        for _ in range(draw.randint(1, 4)):
            at = draw.randrange(len(data))
            data[at : at + draw.randint(0, 4)] = draw.choice(
                (b"", b'"', b"{", b"}", b"[", b",", b"\\", b"\xff", b"\x00", b"NaN", b"\\u0000")
            )
        try:
            read(bytes(data))
        except InputError:
            refused += 1
    assert refused > 1000
