"""``datalad mrishare-sibling``: what is declared, what moves, what is refused and undone."""

from __future__ import annotations

import getpass
import json
import os
import platform
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from builders import run, snapshot

from datalad_mrishare.errors import InputError, MriShareError, NotRegistered, Refused, SiblingError
from datalad_mrishare.repo.gates import closed_urls, lock_undeclared
from datalad_mrishare.repo.remotes import remotes
from datalad_mrishare.repo.worktree import Checkout
from datalad_mrishare.sharing import siblings
from datalad_mrishare.sharing.policies import presets
from datalad_mrishare.sharing.siblings import declare, read_spec, reopen

T1W = "sub-01/anat/sub-01_T1w.nii.gz"
SIBLINGS = ".datalad/mrishare/siblings.yaml"


@pytest.fixture
def checkout(registered: Path) -> Checkout:
    return Checkout(registered)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Where the sibling is."""
    return tmp_path / "mirror"


def bare(dataset: Path, place: Path) -> None:
    run(dataset, "git", "init", "--bare", "--quiet", str(place))
    run(dataset, "git", "remote", "add", "mir", str(place))


def by_datalad(dataset: Path, place: Path) -> None:
    run(dataset, "datalad", "create-sibling", "-s", "mir", str(place))


def ria(dataset: Path, place: Path) -> None:
    store = f"ria+file://{place}"
    run(dataset, "datalad", "create-sibling-ria", "-s", "mir", "--new-store-ok", store)


BARE_FIRST = [bare, *(pytest.param(kind, marks=pytest.mark.slow) for kind in (by_datalad, ria))]


def written(dataset: Path) -> dict[str, Any]:
    text = run(dataset, "git", "show", f"HEAD:{SIBLINGS}")
    return dict(yaml.safe_load(text)["siblings"])


def everything(dataset: Path, place: Path) -> list[Any]:
    """All of dataset and sibling, but for the empty file of our lock and git-annex's cache."""
    seen = [snapshot(p, times=False) for p in (dataset, place) if p.exists()]
    passing = re.compile(r"\.git/mrishare(/\w+\.lock)?|\.git/annex/keysdb.*")
    return [{p: what for p, what in s.items() if not passing.fullmatch(p)} for s in seen]


def policy_file(path: Path, text: str) -> str:
    (path / "policy.yaml").write_text(text)
    return str(path / "policy.yaml")


def cli(dataset: Path, *words: str, ok: tuple[int, ...] = (0,)) -> str:
    return run(dataset, "datalad", "mrishare-sibling", *words, ok=ok)


def records(dataset: Path, *words: str, ok: tuple[int, ...] = (0,)) -> list[dict[str, Any]]:
    out = run(dataset, "datalad", "-f", "json", "mrishare-sibling", *words, ok=ok)
    return [json.loads(line) for line in out.splitlines() if line.startswith("{")]


# -- policies


# reach, use, duty and deid as in the table of docs/siblings.md
@pytest.mark.parametrize(
    ("preset", "terms"),
    [
        ("backup", {"reach": "own", "deid": "identifiable", "recall": "yes"}),
        (
            "institution",
            {"reach": "institution", "use": "HMB", "deid": "identifiable", "recall": "yes"},
        ),
        (
            "consortium",
            {"reach": "consortium", "use": "HMB", "deid": "pseudonymised", "recall": "yes"},
        ),
        (
            "registered",
            {"reach": "registered", "use": "HMB", "deid": "deidentified", "recall": "no"},
        ),
        ("public", {"reach": "public", "use": "GRU", "deid": "deidentified", "recall": "no"}),
    ],
)
def test_every_preset(registered: Path, place: Path, preset: str, terms: dict[str, str]) -> None:
    bare(registered, place)
    (done,) = records(registered, "mir", "--policy", preset)
    assert (done["status"], done["action"], done["type"]) == ("ok", "mrishare-sibling", "sibling")
    assert {k: v for k, v in done["policy"].items() if k in terms} == terms
    assert done["moved"] is (preset != "backup")
    assert written(registered)["mir"]["policy"] == preset
    assert run(registered, "git", "status", "--porcelain") == ""


