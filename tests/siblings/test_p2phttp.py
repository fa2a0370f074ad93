"""Repositories behind HTTP with a password: read there, or filled with names and no content."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from builders import run
from datalad.api import mrishare_publish, mrishare_verify
from mirrors import consent, keys_at, publish, told, units
from servers.p2phttp import READER, P2pHttp
from siblings.life import BOLD, Kind, keep, live
from siblings.test_exporttree import KILLED
from siblings.test_special import held

from datalad_mrishare.errors import SiblingError
from datalad_mrishare.repo.remotes import remotes
from datalad_mrishare.repo.worktree import Checkout
from datalad_mrishare.sharing.reports import NotTakenReport
from datalad_mrishare.sharing.siblings import declare, reopen


class Restarted(Kind):
    """A server that knows the repository as it is since it was declared."""

    server: P2pHttp

    def stranger(self, name: str) -> Path:
        """The same by somebody who may only read."""
        self.server.stop_annex()
        self.server.start_annex()
        self.server.log_in(READER)
        return super().stranger(name)


@pytest.mark.slow
def test_filled_by_its_path(registered: Path, p2phttp: P2pHttp) -> None:
    run(registered, "git", "remote", "add", "mir", str(p2phttp.path))
    clone = ["git", "clone", "--quiet", p2phttp.url]
    kind = Restarted(registered, p2phttp.path, lambda: keys_at(p2phttp.path), lambda: clone)
    object.__setattr__(kind, "server", p2phttp)
    live(kind)


def by_https(dataset: Path, server: P2pHttp, tmp_path: Path) -> Kind:
    """Names and content behind HTTPS, in a repository that tells nobody's name."""
    server.make_neutral()
    run(dataset, "git", "remote", "add", "mir", server.url)
    for name in ("institution", "backup"):
        # of a server nobody can tell how much room there is
        (tmp_path / f"{name}.yaml").write_text(f"policy: {name}\nbudget: 10MB\n")
    clone = ["git", "clone", "--quiet", server.url]
    policies = {"policy": f"{tmp_path}/institution.yaml", "own": f"{tmp_path}/backup.yaml"}
    return Kind(dataset, server.path, lambda: keys_at(server.path), lambda: clone, **policies)


@pytest.mark.slow
def test_filled_over_https(registered: Path, p2phttps: P2pHttp, tmp_path: Path) -> None:
    live(by_https(registered, p2phttps, tmp_path))


@pytest.mark.slow
def test_kept_over_https(registered: Path, p2phttps: P2pHttp, tmp_path: Path) -> None:
    kind = by_https(registered, p2phttps, tmp_path)
    keep(kind, "mir")
    consent(registered, ("sub-03", "withdrawn", "erase"))
    told(registered)
    assert kind.held() == kind.permitted("sub-01", "sub-02", "sub-04")


@pytest.mark.slow
def test_planned_checked_and_told(registered: Path, p2phttps: P2pHttp, tmp_path: Path) -> None:
    kind = by_https(registered, p2phttps, tmp_path)
    consent(registered, ("sub-01", "given"))
    run(registered, "git", "config", "remote.mir.annexUrl", p2phttps.annex_url)
    assert declare(Checkout(registered), "mir", kind.policy).moved
    assert "sub-01" in units(told(registered, dry_run=True)) and kind.held() == set()
    refused = told(registered, code=1, budget="1kB")
    assert any("the smallest unit needs" in r["message"] for r in refused) and kind.held() == set()
    told(registered)
    assert kind.held() == kind.permitted("sub-01")
    damaged = next(p for p in p2phttps.path.rglob(f"{min(kind.held())}") if p.is_file())
    damaged.chmod(0o600)
    damaged.write_bytes(b"x" * damaged.stat().st_size)
    told(registered, checksum=True)
    assert b"x" * 20 not in damaged.read_bytes()
    assert len(kind.held()) == len(kind.permitted("sub-01"))
    quiet = {"result_renderer": "disabled", "on_failure": "ignore"}
    found = mrishare_verify("mir", dataset=registered, **quiet)
    assert {r["status"] for r in found} == {"ok"}, found
    history = mrishare_publish(to="mir", history=True, dataset=registered, **quiet)
    assert {r["status"] for r in history} == {"ok"} and len(history) >= 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("policy", "point"), [("own", "during:transfer:400"), ("policy", "during:push:200")]
)
def test_killed(
    registered: Path, p2phttps: P2pHttp, tmp_path: Path, point: str, policy: str
) -> None:
    kind = by_https(registered, p2phttps, tmp_path)
    consent(registered, ("sub-01", "given"), ("sub-03", "withdrawn", "erase"))
    declare(Checkout(registered), "mir", getattr(kind, policy))
    argv = [sys.executable, str(KILLED), str(registered), "mir", str(tmp_path / "log"), point]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run([*argv, "group"], env=env, start_new_session=True, check=False)
    assert done.returncode == -signal.SIGKILL, (tmp_path / "log").read_text()
    told(registered)
    kept = ("sub-01",) if policy == "policy" else ("sub-01", "sub-02", "sub-04")
    assert kind.held() == kind.permitted(*kept)
    assert publish(registered, "mir")[-1].changed is False


