"""Nothing of what is withheld is anywhere at a sibling: planted, published, looked for."""

from __future__ import annotations

import base64
import gzip
import json
import random
from datetime import date, timedelta
from pathlib import Path

import pytest
from builders import run
from leaks import scanner, world
from mirrors import add_path, bare, consent, keys_at, keys_of, publish, tree_of

from datalad_mrishare.repo.worktree import Checkout
from datalad_mrishare.sharing.consents import import_consent
from datalad_mrishare.sharing.siblings import declare

KINDS = ("bare", "created", "store")


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """The dataset with its canaries, published to a sibling of each kind."""
    dataset, canaries = world.build(tmp_path_factory.mktemp("leaks"))
    policy = dataset.parent / "policy.yaml"
    canaries.append("canaryPolicy")
    policy.write_text("policy: institution\ncommons: [canaryPolicy*]\n")
    out = dataset.parent.parent
    run(dataset, "git", "remote", "add", "bare", str(bare(out / "bare")))
    run(dataset, "datalad", "create-sibling", "-s", "created", str(out / "created"))
    store = f"ria+file://{out / 'store'}"
    run(dataset, "datalad", "create-sibling-ria", "-s", "store", "--new-store-ok", store)
    for kind in KINDS:
        declare(Checkout(dataset), kind, str(policy))
        publish(dataset, kind)
    return dataset, canaries


def secrets(dataset: Path, canaries: list[str]) -> list[str]:
    """All that must not be found: canaries, people, keys, files of ours, who and where."""
    keys = keys_of(dataset, *(f"{p}/" for p in world.WITHHELD))
    ours = ["consent.tsv", "siblings.yaml", str(dataset), str(dataset.parent)]
    uuid = run(dataset, "git", "config", "annex.uuid").strip()
    # these siblings take what is identifiable
    canaries = [c for c in canaries if not c.startswith(world.HEADERS)]
    return [*canaries, *world.WITHHELD, *keys, *ours, *world.host(), uuid]


def test_the_scanner_finds_every_canary_in_the_stewards_repository(
    planted: tuple[Path, list[str]],
) -> None:
    dataset, canaries = planted
    wanted = [*canaries, *world.WITHHELD, "consent.tsv", "siblings.yaml", *world.host()]
    # the dataset's own path is in its git-annex branch, not in the names below it
    found = scanner.scan(dataset, wanted)
    assert set(wanted) - found.keys() == set()
    assert len(canaries) > 60


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_withheld_lies_in_the_directory_of_a_sibling(
    planted: tuple[Path, list[str]], kind: str
) -> None:
    dataset, canaries = planted
    found = scanner.scan(dataset.parent.parent / kind, secrets(dataset, canaries))
    assert found == {}


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_withheld_is_in_a_clone(
    planted: tuple[Path, list[str]], tmp_path: Path, kind: str
) -> None:
    dataset, canaries = planted
    half = git_half(dataset.parent.parent / kind)
    run(tmp_path, "git", "clone", "--quiet", "--mirror", str(half), "clone")
    assert scanner.scan(tmp_path / "clone", secrets(dataset, canaries)) == {}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_permitted_is_there(
    planted: tuple[Path, list[str]], tmp_path: Path, kind: str
) -> None:
    half = git_half(planted[0].parent.parent / kind)
    run(tmp_path, "datalad", "clone", str(half), "clone")
    clone = tmp_path / "clone"
    run(clone, "datalad", "get", ".")
    files = set(tree_of(clone, "HEAD"))
    bold = "sub-01/func/sub-01_task-rest_bold.nii.gz"
    assert {bold, "sub-01/anat/sub-01_T1w.nii.gz", "participants.tsv"} <= files
    assert (clone / bold).read_bytes() == (planted[0] / bold).read_bytes()
    run(clone, "git", "annex", "fsck")


def git_half(directory: Path) -> Path:
    """The repository in the directory of a sibling or in a RIA store."""
    repo = scanner.repositories(directory)[0]
    return repo.parent if repo.name == ".git" else repo


