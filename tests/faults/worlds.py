"""Worlds to be killed in: a dataset with a sibling, and what an undisturbed run makes of both.

A world is one directory that is put back before each kill, so that every run sees the same
paths. Who is killed: ``group`` is the whole of a publication, children too, as by a power cut
here; ``python`` is the publication without its children; ``annex`` is the first git-annex below
it; ``sshd`` are the sessions of the ssh server, as by a power cut there; ``p2phttp`` is the server
of that name.
"""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from builders import copy_dataset, remove, run
from mirrors import bare, consent, keys_at, keys_of, lent, locations, objects, publish, tree_of
from servers.gpg import Keys
from servers.p2phttp import P2pHttp
from servers.s3 import S3
from servers.ssh import Sshd
from servers.webdav import WebDav

from datalad_mrishare.repo.worktree import Checkout
from datalad_mrishare.sharing.siblings import declare

DRIVER = Path(__file__).with_name("killed_publish.py")
PHASES = "snapshot decide plan preflight take_back transfer check release push event".split()
#: other instants for another one
SEED = int(os.environ.get("MRISHARE_SEED", "20260504"))
OURS, THEIRS = ("group", "python"), ("annex", "sshd")
#: kinds whose git half, if any, lies among the content; kinds with the content beside it
WITHOUT_GIT = ("directory", "rsync", "rsync-here", "s3", "webdav", "files", "crypt")
BESIDE = ("depends", "encrypted", "sharedpubkey")
#: kinds whose content is encrypted for gpg keys
ENCRYPTED = ("encrypted", "sharedpubkey", "crypt")
#: kinds of which nobody can tell how much room is there
ROOMLESS = ("s3", "webdav", "https")
Server = Sshd | S3 | WebDav | P2pHttp
SERVED_BY: dict[str, type] = {"s3": S3, "webdav": WebDav, "https": P2pHttp}
SERVED_BY |= dict.fromkeys(("ssh", "ria-ssh", "rsync"), Sshd)


