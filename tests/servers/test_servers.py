"""Each server does what git-annex needs of it, and refuses what it should refuse."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable
from email.message import Message
from pathlib import Path

import pytest
from builders import run

from .gpg import Keys
from .p2phttp import PASSWORD, READER, P2pHttp
from .process import HOST, free_port
from .rsync import Rsync
from .s3 import S3, signature
from .ssh import Sshd
from .webdav import PASSWORD as DAV_PASSWORD
from .webdav import USER, WebDav

FILE = "image.dat"
ANNEX = ("git", "annex")

#: the servers themselves; the tests of siblings show soon enough when one is not there
pytestmark = pytest.mark.slow


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """An annex with one file."""
    path = tmp_path / "dataset"
    run(tmp_path, "git", "init", "--quiet", path.name)
    run(path, *ANNEX, "init", "--quiet", "first")
    (path / FILE).write_bytes(os.urandom(5000))
    run(path, *ANNEX, "add", "--quiet", FILE)
    run(path, "git", "commit", "--quiet", "-m", "image")
    return path


def attempt(cwd: Path, *argv: str, env: dict[str, str] | None = None) -> str:
    """Run what must fail; what it said."""
    done = subprocess.run(
        argv,
        cwd=cwd,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode not in (0, -9), done.stdout
    return done.stdout + done.stderr


def key_of(repo: Path) -> str:
    return run(repo, *ANNEX, "lookupkey", FILE).strip()


def present(repo: Path, name: str, **kwargs: dict[str, str]) -> bool:
    """What the remote itself says, not what is recorded."""
    words = (*ANNEX, "checkpresentkey", key_of(repo), name)
    done = subprocess.run(words, cwd=repo, check=False, capture_output=True, timeout=120, **kwargs)  # type: ignore[call-overload]
    assert done.returncode in (0, 1), done.stderr
    return bool(done.returncode == 0)


def round_trip(dataset: Path, name: str, *enable: str, env: dict[str, str] | None = None) -> None:
    """Copy there, ask, get in a second clone, drop there."""
    env = {**os.environ, **(env or {})}
    run(dataset, *ANNEX, "copy", "--quiet", "--to", name, FILE, env=env)
    assert present(dataset, name, env=env)
    second = dataset.parent / "second"
    run(dataset.parent, "git", "clone", "--quiet", str(dataset), str(second))
    run(second, *ANNEX, "init", "--quiet", "second")
    if enable[:1] == ("remote",):
        run(second, "git", *enable)
    elif enable:
        run(second, *ANNEX, *enable, env=env)
        verify(second, name)
    run(second, *ANNEX, "get", "--quiet", "--from", name, FILE, env=env)
    assert (second / FILE).read_bytes() == (dataset / FILE).read_bytes()
    run(dataset, *ANNEX, "drop", "--quiet", "--from", name, FILE, env=env)
    assert not present(dataset, name, env=env)


def verify(repo: Path, name: str) -> None:
    """Say that this is the remote that was meant, as each clone has to."""
    run(repo, *ANNEX, "verifyremote", name, "--safe", "1")


def holds(directory: Path, content: bytes) -> bool:
    """Whether any file below the directory is the content, as it is."""
    return any(p.read_bytes() == content for p in directory.rglob("*") if p.is_file())


# -- ssh


def bare(path: Path) -> Path:
    run(path.parent, "git", "init", "--quiet", "--bare", path.name)
    return path


@pytest.mark.parametrize("form", ["url", pytest.param("scp", marks=pytest.mark.slow)])
def test_ssh_serves_git_and_git_annex(dataset: Path, sshd: Sshd, form: str) -> None:
    bare(sshd.root / "one.git")
    url = getattr(sshd, form)("one.git")
    run(dataset, "git", "remote", "add", "one", url)
    run(dataset, "git", "push", "--quiet", "one", "main", "git-annex")
    round_trip(dataset, "one", "remote", "add", "one", url)
    # whoever serves has an identity of its own
    who = run(sshd.root / "one.git", "git", "log", "-1", "--format=%cn", "git-annex")
    assert who.strip() == "Storage Account"


def test_ssh_can_be_gone_and_come_back(dataset: Path, sshd: Sshd) -> None:
    bare(sshd.root / "one.git")
    run(dataset, "git", "remote", "add", "one", sshd.url("one.git"))
    run(dataset, "git", "push", "--quiet", "one", "main")
    for end in (sshd.stop, sshd.kill):
        end()
        assert "Connection refused" in attempt(dataset, "git", "push", "one", "main:other")
        attempt(dataset, *ANNEX, "copy", "--to", "one", FILE)
        sshd.restart()
        run(dataset, "git", "push", "--quiet", "one", "main")
    sshd.restart(new_host_key=True)
    assert "Host key verification failed" in attempt(dataset, "git", "push", "one", "main:other")


def test_kill_ends_what_runs_in_a_session(sshd: Sshd) -> None:
    words = ["ssh", sshd.alias, "echo started; exec sleep 600"]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as session:
        assert session.stdout and session.stdout.readline() == b"started\n"
        sshd.kill()
        assert session.wait(20)


@pytest.mark.slow
def test_datalad_makes_siblings_over_ssh(dataset: Path, sshd: Sshd) -> None:
    run(dataset, "datalad", "create", "--force", ".")
    run(dataset, "datalad", "create-sibling", "-s", "one", sshd.url("one"))
    store = ("--new-store-ok", f"ria+{sshd.url('store')}")
    run(dataset, "datalad", "create-sibling-ria", "-s", "ria", *store)
    content = (dataset / FILE).read_bytes()
    for remote, name in (("one", "one"), ("ria", "store")):
        run(dataset, "datalad", "push", "--to", remote)
        assert holds(sshd.root / name, content), name


# -- rsync


@pytest.mark.parametrize("way", ["rsync_ssh", "rsync_path"])
def test_rsync_round_trip(dataset: Path, way: str, request: pytest.FixtureRequest) -> None:
    server: Rsync = request.getfixturevalue(way)
    run(dataset, *ANNEX, "initremote", "store", *server.initremote("keys"))
    round_trip(dataset, "store", "enableremote", "store")
    if way == "rsync_ssh":
        request.getfixturevalue("sshd").stop()
    else:
        shutil.rmtree(server.root)
        server.root.write_text("no directory any more")
    attempt(dataset, *ANNEX, "copy", "--to", "store", FILE)


# -- S3


def test_s3_round_trip(dataset: Path, s3: S3) -> None:
    env = s3.environment()
    full = {**os.environ, **env}
    run(dataset, *ANNEX, "initremote", "store", *s3.initremote("images"), env=full)
    round_trip(dataset, "store", "enableremote", "store", env=env)
    run(dataset, *ANNEX, "copy", "--quiet", "--to", "store", FILE)
    assert s3.objects("images") == {"annex-uuid", key_of(dataset)}
    s3.stop()
    assert "ConnectionFailure" in attempt(dataset, *ANNEX, "fsck", "--from", "store", FILE)
    s3.restart()
    assert present(dataset, "store")


def test_s3_keeps_nothing_of_a_client_that_dies(dataset: Path, s3: S3) -> None:
    env = {**os.environ, **s3.environment()}
    run(dataset, *ANNEX, "initremote", "store", *s3.initremote("images"), env=env)
    headers = Message()
    headers["Date"], headers["Content-Length"] = "Mon, 04 May 2026 00:00:00 GMT", "1000"
    headers["Authorization"] = signature("PUT", "/images/half", headers)
    with socket.create_connection((HOST, s3.port)) as link:
        link.sendall(f"PUT /images/half HTTP/1.1\r\n{headers.as_string()}\n".encode())
        link.sendall(b"a few bytes")
        link.shutdown(socket.SHUT_WR)
        assert b"IncompleteBody" in link.makefile("rb").read()
    assert s3.objects("images") == {"annex-uuid"}


def test_s3_looks_at_who_asks(dataset: Path, s3: S3) -> None:
    words = (*ANNEX, "initremote", "store", *s3.initremote("images"))
    said = attempt(dataset, *words, env=s3.environment(secret="another"))
    assert "SignatureDoesNotMatch" in said
    run(dataset, *words, env={**os.environ, **s3.environment()})
    s3.readonly = True
    assert "AccessDenied" in attempt(dataset, *ANNEX, "copy", "--to", "store", FILE)
    url = f"http://{s3.address}/images/annex-uuid"
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(url, timeout=10)
    s3.public = True
    assert urllib.request.urlopen(url, timeout=10).read()


# -- WebDAV


def test_webdav_round_trip(dataset: Path, webdav: WebDav) -> None:
    env = webdav.environment()
    full = {**os.environ, **env}
    run(dataset, *ANNEX, "initremote", "store", *webdav.initremote("images"), env=full)
    round_trip(dataset, "store", "enableremote", "store", env=env)
    webdav.stop()
    attempt(dataset, *ANNEX, "copy", "--to", "store", FILE)
    webdav.restart()
    run(dataset, *ANNEX, "copy", "--quiet", "--to", "store", FILE)
    assert holds(webdav.root, (dataset / FILE).read_bytes())


def test_webdav_looks_at_who_asks(dataset: Path, webdav: WebDav) -> None:
    words = (*ANNEX, "initremote", "store", *webdav.initremote("images"))
    assert "401" in attempt(dataset, *words, env=webdav.environment(password="another"))
    run(dataset, *words, env={**os.environ, **webdav.environment()})
    webdav.readonly = True
    assert "403" in attempt(dataset, *ANNEX, "copy", "--to", "store", FILE)


PROPFIND = b"""<?xml version="1.0"?><propfind xmlns="DAV:"><prop>
<quota-available-bytes/><quota-used-bytes/></prop></propfind>"""


def test_webdav_tells_its_quota_and_keeps_to_it(dataset: Path, webdav: WebDav) -> None:
    def properties() -> str:
        request = urllib.request.Request(webdav.url(), PROPFIND, {"Depth": "0"}, method="PROPFIND")
        manager = urllib.request.HTTPPasswordMgrWithDefaultRealm()
        manager.add_password(None, webdav.url(), USER, DAV_PASSWORD)
        opener = urllib.request.build_opener(urllib.request.HTTPBasicAuthHandler(manager))
        with opener.open(request, timeout=10) as answer:
            return "".join(answer.read().decode().split())

    assert "404NotFound" in properties()
    env = {**os.environ, **webdav.environment()}
    run(dataset, *ANNEX, "initremote", "store", *webdav.initremote("images"), env=env)
    webdav.quota = webdav.used + 4000
    assert "quota-available-bytes>4000<" in properties()
    assert f"quota-used-bytes>{webdav.used}<" in properties()
    assert "507" in attempt(dataset, *ANNEX, "copy", "--to", "store", FILE)
    webdav.quota += 2000
    run(dataset, *ANNEX, "copy", "--quiet", "--to", "store", FILE)
    assert "quota-available-bytes>1000<" in properties()


# -- gpg


def test_only_those_with_a_key_read(dataset: Path, gpg: Keys, rsync_path: Rsync) -> None:
    keys = ("encryption=hybrid", f"keyid={gpg.steward}")
    run(dataset, *ANNEX, "initremote", "store", *rsync_path.initremote("keys", *keys))
    # initremote takes one key alone
    run(dataset, *ANNEX, "enableremote", "store", f"keyid+={gpg.partner}")
    run(dataset, *ANNEX, "copy", "--quiet", "--to", "store", FILE)
    assert not holds(rsync_path.root, (dataset / FILE).read_bytes())
    second = dataset.parent / "second"
    run(dataset.parent, "git", "clone", "--quiet", str(dataset), str(second))
    run(second, *ANNEX, "init", "--quiet", "second")
    enable = (*ANNEX, "enableremote", "store")
    stranger = gpg.environment(gpg.stranger_home)
    run(second, *enable, env=stranger)
    verify(second, "store")
    attempt(second, *ANNEX, "get", "--from", "store", FILE, env=stranger)
    partner = gpg.environment(gpg.partner_home)
    run(second, *ANNEX, "get", "--quiet", "--from", "store", FILE, env=partner)
    assert (second / FILE).read_bytes() == (dataset / FILE).read_bytes()


def test_gpg_homes_are_apart(gpg: Keys) -> None:
    def holds_secret(home: Path, key: str) -> bool:
        words = ("gpg", "--batch", "--quiet", "--list-secret-keys", key)
        done = subprocess.run(
            words, env=gpg.environment(home), capture_output=True, check=False, timeout=60
        )
        return done.returncode == 0

    homes = (gpg.steward_home, gpg.partner_home, gpg.stranger_home)
    for key, own in ((gpg.steward, 0), (gpg.signing, 0), (gpg.partner, 1)):
        assert [holds_secret(home, key) for home in homes] == [n == own for n in range(3)]
    say = {"input": b"secret", "env": gpg.environment(gpg.steward_home)}
    encrypt = ("gpg", "--batch", "--trust-model=always", "--encrypt", "--recipient")
    run(gpg.steward_home, *encrypt, gpg.partner, "-o", os.devnull, **say)
    run(gpg.steward_home, *encrypt, gpg.signing, "-o", os.devnull, ok=(2,), **say)


# -- p2phttp


def test_p2phttp_round_trip(dataset: Path, p2phttp: P2pHttp) -> None:
    p2phttp.add(dataset, "web")
    run(dataset, "git", "push", "--quiet", "web", "main")
    round_trip(dataset, "web", "remote", "add", "web", p2phttp.url)
    run(dataset, *ANNEX, "copy", "--quiet", "--to", "web", FILE)
    for end in (p2phttp.stop_annex, p2phttp.kill_annex):
        end()
        attempt(dataset, *ANNEX, "fsck", "--from", "web", FILE)
        run(dataset, "git", "ls-remote", "web")
        p2phttp.start_annex()
    assert present(dataset, "web")


def test_p2phttp_beside_git_over_ssh(dataset: Path, p2phttp: P2pHttp, sshd: Sshd) -> None:
    served = sshd.root / "served.git"
    served.symlink_to(p2phttp.path)
    run(dataset, "git", "remote", "add", "web", sshd.url("served.git"))
    run(dataset, "git", "config", "remote.web.annexUrl", p2phttp.annex_url)
    run(dataset, *ANNEX, "copy", "--quiet", "--to", "web", FILE)
    assert present(dataset, "web")
    p2phttp.log_in(password="another")
    attempt(dataset, *ANNEX, "fsck", "--from", "web", FILE)


def test_p2phttp_looks_at_who_asks(dataset: Path, p2phttp: P2pHttp) -> None:
    p2phttp.add(dataset, "web")
    run(dataset, "git", "push", "--quiet", "web", "main")
    run(dataset, *ANNEX, "copy", "--quiet", "--to", "web", FILE)
    p2phttp.log_in(READER, PASSWORD)
    run(dataset, *ANNEX, "fsck", "--quiet", "--from", "web", FILE)
    attempt(dataset, *ANNEX, "drop", "--from", "web", FILE)
    assert "403" in attempt(dataset, "git", "push", "web", "main:other")
    p2phttp.log_in(password="another")
    attempt(dataset, *ANNEX, "fsck", "--from", "web", FILE)
    attempt(dataset, "git", "ls-remote", "web")


# -- a small disk


def test_a_small_disk_is_soon_full(smalldisk: Callable[[int], Path]) -> None:
    path = smalldisk(2)
    assert os.statvfs(path).f_blocks * os.statvfs(path).f_frsize == 2 << 20
    (path / "fits").write_bytes(bytes(1 << 20))
    with pytest.raises(OSError, match="No space left"):
        (path / "too much").write_bytes(bytes(2 << 20))


# -- what they are made of


def test_a_server_that_does_not_start_says_why(tmp_path: Path) -> None:
    from .process import Server

    server = Server(tmp_path / "log", lambda: False)
    with pytest.raises(pytest.fail.Exception, match="no such option"):
        server.start(["sh", "-c", "echo no such option >&2; exit 3"])
    assert not server.running


def test_what_a_server_started_ends_with_it(tmp_path: Path) -> None:
    from .process import Server, _alive

    said = tmp_path / "pid"
    server = Server(tmp_path / "log", lambda: said.exists() and said.read_text().endswith("\n"))
    server.start(["sh", "-c", f"setsid sleep 600 & echo $! > {said}; wait"])
    server.end()
    assert not _alive(int(said.read_text()))
    assert stat.S_ISREG(os.stat(tmp_path / "log").st_mode) and 0 < free_port() < 65536
