"""Metadata and locations in bulk, against what git-annex itself says."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from builders import run

from datalad_mrishare.errors import RepoError
from datalad_mrishare.repo.annexbranch import (
    _IMPORT_REF,
    metadata_changes,
    parse_locations,
    parse_metadata,
    read_logs,
    refresh,
    write_metadata,
)

VALUES = [
    "plain",
    "two words",
    " blanks around ",
    "tab\there",
    "line\nbreak",
    "!bang",
    "!aGVsbG8=",
    "+plus",
    "-minus",
    "=x",
    "ä€😀",
    "non\u00a0breaking",
    "line\u2028separator",
    "next\u0085line",
    "file\x1cseparator",
    "'quote\"",
    "1s x +y",
]
IDENTITY = {"GIT_COMMITTER_NAME": "A <b> \n C", "GIT_COMMITTER_EMAIL": "a@example.org"}


@pytest.fixture
def annex(tmp_path: Path) -> Path:
    """A repository with five annexed files."""
    repo = tmp_path / "annex"
    run(tmp_path, "git", "init", "--quiet", "annex")
    run(repo, "git", "annex", "init", "--quiet", "here")
    for n in range(5):
        (repo / f"f{n}").write_text(f"content {n}")
    run(repo, "git", "annex", "add", "--quiet", ".")
    run(repo, "git", "commit", "--quiet", "-m", "files")
    return repo


def keys(repo: Path) -> list[str]:
    return [run(repo, "git", "annex", "lookupkey", f"f{n}").strip() for n in range(5)]


def told(repo: Path) -> dict[str, dict[str, list[str]]]:
    """Key -> field -> values, as git-annex tells them; without its own dates."""
    found = {}
    for line in run(repo, "git", "annex", "metadata", "--all", "--json").split("\n")[:-1]:
        record = json.loads(line)
        fields = {k: sorted(v) for k, v in record["fields"].items() if "lastchanged" not in k}
        if fields:
            found[record["key"]] = fields
    return found


def read(repo: Path) -> dict[str, dict[str, list[str]]]:
    refresh(repo)
    metadata = read_logs(repo).metadata
    return {
        k: {f: sorted(v) for f, v in fields.items()} for k, fields in metadata.items() if fields
    }


def write(repo: Path, wanted: dict[str, dict[str, set[str]]], owned: tuple[str, ...]) -> int:
    refresh(repo)
    plain = {k: {f: frozenset(v) for f, v in fields.items()} for k, fields in wanted.items()}
    logs = read_logs(repo)
    return write_metadata(repo, metadata_changes(logs, plain, owned), logs, IDENTITY)


def test_values_of_any_kind_are_read_by_git_annex_as_written(annex: Path) -> None:
    key = keys(annex)[0]
    assert write(annex, {key: {"mrishare-x": set(VALUES)}}, ("mrishare-x",)) == 1
    assert told(annex) == {key: {"mrishare-x": sorted(VALUES)}} == read(annex)
    assert not run(annex, "git", "for-each-ref", _IMPORT_REF)
    # taken away again, one by one
    assert write(annex, {key: {"mrishare-x": {"plain"}}}, ("mrishare-x",)) == 1
    assert told(annex) == {key: {"mrishare-x": ["plain"]}} == read(annex)


def test_values_that_git_annex_wrote_are_read(annex: Path) -> None:
    for value in VALUES:
        run(annex, "git", "annex", "metadata", "f0", "-s", f"other+={value}")
    assert read(annex) == told(annex)
    assert set(read(annex)[keys(annex)[0]]["other"]) == set(VALUES)


def test_what_is_not_ours_stays(annex: Path) -> None:
    key = keys(annex)[1]
    run(annex, "git", "annex", "metadata", "f1", "-s", "diagnosis=a b", "-s", "mrishare-x=old")
    run(annex, "git", "annex", "metadata", "f1", "-t", "tagged", "-s", "diagnosis+=c")
    write(annex, {key: {"mrishare-x": {"new"}}}, ("mrishare-x", "mrishare-y"))
    assert told(annex)[key] == {
        "diagnosis": ["a b", "c"],
        "mrishare-x": ["new"],
        "tag": ["tagged"],
    }
    write(annex, {key: {}}, ("mrishare-x",))
    assert told(annex)[key] == {"diagnosis": ["a b", "c"], "tag": ["tagged"]} == read(annex)[key]


def test_written_many_times_within_a_second_the_last_one_counts(annex: Path) -> None:
    key, start = keys(annex)[2], time.time()
    for n in range(4):
        assert write(annex, {key: {"mrishare-x": {f"v{n}", "kept"}}}, ("mrishare-x",)) == 1
        assert told(annex)[key] == {"mrishare-x": ["kept", f"v{n}"]} == read(annex)[key]
    run(annex, "git", "annex", "metadata", "f2", "-s", "other=1")
    assert told(annex)[key]["mrishare-x"] == ["kept", "v3"] and time.time() - start < 60


def test_the_same_again_writes_nothing(annex: Path) -> None:
    wanted = {k: {"mrishare-x": {"1"}} for k in keys(annex)}
    assert write(annex, wanted, ("mrishare-x",)) == 5
    before = run(annex, "git", "rev-parse", "git-annex")
    assert write(annex, wanted, ("mrishare-x",)) == 0
    assert run(annex, "git", "rev-parse", "git-annex") == before


def test_what_another_process_writes_meanwhile_is_kept(annex: Path) -> None:
    """Between our reading and our writing."""
    refresh(annex)
    logs, key = read_logs(annex), keys(annex)[3]
    run(annex, "git", "annex", "metadata", "f3", "-s", "other=meanwhile", "-s", "mrishare-z=old")
    changes = metadata_changes(logs, {key: {"mrishare-x": frozenset({"1"})}}, ("mrishare-x",))
    write_metadata(annex, changes, logs, IDENTITY)
    expected = {"other": ["meanwhile"], "mrishare-x": ["1"], "mrishare-z": ["old"]}
    assert told(annex)[key] == expected == read(annex)[key]


def test_git_annex_takes_our_commit_over_as_it_is(annex: Path) -> None:
    """No union line by line while nobody else wrote."""
    write(annex, {k: {"mrishare-x": {"1"}} for k in keys(annex)}, ("mrishare-x",))
    before = run(annex, "git", "rev-parse", "git-annex").strip()
    write(annex, {k: {"mrishare-x": {"2"}} for k in keys(annex)}, ("mrishare-x",))
    parents = run(annex, "git", "rev-list", "--parents", "-1", "git-annex").split()
    assert parents[1:] == [before]
    assert {f"{v}" for fields in told(annex).values() for v in fields["mrishare-x"]} == {"2"}


def test_not_merged_is_told(annex: Path) -> None:
    run(annex, "git", "config", "annex.merge-annex-branches", "false")
    wanted = {k: {"mrishare-x": {"1"}} for k in keys(annex)}
    with pytest.raises(RepoError, match="did not take over"):
        write(annex, wanted, ("mrishare-x",))
    run(annex, "git", "config", "--unset", "annex.merge-annex-branches")
    assert write(annex, wanted, ("mrishare-x",)) == 5


def test_logs_that_were_not_read_are_not_written(annex: Path) -> None:
    refresh(annex)
    one, other, *_ = keys(annex)
    logs = read_logs(annex, {one})
    with pytest.raises(ValueError, match="not read"):
        write_metadata(annex, {other: "1s x +y\n"}, logs, IDENTITY)


def test_two_of_us_who_read_the_same_state_both_count(annex: Path) -> None:
    refresh(annex)
    logs, (first, second, *_) = read_logs(annex), keys(annex)
    for key, field in ((first, "mrishare-x"), (second, "mrishare-x"), (first, "mrishare-y")):
        changes = metadata_changes(logs, {key: {field: frozenset({"1"})}}, (field,))
        write_metadata(annex, changes, logs, IDENTITY)
    assert told(annex)[first] == {"mrishare-x": ["1"], "mrishare-y": ["1"]}
    assert told(annex)[second] == {"mrishare-x": ["1"]}


@pytest.mark.parametrize(
    "log",
    [
        b"5s f +a\n5s f -a\n",
        b"5s f -a\n5s f +a\n",
        b"5s f +a\n6s f -a\n",
        b"6.5s f -a\n6.25s f +a\n",
        b"5s f +a +b\n6s f -a\n5s g +x\n7s f -zz\n",
        b"5s f +a g +b\n5s f -a\n5s g +c\n",
        b"5s f +a\n\n5s f +b\n",
    ],
)
def test_logs_with_ties_are_read_as_git_annex_reads_them(annex: Path, log: bytes) -> None:
    key = keys(annex)[4]
    path = run(annex, "git", "annex", "examinekey", "--format=${hashdirlower}", key).strip()
    data = b"".join(
        (
            b"commit refs/heads/other/git-annex\ncommitter a <a@b> 1 +0000\ndata 1\nx\n",
            f"M 100644 inline {path}{key}.log.met\ndata {len(log)}\n".encode() + log + b"\n",
        )
    )
    run(annex, "git", "fast-import", "--quiet", input=data)
    assert read(annex) == told(annex)


def test_locations_are_those_of_git_annex(annex: Path, tmp_path: Path) -> None:
    for n in range(2):
        (tmp_path / f"disk{n}").mkdir()
        directory = f"directory={tmp_path / f'disk{n}'}"
        config = ("type=directory", directory, "encryption=none")
        run(annex, "git", "annex", "initremote", f"disk{n}", *config)
        run(
            annex,
            "git",
            "annex",
            "copy",
            "--quiet",
            "--to",
            f"disk{n}",
            *(f"f{i}" for i in range(n, 4)),
        )
    run(annex, "git", "annex", "drop", "--quiet", "--from", "disk0", "f1")
    run(annex, "git", "annex", "drop", "--quiet", "f2", "--force")
    run(annex, "git", "annex", "dead", "disk1")
    refresh(annex)
    found = read_logs(annex).locations
    for n, key in enumerate(keys(annex)):
        said = json.loads(run(annex, "git", "annex", "whereis", "--json", f"f{n}", ok=(0, 1)))
        places = {p["uuid"] for p in said["whereis"] + said["untrusted"]}
        dead = run(annex, "git", "config", "remote.disk1.annex-uuid").strip()
        assert found.get(key, frozenset()) - {dead} == places - {dead}, key
    assert set(found) == set(keys(annex))


def test_keys_with_odd_names(annex: Path) -> None:
    """As git-annex names its files: slashes, percent signs, ampersands, blanks, quotes."""
    urls = [
        "http://example.org/a/b?c=d&e=%20f",
        'http://example.org/"quoted"/ä:x',
        "http://example.org/a&cb&ad",
    ]
    for n, url in enumerate(urls):
        run(annex, "git", "annex", "fromkey", "--force", f"URL--{url}", f"u{n}")
        run(annex, "git", "annex", "metadata", f"u{n}", "-s", f"number={n}")
    refresh(annex)
    logs = read_logs(annex, metadata=True)
    odd = {k: v for k, v in logs.metadata.items() if k.startswith("URL")}
    assert odd == {f"URL--{u}": {"number": frozenset({str(n)})} for n, u in enumerate(urls)}
    wanted = {key: {"mrishare-x": {"1"}} for key in odd}
    assert write(annex, wanted, ("mrishare-x",)) == 3
    for n in range(3):
        record = json.loads(run(annex, "git", "annex", "metadata", "--json", f"u{n}"))
        assert record["fields"]["mrishare-x"] == ["1"] and record["fields"]["number"] == [str(n)]


def test_only_keys_that_are_asked_for(annex: Path) -> None:
    refresh(annex)
    first = keys(annex)[0]
    assert set(read_logs(annex, {first}).locations) == {first}
    assert read_logs(annex, locations=False).locations == {}
    assert read_logs(annex, ref="refs/heads/nothing").locations == {}


def test_garbage_in_a_log_is_not_a_location() -> None:
    assert parse_locations(b"") == frozenset()
    assert parse_locations(b"x 1 aa\n1s 1\n1s 1 \nnans\n\xff\n1s 1 bb\n") == {"bb"}
    assert parse_locations(b"2s X aa\n1s 1 aa\n") == frozenset()
    assert parse_metadata(b"\xff\nxs f +a\n1s f +a\n")[0] == {"f": frozenset({"a"})}
