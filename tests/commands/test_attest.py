"""``datalad mrishare-attest``: what is accepted, what it changes, and for how long."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from builders import copy_dataset, run
from mirrors import add_path, consent, keys_at, told, tree_of
from runs import key_of, raw, recorded

from datalad_mrishare.provenance.statements import DIRECTORY
from datalad_mrishare.repo.worktree import Checkout
from datalad_mrishare.sharing.siblings import declare

MEAN, FEW = "derivatives/mean_bold.nii.gz", "derivatives/few_bold.nii.gz"
T1W = raw("sub-01", "anat/{0}_T1w.nii.gz")
POLICY = "policy: institution\nmin_participants: {}\n"


@pytest.fixture(scope="module")
def template(registered_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A mean over four, one over two; only to be copied."""
    dataset = copy_dataset(registered_template, tmp_path_factory.mktemp("attest") / "dataset")
    recorded(dataset, {MEAN: b"mean over four"}, [raw(f"sub-0{n}") for n in (1, 2, 3, 4)])
    recorded(dataset, {FEW: b"mean over two"}, [raw("sub-01"), raw("sub-02")])
    return dataset


@pytest.fixture
def dataset(template: Path, tmp_path: Path) -> Path:
    return copy_dataset(template, tmp_path / "dataset")


def attest(
    dataset: Path, *paths: str, deid: str, evidence: str = "looked at", **more: Any
) -> list[dict]:
    from datalad.api import mrishare_attest

    quiet = {"result_renderer": "disabled", "on_failure": "ignore"}
    full = [str(dataset / p) for p in paths]
    return list(
        mrishare_attest(full, dataset=str(dataset), deid=deid, evidence=evidence, **more, **quiet)
    )


def statements(dataset: Path) -> list[dict]:
    names = run(dataset, "git", "ls-tree", "-r", "--name-only", "HEAD", f"{DIRECTORY}/").split()
    return [json.loads(run(dataset, "git", "cat-file", "blob", f"HEAD:{n}")) for n in names]


def share(dataset: Path, least: int = 3, name: str = "mir") -> Path:
    """A sibling that takes results of at least so many."""
    place = add_path(dataset, name, "institution")
    file = dataset.parent / "policy.yaml"
    file.write_text(POLICY.format(least))
    declare(Checkout(dataset), name, str(file))
    return place


def test_a_cleared_image_goes_and_its_next_version_does_not(dataset: Path) -> None:
    add_path(dataset, "world", "registered")
    consent(dataset, ("sub-01", "given"))
    from datalad.api import mrishare_explain

    def permit() -> bool:
        quiet = {"result_renderer": "disabled", "on_failure": "ignore"}
        (found,) = mrishare_explain(str(dataset / T1W), dataset=str(dataset), to="world", **quiet)
        return found["permit"]

    assert not permit()
    before = run(dataset, "git", "rev-parse", "HEAD")
    (dry,) = attest(dataset, T1W, deid="deidentified", dry_run=True)
    assert (dry["status"], dry["statement"]) == ("ok", None)
    assert run(dataset, "git", "rev-parse", "HEAD") == before and not permit()
    (done,) = attest(dataset, T1W, deid="deidentified", by="J. Doe")
    assert done["status"] == "ok" and permit()
    (held,) = statements(dataset)
    token, recorded_on = held.pop("token"), held.pop("recorded")
    assert done["statement"] == f"{DIRECTORY}/{token}-attestation.json" and recorded_on
    assert held == {
        "statement": "attestation",
        "path": T1W,
        "key": key_of(dataset, T1W),
        "deid": "deidentified",
        "evidence": "looked at",
        "by": "J. Doe",
    }
    (again,) = attest(dataset, T1W, deid="deidentified", by="J. Doe")
    assert again["status"] == "notneeded" and len(statements(dataset)) == 1
    assert run(dataset, "git", "status", "--porcelain") == ""
    (dataset / T1W).unlink()
    (dataset / T1W).write_bytes(b"not defaced")
    (refused,) = attest(dataset, T1W, deid="deidentified")
    assert refused["status"] == "error" and "as it is committed" in refused["message"]
    run(dataset, "git", "annex", "add", "--quiet", T1W)
    run(dataset, "git", "commit", "--quiet", "-m", "new version")
    assert not permit()


