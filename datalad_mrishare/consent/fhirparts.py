"""The parts of FHIR R5 resources, read one by one: Bundles, references, codes, periods."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from datetime import date, timedelta

from ..errors import InputError
from .jsontext import Node
from .values import read_date

_MOMENT = re.compile(
    r"(\d{4}-\d{2}-\d{2})(T\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:\d{2})?)?", re.ASCII
)


_BUNDLE = ("resourceType", "meta", "language", "identifier", "type", "timestamp", "total", "link")


def consents(root: Node, ignored: Collection[str]) -> Iterator[Node]:
    """The Consents in a document, from which resources of ``ignored`` types are left out."""
    kind = root.text("resourceType")
    if kind == "Consent":
        yield Node(root.value, "Consent", root.extensions)
        return
    if kind != "Bundle":
        raise root.refuse(
            f"expected a Consent or a Bundle, found `{kind[:40]}`", key="resourceType"
        )
    root.only("entry", *_BUNDLE)
    if root.text("type") not in ("collection", "searchset"):
        raise root.refuse("expected a Bundle of type `collection` or `searchset`", key="type")
    for link in root.items("link"):
        if link.text("relation") == "next":
            raise link.refuse("this is one page of several", "Export all pages into one Bundle")
    found = 0
    seen: set[str] = set()
    for entry in root.items("entry"):
        resource = entry.only("fullUrl", "resource", "search", "link").get("resource")
        if resource is None:
            raise entry.refuse("the entry holds no resource")
        kind = resource.text("resourceType")
        if kind != "Consent":
            if kind in ignored:
                continue
            raise resource.refuse(
                f"a {kind[:40]} is not a Consent",
                "Leave it out, or name its type in `ignore_resources` of the map",
            )
        found += 1
        if (name := resource.text("id")) and name in seen:
            raise resource.refuse(f"the Consent `{name[:60]}` is there twice", key="id")
        seen.add(name)
        yield resource
    total = root.get("total")
    if total is not None and (type(total.value) is not int or total.value > found):
        raise total.refuse(f"the Bundle holds {found} Consents, and says it should hold more")
    if not found:
        raise root.refuse("there is no Consent in it")


def is_r4(consent: Node) -> bool:
    """Whether it looks like the Consent of FHIR R4, which has other elements."""
    return any(key in consent.value for key in ("patient", "scope", "dateTime", "policyRule"))


def check_plain(consent: Node) -> None:
    """What may say that the rest is not the whole truth."""
    text = consent.get("text")
    if text is not None and text.only("status", "div").text("status") == "additional":
        raise text.refuse("its text says more than its elements do", key="status")
    for verified in consent.items("verification"):
        verified.only(
            *("verified", "verificationType", "verifiedBy", "verifiedWith", "verificationDate")
        )
        if verified.value.get("verified") is not True:
            raise verified.refuse("it was not verified", key="verified")


def policies(consent: Node) -> Iterator[tuple[Node, list[str]]]:
    """What names the policy behind a Consent, each with the words for it in a map."""
    basis = consent.get("policyBasis")
    if basis is not None:
        basis.only("reference", "url")
        if url := basis.text("url"):
            yield basis, [url]
        if (resource := basis.get("reference")) is not None:
            yield resource, [reference(resource)]
    for text in consent.items("policyText"):
        yield text, [reference(text)]
    for concept in consent.items("regulatoryBasis"):
        yield concept, codes(concept)


def reference(node: Node) -> str:
    """What a Reference says, as text."""
    node.only("reference", "type", "identifier", "display")
    if not (text := node.text("reference")):
        raise node.refuse("it refers to nothing that can be looked up", key="reference")
    return text


def target(node: Node) -> tuple[str, str]:
    """Type and id of what a reference leads to: ``Patient/7`` or ``https://.../Patient/7``."""
    kind, _, name = node.text("reference").rpartition("/")
    return kind.rpartition("/")[2] or node.text("type"), name


def codes(concept: Node) -> list[str]:
    """The codings of a CodeableConcept, each of which says the same: ``system|code``."""
    concept.only("coding", "text")
    return codings(concept.items("coding")) or [f"|{concept.text('text')}"]


def codings(nodes: Iterator[Node] | list[Node]) -> list[str]:
    """Codings as ``system|code``."""
    found = []
    for coding in nodes:
        coding.only("system", "version", "code", "display", "userSelected")
        found.append(f"{coding.text('system')}|{coding.text('code')}")
    return found


def evidence(consent: Node) -> str:
    """A reference to where the Consent comes from, or to itself."""
    sources = [node.text("reference") for node in consent.items("sourceReference")]
    name = consent.text("id")
    return next(filter(None, sources), f"Consent/{name}" if name else "")


def period(node: Node) -> tuple[str, str]:
    """First day, and the day after the last, of the ``period``; empty where not given."""
    period = node.get("period")
    if period is None:
        return "", ""
    period.only("start", "end")
    end = day(period, "end")
    if end and "T" not in period.text("end"):  # an end is included, in full days
        last = date.fromisoformat(end)
        end = (last if last == date.max else last + timedelta(1)).isoformat()
    return day(period, "start"), end


def day(node: Node, key: str) -> str:
    """The day of a date or moment, as it is written there; empty where not given."""
    text = node.text(key)
    if not text:
        return ""
    match = _MOMENT.fullmatch(text)
    if match is None:
        raise node.refuse(f"`{text[:40]}` is not a day", "Write it as YYYY-MM-DD", key)
    try:
        return read_date(match[1]).isoformat()
    except InputError as exc:
        raise node.refuse(exc.what, exc.remedy, key) from None


def ended(consent: Node) -> str:
    """The day a Consent that is not in force any more ended, as far as it tells."""
    meta = consent.get("meta")
    updated = day(meta, "lastUpdated") if meta is not None else ""
    days = [day for day in (period(consent)[1], updated) if day]
    if not days:
        raise consent.refuse("it does not say when it ended", None, "meta.lastUpdated")
    return min(days)
