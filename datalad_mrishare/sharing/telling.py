"""Lineage in sentences, for the steward."""

from __future__ import annotations

from ..provenance.activities import Activity
from ..provenance.graph import Lineage
from ..provenance.participants import participants_in_path


def how_it_holds(lineage: Lineage, node: str, participant: str) -> str | None:
    """How a content comes to hold data of a participant whom its path does not name.

    Returns
    -------
    str or None
        One sentence without a full stop; None where lineage does not say that it does.
    """
    if participant in lineage.inherited(node):
        for activity in lineage.made_by(node):
            sources = [n for n in activity.inputs if participant in lineage.participants(n)]
            if sources:
                # one that says so by its name, where there is such
                told = min(sources, key=lambda n: (not _named(lineage, n, participant), n))
                source = _path(lineage, told, participant)
                return (
                    f"it was made from {source} {by(activity)}, which holds data of {participant}"
                )
    places = [p for p in lineage.paths(node) if participant in participants_in_path(p)]
    if places:
        return f"its content stood at {places[0]!r}, which is of {participant}"
    return None


def by(activity: Activity) -> str:
    """Who or what says so: a commit, a statement, a compute remote."""
    word, _, rest = activity.token.partition(":")
    if activity.kind in ("run", "merge", "boundary") and not rest:
        return f"by commit {activity.token[:10]}"
    return f"by {word} {rest}" if rest else f"by {activity.token}"


def _named(lineage: Lineage, node: str, participant: str) -> bool:
    return any(participant in participants_in_path(p) for p in lineage.paths(node))


def _path(lineage: Lineage, node: str, participant: str) -> str:
    places = lineage.paths(node)
    named = [p for p in places if participant in participants_in_path(p)]
    return repr((named or list(places) or [node])[0])
