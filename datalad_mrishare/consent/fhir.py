"""HL7 FHIR R5 Consent resources as rows of records.

Source: FHIR 5.0.0, https://hl7.org/fhir/R5/consent.html. Read are one Consent or a Bundle
of them. What our records cannot carry faithfully is refused with its JSON path, because
a condition that is passed over would permit what nobody permitted.

``decision`` is what holds by default, and a ``provision`` is an exception to it: "with
provisions assumed to be a negation of the previous level" (binding of Consent.decision).
So a consent with limits is ``deny`` with one provision that permits; ``permit`` with a
provision takes something away, which a record cannot. Systems that mean a limit all the
same are read with ``provisions: limits`` in the map.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..errors import InputError
from .fhirmap import NO_MAP, FhirMap, parse_fhir_map
from .fhirparts import (
    check_plain,
    codes,
    codings,
    consents,
    day,
    ended,
    evidence,
    is_r4,
    period,
    policies,
    target,
)
from .forms import Form
from .grants import parse_duty
from .jsontext import Node, load_json
from .maps import Named
from .purposes import Use
from .records import EMPTY, CellError, State
from .tables import Row, Table, read_text

__all__ = ["FhirMap", "parse_fhir_map", "read_fhir"]

_DUO_SYSTEMS = frozenset(
    ("http://purl.obolibrary.org/obo/duo.owl", "http://purl.obolibrary.org/obo/duo")
)
#: elements that do not change what is permitted
_PLAIN = (
    *("resourceType", "meta", "language", "text", "identifier", "category"),
    *("grantee", "manager", "controller", "sourceAttachment"),
)
_READ = (
    *("status", "subject", "date", "period", "grantor", "sourceReference", "regulatoryBasis"),
    *("policyBasis", "policyText", "verification", "decision", "provision"),
)
_R4 = (
    "This is read as FHIR R5; R4 has `patient`, `scope`, `dateTime`, `policy` and `provision.type`"
)
#: our columns to what they are read from, for messages
_ELEMENTS = {
    "participant_id": "subject",
    "state": "decision",
    "form": "policyBasis",
    "from": "period.start",
    "until": "period.end",
    "by": "grantor",
    "evidence": "sourceReference",
}
_Cells = dict[str, str]


def read_fhir(data: bytes, where: str, mapping: FhirMap | None, forms: Mapping[str, Form]) -> Table:
    """The Consents in a file, as rows of records.

    Raises
    ------
    InputError
        When the file as a whole cannot be read. What is wrong with a Consent is kept with
        its row, so that everything can be told at once.
    """
    rules = mapping or NO_MAP
    rules.check_forms(forms)
    root = load_json(read_text(data, where), where, rules.ignore_extensions)
    reader = _Reader(rules, forms)
    rows: list[Row] = []
    bases: dict[int, str] = {}
    skipped = 0
    try:
        for number, node in enumerate(consents(root, rules.ignore_resources), 1):
            bases[number] = node.path
            try:
                cells = reader.record(node)
                if cells is None:
                    skipped += 1
                else:
                    rows.append(Row(cells, number))
            except CellError as exc:
                rows.append(Row({}, number, exc))
    except CellError as exc:
        place = f"{where}, {exc.column}" if exc.column else where
        raise InputError(exc.what, where=place, remedy=exc.remedy) from None

    def locate(row: Row, column: str | None) -> str:
        base = bases[row.line]
        if column is None or column.startswith(base):
            return column or base
        return f"{base}.{_ELEMENTS.get(column, column)}"

    return Table(rows, (), where, skipped, locate)


class _Reader:
    """Reads Consents by the rules of one map."""

    def __init__(self, rules: FhirMap, forms: Mapping[str, Form]):
        self._rules, self._forms = rules, forms
        self._people = Named(rules.naming)

    def record(self, consent: Node) -> _Cells | None:
        """The cells of a record; None for one that is to be left out."""
        consent.only(*_PLAIN, *_READ, remedy=_R4 if is_r4(consent) else None)
        status = consent.text("status")
        if status in self._rules.skip:
            return None
        check_plain(consent)
        cells = {"participant_id": self._participant(consent), "evidence": evidence(consent)}
        decision = consent.text("decision")
        if decision not in ("permit", "deny"):
            raise consent.refuse("it says neither `permit` nor `deny`", key="decision")
        if status == "active":
            return {**cells, **self._active(consent, decision)}
        if status == "inactive" and self._rules.inactive == "withdrawn":
            denial = {"state": State.WITHDRAWN.value, "from": ended(consent)}
            return {**cells, **denial, "then": self._rules.then}
        if status == "entered-in-error" or (status == "inactive" and self._rules.inactive):
            return {**cells, **self._void(consent, decision)}
        remedy = "Only what is in force or has ended is imported"
        if status == "inactive":
            remedy = "Say what it means in the map: `inactive: withdrawn` or `inactive: invalid`"
        elif status in ("draft", "not-done"):
            remedy = f"Leave it out, or write `skip: [{status}]` into the map"
        raise consent.refuse(f"`{status[:40]}` is no decision of a participant", remedy, "status")

    def _active(self, consent: Node, decision: str) -> _Cells:
        provisions = list(consent.items("provision"))
        form = self._form(consent)
        start, end = period(consent)
        if decision == "deny" and not provisions:
            days = filter(None, (start, day(consent, "date")))
            denial = {"state": State.REFUSED.value, "from": min(days, default="")}
            if self._rules.refusal == "form":
                denial["form"] = form
            return {**denial, "until": end}  # which a denial does not have: an error
        if len(provisions) > 1:
            raise provisions[1].refuse("a record carries one provision", "Split the Consent")
        starts, ends = [start, day(consent, "date")], [end]
        for provision in provisions:
            if decision == "permit" and self._rules.provisions != "limits":
                raise provision.refuse(
                    "in FHIR R5 a provision under `permit` takes something away",
                    "If it is meant as a limit, write `provisions: limits` into the map",
                )
            self._check_provision(provision, form)
            start, end = period(provision)
            starts.append(start)
            ends.append(end)
        given = {"state": State.GIVEN.value, "form": form, "by": self._by(consent)}
        return {**given, "from": max(starts), "until": min(filter(None, ends), default="")}

    def _void(self, consent: Node, decision: str) -> _Cells:
        if decision == "deny" and not list(consent.items("provision")):
            raise consent.refuse(
                "a denial is not ended by its status",
                "Leave it out, and end it with a record that `lifts` it",
                "status",
            )
        start, _ = period(consent)
        start = max(start, day(consent, "date"))
        return {"state": State.INVALID.value, "form": self._form(consent), "from": start}

    def _participant(self, consent: Node) -> str:
        subject = consent.get("subject")
        if subject is None:
            raise consent.refuse("it does not say whose consent it is", key="subject")
        subject.only("reference", "type", "identifier", "display")
        if not self._rules.system:
            kind, name = target(subject)
            if kind != "Patient" or not name:
                raise subject.refuse("expected a reference to a Patient", None, "reference")
            return self._people.participant(name)
        identifier = subject.get("identifier")
        if identifier is None:
            raise subject.refuse(f"it has no identifier of {self._rules.system}")
        identifier.only("use", "type", "system", "value", "period", "assigner")
        if identifier.text("system") != self._rules.system:
            raise identifier.refuse(f"it is not of {self._rules.system}", key="system")
        return self._people.participant(identifier.text("value"))

    def _form(self, consent: Node) -> str:
        """The form that the policies of a Consent name; empty where they name none."""
        named: dict[str, Node] = {}
        found = list(policies(consent))
        for node, names in found:
            known = [name for name in names if name in self._rules.forms or name in self._forms]
            if not known:
                raise node.refuse(
                    f"the map does not say which form `{' '.join(names)[:120]}` is",
                    "Add it to `form` of the map (as n/a where it names none)",
                )
            for name in known:
                named[self._rules.forms.get(name, name)] = node
        named.pop(EMPTY, None)
        if len(named) > 1:
            raise list(named.values())[1].refuse(f"it names several forms: {', '.join(named)}")
        return next(iter(named), "" if found else self._rules.forms.get("", ""))

    def _by(self, consent: Node) -> str:
        found: set[str] = set()
        subject = consent.get("subject")
        for grantor in consent.items("grantor"):
            kind, name = target(grantor.only("reference", "type", "identifier", "display"))
            if kind == "Patient" and subject is not None:
                if (kind, name) != target(subject):
                    raise grantor.refuse("the grantor is another patient than the subject")
                continue
            if kind not in self._rules.by:
                raise grantor.refuse(
                    f"the map does not say who a {kind[:40] or 'grantor without a type'} is",
                    "Add it to `by` of the map, such as `RelatedPerson: guardian`",
                )
            found.add(self._rules.by[kind])
        if len(found) > 1:
            raise consent.refuse(f"several kinds of grantors: {', '.join(sorted(found))}")
        return next(iter(found), "")

    def _check_provision(self, provision: Node, form: str) -> None:
        """What a provision permits must be what the form permits, or more."""
        provision.only("period", "purpose", "action")
        for action in provision.items("action"):
            if not any(name in self._rules.actions for name in codes(action)):
                raise action.refuse(
                    "an action that the map does not know",
                    "If it means sharing for research, add it to `actions` of the map",
                )
        for purpose in provision.items("purpose"):
            self._check_purpose(purpose, form)

    def _check_purpose(self, purpose: Node, form: str) -> None:
        words = self._purpose_words(purpose)
        grant = self._forms[form].grant if form in self._forms else None
        for word in words.split():
            try:
                use = Use.parse(word)
            except InputError as exc:
                try:
                    duty = parse_duty(word)
                except InputError:
                    raise purpose.refuse(exc.what, exc.remedy) from None
                if grant is not None and not duty <= grant.duty:
                    raise purpose.refuse(
                        f"it demands {word}, which the form `{form}` does not",
                        f"Add a form that extends it with `duty: {word}`",
                    ) from None
                continue
            # "operations must have all the specified labels": each limits by itself
            if grant is not None and not grant.use <= use:
                raise purpose.refuse(
                    f"it permits {use}, the form `{form}` permits {grant.use}",
                    f"Add a form that extends it with `use: {use}`",
                )

    def _purpose_words(self, purpose: Node) -> str:
        (name,) = codings([purpose])
        if name in self._rules.purposes:
            return self._rules.purposes[name]
        system, _, code = name.partition("|")
        code = code.replace("_", ":", 1)
        if system in _DUO_SYSTEMS and code.startswith("DUO:"):
            return code
        raise purpose.refuse(
            f"`{name[:120]}` is no DUO code",
            "Add it to `purposes` of the map with the DUO code that it means",
        )
