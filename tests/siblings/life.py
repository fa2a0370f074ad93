"""What every kind of sibling has to live through, told once.

Declared empty, filled with what two of four participants permit, cloned by a stranger,
relieved of the one who withdraws, and served on after its release repository was deleted.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from builders import run
from leaks import scanner, world
from mirrors import consent, keys_of, lent, publish, told

from datalad_mrishare.repo.remotes import remotes
from datalad_mrishare.repo.worktree import Checkout
from datalad_mrishare.sharing.siblings import declare

BOLD = "sub-01/func/sub-01_task-rest_bold.nii.gz"


@dataclass(frozen=True)
class Kind:
    """A kind of sibling: ``held`` are the keys it has, ``clone`` is what a stranger types."""

    dataset: Path
    #: everything on the storage's disk
    directory: Path
    held: Callable[[], set[str]]
    #: words before the name of the directory of the clone
    clone: Callable[[], list[str]]
    get: tuple[str, ...] = ("git", "annex", "get", ".")
    #: what it is declared with, shared and kept
    policy: str = "institution"
    own: str = "backup"

    def permitted(self, *participants: str) -> set[str]:
        """Keys of these participants, and of what everybody may have."""
        others = {f"sub-0{n}/" for n in range(1, 5)} - {f"{p}/" for p in participants}
        return keys_of(self.dataset, "") - keys_of(self.dataset, *others)

    def withheld(self, *participants: str) -> list[str]:
        """What must be found nowhere at the sibling, nor in any clone of it."""
        uuid = run(self.dataset, "git", "config", "annex.uuid").strip()
        keys = keys_of(self.dataset, *(f"{p}/" for p in participants))
        assert len(keys) >= 2 * len(participants)
        return [*participants, *keys, uuid, str(self.dataset), "consent.tsv", "siblings.yaml"]

    def steward(self) -> list[str]:
        """Who made the sibling; a clone is made by the same account of this machine."""
        return ["Test Steward", "steward@example.org", *world.host()]

    def unbundled(self) -> Path:
        """The objects of the git half, where it lies among the content as bundles."""
        repo = self.directory.parent / "unbundled"
        run(repo.parent, "git", "init", "--quiet", "--bare", repo.name)
        found = [p for p in self.directory.rglob("GITBUNDLE-*") if p.is_file()]
        for bundle in sorted(found, key=lambda p: p.stat().st_mtime_ns):
            run(repo, "git", "bundle", "unbundle", str(bundle))
        return repo

    def stranger(self, name: str) -> Path:
        """A clone by somebody who knows the URL and nothing else."""
        place = self.directory.parent / name
        run(place.parent, *self.clone(), name)
        run(place, "git", "config", "user.name", "stranger")
        run(place, "git", "config", "user.email", "stranger@example.org")
        run(place, *self.get)
        return place


def share(kind: Kind) -> Path:
    """The first half: declared, published, cloned; returns the clone."""
    dataset = kind.dataset
    given = (("sub-01", "given"), ("sub-02", "given"))
    consent(dataset, *given, ("sub-03", "withdrawn"))
    assert declare(Checkout(dataset), "mir", kind.policy).moved
    assert remotes(dataset) == {}
    told(dataset)
    withheld = kind.withheld("sub-03", "sub-04")
    assert kind.held() == kind.permitted("sub-01", "sub-02")
    assert scanner.scan(kind.directory, [*withheld, *kind.steward()]) == {}
    assert scanner.scan(kind.unbundled(), [*withheld, *kind.steward()]) == {}
    assert {key for key in lent(dataset, "mir") if not key.startswith("GIT")} == set()

    clone = kind.stranger("stranger")
    assert (clone / BOLD).read_bytes() == (dataset / BOLD).read_bytes()
    assert run(clone, "git", "annex", "find", "--not", "--in=here") == ""
    assert scanner.scan(clone, withheld) == {}
    return clone


def live(kind: Kind) -> None:
    """All of it, with what is expected after each step."""
    clone, dataset = share(kind), kind.dataset
    consent(dataset, ("sub-02", "withdrawn"))
    told(dataset)
    assert kind.held() == kind.permitted("sub-01")

    shutil.rmtree(dataset / ".git/mrishare/mir")
    assert publish(dataset, "mir")[-1].changed is False
    assert kind.held() == kind.permitted("sub-01")
    (dataset / "README").write_text("another word\n")
    run(dataset, "git", "commit", "--quiet", "-m", "reword", "README")
    told(dataset)
    run(clone, "git", "pull", "--quiet", "--ff-only", "origin", "main")
    assert (clone / "README").read_text() == "another word\n"
    assert not (clone / "sub-02").exists()


def keep(kind: Kind, *names: str) -> None:
    """The same for own storage: all of it, in full, and ordinary remotes as before."""
    consent(kind.dataset, ("sub-01", "given"), ("sub-03", "withdrawn"))
    assert not declare(Checkout(kind.dataset), "mir", kind.own).moved
    publish(kind.dataset, "mir")
    assert kind.held() == keys_of(kind.dataset, "")
    assert {*names} <= remotes(kind.dataset).keys()
    assert publish(kind.dataset, "mir")[-1].changed is False
    clone = kind.stranger("mine")
    assert run(clone, "git", "annex", "find", "--not", "--in=here") == ""