def test_these_are_all_presets() -> None:
    assert set(presets()) == {"backup", "institution", "consortium", "registered", "public"}


def test_a_policy_file(checkout: Checkout, place: Path, tmp_path: Path) -> None:
    bare(checkout.path, place)
    text = "reach: consortium\nuse: HMB\nregion: [DE, NL]\nduty: [DUA, NRI]\nbudget: 40GB\n"
    declared = declare(checkout, "mir", policy_file(tmp_path, text))
    assert declared.moved and declared.policy.budget == 40_000_000_000
    assert declared.policy.grant.region == {"DE", "NL"}
    assert written(checkout.path)["mir"]["region"] == ["DE", "NL"]
    assert written(checkout.path)["mir"]["url"] == str(place)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("reach: public\nuse: GRU\nrecal: yes\n", r"line 3, .*`recal`.*`recall`"),
        ("use: HMB\nreach: instituton\n", r"line 2, .*instituton.*institution"),
        ("reach: public\nuse: HBM\n", r"line 2, .*HBM"),
        ("reach: public\nuse: GRU\nrecall: maybe\n", r"line 3, .*yes. or .no"),
        ("reach: public\nuse: GRU\nbudget: much\n", r"line 3, .*much. is not a size"),
        ("reach: public\nuse: GRU\nurl: /srv/mir\n", r"line 3, .*taken from the remote"),
        ("reach: public\nuse: GRU\nstorage: {}\n", r"line 3, .*taken from the remote"),
        ("use: GRU\n", "says no `reach`"),
        ("reach:\nuse: GRU\n", "says no `reach`"),
        ("reach: public\n", "says no `use`"),
        ("reach: public\nuse: GRU\ndua: lab.yaml\n", r"line 3, .*is no data use agreement"),
        ("reach: public\nuse: GRU\nencryption: shared\n", r"line 3, .*shared.*required"),
        ("policy: publc\n", r"line 1, .*publc.*public"),
        ("reach: own\nreach: public\nuse: GRU\n", "line 2, .*given twice"),
        ("- public\n", "a policy is a mapping"),
        ("public\n", "a policy is a mapping"),
        ("", "a policy is a mapping"),
        ("reach: [public\n", "policy.yaml"),
    ],
)
def test_a_policy_file_that_cannot_be_understood(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        read_spec("mir", policy_file(tmp_path, text))


def test_a_bad_policy_file_changes_nothing(checkout: Checkout, place: Path, tmp_path: Path) -> None:
    bare(checkout.path, place)
    before = everything(checkout.path, place)
    for text in ("reach: publc\nuse: GRU\n", "reach: public\nuse: GRU\nurl: /srv/mir\n"):
        with pytest.raises(InputError, match=r"policy\.yaml, line "):
            declare(checkout, "mir", policy_file(tmp_path, text))
    assert everything(checkout.path, place) == before


def test_no_policy_of_that_name(checkout: Checkout, place: Path, tmp_path: Path) -> None:
    bare(checkout.path, place)
    for spec in ("instituton", str(tmp_path), ""):
        with pytest.raises(InputError, match="neither a preset nor a file"):
            declare(checkout, "mir", spec)
    (tmp_path / "latin").write_bytes(b"reach: public # caf\xe9\n")
    with pytest.raises(InputError, match="not UTF-8"):
        declare(checkout, "mir", str(tmp_path / "latin"))


# -- own storage


@pytest.mark.parametrize("kind", [by_datalad, ria])
def test_own_storage_stays_an_ordinary_remote(checkout: Checkout, place: Path, kind) -> None:  # type: ignore[no-untyped-def]
    kind(checkout.path, place)
    lock_undeclared(checkout, ())
    assert not declare(checkout, "mir", "backup").moved
    assert not any("mrishare" in k for r in remotes(checkout.path).values() for k in r.settings)
    run(checkout.path, "datalad", "push", "--to", "mir")
    assert run(place, "git", "--git-dir", git_dir(place), "rev-parse", "main")
    assert object_of(checkout.path, place)


def git_dir(place: Path) -> str:
    (head,) = [p for p in place.rglob("HEAD") if (p.parent / "objects").is_dir()]
    return str(head.parent)


def object_of(dataset: Path, place: Path) -> list[Path]:
    key = run(dataset, "git", "annex", "lookupkey", T1W).strip()
    return [p for p in place.rglob(key) if p.is_file()]


# -- shared siblings


def names_of(place: Path, dataset: Path) -> list[str]:
    """What would give away who made a sibling, and where."""
    user, node = f"{getpass.getuser()}@", f"{platform.node()}:"
    return [
        "Test Steward",
        "steward@example.org",
        user,
        user + node,
        *([node] if len(node) > 7 else []),  # a short one is in any compressed bytes
        str(dataset),
        str(place.parent),
    ]


def all_bytes(place: Path) -> bytes:
    """Every file below a sibling, and every object in readable form."""
    files = b"\n".join(p.read_bytes() for p in sorted(place.rglob("*")) if p.is_file())
    batch = ("cat-file", "--batch-all-objects", "--batch", "--unordered")
    done = subprocess.run(
        ["git", "--git-dir", git_dir(place), *batch], capture_output=True, check=True
    )
    return files + done.stdout


@pytest.mark.parametrize("kind", BARE_FIRST)
def test_a_shared_sibling_moves(checkout: Checkout, place: Path, kind) -> None:  # type: ignore[no-untyped-def]
    kind(checkout.path, place)
    given_away = [w for w in names_of(place, checkout.path) if w.encode() in all_bytes(place)]
    assert bool(given_away) is (kind is by_datalad)  # else this test would prove nothing
    run(checkout.path, "git", "update-ref", "refs/remotes/mir/main", "HEAD")
    declared = declare(checkout, "mir", "institution")
    assert declared.moved and declared.changed

    assert remotes(checkout.path) == {}
    assert "mir" not in run(checkout.path, "git", "config", "--local", "--list", "--name-only")
    assert "mir" not in run(checkout.path, "git", "for-each-ref", "--format=%(refname)")
    release = checkout.ours / "mir"
    assert run(release, "git", "rev-parse", "--is-bare-repository").strip() == "true"
    assert set(run(release, "git", "remote").split()) <= {"mir", "mir-storage"}
    assert run(release, "git", "config", "annex.private").strip() == "true"

    found = all_bytes(place)
    assert [w for w in names_of(place, checkout.path) if w.encode() in found] == []
    again = cli(checkout.path, "mir", "--policy", "institution")
    assert "notneeded" in again


@pytest.mark.slow
def test_a_way_to_the_store_is_not_told(checkout: Checkout, tmp_path: Path) -> None:
    """DataLad writes the path of a store as it was given, through the dataset if need be."""
    store = f"ria+file://{checkout.path}/../my store"
    run(checkout.path, "datalad", "create-sibling-ria", "-s", "mir", "--new-store-ok", store)
    declare(checkout, "mir", "institution")
    assert written(checkout.path)["mir"]["storage"]["url"] == f"ria+file://{tmp_path}/my store"
    known = run(checkout.ours / "mir", "git", "show", "git-annex:remote.log")
    assert str(checkout.path) not in known and "&32;" in known and "&38;" not in known


@pytest.mark.slow
def test_what_is_declared_opens_no_storage_in_a_clone(
    checkout: Checkout, place: Path, tmp_path: Path
) -> None:
    ria(checkout.path, place)
    declare(checkout, "mir", "institution")
    run(tmp_path, "git", "clone", "--quiet", str(checkout.path), "clone")
    run(tmp_path / "clone", "git", "annex", "init", "clone")
    assert "mir-storage" not in remotes(tmp_path / "clone")


@pytest.mark.parametrize("kind", BARE_FIRST)
def test_the_sibling_keeps_its_uuid(checkout: Checkout, place: Path, kind) -> None:  # type: ignore[no-untyped-def]
    """Opening it again, as every publication does, does not make another annex of it."""
    kind(checkout.path, place)
    declare(checkout, "mir", "institution")
    before = everything(checkout.path, place)[1]
    declare(checkout, "mir", "institution")
    assert everything(checkout.path, place)[1] == before


# -- what is not empty


def push_and_delete(dataset: Path, place: Path) -> None:
    run(dataset, "git", "push", "mir", "main", "git-annex")
    run(place, "git", "update-ref", "-d", "refs/heads/main")
    run(place, "git", "update-ref", "-d", "refs/heads/git-annex")


NOT_EMPTY = {
    "a branch": (bare, "git push mir main"),
    "a tag": (bare, "git push mir HEAD:refs/tags/v1"),
    "an odd ref": (bare, "git push mir HEAD:refs/odd/one"),
    "a git-annex branch": (bare, "git push mir git-annex"),
    "a synced git-annex branch": (bare, "git push mir git-annex:refs/heads/synced/git-annex"),
    "content": (by_datalad, f"git annex copy --to mir {T1W}"),
    "content in a store": (ria, f"git annex copy --to mir-storage {T1W}"),
    "all": (bare, "datalad push --to mir"),
    "all in a store": (ria, "datalad push --to mir"),
}


_FEW = ("a branch", "a synced git-annex branch", "content in a store")


@pytest.mark.parametrize(
    "what", [w if w in _FEW else pytest.param(w, marks=pytest.mark.slow) for w in NOT_EMPTY]
)
def test_a_sibling_that_is_not_empty_is_refused(checkout: Checkout, place: Path, what: str) -> None:
    kind, command = NOT_EMPTY[what]
    kind(checkout.path, place)
    run(checkout.path, *command.split())
    before = everything(checkout.path, place)
    with pytest.raises(SiblingError, match="is not empty") as refused:
        declare(checkout, "mir", "institution")
    assert everything(checkout.path, place) == before
    assert "git init --bare" in str(refused.value.remedy)


def test_an_archive_is_content(checkout: Checkout, place: Path) -> None:
    ria(checkout.path, place)
    archives = Path(git_dir(place)) / "archives"
    archives.mkdir(exist_ok=True)
    (archives / "archive.7z").write_bytes(b"7z")
    with pytest.raises(SiblingError, match="is not empty"):
        declare(checkout, "mir", "institution")


def test_what_deleted_branches_left_is_content(checkout: Checkout, place: Path) -> None:
    bare(checkout.path, place)
    push_and_delete(checkout.path, place)
    with pytest.raises(SiblingError, match="objects of branches that were deleted"):
        declare(checkout, "mir", "institution")


def test_files_in_a_working_tree_are_content(checkout: Checkout, place: Path) -> None:
    by_datalad(checkout.path, place)
    (place / "participants.tsv").write_text("participant_id\nsub-01\n")
    with pytest.raises(SiblingError, match="files in its working tree"):
        declare(checkout, "mir", "institution")


def test_the_commands_for_a_fresh_one_work(checkout: Checkout, place: Path) -> None:
    bare(checkout.path, place)
    run(checkout.path, "git", "push", "mir", "main")
    (refused,) = records(checkout.path, "mir", "--policy", "institution", ok=(1,))
    assert "mir-release " in refused["remedy"]
    run(checkout.path, "git", "remote", "add", "mir-release", "/nowhere")
    (refused,) = records(checkout.path, "mir", "--policy", "institution", ok=(1,))
    run(checkout.path, "git", "remote", "remove", "mir-release")
    assert "mir-release2 " in refused["remedy"]
    commands = refused["remedy"].replace("-release2", "-release").partition(": ")[2]
    run(checkout.path, "sh", "-c", commands.replace("PRESET", "institution"))
    assert set(written(checkout.path)) == {"mir-release"}
    assert (checkout.ours / "mir-release/HEAD").exists()


# -- other refusals


UNSERVED = {
    "{tmp}/nowhere": "no such directory",
    "{tmp}/plain": "not a git repository",
    "{tmp}/around/inside": "the one around it is",
    "ssh://host.invalid/srv/mir": "no host of this name",
    "host.invalid:srv/mir": "no host of this name",
    "ssh://host/~other/mir": "home of another account",
    "https://host/mir": "neither on a path nor behind ssh",
    "http://host/mir": "without encryption",
    "git://host/mir": "without encryption",
    "http://127.0.0.1/mir": "neither on a path nor behind ssh",
}


def test_places_that_cannot_be_served(checkout: Checkout, tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    run(tmp_path, "git", "init", "--quiet", "around")
    (tmp_path / "around/inside").mkdir()
    run(checkout.path, "git", "remote", "add", "mir", "later")
    for url, says in UNSERVED.items():
        run(checkout.path, "git", "remote", "set-url", "mir", url.format(tmp=tmp_path))
        before = everything(checkout.path, tmp_path / "around")
        with pytest.raises(SiblingError, match=says):
            declare(checkout, "mir", "institution")
        assert everything(checkout.path, tmp_path / "around") == before


def test_names_that_no_sibling_can_have(checkout: Checkout) -> None:
    before = everything(checkout.path, checkout.path.parent)
    for name in ("", "../x", "-x", "a b", "a/b", "x\ny", "x\n", ".", "..", "ümir"):
        with pytest.raises(InputError, match="is not a name for a sibling"):
            declare(checkout, name, "institution")
        with pytest.raises(MriShareError):
            reopen(checkout, name, dry_run=True)
    assert everything(checkout.path, checkout.path.parent) == before


def test_names_of_files_beside_the_release_repositories(checkout: Checkout, place: Path) -> None:
    bare(checkout.path, place)
    old = "mir"
    for name in (
        "hooks",
        "lock",
        "dataset",
        "links",
        "x.lock",
        "x.journal",
        "x.settled",
        "x.clone",
    ):
        run(checkout.path, "git", "config", "--rename-section", f"remote.{old}", f"remote.{name}")
        with pytest.raises(InputError, match="git remote rename"):
            declare(checkout, name, "institution")
        old = name


def test_a_dataset_that_is_not_registered(tmp_path: Path) -> None:
    run(tmp_path, "git", "init", "--quiet", "plain")
    run(tmp_path / "plain", "git", "annex", "init")
    for act in (lambda c: declare(c, "mir", "institution"), lambda c: reopen(c, "mir")):
        with pytest.raises(NotRegistered):
            act(Checkout(tmp_path / "plain"))


def test_uncommitted_policies_are_neither_heeded_nor_lost(checkout: Checkout, place: Path) -> None:
    bare(checkout.path, place)
    declare(checkout, "mir", "institution")
    with (checkout.path / SIBLINGS).open("a") as out:
        out.write("  other: {policy: public}\n")
    mine = (checkout.path / SIBLINGS).read_text()
    for act in (lambda: declare(checkout, "mir", "public"), lambda: reopen(checkout, "mir")):
        with pytest.raises(Refused, match="not committed"):
            act()
    assert (checkout.path / SIBLINGS).read_text() == mine


@pytest.mark.parametrize("how", ["url", "link", "pushurl", "insteadof", "relative"])
def test_a_second_remote_to_the_same_place_is_refused(
    checkout: Checkout, place: Path, how: str
) -> None:
    bare(checkout.path, place)
    place.with_name("link").symlink_to(place)
    url = {"link": f"{place}-x/../link", "insteadof": "lab:mirror", "relative": "../mirror"}
    run(checkout.path, "git", "remote", "add", "second", url.get(how, str(place)))
    if how == "pushurl":
        run(checkout.path, "git", "remote", "set-url", "second", "ssh://host/elsewhere")
        run(checkout.path, "git", "remote", "set-url", "--add", "--push", "second", str(place))
    run(checkout.path, "git", "config", f"url.{place.parent}/.insteadOf", "lab:")
    with pytest.raises(SiblingError, match="remote 'second': leads to the same place"):
        declare(checkout, "mir", "institution")
    run(checkout.path, "git", "remote", "remove", "second")
    assert declare(checkout, "mir", "institution").moved


@pytest.mark.parametrize("policy", ["backup", "public"])
def test_one_place_is_one_sibling(checkout: Checkout, place: Path, policy: str) -> None:
    """A shared sibling does not become own storage, or public, under another name."""
    bare(checkout.path, place)
    declare(checkout, "mir", "institution")
    run(checkout.path, "git", "remote", "add", "again", str(place))
    with pytest.raises(SiblingError, match="same place as sibling 'mir'"):
        declare(checkout, "again", policy)


# -- declared before


@pytest.mark.slow
def test_other_terms_for_a_shared_sibling(checkout: Checkout, place: Path) -> None:
    ria(checkout.path, place)
    declare(checkout, "mir", "institution")
    before = written(checkout.path)["mir"]
    declared = declare(checkout, "mir", "public")
    assert declared.changed and not declared.moved
    assert written(checkout.path)["mir"] == {**before, "policy": "public"}


def test_a_remote_added_again_by_hand(checkout: Checkout, place: Path) -> None:
    bare(checkout.path, place)
    declare(checkout, "mir", "institution")
    run(place, "git", "update-ref", "refs/heads/main", "git-annex")  # as a publication would
    run(checkout.path, "git", "remote", "add", "mir", str(place))
    with pytest.raises(SiblingError, match="git remote remove mir"):
        declare(checkout, "mir", "public")
    run(checkout.path, "git", "remote", "remove", "mir")
    assert declare(checkout, "mir", "public").changed


def test_shared_does_not_become_own(checkout: Checkout, place: Path) -> None:
    bare(checkout.path, place)
    declare(checkout, "mir", "institution")
    with pytest.raises(SiblingError, match="cannot become own storage"):
        declare(checkout, "mir", "backup")


def test_own_storage_becomes_shared_while_it_is_empty(checkout: Checkout, place: Path) -> None:
    bare(checkout.path, place)
    declare(checkout, "mir", "backup")
    assert declare(checkout, "mir", "institution").moved
    assert remotes(checkout.path) == {}


def test_own_storage_with_data_does_not_become_shared(checkout: Checkout, place: Path) -> None:
    bare(checkout.path, place)
    declare(checkout, "mir", "backup")
    run(checkout.path, "datalad", "push", "--to", "mir")
    with pytest.raises(SiblingError, match="is not empty"):
        declare(checkout, "mir", "institution")


@pytest.mark.slow
def test_a_sibling_that_lives_elsewhere_now(checkout: Checkout, place: Path) -> None:
    ria(checkout.path, place)
    declare(checkout, "mir", "institution")
    bare(checkout.path, place.with_name("other"))
    assert declare(checkout, "mir", "institution").moved
    assert written(checkout.path)["mir"] == {
        "policy": "institution",
        "url": f"{place}".replace("mirror", "other"),
    }
    url = run(checkout.ours / "mir", "git", "config", "remote.mir.url").strip()
    assert url == str(place.with_name("other"))
    assert set(run(checkout.ours / "mir", "git", "remote").split()) == {"mir"}


def test_several_siblings(checkout: Checkout, tmp_path: Path) -> None:
    for name in ("one", "two", "three"):
        run(tmp_path, "git", "init", "--bare", "--quiet", name)
        run(checkout.path, "git", "remote", "add", name, str(tmp_path / name))
        declare(checkout, name, "backup" if name == "two" else "institution")
    assert list(written(checkout.path)) == ["one", "two", "three"]
    reopen(checkout, "one")
    assert list(written(checkout.path)) == ["two", "three"]
    assert set(remotes(checkout.path)) == {"one", "two"}


# -- reopening


def test_reopening_a_locked_remote(registered: Path, place: Path) -> None:
    by_datalad(registered, place)
    before = run(registered, "git", "config", "--get-regexp", "^remote")
    lock_undeclared(Checkout(registered), ())
    (done,) = records(registered, "mir", "--reopen")
    assert done["status"] == "ok" and "OPEN: its lock is off" in done["message"]
    assert run(registered, "git", "config", "--get-regexp", "^remote") == before
    run(registered, "datalad", "push", "--to", "mir")
    assert object_of(registered, place)


def test_reopening_a_locked_remote_of_any_name(checkout: Checkout, place: Path) -> None:
    bare(checkout.path, place)
    run(checkout.path, "git", "remote", "rename", "mir", "lab/mir")
    lock_undeclared(checkout, ())
    assert reopen(checkout, "lab/mir").unlocked
    run(checkout.path, "git", "push", "lab/mir", "main")


@pytest.mark.slow
@pytest.mark.parametrize("kind", BARE_FIRST)
def test_reopening_a_sibling_that_moved(registered: Path, place: Path, kind) -> None:  # type: ignore[no-untyped-def]
    kind(registered, place)
    declare(Checkout(registered), "mir", "institution")
    (done,) = records(registered, "mir", "--reopen")
    assert done["status"] == "ok" and "OPEN: its policy is withdrawn" in done["message"]
    checkout = Checkout(registered)
    assert written(registered) == {} and closed_urls(checkout) == []
    assert not (checkout.ours / "mir").exists()
    run(registered, "datalad", "push", "--to", "mir")
    assert object_of(registered, place)
    run(registered, "git", "--git-dir", git_dir(place), "rev-parse", "main")
    with pytest.raises(SiblingError, match="is not empty"):
        declare(checkout, "mir", "institution")


def test_declared_again_after_reopening(checkout: Checkout, place: Path) -> None:
    """What a plain command left there meanwhile is found."""
    bare(checkout.path, place)
    declare(checkout, "mir", "institution")
    reopen(checkout, "mir")
    assert declare(checkout, "mir", "institution").moved
    reopen(checkout, "mir")
    run(checkout.path, "git", "push", "mir", "git-annex:refs/heads/synced/git-annex")
    with pytest.raises(SiblingError, match="is not empty"):
        declare(checkout, "mir", "institution")


def test_nothing_to_reopen(registered: Path, place: Path) -> None:
    with pytest.raises(SiblingError, match="is not known here"):
        reopen(Checkout(registered), "mir")
    bare(registered, place)
    (done,) = records(registered, "mir", "--reopen")
    assert done["status"] == "notneeded" and "nothing to reopen" in done["message"]
    declare(Checkout(registered), "mir", "backup")
    assert records(registered, "mir", "--reopen")[0]["status"] == "notneeded"
    assert "mir" in written(registered)


# -- dry runs


@pytest.mark.parametrize("kind", BARE_FIRST)
@pytest.mark.parametrize("locked", [True, False])
def test_a_dry_run_changes_nothing(registered: Path, place: Path, kind, locked: bool) -> None:  # type: ignore[no-untyped-def]
    kind(registered, place)
    checkout = Checkout(registered)
    if locked:
        lock_undeclared(checkout, ())
    before = everything(registered, place)
    for policy in ("institution", "backup"):
        assert not declare(checkout, "mir", policy, dry_run=True).moved or policy != "backup"
        assert everything(registered, place) == before
    assert reopen(checkout, "mir", dry_run=True).unlocked is locked
    assert everything(registered, place) == before
    declare(checkout, "mir", "institution")
    before = everything(registered, place)
    assert "would be OPEN" in cli(registered, "mir", "--reopen", "--dry-run")
    assert everything(registered, place) == before


def test_a_dry_run_says_what_would_be(registered: Path, place: Path) -> None:
    bare(registered, place)
    (done,) = records(registered, "mir", "--policy", "institution", "-n")
    assert (done["status"], done["dry_run"], done["moved"]) == ("ok", True, True)
    assert "would be moved behind the release repository" in done["message"]


# -- killed in between


class Killed(BaseException):
    """Nothing may catch it, as nothing catches a kill."""


STEPS = ["_save", "ReleaseRepository.open", "close_url", "remove_remote"]


@pytest.mark.slow
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("kind", BARE_FIRST)
def test_declaring_goes_on_where_it_was_killed(  # type: ignore[no-untyped-def]
    checkout: Checkout, place: Path, kind, step: str, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind(checkout.path, place)
    owner: Any = siblings
    *path, name = step.split(".")
    for part in path:
        owner = getattr(owner, part)
    real = getattr(owner, name)

    def kill(*args: Any, **kwargs: Any) -> None:
        if when == "after":
            real(*args, **kwargs)
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(owner, name, kill)
        with pytest.raises(Killed):
            declare(checkout, "mir", "institution")

    if remotes(checkout.path) and step != "_save":
        said = run(checkout.path, "datalad", "mrishare-publish", "--to", "mir", ok=(1,))
        assert "leads from this dataset to a sibling that is shared" in said
    declared = declare(checkout, "mir", "institution")
    assert declared.moved or (step, when) == ("remove_remote", "after")
    assert remotes(checkout.path) == {}
    assert closed_urls(checkout) == [written(checkout.path)["mir"]["url"]]
    found = all_bytes(place)
    assert [w for w in names_of(place, checkout.path) if w.encode() in found] == []


# -- the command line


def test_exit_codes(registered: Path, place: Path, tmp_path: Path) -> None:
    bare(registered, place)
    for wrong in ((), ("mir",), ("mir", "--policy", "public", "--reopen"), ("mir", "--policy")):
        cli(registered, *wrong, ok=(2,))
    for refused in (("nobody", "--policy", "public"), ("mir", "--policy", "publc")):
        cli(registered, *refused, ok=(1,))
    cli(tmp_path, "-d", str(registered), "mir", "--policy", "public")


def test_records_of_a_refusal(registered: Path) -> None:
    (refused,) = records(registered, "mir", "--policy", "public", ok=(1,))
    assert refused["status"] == "error" and refused["action"] == "mrishare-sibling"
    assert refused["where"] == "sibling 'mir'"
    assert refused["remedy"].endswith("git remote add mir DIR")


def test_from_python(registered: Path, place: Path) -> None:
    from datalad.api import mrishare_sibling

    bare(registered, place)
    options = {"dataset": registered, "result_renderer": "disabled"}
    (done,) = mrishare_sibling("mir", policy="institution", **options)
    assert done["status"] == "ok" and done["moved"]
    (done,) = mrishare_sibling("mir", reopen=True, **options)
    assert done["status"] == "ok" and done["sibling"] == "mir"


@pytest.mark.slow
def test_without_an_identity(
    registered: Path, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = re.sub(
        r"(?ms)^\[user\].*?(?=^\[)", "", Path(os.environ["GIT_CONFIG_GLOBAL"]).read_text()
    )
    assert "steward" not in kept
    (tmp_path / "gitconfig").write_text(f"{kept}[user]\n\tuseConfigOnly = true\n")
    ria(registered, place)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    for words in (("--policy", "institution"), ("--reopen",)):
        cli(registered, "mir", *words)
    assert (
        run(registered, "git", "log", "-1", "--format=%s|%an")
        == "Reopen sibling mir|data steward\n"
    )


def test_a_sibling_that_vanished(checkout: Checkout, place: Path) -> None:
    bare(checkout.path, place)
    declare(checkout, "mir", "institution")
    shutil.rmtree(place)
    with pytest.raises(SiblingError, match="no such directory"):
        declare(checkout, "mir", "public")