@dataclass
class World:
    """A dataset at ``root/dataset`` with sibling ``mir``, and how to put it back.

    ``kind`` is ``WHERE`` for a sibling that is shared and ``own WHERE`` for own storage.
    ``server`` has what is far away; all but that of ssh serve ``root/served``.
    ``ticks`` and ``seconds`` tell of the undisturbed run, phase by phase; ``end`` is the state
    that it led to.
    """

    root: Path
    kind: str
    sibling: Path
    server: Server | None = None
    end: dict[str, Any] = field(default_factory=dict)
    ticks: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def dataset(self) -> Path:
        """The steward's dataset."""
        return self.root / "dataset"

    @property
    def own(self) -> bool:
        """Whether it is own storage."""
        return self.kind.startswith("own")

    @property
    def where(self) -> str:
        """``path``, ``ria``, ``ssh``, ``ria-ssh``, ``https``, ``WITHOUT_GIT`` or ``BESIDE``.

        ``files`` are plain files (``exporttree=yes``), ``crypt`` is an encrypted directory.
        """
        return self.kind.removeprefix("own ")

    @property
    def storage(self) -> Path:
        """The content of a kind that keeps it outside of a git repository."""
        return self.sibling.with_name("store") if self.where in BESIDE else self.sibling

    @property
    def remote(self) -> str:
        """The remote that has the content."""
        return "store" if self.where in BESIDE else "mir-storage" if "ria" in self.where else "mir"

    @property
    def repository(self) -> Path:
        """The repository that the sibling is a remote of."""
        return self.dataset if self.own else self.dataset / ".git/mrishare/mir"

    def put_back(self) -> None:
        """As it was before any run; links, modes and times included."""
        if isinstance(self.server, P2pHttp):
            self.server.kill_annex()
        if self.root.exists():
            remove(self.root)
        run(self.root.parent, "cp", "-a", f"{self.root}.kept", str(self.root))
        self.serve()

    def serve(self) -> None:
        """Let its server run again, if it was ended."""
        if isinstance(self.server, P2pHttp):
            self.server.kill_annex()
            self.server.start_annex()

    def publish(self, point: str, whom: str = "group") -> tuple[bool, list[list[str]]]:
        """Publish in a process group of its own; whether it was struck, and what it logged."""
        log = self.root.parent / "phases.log"
        log.unlink(missing_ok=True)
        if whom in ("sshd", "p2phttp"):
            assert isinstance(self.server, Sshd | P2pHttp)
            whom = f"{whom}:{self.server.pid}"
        argv = [sys.executable, str(DRIVER), str(self.dataset), "mir", str(log), point, whom]
        done = subprocess.run(
            argv, capture_output=True, start_new_session=True, timeout=300, check=False
        )
        logged = [line.split() for line in log.read_text().splitlines()]
        struck = ["struck"] in logged
        # it may end in an error of ours when something was taken from it, and in no other way
        allowed = (0, 1) if struck else (0, -9)
        assert done.returncode in allowed, done.stderr.decode()
        return struck or done.returncode == -9, logged

    def state(self) -> dict[str, Any]:
        """Trees, keys and locations; and that both ends are sound."""
        run(self.dataset, "git", "annex", "fsck", "--quiet")
        release = self.repository
        if self.where in ("path", "ssh", "https"):
            run(self.sibling, "git", "annex", "fsck", "--quiet", "--branch=main")
        elif self.where != "files":  # git-annex takes all that lies there for lost
            which = ("--all", f"--in={self.remote}", f"--from={self.remote}")
            run(release, "git", "annex", "fsck", "--quiet", *which)
        kept = tree_of(self.dataset, events=False)
        if self.where in WITHOUT_GIT:
            there, keys = self._of_storage(), self._stored()
        else:
            there = {
                "tree": tree_of(self.sibling, events=False),
                "located there": locations(self.sibling),
            }
            keys = self._stored() if self.where in BESIDE else keys_at(self.sibling)
        if self.where in BESIDE:
            run(self.sibling, "git", "fsck", "--connectivity-only", "--no-dangling")
        if self.where == "files":
            there["files"] = self.files()
        return {**there, "keys": keys, "located here": locations(release), "kept": kept}

    def _stored(self) -> set[str]:
        """Keys in storage outside of a git repository, each of them whole."""
        if self.where == "files":
            return {key for key in self.files().values() if key}
        files = [p for p in self.storage.rglob("*") if p.is_file()]
        found = [p for p in files if "GIT" not in p.name and p.name != "annex-uuid"]
        if self.where in ENCRYPTED:
            return self._encrypted(found)
        assert all(f"-s{p.stat().st_size}-" in p.name for p in found)
        return {p.name for p in found}

    def files(self) -> dict[str, str]:
        """What somebody without git sees there, but for events; the key of what is annexed."""
        found = {}
        for parent, below, names in os.walk(self.storage):
            below[:] = [name for name in below if name not in (".git", "events")]
            for path in (Path(parent, name) for name in names):
                name = str(path.relative_to(self.storage))
                link = self.dataset / name
                found[name] = os.path.basename(os.readlink(link)) if link.is_symlink() else ""
                digest = hashlib.sha256(path.read_bytes()).hexdigest()
                assert digest in found[name] or not found[name], name
        return found

    def _encrypted(self, found: list[Path]) -> set[str]:
        """Keys whose content ``found`` are, as whoever has the cipher tells."""
        held = self.told_there()
        assert all(p.name.startswith("GPGHMAC") for p in found) and len(found) == len(held)
        return held

    def told_there(self) -> set[str]:
        """Keys that the sibling says it has, asked for each of them."""
        repo, keys = self.repository, sorted(keys_of(self.dataset, ""))
        argv = ("git", "annex", "checkpresentkey", "--batch", self.remote)
        said = run(repo, *argv, input="".join(f"{key}\n" for key in keys).encode()).split()
        return {key for key, there in zip(keys, said, strict=True) if there == "1"}

    def _of_storage(self) -> dict[str, Any]:
        """What a stranger's clone of it tells; own storage has no git half."""
        if self.own:
            return {"tree": tree_of(self.dataset, "refs/mrishare/copied/mir", events=False)}
        from datalad_mrishare.sharing.policies import SIBLINGS_FILE, load_policies

        text = run(self.dataset, "git", "show", f"HEAD:{SIBLINGS_FILE}")
        address = load_policies(text)["mir"].address
        assert address is not None
        clone = Path(tempfile.mkdtemp(dir=self.root.parent)) / "clone"
        run(self.root.parent, "git", "clone", "--quiet", "--no-checkout", address.url, str(clone))
        told = {
            "tree": tree_of(clone, "origin/main", events=False),
            "located there": locations(clone, "origin/git-annex"),
        }
        told["located there"] = {k: v for k, v in told["located there"].items() if "GIT" not in k}
        remove(clone.parent)
        return told


