"""``kill -9`` during ``mrishare-publish``, then again undisturbed: as if nothing had been.

The kinds of siblings on this machine, at chosen points of each phase; what is further away is
in ``test_kill_far.py``.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from builders import remove
from faults.worlds import (
    PHASES,
    World,
    as_if_nothing_had_been,
    build,
    converges,
    instants,
    point_in,
)
from mirrors import consent, keys_at, keys_of, publish

from datalad_mrishare.errors import MriShareError


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


@pytest.mark.slow
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
@pytest.mark.parametrize("when", ["during", "after"])
@pytest.mark.parametrize("phase", PHASES)
def test_release_on_a_path(worlds: Worlds, phase: str, when: str) -> None:
    world = worlds("path")
    converges(world, point_in(world, phase, when))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ria", "own path"])
@pytest.mark.parametrize("phase", ["snapshot", "take_back", "transfer", "push", "event"])
def test_other_kinds(worlds: Worlds, kind: str, phase: str) -> None:
    world = worlds(kind)
    converges(world, point_in(world, phase, "during"))


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("kind", "count"), [("path", 4), ("ria", 2), ("own path", 2)])
def test_random_instants(worlds: Worlds, kind: str, count: int) -> None:
    for instant in instants(kind, count, worlds(kind).seconds):
        converges(worlds(kind), instant)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["path", "ria", "own path"])
@pytest.mark.parametrize("phase", ["take_back", "transfer", "push"])
def test_children_that_survive(worlds: Worlds, kind: str, phase: str) -> None:
    world = worlds(kind)
    converges(world, point_in(world, phase, "during"), "python")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ria", "own path"])
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
