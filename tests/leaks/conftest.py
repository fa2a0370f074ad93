"""The dataset with its canaries, built once in a process and copied for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from builders import copy_dataset, remove
from leaks import world

Planted = tuple[Path, list[str]]


@pytest.fixture(scope="session")
def world_template(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Planted]:
    """The dataset and all its canaries; only to be copied."""
    dataset, canaries = world.build(tmp_path_factory.mktemp("world"))
    yield dataset, [*canaries, "canaryPolicy"]
    remove(dataset)


@pytest.fixture
def copied(world_template: Planted, tmp_path: Path) -> Planted:
    """A copy with an annex uuid of its own, in a directory of the same name."""
    dataset, canaries = world_template
    home = tmp_path / dataset.parent.name
    home.mkdir()
    return copy_dataset(dataset, home / "study"), canaries