def test_too_few_participants_are_refused_with_their_number(dataset: Path) -> None:
    (found,) = attest(dataset, MEAN, deid="anonymous")
    assert found["status"] == "impossible" and found["participants"] == 4
    assert "counts 4 participants" in found["message"] and "at least 10" in found["message"]
    share(dataset, 3)
    many, few, alone = attest(dataset, MEAN, FEW, raw("sub-01"), deid="anonymous")
    assert [r["status"] for r in (many, few, alone)] == ["ok", "impossible", "impossible"]
    assert (many["siblings"], many["lineage"]) == (["mir"], "declared")
    assert "counts 2" in few["message"] and "counts 1 participant " in alone["message"]
    assert [s["path"] for s in statements(dataset)] == [MEAN]


def test_what_is_opaque_is_refused(dataset: Path) -> None:
    share(dataset, 3)
    recorded(dataset, {"derivatives/x_bold.nii.gz": b"?"}, ["../elsewhere/*.nii.gz"])
    (found,) = attest(dataset, "derivatives/x_bold.nii.gz", deid="anonymous")
    assert found["status"] == "impossible" and "nobody can tell" in found["message"]
    assert "--derived-from" in found["remedy"]


def test_an_anonymous_result_goes_and_a_withdrawal_asks_for_a_decision(dataset: Path) -> None:
    from datalad.api import mrishare_explain

    place = share(dataset)
    consent(dataset, ("sub-01", "given"))  # of the others nothing is on record
    told(dataset)
    assert MEAN not in tree_of(place)
    attest(dataset, MEAN, deid="anonymous")
    told(dataset)
    assert MEAN in tree_of(place) and key_of(dataset, MEAN) in keys_at(place)
    names = run(place, "git", "log", "-p", "--all")
    assert not any(f"sub-0{n}" in names for n in (2, 3, 4))
    assert not any(".datalad/mrishare/statements" in p for p in tree_of(place))

    out = imported(dataset, "sub-02\twithdrawn\tn/a\t2026-03-01\tstop-sharing\t2026-03-01\n")
    assert out["to_decide"] == [MEAN] and "decide about" in out["message"]
    found = told(dataset, code=1)
    (asked,) = [r for r in found if r.get("outcome") == "to decide"]
    assert asked["paths"] == [MEAN] and "sub-02" in asked["message"]
    assert MEAN in tree_of(place) and "It stays" in asked["message"]  # not dropped silently
    other = share(dataset, name="new")
    found = told(dataset, "new", code=1)
    (asked,) = [r for r in found if r.get("outcome") == "to decide"]
    assert asked["paths"] == [MEAN] and "does not go there" in asked["message"]
    assert MEAN not in tree_of(other) and key_of(dataset, MEAN) not in keys_at(other)
    asked_why = {"dataset": str(dataset), "to": "new", "result_renderer": "disabled"}
    (why,) = mrishare_explain(str(dataset / MEAN), **asked_why)
    assert why["permit"] and "where it is not yet it does not go" in why["message"]
    (again,) = attest(dataset, MEAN, deid="anonymous", evidence="one of four changes nothing")
    assert (again["status"], again["denied"]) == ("ok", 1)
    assert not [r for r in told(dataset) if r.get("outcome") == "to decide"]
    assert MEAN in tree_of(place)
    attest(dataset, MEAN, deid="identifiable", evidence="sub-02 can be told from it")
    told(dataset)
    assert MEAN not in tree_of(place) and key_of(dataset, MEAN) not in keys_at(place)


