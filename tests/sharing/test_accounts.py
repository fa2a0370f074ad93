"""Exports of a real dataset, beside the release that they have to agree with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from builders import copy_dataset, run
from mirrors import TODAY, add_path, consent, publish, tree_of
from runs import key_of, raw, recorded

from datalad_mrishare.errors import InputError, Refused, SiblingError
from datalad_mrishare.provenance.exporting import FORMATS
from datalad_mrishare.repo.worktree import Checkout
from datalad_mrishare.sharing import accounts
from datalad_mrishare.sharing.accounts import ExportReport, export

ONE, TWO, THREE = (raw(f"sub-0{n}") for n in (1, 2, 3))
FIRST = "derivatives/pipe/sub-01/func/sub-01_desc-x_bold.nii.gz"
OTHER = "derivatives/pipe/sub-02/func/sub-02_desc-x_bold.nii.gz"
MEAN, CONTROL = "derivatives/mean_bold.nii.gz", "derivatives/control_bold.nii.gz"
PLAIN = ("bids-prov", "ro-crate")
#: words of commands and names that nobody but the steward may see
SECRET = ("sub-02", "kerstin", "jdoe", "node17", "secretdir", "mean_bold", "/home", "desc-y")


@pytest.fixture(scope="module")
def derived(registered_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Only to be copied."""
    dataset = copy_dataset(registered_template, tmp_path_factory.mktemp("export") / "secretdir")
    for who, raw_image, made in (("sub-01", ONE, FIRST), ("sub-02", TWO, OTHER)):
        cmd = (
            f"/home/jdoe/bin/smooth {raw_image} {dataset}/{made} --by kerstin@node17 -s {who} -n 4"
        )
        old = made.replace("desc-x", "desc-y")
        recorded(dataset, {old: f"old of {who}".encode()}, [raw_image], cmd="x kerstin")
        run(dataset, "git", "rm", "--quiet", old)
        recorded(dataset, {made: f"derived of {who}".encode()}, [raw_image], cmd=cmd)
    recorded(dataset, {MEAN: b"mean of 1 and 2"}, [FIRST, OTHER], cmd="mean sub-01 sub-02")
    recorded(
        dataset,
        {CONTROL: b"mean of 1 and 3"},
        [FIRST, THREE],
        cmd=f"mean -n 2 {FIRST} {THREE} {OTHER} kerstin",
    )
    return dataset


def ready(derived: Path, path: Path) -> Path:
    """A copy with records of consent and a declared sibling."""
    copy = copy_dataset(derived, path / "dataset")
    consent(copy, ("sub-01", "given"), ("sub-02", "refused"), ("sub-03", "given"))
    add_path(copy, "mir", "institution")
    return copy


@pytest.fixture
def dataset(derived: Path, tmp_path: Path) -> Path:
    """To be changed."""
    return ready(derived, tmp_path)