@pytest.mark.slow
def test_an_adjusted_branch_leaks_no_more(registered: Path) -> None:
    consent(registered, ("sub-01", "given"), ("sub-03", "withdrawn"))
    place = add_path(registered, "mirror", "institution")
    run(registered, "git", "annex", "adjust", "--unlock")
    publish(registered, "mirror")
    withheld = [*world.WITHHELD, *keys_of(registered, "sub-02/", "sub-03/", "sub-04/")]
    assert len(withheld) == 9
    found = scanner.scan(place, [*withheld, "adjusted", "steward@example.org", "consent.tsv"])
    assert found == {}
    assert "sub-01/func/sub-01_task-rest_bold.nii.gz" in tree_of(place)


def test_after_a_withdrawal_the_content_is_gone_and_no_reason_is_told(registered: Path) -> None:
    consent(registered, ("sub-01", "given"), ("sub-02", "given"))
    place = add_path(registered, "mirror", "institution")
    publish(registered, "mirror")
    gone, kept = keys_of(registered, "sub-02/"), keys_of(registered, "sub-01/")
    assert keys_at(place) == gone | kept
    consent(registered, ("sub-02", "withdrawn"))
    publish(registered, "mirror")
    assert keys_at(place) == kept
    assert not any("sub-02" in path for path in tree_of(place))
    assert set(revoked(place)) == gone
    told = scanner.scan(place, ["withdr", "stop-sharing", "sub-03", "sub-04", "consent.tsv"])
    assert told == {}
    # the log says what happened in counts, and nothing of who left
    log = run(place, "git", "log", "--format=%an%ae%cn%ce%B", "main")
    assert "sub-" not in log


@pytest.mark.slow
def test_what_an_old_clone_still_holds_and_how_it_is_purged(registered: Path) -> None:
    """The commands are those of docs/release.md."""
    consent(registered, ("sub-01", "given"), ("sub-02", "given"))
    place = add_path(registered, "mirror", "institution")
    publish(registered, "mirror")
    clone = registered.parent / "old"
    run(registered.parent, "git", "clone", "--quiet", str(place), "old")
    run(clone, "git", "annex", "get", "--quiet", ".")
    gone, kept = keys_of(registered, "sub-02/"), keys_of(registered, "sub-01/")
    consent(registered, ("sub-02", "withdrawn"))
    publish(registered, "mirror")
    run(clone, "git", "pull", "--quiet", "--ff-only")
    assert not (clone / "sub-02").exists()
    assert keys_at(clone) == gone | kept  # all of it is still there
    run(clone, "sh", "-c", purge())
    assert keys_at(clone) == kept
    run(clone, "git", "annex", "fsck", "--quiet")
    assert set(scanner.scan(clone, ["sub-02"])) == {"sub-02"}  # names stay in the history


def revoked(place: Path) -> list[str]:
    return run(place, "git", "show", "main:.datalad/mrishare/revoked.tsv").splitlines()[1:]


