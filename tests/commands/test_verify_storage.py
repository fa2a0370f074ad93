"""What lies in storage: behind ssh, in a bucket, in a collection, in bundles of before."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from builders import remove, run
from commands.test_verify import kinds, verified
from mirrors import bare, consent, keys_of, told
from servers.rsync import Rsync
from servers.s3 import S3
from servers.ssh import Sshd
from servers.webdav import WebDav

from datalad_mrishare.repo.worktree import Checkout
from datalad_mrishare.sharing.siblings import declare

T1W = "sub-03/anat/sub-03_T1w.nii.gz"
GIVEN = (("sub-01", "given"), ("sub-02", "given"), ("sub-03", "refused"))
Request = pytest.FixtureRequest


def by_directory(request: Request, dataset: Path, place: Path) -> Path:
    place.mkdir()
    initremote(dataset, "type=directory", f"directory={place}", "encryption=none")
    return place


def by_rsync(request: Request, dataset: Path, place: Path) -> Path:
    rsync: Rsync = request.getfixturevalue("rsync_ssh")
    (rsync.root / "mir").mkdir()
    initremote(dataset, *rsync.initremote("mir"))
    return rsync.root / "mir"


def by_cloud(request: Request, dataset: Path, place: Path, *, server: str) -> Path:
    there: S3 | WebDav = request.getfixturevalue(server)
    for name, value in there.environment().items():
        request.getfixturevalue("monkeypatch").setenv(name, value)
    initremote(dataset, *there.initremote("mir-bucket"))
    return there.root / "mir-bucket"


def by_git(request: Request, dataset: Path, place: Path) -> Path:
    sshd: Sshd = request.getfixturevalue("sshd")
    bare(sshd.root / "mir.git")
    run(dataset, "git", "remote", "add", "mir", sshd.url("mir.git"))
    return sshd.root / "mir.git"


def by_ria(request: Request, dataset: Path, place: Path) -> Path:
    sshd: Sshd = request.getfixturevalue("sshd")
    where = f"ria+{sshd.url('store')}"
    run(dataset, "datalad", "create-sibling-ria", "-s", "mir", "--new-store-ok", where)
    return next(found.parent for found in (sshd.root / "store").glob("*/*/HEAD"))


def initremote(dataset: Path, *words: str) -> None:
    run(dataset, "git", "annex", "initremote", "mir", *words)


MADE: dict[str, Callable[..., Path]] = {
    "directory": by_directory,
    "rsync": by_rsync,
    "s3": lambda *words: by_cloud(*words, server="s3"),
    "webdav": lambda *words: by_cloud(*words, server="webdav"),
    "git": by_git,
    "ria": by_ria,
}


@pytest.fixture(params=[pytest.param(kind, marks=pytest.mark.slow) for kind in MADE])
def place(request: Request, registered: Path, tmp_path: Path) -> Path:
    """The storage of ``mir``, which was published to."""
    place = MADE[request.param](request, registered, tmp_path / "store")
    policy = tmp_path / "policy.yaml"
    policy.write_text("policy: institution\nbudget: 10MB\n")
    consent(registered, *GIVEN)
    declare(Checkout(registered), "mir", str(policy))
    told(registered)
    return place


def test_every_name_and_every_byte(registered: Path, place: Path, tmp_path: Path) -> None:
    words = tmp_path / "private.txt"
    words.write_text("Jane Doe\n")
    asked = {"canaries": str(words), "content": True}
    (clean,) = verified(registered, "mir", code=0, **asked)
    assert clean["unlisted"] == [] and len(clean["storage"]) in (1, 2)
    assert clean["promised"] == clean["retrieved"] == 4

    withheld = (registered / T1W).read_bytes()
    (key,) = keys_of(registered, T1W)
    (renamed,) = keys_of(registered, "sub-04/anat")
    (place / "of sub-03").mkdir()
    (place / "of sub-03/a list.txt").write_text("not sub-04\n")
    # a name among many, packed, and further in than one piece
    (place / "packed.gz").write_bytes(gzip.compress(os.urandom(5 << 20) + b"by Jane Doe"))
    (place / key).write_bytes(withheld)
    (place / "nothing.bin").write_bytes((registered / "sub-04/anat/sub-04_T1w.nii.gz").read_bytes())
    found = verified(registered, "mir", code=1, **asked)
    assert kinds(found) == {
        "participant": {"sub-03", "sub-04"},
        "canary": {"1"},
        "content": {key, renamed},
    }
    assert all("file " in r["first"] for r in found if "kind" in r)


@pytest.mark.slow
def test_objects_that_no_ref_leads_to(
    registered: Path, sshd: Sshd, tmp_path: Path, request: Request
) -> None:
    place = by_git(request, registered, tmp_path)
    consent(registered, *GIVEN)
    declare(Checkout(registered), "mir", "institution")
    told(registered)
    (tmp_path / "blob").write_text("about sub-03")
    run(place, "git", "hash-object", "-w", str(tmp_path / "blob"))
    (place / "to nowhere").symlink_to("/about/sub-04")
    os.mkfifo(place / "pipe")
    (place / "of sub-77/nothing").mkdir(parents=True)
    found = kinds(verified(registered, "mir", code=1))
    who = {"sub-03", "sub-04", "sub-77"}
    assert found == {"participant": who, "unread": {"pipe: is no file"}}


@pytest.mark.slow
def test_what_cannot_be_listed_is_said(
    registered: Path, webdav: WebDav, tmp_path: Path, request: Request
) -> None:
    place = by_cloud(request, registered, tmp_path, server="webdav")
    policy = tmp_path / "policy.yaml"
    policy.write_text("policy: institution\nbudget: 10MB\n")
    consent(registered, *GIVEN)
    declare(Checkout(registered), "mir", str(policy))
    told(registered)
    webdav.unlisted = True
    (summary,) = verified(registered, "mir", code=0)
    (why,) = summary["unlisted"]
    assert why.startswith(webdav.url("mir-bucket/")) and "403" in why and why in summary["message"]
    assert place.is_dir() and summary["storage"] == []
    webdav.unlisted, webdav.flat = False, True  # collection by collection
    (place / "deep/er").mkdir(parents=True)
    (place / "deep/er/sub-03").touch()
    assert kinds(verified(registered, "mir", code=1)) == {"participant": {"sub-03"}}


@pytest.mark.slow
def test_a_bucket_that_keeps_versions(
    registered: Path, s3: S3, tmp_path: Path, request: Request
) -> None:
    by_cloud(request, registered, tmp_path, server="s3")
    consent(registered, *GIVEN)
    policy = tmp_path / "policy.yaml"
    policy.write_text("policy: institution\nbudget: 10MB\n")
    declare(Checkout(registered), "mir", str(policy))
    told(registered)
    s3.versioning = True
    (summary,) = verified(registered, "mir", code=0)
    assert "older versions" in summary["message"]


@pytest.mark.slow
def test_a_bundle_of_before(registered: Path, tmp_path: Path, request: Request) -> None:
    place = tmp_path / "store"
    place.mkdir()
    words = ("type=directory", f"directory={place}", "encryption=none")
    run(registered, "git", "annex", "initremote", "old", *words)
    run(registered, "git", "config", "remote.old.url", "annex::")
    run(registered, "git", "push", "--quiet", "old", "main")
    (registered / "README").write_text("another word\n")
    run(registered, "git", "commit", "--quiet", "-m", "more", "README")
    run(registered, "git", "push", "--quiet", "old", "main")
    old = {p.name: p.read_bytes() for p in place.rglob("GITBUNDLE-*") if p.is_file()}
    assert len(old) == 2, "the second one rests on the first"
    remove(place)
    run(registered, "git", "remote", "remove", "old")
    by_directory(request, registered, place)
    consent(registered, *GIVEN)
    declare(Checkout(registered), "mir", "institution")
    told(registered)
    (summary,) = verified(registered, "mir", code=0)
    assert summary["promised"] == 4
    for name, content in old.items():
        (place / name).write_bytes(content)
    found = kinds(verified(registered, "mir", code=1))
    assert found["participant"] == {"sub-03", "sub-04"} and "unread" not in found
    assert "Test Steward <steward@example.org>" in found["identity"]
    for name, content in old.items():
        (place / name).write_bytes(content[:-100])
    found = kinds(verified(registered, "mir", code=1))
    assert {what.partition(":")[0] for what in found["unread"]} == {*old}


@pytest.mark.slow
def test_withheld_content_in_chunks(registered: Path, tmp_path: Path, request: Request) -> None:
    place = by_directory(request, registered, tmp_path / "store")
    (key,) = keys_of(registered, T1W)
    consent(registered, *GIVEN)
    declare(Checkout(registered), "mir", "institution")
    told(registered)
    (place / key.replace("--", "-S1000-C1--", 1)).write_bytes(b"x" * 1000)
    assert kinds(verified(registered, "mir", code=1)) == {"content": {key}}
