"""A file system that somebody else fills while a publication is under way.

The plan was made when there was room for everyone. What did not arrive is told, nothing that is
there is damaged, and once there is room again the same command brings the rest.
"""

from __future__ import annotations

import json
import os
import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from builders import run
from faults.worlds import ENCRYPTED, WITHOUT_GIT, Server, World, add
from mirrors import consent, keys_of, lent, told, units
from servers.gpg import Keys
from servers.p2phttp import P2pHttp, certify, trust
from servers.ssh import Sshd
from servers.web import reach_loopback
from servers.webdav import WebDav

from datalad_mrishare.repo.keys import key_size
from datalad_mrishare.sharing.publishing import Publication

pytestmark = pytest.mark.slow
PEOPLE = ("sub-01", "sub-02", "sub-03")
#: bytes of an image of each participant
BIG = 2_000_000


@dataclass(frozen=True)
class Target:
    """Sibling ``mir`` of ``world`` on a small disk."""

    disk: Path
    world: World

    @property
    def dataset(self) -> Path:
        """The steward's."""
        return self.world.dataset

    @property
    def kind(self) -> str:
        """What it is (:class:`World`)."""
        return self.world.where

    @property
    def place(self) -> Path:
        """What is filled."""
        return self.world.storage

    @property
    def half(self) -> Path | None:
        """The git half where it is a repository, not bundles among the content."""
        return None if self.kind in WITHOUT_GIT else self.world.sibling

    @property
    def filler(self) -> Path:
        """A file of somebody else."""
        return self.disk / "somebody else's"

    def fill(self, left: int) -> None:
        """Leave so many bytes free."""
        seen = os.statvfs(self.disk)
        self.filler.write_bytes(bytes(max(0, seen.f_bavail * seen.f_frsize - left)))

    def make_room(self) -> None:
        """The other one goes away."""
        self.filler.unlink()

    def held(self) -> set[str]:
        """Keys that lie there, each whole as its name says."""
        if self.kind == "files":
            return {key for key in self.world.files().values() if key}
        if self.kind in ENCRYPTED:
            return self.world.told_there()
        found = set()
        for parent, _, files in os.walk(self.place):
            for name in files:
                path = os.path.join(parent, name)
                if "-s" not in name or "--" not in name or name.startswith("GIT"):
                    continue
                if name != os.path.basename(parent):
                    continue  # on its way, in no place where anybody looks for it
                assert f"-s{os.path.getsize(path)}-" in name, path
                found.add(name)
        return found

    def sound(self) -> None:
        """What lies there is as its checksums say, and so is the git half."""
        if self.kind == "files":
            self.world.files()
        else:
            remote = self.world.remote
            argv = ("fsck", "--quiet", "--all", "--in", remote, "--from", remote)
            run(self.world.repository, "git", "annex", *argv)
        if self.half:
            run(self.half, "git", "fsck", "--no-dangling", "--connectivity-only")


def target(
    dataset: Path,
    disk: Path,
    kind: str,
    policy: str,
    server: Server | None = None,
    keys: Keys | None = None,
) -> Target:
    """A declared sibling, and participants with images that a small disk feels.

    An ssh ``server`` serves all of this machine, and so the disk; others have their files on it.
    """
    noise = random.Random(20261123)
    for who in PEOPLE:
        image = dataset / who / "func" / f"{who}_task-rest_run-2_bold.nii.gz"
        image.write_bytes(noise.randbytes(BIG))
    run(dataset, "git", "annex", "add", "--quiet", ".")
    run(dataset, "git", "commit", "--quiet", "-m", "more images")
    own = "own " if policy == "backup" else ""
    place = server.path if isinstance(server, P2pHttp) else disk / "mir"
    world = World(dataset.parent, own + kind, place, server)
    add(world, keys)
    consent(dataset, *((who, "given") for who in PEOPLE))
    return Target(disk, world)


def everything(t: Target) -> set[str]:
    return keys_of(t.dataset, *([""] if t.world.own else PEOPLE))


