"""The lineage graph: by hand, and against plain sets that grow until nothing changes."""

from __future__ import annotations

from collections import Counter

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datalad_mrishare.provenance.activities import Activity
from datalad_mrishare.provenance.components import components
from datalad_mrishare.provenance.evidence import Evidence
from datalad_mrishare.provenance.graph import Lineage
from datalad_mrishare.provenance.participants import participants_in_path

many = settings(
    max_examples=500,
    database=None,
    derandomize=True,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)

DECLARED, ASSERTED = Evidence.DECLARED, Evidence.ASSERTED
EMPTY = "MD5E-s0--d41d8cd98f00b204e9800998ecf8427e.txt"


def step(
    token: str,
    inputs: str,
    outputs: str,
    evidence: Evidence = DECLARED,
    why: str = "",
) -> Activity:
    """An activity of contents with names of one word."""
    return Activity(
        token, "run", evidence, tuple(inputs.split()), tuple(outputs.split()), "make", why=why
    )


def people(*numbers: str) -> frozenset[str]:
    return frozenset(f"sub-{number}" for number in numbers)


PATHS = [
    ("one", "sub-01/anat/sub-01_T1w.nii.gz"),
    ("two", "sub-02/anat/sub-02_T1w.nii.gz"),
    ("script", "code/average.py"),
    ("mask", "derivatives/sub-01_mask.nii.gz"),
    ("mean", "derivatives/mean.nii.gz"),
    ("mean", "derivatives/average.nii.gz"),
    ("figure", "figures/group.png"),
    ("stray", "figures/stray.png"),
]


def test_a_derivative_of_derivatives() -> None:
    graph = Lineage.build(
        [
            step("a", "one script", "mask"),
            step("b", "mask two", "mean"),
            step("c", "mean", "figure"),
        ],
        PATHS,
    )
    assert graph.participants("figure") == graph.inherited("figure") == people("01", "02")
    assert graph.inherited("mask") == people("01")
    assert graph.participants("one") == people("01")
    assert graph.inherited("one") == graph.participants("script") == frozenset()
    assert graph.of("sub-01") == {"one", "mask", "mean", "figure"}
    assert graph.of("sub-02") == {"two", "mean", "figure"}
    assert graph.of("sub-03") == frozenset()
    assert graph.ancestors("figure") == {"one", "two", "script", "mask", "mean"}
    assert graph.descendants(["one"]) == {"mask", "mean", "figure"}
    assert graph.descendants(["two", "mask"]) == {"mean", "figure"}
    assert graph.paths("mean") == ("derivatives/mean.nii.gz", "derivatives/average.nii.gz")
    assert [a.token for a in graph.made_by("mean")] == ["b"]
    assert [a.token for a in graph.used_by("mean")] == ["c"]
    assert graph.people() == people("01", "02")


def test_evidence_is_the_weakest_on_the_way() -> None:
    graph = Lineage.build(
        [
            step("a", "one", "mask", Evidence.COMPUTED),
            step("b", "mask two", "mean", ASSERTED),
            step("c", "mean", "figure", Evidence.SEALED),
        ],
        PATHS,
    )
    assert graph.evidence("mask") is Evidence.COMPUTED
    assert graph.evidence("mean") is graph.evidence("figure") is ASSERTED
    assert graph.evidence("one") is ASSERTED  # its path says so
    assert graph.evidence("stray") is Evidence.OPAQUE  # nobody known
    assert graph.opaque("stray") is None


def test_what_nobody_can_tell_spoils_all_that_follows() -> None:
    unread = step("a", "one", "mask", Evidence.OPAQUE, "its record cannot be read")
    graph = Lineage.build([unread, step("b", "mask", "mean"), step("c", "two", "stray")], PATHS)
    assert graph.opaque("mask") == "its record cannot be read"
    assert graph.opaque("mean") == (
        "it was made from 'derivatives/sub-01_mask.nii.gz', and of that its record cannot be read"
    )
    assert graph.opaque("one") is graph.opaque("stray") is None
    assert graph.evidence("mean") is Evidence.OPAQUE
    assert graph.participants("mean") == people("01")  # what is known is known all the same


def test_two_makers_are_both_heard() -> None:
    unread = step("b", "", "mask", Evidence.OPAQUE, "no")
    graph = Lineage.build([step("a", "one", "mask"), unread], PATHS)
    assert graph.opaque("mask") == "no"
    graph = Lineage.build([step("a", "one", "mean"), step("b", "two", "mean", ASSERTED)], PATHS)
    assert graph.inherited("mean") == people("01", "02")
    assert graph.evidence("mean") is ASSERTED