@pytest.fixture(scope="module")
def unchanged(derived: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Only to be exported from."""
    return ready(derived, tmp_path_factory.mktemp("unchanged"))


def written(dataset: Path, target: Path, *formats: str, **more: Any) -> dict[str, str]:
    """Name -> text of all that an export wrote."""
    reports = list(export(Checkout(dataset), formats or PLAIN, target, at=TODAY, **more))
    assert all(isinstance(r, ExportReport) for r in reports)
    return {str(p.relative_to(target)): p.read_text() for r in reports for p in r.written}


def made_from(files: dict[str, str]) -> dict[str, set[str]]:
    """Path -> paths of what it was made from, as the BIDS-Prov files tell."""
    acts = json.loads(files["prov/prov-datalad_act.json"])["Activities"]
    used = {a["Id"]: {i for i in a.get("Used", ()) if "prov#" not in i} for a in acts}
    listed = json.loads(files["prov/prov-datalad_io.json"])["Files"]
    plain = lambda uri: unquote(uri.removeprefix("bids::"))  # noqa: E731
    return {
        plain(f["Id"]): {plain(u) for step in f["GeneratedBy"] for u in used[step]}
        for f in listed
        if "GeneratedBy" in f
    }


def test_an_export_for_a_sibling_agrees_with_its_release(dataset: Path, tmp_path: Path) -> None:
    files = written(dataset, tmp_path / "out", sibling="mir")
    told = made_from(files)
    assert told[FIRST] == {ONE} and told[CONTROL] == {FIRST, THREE}
    for text in files.values():
        for word in SECRET:
            assert word not in text.lower(), word
        assert run(dataset, "git", "rev-parse", "HEAD").strip() not in text
    acts = json.loads(files["prov/prov-datalad_act.json"])["Activities"]
    assert f"mean -n {FIRST} {THREE}" in [a["Command"] for a in acts]
    publish(dataset, "mir")
    there = tree_of(tmp_path / "mir.git")
    crate = json.loads(files["ro-crate-metadata.json"])["@graph"]
    parts = {unquote(item["@id"]): item for item in crate if item["@type"] == "File"}
    assert FIRST in parts and parts.keys() <= there.keys() and len(parts) > 10
    digest = key_of(dataset, FIRST).partition("--")[2].partition(".")[0]
    assert parts[FIRST]["identifier"].endswith(digest)
    # all but tables and what keeps a repository together
    rest = {p for p in there.keys() - parts.keys() if not p.startswith(".")}
    assert all(p.endswith(".tsv") for p in rest), rest


def test_the_steward_gets_everything_but_addresses(unchanged: Path, tmp_path: Path) -> None:
    files = written(unchanged, tmp_path / "out")
    told = made_from(files)
    assert told[MEAN] == {FIRST, OTHER} and told[OTHER] == {TWO}
    assert any("desc-y" in path and "#" in path for path in told)  # a former version
    text = "".join(files.values())
    for word in ("/home", "jdoe", "node17", str(unchanged)):
        assert word not in text, word
    assert "--by [address] -s sub-02 -n 4" in text and "kerstin" in text
    assert "jdoe" in "".join(written(unchanged, tmp_path / "out", as_recorded=True).values())


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_is_written(form: str, unchanged: Path, tmp_path: Path) -> None:
    if form.startswith("prov"):
        pytest.importorskip("prov")
    for text in written(unchanged, tmp_path / "out", form, sibling="mir").values():
        assert text.endswith("\n") and "sub-02" not in text


def test_nothing_to_tell_leaves_nothing_behind(dataset: Path, tmp_path: Path) -> None:
    target = tmp_path / "out"
    (target / "prov").mkdir(parents=True)
    (target / "prov/provenance.tsv").write_text("provenance_id\tdescription\nprov-x\tmine\n")
    (target / "prov/provenance.json").write_text("{}")
    written(dataset, target, "bids-prov", sibling="mir")
    lists = sorted(p.name for p in target.glob("prov/prov-datalad_*"))
    assert lists == [f"prov-datalad_{s}.json" for s in ("act", "io", "soft")]
    table = (target / "prov/provenance.tsv").read_text()
    assert "prov-x\tmine\n" in table and table.count("prov-datalad\t") == 1
    assert (target / "prov/provenance.json").read_text() == "{}"
    consent(dataset, ("sub-01", "withdrawn"), ("sub-03", "withdrawn"))
    assert set(written(dataset, target, "bids-prov", sibling="mir")) == {"prov/provenance.tsv"}
    assert not list(target.glob("prov/prov-datalad_*"))
    assert (target / "prov/provenance.tsv").read_text() == (
        "provenance_id\tdescription\nprov-x\tmine\n"
    )


@pytest.mark.slow
def test_a_released_export_is_held_back_once_it_names_somebody_withheld(
    dataset: Path, tmp_path: Path
) -> None:
    siblings = dataset / ".datalad/mrishare/siblings.yaml"
    siblings.write_text(siblings.read_text().rstrip() + '\n    commons: ["prov/*"]\n')
    written(dataset, dataset, "bids-prov", sibling="mir")
    run(dataset, "datalad", "save", "-m", "provenance")
    publish(dataset, "mir")
    mine = "prov/prov-datalad_act.json"
    assert mine in tree_of(tmp_path / "mir.git")
    consent(dataset, ("sub-01", "withdrawn"))
    publish(dataset, "mir")
    assert mine not in tree_of(tmp_path / "mir.git")
    written(dataset, dataset, "bids-prov", sibling="mir")
    assert "sub-01" not in "".join(p.read_text() for p in dataset.glob("prov/*"))


@pytest.mark.parametrize("name", ["ro-crate-metadata.json", "prov.json"])
def test_a_file_of_somebody_else_is_not_replaced(
    name: str, unchanged: Path, tmp_path: Path
) -> None:
    form = "ro-crate" if name.startswith("ro") else "prov-json"
    if form == "prov-json":
        pytest.importorskip("prov")
    (tmp_path / name).write_text("{}")
    with pytest.raises(InputError, match="not written by this software"):
        written(unchanged, tmp_path, "bids-prov", form)
    assert (tmp_path / name).read_text() == "{}" and not (tmp_path / "prov").exists()
    (tmp_path / name).unlink()
    first = written(unchanged, tmp_path, form)
    assert written(unchanged, tmp_path, form) == first


def test_nothing_is_written_through_links(dataset: Path, tmp_path: Path) -> None:
    target, outside = tmp_path / "out", tmp_path / "outside"
    target.mkdir()
    outside.mkdir()
    (target / "prov").symlink_to(outside)
    with pytest.raises(InputError, match="leads elsewhere"):
        written(dataset, target, "bids-prov")
    (target / "prov").unlink()
    (target / "ro-crate-metadata.json").symlink_to(outside / "made")
    with pytest.raises(InputError, match="not written by this software"):
        written(dataset, target, "ro-crate")
    assert not list(outside.iterdir())
    # an earlier export in the annex is replaced, its object is not
    first = written(dataset, dataset, "bids-prov")
    run(dataset, "git", "annex", "add", "--force-large", "prov")
    mine = dataset / "prov/prov-datalad_act.json"
    kept = mine.resolve()
    assert mine.is_symlink()
    assert written(dataset, dataset, "bids-prov", as_recorded=True) != first
    assert not mine.is_symlink() and kept.read_text() == first["prov/prov-datalad_act.json"]
    (dataset / "prov/provenance.tsv").unlink()
    (dataset / "prov/provenance.tsv").symlink_to("nowhere")
    with pytest.raises(InputError, match="other rows would be lost"):
        written(dataset, dataset, "bids-prov")


def test_what_would_name_somebody_is_refused_as_a_whole(
    unchanged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last look, should what comes before it fail."""
    real = accounts.export_files

    def leaking(*args: Any) -> dict[str, str]:
        return {**real(*args), "x.json": '"like Sub-02"'}

    monkeypatch.setattr(accounts, "export_files", leaking)
    with pytest.raises(Refused, match="sub-02"):
        written(unchanged, tmp_path / "out", "ro-crate", sibling="mir")
    assert not (tmp_path / "out").exists()


def test_wrong_use_is_told(unchanged: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="prov-json, prov-n"):
        written(unchanged, tmp_path, "prov-xml")
    with pytest.raises(SiblingError):
        written(unchanged, tmp_path, "ro-crate", sibling="nobody")
    with pytest.raises(InputError, match="steward only"):
        written(unchanged, tmp_path, "ro-crate", sibling="mir", as_recorded=True)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="not a directory"):
        written(unchanged, tmp_path / "file", "ro-crate")
