"""Which contents were made from which, and whose data each of them therefore holds.

Contents and activities are two kinds of points with edges from one kind to the other. Two
observations keep this small enough for a million files:

* Most contents were only ever put there. What they inherit is nothing, so they take part
  in no search; they only bring their own participants.
* What a content inherits depends on who made it and on nothing else. All contents that the
  same activities made are one *batch* and share one answer, so that the search is over
  activities and batches, of which there are as many as commands that were run.
* Commands are run again and again on the same: one after the other on all files of a
  participant. What went into an activity is a *bundle*, and each is kept once.

Batches that lead to one another in a circle (a run undone by another, a file toggled back
and forth) are one component and share one answer as well, which is the least that satisfies
all of them; components are found by Tarjan's algorithm (1972), so the cost is linear whatever
the order and the shape. Sets of participants are integers, one bit a person.
"""

from __future__ import annotations

import sys
from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator
from functools import reduce
from operator import and_, or_

from ..repo.collector import collector_at_rest
from .activities import Activity, is_trivial
from .components import components
from .evidence import Evidence
from .participants import participants_in_key, participants_in_path

_RAW = -1
"""The batch of what nothing made."""

_NOBODY = sys.maxsize
"""The activity that spoilt what is not spoilt."""


class Lineage:
    """All contents, where they ever stood, what made them; and the answers that follow.

    A content is named as in :mod:`~datalad_mrishare.provenance.activities`. Of one that no
    commit holds nobody can tell anything: it has no participants, and it is opaque.
    """

    def __init__(self) -> None:
        self._activities: tuple[Activity, ...] = ()
        # a content: its number, its name, the paths it stood at, whom they name, who made it
        self._number: dict[str, int] = {}
        self._names: list[str] = []
        self._paths: list[str | dict[str, None]] = []
        self._own: list[int] = []
        self._batch: list[int] = []
        # a bundle: numbers of what went in together, and the activities that it went into
        self._bundles: list[list[int]] = []
        self._users: list[list[int]] = []
        # an activity: its bundle, and numbers of what came out
        self._inputs: list[int] = []
        self._outputs: list[list[int]] = []
        # a content: the bundles that it is in, in their order
        self._within: dict[int, list[int]] = {}
        # a batch: who made it, whom it inherits, how well that is known, who spoilt it
        self._makers: list[tuple[int, ...]] = []
        self._inherited: list[int] = []
        self._evidence: list[Evidence] = []
        self._spoilt: list[int] = []
        # a participant: the number of its bit
        self._bits: dict[str, int] = {}
        self._people: list[str] = []
        self._sets: dict[int, frozenset[str]] = {0: frozenset()}
        self._alike: dict[int, list[int]] = {}
        self._shared: set[int] = set()

    @classmethod
    def build(
        cls,
        activities: Iterable[Activity],
        paths: Iterable[tuple[str, str]],
        shared: Collection[str] = (),
    ) -> Lineage:
        """The graph of what was done and of every path that a content ever stood at.

        Parameters
        ----------
        activities : iterable of Activity
            In any order; one that names the same token as another counts as well.
        paths : iterable of (str, str)
            Content and path, for every path in any commit.
        shared : collection of str
            Contents that are nobody's wherever they stood, see :mod:`.sidecars`. They only
            inherit, and not even that where several made the same of people of whom nobody
            is common to all: then it depends on none of them.
        """
        graph = cls()
        with collector_at_rest():
            graph._place(paths)
            graph._shared = {at for n in shared if (at := graph._number.get(n)) is not None}
            for at in graph._shared:
                graph._own[at] = min(graph._own[at], 0)
            graph._connect(activities)
            graph._settle()
            graph._index()
        return graph

    # -- building ------------------------------------------------------------------------

    def _place(self, paths: Iterable[tuple[str, str]]) -> None:
        number, own, places = self._number, self._own, self._paths
        masks: dict[frozenset[str], int] = {frozenset(): 0}
        for node, path in paths:
            named = participants_in_path(path)
            mask = masks.get(named)
            if mask is None:
                mask = masks[named] = self._mask(named)
            at = number.get(node)
            if at is None:
                at = self._add(node)
                places[at] = path
                if own[at] >= 0:  # else it is nobody's, whatever its paths say
                    own[at] = own[at] | mask if own[at] else mask  # one object for many
                continue
            if own[at] >= 0 and own[at] | mask != own[at]:
                own[at] |= mask
            there = places[at]
            if isinstance(there, str):
                if there != path:
                    places[at] = {there: None, path: None}
            else:
                there[path] = None

    def _add(self, node: str) -> int:
        at = self._number[node] = len(self._names)
        self._names.append(node)
        self._paths.append("")
        self._batch.append(_RAW)
        # the name of some keys (WORM, URL) is that of the file they were made from
        named = participants_in_key(node) if "sub-" in node else None
        own = self._mask(named) if named else 0
        self._own.append(-1 if is_trivial(node) else own)
        return at

    def _mask(self, people: Iterable[str]) -> int:
        mask = 0
        for person in people:
            bit = self._bits.get(person)
            if bit is None:
                bit = self._bits[person] = len(self._people)
                self._people.append(person)
            mask |= 1 << bit
        return mask

    def _connect(self, activities: Iterable[Activity]) -> None:
        self._activities = tuple(activities)
        makers: dict[int, list[int]] = {}
        known: dict[tuple[str, ...], int] = {}
        for number, activity in enumerate(self._activities):
            bundle = known.get(activity.inputs)
            if bundle is None:
                bundle = known[activity.inputs] = self._bundle(activity.inputs)
            self._inputs.append(bundle)
            self._users[bundle].append(number)
            # what went in and came out was not made: it was moved, or copied, or left alone
            came_out = [at for at in self._numbers(activity.outputs) if not self._is_in(at, bundle)]
            self._outputs.append(came_out)
            for at in came_out:
                makers.setdefault(at, []).append(number)
        batches: dict[tuple[int, ...], int] = {}
        for at, made in makers.items():
            if at in self._shared and self._independent(made):
                continue
            self._batch[at] = batches.setdefault(tuple(made), len(batches))
        self._makers = list(batches)

    def _independent(self, made: Collection[int]) -> bool:
        """Whether several made the same of data that has nobody in common."""
        masks = [reduce(or_, (self._own[at] for at in self._went_into(a)), 0) for a in made]
        return len(masks) > 1 and all(masks) and not reduce(and_, masks)

    def _bundle(self, nodes: Collection[str]) -> int:
        """A new one."""
        bundle = len(self._bundles)
        numbers, within = self._numbers(nodes), self._within
        self._bundles.append(numbers)
        self._users.append([])
        for at in numbers:
            found = within.get(at)
            if found is None:
                within[at] = [bundle]
            else:
                found.append(bundle)
        return bundle

    def _is_in(self, at: int, bundle: int) -> bool:
        found = self._within.get(at, ())
        place = bisect_left(found, bundle)
        return place < len(found) and found[place] == bundle

    def _went_into(self, activity: int) -> list[int]:
        return self._bundles[self._inputs[activity]]

    def _numbers(self, nodes: Collection[str]) -> list[int]:
        """Contents by number, each once, without those of no bytes."""
        number = self._number
        for node in nodes:
            if node not in number:
                self._add(node)
        own = self._own
        return [at for at in dict.fromkeys(map(number.__getitem__, nodes)) if own[at] >= 0]

    def _settle(self) -> None:
        """What each batch inherits, from the first to the last."""
        count = len(self._makers)
        made = [[count + a for a in makers if self._tells(a)] for makers in self._makers]
        # points: the batches, then the activities
        batches = [sorted({self._batch[at] for at in w} - {_RAW}) for w in self._bundles]
        own = [reduce(or_, {self._own[at] for at in w}, 0) for w in self._bundles]
        parents = made + [batches[bundle] for bundle in self._inputs]
        brought = [0] * count + [own[bundle] for bundle in self._inputs]
        evidence = [Evidence.COMPUTED] * count + [a.evidence for a in self._activities]
        spoilt = [_NOBODY] * count
        spoilt += [
            number if activity.evidence is Evidence.OPAQUE else _NOBODY
            for number, activity in enumerate(self._activities)
        ]
        for together in components(parents):
            leading = {parent for point in together for parent in parents[point]}
            leading.update(together)
            inherited = reduce(or_, (brought[point] for point in leading), 0)
            weakest = min(evidence[point] for point in leading)
            spoiler = min(spoilt[point] for point in leading)
            for point in together:
                brought[point], evidence[point], spoilt[point] = inherited, weakest, spoiler
        self._inherited, self._evidence, self._spoilt = (
            brought[:count],
            evidence[:count],
            spoilt[:count],
        )

    def _tells(self, activity: int) -> bool:
        """Whether it says anything of what came out; one where nothing went in does not."""
        known = self._activities[activity].evidence is not Evidence.OPAQUE
        return not known or bool(self._went_into(activity))

    def _index(self) -> None:
        """All contents of the same people together, for questions about a person."""
        pairs: dict[tuple[int, int], list[int]] = {}
        for at, pair in enumerate(zip(self._own, self._batch, strict=True)):
            found = pairs.get(pair)
            if found is None:
                pairs[pair] = [at]
            else:
                found.append(at)
        for (own, batch), found in pairs.items():
            people = 0 if own < 0 else own | self._inherits(batch)
            self._alike.setdefault(people, []).extend(found)

    def _inherits(self, batch: int) -> int:
        return 0 if batch == _RAW else self._inherited[batch]

    # -- asking --------------------------------------------------------------------------

    @property
    def nodes(self) -> tuple[str, ...]:
        """Every content, whether it stood somewhere or is only said to have been used."""
        return tuple(self._names)

    @property
    def activities(self) -> tuple[Activity, ...]:
        """Everything that was done, as given."""
        return self._activities

    def __contains__(self, node: object) -> bool:
        return node in self._number

    def participants(self, node: str) -> frozenset[str]:
        """Whom a content holds data of: whom its paths ever named, and all it inherits."""
        at = self._number.get(node)
        if at is None or self._own[at] < 0:
            return frozenset()
        return self._set(self._own[at] | self._inherits(self._batch[at]))

    def inherited(self, node: str) -> frozenset[str]:
        """Whom it inherits from what it was made from."""
        at = self._number.get(node)
        return frozenset() if at is None else self._set(self._inherits(self._batch[at]))

    def is_shared(self, node: str) -> bool:
        """Whether it is a sidecar that several have, of which only what it inherits counts."""
        return self._number.get(node) in self._shared

    def evidence(self, node: str) -> Evidence:
        """The weakest on the way from any source.

        A content that nothing made is a source itself: asserted when a path names
        somebody, else opaque, although :meth:`opaque` has no more to say of it.
        """
        at = self._number.get(node)
        if at is None:
            return Evidence.OPAQUE
        batch = self._batch[at]
        if batch == _RAW or not any(map(self._tells, self._makers[batch])):
            return Evidence.ASSERTED if self._own[at] > 0 else Evidence.OPAQUE
        return self._evidence[batch]

    def opaque(self, node: str) -> str | None:
        """Why nobody can tell whose it is, in one clause; None when somebody can."""
        at = self._number.get(node)
        if at is None:
            return None if is_trivial(node) else "it is in no commit that was read"
        batch = self._batch[at]
        if batch == _RAW or self._spoilt[batch] == _NOBODY:
            return None
        cause = self._spoilt[batch]
        why = self._activities[cause].why or "nobody can tell what it was made from"
        if cause in self._makers[batch]:
            return why
        return f"it was made from {self._shown(cause)}, and of that {why}"

    def _shown(self, activity: int) -> str:
        """One path of what an activity made."""
        for at in self._outputs[activity]:
            for path in self.paths(self._names[at]):
                return f"'{path}'"
        return "something"

    def contradiction(self, node: str) -> tuple[frozenset[str], frozenset[str]] | None:
        """Whom the paths name and whom it inherits, when these have nobody in common."""
        at = self._number.get(node)
        if at is None or self._own[at] <= 0:
            return None
        own, inherited = self._own[at], self._inherits(self._batch[at])
        if not inherited or own & inherited:
            return None
        return self._set(own), self._set(inherited)

    def made_by(self, node: str) -> tuple[Activity, ...]:
        """What it came out of, also records that tell nothing of what went in."""
        at = self._number.get(node)
        if at is None or self._batch[at] == _RAW:
            return ()
        return tuple(self._activities[a] for a in self._makers[self._batch[at]])

    def used_by(self, node: str) -> tuple[Activity, ...]:
        """What it went into."""
        found = sorted(self._steps_from(self._number.get(node, -1)))
        return tuple(self._activities[a] for a in found)

    def _steps_from(self, at: int) -> Iterator[int]:
        """The activities that a content went into."""
        return (a for bundle in self._within.get(at, ()) for a in self._users[bundle])

    def ancestors(self, node: str) -> frozenset[str]:
        """All that it was made from, in one step or more; itself only where a circle leads back."""
        at = self._number.get(node)
        if at is None:
            return frozenset()
        found: set[int] = set()
        seen: set[int] = set()
        open_ = [at]
        while open_:
            batch = self._batch[open_.pop()]
            for step in () if batch == _RAW else self._makers[batch]:
                if step not in seen:
                    seen.add(step)
                    fresh = set(self._went_into(step)) - found
                    found |= fresh
                    open_.extend(fresh)
        return frozenset(self._names[at] for at in found)

    def descendants(self, nodes: Iterable[str]) -> frozenset[str]:
        """All that was made from any of them, in one step or more."""
        found: set[int] = set()
        seen: set[int] = set()
        open_ = [at for node in nodes if (at := self._number.get(node)) is not None]
        while open_:
            for bundle in self._within.get(open_.pop(), ()):
                if bundle not in seen:
                    seen.add(bundle)
                    made = (at for step in self._users[bundle] for at in self._outputs[step])
                    fresh = set(made) - found
                    found |= fresh
                    open_.extend(fresh)
        return frozenset(self._names[at] for at in found)

    def of(self, participant: str) -> frozenset[str]:
        """Every content, in every version, that holds data of a participant."""
        bit = self._bits.get(participant)
        if bit is None:
            return frozenset()
        names = self._names
        groups = (found for people, found in self._alike.items() if people >> bit & 1)
        return frozenset(names[at] for found in groups for at in found)

    def paths(self, node: str) -> tuple[str, ...]:
        """Every path at which it ever stood, in the order in which that was read."""
        at = self._number.get(node)
        found = "" if at is None else self._paths[at]
        return ((found,) if found else ()) if isinstance(found, str) else tuple(found)

    def beyond_paths(self) -> frozenset[str]:
        """Contents of which there is more to say than one path does.

        Something made them, or they stood at several paths. Who asks about every file of a
        dataset need not ask about the others.
        """
        together = zip(self._names, self._batch, self._paths, strict=True)
        return frozenset(n for n, batch, at in together if batch != _RAW or not isinstance(at, str))

    def people(self) -> frozenset[str]:
        """Everybody whom a path or the name of a key names."""
        return frozenset(self._people)

    def _set(self, mask: int) -> frozenset[str]:
        """The participants of a bitset; one object for all contents of the same people."""
        found = self._sets.get(mask)
        if found is None:
            found = frozenset(self._people[bit] for bit in _bits_of(mask))
            self._sets[mask] = found
        return found


def _bits_of(mask: int) -> Iterator[int]:
    while mask:
        lowest = mask & -mask
        yield lowest.bit_length() - 1
        mask ^= lowest