class Study:
    """Random changes of consent and data, and an own account of what was ever permitted.

    Each version of a file holds a word of its own; ``released`` are the words that were
    current at a publication while their participant permitted.
    """

    def __init__(self, dataset: Path, seed: int):
        self.dataset, self.random = dataset, random.Random(seed)
        self.people = [f"sub-{n:02d}" for n in range(1, 5)]
        self.labels = {*self.people}
        #: paths of content that stood under another name before
        self.renamed: set[str] = set()
        self.denial: dict[str, str | None] = {}
        self.words: dict[str, dict[str, str]] = {p: {} for p in self.people}
        self.all: set[str] = set()
        self.released: set[str] = set()
        self.ever: set[str] = set()
        self.round = 0

    def step(self) -> None:
        """One round: somebody says something, files come, change and go, a release."""
        self.round += 1
        for person in self.random.sample(self.people[:-1], 2):
            self._say(person)
        if self.round % 4 == 3:  # the last one never permits, under no name
            self._rename(-1)
        if self.round % 6 == 5:
            self._rename(self.random.randrange(3))
        for person in self.people:
            self._move(person)
            self._touch(person)
        run(self.dataset, "git", "annex", "add", "--quiet", ".")
        run(self.dataset, "git", "commit", "--quiet", "-m", f"changes of {' '.join(self.people)}")
        publish(self.dataset, "mirror", at=self.day)
        for person in self.permitting:
            self.ever.add(person)
            self.released |= set(self.words[person].values())

    @property
    def day(self) -> date:
        return date(2026, 1, 1) + timedelta(self.round)

    @property
    def permitting(self) -> set[str]:
        return {p for p, denial in self.denial.items() if denial is None}

    def _rename(self, number: int) -> None:
        """Somebody gets another label, of whom nothing is on record under it."""
        old = self.people[number]
        new = self.people[number] = f"sub-{self.round:d}{old[-1]}"
        run(self.dataset, "git", "mv", old, new)
        for path in tree_of(self.dataset, "HEAD"):
            if path.startswith(f"{old}/"):
                target = path.replace(old, new)
                run(self.dataset, "git", "mv", path.replace(old, new, 1), target)
        files, self.words[old] = self.words[old], {}
        self.words[new] = {path.replace(old, new): word for path, word in files.items()}
        self.renamed |= self.words[new].keys()
        self.labels.add(new)

    def _move(self, person: str) -> None:
        """One of the files gets another name."""
        files = self.words[person]
        if not files:
            return
        path = self.random.choice(sorted(files))
        moved = path.replace("_run-", f"_acq-{self.round}_run-")
        run(self.dataset, "git", "mv", path, moved)
        files[moved] = files.pop(path)

    def _say(self, person: str) -> None:
        token, lifts = f"r{self.round}x{person[4:]}", self.denial.get(person, "")
        if person in self.permitting:
            said, self.denial[person] = "withdrawn\tn/a", token
        else:
            said, self.denial[person] = f"given\t{world.FORM}", None
        head = "record\tparticipant_id\tstate\tform\tfrom\tlifts\n"
        row = f"{token}\t{person}\t{said}\t{self.day}\t{lifts or 'n/a'}\n"
        checkout = Checkout(self.dataset)
        import_consent(checkout, (head + row).encode(), "x.tsv", today=self.day)

    def _touch(self, person: str) -> None:
        files = self.words[person]
        if files and self.random.random() < 0.3:
            path = self.random.choice(sorted(files))
            run(self.dataset, "git", "rm", "--quiet", "--force", path)
            del files[path]
        for kind in self.random.sample(("bold.nii.gz", "bold.json", "T1w.nii.gz"), 2):
            where = "anat" if "T1w" in kind else "func"
            path = f"{person}/{where}/{person}_run-{self.random.randint(1, 2)}_{kind}"
            word = f"word{person[4:]}x{self.round}x{self.random.randrange(10**6)}"
            target = self.dataset / path
            target.unlink(missing_ok=True)
            text = json.dumps({"TaskName": word})
            target.write_bytes(text.encode() if kind.endswith("json") else word.encode() * 50)
            files[path] = word
            self.renamed.discard(path)
            self.all.add(word)