@pytest.mark.slow
def test_p2phttp_down(registered: Path, p2phttps: P2pHttp, tmp_path: Path) -> None:
    kind = by_https(registered, p2phttps, tmp_path)
    consent(registered, ("sub-01", "given"))
    declare(Checkout(registered), "mir", kind.policy)
    p2phttps.stop_annex()
    with pytest.raises(SiblingError, match="cannot be asked for content"):
        publish(registered, "mir")
    assert run(p2phttps.path, "git", "for-each-ref", "refs/heads/main") == ""
    p2phttps.start_annex()
    told(registered)
    assert kind.held() == kind.permitted("sub-01")


@pytest.mark.slow
def test_who_may_only_read(registered: Path, p2phttps: P2pHttp, tmp_path: Path) -> None:
    kind = by_https(registered, p2phttps, tmp_path)
    consent(registered, ("sub-01", "given"))
    declare(Checkout(registered), "mir", kind.policy)
    p2phttps.log_in(READER)
    (wrong,) = [r for r in publish(registered, "mir") if isinstance(r, NotTakenReport)]
    assert "sibling 'mir'" in wrong.where
    assert kind.held() == set()
    assert run(p2phttps.path, "git", "for-each-ref", "refs/heads/main") == ""


def test_who_made_it_is_told(registered: Path, p2phttps: P2pHttp) -> None:
    run(registered, "git", "remote", "add", "mir", p2phttps.url)
    with pytest.raises(SiblingError, match=r"tells who made it \(storage@example.org\)"):
        declare(Checkout(registered), "mir", "institution")
    assert "mir" in remotes(registered)


@pytest.mark.slow
@pytest.mark.parametrize("known", [False, True])
def test_a_way_on_which_others_read(
    registered: Path, p2phttps: P2pHttp, tmp_path: Path, known: bool
) -> None:
    kind = by_https(registered, p2phttps, tmp_path)
    if known:
        run(registered, "git", "annex", "whereis", BOLD)
    url = "annex+http://host.invalid/git-annex/"
    run(p2phttps.path, "git", "config", "annex.url", url)
    with pytest.raises(SiblingError, match="reached without encryption"):
        declare(Checkout(registered), "mir", kind.policy)
    assert "mir" in remotes(registered)
    run(p2phttps.path, "git", "config", "annex.url", p2phttps.annex_url)
    run(registered, "git", "config", "--unset", "remote.mir.annexUrl")
    assert declare(Checkout(registered), "mir", kind.policy).moved


def test_over_https_not_empty(registered: Path, p2phttps: P2pHttp, tmp_path: Path) -> None:
    kind = by_https(registered, p2phttps, tmp_path)
    run(registered, "git", "annex", "copy", "--quiet", "--to", "mir", BOLD)
    with pytest.raises(SiblingError, match=r"is not empty \(annexed content"):
        declare(Checkout(registered), "mir", kind.policy)
    assert "mir" in remotes(registered) and len(kind.held()) == 1