def test_a_record_without_inputs_tells_nothing() -> None:
    graph = Lineage.build([step("a", "", "mask"), step("b", "", "mean")], PATHS)
    assert graph.evidence("mask") is ASSERTED and graph.opaque("mask") is None
    assert graph.evidence("mean") is Evidence.OPAQUE and graph.opaque("mean") is None
    assert [a.token for a in graph.made_by("mean")] == ["a", "b"][1:]
    assert graph.inherited("mean") == frozenset()


def test_what_went_in_and_came_out_was_not_made() -> None:
    """A run that moves everybody's files does not mix their data."""
    paths = [*PATHS, ("one", "bids/sub-01/anat/sub-01_T1w.nii.gz")]
    graph = Lineage.build([step("a", "one two", "one two mean")], paths)
    assert graph.participants("one") == people("01")
    assert graph.inherited("mean") == people("01", "02")
    assert graph.made_by("one") == ()


def test_a_circle_ends() -> None:
    graph = Lineage.build(
        [
            step("a", "one", "mean"),
            step("b", "mean", "figure"),
            step("c", "figure two", "mean", ASSERTED),
            step("d", "figure", "stray"),
        ],
        PATHS,
    )
    for node in ("mean", "figure", "stray"):
        assert graph.inherited(node) == people("01", "02")
        assert graph.evidence(node) is ASSERTED
    assert "mean" in graph.ancestors("mean") and "mean" in graph.descendants(["mean"])


def test_path_and_lineage_contradict() -> None:
    paths = [*PATHS, ("wrong", "derivatives/sub-01/sub-01_mask.nii.gz")]
    graph = Lineage.build([step("a", "two", "wrong"), step("b", "one two", "mask")], paths)
    assert graph.contradiction("wrong") == (people("01"), people("02"))
    assert graph.participants("wrong") == people("01", "02")
    assert graph.contradiction("mask") is graph.contradiction("one") is None


def test_an_empty_file_is_nobodys_and_joins_nobody() -> None:
    paths = [*PATHS, (EMPTY, "logs/sub-01.txt"), (EMPTY, "logs/sub-02.txt")]
    graph = Lineage.build([step("a", "one", f"mask {EMPTY}"), step("b", EMPTY, "mean")], paths)
    assert graph.participants(EMPTY) == graph.participants("mean") == frozenset()
    assert graph.opaque(EMPTY) is None and graph.made_by(EMPTY) == ()
    assert EMPTY not in graph.of("sub-01")
    # a size that somebody wrote proves nothing
    lying = "MD5E-s0--0cc175b9c0f1b6a831c399e269772661.txt"
    graph = Lineage.build([step("a", lying, "mean")], [*PATHS, (lying, "sub-01/x.txt")])
    assert graph.participants("mean") == people("01")


def test_of_what_is_in_no_commit_nobody_can_tell() -> None:
    graph = Lineage.build([], PATHS)
    assert graph.opaque("nowhere") == "it is in no commit that was read"
    assert graph.participants("nowhere") == graph.inherited("nowhere") == frozenset()
    assert graph.evidence("nowhere") is Evidence.OPAQUE
    assert graph.opaque("git:e69de29bb2d1d6434b8b29ae775ad8c2e48c5391") is None
    assert "nowhere" not in graph and "one" in graph


def test_the_name_of_a_key_counts() -> None:
    key = "WORM-s5-m1--sub-03_T1w.nii.gz"
    graph = Lineage.build([step("a", key, "mean")], [*PATHS, (key, "incoming/scan.nii.gz")])
    assert graph.participants(key) == graph.inherited("mean") == people("03")


def test_one_content_at_a_hundred_thousand_places() -> None:
    paths = (("one", f"sub-{n % 500:03d}/dwi/{n}.bval") for n in range(100_000))
    graph = Lineage.build([], paths)
    assert len(graph.paths("one")) == 100_000 and len(graph.participants("one")) == 500


def test_a_chain_of_thirty_thousand_steps() -> None:
    steps = [step(str(n), f"c{n}", f"c{n + 1}") for n in range(30_000)]
    graph = Lineage.build(reversed(steps), [("c0", "sub-01/x")])
    assert graph.inherited("c30000") == people("01")
    assert len(graph.descendants(["c0"])) == 30_000


# -- against plain sets ----------------------------------------------------------------

NODES = [*"abcdefgh", EMPTY]
nodes = st.lists(st.sampled_from(NODES), max_size=4).map(tuple)
evidences = st.sampled_from([*Evidence, *[DECLARED, Evidence.SEALED, Evidence.COMPUTED] * 2])
steps = st.lists(
    st.builds(
        lambda number, evidence, inputs, outputs: Activity(
            f"t{number}", "run", evidence, inputs, outputs, why=f"why {number}"
        ),
        st.integers(0, 99),
        evidences,
        nodes,
        nodes,
    ),
    max_size=8,
)
places = st.lists(
    st.tuples(
        st.sampled_from(NODES),
        st.sampled_from(["code/x", "sub-1/x", "sub-2/y", "sub-3/z", "x/sub-1_sub-2"]),
    ),
    max_size=8,
)


