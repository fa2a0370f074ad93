"""The lineage of random histories against brute force: the same people for every content."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import pytest
from provenance.histories import SUBDATASET, random_history
from provenance.naive import Naive

from datalad_mrishare.provenance.reading import read_lineage

PARTS = 5
#: how often each must have been seen in a hundred histories
LEAST = Counter(run=150, rerun=20, sidecar=25, pattern=90, container=25, pwd=20)
LEAST += Counter(rename=40, copy=40, delete=40, toggle=40, broken=40, circle=80)
LEAST += Counter(merge=30, octopus=4, evil=10, advanced=10, below=6, inherits=100)
LEAST += Counter(opaque=100, clear=500, absent=15, committing=30)


def compare(seed: int, repo: Path) -> Counter[str]:
    """Read one history both ways, and count what is interesting in it."""
    seen = random_history(seed, repo)
    graph = read_lineage(repo)
    naive = Naive(repo, SUBDATASET if (repo / SUBDATASET).exists() else "")
    people, opaque = naive.answers()
    assert set(graph.nodes) == set(people), seed
    for node, everyone in people.items():
        assert graph.participants(node) == everyone, (seed, node, graph.paths(node))
        assert bool(graph.opaque(node)) == opaque[node], (seed, node, graph.opaque(node))
        seen["inherits"] += everyone > naive.own[node]
        seen["opaque"] += opaque[node]
        seen["clear"] += not opaque[node]
        seen["circle"] += node in graph.descendants([node])
    for person in set().union(*people.values()):
        assert graph.of(person) == {node for node, everyone in people.items() if person in everyone}
    absent = "was not in the dataset"
    seen["absent"] += any(absent in (graph.opaque(node) or "") for node in people)
    return seen


def compare_many(seeds: range, top: Path) -> Counter[str]:
    seen: Counter[str] = Counter()
    for seed in seeds:
        seen += compare(seed, top / str(seed))
        shutil.rmtree(top / str(seed))
    return seen


@pytest.mark.sample
def test_twenty(tmp_path: Path) -> None:
    seen = compare_many(range(20), tmp_path)
    assert seen["inherits"] > 20 and seen["opaque"] > 20 and seen["clear"] > 100, seen


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_five_hundred(part: int, tmp_path: Path) -> None:
    seen = compare_many(range(20 + part * 100, 120 + part * 100), tmp_path)
    assert not LEAST - seen, LEAST - seen
