"""``mrishare-provenance --export``: what is written, what is told, wrong use."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from builders import copy_dataset, run
from mirrors import add_path, consent
from runs import raw, recorded

MADE = "derivatives/pipe/sub-01/func/sub-01_desc-x_bold.nii.gz"


@pytest.fixture(scope="module")
def dataset(registered_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Only to be exported from."""
    dataset = copy_dataset(registered_template, tmp_path_factory.mktemp("export") / "dataset")
    recorded(dataset, {MADE: b"made of 1"}, [raw("sub-01")], cmd="smooth --by jd@example.org")
    consent(dataset, ("sub-01", "given"), ("sub-02", "refused"))
    add_path(dataset, "mir", "institution")
    return dataset


def test_on_the_command_line(dataset: Path, tmp_path: Path) -> None:
    command = ("datalad", "-f", "json", "mrishare-provenance", "--export", str(tmp_path / "out"))
    asked = ("--format", "bids-prov", "--format", "ro-crate", "--to", "mir")
    found = [json.loads(line) for line in run(dataset, *command, *asked).splitlines()]
    assert [(f["status"], f["format"], f["to"], f["steps"]) for f in found] == [
        ("ok", "bids-prov", "mir", 1),
        ("ok", "ro-crate", "mir", 1),
    ]
    assert "1 step" in found[0]["message"]
    written = [Path(path) for one in found for path in one["written"]]
    texts = "".join(path.read_text() for path in written)
    assert MADE in texts and "sub-02" not in texts and "jd@" not in texts
    said = run(dataset, *(w for w in command if w not in ("-f", "json")), "--format", "ro-crate")
    assert "for the steward only" in said
    assert "sub-02" in (tmp_path / "out/ro-crate-metadata.json").read_text()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"export": "x"}, "--format FORMAT"),
        ({"export": "", "format": "ro-crate"}, "--export is empty"),
        ({"format": "ro-crate"}, "go with --export"),
        ({"to": "mir", "of": "sub-01"}, "go with --export"),
        ({"export": "x", "format": "ro-crate", "of": "sub-01"}, "choose one"),
        ({"export": "x", "format": "ro-crate", "path": "README"}, "without PATH"),
    ],
)
def test_wrong_use(wrong: dict[str, str], said: str, dataset: Path) -> None:
    from datalad.api import mrishare_provenance
    from datalad.support.exceptions import InsufficientArgumentsError

    with pytest.raises(InsufficientArgumentsError, match=said):
        mrishare_provenance(dataset=str(dataset), **wrong)


def test_an_unknown_format_is_told_with_those_there_are(dataset: Path, tmp_path: Path) -> None:
    from datalad.api import mrishare_provenance

    (found,) = mrishare_provenance(
        dataset=str(dataset),
        export=str(tmp_path / "out"),
        format="prov-xml",
        on_failure="ignore",
        result_renderer="disabled",
    )
    assert found["status"] == "error" and "prov-jsonld" in found["message"]
    assert not (tmp_path / "out").exists()
