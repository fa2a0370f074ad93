"""``datalad mrishare-provenance``: both directions, all of one, recording, sealing."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
from builders import copy_dataset, run
from mirrors import add_path, consent, told, tree_of
from runs import (
    CONTROL,
    DERIVED,
    FIGURE,
    MEAN,
    ONE,
    RENAMED,
    SECOND,
    T1W,
    TABLE,
    TWO,
    derive,
    key_of,
    recorded,
)

from datalad_mrishare.provenance.statements import DIRECTORY


@pytest.fixture(scope="module")
def template(registered_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Derivatives of sub-02, and of others; only to be copied or looked at."""
    dataset = copy_dataset(registered_template, tmp_path_factory.mktemp("prov") / "dataset")
    derive(dataset)
    return dataset


@pytest.fixture
def dataset(template: Path, tmp_path: Path) -> Path:
    return copy_dataset(template, tmp_path / "dataset")


def asked(dataset: Path, *paths: str, **more: Any) -> list[dict]:
    from datalad.api import mrishare_provenance

    quiet = {"result_renderer": "disabled", "on_failure": "ignore"}
    for name in ("derived_from",):
        if name in more:
            more[name] = [str(dataset / p) for p in more[name]]
    full = [str(dataset / p) for p in paths] or None
    return list(mrishare_provenance(full, dataset=str(dataset), **more, **quiet))


def shape(steps: list[dict]) -> list[tuple[int, str]]:
    return [(s["depth"], s["kind"] if "kind" in s else s["path"]) for s in steps]


def test_both_directions(template: Path) -> None:
    (found,) = asked(template, RENAMED)
    assert (found["status"], found["evidence"], found["participants"]) == (
        "ok",
        "declared",
        ["sub-02"],
    )
    assert sorted(found["paths"]) == [RENAMED, SECOND] and found["current"]
    assert shape(found["ancestors"]) == [(0, "run"), (1, DERIVED), (2, "run"), (3, TWO)]
    assert shape(found["descendants"]) == [(0, "run"), (1, FIGURE)]
    assert found["ancestors"][0]["activity"] == commit_of(template, SECOND)
    (source,) = asked(template, TWO)
    assert source["ancestors"] == [] and source["evidence"] == "asserted"
    names = {s["path"] for s in source["descendants"] if "path" in s}
    assert names - {SECOND} == {DERIVED, RENAMED, MEAN, TABLE, FIGURE} - ({RENAMED} - names)


def commit_of(dataset: Path, path: str) -> str:
    return run(dataset, "git", "log", "--format=%H", "--diff-filter=A", "--", path).strip()


def test_a_tree_for_people(template: Path) -> None:
    out = run(template, "datalad", "mrishare-provenance", TABLE)
    lines = [line.strip() for line in out.splitlines()]
    assert lines[0].startswith("lineage") and "sub-01, sub-02 (declared)" in lines[0]
    assert lines[1] == "made from:"
    assert lines[2].startswith(f"run {commit_of(template, TABLE)[:10]} 20")
    assert lines[3] == f"{MEAN}: sub-01, sub-02"
    assert lines[5:7] == [f"{ONE}: sub-01", f"{TWO}: sub-02"]
    assert lines[7] == "used for: nothing that is recorded"


def test_a_path_that_only_history_has(template: Path) -> None:
    (found,) = asked(template, SECOND)
    assert found["node"] == key_of(template, RENAMED)
    (wrong,) = asked(template, "nothing/here")
    assert wrong["status"] == "error" and "no commit has it" in wrong["message"]


