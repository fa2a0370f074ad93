"""S3 buckets and WebDAV collections: kept, shared, and whatever goes wrong on the way there."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from builders import run
from leaks import scanner
from mirrors import add_path, bare, consent, keys_at, keys_of, publish, told, units
from servers import require
from servers.process import HOST
from servers.s3 import S3, SECRET
from servers.webdav import PASSWORD, WebDav
from siblings.life import Kind, keep, live

from datalad_mrishare.errors import SiblingError
from datalad_mrishare.repo import contentonly, room, store
from datalad_mrishare.repo.remotes import remotes
from datalad_mrishare.repo.worktree import Checkout
from datalad_mrishare.sharing.addresses import refuse_unserved
from datalad_mrishare.sharing.siblings import declare, reopen

T1W = "sub-01/anat/sub-01_T1w.nii.gz"
KINDS = ("s3", "webdav")
Server = S3 | WebDav


def initremote(dataset: Path, *words: str, name: str = "mir") -> None:
    run(dataset, "git", "annex", "initremote", name, *words)


def held(place: Path) -> set[str]:
    """Keys that lie there, but for those of the git half."""
    names = {name for _, _, files in os.walk(place) for name in files}
    return {name for name in names if not name.startswith("GIT") and name != "annex-uuid"}


@pytest.fixture(params=KINDS)
def server(request: pytest.FixtureRequest) -> Server:
    return request.getfixturevalue(request.param)  # type: ignore[no-any-return]


@pytest.fixture
def login(server: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    """The server, with its credentials in the environment."""
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    return server


@pytest.fixture
def kind(registered: Path, login: Server) -> Iterator[Kind]:
    """A new sibling ``mir``, made by the steward."""
    initremote(registered, *login.initremote("mir-bucket"))

    def clone() -> list[str]:
        text = run(registered, "git", "show", "HEAD:.datalad/mrishare/siblings.yaml")
        return ["git", "clone", "--quiet", yaml.safe_load(text)["siblings"]["mir"]["url"]]

    place = login.root / "mir-bucket"
    policies = [registered.parent / f"{preset}.yaml" for preset in ("institution", "backup")]
    for policy in policies:  # nobody knows how much room is in a bucket
        policy.write_text(f"policy: {policy.stem}\nbudget: 10MB\n")
    shared, own = map(str, policies)
    yield Kind(registered, place, lambda: held(place), clone, policy=shared, own=own)


SECRETS = [SECRET, PASSWORD]


def without_login(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a run at night: only what git-annex keeps for itself."""
    for name in [n for n in os.environ if n.startswith(("AWS_", "WEBDAV_"))]:
        monkeypatch.delenv(name)


def kept_credentials(dataset: Path) -> set[str]:
    """Files below the dataset that hold a password, none of them readable by others."""
    found = {p for places in scanner.scan(dataset, SECRETS).values() for p in places}
    files = {place.removeprefix("file ") for place in found}
    assert all((dataset / f).stat().st_mode & 0o077 == 0 for f in files)
    return files


@pytest.mark.slow
def test_shared(kind: Kind) -> None:
    live(kind)


@pytest.fixture
def beside(registered: Path, login: Server, kind: Kind, tmp_path: Path) -> Kind:
    """Names and history in a git repository, such as a forge; the content is here."""
    run(registered, "git", "annex", "renameremote", "mir", "store")
    run(registered, "git", "remote", "rename", "mir", "store")
    forge = bare(tmp_path / "forge" / "mir.git")
    run(registered, "git", "remote", "add", "mir", str(forge))
    run(registered, "git", "config", "remote.mir.annex-ignore", "true")
    run(registered, "git", "config", "remote.mir.datalad-publish-depends", "store")
    return replace(kind, clone=lambda: ["git", "clone", "--quiet", str(forge)])


@pytest.mark.slow
def test_shared_beside_a_git_repository(beside: Kind) -> None:
    live(beside)
    assert not list(beside.directory.rglob("GIT*"))


@pytest.mark.slow
def test_kept_beside_a_git_repository(beside: Kind) -> None:
    run(beside.dataset, "git", "annex", "configremote", "store", "autoenable=true")
    keep(beside, "mir", "store")


