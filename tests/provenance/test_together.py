"""Sidecars that are the same for several, and those that were only renamed."""

from __future__ import annotations

from pathlib import Path

import pytest
from provenance.histories import Tree, Writer

from datalad_mrishare.provenance.graph import Lineage
from datalad_mrishare.provenance.reading import read_lineage

TEXT = b'{"RepetitionTime": 2}'
Step = tuple[str, list[str], list[int]]


def sidecar(person: int) -> str:
    return f"sub-0{person}/func/sub-0{person}_bold.json"


def read(repo: Path, *steps: Step) -> tuple[Lineage, str]:
    """A history in which a text stands at some paths at each step, and the node of it."""
    writer = Writer(repo)
    for number, (branch, paths, parents) in enumerate(steps):
        found: Tree = dict.fromkeys(paths, ("100644", TEXT))
        found["README"] = ("100644", b"%d" % number)
        writer.commit(branch, found, "By hand", parents)
    writer.write(bare=False)
    graph = read_lineage(repo)
    (node,) = {n for n in graph.nodes for path in graph.paths(n) if path.endswith(".json")}
    return graph, node


ONE, TWO, THREE, UP = sidecar(1), sidecar(2), sidecar(3), "task-x_bold.json"


@pytest.mark.parametrize(
    "steps",
    [
        [("main", [ONE, TWO], [])],
        [("main", [ONE], []), ("main", [ONE, TWO], [1]), ("main", [ONE], [2])],
        [("main", [ONE, TWO], []), ("main", [UP], [1])],
        [("main", [ONE], []), ("main", [ONE, TWO], [1]), ("main", [UP], [2])],
        # each by a job of its own
        [("main", [], []), ("a", [ONE], [1]), ("b", [TWO], [1]), ("main", [ONE, TWO], [2, 3])],
        [
            ("main", [], []),
            ("a", [ONE], [1]),
            ("b", [TWO], [1]),
            ("c", [THREE], [1]),
            ("main", [ONE, TWO, THREE], [2, 3, 4]),
            ("main", [UP], [5]),
        ],
    ],
)
def test_the_same_for_several(tmp_path: Path, steps: list[Step]) -> None:
    graph, node = read(tmp_path / "ds", *steps)
    assert graph.is_shared(node) and not graph.participants(node)


@pytest.mark.parametrize(
    "steps",
    [
        [("main", [TWO], []), ("main", [ONE], [1])],
        [("main", [TWO], []), ("main", [], [1]), ("main", [ONE], [2])],
        [("main", [TWO], []), ("main", [UP], [1]), ("main", [ONE], [2])],
        [("main", [], []), ("a", [ONE], [1]), ("b", [TWO], [1]), ("main", [ONE], [2, 3])],
    ],
)
def test_renamed_from_one_to_another(tmp_path: Path, steps: list[Step]) -> None:
    graph, node = read(tmp_path / "ds", *steps)
    assert not graph.is_shared(node) and graph.participants(node) == {"sub-01", "sub-02"}


def test_what_was_kept_knows_it_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    cache = tmp_path / "cache"
    first, _ = read(tmp_path / "first", ("main", [ONE], []))
    _, node = read(tmp_path / "ds", ("main", [ONE], []), ("main", [ONE, TWO], [1]))
    read_lineage(tmp_path / "first", cache=cache)
    for _ in range(2):
        assert read_lineage(tmp_path / "ds", cache=cache).is_shared(node)
    assert not first.is_shared(node)
