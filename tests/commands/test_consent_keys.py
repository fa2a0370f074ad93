"""What an import leaves on keys: every version, every path, everyone, whoever else writes."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from builders import metadata, run
from mirrors import add_path

from datalad_mrishare.consent import FIELDS, Resolver, grant_from_fields
from datalad_mrishare.repo.worktree import Checkout
from datalad_mrishare.sharing.consents import file_grant
from datalad_mrishare.sharing.snapshot import take_snapshot

FORM = "obc-gdpr-ult-1.1.0"
HEAD = "participant_id\tstate\tform\tfrom\tuntil\n"
BOLD = "sub-01/func/sub-01_task-rest_bold.nii.gz"
T1W = "sub-01/anat/sub-01_T1w.nii.gz"


def given(*people: str, until: str = "n/a") -> str:
    return "".join(f"{p}\tgiven\t{FORM}\t2026-01-01\t{until}\n" for p in people)


def consent(dataset: Path, rows: str, **options: object) -> dict:
    from datalad.api import mrishare_consent

    file = dataset.parent / "records.tsv"
    file.write_text(HEAD + rows)
    quiet = {"result_renderer": "disabled", "on_failure": "ignore"}
    (done,) = mrishare_consent(str(file), dataset=str(dataset), **quiet, **options)
    return done


def on_key(dataset: Path, key: str) -> dict[str, list[str]]:
    """Our fields of a key, as git-annex tells them."""
    found = json.loads(run(dataset, "git", "annex", "metadata", "--json", f"--key={key}"))["fields"]
    return {k.removeprefix("mrishare-"): sorted(v) for k, v in found.items() if k in FIELDS}


def key_of(dataset: Path, path: str) -> str:
    return run(dataset, "git", "annex", "lookupkey", path).strip()


def replace(dataset: Path, path: str, content: bytes) -> None:
    (dataset / path).unlink()
    (dataset / path).write_bytes(content)
    run(dataset, "git", "annex", "add", "--quiet", path)
    run(dataset, "git", "commit", "--quiet", "-m", "another version")


@pytest.mark.slow
def test_an_older_version_is_still_somebodys(registered: Path) -> None:
    add_path(registered, "mirror", "institution")
    old = key_of(registered, BOLD)
    consent(registered, given("sub-01"))
    assert on_key(registered, old)["share"] == ["mirror"]
    replace(registered, BOLD, b"second version" * 999)
    assert consent(registered, given("sub-01"))["status"] == "ok"
    assert on_key(registered, old)["participant"] == ["sub-01"]
    assert on_key(registered, old)["reach"] == ["registered"]
    assert "share" not in on_key(registered, old)
    assert on_key(registered, key_of(registered, BOLD))["share"] == ["mirror"]
    # a change of mind is about every version
    consent(registered, "sub-01\twithdrawn\tn/a\t2026-02-01\tn/a\n")
    assert on_key(registered, old) == {"participant": ["sub-01"], "reach": ["own"]}
    # of content that is nowhere any more nothing is told
    run(registered, "git", "annex", "drop", "--force", "--quiet", f"--key={old}")
    consent(registered, given("sub-02"))
    assert on_key(registered, old) == {}


def test_a_key_without_a_path_is_of_all_whose_it_ever_was(registered: Path) -> None:
    key = key_of(registered, T1W)
    run(registered, "git", "mv", T1W, "sub-02/anat/sub-02_acq-x_T1w.nii.gz")
    run(registered, "git", "commit", "--quiet", "-m", "it was of somebody else")
    consent(registered, given("sub-01", "sub-02"))
    # in the tree as well as out of it: a new name does not make it somebody else's
    assert on_key(registered, key)["participant"] == ["sub-01", "sub-02"]
    run(registered, "git", "rm", "--quiet", "sub-02/anat/sub-02_acq-x_T1w.nii.gz")
    run(registered, "git", "commit", "--quiet", "-m", "and is gone")
    consent(registered, given("sub-03"))
    assert on_key(registered, key)["participant"] == ["sub-01", "sub-02"]


def test_versions_of_other_branches_and_tags_count(registered: Path) -> None:
    main = run(registered, "git", "symbolic-ref", "--short", "HEAD").strip()
    run(registered, "git", "switch", "--quiet", "-c", "side")
    replace(registered, BOLD, b"of a branch" * 999)
    on_branch = key_of(registered, BOLD)
    replace(registered, BOLD, b"of a tag" * 999)
    on_tag = key_of(registered, BOLD)
    run(registered, "git", "tag", "v1")
    run(registered, "git", "reset", "--quiet", "--hard", "HEAD~1")
    run(registered, "git", "switch", "--quiet", main)
    consent(registered, given("sub-01"))
    assert [on_key(registered, k)["participant"] for k in (on_branch, on_tag)] == [["sub-01"]] * 2


@pytest.mark.parametrize("unlocked", [False, True], ids=["locked", "unlocked"])
def test_several_people_and_several_paths(registered: Path, unlocked: bool) -> None:
    both = "derivatives/group/sub-01_sub-02_desc-mean_T1w.nii.gz"
    copy = "derivatives/group/sub-03/sub-03_T1w.nii.gz"
    for path in (both, copy):
        (registered / path).parent.mkdir(parents=True, exist_ok=True)
        (registered / path).write_bytes(b"same content" * 99)
    run(registered, "git", "annex", "add", "--quiet", "derivatives")
    if unlocked:
        run(registered, "git", "annex", "unlock", "--quiet", "derivatives", BOLD)
    run(registered, "git", "commit", "--quiet", "-am", "group")
    consent(registered, given("sub-01") + given("sub-02", until="2999-01-01"))
    assert metadata(registered, both)["mrishare-participant"] == ["sub-01", "sub-02", "sub-03"]
    assert metadata(registered, both)["mrishare-reach"] == ["own"]
    consent(registered, given("sub-03", until="2998-01-01"))
    assert metadata(registered, copy)["mrishare-reach"] == ["registered"]
    assert metadata(registered, copy)["mrishare-until"] == ["2998-01-01"]
    assert metadata(registered, BOLD)["mrishare-participant"] == ["sub-01"]


def test_keys_read_back_say_what_the_registry_says(registered: Path) -> None:
    consent(registered, given("sub-01") + given("sub-02", until="2999-01-01"))
    consent(registered, "sub-03\trefused\tn/a\t2026-01-01\tn/a\n")
    checkout = Checkout(registered)
    state = take_snapshot(checkout)
    from datetime import date

    resolver = Resolver(state.registry, date.today())
    compared = 0
    for facts in state.facts():
        if facts.entry.key and facts.participants:
            fields = state.logs.metadata[facts.entry.key]
            assert grant_from_fields(fields) == file_grant(facts, resolver), facts.path
            compared += not grant_from_fields(fields).is_bottom
    assert compared == 4


def test_a_forged_field_is_put_right_by_the_next_import(registered: Path) -> None:
    assert consent(registered, given("sub-01"))["status"] == "ok"
    assert consent(registered, given("sub-01"))["status"] == "notneeded"
    run(registered, "git", "annex", "metadata", "-s", "mrishare-reach=public", BOLD, "--quiet")
    done = consent(registered, given("sub-01"))
    assert (done["status"], done["keys"]) == ("ok", 1)
    assert metadata(registered, BOLD)["mrishare-reach"] == ["registered"]


def test_what_is_remembered_ends_with_what_it_rests_on(
    registered: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same file again is not looked at again, but only while nothing has changed."""
    from datalad_mrishare.sharing import consents

    consent(registered, given("sub-01"))
    with monkeypatch.context() as patched:
        patched.setattr(consents, "import_records", None)
        again = consent(registered, given("sub-01"))
    assert (again["status"], again["known"]) == ("notneeded", 1)
    (registered / "README").write_text("changed")
    run(registered, "git", "commit", "--quiet", "-am", "another commit")
    with monkeypatch.context() as patched:
        patched.setattr(consents, "import_records", None)
        with pytest.raises(TypeError):
            consent(registered, given("sub-01"))
    remembered = registered / ".git/mrishare/imported.json"
    remembered.write_text("{damaged")
    assert consent(registered, given("sub-01"))["status"] == "notneeded"


def test_another_process_may_write_metadata_all_the_time(registered: Path) -> None:
    writing = "i=0; while [ $i -lt 12 ]; do i=$((i+1));" + (
        f' git annex metadata --quiet "$1" -s "note+=n$i" -s "last=$i" || exit 1; done; : {T1W}'
    )
    other = subprocess.Popen(["sh", "-c", writing, "sh", BOLD], cwd=registered)
    states = [given("sub-01"), "sub-01\trefused\tn/a\t2026-02-01\tn/a\n"]
    rounds = 0
    while other.poll() is None or rounds < 2:
        consent(registered, states[rounds % 2] if rounds < 2 else given(f"sub-{rounds:02d}"))
        rounds += 1
    assert other.returncode == 0
    found = metadata(registered, BOLD)
    assert found["note"] == sorted(f"n{i}" for i in range(1, 13)) and found["last"] == ["12"]
    assert (found["mrishare-participant"], found["mrishare-reach"]) == (["sub-01"], ["own"])
    assert rounds >= 2