@pytest.mark.slow
def test_a_result_in_git_waits_at_every_publication(dataset: Path) -> None:
    """It goes with no release while something is to be decided, the second no more than the first;
    where it is it stays.
    """
    old, new = share(dataset, name="old"), share(dataset, name="new")
    scores = "derivatives/scores.csv"
    recorded(dataset, {scores: b"mean,1.0\n"}, [raw(f"sub-0{n}") for n in (1, 2, 3, 4)], git=True)
    consent(dataset, ("sub-01", "given"))
    attest(dataset, scores, deid="anonymous")
    told(dataset, "old")
    assert scores in tree_of(old)
    imported(dataset, "sub-02\twithdrawn\tn/a\t2026-03-01\tstop-sharing\t2026-03-01\n")
    for words in ("a word", "another word"):
        (dataset / "README").write_text(words)
        run(dataset, "git", "commit", "--quiet", "-m", "reword", "README")
        for name, place, says in (("old", old, "It stays"), ("new", new, "does not go there")):
            found = told(dataset, name, code=1)
            (asked,) = [r for r in found if r.get("outcome") == "to decide"]
            assert asked["paths"] == [scores] and says in asked["message"]
            assert (scores in tree_of(place)) is (name == "old")
    account = dataset.parent / "account"
    export(dataset, account, "new")
    assert not any(scores in p.read_text() for p in account.rglob("*") if p.is_file())
    attest(dataset, scores, deid="anonymous", evidence="one of four changes nothing")
    told(dataset, "new")
    assert scores in tree_of(new)
    export(dataset, account, "new")
    assert any(scores in p.read_text() for p in account.rglob("*") if p.is_file())


def export(dataset: Path, target: Path, sibling: str) -> None:
    """What a sibling may be told of where its files came from."""
    from datalad.api import mrishare_provenance

    asked: dict[str, Any] = {"export": str(target), "format": "ro-crate", "to": sibling}
    mrishare_provenance(dataset=str(dataset), result_renderer="disabled", **asked)


def imported(dataset: Path, row: str) -> dict:
    from datalad.api import mrishare_consent

    file = dataset.parent / "more.tsv"
    file.write_text("participant_id\tstate\tform\tfrom\tthen\trecorded\n" + row)
    quiet = {"result_renderer": "disabled", "return_type": "item-or-list"}
    return mrishare_consent(str(file), dataset=str(dataset), **quiet)


@pytest.mark.parametrize(
    ("args", "what"),
    [
        ((T1W, "--deid", "clean", "--evidence", "x"), "unknown level"),
        ((T1W, "--deid", "deidentified", "--evidence", " "), "only an opinion"),
        (("sub-01", "--deid", "deidentified", "--evidence", "x"), "directory"),
        (("nothing", "--deid", "deidentified", "--evidence", "x"), "no file"),
        (("../x", "--deid", "deidentified", "--evidence", "x"), "not in the dataset"),
    ],
)
def test_what_cannot_be_attested(template: Path, args: tuple[str, ...], what: str) -> None:
    out = run(template, "datalad", "-f", "json", "mrishare-attest", *args, ok=(1,))
    (found,) = (json.loads(line) for line in out.splitlines() if line.startswith("{"))
    assert found["status"] == "error" and what in found["message"]


def test_wrong_use_and_for_people(dataset: Path) -> None:
    for args in ((T1W,), (T1W, "--deid", "anonymous"), ("--deid", "anonymous", "--evidence", "x")):
        run(dataset, "datalad", "mrishare-attest", *args, ok=(1, 2))
    words = ("--deid", "anonymous", "--evidence", "x")
    out = run(dataset, "datalad", "mrishare-attest", FEW, *words, ok=(1,))
    assert "refused" in out and "counts 2 participants" in out and "--derived-from" in out


def test_a_statement_that_was_changed_by_hand_stops_everything(dataset: Path) -> None:
    add_path(dataset, "mir", "institution")
    attest(dataset, T1W, deid="deidentified")
    (path,) = run(dataset, "git", "ls-files", f"{DIRECTORY}/").split()
    text = (dataset / path).read_text().replace('"deid"', '"dide"')
    (dataset / path).write_text(text)
    run(dataset, "git", "commit", "--quiet", "-am", "oops")
    (found,) = told(dataset, code=1)
    assert found["status"] == "error" and "dide" in found["message"] and path in found["message"]
