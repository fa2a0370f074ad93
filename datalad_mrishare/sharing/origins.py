"""What lineage and stewards' statements tell of a file, beyond what its path says.

Most files are nobody's product: one path tells whose they are, and there is nothing to add.
For the others this is the one place where lineage becomes something to decide by. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from ..provenance.activities import IN_GIT
from ..provenance.graph import Lineage
from ..provenance.participants import participants_in_path
from ..provenance.sidecars import DESCRIBING
from ..provenance.statements import Attestation
from ..repo.trees import GITLINK, LINK, Entry

_NOBODY: frozenset[str] = frozenset()


class Origin(NamedTuple):
    """Where a content came from.

    ``people`` are all whose data it holds by lineage: whom its paths ever named, and whom it
    inherits. ``opaque`` is why nobody can tell, in one clause. ``disjoint`` are whom its path
    names and whom it inherits, where these have nobody in common.
    """

    people: frozenset[str] = _NOBODY
    opaque: str | None = None
    disjoint: tuple[frozenset[str], frozenset[str]] | None = None
    attested: Attestation | None = None

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
        describing = is_describing(entry)
        people = inherited if describing else lineage.participants(node)
        disjoint = None if describing else lineage.contradiction(node)
        if disjoint is None and not describing and now and inherited and now.isdisjoint(inherited):
            disjoint = now, inherited
        if opaque is None and disjoint is None and attested is None and people <= now:
            return None
        return Origin(people, opaque, disjoint, attested)


def is_describing(entry: Entry) -> bool:
    """Whether it is a sidecar in git, of which only what it inherits counts.

    Such text is the same for many participants, and is moved up when it is: that it once stood
    with somebody does not make it theirs.
    """
    return entry.key is None and entry.path.endswith(DESCRIBING)
