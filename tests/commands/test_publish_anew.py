"""``datalad mrishare-publish --new-root``: what was released before is forgotten, on every kind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest
from builders import annexed, run
from leaks import scanner
from mirrors import add_path, add_ria, bare, consent, keys_of, locations, told
from servers.p2phttp import P2pHttp
from servers.ssh import Sshd
from siblings.test_p2phttp import by_https

from datalad_mrishare.repo.worktree import Checkout
from datalad_mrishare.sharing.siblings import declare

GONE = "sub-02"


def verified(dataset: Path, *, code: int) -> dict[str, set[str]]:
    """Kind of finding -> what was found, as the command tells."""
    from datalad.api import mrishare_verify

    quiet = {"result_renderer": "disabled", "on_failure": "ignore"}
    found = list(mrishare_verify("mir", dataset=dataset, **quiet))
    wrong = [r["message"] for r in found if r["status"] in ("error", "impossible")]
    assert bool(wrong) == bool(code), found
    kinds: dict[str, set[str]] = {}
    for res in found:
        if "kind" in res:
            kinds.setdefault(res["kind"], set()).add(str(res["what"]))
    return kinds


def directory(dataset: Path) -> Path:
    """Storage without a git repository."""
    place = dataset.parent / "store"
    place.mkdir()
    words = ("type=directory", f"directory={place}", "encryption=none")
    run(dataset, "git", "annex", "initremote", "mir", *words)
    declare(Checkout(dataset), "mir", "institution")
    return place


def checkout(dataset: Path) -> Path:
    """A sibling with a working tree."""
    place = dataset.parent / "checkout"
    run(dataset, "datalad", "create-sibling", "-s", "mir", str(place))
    declare(Checkout(dataset), "mir", "institution")
    return place


def ria(dataset: Path) -> Path:
    add_ria(dataset, "mir", "institution")
    return dataset.parent / "mir.ria"


ADD = {
    "path": lambda dataset: add_path(dataset, "mir", "institution"),
    "checkout": checkout,
    "ria": ria,
    "directory": directory,
}


def url(dataset: Path) -> str:
    """What a stranger clones."""
    from datalad_mrishare.sharing.policies import SIBLINGS_FILE, load_policies

    address = load_policies(run(dataset, "git", "show", f"HEAD:{SIBLINGS_FILE}"))["mir"].address
    assert address is not None
    return address.url


def clone_of(dataset: Path, name: str) -> Path:
    run(dataset.parent, "git", "clone", "--quiet", "--branch", "main", url(dataset), name)
    return dataset.parent / name


def erased(dataset: Path) -> set[str]:
    """sub-02 was released and is to be erased; the keys that were hers."""
    consent(dataset, ("sub-01", "given"), (GONE, "given"))
    told(dataset)
    consent(dataset, (GONE, "withdrawn", "erase"))
    told(dataset)
    return keys_of(dataset, f"{GONE}/")


def is_anew(dataset: Path, place: Path, gone: set[str]) -> None:
    """Nothing of her is anywhere there; what is permitted is, for a stranger, too."""
    wanted = [GONE, *gone, ".datalad/mrishare/revoked.tsv"]
    assert scanner.scan(place, wanted) == {}
    assert verified(dataset, code=0) == {}
    clone = clone_of(dataset, "after")
    assert run(clone, "git", "rev-list", "--count", "HEAD").strip() == "1"
    run(clone, "git", "annex", "get", "--quiet", ".")
    assert len(annexed(clone, "--in=here")) == 2
    run(clone, "git", "annex", "fsck", "--quiet")
    assert not gone & {*locations(clone, "origin/git-annex")}


@pytest.mark.slow
def test_an_erased_participant_is_forgotten(registered: Path) -> None:
    """The whole chain: residue, a finding once she is to be erased, nothing after a new root."""
    place = ADD["path"](registered)
    consent(registered, ("sub-01", "given"), (GONE, "given"))
    told(registered)
    old = clone_of(registered, "before")
    consent(registered, (GONE, "withdrawn"))
    told(registered)
    gone = keys_of(registered, f"{GONE}/")
    residue = verified(registered, code=0)
    events = f"{GONE}/func/{GONE}_task-rest_events.tsv"  # in git
    assert set(residue) == {"residue"} and residue["residue"] == {GONE, events, *gone}
    consent(registered, (GONE, "withdrawn", "erase"))
    told(registered)
    assert GONE in verified(registered, code=1)["participant"]
    planned = told(registered, new_root=True, dry_run=True)
    assert [r["forgotten"] for r in planned if r["outcome"] == "new root"] == [2]
    assert GONE in verified(registered, code=1)["participant"], "a dry run changes nothing"
    done = told(registered, new_root=True)
    (anew,) = (r for r in done if r["outcome"] == "new root")
    assert anew["forgotten"] == 2 and anew["left"] == "" and "made anew" in anew["message"]
    event = json.loads(run(registered, "git", "show", f"HEAD:{done[-1]['event']}"))
    assert event["new_root"] is True
    *_, last = told(registered, history=True)
    assert last["new_root"] is True and last["message"].endswith("its history began afresh")
    is_anew(registered, place, gone)
    assert {r["status"] for r in told(registered)} == {"notneeded"}
    run(old, "git", "pull", "--quiet", "--ff-only", ok=(1, 128))
    # and it goes on from there
    consent(registered, ("sub-03", "given"))
    told(registered)
    again = clone_of(registered, "later")
    assert run(again, "git", "rev-list", "--count", "HEAD").strip() == "2"
    assert scanner.scan(place, [GONE, *gone]) == {}
    changes = run(again, "git", "show", "HEAD:CHANGES")
    assert changes.count("The history starts here") == 1


@pytest.mark.slow
@pytest.mark.parametrize("kind", list(ADD)[1:])
def test_other_kinds_forget_her_too(registered: Path, kind: str) -> None:
    place = ADD[kind](registered)
    gone = erased(registered)
    (anew,) = (r for r in told(registered, new_root=True) if r["outcome"] == "new root")
    assert anew["left"] == ""
    is_anew(registered, place, gone)
    consent(registered, ("sub-03", "given"))
    told(registered)
    assert run(clone_of(registered, "later"), "git", "rev-list", "--count", "HEAD").strip() == "2"
    assert scanner.scan(place, [GONE, *gone]) == {}


@pytest.mark.slow
def test_an_erased_participant_is_forgotten_behind_ssh(registered: Path, sshd: Sshd) -> None:
    place = bare(sshd.root / "mir.git")
    run(registered, "git", "remote", "add", "mir", f"{sshd.alias}:{place}")
    declare(Checkout(registered), "mir", "institution")
    gone = erased(registered)
    told(registered, new_root=True)
    is_anew(registered, place, gone)


@pytest.mark.slow
def test_behind_https_the_branches_are_new_and_the_rest_is_told(
    registered: Path, p2phttps: P2pHttp, tmp_path: Path
) -> None:
    kind = by_https(registered, p2phttps, tmp_path)
    declare(Checkout(registered), "mir", kind.policy)
    gone = erased(registered)
    (anew,) = (r for r in told(registered, new_root=True) if r["outcome"] == "new root")
    assert "git gc" in anew["left"] and "git gc" in anew["message"]
    assert run(p2phttps.path, "git", "rev-list", "--count", "main").strip() == "1"
    told(registered)
    clone = tmp_path / "clone"
    run(tmp_path, "git", "clone", "--quiet", "--mirror", p2phttps.url, clone.name)
    assert run(clone, "git", "rev-list", "--count", "main").strip() == "1"
    assert GONE not in run(clone, "git", "log", "-p", "main")
    # its annex unites its own index with the new branch: only its owner can begin that afresh
    assert gone & {*locations(clone, "synced/git-annex")} == set()


def test_where_there_is_no_history_to_forget(registered: Path) -> None:
    add_path(registered, "mir", "backup")
    (refused,) = (r for r in told(registered, new_root=True, code=1) if r["outcome"] == "refused")
    assert "own storage" in refused["what"]
    shared = add_path(registered, "new", "institution")
    consent(registered, ("sub-01", "given"))
    records = told(registered, "new", new_root=True)
    assert not [r for r in records if r["outcome"] == "new root"]
    assert run(shared, "git", "rev-list", "--count", "main").strip() == "1"


@pytest.mark.slow
def test_content_that_cannot_be_taken_back_stays_known(registered: Path) -> None:
    """The only copy there is: forgotten it would stay there for ever."""
    place = add_path(registered, "mir", "institution")
    consent(registered, ("sub-01", "given"), (GONE, "given"))
    told(registered)
    kept = keys_of(registered, f"{GONE}/func")
    run(registered, "git", "annex", "drop", "--force", f"{GONE}/func")
    consent(registered, (GONE, "withdrawn"))
    told(registered, new_root=True, code=1)
    assert {*locations(place, "git-annex")} == keys_of(registered, "sub-01/") | kept
    (back,) = (r for r in told(registered, code=1) if r["outcome"] == "taken back")
    assert {*back["failed"]} == kept, "told each time"


@pytest.mark.slow
def test_refs_of_others_are_left_and_named(registered: Path) -> None:
    place = add_path(registered, "mir", "institution")
    erased(registered)
    run(place, "git", "branch", "theirs", "main~1")
    (anew,) = (r for r in told(registered, new_root=True) if r["outcome"] == "new root")
    assert "refs/heads/theirs" in anew["left"]
    assert GONE in verified(registered, code=1)["participant"]


@pytest.mark.slow
def test_files_that_were_changed_there_are_not_lost(registered: Path) -> None:
    place = checkout(registered)
    erased(registered)
    (place / "README").unlink()
    (place / "README").write_text("mine\n")
    (refused,) = (r for r in told(registered, new_root=True, code=1) if r["status"] == "error")
    assert "were changed there" in refused["message"]
    assert (place / "README").read_text() == "mine\n"
    run(place, "git", "checkout", "--", "README")
    told(registered)  # it was begun, so it is carried to its end
    assert run(place, "git", "rev-list", "--count", "main").strip() == "1"


KILLER = """
import os, signal, sys
from datetime import date
from pathlib import Path
from datalad_mrishare.repo import newroot, release
from datalad_mrishare.repo.worktree import Checkout
from datalad_mrishare.sharing.planning import Options
from datalad_mrishare.sharing.publishing import Publication

