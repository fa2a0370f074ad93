"""The whole state that a decision rests on, read in a handful of processes."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property, partial

from .. import __version__
from ..consent.resolution import Registry
from ..errors import NotRegistered, RepoError
from ..provenance.graph import Lineage
from ..provenance.participants import PLAIN_LABEL, participants_in_path, participants_in_paths
from ..provenance.reading import read_lineage
from ..provenance.statements import DIRECTORY as STATEMENTS
from ..provenance.statements import Statement, attested, parse_statements
from ..repo.annexbranch import BRANCH, KeyLogs, Values, read_field, read_logs, refresh
from ..repo.events import is_registered
from ..repo.history import annexed_in_history
from ..repo.process import git_succeeds, git_text, meanwhile
from ..repo.trees import LINK, Entry, read_blobs, read_directory, read_tree
from ..repo.worktree import Checkout
from .facts import Facts, facts_of, may_be_looked_into, stays_here, with_told
from .looked import Looked, look
from .origins import Origins
from .policies import SIBLINGS_FILE, Policy, load_policies
from .registry import load_registry, outside_digest, read_file_at
from .tables import people_in

_FINDING = "mri-finding"


@dataclass(frozen=True)
class Snapshot:
    """A commit of the steward's dataset with everything that decides about it.

    ``reading`` waits for what registration found, ``tracing`` for the lineage: both are being
    read already.
    """

    checkout: Checkout
    commit: str
    entries: tuple[Entry, ...]
    registry: Registry
    policies: Mapping[str, Policy]
    reading: Callable[[], Mapping[str, Values]] | None = None
    tracing: Callable[[], Lineage] | None = None

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
        found = self.reading() if self.reading else _findings(self.checkout, BRANCH)
        return {key: ", ".join(sorted(words)) for key, words in found.items()}

    @cached_property
    def listed(self) -> frozenset[str]:
        """Participants in the top ``participants.tsv``."""
        content = read_file_at(self.checkout, self.commit, "participants.tsv")
        # also of a table that is not well formed: whom nobody knows nobody can keep out of texts
        people = people_in(content) if content else ()
        return frozenset(p for p in people if p in participants_in_path(f"{p}/"))

    @cached_property
    def with_data(self) -> frozenset[str]:
        """Participants that some path names."""
        found = participants_in_paths(e.path for e in self.entries)
        odd = {who for who in found if not PLAIN_LABEL.fullmatch(who)}
        if not odd:
            return found
        # sub-01-dicoms.zip in sourcedata is nobody who could have a record
        told = participants_in_paths(e.path for e in self.entries if not stays_here(e.path))
        return (found - odd) | (told & odd)

    @property
    def participants(self) -> frozenset[str]:
        """Everyone whom the dataset or the registry knows."""
        return self.listed | self.with_data | self.registry.participants

    @cached_property
    def looked(self) -> Looked:
        """What contents tell beside their data, of those that could leave."""
        commons = {pattern for policy in self.policies.values() for pattern in policy.commons}
        could = [e for e in self.entries if may_be_looked_into(e, commons)]
        memory, path = self.checkout.ours / "looked.json", self.checkout.path

        def metadata() -> Mapping[str, Mapping[str, Values]]:
            return read_logs(path, locations=False).metadata

        return look(could, metadata, self.checkout.objects, memory, self.contents)

    @cached_property
    def lineage(self) -> Lineage:
        """What was made from what, in the whole history."""
        return self.tracing() if self.tracing else _trace(self.checkout, self.commit)

    @cached_property
    def statements(self) -> tuple[Statement, ...]:
        """What stewards stated; an :class:`InputError` where that cannot be understood."""
        found = read_directory(self.checkout.path, self.commit, STATEMENTS)
        return parse_statements(found)

    def origins(self, known: date | None = None) -> Origins:
        """What lineage adds to paths, and attestations recorded up to ``known``."""
        if known not in self._origins:
            self._origins[known] = Origins(self.lineage, attested(self.statements, known))
        return self._origins[known]

    def people(self, entry: Entry) -> frozenset[str]:
        """Everyone whom a path names, now or ever, or whom its content inherits."""
        origin, named = self.origins().of(entry), participants_in_path(entry.path)
        return named if origin is None else named | origin.people

    def facts(
        self, commons: Sequence[str] = (), *, known: date | None = None, looking: bool = False
    ) -> list[Facts]:
        """Facts about every file; the same list each time for the same question.

        Parameters
        ----------
        commons : sequence of str
            Patterns of further commons.
        known : date, optional
            Only attestations recorded up to this day count.
        looking : bool
            With what contents tell beside their data, which matters to whoever decides about a
            sibling beyond own storage.
        """
        asked = tuple(commons), known, looking
        if asked not in self._facts:
            texts, findings, origins = self.contents, self.findings, self.origins(known)
            found = facts_of(self.entries, texts, findings, asked[0], origins)
            self._facts[asked] = with_told(found, self.looked.told) if looking else found
        return self._facts[asked]

    def former(self, keys: Iterable[str]) -> list[Facts]:
        """Facts about content that is in the tree no more, one for each path that it stood at."""
        gone = [key for key in keys if key not in self.keys]
        entries = [
            Entry(path, LINK, "", 0, key) for key in gone for path in self.lineage.paths(key)
        ]
        return facts_of(entries, lambda _: {}, self.findings, (), self.origins())

    @cached_property
    def _facts(self) -> dict[tuple[tuple[str, ...], date | None, bool], list[Facts]]:
        return {}

    @cached_property
    def _origins(self) -> dict[date | None, Origins]:
        return {}

    def contents(self, entries: Sequence[Entry]) -> dict[str, bytes]:
        """Content of files in git by blob id."""
        return dict(read_blobs(self.checkout.path, dict.fromkeys(e.oid for e in entries)))


def _findings(checkout: Checkout, ref: str) -> Mapping[str, Values]:
    return read_field(checkout.path, _FINDING, ref, checkout.ours / "findings")


def _trace(
    checkout: Checkout, commit: str, tree: Callable[[], Iterable[Entry]] | None = None
) -> Lineage:
    """The lineage; links of ``tree``, which is being read, are not read a second time."""

    def links() -> Mapping[str, str]:
        return {e.oid: e.key for e in tree() if e.key} if tree else {}

    cache = checkout.ours / "lineage"
    return read_lineage(checkout.path, commit=commit, cache=cache, links=links)


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
            remedy=f"Register it: datalad mrishare-register {shlex.quote(str(checkout.path))}",
        )


@dataclass(frozen=True)
class Basis:
    """All that a decision rests on, told by names of contents: while they stay, so does it.

    ``commit`` is that of the branch, ``annex`` that of git-annex, ``outside`` a digest of
    a registry outside the dataset, ``history`` one of all branches and tags: any of them may hold
    a record of what something was made from.
    """

    commit: str
    annex: str
    outside: str
    history: str = ""

    def digest(self, *more: str) -> str:
        """One word for the basis, this version of the software, and whatever else is asked."""
        words = [__version__, self.commit, self.annex, self.outside, self.history, *more]
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
    return Basis(commit, annex, outside_digest(checkout), _history(checkout))


def _history(checkout: Checkout) -> str:
    """A digest of all branches, fetched ones too, and tags, but not of git-annex's own."""
    form = "--format=%(refname) %(objectname)"
    every = ("refs/heads", "refs/tags", "refs/remotes")
    listed = git_text(checkout.path, "for-each-ref", form, *every)
    lines = (line for line in listed.split("\n") if not _ANNEX.match(line))
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


_ANNEX = re.compile(r"refs/(heads|remotes)/((.*/)?git-annex|(.*/)?synced/.*) ")


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
        reading = meanwhile(partial(_findings, checkout, basis.annex))
    tree = meanwhile(partial(read_tree, checkout.path, commit, checkout.ours / "links"))
    tracing = meanwhile(partial(_trace, checkout, commit, tree))
    siblings = read_file_at(checkout, commit, SIBLINGS_FILE)
    return Snapshot(
        checkout=checkout,
        commit=commit,
        entries=tuple(tree()),
        registry=load_registry(checkout, commit),
        policies=load_policies(siblings.decode("utf-8", "replace") if siblings else None),
        reading=reading,
        tracing=tracing,
    )
