"""``kill -9`` during ``mrishare-publish``, then again undisturbed: as if nothing had been.

The world of a test is one directory that is put back before each kill, so that every
run sees the same paths. What a run that nobody disturbed makes of it is the measure.
"""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from builders import copy_dataset, remove, run
from mirrors import (
    add_path,
    add_ria,
    consent,
    keys_at,
    keys_of,
    lent,
    locations,
    objects,
    publish,
    tree_of,
)

from datalad_mrishare.errors import MriShareError

DRIVER = Path(__file__).with_name("killed_publish.py")
PHASES = "snapshot decide plan preflight take_back transfer check release push event".split()
SEED = 20260504


@dataclass
class World:
    """A dataset at ``root/dataset`` with sibling ``mir``, and how to put it back.

    ``ticks`` and ``seconds`` tell of the undisturbed run, per phase and in sum; ``end`` is
    the state that it led to.
    """

    root: Path
    kind: str
    sibling: Path
    end: dict[str, Any]
    ticks: dict[str, int]
    seconds: float = 0.0

    @property
    def dataset(self) -> Path:
        """The steward's dataset."""
        return self.root / "dataset"

    def put_back(self) -> None:
        """As it was before any run; links, modes and times included."""
        if self.root.exists():
            remove(self.root)
        run(self.root.parent, "cp", "-a", f"{self.root}.kept", str(self.root))

    def publish(self, point: str, whom: str = "group") -> tuple[bool, list[list[str]]]:
        """Publish in a process group of its own; whether it was killed, and what it logged."""
        log = self.root.parent / "phases.log"
        log.unlink(missing_ok=True)
        argv = [sys.executable, str(DRIVER), str(self.dataset), "mir", str(log), point, whom]
        done = subprocess.run(
            argv, capture_output=True, start_new_session=True, timeout=300, check=False
        )
        assert done.returncode in (0, -9), done.stderr.decode()
        return done.returncode == -9, [line.split() for line in log.read_text().splitlines()]

    def state(self) -> dict[str, Any]:
        """Trees, keys and locations; and that both ends are sound."""
        run(self.dataset, "git", "annex", "fsck", "--quiet")
        release = self.dataset if self.kind == "own" else self.dataset / ".git/mrishare/mir"
        if self.kind == "ria":
            run(release, "git", "annex", "fsck", "--quiet", "--branch=main", "--from=mir-storage")
        else:
            run(self.sibling, "git", "annex", "fsck", "--quiet", "--branch=main")
        return {
            "tree": tree_of(self.sibling, events=False),
            "keys": keys_at(self.sibling),
            "located here": locations(release),
            "located there": locations(self.sibling),
            "kept": tree_of(self.dataset, events=False),
        }


def build(root: Path, kind: str, template: Path) -> World:
    """A sibling that was published to; since then one withdrew, and there is more to send."""
    root.mkdir()
    dataset = copy_dataset(template, root / "dataset")
    consent(dataset, ("sub-01", "given"), ("sub-02", "given"), ("sub-04", "refused"))
    add = add_ria if kind == "ria" else add_path
    sibling = add(dataset, "mir", "backup" if kind == "own" else "institution")
    publish(dataset, "mir", select={"sub": ("01", "02")})
    then = "stop-use" if kind == "own" else "stop-sharing"
    consent(dataset, ("sub-02", "withdrawn", then), ("sub-03", "given"))
    run(root.parent, "cp", "-a", str(root), f"{root}.kept")
    world = World(root, kind, sibling, {}, {})
    killed, log = world.publish("none")
    assert not killed
    world.ticks = {words[1]: int(words[2]) for words in log if words[0] == "leave"}
    world.end = world.state()
    people = ("sub-01", "sub-03", "sub-04") if kind == "own" else ("sub-01", "sub-03")
    assert world.end["keys"] == keys_of(dataset, *people), "the measure itself is wrong"
    assert list(world.ticks) == PHASES
    world.put_back()
    _, log = world.publish("at:1000")  # without counting, as fast as those that are killed
    world.seconds = sum(float(words[3]) for words in log if words[0] == "leave")
    return world


@pytest.fixture(scope="module")
def worlds(
    tmp_path_factory: pytest.TempPathFactory, registered_template: Path
) -> Iterator[Callable[[str], World]]:
    """Worlds by kind of sibling, each built when it is first asked for."""
    base = tmp_path_factory.mktemp("worlds")
    built: dict[str, World] = {}

    def world(kind: str) -> World:
        if kind not in built:
            (base / kind).mkdir(exist_ok=True)
            built[kind] = build(base / kind / "world", kind, registered_template)
        built[kind].put_back()
        return built[kind]

    yield world
    remove(base)


def hit(log: list[list[str]]) -> str:
    """The phase that a kill struck, or between which two it did."""
    if not log:
        return "before all"
    return log[-1][1] if log[-1][0] == "enter" else f"after {log[-1][1]}"


def converges(world: World, point: str, whom: str = "group") -> None:
    """Kill, publish again, and compare with the undisturbed run."""
    before = objects(world.dataset)
    killed, log = world.publish(point, whom)
    print(f"{world.kind} {whom} {point}: {hit(log) if killed else 'ended before'}")
    assert killed or point.startswith("at:"), "the kill missed"
    publish(world.dataset, "mir")
    as_if_nothing_had_been(world)
    assert objects(world.dataset) == before, "the steward's own objects changed"


