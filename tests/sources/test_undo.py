"""A registration that fails leaves everything as it was; one that is killed is completed."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from builders import annexed, run, snapshot

from datalad_mrishare.errors import MriShareError, RepoError
from datalad_mrishare.repo import ingest, worktree
from datalad_mrishare.sources import copying, inplace
from datalad_mrishare.sources.register import register

#: where each phase can be made to fail, in order
PHASES = {
    "mark": (inplace, "_set_up"),
    "annex init": (inplace, "init_annex"),
    "add": (inplace, "add_files"),
    "commit": (inplace, "commit_index"),
    "metadata": (inplace, "write_metadata"),
    "event": (inplace, "event_file"),
    "unmark": (inplace.place, "unmark"),
}
#: internals that may differ afterwards: caches of git-annex, objects no ref names, reflogs
_INTERNALS = "annex objects logs mrishare refs/annex refs/mrishare refs/heads/git-annex"
HARMLESS = tuple(f".git/{name}" for name in _INTERNALS.split())
FAILURES = [
    ("add", KeyboardInterrupt()),
    ("event", RepoError("no")),
    *(
        pytest.param(phase, failure, marks=pytest.mark.slow)
        for phase in PHASES
        for failure in (RepoError("no"), OSError(28, "full"))
    ),
]


def failing_after(original: Callable[..., object], failure: BaseException) -> Callable[..., object]:
    """The phase is carried out, then the failure strikes."""

    def wrapped(*args: object, **kwargs: object) -> object:
        original(*args, **kwargs)
        raise failure

    return wrapped


def seen(path: Path) -> dict[str, tuple[object, ...]]:
    """Everything but what is harmless; without times in .git."""
    return {
        name: what if not name.startswith(".git/") else what[:2]
        for name, what in snapshot(path).items()
        if not name.startswith(HARMLESS) and name != ".git"
    }


@pytest.fixture(params=["folder", "repository", "unborn", "dataset"])
def place(request: pytest.FixtureRequest, bids_tree: Path) -> Path:
    """A tree to be registered: plain, with a git repository, or an annex with a new file."""
    os.chmod(bids_tree / "sub-01/anat/sub-01_T1w.nii.gz", 0o640)
    double = bids_tree / "sub-01/anat/sub-01_T2w.nii.gz"  # one key, two files
    double.write_bytes((bids_tree / "sub-01/anat/sub-01_T1w.nii.gz").read_bytes())
    (bids_tree / ".gitattributes").write_text("*.txt text\n")
    (bids_tree / "sub-01/anat/link.nii.gz").symlink_to("sub-01_T1w.nii.gz")
    os.utime(bids_tree / "sub-02", (1_000_000_000, 1_000_000_000))
    if request.param in ("repository", "unborn"):
        run(bids_tree, "git", "init", "-q", "-b", "main")
        run(bids_tree, "git", "add", "README", "CHANGES")
        if request.param == "repository":
            run(bids_tree, "git", "commit", "-q", "-m", "x", "README")
        (bids_tree / "README").write_text("modified\n")
    elif request.param == "dataset":
        (bids_tree / ".gitattributes").unlink()
        register(bids_tree)
        # new content, and a new file with content that the annex has
        (bids_tree / "sub-01/anat/sub-01_PDw.nii.gz").write_bytes(b"new")
        known = (bids_tree / "sub-02/anat/sub-02_T1w.nii.gz").read_bytes()
        (bids_tree / "sub-02/anat/sub-02_T2w.nii.gz").write_bytes(known)
        run(bids_tree, "git", "annex", "unlock", "sub-03/anat/sub-03_T1w.nii.gz")
    return bids_tree


@pytest.mark.parametrize(("phase", "failure"), FAILURES)
def test_everything_is_put_back(
    place: Path, phase: str, failure: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = seen(place)
    head = run(place, "git", "rev-parse", "HEAD", ok=(0, 128))
    had_git = (place / ".git").exists()
    had_annex = (place / ".git/annex").exists()
    module, name = PHASES[phase]
    with monkeypatch.context() as patched:
        patched.setattr(module, name, failing_after(getattr(module, name), failure))
        with pytest.raises((MriShareError, KeyboardInterrupt)):
            register(place)
    assert seen(place) == before
    assert (place / ".git").exists() == had_git
    assert (place / ".git/annex").exists() == had_annex
    if had_git:
        assert run(place, "git", "rev-parse", "HEAD", ok=(0, 128)) == head
        run(place, "git", "fsck", "--no-dangling")
    if had_annex:
        run(place, "git", "annex", "fsck")
    # and nothing of it stands in the way of the next attempt
    assert register(place).changed
    run(place, "git", "annex", "fsck")
    assert not register(place).changed


@pytest.mark.parametrize("phase", ["copy", "add", "event"])
def test_a_failed_copy_removes_what_it_made(
    phase: str, bids_tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = snapshot(tmp_path)
    module, name = {**PHASES, "copy": (copying, "_copy_file")}[phase]
    existing = tmp_path / "existing"
    existing.mkdir()
    before = snapshot(tmp_path, times=False)
    for target in (tmp_path / "new", existing):
        with monkeypatch.context() as patched:
            patched.setattr(module, name, failing_after(getattr(module, name), OSError(28, "full")))
            with pytest.raises(RepoError, match="full"):
                register(target, bids_tree)
        assert snapshot(tmp_path, times=False) == before


@pytest.mark.slow
@pytest.mark.parametrize("phase", ["copy", "add", "metadata"])
def test_a_failed_second_copy_is_taken_back(
    phase: str, bids_tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "copy"
    register(copy, bids_tree)
    before = seen(copy)
    (bids_tree / "README").write_text("changed\n")
    (bids_tree / "sub-01/anat/sub-01_T1w.nii.gz").write_bytes(b"changed")
    (bids_tree / "sub-09/anat").mkdir(parents=True)
    (bids_tree / "sub-09/anat/sub-09_T1w.json").write_text("{}")
    module, name = {**PHASES, "copy": (copying, "_copy_file")}[phase]
    with monkeypatch.context() as patched:
        patched.setattr(module, name, failing_after(getattr(module, name), RepoError("no")))
        with pytest.raises(RepoError):
            register(copy, bids_tree)
    after = seen(copy)
    assert {k: v[:2] for k, v in after.items()} == {k: v[:2] for k, v in before.items()}
    assert len(register(copy, bids_tree).added) == 3


def test_git_annex_running_out_of_room(bids_tree: Path) -> None:
    """A limit on file size stands in for a full disk: git-annex itself fails."""
    big = bids_tree / "sub-04/func/sub-04_task-rest_desc-x_timeseries.tsv"
    big.write_bytes(os.urandom(3_000_000))
    before = snapshot(bids_tree)
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limit[1]))
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        with pytest.raises(MriShareError):
            register(bids_tree)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, handler)
    assert snapshot(bids_tree) == before


_CHILD = """
import os, signal, sys
from pathlib import Path
from datalad_mrishare.sources import copying, inplace, place
from datalad_mrishare.repo import ingest, worktree
module, name, when = sys.argv[1:4]
module = {m.__name__: m for m in (copying, inplace, place, ingest, worktree)}[module]
original, seen = getattr(module, name), 0
def deadly(*args, **kwargs):
    global seen
    seen += 1
    if when == "before" and seen == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    result = original(*args, **kwargs)
    if when == "after" or seen == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return result