@pytest.mark.parametrize(
    "rounds",
    [pytest.param(4, marks=pytest.mark.sample), pytest.param(20, marks=pytest.mark.slow)],
)
def test_rounds_of_changes_never_tell_of_who_never_permitted(registered: Path, rounds: int) -> None:
    place = add_path(registered, "mirror", "institution")
    study, clones = Study(registered, seed=1), []
    for _ in range(rounds):
        study.step()
        clones.append(registered.parent / f"clone{study.round}")
        run(registered.parent, "git", "clone", "--quiet", str(place), clones[-1].name)
    last = run(place, "git", "rev-parse", "main").strip()
    for clone in clones:
        run(clone, "git", "pull", "--quiet", "--ff-only")
        assert run(clone, "git", "rev-parse", "HEAD").strip() == last
    never = study.all - study.released
    strangers = study.labels - study.ever
    assert len(never) > 2 * rounds and len(study.released) > rounds
    assert {label for label in study.labels if label.endswith("4")} <= strangers
    assert len(strangers) > rounds // 4
    # versions that were never released, and people who never permitted: in no object ever
    assert scanner.scan(place, [*never, *strangers]) == {}
    now = run(place, "git", "log", "-1", "-p", "--format=", "--root", "main")
    assert "consent" not in now
    in_tree = {p for p in tree_of(place) if p.startswith("sub-")}
    ours = {path for p in study.permitting for path in study.words[p]}
    assert in_tree >= ours - study.renamed and len(ours - study.renamed) > 2
    assert {p.split("/")[0] for p in in_tree} <= study.permitting


@pytest.mark.slow
def test_permitted_in_round_3_and_withdrawn_in_round_7(registered: Path) -> None:
    place = add_path(registered, "mirror", "institution")
    consent(registered, ("sub-01", "given"))
    bold = registered / "sub-02/func/sub-02_task-rest_bold.nii.gz"
    held, released, clone = set[str](), set[str](), registered.parent / "old"
    for number in range(1, 9):
        if number in (3, 7):
            consent(registered, ("sub-02", "given" if number == 3 else "withdrawn"))
        bold.unlink()
        bold.write_bytes(f"version {number}".encode() * 9)
        run(registered, "git", "annex", "add", "--quiet", str(bold))
        run(registered, "git", "commit", "--quiet", "-m", f"sub-02 {number}")
        publish(registered, "mirror")
        if 3 <= number < 7:
            released |= keys_of(registered, "sub-02/")
            assert keys_of(registered, "sub-02/") <= keys_at(place)
        if number == 5:
            run(registered.parent, "git", "clone", "--quiet", str(place), "old")
            run(clone, "git", "annex", "get", "--quiet", ".")
            held = keys_at(clone)
    kept = keys_of(registered, "sub-01/")
    assert len(released) == 5 and keys_at(place) == kept  # an image, and four versions of another
    assert not any("sub-02" in path for path in tree_of(place))
    assert set(revoked(place)) == released
    versions = {f"version {number}" for number in range(1, 9)}
    assert scanner.scan(place, versions) == {}
    # the owner of an old clone follows docs/release.md
    run(clone, "git", "pull", "--quiet", "--ff-only")
    assert keys_at(clone) == held and held - kept
    run(clone, "sh", "-c", purge())
    assert keys_at(clone) == kept
    assert scanner.scan(clone, versions) == {}


def purge() -> str:
    """The command of docs/release.md that drops what was revoked."""
    page = (Path(__file__).parents[2] / "docs/release.md").read_text()
    (command,) = (line for line in page.splitlines() if "revoked.tsv |" in line)
    return command


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"a word here", True),
        (gzip.compress(b"a word here", mtime=0), True),
        ("a word here".encode("utf-16"), True),
        (b"nothing", False),
    ],
)
def test_the_scanner_reads_files(tmp_path: Path, content: bytes, found: bool) -> None:
    (tmp_path / "file").write_bytes(content)
    assert (scanner.scan(tmp_path, ["word"]) == {"word": ["file file"]}) == found


@pytest.mark.parametrize("before", ["", "x", "xy", "xyz"])
def test_the_scanner_reads_base64_at_every_alignment(tmp_path: Path, before: str) -> None:
    (tmp_path / "file").write_bytes(base64.b64encode(f"{before}canaryValue!".encode()))
    assert scanner.scan(tmp_path, ["canaryValue"]) == {"canaryValue": ["file file"]}


def test_the_scanner_reads_objects_that_no_ref_names(tmp_path: Path) -> None:
    repo = bare(tmp_path / "repo")
    run(repo, "git", "hash-object", "-w", "--stdin", input=b"a canary")
    assert len(scanner.scan(tmp_path, ["canary"])["canary"]) == 1
