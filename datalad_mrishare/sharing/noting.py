"""What may leave, and of which a person has to know before it does or while it is there. Pure.

::

    in git      files of participants that are in git: a push of those cannot be undone
    to decide   anonymous results with data of somebody who withdrew since that was attested
    opaque      files of which nobody can tell whose data they hold, and everybody permits them
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from ..consent.resolution import Resolver
from .anonymous import undecided
from .facts import Facts, Kind, some_of
from .reports import NotedReport
from .verdicts import Verdict

#: text that BIDS has beside each image, and that is in git everywhere
_BESIDE = (".json", ".bval", ".bvec", ".tsv")


def notes(
    facts: Iterable[Facts], verdicts: Sequence[Verdict], resolver: Resolver, *, first: bool
) -> Iterator[NotedReport]:
    """Everything that there is to say.

    Parameters
    ----------
    facts : iterable of Facts
        About every file, with all whom lineage counts.
    verdicts : sequence of Verdict
        What was decided about them for one sibling.
    resolver : Resolver
        The records of the day.
    first : bool
        Whether nothing was ever published there.
    """
    going = [v.facts for v in verdicts if v.permit]
    if first and (paths := [f.path for f in going if _stays_in_git(f)]):
        yield NotedReport(
            "in git",
            "of participants are in git and not in the annex, so they can never be taken back"
            " from there once they are published",
            "Put them into the annex where that may be needed: git rm --cached FILE, then"
            " git annex add --force-large FILE, and datalad save",
            paths,
        )
    waiting = list(undecided(facts, resolver))
    fates = {f.path: "It stays until you decide" for f in going} if waiting else {}
    for v in verdicts if waiting else ():
        if any(r.component == "undecided" for r in v.reasons):
            fates[v.facts.path] = "It is not there yet, and does not go there until you decide"
    for found in waiting:
        if found.path in fates:
            yield NotedReport(
                "to decide",
                f"attested anonymous with data of {some_of(found.participants)}, of whom there is a"
                f" denial since. {fates[found.path]}",
                "Let it be there: datalad mrishare-attest PATH --deid anonymous --evidence TEXT;"
                " take it back: the same with --deid identifiable, then publish again",
                [found.path],
                problem=True,
            )
    if paths := [f.path for f in going if f.origin is not None and f.origin.opaque]:
        yield NotedReport(
            "opaque",
            "of which nobody can tell whose data they hold go there, because everybody permits it"
            " (the policy's `opaque: everyone`)",
            "",
            paths,
        )


def _stays_in_git(facts: Facts) -> bool:
    if facts.entry.key is not None or facts.kind is not Kind.DATA or not facts.participants:
        return False
    made = facts.path.startswith("derivatives/")
    return not facts.path.endswith(_BESIDE) or (made and facts.path.endswith(".tsv"))
