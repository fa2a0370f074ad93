"""Reading real repositories: hostile ones, parts of some, and what stands beside the history."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path

import pytest
from builders import run
from provenance.histories import DSID, Tree, Writer, config, message, random_history, record
from provenance.test_records import mutated

from datalad_mrishare.errors import InputError, RepoError
from datalad_mrishare.provenance.evidence import Evidence
from datalad_mrishare.provenance.graph import Lineage
from datalad_mrishare.provenance.reading import read_lineage
from datalad_mrishare.repo.signed import read_signed, write_signed

ONE, TWO = "sub-01/anat/sub-01_T1w.nii.gz", "sub-02/anat/sub-02_T1w.nii.gz"
MEAN = "derivatives/mean.nii.gz"
Files = dict[str, str]


def tree(files: Files) -> Tree:
    found = {path: ("100644", text.encode()) for path, text in files.items()}
    return {".datalad/config": ("100644", config(DSID)), **found}


def history(repo: Path, *commits: tuple[Files, str], bare: bool = False) -> Path:
    """Commits one after the other, each with all its files."""
    writer = Writer(repo)
    for number, (files, text) in enumerate(commits):
        writer.commit("main", tree(files), text, [number] if number else [])
    writer.write(bare=bare)
    return repo


RAW = {ONE: "one", TWO: "two", "code/x.py": "x"}
MADE = {**RAW, MEAN: "mean"}
RUN = message(record([ONE, TWO]))


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return history(tmp_path / "ds", (RAW, "Raw"), (MADE, RUN))


def test_an_input_that_is_a_link_is_followed_when_it_was_read_before(
    tmp_path: Path, state: Path
) -> None:
    """The link is in a commit that the memory has, the run in a later one."""
    link = {"current": ("120000", ONE.encode())}
    writer = Writer(tmp_path / "ds")
    writer.commit("main", {**tree(RAW), **link}, "Raw", [])
    writer.write()
    cache = tmp_path / "cache"
    read_lineage(tmp_path / "ds", cache=cache)
    more = Writer(tmp_path / "ds2")
    more.commit("main", {**tree(RAW), **link}, "Raw", [])
    more.commit("main", {**tree(MADE), **link}, message(record(["current"])), [1])
    more.write()
    repo = tmp_path / "ds2"
    assert run(repo, "git", "rev-parse", "HEAD^") == run(
        tmp_path / "ds", "git", "rev-parse", "HEAD"
    )
    mean = node_at(repo, MEAN)
    assert read_lineage(repo, cache=cache).inherited(mean) == {"sub-01"}
    assert read_lineage(repo).inherited(mean) == {"sub-01"}


def node_at(repo: Path, path: str, commit: str = "HEAD") -> str:
    return "git:" + run(repo, "git", "rev-parse", f"{commit}:{path}").strip()


def facts(graph: Lineage) -> dict[str, tuple[object, ...]]:
    """All that it says of everything, whatever the order in which it was read."""

    def why(node: str) -> str | None:
        found = graph.opaque(node)
        return found and found.rpartition(", and of that ")[2]

    return {
        n: (graph.participants(n), graph.evidence(n), why(n), sorted(graph.paths(n)))
        for n in graph.nodes
    }


def test_a_run(dataset: Path) -> None:
    graph = read_lineage(dataset)
    mean = node_at(dataset, MEAN)
    assert graph.inherited(mean) == {"sub-01", "sub-02"}
    assert graph.evidence(mean) is Evidence.DECLARED and graph.opaque(mean) is None
    (activity,) = graph.made_by(mean)
    assert activity.what == "make" and activity.when.startswith("2023-11-14T22:13")
    assert graph.evidence(node_at(dataset, ONE)) is Evidence.ASSERTED


# -- histories that are not whole, or lie ----------------------------------------------


def test_a_shallow_clone_tells_nothing_of_where_it_begins(dataset: Path, tmp_path: Path) -> None:
    late = message(record([MEAN]))
    run(dataset, "git", "reset", "-q", "--hard")
    (dataset / "map.nii.gz").write_text("map")
    run(dataset, "git", "add", "-A")
    run(dataset, "git", "commit", "-qm", late)
    clone = tmp_path / "clone"
    run(tmp_path, "git", "clone", "-q", "--depth=2", f"file://{dataset}", str(clone))
    graph = read_lineage(clone)
    for path in (ONE, MEAN, "code/x.py", "map.nii.gz"):
        assert "shallow" in (graph.opaque(node_at(clone, path)) or ""), path
    run(clone, "git", "fetch", "-q", "--unshallow")
    assert facts(read_lineage(clone)) == facts(read_lineage(dataset))


def test_grafts_and_replace_refs_hide_nothing(dataset: Path) -> None:
    before = facts(read_lineage(dataset))
    head, first = (run(dataset, "git", "rev-parse", rev).strip() for rev in ("HEAD", "HEAD^"))
    tree_id = run(dataset, "git", "rev-parse", "HEAD^{tree}").strip()
    clean = run(dataset, "git", "commit-tree", "-m", "Harmless", "-p", first, tree_id).strip()
    run(dataset, "git", "replace", head, clean)
    (dataset / ".git/info").mkdir(exist_ok=True)
    (dataset / ".git/info/grafts").write_text(f"{head}\n")
    # both work on git itself
    assert "Harmless" in run(dataset, "git", "log", "--format=%s", "main")
    assert facts(read_lineage(dataset)) == before


def test_a_partial_clone_is_refused_and_fetches_nothing(dataset: Path, tmp_path: Path) -> None:
    run(dataset, "git", "config", "uploadpack.allowFilter", "true")
    clone = tmp_path / "clone"
    flags = ("--filter=blob:none", "--no-checkout", "--bare")
    run(tmp_path, "git", "clone", "-q", *flags, f"file://{dataset}", str(clone))
    before = run(clone, "git", "count-objects", "-v")
    with pytest.raises(RepoError, match="partial clone"):
        read_lineage(clone)
    assert run(clone, "git", "count-objects", "-v") == before


def test_a_history_with_a_hole_is_no_lineage(dataset: Path) -> None:
    """A commit that is missing is an error, content that is missing is opaque."""
    first, blob = (run(dataset, "git", "rev-parse", r).strip() for r in ("HEAD^", f"HEAD:{MEAN}"))
    for pack in (dataset / ".git/objects/pack").glob("*.pack"):
        moved = dataset / pack.name
        shutil.move(pack, moved)
        run(dataset, "sh", "-c", f"rm -f .git/objects/pack/*; git unpack-objects -q < {moved}")
    (dataset / ".git/objects" / blob[:2] / blob[2:]).unlink()
    assert "does not have it here" in (read_lineage(dataset).opaque(f"git:{blob}") or "")
    (dataset / ".git/objects" / first[:2] / first[2:]).unlink()
    with pytest.raises(RepoError):
        read_lineage(dataset)


def test_what_a_merge_makes_up(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "ds")
    first = writer.commit("main", tree(RAW), "Raw", [])
    side = writer.commit("side", tree({**RAW, "a.txt": "a"}), "Side", [first])
    main = writer.commit("main", tree({**RAW, "b.txt": "b"}), "Main", [first])
    merged = {**RAW, "a.txt": "a", "b.txt": "b", "moved.txt": "a", "evil.nii.gz": "all of them"}
    writer.commit("main", tree(merged), "Merge", [main, side])
    writer.write(bare=False)
    graph = read_lineage(writer.repo)
    assert "merge" in (graph.opaque(node_at(writer.repo, "evil.nii.gz")) or "")
    for path in ("a.txt", "moved.txt", ONE):
        assert graph.opaque(node_at(writer.repo, path)) is None


def test_branches_of_others_and_what_is_git_annex_s(dataset: Path, tmp_path: Path) -> None:
    """A branch that was only fetched counts; those that git-annex exchanges do not."""
    clone = tmp_path / "clone"
    run(tmp_path, "git", "clone", "-q", str(dataset), str(clone))
    for ref, name in (("job", "a"), ("synced/main", "b"), ("git-annex", "c")):
        run(dataset, "git", "checkout", "-q", "-f", "-b", ref)
        (dataset / "derivatives").mkdir(exist_ok=True)
        (dataset / f"derivatives/{name}.nii.gz").write_text(name)
        run(dataset, "git", "add", "-A")
        run(dataset, "git", "commit", "-qm", message(record([ONE])))
        run(dataset, "git", "checkout", "-q", "main")
    run(clone, "git", "fetch", "-q", "origin")
    graph = read_lineage(clone)
    assert graph.inherited(node_at(dataset, "derivatives/a.nii.gz", "job")) == {"sub-01"}
    assert node_at(dataset, "derivatives/b.nii.gz", "synced/main") not in graph
    assert node_at(dataset, "derivatives/c.nii.gz", "refs/heads/git-annex") not in graph


def test_links_are_followed_within_the_dataset_only(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "ds")
    raw: Tree = {
        **tree(RAW),
        "in/link.nii.gz": ("120000", b"../" + ONE.encode()),
        "in/dir": ("120000", b"../sub-02"),
        "in/loop": ("120000", b"loop"),
        "in/out": ("120000", b"../../elsewhere"),
        "in/abs": ("120000", b"/etc/passwd"),
    }
    writer.commit("main", raw, "Raw", [])
    asked = [
        "in/link.nii.gz",
        "in/dir/anat",
        "in/*/anat/*",
        "in/out",
        "in/abs",
        "in/loop",
        "in/dir",
    ]
    for number, given in enumerate(asked, start=1):
        raw = {**raw, f"out{number}": ("100644", given.encode())}
        writer.commit("main", raw, message(record([given])), [number])
    writer.write(bare=False)
    graph = read_lineage(writer.repo)
    found = [graph.inherited(node_at(writer.repo, f"out{n}")) for n in (1, 2, 3, 7)]
    assert found == [{"sub-01"}, {"sub-02"}, {"sub-02"}, {"sub-02"}]
    for number in (1, 2, 7):
        assert graph.opaque(node_at(writer.repo, f"out{number}")) is None
    for number in (3, 4, 5, 6):  # the third meets links that lead out on its way
        assert graph.opaque(node_at(writer.repo, f"out{number}")), number


def test_links_that_lead_round_in_circles(tmp_path: Path) -> None:
    """Each pattern is followed once, whatever the number of ways that lead to it."""
    links = {"d/loop": ".", "d/loop2": "../d", "d/l3": "loop2/loop", "d/on": "on/on"}
    deep = {f"d/a/a/a/a/a/a/a{n}/a{n}": str(n) for n in range(30)}
    raw = tree({**RAW, **deep, "d/x": "x"})
    raw |= {path: ("120000", target.encode()) for path, target in links.items()}
    asked = ["d/**/loop*/**/loop*/**/loop*/*a", "d/" + "loop*/" * 6 + "x", "d/on*/x"]
    writer = Writer(tmp_path / "ds")
    writer.commit("main", raw, "Raw", [])
    for number, given in enumerate(asked, start=1):
        raw = {**raw, f"out{number}": ("100644", given.encode())}
        writer.commit("main", raw, message(record([given])), [number])
    writer.write(bare=False)
    begin = time.process_time()
    graph = read_lineage(writer.repo)
    assert time.process_time() - begin < 20
    out = [node_at(writer.repo, f"out{number}") for number in (1, 2, 3)]
    assert node_at(writer.repo, "d/x") in graph.ancestors(out[1])
    assert len(graph.ancestors(out[0])) >= 30
    assert [bool(graph.opaque(node)) for node in out] == [True, False, True]


def test_hundreds_of_spoilt_records_in_one_history(tmp_path: Path) -> None:
    """No crash, nothing executed, nothing read outside; what cannot be read is opaque."""
    writer = Writer(tmp_path / "ds")
    raw = tree(RAW)
    at = writer.commit("main", raw, "Raw", [])
    for number in range(300):
        raw = {**raw, f"out/{number}": ("100644", b"%d" % number)}
        text = mutated(number).replace(b"\0", b"?").decode("utf-8", "surrogateescape")
        at = writer.commit("main", raw, text, [at])
    writer.write(bare=False)
    for hook in ("post-checkout", "reference-transaction", "fsmonitor"):
        (writer.repo / ".git/hooks").mkdir(exist_ok=True)
        (writer.repo / ".git/hooks" / hook).write_text(f"#!/bin/sh\ntouch {tmp_path}/pwned\n")
        (writer.repo / ".git/hooks" / hook).chmod(0o755)
    for name in ("core.fsmonitor", "diff.external", "filter.x.smudge", "diff.x.textconv"):
        run(writer.repo, "git", "config", name, f"touch {tmp_path}/pwned; false")
    (writer.repo / ".gitattributes").write_text("* filter=x diff=x\n")
    graph = read_lineage(writer.repo)
    opaque = [graph.opaque(f"git:{_blob(b'%d' % n)}") for n in range(300)]
    assert 150 < sum(why is not None for why in opaque) <= 300
    assert all("\n" not in (why or "") or "'" in (why or "") for why in opaque)
    assert not (tmp_path / "pwned").exists() and not list(tmp_path.rglob("pwned"))


def _blob(content: bytes) -> str:
    import hashlib

    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def test_more_inputs_than_anybody_would_follow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datalad_mrishare.provenance.inputs.MOST_INPUTS", 5)
    raw = {f"sub-01/{n}": str(n) for n in range(6)}
    repo = history(tmp_path / "ds", (raw, "Raw"), ({**raw, "x": "x"}, message(record(["**"]))))
    graph = read_lineage(repo)
    assert graph.opaque(node_at(repo, "x")) == "it has more inputs than can be followed"


# -- kept for the next time ------------------------------------------------------------


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state/datalad-mrishare/secret"


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3, 5, 6, 7, 9, 10])
def test_only_new_commits_are_read_and_all_is_the_same(
    seed: int, tmp_path: Path, state: Path
) -> None:
    """Every state of a history in turn, each read on top of the one before."""
    random_history(seed, tmp_path / "whole")
    refs = run(tmp_path / "whole", "git", "rev-list", "--all", "--topo-order", "--reverse").split()
    clone, cache = tmp_path / "clone", tmp_path / "cache"
    run(tmp_path, "git", "init", "-q", "--bare", str(clone))
    run(clone, "git", "fetch", "-q", str(tmp_path / "whole"), "+refs/heads/*:refs/keep/*")
    for oid in refs:
        run(clone, "git", "update-ref", f"refs/heads/at-{oid}", oid)
        kept = facts(read_lineage(clone, cache=cache))
        assert kept == facts(read_lineage(clone))
    assert set(kept) == set(read_lineage(tmp_path / "whole").nodes)


def test_a_history_that_was_written_anew_is_read_anew(
    dataset: Path, tmp_path: Path, state: Path
) -> None:
    cache = tmp_path / "cache"
    mean = node_at(dataset, MEAN)
    assert read_lineage(dataset, cache=cache).inherited(mean) == {"sub-01", "sub-02"}
    run(dataset, "git", "reset", "-q", "--hard")
    run(dataset, "git", "commit", "-q", "--amend", "-m", message(record([TWO])))
    assert read_lineage(dataset, cache=cache).inherited(mean) == {"sub-02"}
    run(dataset, "git", "update-ref", "refs/heads/main", "HEAD^")
    assert mean not in read_lineage(dataset, cache=cache)


def test_what_is_kept_cannot_be_forged(dataset: Path, tmp_path: Path, state: Path) -> None:
    cache = tmp_path / "cache"
    honest = facts(read_lineage(dataset, cache=cache))
    raw = cache.read_bytes()
    assert state.stat().st_mode & 0o777 == 0o600 and b"sub-01" in raw
    forged = raw.replace(b"sub-01", b"sub-99")
    head, body = raw.split(b"\n", 1)
    for wrong in (forged, raw[:-1], b"", head, body, b"\0" * 99, head + b"\n" + b"[" * 99_999):
        cache.write_bytes(wrong)
        assert facts(read_lineage(dataset, cache=cache)) == honest
        assert cache.read_bytes() == raw  # and it is kept again
    # what another user signed is as good as none
    state.write_bytes(os.urandom(32))
    cache.write_bytes(raw)
    assert read_signed(cache, "lineage") is None
    assert facts(read_lineage(dataset, cache=cache)) == honest
    # what was signed for something else as well
    write_signed(cache, "other", body)
    assert read_signed(cache, "lineage") is None and read_signed(cache, "other") == body


def test_without_a_place_for_the_secret_nothing_is_kept(
    dataset: Path, tmp_path: Path, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    monkeypatch.setenv("XDG_STATE_HOME", "")
    monkeypatch.setenv("HOME", "")
    read_lineage(dataset, cache=cache)
    assert not cache.exists()
    monkeypatch.setenv("XDG_STATE_HOME", "/proc/nothing/can/be/made/here")
    read_lineage(dataset, cache=cache)
    assert not cache.exists()
    # a secret that others can read is none
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    state.parent.mkdir(parents=True)
    state.write_bytes(bytes(32))
    state.chmod(0o644)
    read_lineage(dataset, cache=cache)
    assert not cache.exists()
    state.chmod(0o600)
    read_lineage(dataset, cache=cache)
    assert cache.exists() and cache.stat().st_mode & 0o077 == 0


# -- what stands beside the history ----------------------------------------------------


def test_what_bids_metadata_asserts(tmp_path: Path) -> None:
    bold = "derivatives/prep/sub-01/sub-01_desc-preproc_bold"
    key = "MD5E-s3--f97c5d29941bfb1b2fdab0874906ab82.nii.gz"
    description = {
        "Name": "prep",
        "BIDSVersion": "1.11.0",
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": "prep", "Version": "1.2"}],
        "DatasetLinks": {"raw": "../..", "templateflow": "https://x", "far": "https://y"},
    }
    group = {"Sources": ["bids:raw:" + ONE, "bids:far:sub-03/x.nii.gz", "bids:templateflow:a"]}
    files = {
        **RAW,
        ONE: f"/annex/objects/{key}\n",
        "derivatives/prep/dataset_description.json": json.dumps(description),
        f"{bold}.nii.gz": "bold",
        f"{bold}.json": "\ufeff" + json.dumps({"Sources": ["sub-01/sub-01_mask.nii.gz"]}),
        "derivatives/prep/sub-01/sub-01_mask.nii.gz": "mask",
        "derivatives/prep/group_map.nii.gz": "group",
        "derivatives/prep/group_map.json": json.dumps(group),
        "derivatives/prep/lost.nii.gz": "lost",
        "derivatives/prep/lost.json": json.dumps({"Sources": ["nowhere.nii.gz"]}),
        "derivatives/prep/deep.nii.gz": "deep",
        "derivatives/prep/deep.json": '{"Sources": ' + "[" * 99_999,
        "derivatives/prep/huge.nii.gz": "huge",
        "derivatives/prep/huge.json": '{"Sources": ' + "9" * 9999 + "}",
        "derivatives/qc/report.json": json.dumps(
            {"provenance": {"md5sum": "f97c5d29941bfb1b2fdab0874906ab82"}}
        ),
    }
    repo = history(tmp_path / "ds", (files, "All"))
    graph = read_lineage(repo)

    def about(path: str) -> tuple[frozenset[str], Evidence, str | None]:
        node = node_at(repo, f"derivatives/{path}")
        return graph.inherited(node), graph.evidence(node), graph.opaque(node)

    people = frozenset({"sub-01", "sub-03"})
    assert about("prep/group_map.nii.gz") == (people, Evidence.ASSERTED, None)
    assert about("qc/report.json") == ({"sub-01"}, Evidence.ASSERTED, None)
    mask = node_at(repo, "derivatives/prep/sub-01/sub-01_mask.nii.gz")
    assert graph.ancestors(node_at(repo, f"{bold}.nii.gz")) == {mask}
    assert "'nowhere.nii.gz' is not in the dataset" in (about("prep/lost.nii.gz")[2] or "")
    assert "nested too deeply" in (about("prep/deep.nii.gz")[2] or "")
    assert "cannot be read" in (about("prep/huge.nii.gz")[2] or "")
    generated = [a for a in graph.made_by(mask) if a.kind == "generated"]
    assert [a.software for a in generated] == [("prep 1.2",)]


IMAGE, BESIDE = "derivatives/p/x_bold.nii.gz", "derivatives/p/x_bold.json"


def sources(*given: object) -> str:
    return json.dumps({"Sources": [*given]})


@pytest.mark.parametrize(
    "left",
    [
        {"derivatives/p/y_bold.nii.gz": "image", BESIDE: sources(TWO)},  # the image was moved
        {"derivatives/p/y_bold.nii.gz": "image", "derivatives/p/y_bold.json": sources(TWO)},
        {IMAGE: "image"},
        {IMAGE: "image", BESIDE: "{}"},
        {},
    ],
)
def test_what_was_once_said_of_sources(tmp_path: Path, left: Files) -> None:
    """Whatever became of the text beside an image or of the image, whose it is stays known."""
    said = {**RAW, IMAGE: "image", BESIDE: sources(TWO)}
    repo = history(tmp_path / "ds", (RAW, "Raw"), (said, "By hand"), ({**RAW, **left}, "Clean"))
    graph = read_lineage(repo)
    image, text = node_at(repo, IMAGE, "HEAD^"), node_at(repo, BESIDE, "HEAD^")
    assert graph.inherited(image) == {"sub-02"} == graph.participants(text)
    assert {image, text} <= graph.of("sub-02")


def test_what_was_said_of_another_version(tmp_path: Path) -> None:
    """An image that was made again without somebody, and its text says so, is not theirs."""
    first = {**RAW, IMAGE: "old", BESIDE: sources(ONE, TWO)}
    then = {**RAW, IMAGE: "new", BESIDE: sources(ONE)}
    graph = read_lineage(repo := history(tmp_path / "ds", (first, "First"), (then, "Then")))
    assert graph.inherited(node_at(repo, IMAGE)) == {"sub-01"}
    assert graph.inherited(node_at(repo, IMAGE, "HEAD^")) == {"sub-01", "sub-02"}


@pytest.mark.parametrize(
    "text",
    [
        '{"Sources": {"@id": "sub-02"}}',
        sources({"@id": TWO}),
        sources([TWO]),
        sources(1),
        f'{{"Sources": [], "Sources": ["{TWO}"]}}',
        f'{{"Sources": ["{TWO}"], "Sources": []}}',
        f'{{"\\u0053ources": ["{TWO}"], "x": ',
        f"[{sources(TWO)}]",
        f'{{"x": "\udcff", {sources(TWO)[1:]}',
        f'{{"Sources": ["{TWO}"]{" " * (17 << 20)}}}',
    ],
)
def test_sources_that_nobody_can_read(tmp_path: Path, text: str) -> None:
    writer = Writer(tmp_path / "ds")
    raw = tree({**RAW, IMAGE: "image"})
    raw[BESIDE] = ("100644", text.encode("utf-8", "surrogateescape"))
    writer.commit("main", raw, "By hand", [])
    writer.write(bare=False)
    why = read_lineage(writer.repo).opaque(node_at(writer.repo, IMAGE))
    assert why and f"what '{BESIDE}' says of its sources cannot be read: " in why


def test_sources_in_another_encoding(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "ds")
    raw = tree({**RAW, IMAGE: "image"})
    raw[BESIDE] = ("100644", sources(TWO).encode("utf-16"))
    writer.commit("main", raw, "By hand", [])
    writer.write(bare=False)
    assert read_lineage(writer.repo).inherited(node_at(writer.repo, IMAGE)) == {"sub-02"}


def test_what_stewards_state(dataset: Path) -> None:
    run(dataset, "git", "reset", "-q", "--hard")
    mean, code = node_at(dataset, MEAN), node_at(dataset, "code/x.py")
    head = run(dataset, "git", "rev-parse", "HEAD").strip()
    place = dataset / ".datalad/mrishare/statements"
    place.mkdir(parents=True)
    common = {"recorded": "2026-01-02"}
    outputs = [{"path": MEAN, "blob": mean[4:]}]
    inputs = [{"path": ONE, "blob": node_at(dataset, ONE)[4:]}]
    seal = {"statement": "seal", "token": "a", "commit": head, "outputs": outputs, "inputs": inputs}
    (place / "1-seal.json").write_text(json.dumps({**common, **seal}))
    derived = {"statement": "derivation", "token": "b", "by": "hand", "inputs": outputs}
    derived["outputs"] = [{"path": "code/x.py", "blob": code[4:]}]
    (place / "2-derivation.json").write_text(json.dumps({**common, **derived}))
    run(dataset, "git", "add", "-A")
    run(dataset, "git", "commit", "-qm", "State")
    graph = read_lineage(dataset)
    assert graph.evidence(mean) is Evidence.SEALED
    assert graph.inherited(code) == {"sub-01", "sub-02"}
    assert graph.evidence(code) is Evidence.ASSERTED
    # at a commit before, nothing was stated
    assert read_lineage(dataset, commit="HEAD^").evidence(mean) is Evidence.DECLARED
    (place / "3-broken.json").write_text("{}")
    run(dataset, "git", "add", "-A")
    run(dataset, "git", "commit", "-qm", "Broken")
    with pytest.raises(InputError):
        read_lineage(dataset)