def add(
    world: World, keys: Keys | None = None, name: str = "mir", *, declared: bool = True
) -> None:
    """Make the sibling, and declare it; encrypted for both who have ``keys``."""
    dataset, place, where, server = world.dataset, world.sibling, world.where, world.server
    far = f"{server.alias}:{place}" if isinstance(server, Sshd) else str(place)
    initremote = ("git", "annex", "initremote", name, "encryption=none")
    policy = "backup" if world.own else "institution"
    if where in ROOMLESS:
        demanded = world.root / f"{policy}.yaml"
        demanded.write_text(f"policy: {policy}\nbudget: 15MB\n")
        policy = str(demanded)
    if isinstance(server, S3 | WebDav):
        run(dataset, *initremote[:-1], *server.initremote(place.name))
    elif isinstance(server, P2pHttp):
        server.make_neutral()
        run(dataset, "git", "remote", "add", name, server.url)
    elif where in BESIDE:
        beside(world, keys, name)
    elif "ria" in where:
        store = f"ria+ssh://{far.replace(':', '', 1)}" if server else f"ria+file://{place}"
        create = ("datalad", "create-sibling-ria", "-s", name, "--new-store-ok")
        run(dataset, *create, store)
    elif where in ("directory", "files"):
        place.mkdir()
        plain = ("exporttree=yes",) if where == "files" else ()
        run(dataset, *initremote, "type=directory", f"directory={place}", *plain)
    elif where == "crypt":
        place.mkdir()
        assert keys is not None
        words = ("encryption=hybrid", f"keyid={keys.steward}", "type=directory")
        run(dataset, *initremote[:-1], *words, f"directory={place}")
    elif where.startswith("rsync"):
        place.mkdir()
        run(dataset, *initremote, "type=rsync", f"rsyncurl={far}")
    else:
        bare(place)
        run(dataset, "git", "remote", "add", name, far)
    if declared:
        declare(Checkout(dataset), name, policy)
    if "ria" in where:
        world.sibling = next(p.parent for p in place.glob("*/*/HEAD"))


def side_by_side(
    dataset: Path,
    kinds: Sequence[str],
    servers: Sequence[Server] = (),
    keys: Keys | None = None,
    *,
    declared: bool = True,
) -> dict[str, World]:
    """A sibling of each kind for one dataset, one of a kind at each server; by their names."""
    running = {type(server): server for server in servers}
    found = {}
    for kind in kinds:
        name, where = kind.replace(" ", "-"), kind.removeprefix("own ")
        server = running.get(SERVED_BY.get(where, type(None)))
        place = dataset.parent / name / "mir"
        if isinstance(server, P2pHttp):
            place = server.path
        elif isinstance(server, S3 | WebDav):
            place = server.root / "mir"
        else:
            place.parent.mkdir()
        found[name] = World(dataset.parent, kind, place, server)
        secret = keys if where in ENCRYPTED else None
        add(found[name], secret, name, declared=declared)
    return found


def beside(world: World, keys: Keys | None, name: str) -> None:
    """A git repository that holds no content, and a directory that does."""
    store = "store" if name == "mir" else f"store-of-{name}"
    dataset, where = world.dataset, f"directory={world.storage}"
    bare(world.sibling)
    world.storage.mkdir()
    run(dataset, "git", "remote", "add", name, str(world.sibling))
    run(dataset, "git", "config", f"remote.{name}.annex-ignore", "true")
    run(dataset, "git", "config", f"remote.{name}.datalad-publish-depends", store)
    scheme = "sharedpubkey" if world.where == "sharedpubkey" else "hybrid"
    words = (f"encryption={scheme}", f"keyid={keys.steward}") if keys else ("encryption=none",)
    run(dataset, "git", "annex", "initremote", store, "type=directory", where, *words)
    if keys:
        run(dataset, "git", "annex", "enableremote", store, where, f"keyid+={keys.partner}")