dataset, owner, name, when, day = sys.argv[1:]
places = {"release": release, "repository": release.ReleaseRepository, "run": Publication}
place = places[owner]
real = getattr(place, name)

def struck(*args, **kwargs):
    if when == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    result = real(*args, **kwargs)
    os.kill(os.getpid(), signal.SIGKILL)

publication = Publication(
    Checkout(Path(dataset)), "mir", Options(new_root=True, at=date.fromisoformat(day))
)
reports = publication.run()
for report in reports:
    if type(report).__name__ == "UnitReport" and not hasattr(place, "armed"):
        setattr(place, name, struck)
        if owner != "release":
            place.armed = True
"""


def killed(dataset: Path, owner: str, name: str, when: str) -> None:
    """``--new-root``, killed before or after a call."""
    argv = [sys.executable, "-c", KILLER, str(dataset), owner, name, when, str(date.today())]
    done = subprocess.run(argv, capture_output=True, check=False)
    assert done.returncode == -9, done.stderr.decode()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "owner", "name", "when"),
    [
        ("path", "repository", "_push_refs", "after"),
        ("path", "release", "begin_there", "after"),
        ("path", "repository", "_build", "after"),
        ("path", "run", "event", "before"),
        ("directory", "repository", "_build", "before"),
        ("directory", "repository", "_build", "after"),
        ("directory", "repository", "push", "before"),
        ("directory", "repository", "push", "after"),
        ("directory", "run", "event", "before"),
    ],
)
def test_killed_at_any_instant_it_is_carried_to_its_end(
    registered: Path, kind: str, owner: str, name: str, when: str
) -> None:
    place = ADD[kind](registered)
    today = date.today()
    gone = erased(registered)
    killed(registered, owner, name, when)
    done = told(registered)  # a plain one
    is_anew(registered, place, gone)
    assert not [p for p in os.listdir(registered / ".git/mrishare") if p.startswith(".mir")]
    event = json.loads(run(registered, "git", "show", f"HEAD:{done[-1]['event']}"))
    assert event["new_root"] is True
    # and it says of itself what it would have said: it is the third
    clone = clone_of(registered, "said")
    changes = (clone / "CHANGES").read_text()
    version, _, rest = changes.partition(" ")
    assert "  - The history starts here" in rest.splitlines()[1]
    assert len([line for line in changes.splitlines() if line.startswith("20")]) == 1, changes
    if date.today() == today:
        assert version == f"{today.year}.{today.month}.{today.day}.3"
    about = json.loads((clone / "dataset_description.json").read_text())
    assert about["DatasetVersion"] == version
    assert told(registered)[-1]["status"] == "notneeded"


@pytest.mark.slow
@pytest.mark.parametrize("when", ["before", "after"])
def test_who_withdraws_after_the_kill_is_taken_back(registered: Path, when: str) -> None:
    """What is there is known all the time, also while no branch there tells of it."""
    place = directory(registered)
    erased(registered)
    killed(registered, "repository", "_build", when)
    consent(registered, ("sub-03", "given"), ("sub-01", "withdrawn", "erase"))
    told(registered)
    theirs = {p.name for p in place.rglob("*") if p.is_file()}
    assert not theirs & keys_of(registered, "sub-01/")
    assert keys_of(registered, "sub-03/") <= theirs
    assert scanner.scan(place, [GONE, "sub-01"]) == {}


@pytest.mark.slow
def test_killed_in_the_middle_of_the_script(registered: Path) -> None:
    """The transaction is one; before it the old history is whole, after it the new one is."""
    place = add_path(registered, "mir", "institution")
    gone = erased(registered)
    before = run(place, "git", "rev-parse", "main")
    hook = place / "hooks/reference-transaction"
    hook.write_text("#!/bin/sh\n[ $1 != prepared ] || ! grep -q refs/heads/main\n")
    hook.chmod(0o755)
    told(registered, new_root=True, code=1)
    assert run(place, "git", "rev-parse", "main") == before
    run(place, "git", "fsck", "--connectivity-only", "--no-dangling")
    hook.unlink()
    told(registered)
    is_anew(registered, place, gone)
