"""Each filter the other way round: switched off, the scan finds what it keeps away.

A canary that no filter keeps away never enters a release: a plain push of the dataset is what
tells it. Together they are all canaries there are.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from builders import run
from leaks import scanner, world
from mirrors import add_path, publish

from datalad_mrishare.repo import release as release_repository
from datalad_mrishare.repo import trees
from datalad_mrishare.repo.worktree import Checkout
from datalad_mrishare.sharing import facts, releases, snapshot, verdicts
from datalad_mrishare.sharing.looked import Looked
from datalad_mrishare.sharing.siblings import declare

Patch = pytest.MonkeyPatch


def people(patch: Patch) -> None:
    patch.setattr(verdicts.Judge, "people", lambda *_: ())


def mentions(patch: Patch) -> None:
    for name in ("found", "in_path"):
        patch.setattr(releases.Mentions, name, lambda *_: None)
    patch.setattr(releases, "against", lambda *_: None)


def tables(patch: Patch) -> None:
    """No rows and columns are told apart, nor whose they are."""
    people(patch)
    mentions(patch)
    patch.setattr(facts, "is_table", lambda *_: False)


def labels_alone(patch: Patch) -> None:
    """What is called ``03`` in JSON is nobody."""
    patch.setattr(releases.Mentions, "in_json", lambda *_: frozenset())


def entries(patch: Patch) -> None:
    mentions(patch)
    patch.setattr(releases, "rewritten", lambda *_: None)


def contents(patch: Patch) -> None:
    patch.setattr(snapshot, "look", lambda *_: Looked())


def places(patch: Patch) -> None:
    """Every directory may leave, whoever can be named for it."""
    contents(patch)
    patch.setattr(facts, "_EXCLUDED_PARTS", frozenset())


def identity(patch: Patch) -> None:
    name, mail = world.STEWARD
    who = {"AUTHOR_NAME": name, "AUTHOR_EMAIL": mail}
    who |= {"COMMITTER_NAME": name, "COMMITTER_EMAIL": mail}
    neutral = release_repository.NEUTRAL | {f"GIT_{k}": v for k, v in who.items()}
    patch.setattr(release_repository, "NEUTRAL", neutral)


def names_of_keys(patch: Patch) -> None:
    people(patch)
    patch.setattr(verdicts, "is_checksum", lambda _: True)


def links(patch: Patch) -> None:
    patch.setattr(facts, "LINK", "not a mode")


def pointers(patch: Patch) -> None:
    loose = rb"(/annex/objects/(?P<pointer>[^/\n]+)\n?|.*/annex/objects/.*/(?P<name>[^/\n]+)\n?)"
    patch.setattr(trees, "POINTER", trees.re.compile(loose))


class Off(NamedTuple):
    """A filter and how to switch it off; ``told`` then, by words as in ``world``."""

    switch: Callable[[Patch], None]
    told: str
    policy: str = "policy: institution\ncommons: [canaryPolicy*]\n"


EVERYTHING = "policy: institution\ncommons: ['*']\n"
FILTERS = (
    Off(
        people,
        "file name/directory name/two people/both in name/row refused/row withdrawn/row unknown"
        "/phenotype/scans/json value/json key/descrip/aux file/header extension/unlocked file"
        "/table of two in a name of one",
    ),
    Off(tables, "row without data/label without sub/column twice/uneven rows/sessions"),
    Off(
        mentions,
        "capital in name/scan row/column name/escaped mention/readme/capitals/wide characters"
        "/bidsignore/annexed text/header mention",
    ),
    Off(entries, "json by participant"),
    Off(contents, "misplaced dicom/annexed text/header mention"),
    Off(
        contents,
        "own descrip/own aux/own it/own db/own extension/own behind/own gap/own name in gzip"
        "/own saved by hand",
        "policy: institution\ndeid: pseudonymised\n",
    ),
    Off(
        places,
        "sourcedata/code/dicom in sourcedata/run command/run sidecar/directory of nobody"
        "/text of nobody/annexed readme/submodule path",
        EVERYTHING,
    ),
    Off(labels_alone, "list of names", EVERYTHING),
    Off(names_of_keys, "name in a key"),
    Off(links, "link target"),
    Off(pointers, "absolute link"),
)
PLAIN = (
    "config/author name/author mail/commit subject/commit body/deleted name/deleted content/branch"
    "/tag message/tag/git note/stash content/stash message/run message/description/metadata own"
    "/metadata other/metadata with space own/metadata with space other/url 0/url 1"
    "/embedded credentials/account in a configuration/evidence given/evidence refused/policy"
    "/directory of the dataset"
)

#: in the configuration of the dataset's own repository, which no push sends
LOCAL = "special remote"


def named(words: str) -> set[str]:
    return {"canary" + "".join(w.capitalize() for w in p.split()) for p in words.split("/")}


def released(dataset: Path, policy: str) -> Path:
    place = add_path(dataset, "mir", "institution")
    file = dataset.parent / "policy.yaml"
    file.write_text(policy)
    declare(Checkout(dataset), "mir", str(file))
    publish(dataset, "mir")
    return place


@pytest.mark.slow
@pytest.mark.parametrize(
    "off", FILTERS, ids=lambda off: f"{off.switch.__name__}{off.policy[-9:-1]}"
)
def test_without_a_filter_the_scan_finds_what_it_keeps_away(
    copied: tuple[Path, list[str]], monkeypatch: Patch, off: Off
) -> None:
    dataset, _ = copied
    for cached in (facts._excluded, facts._directory):
        cached.cache_clear()
    off.switch(monkeypatch)
    try:
        place = released(dataset, off.policy)
    finally:
        for cached in (facts._excluded, facts._directory):
            cached.cache_clear()
    wanted = named(off.told)
    assert wanted - scanner.scan(place, wanted).keys() == set()


@pytest.mark.slow
def test_without_a_neutral_identity(copied: tuple[Path, list[str]], monkeypatch: Patch) -> None:
    dataset, _ = copied
    identity(monkeypatch)
    place = released(dataset, FILTERS[0].policy)
    assert scanner.scan(place, world.STEWARD).keys() == set(world.STEWARD)
    own = own_repository(dataset)
    # where git-annex receives, it makes a directory that is named after who sends, and leaves it
    # there empty; no clone gets to see it
    found = scanner.scan(place, {own}).get(own, [])
    assert [where for where in found if not where.startswith("name annex/transfer/")] == []


def messages(patch: Patch, dataset: Path) -> None:
    """The commits of a release say what those of the dataset do."""
    said = run(dataset, "git", "log", "--all", "--format=%B")
    patch.setattr(releases.ReleaseTree, "message", property(lambda _: said))


def branches(patch: Patch, dataset: Path) -> None:
    """The branch of a release is called like one of the dataset."""
    (name,) = named("branch")
    patch.setattr(release_repository, "BRANCH", name)


def descriptions(patch: Patch, dataset: Path) -> None:
    """A release repository tells of itself, as every repository of git-annex does."""
    git, annex = release_repository.git, release_repository.annex

    def not_private(cwd: Path, *args: str, **more: object) -> bytes:
        return b"" if args == ("config", "annex.private", "true") else git(cwd, *args, **more)

    def described(cwd: Path, *args: str, **more: object) -> bytes:
        return annex(cwd, *(("init",) if args == ("init", "release") else args), **more)

    patch.setattr(release_repository, "git", not_private)
    patch.setattr(release_repository, "annex", described)


def own_repository(dataset: Path) -> str:
    """The uuid of the repository that a release is made in."""
    return run(dataset / ".git/mrishare/mir", "git", "config", "annex.uuid").strip()


@pytest.mark.slow
def test_where_a_release_is_named_like_its_dataset(
    copied: tuple[Path, list[str]], monkeypatch: Patch
) -> None:
    dataset, _ = copied
    for off in (messages, branches, descriptions):
        off(monkeypatch, dataset)
    place = released(dataset, FILTERS[0].policy)
    wanted = named("commit subject/commit body/branch/directory of the dataset")
    wanted.add(own_repository(dataset))
    assert wanted - scanner.scan(place, wanted).keys() == set()


@pytest.mark.slow
def test_what_never_enters_a_release_is_told_by_a_plain_push(
    copied: tuple[Path, list[str]], tmp_path: Path
) -> None:
    dataset, _ = copied
    file = dataset.parent / "policy.yaml"
    add_path(dataset, "mir", "institution")
    file.write_text(FILTERS[0].policy)
    declare(Checkout(dataset), "mir", str(file))
    run(tmp_path, "git", "init", "--quiet", "--bare", "plain")
    push = ("git", "push", "--quiet", "--no-verify")
    run(dataset, *push, "--mirror", str(tmp_path / "plain"))
    run(dataset, *push, str(tmp_path / "plain"), "refs/stash:refs/heads/stash")
    assert scanner.scan(dataset / ".git", named(LOCAL)).keys() == named(LOCAL)
    wanted = named(PLAIN)
    assert wanted - scanner.scan(tmp_path / "plain", wanted).keys() == set()


@pytest.mark.slow
def test_every_canary_is_kept_away_by_something(world_template: tuple[Path, list[str]]) -> None:
    _, canaries = world_template
    covered = named("/".join([PLAIN, LOCAL, *(off.told for off in FILTERS)])) | set(world.STEWARD)
    assert set(canaries) - covered == set() and covered - set(canaries) == set()
    assert len(canaries) == len(set(canaries)) > 80
