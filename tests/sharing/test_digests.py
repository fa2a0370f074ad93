"""Digests in events are compared by other processes, in other years."""

from __future__ import annotations

import subprocess
import sys

_ASK = r"""
from datetime import date
from datalad_mrishare.consent import Registry, build_record, load_forms
from datalad_mrishare.sharing.digests import policy_digest, registry_digest
from datalad_mrishare.sharing.policies import load_policies
text = '''siblings:
  m: {reach: registered, use: [HMB, DS:MONDO:0005180], region: [DE, CH, GB], duty: [IRB, PUB, RTN],
      select: {suffix: [T1w, bold]}, columns: [age, sex],
      commons: [code/*, stimuli/*]}
'''
forms = load_forms("clean: {extends: obc-gdpr-ult-1.1.0, deid: deidentified, region: [DE, CH]}")
given = {"record": "r1", "participant_id": "sub-01", "state": "given", "form": "clean",
    "from": "2026-01-01", "recorded": "2026-01-01", "scope": "datatype=anat,func"}
records = (build_record(given, forms=forms),)
print(policy_digest(load_policies(text)["m"]), registry_digest(Registry(forms, records)))
"""


def test_they_are_the_same_in_every_process() -> None:
    said = {
        subprocess.run(
            [sys.executable, "-c", _ASK],
            env={"PYTHONHASHSEED": str(seed), "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in range(4)
    }
    assert len(said) == 1, said
