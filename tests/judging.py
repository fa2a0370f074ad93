"""Records, a sibling, and verdicts about a tree, without a dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

from datalad_mrishare.consent import Registry, Resolver, build_record, load_forms
from datalad_mrishare.repo.trees import Entry
from datalad_mrishare.sharing.facts import facts_of
from datalad_mrishare.sharing.origins import Origins
from datalad_mrishare.sharing.policies import load_policies
from datalad_mrishare.sharing.verdicts import Judge, Verdict, decide

TODAY = date(2026, 5, 3)
FORM = "obc-gdpr-ult-1.1.0"


def judge(policy: str, *records: dict[str, str], everyone: Sequence[str] = ()) -> Judge:
    """Who decides for a sibling ``m`` (a line of YAML) with these records, ``r0``, ``r1``, ..."""
    forms = load_forms(None)
    rows = [
        build_record({"record": f"r{n}", "recorded": row["from"], **row}, forms=forms)
        for n, row in enumerate(records)
    ]
    chosen = load_policies(f"siblings:\n  m: {policy}\n")["m"]
    registry = Registry(forms, tuple(rows))
    return Judge(chosen, Resolver(registry, TODAY), TODAY, frozenset(everyone))


def given(person: str, **more: str) -> dict[str, str]:
    """A record of consent."""
    return {"participant_id": person, "state": "given", "form": FORM, "from": "2026-01-01", **more}


def said(person: str, state: str, **more: str) -> dict[str, str]:
    """Any other record, later than a consent."""
    return {"participant_id": person, "state": state, "from": "2026-02-01", **more}


def decided_by(
    who: Judge,
    entries: Sequence[Entry],
    origins: Origins | None,
    findings: Mapping[str, str] | None = None,
) -> list[Verdict]:
    """Verdicts about a tree whose files in git are all empty."""
    facts = facts_of(entries, lambda _: {}, findings or {}, who.policy.commons, origins)
    return decide(facts, who)