@pytest.mark.slow
def test_shared_at_night(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    uuid = remotes(kind.dataset)["mir"].uuid
    consent(kind.dataset, ("sub-01", "given"))
    result = declare(Checkout(kind.dataset), "mir", kind.policy)
    without_login(kind, monkeypatch)
    records = told(kind.dataset)
    assert kind.held() == kind.permitted("sub-01")
    (kind.dataset / "README").write_text("another word\n")
    run(kind.dataset, "git", "commit", "--quiet", "-m", "reword", "README")
    shutil.rmtree(kind.dataset / ".git/mrishare/mir")
    records += told(kind.dataset)
    assert records[-1]["event"] is not None
    run(kind.dataset.parent, *kind.clone(), "nobody", ok=(128,))
    files = {f".git/annex/creds/{uuid}", f".git/mrishare/mir/annex/creds/{uuid}"}
    assert kept_credentials(kind.dataset) == files
    assert not any(secret in f"{result} {records}" for secret in SECRETS)
    assert scanner.scan(kind.directory, SECRETS) == scanner.scan(kind.unbundled(), SECRETS) == {}


@pytest.mark.slow
def test_a_password_that_has_changed(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    consent(kind.dataset, ("sub-01", "given"))
    declare(Checkout(kind.dataset), "mir", kind.policy)
    (kept,) = kind.dataset.glob(".git/mrishare/mir/annex/creds/*")
    kept.write_text("me\nan old one\n")
    assert publish(kind.dataset, "mir", dry_run=True)  # the environment counts
    run(kind.dataset / ".git/mrishare/mir", "git", "annex", "enableremote", "mir")
    without_login(kind, monkeypatch)
    publish(kind.dataset, "mir")
    assert kind.held() == kind.permitted("sub-01")
    release = kind.dataset / ".git/mrishare/mir"
    assert scanner.scan(release / "objects", SECRETS) == {}
    assert kept.stat().st_mode & 0o077 == 0


@pytest.mark.slow
def test_compared_and_cloned_with_datalad(kind: Kind) -> None:
    consent(kind.dataset, ("sub-01", "given"))
    declare(Checkout(kind.dataset), "mir", kind.policy)
    publish(kind.dataset, "mir")
    (key,) = keys_of(kind.dataset, T1W)
    (damaged,) = [p for p in kind.directory.rglob(key) if p.is_file()]
    damaged.write_bytes(b"x" * damaged.stat().st_size)
    records = told(kind.dataset, checksum=True)
    (compared,) = [r for r in records if r.get("outcome") == "compared"]
    assert compared["damaged"] == [damaged.name]
    url = kind.clone()[-1]
    clone = kind.dataset.parent / "clone"
    run(kind.dataset.parent, "datalad", "clone", url, str(clone))
    run(clone, "datalad", "get", T1W)
    assert (clone / T1W).read_bytes() == (kind.dataset / T1W).read_bytes()


def test_kept(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    consent(kind.dataset, ("sub-01", "given"), ("sub-03", "withdrawn"))
    assert not declare(Checkout(kind.dataset), "mir", kind.own).moved
    without_login(kind, monkeypatch)
    publish(kind.dataset, "mir")
    assert kind.held() == keys_of(kind.dataset, "")
    assert publish(kind.dataset, "mir")[-1].changed is False
    assert "mir" in remotes(kind.dataset)


@pytest.mark.slow
def test_kept_encrypted(registered: Path, login: Server, tmp_path: Path) -> None:
    require("gpg", "apt-get install gnupg")
    initremote(registered, *login.initremote("mir-bucket", "encryption=shared"))
    with pytest.raises(SiblingError, match="is encrypted"):
        declare(Checkout(registered), "mir", "institution")
    declare(Checkout(registered), "mir", "backup")
    publish(registered, "mir", budget=10_000_000)
    there = held(login.root / "mir-bucket")
    assert len(there) == len(keys_of(registered, ""))
    assert all(name.startswith("GPGHMAC") for name in there)
    assert publish(registered, "mir", budget=10_000_000)[-1].changed is False


# -- what is there already


@pytest.mark.slow
def test_one_that_is_not_empty(kind: Kind) -> None:
    dataset = kind.dataset
    run(dataset, "git", "annex", "copy", "--to", "mir", T1W)
    with pytest.raises(SiblingError, match="is not empty") as refused:
        declare(Checkout(dataset), "mir", kind.policy)
    assert "mir" in remotes(dataset) and len(kind.held()) == 1
    run(dataset, "sh", "-c", str(refused.value.remedy).partition(": ")[2].rpartition(" && ")[0])
    assert declare(Checkout(dataset), "mir-release", kind.policy).moved
    (key,) = keys_of(dataset, T1W)
    uuid = remotes(dataset)["mir"].uuid
    run(dataset, "git", "annex", "setpresentkey", key, str(uuid), "0")  # as another clone left it
    with pytest.raises(SiblingError, match="is not empty"):
        declare(Checkout(dataset), "mir", kind.policy)
    run(dataset, "git", "annex", "drop", "--force", f"--key={key}", "--from", "mir")
    assert kind.held() == set()
    run(dataset, "git", "config", "remote.mir.url", "annex::")
    run(dataset, "git", "push", "--quiet", "mir", "main")
    with pytest.raises(SiblingError, match="is not empty"):
        declare(Checkout(dataset), "mir", kind.policy)


def test_a_collection_with_something_else_in_it(
    registered: Path, webdav: WebDav, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in webdav.environment().items():
        monkeypatch.setenv(name, value)
    initremote(registered, *webdav.initremote("my mir".replace(" ", "%20")))
    place = webdav.root / "my mir"
    assert place.is_dir()
    (place / "deep/er").mkdir(parents=True)
    assert declare(Checkout(registered), "mir", "institution", dry_run=True).moved
    (place / "deep/er/notes.txt").write_text("mine")
    with pytest.raises(SiblingError, match="is not empty"):
        declare(Checkout(registered), "mir", "institution")


# -- past the door


@pytest.mark.slow
def test_nothing_goes_past_the_release_repository(kind: Kind, login: Server) -> None:
    dataset = kind.dataset
    consent(dataset, ("sub-01", "given"))
    declare(Checkout(dataset), "mir", kind.policy)
    before = {p for p in kind.directory.rglob("*") if p.is_file()}
    url = kind.clone()[-1]
    for command in ("git annex copy --to mir sub-01", "datalad push --to mir"):
        run(dataset, *command.split(), ok=(1,))
    run(dataset, "git", "push", url, "main", ok=(1, 128))
    assert {p for p in kind.directory.rglob("*") if p.is_file()} == before
    if isinstance(login, WebDav):  # of a bucket git-annex itself makes only one remote
        initremote(dataset, *login.initremote("mir-bucket/"), name="again")
        said = " ".join(str(r) for r in publish(dataset, "mir"))
        assert "remote 'again'" in said and kind.held() == set()
        run(dataset, "git", "config", "--remove-section", "remote.again")
    assert reopen(Checkout(dataset), "mir").moved
    run(dataset, "git", "annex", "copy", "--to", "mir", T1W)
    assert len(kind.held()) == 1


# -- what goes wrong


def both(kind: Kind) -> Path:
    """A second sibling ``two`` on a path, shared as ``mir`` is; returns its place."""
    consent(kind.dataset, ("sub-01", "given"))
    declare(Checkout(kind.dataset), "mir", kind.policy)
    return add_path(kind.dataset, "two", "institution")


def said_of(kind: Kind, *, expect: int = 1) -> str:
    """What went wrong at ``mir``, in one sentence; ``two`` is served nevertheless."""
    records = told(kind.dataset, to=["mir", "two"], code=1)
    errors = [r for r in records if r["status"] == "error"]
    assert {r["to"] for r in errors} == {"mir"} and len(errors) == expect
    texts = [str(r["message"]) for r in errors]
    assert all(len(text.splitlines()) == 1 and len(text) < 400 for text in texts)
    text = texts[-1]
    assert "sibling 'mir'" in text
    assert not any(secret in str(records) for secret in SECRETS)
    return text


class Silent:
    """Takes connections at a port and never says a word."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_server((HOST, port), backlog=64)


@pytest.mark.slow
def test_every_reason_why_it_cannot_be_reached_is_told(
    kind: Kind, login: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = both(kind)
    for name in login.environment():
        monkeypatch.setenv(name, "wrong")
    assert "refuses the credentials" in said_of(kind)
    assert keys_at(place) == kind.permitted("sub-01") and kind.held() == set()
    without_login(kind, monkeypatch)
    login.stop()
    assert "cannot be reached: Connection refused" in said_of(kind)
    silent = Silent(login.port)
    monkeypatch.setattr(contentonly, "PATIENCE", 1.0)
    assert "gave no answer within 1 seconds" in said_of(kind)
    silent.socket.close()
    monkeypatch.setattr(contentonly, "PATIENCE", 60.0)
    login.restart()
    for uuid_file in kind.dataset.glob(".git/**/creds/*"):
        uuid_file.unlink()
    said = said_of(kind)
    assert "there are no credentials" in said and " and ".join(login.environment()) in said
    assert " or " not in said  # the variables of this kind only
    for name, value in login.environment().items():
        monkeypatch.setenv(name, value)
    told(kind.dataset)
    assert kind.held() == kind.permitted("sub-01")


@pytest.mark.slow
def test_one_that_cannot_be_written(kind: Kind, login: Server) -> None:
    place = both(kind)
    login.readonly = True
    said = said_of(kind, expect=2)  # the unit that is incomplete, and the release
    assert "did not take the git half" in said and "403" in said
    assert keys_at(place) == kind.permitted("sub-01") and kind.held() == set()
    login.readonly = False
    told(kind.dataset)
    assert kind.held() == kind.permitted("sub-01")
    clone = kind.stranger("stranger")
    assert run(clone, "git", "annex", "find", "--not", "--in=here") == ""


@pytest.mark.slow
def test_one_that_falls_silent_on_the_way(
    registered: Path, webdav: WebDav, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in webdav.environment().items():
        monkeypatch.setenv(name, value)
    webdav.quota = 10_000_000
    initremote(registered, *webdav.initremote("mir"))
    kind = Kind(registered, webdav.root / "mir", lambda: held(webdav.root / "mir"), list)
    place = both(kind)
    with monkeypatch.context() as brief:
        brief.setattr(store, "SILENCE", 6.0)
        webdav.hold.clear()
        assert "copy --to mir` said nothing for 6 seconds" in said_of(kind)
        assert keys_at(place) == kind.permitted("sub-01")
    webdav.hold.set()
    told(kind.dataset)
    assert kind.held() == kind.permitted("sub-01")


def test_declaring_one_that_is_gone(kind: Kind, login: Server) -> None:
    login.stop()
    for policy in (kind.policy, kind.own):
        before = run(kind.dataset, "git", "rev-parse", "HEAD")
        if policy == kind.own:
            declare(Checkout(kind.dataset), "mir", policy)
            with pytest.raises(SiblingError, match="cannot be reached: Connection refused"):
                publish(kind.dataset, "mir")
            continue
        with pytest.raises(SiblingError, match="cannot be reached: Connection refused"):
            declare(Checkout(kind.dataset), "mir", policy)
        assert run(kind.dataset, "git", "rev-parse", "HEAD") == before
        assert "mir" in remotes(kind.dataset)


# -- room


def for_git(dataset: Path) -> int:
    """Bytes that are kept for the branches, which follow the content."""
    files = run(dataset, "git", "ls-tree", "-r", "--name-only", "HEAD").splitlines()
    return 1_000_000 + 1000 * len(files)


def test_a_bucket_needs_a_budget(registered: Path, s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in s3.environment().items():
        monkeypatch.setenv(name, value)
    initremote(registered, *s3.initremote("mir-bucket"))
    declare(Checkout(registered), "mir", "backup")
    (refused,) = [r for r in told(registered, code=1) if r["status"] == "impossible"]
    assert "nobody knows how much room is there" in refused["message"]
    assert "--budget SIZE" in refused["message"]
    assert held(s3.root / "mir-bucket") == set()


def test_the_quota_is_the_room(
    registered: Path, webdav: WebDav, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in webdav.environment().items():
        monkeypatch.setenv(name, value)
    initremote(registered, *webdav.initremote("mir"))
    declare(Checkout(registered), "mir", "backup")
    without_login(Kind(registered, webdav.root, set, list), monkeypatch)
    monkeypatch.setattr(room, "_FRESH", -1.0)
    webdav.quota = webdav.used + 200_000
    records = told(registered)
    assert records[-1]["room"] == 200_000
    sent = {u for u, outcome in units(records).items() if outcome == "sent"}
    deferred = {u for u, outcome in units(records).items() if outcome == "defer"}
    assert sent and deferred and webdav.used <= webdav.quota
    webdav.quota += 10_000_000
    assert {u for u, o in units(told(registered)).items() if o == "sent"} == deferred


def test_the_release_repository_knows_the_quota_at_night(
    registered: Path, webdav: WebDav, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in webdav.environment().items():
        monkeypatch.setenv(name, value)
    initremote(registered, *webdav.initremote("mir"))
    consent(registered, ("sub-01", "given"))
    declare(Checkout(registered), "mir", "institution")
    without_login(Kind(registered, webdav.root, set, list), monkeypatch)
    for creds in registered.glob(".git/annex/creds/*"):
        creds.unlink()
    webdav.quota = webdav.used + 123_456 + for_git(registered)
    assert told(registered, dry_run=True)[-1]["room"] == 123_456
    webdav.quota = None
    monkeypatch.setattr(room, "_FRESH", -1.0)
    assert "nobody knows" in str(told(registered, dry_run=True, code=1))


# -- ways that tell too much


@pytest.mark.parametrize(
    ("settings", "says", "remedy"),
    [
        ("type=webdav url=https://me:word@h.invalid/d", "names a user", "WEBDAV_USERNAME"),
        ("type=webdav url=http://h.invalid/d", "without encryption", "https://"),
        ("type=S3 bucket=b host=h.invalid", "without encryption", "protocol=https"),
        ("type=S3 bucket=b host=h.invalid protocol=http port=80", "without", "protocol=https"),
        ("type=S3 bucket=b", "without encryption", "enableremote mir protocol=https"),
        ("type=S3 bucket=b protocol=https exporttree=yes", "a tree of files", "another"),
    ],
)
def test_ways_that_are_refused(settings: str, says: str, remedy: str) -> None:
    values = dict(word.split("=", 1) for word in settings.split())
    with pytest.raises(SiblingError, match=says) as refused:
        refuse_unserved(values, "sibling 'mir'")
    assert remedy in str(refused.value) and "word" not in str(refused.value)


@pytest.mark.parametrize(
    "settings",
    [
        "type=webdav url=https://h.invalid/d",
        "type=webdav url=http://127.0.0.1:80/d",
        "type=S3 bucket=b protocol=https",
        "type=S3 bucket=b host=h.invalid port=443",
        "type=S3 bucket=b host=localhost protocol=http",
    ],
)
def test_ways_that_are_fine(settings: str) -> None:
    refuse_unserved(dict(word.split("=", 1) for word in settings.split()), "sibling 'mir'")


def test_a_bucket_for_everybody(
    registered: Path, s3: S3, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in s3.environment().items():
        monkeypatch.setenv(name, value)
    initremote(registered, *s3.initremote("mir-bucket", "public=yes"))
    with pytest.raises(SiblingError, match=r"by everybody .*institution"):
        declare(Checkout(registered), "mir", "institution")
    assert declare(Checkout(registered), "mir", "public", dry_run=True).moved


def test_a_bucket_that_forgets_nothing(registered: Path) -> None:
    settings = "type=S3 bucket=b protocol=https encryption=none versioning=yes"
    line = f"{'0' * 8}-0000-0000-0000-00000000000a {settings} name=mir timestamp=1795000000s\n"
    blob = run(registered, "git", "hash-object", "-w", "--stdin", input=line.encode()).strip()
    tree = run(
        registered, "git", "mktree", input=f"100644 blob {blob}\tremote.log\n".encode()
    ).strip()
    commit = run(registered, "git", "commit-tree", tree, "-m", "told by another clone").strip()
    run(registered, "git", "update-ref", "refs/heads/synced/git-annex", commit)
    run(registered, "git", "annex", "merge")
    run(registered, "git", "config", "remote.mir.annex-uuid", line.split()[0])
    run(registered, "git", "config", "remote.mir.annex-s3", "true")
    with pytest.raises(SiblingError, match="keeps every version"):
        declare(Checkout(registered), "mir", "public")


def test_credentials_that_are_embedded_stay_at_home(registered: Path, webdav: WebDav) -> None:
    env = {**os.environ, **webdav.environment()}
    words = ("git", "annex", "initremote", "mir", *webdav.initremote("mir", "embedcreds=yes"))
    run(registered, *words, env=env)
    log = run(registered, "git", "show", "git-annex:remote.log")
    embedded = log.partition("davcreds=")[2].split()[0]
    assert embedded
    declared = declare(Checkout(registered), "mir", "institution")
    text = (registered / ".datalad/mrishare/siblings.yaml").read_text()
    release = registered / ".git/mrishare/mir"
    for told_there in (declared.where, text, run(release, "git", "show", "git-annex:remote.log")):
        assert "davcreds" not in told_there and embedded not in told_there
        assert PASSWORD not in told_there