def test_everything_of_one_in_every_version_and_nothing_of_the_others(dataset: Path) -> None:
    old = key_of(dataset, T1W)
    (dataset / T1W).unlink()
    (dataset / T1W).write_bytes(b"another scan")
    run(dataset, "git", "annex", "add", "--quiet", T1W)
    run(dataset, "git", "commit", "--quiet", "-m", "replace")
    gone = "derivatives/dropped_bold.nii.gz"
    recorded(dataset, {gone: b"nobody has it any more"}, [TWO])
    gone_key = key_of(dataset, gone)
    run(dataset, "git", "rm", "--quiet", gone)
    run(dataset, "git", "commit", "--quiet", "-m", "remove")
    run(dataset, "git", "annex", "drop", "--quiet", "--force", "--key", gone_key)

    *found, total = asked(dataset, of="sub-02")
    annexed = {r["node"]: r for r in found if not r["node"].startswith("git:")}
    assert {
        r["node"]: (r["path"].removeprefix(f"{dataset}/"), r["kind"], r["current"])
        for r in annexed.values()
    } == {
        key_of(dataset, TWO): (TWO, "raw", True),
        key_of(dataset, T1W): (T1W, "raw", True),
        old: (T1W, "raw", False),
        key_of(dataset, DERIVED): (DERIVED, "derivative", True),
        key_of(dataset, RENAMED): (RENAMED, "derivative", True),
        key_of(dataset, MEAN): (MEAN, "group", True),
    }
    in_git = {
        r["path"].removeprefix(f"{dataset}/"): r["kind"] for r in found if r not in annexed.values()
    }
    mine = {p: "raw" for p in run(dataset, "git", "ls-files", "sub-02").split() if "nii" not in p}
    assert in_git == {TABLE: "group", FIGURE: "derivative", "participants.tsv": "table", **mine}
    assert total["counts"] == {"raw": 3 + len(mine), "derivative": 3, "group": 2, "table": 1}
    others = {r["node"] for r in asked(dataset, of="03")[:-1]}
    assert key_of(dataset, CONTROL) in others and key_of(dataset, MEAN) not in others
    assert {key_of(dataset, p) for p in (CONTROL, ONE)}.isdisjoint(annexed)
    (nobody,) = asked(dataset, of="sub-77")
    assert nobody["status"] == "error" and "not a participant" in nobody["message"]


@pytest.mark.slow
def test_what_subdatasets_hold_is_everything_of_one_too(dataset: Path) -> None:
    below = dataset / "derivatives/own"
    run(dataset, "git", "init", "--quiet", str(below))
    run(below, "git", "annex", "init", "--quiet")
    (below / "sub-02").mkdir()
    (below / "sub-02/map.nii.gz").write_bytes(b"a map")
    run(below, "git", "annex", "add", "--quiet", "--force-large", ".")
    run(below, "git", "commit", "--quiet", "-m", "map")
    run(dataset, "git", "submodule", "--quiet", "add", "./derivatives/own", "derivatives/own")
    # what is not in the log yet is here all the same
    here = "sub-02/func/sub-02_task-new_bold.nii.gz"
    (dataset / here).write_bytes(b"new")
    quiet = ("git", "-c", "annex.alwayscommit=false", "annex", "add", "--quiet", here)
    run(dataset, *quiet)
    run(dataset, "git", "commit", "--quiet", "-m", "own")
    held = {r["path"].removeprefix(f"{dataset}/"): r for r in asked(dataset, of="sub-02")[:-1]}
    map_ = held["derivatives/own/sub-02/map.nii.gz"]
    assert map_["current"] and map_["copies"] == 1
    assert held[here]["copies"] == 1


@pytest.mark.slow
def test_what_was_made_outside_is_recorded_and_counts(dataset: Path) -> None:
    out = dataset / "derivatives/outside/map_bold.nii.gz"
    out.parent.mkdir(parents=True)
    out.write_bytes(b"made on a cluster")
    run(dataset, "git", "annex", "add", "--quiet", str(out))
    run(dataset, "git", "commit", "--quiet", "-m", "from the cluster")
    path = str(out.relative_to(dataset))
    consent(dataset, ("sub-01", "given"), ("sub-02", "given"))
    place = add_path(dataset, "mir", "institution")
    told(dataset)
    assert path not in tree_of(place)  # nobody knows whose it is
    log = dataset.parent / "job.log"
    log.write_text("all went well\n")
    words = {"derived_from": ["sub-01", TWO], "by": "spm 12", "evidence": str(log)}
    (dry,) = asked(dataset, path, dry_run=True, **words)
    assert (dry["status"], dry["statement"], dry["participants"]) == (
        "ok",
        None,
        ["sub-01", "sub-02"],
    )
    (done,) = asked(dataset, path, **words)
    held = json.loads(run(dataset, "git", "cat-file", "blob", f"HEAD:{done['statement']}"))
    digest = hashlib.sha256(b"all went well\n").hexdigest()
    assert held["evidence"] == f"file job.log, SHA-256 {digest}" and held["by"] == "spm 12"
    assert held["outputs"] == [{"path": path, "key": key_of(dataset, path)}]
    mine = run(dataset, "git", "ls-files", "sub-01").split()
    assert [i["path"] for i in held["inputs"]] == sorted([*mine, TWO])
    (again,) = asked(dataset, path, **words)
    assert again["status"] == "notneeded"
    told(dataset)
    assert path in tree_of(place)
    (found,) = asked(dataset, path)
    assert (found["evidence"], found["ancestors"][0]["kind"]) == ("asserted", "statement")
    consent(dataset, ("sub-02", "withdrawn"))
    told(dataset)
    assert path not in tree_of(place)