@pytest.mark.parametrize("variable", ["annex.uuid", "annex.url"])
def test_no_place_for_content(registered: Path, p2phttps: P2pHttp, variable: str) -> None:
    run(p2phttps.path, "git", "config", "--unset", variable)
    run(registered, "git", "remote", "add", "mir", p2phttps.url)
    with pytest.raises(SiblingError, match="is neither on a path nor behind ssh"):
        declare(Checkout(registered), "mir", "institution")
    assert "mir" in remotes(registered)


def forge(dataset: Path, server: P2pHttp, tmp_path: Path) -> Kind:
    """Names behind HTTP, content in a directory."""
    place = server.path.parent
    run(place, "git", "init", "--quiet", "--bare", "--initial-branch=main", "names.git")
    (place / "store").mkdir()
    url = server.url.replace(server.path.name, "names.git")
    where = f"directory={place}/store"
    run(dataset, "git", "remote", "add", "mir", url)
    run(dataset, "git", "config", "remote.mir.annex-ignore", "true")
    run(dataset, "git", "config", "remote.mir.datalad-publish-depends", "store")
    words = ("type=directory", where, "encryption=none")
    run(dataset, "git", "annex", "initremote", "store", *words)
    shutil.rmtree(server.path)  # the account's own, and not what is looked at
    get = f"git annex enableremote store {where} && git annex verifyremote store --safe 1"
    return Kind(
        dataset,
        place,
        lambda: held(place / "store"),
        lambda: ["git", "clone", "--quiet", url],
        ("sh", "-c", f"{get} && git annex get ."),
    )


@pytest.mark.slow
def test_names_over_http_shared(registered: Path, p2phttp: P2pHttp, tmp_path: Path) -> None:
    live(forge(registered, p2phttp, tmp_path))


@pytest.mark.slow
def test_names_over_http_kept(registered: Path, p2phttp: P2pHttp, tmp_path: Path) -> None:
    keep(forge(registered, p2phttp, tmp_path), "mir", "store")


def test_names_over_http_not_empty(registered: Path, p2phttp: P2pHttp, tmp_path: Path) -> None:
    kind = forge(registered, p2phttp, tmp_path)
    run(registered, "git", "push", "--quiet", "mir", "main")
    with pytest.raises(SiblingError, match=r"is not empty \(ref refs/heads/main\)"):
        declare(Checkout(registered), "mir", "institution")
    assert {"mir", "store"} <= remotes(registered).keys() and kind.held() == set()


def test_a_password_in_the_url(registered: Path, p2phttp: P2pHttp, tmp_path: Path) -> None:
    kind = forge(registered, p2phttp, tmp_path)
    url = kind.clone()[-1].replace("//", "//me:secret@")
    run(registered, "git", "remote", "set-url", "mir", url)
    with pytest.raises(SiblingError, match="has an account or a password") as refused:
        declare(Checkout(registered), "mir", "institution")
    assert "secret" not in str(refused.value)


def test_nothing_goes_past_the_release_repository(
    registered: Path, p2phttp: P2pHttp, tmp_path: Path
) -> None:
    kind = forge(registered, p2phttp, tmp_path)
    consent(registered, ("sub-01", "given"))
    declare(Checkout(registered), "mir", "institution")
    for command in ("git annex copy --to store sub-01", "datalad push --to mir"):
        run(registered, *command.split(), ok=(1,))
    url = kind.clone()[-1]
    run(registered, "git", "push", url, "main", ok=(1, 128))
    run(registered, "git", "remote", "add", "again", url)
    said = " ".join(str(r) for r in publish(registered, "mir"))
    assert "remote 'again'" in said and kind.held() == set()
    assert run(kind.directory / "names.git", "git", "for-each-ref") == ""


def test_the_same_repository_by_another_way(
    registered: Path, p2phttps: P2pHttp, tmp_path: Path
) -> None:
    kind = by_https(registered, p2phttps, tmp_path)
    declare(Checkout(registered), "mir", kind.policy)
    run(registered, "git", "remote", "add", "again", str(p2phttps.path))
    run(registered, "git", "annex", "whereis", BOLD)  # and so git-annex knows whose it is
    said = " ".join(str(r) for r in publish(registered, "mir"))
    assert "remote 'again'" in said and kind.held() == set()
    assert reopen(Checkout(registered), "mir").moved
    assert remotes(registered)["mir"].url == p2phttps.url
