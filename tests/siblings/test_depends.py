"""Names and history in a git repository, content in a special remote that it depends on."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import yaml
from builders import run
from mirrors import bare, consent, keys_of, publish
from servers.gpg import Keys
from servers.rsync import Rsync
from servers.ssh import Sshd
from siblings.life import Kind, keep, live, share

from datalad_mrishare.errors import SiblingError
from datalad_mrishare.repo.remotes import remotes
from datalad_mrishare.repo.worktree import Checkout
from datalad_mrishare.sharing.siblings import declare, reopen

T1W = "sub-01/anat/sub-01_T1w.nii.gz"
SCHEMES = ["hybrid", "pubkey", "sharedpubkey", "shared"]


def half(dataset: Path, directory: Path, url: str | None = None) -> str:
    """A git repository that holds no content."""
    place = bare(directory / "mir.git")
    run(dataset, "git", "remote", "add", "mir", url or str(place))
    run(dataset, "git", "config", "remote.mir.annex-ignore", "true")
    run(dataset, "git", "config", "remote.mir.datalad-publish-depends", "store")
    return url or str(place)


def initremote(dataset: Path, *words: str, keys: tuple[str, ...] = ()) -> None:
    plain = () if any("encryption" in w for w in words) else ("encryption=none",)
    first = [f"keyid={key}" for key in keys[:1]]
    run(dataset, "git", "annex", "initremote", "store", *words, *plain, *first)
    where = [w for w in words if w.startswith("directory=")]
    for key in keys[1:]:
        run(dataset, "git", "annex", "enableremote", "store", *where, f"keyid+={key}")


def held(dataset: Path, place: Path) -> set[str]:
    """Keys that lie there under their own names, or encrypted for whoever holds the cipher."""
    names = [name for _, _, files in os.walk(place / "store") for name in files]
    if not any(name.startswith("GPGHMAC") for name in names):
        return set(names)
    release = dataset / ".git/mrishare/mir"
    repo = release if release.exists() else dataset
    keys = sorted(keys_of(dataset, ""))
    argv = ("git", "annex", "checkpresentkey", "--batch", "store")
    said = run(repo, *argv, input="".join(f"{key}\n" for key in keys).encode()).split()
    found = {key for key, there in zip(keys, said, strict=True) if there == "1"}
    assert len(found) == len(names)
    assert all(os.path.getsize(p) for p in (place / "store").rglob("GPGHMAC*"))
    return found


def kind_of(dataset: Path, place: Path, url: str, *get: str) -> Kind:
    clone = ["git", "clone", "--quiet", url]
    return Kind(dataset, place, lambda: held(dataset, place), lambda: clone, get)


def in_directory(dataset: Path, tmp_path: Path, *words: str, keys: Keys | None = None) -> Kind:
    """The content in a directory; with ``keys`` it is the partner who clones."""
    place = tmp_path / "place"
    (place / "store").mkdir(parents=True)
    both = (keys.steward, keys.partner) if keys else ()
    url = half(dataset, place)
    initremote(dataset, "type=directory", f"directory={place}/store", *words, keys=both)
    enable = f"git annex enableremote store directory={place}/store"
    get = f"{enable} && git annex verifyremote store --safe 1 && git annex get ."
    who = [f"GNUPGHOME={keys.partner_home}"] if keys else []
    return kind_of(dataset, place, url, "env", *who, "sh", "-c", get)


def behind_ssh(
    dataset: Path, sshd: Sshd, rsync: Rsync, *words: str, keys: Keys | None = None
) -> Kind:
    """Both halves on another machine; the content is found without being told where."""
    both = (keys.steward, keys.partner) if keys else ()
    (rsync.root / "store").mkdir()
    url = half(dataset, rsync.root, sshd.url("rsync/mir.git"))
    words = tuple(rsync.initremote("store", "autoenable=true", *words))
    initremote(dataset, *words, keys=both)
    who = [f"GNUPGHOME={keys.partner_home}"] if keys else []
    return kind_of(dataset, rsync.root, url, "env", *who, "git", "annex", "get", ".")


def remote_log(repo: Path, ref: str = "git-annex") -> str:
    return run(repo, "git", "cat-file", "blob", f"{ref}:remote.log")


@pytest.mark.slow
def test_a_directory_shared(registered: Path, tmp_path: Path) -> None:
    live(in_directory(registered, tmp_path))


@pytest.mark.slow
def test_a_directory_kept(registered: Path, tmp_path: Path) -> None:
    keep(in_directory(registered, tmp_path), "mir", "store")


@pytest.mark.slow
def test_rsync_behind_ssh_shared(registered: Path, sshd: Sshd, rsync_ssh: Rsync) -> None:
    live(behind_ssh(registered, sshd, rsync_ssh))


@pytest.mark.slow
def test_rsync_behind_ssh_kept(registered: Path, sshd: Sshd, rsync_ssh: Rsync) -> None:
    keep(behind_ssh(registered, sshd, rsync_ssh), "mir", "store")


@pytest.mark.slow
def test_rsync_behind_ssh_shared_encrypted(
    registered: Path, sshd: Sshd, rsync_ssh: Rsync, gpg: Keys
) -> None:
    live(behind_ssh(registered, sshd, rsync_ssh, "encryption=hybrid", keys=gpg))


@pytest.mark.slow
@pytest.mark.parametrize("scheme", SCHEMES)
def test_an_encrypted_directory_shared(
    registered: Path, tmp_path: Path, gpg: Keys, scheme: str
) -> None:
    keys = None if scheme == "shared" else gpg
    live(in_directory(registered, tmp_path, f"encryption={scheme}", keys=keys))


@pytest.mark.slow
@pytest.mark.parametrize("scheme", SCHEMES)
def test_an_encrypted_directory_kept(
    registered: Path, tmp_path: Path, gpg: Keys, scheme: str
) -> None:
    keys = None if scheme == "shared" else gpg
    keep(in_directory(registered, tmp_path, f"encryption={scheme}", keys=keys), "mir", "store")


@pytest.mark.slow
def test_a_cipher_of_its_own(registered: Path, tmp_path: Path, gpg: Keys) -> None:
    kind = in_directory(registered, tmp_path, "encryption=hybrid", keys=gpg)
    before = remote_log(registered).split()
    assert {w.partition("=")[0] for w in before} >= {"cipher", "cipherkeys"}
    clone = share(kind)
    after = remote_log(clone, "origin/git-annex").split()
    theirs, ours = ([w for w in log if w.startswith("cipher=")] for log in (after, before))
    assert len(theirs) == len(ours) == 1 and theirs != ours
    declared = run(registered, "git", "show", "HEAD:.datalad/mrishare/siblings.yaml")
    assert "cipher" not in yaml.safe_load(declared)["siblings"]["mir"]["storage"]
    # whoever has the storage and the history, but no key, has names and nothing else
    other = tmp_path / "other"
    run(tmp_path, *kind.clone(), other.name)
    homeless = {**os.environ, "GNUPGHOME": str(gpg.stranger_home)}
    script = kind.get[-1]
    run(other, "sh", "-c", script, ok=(1,), env=homeless)
    assert run(other, "git", "annex", "find", "--in=here") == ""
    assert (clone / T1W).read_bytes() == (registered / T1W).read_bytes()


@pytest.mark.slow
def test_another_recipient_put_in_by_who_can_push(
    registered: Path, tmp_path: Path, gpg: Keys
) -> None:
    kind = in_directory(registered, tmp_path, "encryption=sharedpubkey", keys=gpg)
    clone = share(kind)
    store = f"directory={kind.directory}/store"
    run(clone, "git", "annex", "enableremote", "store", store, f"keyid+={gpg.signing}")
    run(clone, "git", "push", "--quiet", "origin", "git-annex")
    before = kind.held()
    with pytest.raises(SiblingError, match=r"has keyid .*, and is declared with"):
        publish(registered, "mir")
    shutil.rmtree(registered / ".git/mrishare/mir")
    with pytest.raises(SiblingError, match=r"has keyid .*, and is declared with"):
        publish(registered, "mir")
    assert len(before) == len([p for p in kind.directory.rglob("GPGHMAC*") if p.is_file()])


@pytest.mark.parametrize("scheme", ["sharedpubkey", "hybrid"])
def test_a_key_that_cannot_encrypt(
    registered: Path, tmp_path: Path, gpg: Keys, scheme: str
) -> None:
    (tmp_path / "store").mkdir()
    half(registered, tmp_path)
    where = f"directory={tmp_path}/store"
    key = gpg.signing if scheme == "sharedpubkey" else gpg.partner
    says = "cannot be encrypted for" if scheme == "sharedpubkey" else "for others only"
    initremote(registered, "type=directory", where, f"encryption={scheme}", keys=(key,))
    with pytest.raises(SiblingError, match=says):
        declare(Checkout(registered), "mir", "institution")
    assert {"mir", "store"} <= remotes(registered).keys()


@pytest.mark.slow
@pytest.mark.parametrize("encrypted", [False, True])
@pytest.mark.parametrize("what", ["half", "content"])
def test_one_that_is_not_empty(
    registered: Path, tmp_path: Path, gpg: Keys, what: str, encrypted: bool
) -> None:
    words = ("encryption=sharedpubkey",) if encrypted else ()
    kind = in_directory(registered, tmp_path, *words, keys=gpg if encrypted else None)
    if what == "half":
        run(registered, "git", "push", "--quiet", "mir", "main")
    else:
        run(registered, "git", "annex", "copy", "--to", "store", T1W)
    with pytest.raises(SiblingError, match="is not empty") as refused:
        declare(Checkout(registered), "mir", "institution")
    assert {"mir", "store"} <= remotes(registered).keys()
    run(registered, "sh", "-c", str(refused.value.remedy).partition(": ")[2].rpartition(" && ")[0])
    assert declare(Checkout(registered), "mir-release", "institution").moved
    consent(registered, ("sub-01", "given"))
    publish(registered, "mir-release")
    there = [p for p in (kind.directory / "store-release").rglob("*") if p.is_file()]
    assert len(there) == len(kind.permitted("sub-01"))


@pytest.mark.slow
def test_nothing_goes_past_the_release_repository(registered: Path, tmp_path: Path) -> None:
    kind = in_directory(registered, tmp_path)
    consent(registered, ("sub-01", "given"))
    declare(Checkout(registered), "mir", "institution")
    for command in ("git annex copy --to store sub-01", "datalad push --to mir"):
        run(registered, *command.split(), ok=(1,))
    run(registered, "git", "push", kind.clone()[-1], "main", ok=(1, 128))
    assert kind.held() == set()
    for way in ("directory", "rsync"):
        words = [f"type={way}", f"{'rsyncurl' if way == 'rsync' else way}={kind.directory}/store"]
        run(registered, "git", "annex", "initremote", f"a-{way}", *words, "encryption=none")
        said = " ".join(str(r) for r in publish(registered, "mir"))
        assert f"remote 'a-{way}'" in said and kind.held() == set()
        run(registered, "git", "config", "--remove-section", f"remote.a-{way}")
    assert reopen(Checkout(registered), "mir").moved
    run(registered, "git", "annex", "copy", "--to", "store", T1W)
    assert len(kind.held()) == 1 and remotes(registered)["mir"].depends == "store"


def test_a_remote_that_is_not_there(registered: Path, tmp_path: Path) -> None:
    half(registered, tmp_path)
    with pytest.raises(SiblingError, match="keeps its content in 'store', which is not there"):
        declare(Checkout(registered), "mir", "institution")


def test_content_that_is_not_mounted(registered: Path, tmp_path: Path) -> None:
    kind = in_directory(registered, tmp_path)
    declare(Checkout(registered), "mir", "institution")
    (kind.directory / "store").rename(tmp_path / "elsewhere")
    with pytest.raises(SiblingError, match="no such directory"):
        publish(registered, "mir")
    assert not (kind.directory / "store").exists()


@pytest.mark.slow
@pytest.mark.parametrize("scheme", SCHEMES)
def test_without_a_git_half_it_says_how(
    registered: Path, tmp_path: Path, gpg: Keys, scheme: str
) -> None:
    (tmp_path / "store").mkdir()
    where = f"directory={tmp_path}/store"
    keys = () if scheme == "shared" else (gpg.steward,)
    initremote(registered, "type=directory", where, f"encryption={scheme}", keys=keys)
    with pytest.raises(SiblingError, match="cannot be cloned from") as refused:
        declare(Checkout(registered), "store", "institution")
    remedy = str(refused.value.remedy).partition(": ")[2].rpartition(" && ")[0]
    run(registered, "sh", "-c", remedy.replace("DIR", f"{tmp_path}/half"))
    consent(registered, ("sub-01", "given"))
    assert declare(Checkout(registered), "store-release", "institution").moved
    publish(registered, "store-release")
    text = run(registered, "git", "show", "HEAD:.datalad/mrishare/siblings.yaml")
    assert yaml.safe_load(text)["siblings"]["store-release"]["storage"]["encryption"] == scheme
    assert [p for p in (tmp_path / "store").rglob("GPGHMAC*") if p.is_file()]