def test_a_derivation_is_the_answer_to_opaque_lineage(dataset: Path) -> None:
    path = "derivatives/x_bold.nii.gz"
    recorded(dataset, {path: b"?"}, ["../elsewhere/*.nii.gz"])
    consent(dataset, ("sub-01", "given"))
    place = add_path(dataset, "mir", "institution")
    (found,) = asked(dataset, path)
    assert found["evidence"] == "opaque" and found["opaque"]
    reasons = [r for r in told(dataset) if r.get("component") == "lineage"]
    assert len(reasons) == 1 and "--derived-from" in reasons[0]["remedy"]
    asked(dataset, path, derived_from=[ONE], by="what I remember")
    told(dataset)
    assert path in tree_of(place)


def ran(dataset: Path, cmd: str, *inputs: str, output: str) -> str:
    given = [word for path in inputs for word in ("-i", path)]
    run(dataset, "datalad", "run", *given, "-o", output, cmd)
    return run(dataset, "git", "rev-parse", "HEAD").strip()


def below_ran(dataset: Path) -> str:
    """A run with an input in a subdataset."""
    raw = dataset / "raw"
    run(dataset, "datalad", "create", "-d", ".", "raw")
    (raw / "sub-05").mkdir()
    (raw / "sub-05/x.dat").write_bytes(b"of somebody")
    run(dataset, "datalad", "save", "-r", "-m", "raw")
    return ran(dataset, "cat raw/sub-05/x.dat > five.dat", "raw/sub-05/x.dat", output="five.dat")


def test_sealing(dataset: Path) -> None:
    """One dataset for all, as each run takes seconds."""
    honest = ran(dataset, f"cat {ONE} {TWO} > sum.dat", ONE, TWO, output="sum.dat")
    lying = ran(dataset, f"cat {ONE} {TWO} > lie.dat", ONE, output="lie.dat")
    random = ran(dataset, f"cat {ONE} > r.dat; date +%N >> r.dat", ONE, output="r.dat")
    table = ran(dataset, "cat participants.tsv > p.dat", ONE, output="p.dat")
    (dataset / "new/one").mkdir(parents=True)  # no commit knows of an empty directory
    deep = ran(dataset, f"cat {ONE} > new/one/a.dat", ONE, output="new/one/a.dat")
    below = below_ran(dataset)
    before = run(dataset, "git", "rev-parse", "HEAD").strip()
    left = dataset / ".git/mrishare/seal/clone/left"
    left.mkdir(parents=True)  # of a killed one

    (dry,) = asked(dataset, seal=honest, dry_run=True)
    assert (dry["outcome"], sorted(dry["inputs"])) == ("planned", [ONE, TWO])
    found = {c: asked(dataset, seal=c)[0] for c in (lying, random, table)}
    assert run(dataset, "git", "rev-parse", "HEAD").strip() == before
    assert found[lying]["outcome"] == "failed" and found[lying]["undeclared"] == [TWO]
    assert TWO in found[lying]["message"] and found[lying]["status"] == "impossible"
    assert found[table]["outcome"] == "failed"
    assert found[table]["undeclared"] == ["participants.tsv"]
    assert (found[random]["outcome"], found[random]["different"]) == ("different", ["r.dat"])

    (refused,) = asked(dataset, seal=below)
    assert refused["status"] == "error" and "in a subdataset" in refused["message"], refused

    assert asked(dataset, seal=deep)[0]["outcome"] == "sealed"
    (done,) = asked(dataset, seal=honest[:10])
    assert (done["status"], done["outcome"]) == ("ok", "sealed")
    held = json.loads(run(dataset, "git", "cat-file", "blob", f"HEAD:{done['statement']}"))
    assert (held["statement"], held["commit"]) == ("seal", honest)
    assert done["statement"].startswith(f"{DIRECTORY}/")
    assert not (dataset / ".git/mrishare/seal").exists()
    assert run(dataset, "git", "status", "--porcelain") == ""
    (traced,) = asked(dataset, "sum.dat")
    assert traced["ancestors"][0]["evidence"] == "sealed"
    assert asked(dataset, seal=honest)[0]["outcome"] == "known"


