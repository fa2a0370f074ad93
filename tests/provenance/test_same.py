"""Contents with several names: of several backends, and with another extension."""

from __future__ import annotations

from pathlib import Path

import pytest
from builders import run

from datalad_mrishare.provenance.evidence import Evidence
from datalad_mrishare.provenance.graph import Lineage
from datalad_mrishare.provenance.reading import read_lineage
from datalad_mrishare.repo.migrated import read_migrated

ONE, TWO = "sub-01/anat/sub-01_T1w.nii.gz", "sub-02/anat/sub-02_T1w.nii.gz"
MADE = "derivatives/sub-01_mean.nii.gz"


@pytest.fixture
def ds(tmp_path: Path) -> Path:
    """A dataset with something made of two participants' data that stands with one of them."""
    ds = tmp_path / "ds"
    run(tmp_path, "datalad", "create", str(ds))
    for path in (ONE, TWO):
        (ds / path).parent.mkdir(parents=True)
        (ds / path).write_text(path)
    run(ds, "datalad", "save", "-m", "raw")
    run(ds, "datalad", "run", "-i", ONE, "-i", TWO, f"mkdir derivatives; cat {ONE} {TWO} > {MADE}")
    return ds


def key_at(ds: Path, path: str, commit: str = "HEAD") -> str:
    target = run(ds, "git", "cat-file", "blob", f"{commit}:{path}")
    return target.strip().rpartition("/")[2]


def commit(ds: Path, *argv: str) -> None:
    run(ds, *argv)
    run(ds, "git", "commit", "-qm", "By hand")


def is_of_both(graph: Lineage, key: str) -> bool:
    return graph.inherited(key) == {"sub-01", "sub-02"} == graph.participants(key)


def test_another_backend(ds: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    before = key_at(ds, MADE)
    assert is_of_both(read_lineage(ds, cache=cache), before)
    commit(ds, "git", "annex", "migrate", "--backend=SHA256", MADE)
    between = key_at(ds, MADE)
    commit(ds, "git", "annex", "migrate", "--backend=SHA1E", MADE)
    after = key_at(ds, MADE)
    assert len({before, between, after}) == 3
    assert (before, between) in read_migrated(ds) and (between, after) in read_migrated(ds)
    for graph in (read_lineage(ds), read_lineage(ds, cache=cache)):
        assert is_of_both(graph, between) and is_of_both(graph, after)
        assert graph.evidence(after) is Evidence.DECLARED
    # a clone that never merged what others know of the annex
    clone = tmp_path / "clone"
    run(tmp_path, "git", "clone", "-q", str(ds), str(clone))
    assert is_of_both(read_lineage(clone), after)


def test_what_was_made_of_it_before_is_not_forgotten(ds: Path) -> None:
    """Whoever is in a content by its new name is in what was made of it by its old one."""
    run(ds, "datalad", "run", "-i", ONE, f"cat {ONE} > copy.txt; echo >> copy.txt")
    run(ds, "git", "mv", ONE, TWO.replace("T1w", "T2w"))
    commit(ds, "git", "annex", "migrate", "--backend=SHA1", TWO.replace("T1w", "T2w"))
    graph = read_lineage(ds)
    assert graph.participants(key_at(ds, TWO.replace("T1w", "T2w"))) == {"sub-01", "sub-02"}
    assert graph.inherited(key_at(ds, "copy.txt")) == {"sub-01", "sub-02"}


def test_raw_data_stay_raw(ds: Path) -> None:
    commit(ds, "git", "annex", "migrate", "--backend=SHA1", ONE)
    graph = read_lineage(ds)
    key = key_at(ds, ONE)
    assert key.startswith("SHA1-") and not graph.inherited(key) and not graph.made_by(key)
    assert graph.paths(key) == (ONE,)


def test_another_extension(ds: Path) -> None:
    """The same checksum is the same content, whoever wrote the link."""
    key = key_at(ds, MADE)
    plain = key.replace("MD5E", "MD5").partition(".")[0]
    target = f".git/annex/objects/xx/yy/{plain}/{plain}"
    (ds / "figure").symlink_to(target)
    commit(ds, "git", "add", "figure")
    graph = read_lineage(ds)
    assert plain in graph and is_of_both(graph, plain)


def test_from_the_annex_to_git_and_back(ds: Path, tmp_path: Path) -> None:
    cache, before = tmp_path / "cache", key_at(ds, MADE)
    read_lineage(ds, cache=cache)
    run(ds, "git", "annex", "unannex", MADE)
    commit(ds, "git", "-c", "annex.largefiles=nothing", "add", MADE)
    blob = "git:" + run(ds, "git", "rev-parse", f"HEAD:{MADE}").strip()
    for graph in (read_lineage(ds), read_lineage(ds, cache=cache)):
        assert is_of_both(graph, blob) and graph.evidence(blob) is Evidence.DECLARED
    # another text of the same size is another content
    text = (ds / MADE).read_bytes()
    (ds / MADE).write_bytes(bytes(reversed(text)))
    commit(ds, "git", "-c", "annex.largefiles=nothing", "add", MADE)
    other = "git:" + run(ds, "git", "rev-parse", f"HEAD:{MADE}").strip()
    assert not read_lineage(ds, cache=cache).inherited(other)
    # and from git to the annex, by another backend
    (ds / MADE).write_bytes(text)
    commit(ds, "git", "-c", "annex.largefiles=nothing", "add", MADE)
    run(ds, "git", "rm", "-q", "--cached", MADE)
    run(ds, "git", "annex", "add", "--backend=SHA1", "--force-large", MADE)
    run(ds, "git", "commit", "-qm", "By hand")
    again = key_at(ds, MADE)
    assert again.startswith("SHA1-") and again != before
    for graph in (read_lineage(ds), read_lineage(ds, cache=cache)):
        assert is_of_both(graph, again)


def test_added_again_with_another_backend(ds: Path) -> None:
    run(ds, "git", "annex", "unannex", MADE)
    run(ds, "git", "annex", "add", "--backend=SHA512", MADE)
    run(ds, "git", "commit", "-qm", "By hand")
    assert not read_migrated(ds) and is_of_both(read_lineage(ds), key_at(ds, MADE))


def test_no_migration(tmp_path: Path) -> None:
    run(tmp_path, "git", "init", "-q")
    assert read_migrated(tmp_path) == []