class Plain:
    """The same answers, by applying every rule until none changes anything."""

    def __init__(self, steps: list[Activity], paths: list[tuple[str, str]]):
        self.steps = steps
        self.own = {node: set() for node in NODES}
        for node, path in paths:
            if node != EMPTY:
                self.own[node] |= participants_in_path(path)
        self.inherited = {node: set() for node in NODES}
        self.weakest = dict.fromkeys(NODES, Evidence.COMPUTED)
        self.makers = {node: [] for node in NODES}
        for act in steps:
            for out in set(act.outputs) - set(act.inputs) - {EMPTY}:
                telling = set(act.inputs) - {EMPTY} or act.evidence is Evidence.OPAQUE
                self.makers[out] += [act] if telling else []
        changed = True
        while changed:
            before = repr((self.inherited, self.weakest))
            for node, made in self.makers.items():
                for act in made:
                    self.weakest[node] = min(self.weakest[node], act.evidence)
                    for used in set(act.inputs) - {EMPTY}:
                        self.inherited[node] |= self.own[used] | self.inherited[used]
                        if self.makers[used]:
                            self.weakest[node] = min(self.weakest[node], self.weakest[used])
            changed = before != repr((self.inherited, self.weakest))

    def below(self, node: str) -> set[str]:
        found: set[str] = set()
        while True:
            more = {
                out
                for act in self.steps
                if ({node} | found) & (set(act.inputs) - {EMPTY})
                for out in set(act.outputs) - set(act.inputs) - {EMPTY}
            }
            if more <= found:
                return found
            found |= more


def test_against_plain_sets() -> None:
    seen: Counter[str] = Counter()

    @many
    @given(steps, places)
    def check(steps: list[Activity], paths: list[tuple[str, str]]) -> None:
        graph, plain = Lineage.build(steps, paths), Plain(steps, paths)
        for node in NODES:
            everyone = plain.own[node] | plain.inherited[node]
            assert graph.participants(node) == everyone
            assert graph.inherited(node) == plain.inherited[node]
            if node in graph and plain.makers[node]:
                assert graph.evidence(node) is plain.weakest[node]
                assert (graph.opaque(node) is None) == (plain.weakest[node] > Evidence.OPAQUE)
                seen[graph.evidence(node).word] += 1
            elif node in graph:
                assert graph.opaque(node) is None
            assert graph.descendants([node]) == plain.below(node)
            assert graph.ancestors(node) == {n for n in NODES if node in plain.below(n)}
            seen["inherits"] += bool(plain.inherited[node] - plain.own[node])
            seen["circle"] += node in plain.below(node)
            seen["contradicts"] += graph.contradiction(node) is not None
        for person in ("sub-1", "sub-2", "sub-3"):
            holding = {n for n in NODES if person in plain.own[n] | plain.inherited[n]}
            assert graph.of(person) == holding

    check()
    least = Counter(opaque=200, asserted=150, declared=100, sealed=30, computed=20)
    least += Counter(inherits=250, circle=100, contradicts=20)
    assert not least - seen, seen


def test_adding_never_takes_anybody_away() -> None:
    """One more activity or path adds participants and lowers evidence, or changes nothing."""
    grew: Counter[str] = Counter()

    @many
    @given(steps.filter(bool), places)
    def check(steps: list[Activity], paths: list[tuple[str, str]]) -> None:
        less, more = Lineage.build(steps[1:], paths), Lineage.build(steps, paths)
        for node in NODES:
            assert less.participants(node) <= more.participants(node)
            if node in less and less.opaque(node):
                assert more.opaque(node)
            grew["people"] += less.participants(node) < more.participants(node)
            grew["opaque"] += bool(less.opaque(node)) < bool(more.opaque(node))

    check()
    assert grew["people"] > 40 and grew["opaque"] > 50, grew


@many
@given(st.lists(st.lists(st.integers(0, 9), max_size=3), min_size=10, max_size=10))
def test_components(parents: list[list[int]]) -> None:
    above = {n: set(p) for n, p in enumerate(parents)}
    for _ in parents:
        above = {n: p | {q for parent in p for q in above[parent]} for n, p in above.items()}
    found = [sorted(c) for c in components(parents)]
    assert sorted(n for c in found for n in c) == list(range(10))
    for number, together in enumerate(found):
        earlier = {n for c in found[:number] for n in c}
        for point in together:
            assert together == sorted({point} | {n for n in above[point] if point in above[n]})
            assert above[point] <= earlier | set(together)
