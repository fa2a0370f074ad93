"""Text in git that describes measurements, and is the same for many participants.

A protocol is one for everybody, so the sidecars of a sequence are often the same bytes with each
participant, and BIDS has them moved up when they are (BIDS 1.11, "The inheritance
principle"). As contents they are one. Taken for data of all whom a path of it names, the
first of them that goes into a run would bring everybody into the derivatives of each. That
holds for what stood with several at once: what stood with one after the other may have been
renamed. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable

from .activities import IN_GIT
from .participants import participants_in_path

#: how the names of such files end
DESCRIBING = (".json", ".bval", ".bvec", "_events.tsv")


def describes(node: str, path: str) -> bool:
    """Whether a content at a path is a sidecar in git."""
    return node.startswith(IN_GIT) and path.endswith(DESCRIBING)


def sidecars_of_several(places: Iterable[tuple[str, str]]) -> frozenset[str]:
    """Sidecars in git that stood with two participants or more, at once or one after the other.

    Parameters
    ----------
    places : iterable of (str, str)
        Content and path, for every path in any commit.

    Returns
    -------
    frozenset of str
        Contents that stood nowhere but in sidecars.

    >>> places = [("git:a", "sub-01/sub-01_bold.json"), ("git:a", "sub-02/sub-02_bold.json"),
    ...           ("git:b", "sub-01/sub-01_bold.json"), ("git:b", "task-x_bold.json"),
    ...           ("git:c", "sub-01/x.json"), ("git:c", "sub-02/x.svg")]
    >>> sorted(sidecars_of_several(places))
    ['git:a']
    """
    with_: dict[str, frozenset[str]] = {}
    others: set[str] = set()
    for node, path in places:
        if not node.startswith(IN_GIT):
            continue
        if path.endswith(DESCRIBING):
            with_[node] = with_.get(node, frozenset()) | participants_in_path(path)
        else:
            others.add(node)
    return frozenset(n for n, people in with_.items() if len(people) > 1) - others


def with_several(places: Iterable[tuple[str, str]]) -> frozenset[str]:
    """Contents that stand with two participants or more, ``places`` being those of one tree.

    >>> sorted(with_several([("git:a", "sub-01/x.json"), ("git:a", "sub-02/x.json"),
    ...                      ("git:b", "sub-01_sub-02.json"), ("git:b", "x.json")]))
    ['git:a']
    """
    first: dict[str, frozenset[str]] = {}
    found: set[str] = set()
    for node, path in places:
        people = participants_in_path(path)
        if people and first.setdefault(node, people) != people:
            found.add(node)
    return frozenset(found)
