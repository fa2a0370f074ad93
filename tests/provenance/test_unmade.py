"""Where nothing was made, the short way says what the graph says."""

from __future__ import annotations

from random import Random

from datalad_mrishare.provenance.activities import Activity
from datalad_mrishare.provenance.evidence import Evidence
from datalad_mrishare.provenance.graph import Lineage
from datalad_mrishare.provenance.sidecars import sidecars_of_several
from datalad_mrishare.provenance.unmade import Unmade

EMPTY = "MD5E-s0--d41d8cd98f00b204e9800998ecf8427e.txt"
NODES = ["MD5-s1--a", "MD5-s1--b", "git:aa", "git:bb", "WORM-s1-m1--sub-07_x", EMPTY, "no:where"]
PATHS = ["sub-01/sub-01_bold.json", "sub-02/sub-02_bold.json", "sub-02/x.nii", "task-x_bold.json"]
PATHS += ["derivatives/group.svg", "sub-03/a.json"]


def test_the_same_answers() -> None:
    random, several, shared_ones = Random(5), 0, 0
    for _ in range(1500):
        count = random.randrange(7)
        places = [(random.choice(NODES[:-1]), random.choice(PATHS)) for _ in range(count)]
        shared = sidecars_of_several(places)
        short, long = Unmade(places, shared), Lineage.build((), places, shared)
        assert set(short.nodes) == set(long.nodes)
        assert short.beyond_paths() == long.beyond_paths()
        for node in NODES:
            assert (node in short) == (node in long)
            assert short.participants(node) == long.participants(node), places
            assert short.inherited(node) == long.inherited(node)
            assert short.is_shared(node) == long.is_shared(node)
            assert short.opaque(node) == long.opaque(node)
            assert short.contradiction(node) is long.contradiction(node) is None
            assert set(short.paths(node)) == set(long.paths(node))
            assert short.made_by(node) == long.made_by(node) == ()
            assert short.used_by(node) == long.used_by(node) == ()
        # these need the graph
        assert short.of("sub-02") == long.of("sub-02") and short.people() == long.people()
        assert [short.evidence(n) for n in NODES] == [long.evidence(n) for n in NODES]
        assert short.descendants(NODES) == short.ancestors(NODES[0]) == frozenset()
        several, shared_ones = several + bool(long.beyond_paths()), shared_ones + bool(shared)
    assert several > 400 and shared_ones > 20


def ran(outputs: list[str], inputs: list[str], token: str) -> Activity:
    return Activity(token, "run", Evidence.DECLARED, tuple(inputs), tuple(outputs))


def test_a_sidecar_of_everybody_brings_nobody_into_what_is_made_of_one() -> None:
    """``-i sub-01`` names the sidecar, too, which is the same blob with all."""
    places = [("A", "sub-01/a.nii"), ("B", "sub-02/b.nii"), ("A1", "d/sub-01.nii")]
    places += [("git:j", "sub-01/x.json"), ("git:j", "sub-02/x.json"), ("git:s", "sub-02/s.svg")]
    runs = [ran(["A1"], ["A", "git:j"], "1"), ran(["X"], ["git:s"], "2")]
    shared = sidecars_of_several(places)
    found = Lineage.build(runs, places, shared)
    assert shared == {"git:j"}
    assert found.participants("A1") == {"sub-01"} and found.participants("X") == {"sub-02"}
    assert Lineage.build(runs, places).participants("A1") == {"sub-01", "sub-02"}


def test_what_was_made_of_disjoint_people_alike_depends_on_none_of_them() -> None:
    places = [("A", "sub-01/a.nii"), ("B", "sub-02/b.nii"), ("C", "sub-03/c.nii")]
    places += [("git:j", f"d/sub-0{n}/x.json") for n in (1, 2)]
    shared = sidecars_of_several(places)
    apart = [ran(["git:j"], ["A"], "1"), ran(["git:j"], ["B"], "2")]
    assert Lineage.build(apart, places, shared).participants("git:j") == frozenset()
    # one run that wrote it to everybody, and the same run again, did depend on all
    both = [ran(["git:j"], ["A", "B", "C"], "1"), ran(["git:j"], ["A", "B", "C"], "2")]
    everyone = {"sub-01", "sub-02", "sub-03"}
    assert Lineage.build(both[:1], places, shared).participants("git:j") == everyone
    assert Lineage.build(both, places, shared).participants("git:j") == everyone
    # as far as one of the two is known; of what stood nowhere nobody knows
    vague = [ran(["git:j"], ["A"], "1"), ran(["git:j"], ["N"], "2")]
    assert Lineage.build(vague, places, shared).participants("git:j") == {"sub-01"}
