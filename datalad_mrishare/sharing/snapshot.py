"""The whole state that a decision rests on, read in a handful of processes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

from .. import __version__
from ..consent.resolution import Registry
from ..errors import NotRegistered, RepoError
from ..provenance.participants import participants_in_path
from ..repo.annexbranch import BRANCH, KeyLogs, Values, read_field, read_logs, refresh
from ..repo.events import is_registered
from ..repo.history import annexed_in_history
from ..repo.process import git_succeeds, git_text, meanwhile
from ..repo.trees import Entry, read_blobs, read_tree
from ..repo.worktree import Checkout
from .facts import Facts, facts_of
from .policies import SIBLINGS_FILE, Policy, load_policies
from .registry import load_registry, outside_digest, read_file_at
from .tables import people_in

_FINDING = "mri-finding"


@dataclass(frozen=True)
class Snapshot:
    """A commit of the steward's dataset with everything that decides about it.

    ``reading`` waits for what registration found, which is being read already.
    """

    checkout: Checkout
    commit: str
    entries: tuple[Entry, ...]
    registry: Registry
    policies: Mapping[str, Policy]
    reading: Callable[[], Mapping[str, Values]] | None = None

    @cached_property
    def keys(self) -> frozenset[str]:
        """Every key in the tree."""
        return frozenset(e.key for e in self.entries if e.key)

    @cached_property
    def logs(self) -> KeyLogs:
        """Locations and metadata of every key, also of those that are in no tree any more."""
        return read_logs(self.checkout.path)

    @cached_property
    def older(self) -> tuple[Entry, ...]:
        """Paths at which older versions stood whose content is still somewhere."""
        blobs = {e.oid for e in self.entries if e.key}
        past = annexed_in_history(self.checkout.path, blobs)
        there = self.logs.locations
        return tuple(e for e in past if e.key not in self.keys and there.get(e.key or ""))

    @cached_property
    def findings(self) -> dict[str, str]:
        """Key -> what registration found wrong with it."""
        found = self.reading() if self.reading else read_field(self.checkout.path, _FINDING)
        return {key: ", ".join(sorted(words)) for key, words in found.items()}

    @cached_property
    def listed(self) -> frozenset[str]:
        """Participants in the top ``participants.tsv``."""
        content = read_file_at(self.checkout, self.commit, "participants.tsv")
        # also of a table that is not well formed: whom nobody knows nobody can keep out of texts
        people = people_in(content) if content else ()
        return frozenset(p for p in people if participants_in_path(p) == {p})

    @cached_property
    def with_data(self) -> frozenset[str]:
        """Participants that some path names."""
        return frozenset().union(*{participants_in_path(e.path) for e in self.entries})

    @property
    def participants(self) -> frozenset[str]:
        """Everyone whom the dataset or the registry knows."""
        return self.listed | self.with_data | self.registry.participants

    def facts(self, commons: Sequence[str] = ()) -> list[Facts]:
        """Facts about every file; the same list each time for the same patterns."""
        patterns = tuple(commons)
        if patterns not in self._facts:
            self._facts[patterns] = facts_of(self.entries, self.contents, self.findings, patterns)
        return self._facts[patterns]

    @cached_property
    def _facts(self) -> dict[tuple[str, ...], list[Facts]]:
        return {}

    def contents(self, entries: Sequence[Entry]) -> dict[str, bytes]:
        """Content of files in git by blob id."""
        return dict(read_blobs(self.checkout.path, dict.fromkeys(e.oid for e in entries)))


def dataset_id(checkout: Checkout, commit: str) -> str | None:
    """DataLad's id of the dataset as committed."""
    try:
        return git_text(
            checkout.path,
            *("config", f"--blob={commit}:.datalad/config", "--get", "datalad.dataset.id"),
        )
    except RepoError:
        return None


def require_registered(checkout: Checkout) -> None:
    """Raise :class:`NotRegistered` unless the dataset is registered."""
    if not is_registered(checkout.path):
        raise NotRegistered(
            "is not registered, so nobody knows whose data is in it",
            where=str(checkout.path),
            remedy=f"Register it: datalad mrishare-register {checkout.path}",
        )


@dataclass(frozen=True)
class Basis:
    """All that a decision rests on, told by names of contents: while they stay, so does it.

    ``commit`` is that of the branch, ``annex`` that of git-annex, ``outside`` a digest of
    a registry outside the dataset.
    """

    commit: str
    annex: str
    outside: str

    def digest(self, *more: str) -> str:
        """One word for the basis, this version of the software, and whatever else is asked."""
        words = [__version__, self.commit, self.annex, self.outside, *more]
        return hashlib.sha256(json.dumps(words).encode()).hexdigest()


def read_basis(checkout: Checkout) -> Basis:
    """The state of the checked-out branch (of the one behind an adjusted branch).

    Raises
    ------
    NotRegistered
        When the dataset is not registered.
    """
    require_registered(checkout)
    checkout.settle()
    refresh(checkout.path, checkout.identity)
    branch = f"refs/heads/{checkout.plain_branch()}"
    if not git_succeeds(checkout.path, "rev-parse", "-q", "--verify", branch):
        raise NotRegistered("has no commit yet", where=str(checkout.path))
    commit = git_text(checkout.path, "rev-parse", branch)
    annex = git_text(checkout.path, "rev-parse", "-q", "--verify", BRANCH, ok=(0, 1))
    return Basis(commit, annex, outside_digest(checkout))


def take_snapshot(checkout: Checkout, basis: Basis | None = None) -> Snapshot:
    """Read the state of ``basis``, default: of now.

    Raises
    ------
    NotRegistered
        When the dataset is not registered.
    InputError
        When the registry or the policies cannot be understood.
    """
    basis = basis or read_basis(checkout)
    commit = basis.commit
    reading = None
    if basis.annex:  # git looks into the logs while links are looked at; who decides needs both
        reading = meanwhile(partial(read_field, checkout.path, _FINDING, basis.annex))
    siblings = read_file_at(checkout, commit, SIBLINGS_FILE)
    return Snapshot(
        checkout=checkout,
        commit=commit,
        entries=tuple(read_tree(checkout.path, commit, checkout.ours / "links")),
        registry=load_registry(checkout, commit),
        policies=load_policies(siblings.decode("utf-8", "replace") if siblings else None),
        reading=reading,
    )