def events(t: Target) -> list[dict[str, Any]]:
    """The events of publications."""
    found = sorted((t.dataset / ".datalad/mrishare/events").glob("*published*"))
    return [json.loads(path.read_text()) for path in found]


def whole(t: Target, unit: str) -> bool:
    return keys_of(t.dataset, f"{unit}/") <= t.held()


KINDS = [(k, p) for k in ("path", "ria", "directory") for p in ("backup", "institution")]


@pytest.mark.parametrize("left", [3_000_000, 0])
@pytest.mark.parametrize(("kind", "policy"), KINDS)
def test_filled_during_the_transfer(
    registered: Path,
    smalldisk: Callable[[int], Path],
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    policy: str,
    left: int,
) -> None:
    t = target(registered, smalldisk(20), kind, policy)
    filled_during_the_transfer(t, monkeypatch, left)


@pytest.mark.parametrize("policy", ["backup", "institution"])
@pytest.mark.parametrize("kind", ["ssh", "rsync", "ria-ssh"])
def test_filled_behind_ssh(
    registered: Path,
    smalldisk: Callable[[int], Path],
    sshd: Sshd,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    policy: str,
) -> None:
    t = target(registered, smalldisk(20), kind, policy, sshd)
    filled_during_the_transfer(t, monkeypatch, 3_000_000)


@pytest.mark.parametrize(
    ("kind", "policy"),
    [
        ("rsync-here", "institution"),
        ("files", "institution"),
        ("files", "backup"),
        ("depends", "institution"),
        ("encrypted", "institution"),
        ("sharedpubkey", "institution"),
        ("crypt", "backup"),
    ],
)
def test_filled_where_content_lies_otherwise(
    registered: Path,
    smalldisk: Callable[[int], Path],
    monkeypatch: pytest.MonkeyPatch,
    gpg: Keys,
    kind: str,
    policy: str,
) -> None:
    keys = gpg if kind in ENCRYPTED else None
    t = target(registered, smalldisk(20), kind, policy, keys=keys)
    filled_during_the_transfer(t, monkeypatch, 3_000_000)


@pytest.mark.parametrize("policy", ["backup", "institution"])
def test_filled_where_a_webdav_server_writes(
    registered: Path,
    tmp_path: Path,
    smalldisk: Callable[[int], Path],
    monkeypatch: pytest.MonkeyPatch,
    policy: str,
) -> None:
    disk = smalldisk(20)
    reach_loopback(monkeypatch, tmp_path)
    server = WebDav(disk)
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    server.start()
    try:
        t = target(registered, disk, "webdav", policy, server)
        filled_during_the_transfer(t, monkeypatch, 3_000_000)
    finally:
        server.stop()


@pytest.mark.parametrize("policy", ["backup", "institution"])
def test_filled_where_p2phttp_writes(
    registered: Path,
    tmp_path: Path,
    smalldisk: Callable[[int], Path],
    monkeypatch: pytest.MonkeyPatch,
    policy: str,
) -> None:
    disk = smalldisk(20)
    server = P2pHttp(disk, certify(tmp_path))
    trust(monkeypatch, tmp_path, server)
    try:
        server.start()
        t = target(registered, disk, "https", policy, server)
        # else its git-annex keeps 100 MB free, and nobody here can tell it otherwise
        run(server.path, "git", "config", "annex.diskreserve", "0")
        server.stop_annex()
        server.start_annex()
        filled_during_the_transfer(t, monkeypatch, 3_000_000)
    finally:
        server.stop()


def free_told(said: str) -> float:
    """Bytes that a message tells to be free; it does that once."""
    ((number, unit),) = re.findall(r"\(([\d.]+) (bytes|B|kB|MB) free there\)", said)
    return float(number) * {"kB": 1e3, "MB": 1e6}.get(unit, 1)


