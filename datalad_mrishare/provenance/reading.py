"""Read the lineage of a dataset: its history, its subdatasets, and what was said beside.

Each dataset is read by itself (``recorded``) and kept for the next time (``kept``). Here
comes together what takes more than one of them: inputs in a subdataset at the commit it had
then, records of the dataset in the commits of its subdatasets, and what is no part of
history but stands beside the files now: BIDS metadata, the records of compute remotes,
stewards' statements.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from ..repo.collector import collector_at_rest
from ..repo.commits import ALOOF, read_changes
from ..repo.computed import is_computed, read_computed
from ..repo.contents import Contents, Links
from ..repo.installed import Place, commit_named, place_of, subdataset
from ..repo.migrated import read_migrated
from ..repo.signed import read_signed, write_signed
from ..repo.trees import GITLINK, object_sizes, read_directory
from ..repo.treewalk import DIRECTORY as FOLDER
from ..repo.treewalk import Found, Listing, TooMuch, Trees
from .activities import IN_GIT, Activity
from .asserted import read_asserted
from .evidence import Evidence
from .graph import Lineage
from .inputs import Elsewhere, Resolver, missing_input, node_of
from .kept import decode, encode
from .recorded import Moved, Recorded, Step, changed_contents, read_recorded
from .same import known_by_all_names, places_by_other_names, same_contents
from .sidecars import sidecars_of_several, with_several
from .statements import DIRECTORY, Derivation, Seal, Statement, parse_statements
from .unmade import Unmade

#: subdatasets of subdatasets
_DEEPEST = 16
_PURPOSE = "lineage"


def read_lineage(
    path: Path,
    *,
    commit: str = "HEAD",
    cache: Path | None = None,
    links: Links | None = None,
) -> Lineage:
    """The lineage of all that ever stood in the dataset at ``path``, its subdatasets included.

    Nothing is written but the cache, nothing fetched, and nothing executed that the
    dataset brings along.

    Parameters
    ----------
    commit : str
        Where stewards' statements and BIDS metadata are read; the history is that of all
        branches and tags, and of this commit.
    cache : Path, optional
        A private file for what was read, so that the next time only new commits are. Of
        subdatasets a file of the same name is kept in each.
    links : callable, optional
        Which key blobs of this dataset are, as far as somebody reads that anyway; asked in the
        thread that reads, when there are many.

    Raises
    ------
    RepoError
        When some of the history is missing.
    InputError
        When a steward's statement cannot be understood.
    """
    with collector_at_rest():
        top = _open(place_of(path), path.resolve(), "", commit, cache, 0, links)
        every = list(top.all())
        named: list[tuple[str, str]] = []
        activities: list[Activity] = []
        records: dict[str, Activity] = {}
        for dataset in every:
            activities += dataset.settled(records)
            activities += _computed(dataset.place.path, dataset.recorded.places)
            for activity, known_by_name in read_asserted(
                dataset.place.path, dataset.listed, dataset.recorded.places
            ):
                activities.append(activity)
                named += known_by_name
        statements = list(chain.from_iterable(dataset.statements() for dataset in every))
        places = [*chain(*(dataset.places() for dataset in every)), *named]
        shared = _shared(every, places)
        migrated = chain.from_iterable(
            (*read_migrated(dataset.place.path), *dataset.recorded.same) for dataset in every
        )
        same = same_contents(_contents(places, activities, statements), migrated, shared)
        activities = known_by_all_names(_sealed(activities, statements), same)
        stated = known_by_all_names(_stated(statements), same)
        activities = _overruled(activities, stated) + stated
        places += places_by_other_names(places, same)
        if activities or named:
            graph = Lineage.build(activities, places, shared)
        else:
            graph = Unmade(places, shared)
        for dataset in every:
            dataset.close()
    return graph


@dataclass
class _Dataset:
    """A dataset as read, ``prefix`` being its path in the topmost one with a slash behind."""

    place: Place
    prefix: str
    commit: str | None
    recorded: Recorded
    listed: Listing
    subdatasets: dict[str, _Dataset] = field(default_factory=dict)
    trees: Trees | None = None
    contents: Contents | None = None
    resolver: Resolver | None = None
    #: subdataset -> commits that were asked for, and those that it has
    commits_below: dict[str, tuple[set[str], frozenset[str]]] = field(default_factory=dict)

    def all(self) -> Iterator[_Dataset]:
        """This and all below, those above first."""
        yield self
        for dataset in self.subdatasets.values():
            yield from dataset.all()

    def places(self) -> Iterable[tuple[str, str]]:
        """Contents and where they ever stood, as seen from the topmost dataset."""
        if not self.prefix:
            return self.recorded.places
        return ((node, self.prefix + path) for node, path in self.recorded.places)

    def statements(self) -> tuple[Statement, ...]:
        if self.commit is None:
            return ()
        files = read_directory(self.place.path, self.commit, DIRECTORY)
        return parse_statements((self.prefix + path, content) for path, content in files)

    def opened(self) -> tuple[Trees, Contents, Resolver]:
        """What looks into its trees."""
        if self.trees is None or self.contents is None or self.resolver is None:
            self.trees, self.contents = Trees(self.place.path), Contents(self.place.path)
            self.resolver = Resolver(self.trees, self.contents, {})
        return self.trees, self.contents, self.resolver

    def close(self) -> None:
        if self.trees is not None:
            self.trees.__exit__(None, None, None)

    # -- what takes several datasets -----------------------------------------------------

    def settled(self, records: dict[str, Activity]) -> list[Activity]:
        """Its activities; ``records`` are those of the datasets above, and become more."""
        found: list[Activity] = []
        moved = self._outputs_below()
        for step in self.recorded.steps:
            activity = step.activity
            if step.foreign:
                above = records.get(step.record)
                if above is not None:  # the same run, seen from the dataset it was run in
                    activity = above._replace(token=activity.token, outputs=activity.outputs)
            else:
                activity = self._with_elsewhere(step)
                if step.moved:
                    below = [moved[move] for move in step.moved if move in moved]
                    found += (
                        activity._replace(outputs=made, evidence=Evidence.OPAQUE, why=why)
                        for made, why in below
                        if why
                    )
                    more = chain(*(made for made, why in below if not why))
                    made = tuple(dict.fromkeys((*activity.outputs, *more)))
                    activity = activity._replace(outputs=made)
                if step.record:
                    records[step.record] = activity
            found.append(activity)
        return found

    def _with_elsewhere(self, step: Step) -> Activity:
        activity = step.activity
        if not step.elsewhere:
            return activity
        inputs = dict.fromkeys(activity.inputs)
        why = activity.why
        met: dict[str, bool] = {}
        for asked in step.elsewhere:
            found, unknown = self._below(asked)
            inputs.update(dict.fromkeys(found))
            why = why or unknown
            met[asked.of] = met.get(asked.of, not asked.of) or bool(found)
        for pattern, is_met in met.items():
            why = why or ("" if is_met else missing_input(pattern))
        evidence = Evidence.OPAQUE if why else activity.evidence
        return activity._replace(inputs=tuple(inputs), evidence=evidence, why=why)

    def _below(self, asked: Elsewhere) -> tuple[tuple[str, ...], str]:
        """The contents that an input in a subdataset was, and why not all of them are known."""
        there = self._with_commit(asked.subdataset, asked.commit)
        path = self.prefix + asked.subdataset
        if there is None:
            return (), f"its inputs in '{path}' are not known here (datalad get -n {path})"
        trees, contents, resolver = there.opened()
        tree = trees.root(asked.commit)
        if tree is None:
            return (), f"'{path}' does not have the commit {asked.commit[:10]} that it used"
        inputs = resolver.look(tree, asked.pattern)
        found = dict.fromkeys(node_of(oid, contents) for oid in inputs.blobs)
        why = inputs.why
        for deeper in inputs.elsewhere:
            more, unknown = there._below(deeper)
            found.update(dict.fromkeys(more))
            why = why or unknown
        return tuple(found), why

    def _outputs_below(self) -> Mapping[Moved, tuple[tuple[str, ...], str]]:
        """What runs of this dataset made in its subdatasets, and why that is not known."""
        found: dict[Moved, tuple[tuple[str, ...], str]] = {}
        for move in dict.fromkeys(move for step in self.recorded.steps for move in step.moved):
            there = self._with_commit(move.subdataset, move.after)
            if there is None:
                continue
            path = self.prefix + move.subdataset
            try:
                found[move] = there._made(move, path)
            except TooMuch:
                every = dict.fromkeys(node for node, _ in there.recorded.places)
                found[move] = tuple(every), f"'{path}' has more than can be looked through"
        return found

    def _with_commit(self, subdataset: str, commit: str) -> _Dataset | None:
        """The subdataset at this path or, where that has no such commit, another that has.

        A subdataset that was moved has another path now.
        """
        first = self.subdatasets.get(subdataset)
        if first is not None and first.opened()[0].root(commit) is not None:
            return first
        names = (name for name in self.subdatasets if commit in self._commits_in(name, commit))
        return self.subdatasets.get(next(names, subdataset))

    def _commits_in(self, name: str, asked: str) -> Collection[str]:
        """Which of all commits of subdatasets that are asked for one of them has.

        All at once: to keep each open takes more files than a process may have.
        """
        known = self.commits_below.get(name)
        if known is None or asked not in known[0]:
            moves = (m for step in self.recorded.steps for m in step.moved)
            wanted = {asked, *(m.after for m in moves)}
            wanted.update(e.commit for step in self.recorded.steps for e in step.elsewhere)
            wanted |= known[0] if known else set()
            there = object_sizes(self.subdatasets[name].place.path, wanted, ALOOF)
            known = self.commits_below[name] = (wanted, frozenset(there))
        return known[1]

    def _made(self, move: Moved, path: str) -> tuple[tuple[str, ...], str]:
        """What a run that left this dataset at another commit made in it."""
        trees, contents, _ = self.opened()
        is_new = not move.before.strip("0")
        before = "" if is_new else trees.root(move.before)
        after = trees.root(move.after)
        if before is not None and after is not None and not is_new:
            pairs = [(move.after, (move.before,))]
            changed = dict(read_changes(self.place.path, pairs)).get(move.after, ())
            return changed_contents(changed, contents), ""
        # what was there before was not made by the run
        not_made = self._stood_in(before) if before else set()
        made = self._stood_in(after) if after else {node for node, _ in self.recorded.places}
        lost = "" if after and is_new else move.after if after is None else move.before
        why = f"'{path}' does not have the commit {lost[:10]} of that run" if lost else ""
        return tuple(sorted(made - not_made)), why

    def _stood_in(self, tree: str) -> set[str]:
        """The contents of a tree, but for what DataLad keeps there."""
        trees, contents, _ = self.opened()
        below = [one for one in trees.below(Found("", FOLDER, tree)) if one.mode != GITLINK]
        below = [one for one in below if not one.path.startswith(".datalad/")]
        contents.learn((one.mode, one.oid) for one in below)
        return {node_of(one.oid, contents) for one in below}


def _open(
    place: Place,
    top: Path,
    prefix: str,
    name: str,
    cache: Path | None,
    depth: int,
    links: Links | None = None,
) -> _Dataset:
    commit = commit_named(place.path, name)
    recorded = _recorded(place, [commit] if commit else [], cache, links)
    listed = Listing(place.path, commit)
    dataset = _Dataset(place, prefix, commit, recorded, listed)
    for found in listed.subdatasets() if depth < _DEEPEST else ():
        there = subdataset(top, place.path.resolve() / found.path)
        if there is None:
            continue
        at = found.oid if commit_named(there.path, found.oid) else "HEAD"
        kept = there.private / cache.name if cache else None
        below = f"{prefix}{found.path}/"
        dataset.subdatasets[found.path] = _open(there, top, below, at, kept, depth + 1)
    return dataset


def _recorded(
    place: Place, commits: list[str], cache: Path | None, links: Links | None
) -> Recorded:
    raw = read_signed(cache, _PURPOSE) if cache else None
    known = decode(raw) if raw else None
    found = read_recorded(place.path, place.objects, commits, known, links)
    if cache and found.lasting and (known is None or not _is_little_more(found, known)):
        write_signed(cache, _PURPOSE, encode(found))
    return found


def _is_little_more(found: Recorded, known: Recorded) -> bool:
    """Whether what is new is read again in less time than it takes to write everything."""
    places, steps = len(known.places), len(known.steps)
    return (
        (found.settings, found.shallow) == (known.settings, known.shallow)
        and found.places[:places] == known.places
        and found.steps[:steps] == known.steps
        and (len(found.places) - places) * 50 <= places
        and (len(found.steps) - steps) * 50 <= steps + 50
    )


def _computed(repo: Path, places: Iterable[tuple[str, str]]) -> Iterator[Activity]:
    known = set()
    for one in read_computed(repo):
        inputs = (*one.inputs, *(IN_GIT + oid for oid in one.blobs))
        outputs = (one.key, *one.equivalent)
        token = f"compute:{one.key}"
        known.add(one.key)
        yield Activity(token, "compute", Evidence.COMPUTED, inputs, outputs, one.what)
    for key in dict.fromkeys(node for node, _ in places if is_computed(node)):
        if key not in known:
            why = "it was computed, and what from is not on record here (git annex merge)"
            token = f"compute:{key}"
            yield Activity(token, "compute", Evidence.OPAQUE, (), (key,), why=why)


def _stated(statements: Iterable[Statement]) -> list[Activity]:
    return [
        Activity(
            f"statement:{one.token}",
            "statement",
            Evidence.ASSERTED,
            tuple(content.node for content in one.inputs),
            tuple(content.node for content in one.outputs),
            one.by,
            one.recorded.isoformat(),
            (one.by,),
        )
        for one in statements
        if isinstance(one, Derivation)
    ]


def _shared(every: Iterable[_Dataset], places: Iterable[tuple[str, str]]) -> frozenset[str]:
    """Sidecars that are the same for several: in some commit, or in what stands there now."""
    several = sidecars_of_several(places)
    if not several:
        return several
    known = several.intersection(chain(*(dataset.recorded.together for dataset in every)))
    known |= _in_several(every, several - known)
    if known == several:
        return several
    now = (
        (IN_GIT + found.oid, dataset.prefix + found.path)
        for dataset in every
        for found in dataset.listed
        if IN_GIT + found.oid in several
    )
    return known | with_several(now)


def _in_several(every: Iterable[_Dataset], nodes: Collection[str]) -> frozenset[str]:
    """Those that stood in two datasets, as where each participant has one."""
    first: dict[str, int] = {}
    found: set[str] = set()
    for number, dataset in enumerate(every if nodes else ()):
        for node, _ in dataset.recorded.places:
            if node in nodes and first.setdefault(node, number) != number:
                found.add(node)
    return frozenset(found)


def _contents(
    places: Iterable[tuple[str, str]],
    activities: Iterable[Activity],
    statements: Iterable[Statement],
) -> Iterator[str]:
    """Whatever has a name."""
    yield from (node for node, _ in places)
    for nodes in {nodes for a in activities for nodes in (a.inputs, a.outputs)}:
        yield from nodes
    for one in statements:
        if isinstance(one, Derivation):
            yield from (content.node for content in (*one.inputs, *one.outputs))


def _overruled(activities: list[Activity], stated: Iterable[Activity]) -> list[Activity]:
    """Where a steward says what a content was made from, it is not true that nobody can tell.

    Whatever a record could tell of its inputs stays: a statement only ever adds people.
    """
    told = {node for one in stated for node in one.outputs}
    found = []
    for a in activities:
        known = tuple(node for node in a.outputs if node in told)
        if a.evidence is not Evidence.OPAQUE or not known:
            found.append(a)
            continue
        found.append(a._replace(outputs=tuple(node for node in a.outputs if node not in told)))
        found.append(a._replace(outputs=known, evidence=Evidence.ASSERTED, why=""))
    return found


def _sealed(activities: list[Activity], statements: Iterable[Statement]) -> list[Activity]:
    """Runs that were repeated with the same result are better known than declared ones."""
    seals = {one.commit: one for one in statements if isinstance(one, Seal)}
    return [
        activity._replace(evidence=Evidence.SEALED)
        if activity.token in seals
        and activity.evidence is Evidence.DECLARED
        and set(activity.outputs) <= {content.node for content in seals[activity.token].outputs}
        else activity
        for activity in activities
    ]
