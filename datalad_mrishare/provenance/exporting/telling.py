"""From a lineage to an account, for the steward or for a sibling. Pure.

For a sibling an account is a function of what its release holds: the test of this module makes
the same dataset with and without somebody who is withheld, and compares bytes. So

* a file is told when it is in the release, by the paths that it has there;
* a step is told when it made something of the release, and with that part alone; one that
  also touches somebody withheld only when it made something of somebody who is not;
* what leaves as anonymous is told without its origin, which is what anonymity hides;
* commands are told as :class:`~datalad_mrishare.privacy.commands.Wording` has it, and neither
  times (a scan is often converted on its day), nor commits, nor descriptions at all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from ...privacy.commands import Tool, Wording, program_of, scrub, tool_of
from ...repo.keys import key_size
from ..activities import IN_GIT, Activity, is_trivial
from ..evidence import Evidence
from ..graph import Lineage
from .account import (
    About,
    Account,
    Place,
    ToldActivity,
    ToldFile,
    ToldTool,
    checksum_of,
    in_utc,
    readable,
    uid_of,
)

#: what was done, by the kind of its record; what is not here is no step but a gap in the history
KINDS = {
    "run": "command",
    "compute": "computation by git-annex",
    "statement": "statement of the data steward",
    "sources": "sources named in a sidecar",
    "generated": "generation named in a description",
}
_COMMANDS = frozenset(("run", "compute"))
#: a content of another dataset, that is known by its BIDS URI only
_BY_NAME = "bids:"
#: said of every command that is told to a sibling, so that it says nothing of any of them
_ABRIDGED = ", told without values"


@dataclass(frozen=True)
class Permitted:
    """What a sibling may be told.

    Parameters
    ----------
    paths : mapping
        Content -> its paths in the release.
    people : frozenset of str
        Participants with a file in it.
    anonymous : frozenset of str
        Contents that leave as anonymous.
    named : callable
        Text -> something true when it names who may not be named.
    """

    paths: Mapping[str, Sequence[str]]
    people: frozenset[str]
    anonymous: frozenset[str]
    named: Callable[[str], object]


def tell_sibling(lineage: Lineage, permitted: Permitted, about: About) -> Account:
    """The account for a sibling: nothing but what its release holds anyway, and what ties it."""
    released = [path for paths in permitted.paths.values() for path in paths]
    wording = Wording(released, permitted.named)
    draft = _Draft()
    for node, paths in permitted.paths.items():
        draft.place(node, paths, Place.PRESENT, salt="")
    for activity in lineage.activities:
        if activity.kind not in KINDS or activity.evidence is Evidence.OPAQUE:
            continue
        made = _permitted_outputs(lineage, permitted, activity)
        if not made:
            continue
        used = [n for n in activity.inputs if _tellable(lineage, permitted, n)]
        ran = activity.kind in _COMMANDS
        tools = [wording.tool(one) for one in activity.software]
        program = wording.program(activity.what) if ran else ""
        draft.add(
            activity,
            used=used,
            made=made,
            command=wording.command(activity.what) if ran else "",
            kind=KINDS[activity.kind] + (_ABRIDGED if ran else ""),
            tools=_tools(program, (tool for tool in tools if tool)),
        )
    return draft.account(about)


def _permitted_outputs(lineage: Lineage, permitted: Permitted, activity: Activity) -> list[str]:
    """What a step made of the release; nothing when the step is to be passed over."""
    before = frozenset(activity.inputs)
    made = [n for n in activity.outputs if n not in before and _tellable(lineage, permitted, n)]
    people = [lineage.participants(n) for n in (*activity.inputs, *activity.outputs)]
    if all(who <= permitted.people for who in people):
        return made
    # a record that is also about somebody withheld, or made the same bytes as one that is,
    # has to be about somebody else by itself
    alone = (lineage.participants(n) for n in made)
    return made if any(who and who <= permitted.people for who in alone) else []


def _tellable(lineage: Lineage, permitted: Permitted, node: str) -> bool:
    """Whether a content may be tied to a step.

    The same bytes may also stand at a path of somebody withheld (a table of gradients): that
    ties nobody. What was made from somebody withheld does.
    """
    there = node in permitted.paths and node not in permitted.anonymous
    return there and not is_trivial(node) and lineage.inherited(node) <= permitted.people


def tell_steward(
    lineage: Lineage,
    current: Mapping[str, Sequence[str]],
    about: About,
    roots: Sequence[str] = (),
    below: Sequence[str] = (),
    as_recorded: bool = False,
) -> Account:
    """The account for the steward: every version and everybody.

    Parameters
    ----------
    lineage : Lineage
        Everything.
    current : mapping
        Content -> its paths in the commit that is told about.
    about : About
        The dataset.
    roots : sequence of str
        Where the dataset lies, as commands may call it.
    below : sequence of str
        Paths of its subdatasets.
    as_recorded : bool
        Leave addresses and paths of the machine in commands.
    """

    def word(text: str) -> str:
        return readable(text if as_recorded else scrub(text, roots))

    draft, inside = _Draft(), tuple(f"{path}/" for path in below)
    told = [a for a in lineage.activities if a.kind in KINDS]
    for node, paths in current.items():
        draft.place(node, paths, Place.PRESENT, node, _evidence(lineage, node))
    for node in dict.fromkeys(n for a in told for n in (*a.inputs, *a.outputs)):
        if node not in current:
            paths = () if node.startswith(_BY_NAME) else lineage.paths(node)
            place = _place(paths, inside)
            draft.place(node, paths or (word(node),), place, node, _evidence(lineage, node))
    for activity in told:
        what = word(activity.what)
        before = frozenset(activity.inputs)
        program = program_of(what) if activity.kind in _COMMANDS else ""
        tools = [tool_of(word(one)) for one in activity.software]
        draft.add(
            activity,
            used=activity.inputs,
            made=[n for n in activity.outputs if n not in before],
            command=what if activity.kind in _COMMANDS else "",
            kind=KINDS[activity.kind],
            tools=_tools(program, tools),
            when=in_utc(activity.when),
            record=readable(activity.token),
            why=word(activity.why if activity.kind in _COMMANDS else activity.what),
        )
    return draft.account(about)


def _place(paths: Sequence[str], inside: tuple[str, ...]) -> Place:
    """Where a content is that the commit does not have itself."""
    if not paths:
        return Place.ELSEWHERE
    return Place.BELOW if all(path.startswith(inside) for path in paths) else Place.PAST


def _evidence(lineage: Lineage, node: str) -> str:
    return lineage.evidence(node).word if lineage.made_by(node) else ""


def _tools(program: str, tools: Iterable[Tool]) -> list[Tool]:
    """The program of a command, and what else is named, each once."""
    found = list(dict.fromkeys(tools))
    if program and program not in {tool.name for tool in found}:
        found.insert(0, Tool(program, "", False))
    return found


def _path_and_uid(file: ToldFile) -> tuple[str, str]:
    return file.path, file.uid


class _Draft:
    """An account while it is put together."""

    def __init__(self) -> None:
        self._files: dict[str, ToldFile] = {}
        self._tools: dict[Tool, ToldTool] = {}
        self._activities: list[ToldActivity] = []

    def place(
        self, node: str, paths: Sequence[str], place: Place, salt: str, evidence: str = ""
    ) -> None:
        first, *also = sorted(paths)
        size = None if node.startswith(IN_GIT) else key_size(node)
        uid = uid_of(first, salt, digits=16)
        self._files[node] = ToldFile(
            uid, first, tuple(also), place, checksum_of(node), size, evidence
        )

    def add(
        self,
        activity: Activity,
        used: Iterable[str],
        made: Iterable[str],
        command: str,
        kind: str,
        tools: Sequence[Tool],
        when: str = "",
        record: str = "",
        why: str = "",
    ) -> None:
        for tool in tools:
            uid = uid_of(tool.name, tool.version, str(tool.container))
            self._tools.setdefault(tool, ToldTool(uid, *tool))
        label = next((f"{t.name} {t.version}".strip() for t in tools), KINDS[activity.kind])
        self._activities.append(
            ToldActivity(
                uid="",
                label=label,
                kind=kind,
                evidence=activity.evidence.word,
                command=command,
                used=self._by_path(used),
                made=self._by_path(made),
                tools=tuple(dict.fromkeys(self._tools[t].uid for t in tools)),
                when=when,
                record=record,
                why=why,
            )
        )

    def _by_path(self, nodes: Iterable[str]) -> tuple[str, ...]:
        files = {self._files[node] for node in nodes}
        return tuple(file.uid for file in sorted(files, key=_path_and_uid))

    def account(self, about: About) -> Account:
        """Everything in an order that depends on nothing but what is told."""
        files = sorted(self._files.values(), key=_path_and_uid)
        rank = {file.uid: number for number, file in enumerate(files)}
        activities = sorted(self._activities, key=lambda a: ([rank[u] for u in a.made], a))
        times: Counter[ToldActivity] = Counter()
        named = []
        for activity in activities:  # what was told twice was done twice
            times[activity] += 1
            uid = uid_of(repr(activity), str(times[activity]))
            named.append(activity._replace(uid=uid))
        tools = sorted(self._tools.values(), key=lambda tool: tool[1:])
        return Account(about, tuple(files), tuple(named), tuple(tools))