def filled_during_the_transfer(t: Target, monkeypatch: pytest.MonkeyPatch, left: int) -> None:
    """What did not arrive is told and made up for, and no more is promised than arrived."""
    registered = t.dataset
    transfer = Publication.transfer

    def filled(self: Publication) -> None:
        t.fill(left)
        transfer(self)

    with monkeypatch.context() as patched:
        patched.setattr(Publication, "transfer", filled)
        found = told(registered, code=1)
    sent = {u for u, word in units(found).items() if word == "sent"}
    assert all(whole(t, unit) for unit in sent)
    assert not all(whole(t, unit) for unit in PEOPLE)
    said = [r["message"] for r in found if r["status"] == "error"]
    assert said and not any("\n" in text for text in said)
    (refused,) = [r for r in found if r.get("outcome") == "not released"] or [None]
    if t.kind == "webdav":  # this one tells no quota, and of a full disk nothing but that
        assert all("500 Internal Server Error" in text for text in said)
    elif t.kind != "https":  # of which nobody can tell
        assert all(0 <= free_told(text) <= left + 100_000 for text in said), said
    (sums,) = [r["units"] for r in found if r.get("outcome") == "summary"]
    assert not found[-1]["complete"] and "Nothing to do" not in found[-1]["message"]
    written, planned = events(t), [w for w in units(found).values() if w in ("sent", "incomplete")]
    for event in written:
        assert event["bytes_sent"] == sum(key_size(key) or 0 for key in t.held())
        assert event["keys_sent"] == len(t.held())
    if refused is None:
        (event,) = written
        assert sums["send"] == len(sent) and sums["incomplete"] > 0
        assert set(event["units_sent"]) == sent and set(event["units_incomplete"]) >= {"sub-03"}
    else:
        # the names did not fit: what arrived is written down, and counts as sent nowhere
        assert (sums["send"], sums["incomplete"]) == (0, len(planned))
        assert len(written) == bool(t.held())
        assert all(e["units_sent"] == [] and e["release"] is None for e in written)
        if t.kind == "webdav":
            assert "did not take the git half" in refused["message"]
        else:
            assert "Make room there" in refused["message"]
        # some keep what arrived of a file, and that takes room, too
        assert left < 1_000_000 or t.kind in ("rsync", "rsync-here", "webdav", *ENCRYPTED[:2])
    t.sound()
    if not t.world.own:
        assert {k for k in lent(registered, "mir") if not k.startswith("GIT")} == set()

    t.make_room()
    found = told(registered)
    assert found[-1]["complete"] and t.held() == everything(t)
    t.sound()
    assert told(registered)[-1]["status"] == "notneeded"
    assert run(registered, "git", "status", "--porcelain") == ""


@pytest.mark.parametrize(("kind", "policy"), KINDS)
def test_filled_between_plan_and_transfer(
    registered: Path, tmp_path: Path, smalldisk: Callable[[int], Path], kind: str, policy: str
) -> None:
    t = target(registered, smalldisk(20), kind, policy)
    plan = str(tmp_path / "plan.json")
    told(registered, plan_to=plan)
    t.fill(4_000_000)
    found = told(registered, plan=plan, code=1)
    refused = [r["message"] for r in found if r["status"] in ("error", "impossible")]
    assert any("cannot be carried out for sub-02: no room there" in said for said in refused)
    assert t.held() == set() and events(t) == []
    t.make_room()
    assert told(registered, plan=plan)[-1]["complete"] and t.held() == everything(t)
    t.sound()


@pytest.mark.parametrize("kind", ["path", "ria", "directory"])
def test_content_leaves_room_for_the_git_half(
    registered: Path, smalldisk: Callable[[int], Path], kind: str
) -> None:
    """Without a reserve of the policy, and with room for hardly more than two participants."""
    t = target(registered, smalldisk(20), kind, "institution")
    t.fill(2 * (BIG + 120_000) + 1_100_000)
    found = told(registered)
    assert found[-1]["units"] == {"send": 2, "keep": 0, "defer": 1, "incomplete": 0}
    seen = os.statvfs(t.disk)
    assert seen.f_bavail * seen.f_frsize > 0
    t.sound()
    t.make_room()
    assert told(registered)[-1]["complete"] and t.held() == everything(t)
