"""The map for FHIR Consent: what its references and codes mean here.

::

    format: fhir
    participant: {system: "https://hospital.example/mri", prefix: sub-, digits: 2}
    form:
      https://hospital.example/consent/3: hospital-2024
    purposes:
      http://terminology.hl7.org/CodeSystem/v3-ActReason|HRESCH: HMB
    inactive: withdrawn

Codes are written ``system|code``. Nothing has to be mapped that FHIR and our words say
alike: a subject ``Patient/sub-01``, a DUO code, a policy that is the id of a form.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..errors import InputError
from .forms import Form
from .maps import NAMING, REFUSALS, Naming, Section
from .records import EMPTY, By, Then
from .values import unknown
from .yamltext import Document

_KEYS = (
    *("format", "participant", "form", "by", "purposes", "actions", "provisions", "refusal"),
    *("inactive", "then", "skip", "ignore_resources", "ignore_extensions"),
)
#: statuses of which nothing was ever acted upon
_SKIPPABLE = ("draft", "not-done")


@dataclass(frozen=True, kw_only=True)
class FhirMap:
    """The rules of one map; ``places`` are where it names forms."""

    where: str = ""
    system: str = ""
    naming: Naming = field(default_factory=Naming)
    forms: Mapping[str, str] = field(default_factory=dict)
    by: Mapping[str, str] = field(default_factory=dict)
    purposes: Mapping[str, str] = field(default_factory=dict)
    actions: tuple[str, ...] = ()
    provisions: str = "exceptions"
    refusal: str = "everything"
    inactive: str = ""
    then: str = ""
    skip: tuple[str, ...] = ()
    ignore_resources: tuple[str, ...] = ()
    ignore_extensions: tuple[str, ...] = ()
    place: str = ""

    def check_forms(self, forms: Mapping[str, Form]) -> None:
        """Refuse a form that there is not."""
        for form in self.forms.values():
            if form != EMPTY and form not in forms:
                raise unknown("form", form, forms, self.place)


NO_MAP = FhirMap()


def parse_fhir_map(document: Document) -> FhirMap:
    """A map from its YAML.

    Raises
    ------
    InputError
        For an unknown key or word, with line and column.
    """
    top = Section(document, (), _KEYS)
    system, naming = "", Naming()
    if "participant" in top.value:
        who = Section(document, ("participant",), ("system", *NAMING))
        system, naming = who.text("system"), Naming.of(who)
    skip = top.words("skip")
    for status in skip:
        if status not in _SKIPPABLE:
            raise unknown("status to skip", status, _SKIPPABLE, top.at("skip"))
    by = top.table("by") or {}
    for word in by.values():
        if word not in By._value2member_map_:
            raise unknown("by", word, [b.value for b in By], top.at("by"))
    inactive = top.word("inactive", ("withdrawn", "invalid"))
    then = top.word("then", [t.value for t in Then])
    if then and inactive != "withdrawn":
        raise InputError("`then` goes with `inactive: withdrawn`", where=top.at("then"))
    ignored = top.words("ignore_resources")
    if "Consent" in ignored:
        raise InputError("Consents are not ignored", where=top.at("ignore_resources"))
    return FhirMap(
        where=document.where,
        system=system,
        naming=naming,
        forms={name: form or EMPTY for name, form in (top.table("form") or {}).items()},
        by=by,
        purposes=top.table("purposes") or {},
        actions=top.words("actions"),
        provisions=top.word("provisions", ("limits",), "exceptions"),
        refusal=top.word("refusal", REFUSALS, "everything"),
        inactive=inactive,
        then=then,
        skip=skip,
        ignore_resources=ignored,
        ignore_extensions=top.words("ignore_extensions"),
        place=top.at("form"),
    )