def as_if_nothing_had_been(world: World) -> None:
    """The state is that of the undisturbed run, and nothing is left lying about."""
    assert world.state() == world.end
    assert not (world.dataset / ".git/mrishare/mir.journal").exists()
    assert run(world.dataset, "git", "status", "--porcelain") == ""
    if world.kind != "own":
        assert lent(world.dataset, "mir") == set()


def point_in(world: World, phase: str, when: str) -> str:
    """The point ``when`` of a phase; half of its ticks for ``during``."""
    if when == "sent":
        return "sent"
    return f"{when}:{phase}" + (f":{world.ticks[phase] // 2 + 1}" if when == "during" else "")


def instants(kind: str, count: int, seconds: float) -> list[str]:
    """``count`` points in time within ``seconds``."""
    chance = random.Random(f"{SEED} {kind}")
    print(f"{kind}: instants of seed {SEED}")
    return [f"at:{chance.uniform(0, seconds):.3f}" for _ in range(count)]


Worlds = Callable[[str], World]


@pytest.mark.parametrize("point", ["during:take_back", "sent:", "after:push"])
def test_a_killed_publish_converges(worlds: Worlds, point: str) -> None:
    world = worlds("path")
    when, _, phase = point.partition(":")
    converges(world, point_in(world, phase, when))


def test_git_annex_does_not_outlive_us_with_our_lock(worlds: Worlds) -> None:
    converges(worlds("path"), "sent", "python")


def test_a_lock_that_git_left_behind(worlds: Worlds) -> None:
    world = worlds("path")
    assert world.publish("before:event")[0]
    stale = [world.dataset / ".git" / name for name in ("index.lock", "refs/heads/main.lock")]
    stale += [world.sibling / "refs/heads/main.lock", world.dataset / ".git/annex/index.lock"]
    for file in stale:
        file.touch()
    publish(world.dataset, "mir")
    as_if_nothing_had_been(world)
    assert not any(file.exists() for file in stale)


def test_a_lock_of_somebody_who_works_here(worlds: Worlds) -> None:
    world = worlds("path")
    assert world.publish("before:event")[0]
    (world.dataset / ".git/index.lock").touch()
    theirs = subprocess.Popen(["git", "cat-file", "--batch"], cwd=world.dataset, stdin=-1)
    with pytest.raises(MriShareError, match=r"index\.lock.*File exists"):
        publish(world.dataset, "mir")
    theirs.communicate()
    publish(world.dataset, "mir")
    as_if_nothing_had_been(world)


@pytest.mark.slow
@pytest.mark.parametrize("when", ["before", "during", "after"])
@pytest.mark.parametrize("phase", PHASES)
def test_release_on_a_path(worlds: Worlds, phase: str, when: str) -> None:
    world = worlds("path")
    converges(world, point_in(world, phase, when))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ria", "own"])
@pytest.mark.parametrize("phase", ["snapshot", "take_back", "transfer", "push", "event"])
def test_other_kinds(worlds: Worlds, kind: str, phase: str) -> None:
    world = worlds(kind)
    converges(world, point_in(world, phase, "during"))


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("kind", "count"), [("path", 10), ("ria", 5), ("own", 5)])
def test_random_instants(worlds: Worlds, kind: str, count: int) -> None:
    for instant in instants(kind, count, worlds(kind).seconds):
        converges(worlds(kind), instant)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["path", "ria", "own"])
@pytest.mark.parametrize("phase", ["take_back", "transfer", "push"])
def test_children_that_survive(worlds: Worlds, kind: str, phase: str) -> None:
    world = worlds(kind)
    converges(world, point_in(world, phase, "during"), "python")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ria", "own"])
def test_other_kinds_between_two_files(worlds: Worlds, kind: str) -> None:
    converges(worlds(kind), "sent")
    converges(worlds(kind), "sent", "python")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["path", "ria"])
def test_killed_and_the_release_repository_lost(worlds: Worlds, kind: str) -> None:
    world = worlds(kind)
    assert world.publish(point_in(world, "transfer", "after"))[0]
    remove(world.dataset / ".git/mrishare/mir")  # with all that it knew of what arrived
    publish(world.dataset, "mir")
    as_if_nothing_had_been(world)


@pytest.mark.slow
def test_killed_twice(worlds: Worlds) -> None:
    world = worlds("path")
    world.publish(point_in(world, "transfer", "during"))
    converges(world, point_in(world, "push", "during"))


@pytest.mark.parametrize("point", ["after:transfer", "during:push"])
def test_withdrawn_after_the_killed_run_had_sent(worlds: Worlds, point: str) -> None:
    world = worlds("path")
    when, _, phase = point.partition(":")
    killed, _ = world.publish(point_in(world, phase, when))
    sent = keys_of(world.dataset, "sub-03")
    assert killed and sent and sent <= keys_at(world.sibling)
    consent(world.dataset, ("sub-03", "withdrawn"))
    publish(world.dataset, "mir")
    state = world.state()
    assert state["keys"] == keys_of(world.dataset, "sub-01")
    assert set(state["located here"]) == set(state["located there"]) == state["keys"]
    assert not any(path.startswith("sub-03") for path in state["tree"])
