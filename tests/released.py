"""The tree of a release for tests, from verdicts and texts alone, without a dataset."""

from __future__ import annotations

from datetime import date

from datalad_mrishare.consent import Registry, Resolver, build_record, load_forms
from datalad_mrishare.repo.trees import FILE, LINK, Entry
from datalad_mrishare.sharing.facts import facts_of
from datalad_mrishare.sharing.policies import load_policies
from datalad_mrishare.sharing.releases import ReleaseTree, release_tree
from datalad_mrishare.sharing.verdicts import Judge, decide

TODAY = date(2026, 5, 3)
PEOPLE = "sub-01 sub-02 sub-03 sub-04".split()
#: sub-01 permits everything, sub-02 imaging of function only, sub-03 refused, sub-04 said nothing
RECORDS = (
    {"participant_id": "sub-01", "state": "given", "form": "obc-ult-1.0.1"},
    {"participant_id": "sub-02", "state": "given", "form": "obc-ult-1.0.1", "scope": "suffix=bold"},
    {"participant_id": "sub-03", "state": "refused"},
)
IMAGES = [f"{p}/func/{p}_bold.nii.gz" for p in PEOPLE]


def tree(
    texts: dict[str, bytes],
    policy: str = "{policy: institution}",
    revoked: tuple[str, ...] = (),
    *,
    form: str = "",
    machine: tuple[str, ...] = (),
) -> ReleaseTree:
    """The release of a dataset with an image of each and these ``texts`` in git."""
    forms = load_forms("clean: {extends: obc-ult-1.0.1, deid: deidentified}")
    records = [{**r, "form": form} if form and "form" in r else r for r in RECORDS]
    rows = (
        build_record(
            {"record": f"r{n}", "from": "2026-01-01", "recorded": "2026-01-01", **r}, forms=forms
        )
        for n, r in enumerate(records)
    )
    chosen = load_policies(f"siblings:\n  m: {policy}\n")["m"]
    judge = Judge(chosen, Resolver(Registry(forms, tuple(rows)), TODAY), TODAY)
    entries = [
        Entry(p, LINK, f"link {p}", 90, f"SHA256E-s9--{n}.nii.gz") for n, p in enumerate(IMAGES)
    ]
    entries += [Entry(p, FILE, f"text {p}", len(text)) for p, text in texts.items()]

    def contents(asked: object) -> dict[str, bytes]:
        return {e.oid: texts[e.path] for e in asked}  # type: ignore[attr-defined]

    verdicts = decide(facts_of(entries, contents, {}, chosen.commons), judge)
    return release_tree(verdicts, judge, PEOPLE, contents, "an-id", revoked, machine=machine)


def taken(found: ReleaseTree) -> set[str]:
    return {e.path for e in found.taken}


def denied(found: ReleaseTree) -> dict[str, str]:
    return {v.facts.path: v.reasons[0].component for v in found.denied}


def table(*rows: str) -> bytes:
    return "".join(f"{row.replace(' ', chr(9))}\n" for row in rows).encode()