@pytest.mark.parametrize(
    ("commit", "what"),
    [("HEAD", "not the commit of a run"), ("nothing", "no commit"), ("--all", "no commit")],
)
def test_what_cannot_be_sealed(template: Path, commit: str, what: str) -> None:
    (found,) = asked(template, seal=commit)
    assert found["status"] == "error" and what in found["message"]


@pytest.mark.parametrize(
    "how",
    [
        "cat {0}/{1}",
        "tool -I{0}/sub-01",
        "run -B /opt/fs:/fs,{0}/sub-01:/in",
        "P=/lib:{0} tool",
        "cat '{0}'/{1}",
        "ls {0}",
    ],
)
def test_a_command_that_names_the_dataset_by_its_place_is_not_run(dataset: Path, how: str) -> None:
    mark = dataset.parent / "mark"
    cmd = f"touch {mark}; {how.format(dataset, ONE)} > a.dat"
    commit = recorded(dataset, {"a.dat": b"a"}, [ONE], cmd=cmd)
    (found,) = asked(dataset, seal=commit)
    assert "absolute path" in found["message"] and not mark.exists()


def test_a_place_with_odd_letters_is_known_too(dataset: Path) -> None:
    odd = dataset.rename(dataset.parent / "my (data)")
    mark = odd.parent / "mark"
    commit = recorded(odd, {"a.dat": b"a"}, [ONE], cmd=f"touch {mark}; cat '{odd}/{ONE}' > a.dat")
    (found,) = asked(odd, seal=commit)
    assert "absolute path" in found["message"] and not mark.exists()
    beside = f"cat '{odd}.old/x' 2>&1; printf a > b.dat"
    commit = recorded(odd, {"b.dat": b"a"}, [ONE], cmd=beside)
    (found,) = asked(odd, seal=commit)
    assert "absolute path" not in found["message"]


def test_only_sealing_executes_what_is_recorded(dataset: Path) -> None:
    mark = dataset.parent / "mark"
    commit = recorded(dataset, {"a.dat": b"a"}, [ONE], cmd=f"touch {mark}; false")
    asked(dataset, "a.dat")
    asked(dataset, of="sub-01")
    asked(dataset, seal=commit, dry_run=True)
    assert not mark.exists()


@pytest.mark.parametrize(
    "args",
    [
        (),
        ("x", "--of", "sub-01"),
        ("--of", "sub-01", "--seal", "HEAD"),
        ("x", "--derived-from", "y"),
        ("--derived-from", "y", "--by", "z"),
        ("x", "--by", "z"),
        ("x", "--dry-run"),
        ("--seal", ""),
        ("--of", " "),
    ],
)
def test_wrong_use(template: Path, args: tuple[str, ...]) -> None:
    from datalad.api import mrishare_provenance
    from datalad.support.exceptions import InsufficientArgumentsError

    names = {"--of": "of", "--seal": "seal", "--derived-from": "derived_from", "--by": "by"}
    words, given = list(args), {}
    path = [words.pop(0)] if words and not words[0].startswith("-") else None
    while words:
        name = words.pop(0)
        given["dry_run" if name == "--dry-run" else names[name]] = (
            True if name == "--dry-run" else words.pop(0)
        )
    with pytest.raises(InsufficientArgumentsError):
        mrishare_provenance(path, dataset=str(template), result_renderer="disabled", **given)


def test_on_the_command_line(template: Path) -> None:
    out = run(template, "datalad", "-f", "json", "mrishare-provenance", "--of", "sub-02")
    found = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    assert found[-1]["outcome"] == "summary" and len(found) > 5
    words = (MEAN, "--derived-from", "sub-03", "--by", "x", "--dry-run")
    out = run(template, "datalad", "mrishare-provenance", *words)
    assert "would be recorded as made from 5 files; data of sub-01, sub-02, sub-03" in out
    assert os.path.exists(template / MEAN)
