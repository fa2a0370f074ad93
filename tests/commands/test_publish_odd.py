"""``mrishare-publish`` on datasets and siblings that are not as one would like them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from builders import annexed, run, snapshot
from mirrors import (
    add_path,
    consent,
    keys_at,
    keys_of,
    lent,
    publish,
    told,
    tree_of,
    units,
)

from datalad_mrishare.errors import MriShareError
from datalad_mrishare.repo.transfer import ByteCount
from datalad_mrishare.sources.register import register

BOTH = ("sub-01", "sub-02")
T1W = "sub-01/anat/sub-01_T1w.nii.gz"


@pytest.fixture
def dataset(registered: Path) -> Path:
    """01 and 02 permit sharing with the institution, 03 refused, 04 said nothing."""
    consent(registered, ("sub-01", "given"), ("sub-02", "given"), ("sub-03", "refused"))
    return registered


def save(dataset: Path) -> None:
    run(dataset, "datalad", "save", "-m", "change")


def refused(dataset: Path, *words: str) -> None:
    """Publishing is refused or fails with a sentence that has all of ``words``."""
    records = told(dataset, code=1)
    sentences = " ".join(r["message"] for r in records if r["status"] in ("error", "impossible"))
    for word in words:
        assert word in sentences, sentences


# -- datasets


def test_an_empty_dataset(tmp_path: Path) -> None:
    dataset = tmp_path / "dataset"
    run(tmp_path, "datalad", "create", "dataset")
    register(dataset)
    mir = add_path(dataset, "mir", "institution")
    records = told(dataset)
    assert units(records) == {} and "0 units sent" in records[-1]["message"]
    assert keys_at(mir) == set()
    assert told(dataset)[-1]["status"] == "notneeded"


def test_no_consent_at_all(registered: Path) -> None:
    mir = add_path(registered, "mir", "institution")
    records = told(registered)
    withheld = {r["who"]: r["reason"] for r in records if r.get("who", "").startswith("sub-")}
    assert set(withheld) == {"sub-01", "sub-02", "sub-03", "sub-04"}
    assert withheld["sub-01"] == "sub-01: no consent in force for this file"
    assert keys_at(mir) == set()
    assert not any("sub-" in path for path in tree_of(mir))


@pytest.mark.slow
def test_an_unreadable_image(registered: Path) -> None:
    image = registered / T1W
    content = image.read_bytes()
    image.unlink()
    image.write_bytes(content[:5000])
    save(registered)
    register(registered)
    consent(registered, ("sub-01", "given"), ("sub-02", "given"))
    mir = add_path(registered, "mir", "institution")
    bak = add_path(registered, "bak", "backup")
    records = told(registered, code=1)
    (held,) = (r for r in records if r.get("who") == "sub-01")
    assert held["status"] == "impossible" and T1W in held["message"] and held["remedy"]
    assert keys_at(mir) == keys_of(registered, "sub-01/func", "sub-02")
    assert T1W not in tree_of(mir)
    told(registered, "bak")
    assert keys_at(bak) == keys_of(registered, "sub-")


ODD = ("a b", "it's", 'say "no"', "two\nlines", "-dash", "größe", os.fsdecode(b"\xff\xfe"))


@pytest.mark.parametrize("policy", ["institution", pytest.param("backup", marks=pytest.mark.slow)])
def test_odd_names(dataset: Path, policy: str) -> None:
    for participant in ("sub-01", "sub-03"):
        for number, name in enumerate(ODD):
            (dataset / participant / f"{name}.dat").write_bytes(f"{participant} {name!r}".encode())
            words = {"Name": number, "TaskName": name.encode("utf-8", "replace").decode()}
            (dataset / participant / f"{name}.json").write_text(str(words))
    (dataset / "-x").mkdir()
    (dataset / "-x" / ODD[-1]).write_bytes(b"nobody's")
    run(dataset, "git", "-c", "annex.largefiles=include=*.dat", "annex", "add", ".")
    run(dataset, "git", "commit", "-m", "odd")
    mir = add_path(dataset, "mir", policy)
    own = policy == "backup"
    told(dataset, code=0)
    assert keys_at(mir) == keys_of(dataset, *(["sub-"] if own else BOTH))
    there = tree_of(mir)
    for name in ODD:
        assert {f"sub-01/{name}.dat", f"sub-01/{name}.json"} <= there.keys()
        assert (f"sub-03/{name}.json" in there) is own
    out = run(dataset, "datalad", "mrishare-publish", "--to", "mir", "--dry-run")
    assert "Nothing to do" in out or "0 units to send" in out
    assert told(dataset)[-1]["status"] == "notneeded"


@pytest.mark.slow
def test_a_unit_for_each_odd_file(dataset: Path) -> None:
    for name in ODD:
        (dataset / "sub-01" / f"{name}.dat").write_bytes(f"01 {name!r}".encode())
    run(dataset, "git", "-c", "annex.largefiles=include=*.dat", "annex", "add", ".")
    run(dataset, "git", "commit", "-m", "odd")
    policy = dataset.parent / "policy.yaml"
    policy.write_text("policy: institution\nunit: file\n")
    mir = add_path(dataset, "mir", str(policy))
    run(dataset, "datalad", "mrishare-publish", "--to", "mir")
    run(dataset, "datalad", "-f", "json", "mrishare-publish", "--to", "mir")
    assert keys_at(mir) == keys_of(dataset, *BOTH)


@pytest.mark.parametrize("thin", [pytest.param("false", marks=pytest.mark.slow), "true"])
def test_an_unlocked_file(dataset: Path, thin: str) -> None:
    run(dataset, "git", "config", "annex.thin", thin)
    run(dataset, "git", "annex", "unlock", "sub-01")
    save(dataset)
    mir = add_path(dataset, "mir", "institution")
    told(dataset)
    assert keys_at(mir) == keys_of(dataset, *BOTH) and lent(dataset, "mir") == set()
    # what is edited later must not change what is there
    with (dataset / T1W).open("ab") as image:
        image.write(b"more")
    run(mir, "git", "annex", "fsck", "--branch=main")
    save(dataset)
    told(dataset)
    assert keys_at(mir) == keys_of(dataset, *BOTH)


@pytest.mark.slow
def test_adjusted_mode(dataset: Path) -> None:
    mir = add_path(dataset, "mir", "institution")
    run(dataset, "git", "annex", "adjust", "--unlock")
    told(dataset)
    plain, there = tree_of(dataset, "main"), tree_of(mir)
    images = {p for p in there if p.endswith(".nii.gz")}
    assert len(images) == 4 and all(there[p] == plain[p] for p in images)
    assert keys_at(mir) == keys_of(dataset, *BOTH, commit="main")
    branch = run(dataset, "git", "symbolic-ref", "--short", "HEAD").strip()
    assert branch == "adjusted/main(unlocked)"
    assert any("-published-mir" in p for p in tree_of(dataset, "main")), "the event is in main"
    assert told(dataset)[-1]["status"] == "notneeded"


def test_a_detached_head(dataset: Path) -> None:
    mir = add_path(dataset, "mir", "institution")
    run(dataset, "git", "checkout", "--quiet", "--detach")
    refused(dataset, "no branch", "git switch")
    assert keys_at(mir) == set()


@pytest.mark.parametrize("file", ["consent.tsv", "siblings.yaml"])
def test_what_is_not_committed_is_refused(dataset: Path, file: str) -> None:
    mir = add_path(dataset, "mir", "institution")
    with (dataset / ".datalad/mrishare" / file).open("a") as out:
        out.write("\n")
    refused(dataset, f".datalad/mrishare/{file}", "not committed", "datalad save")
    assert keys_at(mir) == set()


@pytest.mark.parametrize(
    ("file", "line", "where"),
    [
        ("consent.tsv", "x\tsub-01\tgivne" + "\tn/a" * 10, "consent.tsv, line "),
        ("consent.tsv", "only one cell", "consent.tsv, line "),
        ("siblings.yaml", "    bugdet: 5GB", "siblings.yaml, line "),
        ("siblings.yaml", "  : [", "siblings.yaml, line "),
    ],
)
def test_a_registry_that_nobody_can_read(dataset: Path, file: str, line: str, where: str) -> None:
    mir = add_path(dataset, "mir", "institution")
    path = dataset / ".datalad/mrishare" / file
    path.write_text(f"{path.read_text()}{line}\n")
    number = len(path.read_text().splitlines())
    save(dataset)
    before = snapshot(mir), run(dataset, "git", "rev-parse", "HEAD")
    refused(dataset, f"{where}{number}")
    assert (snapshot(mir), run(dataset, "git", "rev-parse", "HEAD")) == before


def test_the_same_image_of_two_participants(dataset: Path) -> None:
    other = dataset / "sub-02/anat/sub-02_T1w.nii.gz"
    other.unlink()
    other.write_bytes((dataset / T1W).read_bytes())
    save(dataset)
    mir = add_path(dataset, "mir", "institution")
    refused(dataset, "the same image is recorded under different participants")
    assert keys_at(mir) == keys_of(dataset, "sub-01/func", "sub-02/func")


def test_one_content_at_two_paths(dataset: Path) -> None:
    copy = dataset / "sub-01/anat/sub-01_acq-copy_T1w.nii.gz"
    copy.write_bytes((dataset / T1W).read_bytes())
    save(dataset)
    mir = add_path(dataset, "mir", "institution")
    records = told(dataset)
    assert keys_at(mir) == keys_of(dataset, *BOTH) and len(keys_at(mir)) == 4
    assert {T1W, "sub-01/anat/sub-01_acq-copy_T1w.nii.gz"} <= tree_of(mir).keys()
    (unit,) = (r for r in records if r.get("unit") == "sub-01")
    assert (unit["files"], unit["bytes"]) == (3, sum(map(size, keys_of(dataset, "sub-01"))))


def size(key: str) -> int:
    return int(key.split("-")[1][1:])


@pytest.mark.slow
def test_an_empty_file_in_the_annex(dataset: Path) -> None:
    empty = dataset / "sub-01/anat/sub-01_T2w.nii.gz"
    empty.write_bytes(b"")
    run(dataset, "git", "annex", "add", "--force-large", str(empty))
    save(dataset)
    mir = add_path(dataset, "mir", "institution")
    told(dataset)
    assert any(size(key) == 0 for key in keys_at(mir))
    assert keys_at(mir) == keys_of(dataset, *BOTH)


@pytest.mark.slow
def test_a_subdataset_and_a_link_out_of_the_tree(dataset: Path) -> None:
    run(dataset, "datalad", "create", "-d", ".", "sub-01/extra")
    (dataset / "sub-01/outside.nii.gz").symlink_to("/etc/hostname")
    (dataset / "sub-01/above").symlink_to("../../..")
    save(dataset)
    mir = add_path(dataset, "mir", "institution")
    told(dataset)
    assert not {"sub-01/extra", "sub-01/outside.nii.gz", "sub-01/above"} & tree_of(mir).keys()
    assert ".gitmodules" not in tree_of(mir)
    assert keys_at(mir) == keys_of(dataset, *BOTH)


# -- siblings


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["institution", "backup"])
def test_a_sibling_that_vanished(dataset: Path, policy: str) -> None:
    mir = add_path(dataset, "mir", policy)
    mir.rename(mir.with_name("elsewhere"))
    head = run(dataset, "git", "rev-parse", "HEAD")
    refused(dataset, "sibling 'mir'", "cannot be reached", "Mount or restore it")
    assert run(dataset, "git", "rev-parse", "HEAD") == head and not mir.exists()
    mir.with_name("elsewhere").rename(mir)
    told(dataset)


@contextlib.contextmanager
def read_only(path: Path) -> Iterator[None]:
    """``path`` and all below it cannot be written, not even by root."""
    if os.geteuid() != 0:
        path.chmod(0o500)
        yield
        path.chmod(0o700)
        return
    bind = ["mount", "--bind", str(path), str(path)]
    if subprocess.run(bind, capture_output=True, check=False).returncode:
        pytest.skip("root writes everywhere, and a read-only mount is not possible here")
    subprocess.run(["mount", "-o", "remount,ro,bind", str(path)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", str(path)], check=True)


@pytest.mark.parametrize("policy", ["institution", "backup"])
def test_a_sibling_that_cannot_be_written(dataset: Path, policy: str) -> None:
    mir = add_path(dataset, "mir", policy)
    with read_only(mir):
        refused(dataset, "sibling 'mir'", "cannot be written", "permission")
    told(dataset)
    assert keys_at(mir) >= keys_of(dataset, *BOTH)


def test_a_door_that_somebody_opened_again(dataset: Path) -> None:
    mir = add_path(dataset, "mir", "institution")
    run(dataset, "git", "remote", "add", "again", f"file://{mir}")
    refused(dataset, "remote 'again'", "git remote remove again")
    assert keys_at(mir) == set()
    run(dataset, "git", "remote", "remove", "again")
    told(dataset)


# -- at once, and interrupted


def start(dataset: Path, name: str) -> subprocess.Popen[bytes]:
    argv = ["datalad", "mrishare-publish", "--to", name]
    return subprocess.Popen(argv, cwd=dataset, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


@pytest.mark.parametrize(
    "names",
    [
        ("mir", "mir"),
        pytest.param(("mir", "bak"), marks=pytest.mark.slow),
        pytest.param(("mir", "two"), marks=pytest.mark.slow),
    ],
)
def test_two_at_once(dataset: Path, names: tuple[str, str]) -> None:
    mir = add_path(dataset, "mir", "institution")
    two = add_path(dataset, "two", "institution")
    bak = add_path(dataset, "bak", "backup")
    for process in [start(dataset, name) for name in names]:
        out, _ = process.communicate(timeout=200)
        assert process.returncode == 0, out.decode()
    assert keys_at(mir) == keys_of(dataset, *BOTH)
    if "two" in names:
        assert keys_at(two) == keys_at(mir)
    if "bak" in names:
        assert keys_at(bak) == keys_of(dataset, "sub-")
    events = [path for path in tree_of(dataset) if "-published-" in path]
    assert len(events) == len(set(names)), "the second to the same had nothing to do"
    assert run(dataset, "git", "status", "--porcelain") == ""
    for name in names:
        assert told(dataset, name)[-1]["status"] == "notneeded"


def test_an_interruption(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mir = add_path(dataset, "mir", "institution")
    before = annexed(dataset, "--in=here")
    count = ByteCount.__call__

    def interrupted(self: ByteCount, *args: Any) -> None:
        count(self, *args)
        os.kill(os.getpid(), signal.SIGINT)  # Ctrl-C at the first sign of progress

    # a shell that starts the tests in the background lets them ignore it
    inherited = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(ByteCount, "__call__", interrupted)
            publish(dataset, "mir")
    finally:
        signal.signal(signal.SIGINT, inherited)
    assert lent(dataset, "mir") == set() and annexed(dataset, "--in=here") == before
    run(dataset, "git", "annex", "fsck")
    publish(dataset, "mir")
    assert keys_at(mir) == keys_of(dataset, *BOTH)
    run(mir, "git", "annex", "fsck", "--branch=main")


def test_a_dataset_that_is_not_registered(tmp_path: Path) -> None:
    run(tmp_path, "datalad", "create", "plain")
    with pytest.raises(MriShareError, match="datalad mrishare-register"):
        publish(tmp_path / "plain", "mir")
    assert not (tmp_path / "plain/.git/mrishare").exists()


# -- keys that are not UTF-8


def test_an_extension_that_is_not_utf8_comes_back(dataset: Path) -> None:
    place = add_path(dataset, "mir", "institution")
    image = dataset / "sub-02/anat" / os.fsdecode(b"sub-02_desc-odd_T1w.n\xffii")
    image.write_bytes(b"an odd image")
    run(dataset, "git", "annex", "add", "--quiet", "--force-large", "sub-02/anat")
    run(dataset, "git", "add", "sub-02/anat")
    run(dataset, "git", "commit", "--quiet", "-m", "datalad save would stumble")
    records = told(dataset)
    assert units(records)["sub-02"] == "sent", records
    key = os.path.basename(os.readlink(image))
    assert key in keys_at(place) and os.fsencode(key).endswith(b".n\xffii")
    consent(dataset, ("sub-02", "withdrawn"))
    told(dataset)
    assert keys_at(place) == keys_of(dataset, "sub-01")
    argv = ("git", "cat-file", "blob", "main:.datalad/mrishare/revoked.tsv")
    listed = subprocess.run(argv, cwd=place, capture_output=True, check=True).stdout
    assert os.fsencode(key) in listed.split(b"\n")
    before = tree_of(place)
    consent(dataset, ("sub-03", "withdrawn"))
    told(dataset)
    assert tree_of(place) == before, "it is still listed, and listed as it was"