setattr(module, name, deadly)
from datalad_mrishare.sources.register import register
arguments = [Path(p) for p in sys.argv[4:]]
register(*arguments)
"""


@pytest.mark.parametrize("copied", [False, True], ids=["in place", "copy"])
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(
    ("module", "name"),
    [*PHASES.values(), (worktree, "write_file"), (copying, "_copy_file")],
    ids=lambda value: value if isinstance(value, str) else value.__name__.rsplit(".")[-1],
)
@pytest.mark.slow
def test_after_a_kill_the_next_run_completes(
    module: object, name: str, when: str, copied: bool, bids_tree: Path, tmp_path: Path
) -> None:
    if name == "_copy_file" and not copied:
        return  # nothing is copied in place
    contents = {k: v[1] for k, v in snapshot(bids_tree).items()}
    places = [tmp_path / "copy", bids_tree] if copied else [bids_tree]
    argv = [sys.executable, "-c", _CHILD, module.__name__, name, when, *map(str, places)]  # type: ignore[attr-defined]
    assert subprocess.run(argv, check=False).returncode == -signal.SIGKILL
    register(*places)
    assert len(annexed(places[0])) == 8
    assert not list(places[0].rglob(".mrishare-*"))
    for file, content in contents.items():
        if isinstance(content, str) and len(content) == 64:
            import hashlib

            digest = hashlib.sha256((places[0] / file).read_bytes()).hexdigest()
            assert digest == content, file
    assert not run(places[0], "git", "status", "--porcelain")
    run(places[0], "git", "annex", "fsck")
    assert not register(*places).changed


def test_a_kill_while_git_annex_adds(bids_tree: Path) -> None:
    """At the third file that git-annex reported; git-annex is killed, too."""
    script = """
import os, signal, sys
from pathlib import Path
from datalad_mrishare.sources.register import register
def progress(phase, done, total):
    if (phase, done) == ("adding", 3):
        os.killpg(0, signal.SIGKILL)
register(Path(sys.argv[1]), progress=progress)
"""
    argv = [sys.executable, "-c", script, str(bids_tree)]
    done = subprocess.run(argv, check=False, start_new_session=True)
    assert done.returncode == -signal.SIGKILL
    register(bids_tree)
    assert len(annexed(bids_tree)) == 8
    run(bids_tree, "git", "annex", "fsck")


def test_a_killed_registration_that_then_fails_loses_nothing(
    bids_tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The repository is ours, but it holds the only content by then."""
    before = {p: v[1] for p, v in snapshot(bids_tree).items() if p.endswith(".nii.gz")}
    argv = [sys.executable, "-c", _CHILD, inplace.__name__, "add_files", "after", str(bids_tree)]
    assert subprocess.run(argv, check=False).returncode == -signal.SIGKILL
    with monkeypatch.context() as patched:
        patched.setattr(inplace, "write_metadata", failing_after(lambda *a: 0, RepoError("no")))
        with pytest.raises(RepoError):
            register(bids_tree)
    import hashlib

    for name, digest in before.items():
        assert hashlib.sha256((bids_tree / name).read_bytes()).hexdigest() == digest
    register(bids_tree)
    assert ingest.is_annex(bids_tree) and len(annexed(bids_tree)) == 8
