"""``datalad mrishare-consent FILE --map MAP``: exports of other systems."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from builders import metadata, run

MAP = """\
format: redcap
participant_id: {column: record_id, prefix: sub-, digits: 2}
state: {column: share, values: {"1": given, "0": refused}, no_answer: [""]}
form: obc-gdpr-ult-1.1.0
from: {column: signed, date: DD.MM.YYYY}
"""
EXPORT = "record_id,share,signed\n1,1,03.05.2024\n2,0,04.05.2024\n3,,\n"
TABLE = ".datalad/mrishare/consent.tsv"
T1W = "sub-01/anat/sub-01_T1w.nii.gz"


def cli(dataset: Path, *args: str, code: int = 0) -> dict[str, Any]:
    out = run(dataset, "datalad", "-f", "json", "mrishare-consent", *args, ok=(code,))
    (found,) = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    return found


def head(dataset: Path) -> str:
    return run(dataset, "git", "rev-parse", "HEAD", "git-annex")


def test_an_export_with_its_map(registered: Path, tmp_path: Path) -> None:
    (tmp_path / "map.yaml").write_text(MAP)
    (tmp_path / "export.csv").write_text(EXPORT)
    args = (str(tmp_path / "export.csv"), "--map", str(tmp_path / "map.yaml"))
    before = head(registered)
    dry = cli(registered, *args, "--dry-run")
    assert (dry["status"], dry["new"], dry["skipped"]) == ("ok", 2, 1)
    assert head(registered) == before
    done = cli(registered, *args)
    assert (done["status"], done["new"], done["known"], done["skipped"]) == ("ok", 2, 0, 1)
    assert "1 row without a decision left out" in done["message"]
    rows = (registered / TABLE).read_text().splitlines()
    assert [r.split("\t")[1:5] for r in rows[1:]] == [
        ["sub-01", "given", "obc-gdpr-ult-1.1.0", "2024-05-03"],
        ["sub-02", "refused", "n/a", "2024-05-04"],
    ]
    assert metadata(registered, T1W)["mrishare-reach"] == ["registered"]
    after = head(registered)
    again = cli(registered, *args)
    assert (again["status"], again["new"], again["known"]) == ("notneeded", 0, 2)
    assert head(registered) == after


def test_fhir_is_known_by_its_name(registered: Path, tmp_path: Path) -> None:
    consent = {
        "resourceType": "Consent",
        "id": "c1",
        "status": "active",
        "subject": {"reference": "Patient/sub-01"},
        "date": "2024-05-03",
        "policyBasis": {"url": "obc-gdpr-ult-1.1.0"},
        "decision": "permit",
    }
    file = tmp_path / "consent.json"
    file.write_text(json.dumps(consent))
    assert cli(registered, str(file))["new"] == 1
    file.write_text(json.dumps({**consent, "provision": [{"actor": []}]}))
    failed = cli(registered, str(file), code=1)
    assert failed["status"] != "ok" and "Consent.provision[0]" in failed["message"]


def test_nothing_is_imported_when_a_row_or_the_map_is_wrong(
    registered: Path, tmp_path: Path
) -> None:
    file, mapping = tmp_path / "export.csv", tmp_path / "map.yaml"
    before = head(registered)
    for export, text, said in [
        (EXPORT + "4,7,05.05.2024\n", MAP, "line 5, column 2 (share)"),
        (EXPORT, MAP.replace("digits", "digit"), "map.yaml, line 2"),
        (EXPORT, MAP.replace("redcap", "fhir"), "map.yaml"),
    ]:
        file.write_text(export)
        mapping.write_text(text)
        failed = cli(registered, str(file), "--map", str(mapping), code=1)
        assert said in failed["message"], failed
        assert head(registered) == before
    missing = cli(registered, str(file), "--map", str(tmp_path / "none.yaml"), code=1)
    assert "cannot be read" in missing["message"]


def test_a_map_needs_a_file(registered: Path) -> None:
    run(registered, "datalad", "mrishare-consent", "--map", "map.yaml", ok=(1, 2))
    assert "redcap.yaml" in run(registered, "datalad", "mrishare-consent", "--help-np")
