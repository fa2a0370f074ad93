"""What lineage and stewards' statements tell of a file, beyond what its path says.

Most files are nobody's product: one path tells whose they are, and there is nothing to add.
For the others this is the one place where lineage becomes something to decide by. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

from ..consent.scopes import SUFFIXES, FileScope
from ..provenance.activities import IN_GIT
from ..provenance.bids import bids_name
from ..provenance.graph import Lineage
from ..provenance.participants import participants_in_path
from ..provenance.sidecars import DESCRIBING
from ..provenance.statements import Attestation
from ..repo.trees import GITLINK, LINK, Entry

_NOBODY: frozenset[str] = frozenset()


class Source(NamedTuple):
    """A file of a participant that something was made from in the end, by what a record may be
    about: ``scope`` is that of the file.
    """

    participant: str
    scope: FileScope


def _no_sources() -> tuple[Source, ...]:
    return ()


class Origin(NamedTuple):
    """Where a content came from.

    ``people`` are all whose data it holds by lineage: whom its paths ever named, and whom it
    inherits. ``opaque`` is why nobody can tell, in one clause. ``disjoint`` are whom its path
    names and whom it inherits, where these have nobody in common. ``sources`` are asked for
    only where somebody's consent is about some of the files: they are as many as there are.
    """

    people: frozenset[str] = _NOBODY
    opaque: str | None = None
    disjoint: tuple[frozenset[str], frozenset[str]] | None = None
    attested: Attestation | None = None
    sources: Callable[[], tuple[Source, ...]] = _no_sources

    @property
    def tells(self) -> bool:
        """Whether it may hold data of somebody."""
        return bool(self.people) or self.opaque is not None


def node_of(entry: Entry) -> str | None:
    """The content of an entry as lineage names it; None of what has none: links, subdatasets."""
    if entry.key is not None:
        return entry.key
    return None if entry.mode in (GITLINK, LINK) else IN_GIT + entry.oid


class Origins:
    """Answers for every file of a tree.

    Parameters
    ----------
    lineage : Lineage
        What was made from what.
    attested : mapping, optional
        Content -> what a steward says of it.
    """

    def __init__(self, lineage: Lineage, attested: Mapping[str, Attestation] | None = None):
        self.lineage, self.attested = lineage, attested or {}
        #: contents, most of all there are, of which there is nothing to add
        self.silent = frozenset(lineage.nodes) - lineage.beyond_paths() - self.attested.keys()
        self._sources: dict[tuple[str, ...], tuple[Source, ...]] = {}

    def of(self, entry: Entry) -> Origin | None:
        """What there is to add to a file's path; None where that says it all."""
        node = node_of(entry)
        if node is None or entry.path.startswith(".datalad/"):
            return None
        attested = self.attested.get(node)
        if node in self.silent:
            return None
        lineage, inherited = self.lineage, self.lineage.inherited(node)
        opaque, now = lineage.opaque(node), participants_in_path(entry.path)
        describing = is_describing(entry) and lineage.is_shared(node)
        people = inherited if describing else lineage.participants(node)
        disjoint = None if describing else lineage.contradiction(node)
        if disjoint is None and not describing and now and inherited and now.isdisjoint(inherited):
            disjoint = now, inherited
        tells = bool(opaque or disjoint or attested) or not people <= now
        if not tells and not inherited:  # else its sources may be asked about
            return None
        sources = partial(self.sources, node) if inherited else _no_sources
        return Origin(people, opaque, disjoint, attested, sources)

    def sources(self, node: str) -> tuple[Source, ...]:
        """What a content was made from in the end: files that were not made from data."""
        lineage = self.lineage
        # what the same steps made has the same sources
        makers = tuple(activity.token for activity in lineage.made_by(node))
        found = self._sources.get(makers)
        if found is None:
            first = (a for a in lineage.ancestors(node) if not lineage.inherited(a))
            paths = sorted({path for a in first for path in lineage.paths(a)})
            found = tuple(
                Source(who, _scope(path)) for path in paths for who in participants_in_path(path)
            )
            self._sources[makers] = found
        return found


def _scope(path: str) -> FileScope:
    name = bids_name(path)
    suffix = name.suffix if name.suffix in SUFFIXES else None
    return FileScope(name.ses or None, name.datatype or None, suffix, path)


def is_describing(entry: Entry) -> bool:
    """Whether it is a sidecar in git.

    Where such text was the same for several participants at once only what it inherits counts,
    also when it is moved up then: that it once stood with somebody does not make it theirs.
    """
    return entry.key is None and entry.path.endswith(DESCRIBING)