def build(
    root: Path,
    kind: str,
    template: Path,
    server: Server | None = None,
    keys: Keys | None = None,
    ticks: bool = True,
) -> World:
    """A sibling that was published to; since then one withdrew, and there is more to send."""
    root.mkdir(exist_ok=True)  # a server may serve below it
    place = root / "mir.store"
    if isinstance(server, S3 | WebDav):
        place = server.root / "mir"
    elif isinstance(server, P2pHttp):
        place = server.path
    world = World(root, kind, place, server)
    dataset = copy_dataset(template, root / "dataset")
    consent(dataset, ("sub-01", "given"), ("sub-02", "given"), ("sub-04", "refused"))
    add(world, keys)
    publish(dataset, "mir", select={"sub": ("01", "02")})
    then = "stop-use" if world.own else "stop-sharing"
    consent(dataset, ("sub-02", "withdrawn", then), ("sub-03", "given"))
    run(root.parent, "cp", "-a", str(root), f"{root}.kept")
    struck, log = world.publish("none" if ticks else "at:snapshot:1000")
    assert not struck
    world.ticks = {words[1]: int(words[2]) for words in log if words[0] == "leave"}
    assert list(world.ticks) == PHASES
    world.end = world.state()
    people = ("sub-01", "sub-03", "sub-04") if world.own else ("sub-01", "sub-03")
    assert world.end["keys"] == keys_of(dataset, *people), "the measure itself is wrong"
    if ticks:  # counting takes time; those that are killed at an instant do not count
        world.put_back()
        _, log = world.publish("at:snapshot:1000")
    world.seconds = {words[1]: float(words[3]) for words in log if words[0] == "leave"}
    return world


def hit(log: list[list[str]]) -> str:
    """The phase that was struck, or between which two it was."""
    if ["struck"] in log:
        log = log[: log.index(["struck"])]
    if not log:
        return "before all"
    return log[-1][1] if log[-1][0] == "enter" else f"after {log[-1][1]}"


def converges(world: World, point: str, whom: str = "group") -> str:
    """Kill, publish again, and compare with the undisturbed run; tells what was hit."""
    before = objects(world.dataset)
    struck, log = world.publish(point, whom)
    what = hit(log) if struck else "ended before"
    print(f"{world.kind} {whom} {point}: {what}")
    assert struck or point.startswith("at:"), "the kill missed"
    world.serve()
    publish(world.dataset, "mir")
    as_if_nothing_had_been(world)
    after = objects(world.dataset)
    changed = {k: (before.get(k), after.get(k)) for k in {*before, *after}}
    assert after == before, {k: v for k, v in changed.items() if v[0] != v[1]}
    return what


def as_if_nothing_had_been(world: World) -> None:
    """The state is that of the undisturbed run, and nothing is left lying about."""
    state = world.state()
    assert state == world.end, {k: (v, world.end[k]) for k, v in state.items() if v != world.end[k]}
    assert not (world.dataset / ".git/mrishare/mir.journal").exists()
    assert run(world.dataset, "git", "status", "--porcelain") == ""
    assert not [p for p in world.dataset.rglob(".git/**/annex/tmp/rsynctmp*/**/*") if p.is_file()]
    if not world.own:
        left = lent(world.dataset, "mir")
        assert {key for key in left if not key.startswith("GIT")} == set()


def point_in(world: World, phase: str, when: str) -> str:
    """The point ``when`` of a phase; half of its ticks for ``during``."""
    if when == "sent":
        return "sent"
    return f"{when}:{phase}" + (f":{world.ticks[phase] // 2 + 1}" if when == "during" else "")


def instants(what: str, count: int, seconds: dict[str, float]) -> list[str]:
    """``count`` points in time within phases of ``seconds``, each as likely as it is long.

    They are told from the beginning of the phase, since a busy machine is slow in all of them.
    """
    chance = random.Random(f"{SEED} {what}")
    print(f"{what}: instants of seed {SEED}")
    phases = chance.choices([*seconds], [*seconds.values()], k=count)
    return [f"at:{phase}:{chance.uniform(0, seconds[phase]):.3f}" for phase in phases]
