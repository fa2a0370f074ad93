"""What is withheld, gathered so that a person can read it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ..repo.trees import Entry
from .facts import Kind, some_of
from .plans import natural
from .reports import WithheldReport
from .verdicts import Reason, Verdict

#: these say that something has to be mended; the others that a rule was applied
_PROBLEMS = frozenset(("contradiction", "finding", "identity", "machine", "mention", "table"))
#: what nobody expects to leave needs no line of its own
_SILENT = frozenset((".datalad",))


@dataclass
class _Group:
    reason: Reason
    files: int = 0
    size: int = 0
    example: str = ""


def files_withheld(verdicts: Iterable[Verdict]) -> int:
    """How many files are withheld, without those that nobody expects to leave."""
    return sum(1 for v in verdicts if v.facts.path.split("/", 1)[0] not in _SILENT)


def group_withheld(verdicts: Iterable[Verdict]) -> Iterator[WithheldReport]:
    """One report for each who and first reason, in a stable order."""
    groups: dict[tuple[str, str], _Group] = {}
    for v in verdicts:
        top = v.facts.path.split("/", 1)[0]
        if top in _SILENT:
            continue
        for reason in _distinct(v.reasons):
            who = reason.participant or some_of(v.facts.participants) or top
            group = groups.setdefault((who, reason.sentence), _Group(reason, example=v.facts.path))
            group.files += 1
            group.size += v.facts.size or 0
    for (who, sentence), group in sorted(groups.items(), key=lambda g: natural(g[0][0])):
        yield WithheldReport(
            who=who,
            component=group.reason.component,
            sentence=sentence,
            remedy=group.reason.remedy,
            files=group.files,
            size=group.size,
            problem=group.reason.component in _PROBLEMS,
            example=group.example,
        )


def withheld_blobs(verdicts: Iterable[Verdict]) -> dict[str, Entry]:
    """Blob -> an entry of git that is withheld and somebody's, and permitted under no other path.

    A table or JSON of a release is written anew, and may come to say what a withheld one says.
    """
    found, permitted = {}, set()
    for v in verdicts:
        entry = v.facts.entry
        if v.permit:
            permitted.add(entry.oid)
        elif v.facts.participants and v.facts.kind is not Kind.TABLE and _is_own_data(entry):
            found[entry.oid] = entry
    return {oid: entry for oid, entry in found.items() if oid not in permitted}


def _is_own_data(entry: Entry) -> bool:
    return entry.key is None and entry.size > 0 and not entry.path.endswith(".json")


def _distinct(reasons: Iterable[Reason]) -> list[Reason]:
    """The first reason of each participant: one is enough to see that it stays."""
    first: dict[str | None, Reason] = {}
    for reason in reasons:
        first.setdefault(reason.participant, reason)
    return list(first.values())
