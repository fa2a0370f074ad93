"""What the history of one dataset says: where contents stood, and what its records tell.

All is a value, so that it can be kept; and all of it follows from the commits, so that it can be
added to when there are more of them. What it takes several datasets to know is left open
in :class:`Step` and settled in ``reading``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from datetime import datetime, timezone
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from ..errors import RepoError
from ..repo.annexobjects import read_object
from ..repo.collector import collector_at_rest
from ..repo.commits import (
    ALOOF,
    Change,
    Commit,
    branch_tips,
    is_ancestral,
    is_partial,
    list_commits,
    read_changes,
    read_commits,
    shallow_commits,
)
from ..repo.contents import Contents, Links
from ..repo.keys import find_object
from ..repo.trees import GITLINK, object_sizes, read_blobs
from ..repo.treewalk import DIRECTORY, Found, TooMuch, Trees, literal_head, look_up
from .activities import Activity
from .again import added_again, replaced
from .evidence import Evidence
from .inputs import Elsewhere, Inputs, Resolver, Wanted, node_of, wanted
from .records import (
    BELOW,
    LARGEST,
    Record,
    Sidecar,
    Told,
    Unreadable,
    container_images,
    dataset_ids,
    read_message,
    read_sidecar,
    record_directories,
)
from .together import Added, stood_together

_CONFIG = ".datalad/config"
_LARGEST_CONFIG = 1 << 20


class Moved(NamedTuple):
    """A subdataset that a run left at another commit."""

    subdataset: str
    before: str
    after: str


class Step(NamedTuple):
    """An activity, and what one dataset alone cannot tell of it.

    ``record`` is a digest of the record, ``foreign`` whether it is that of another dataset
    (the one that this is part of), ``waits`` the key of a record that is not here.
    """

    activity: Activity
    record: str = ""
    foreign: bool = False
    elsewhere: tuple[Elsewhere, ...] = ()
    moved: tuple[Moved, ...] = ()
    waits: str = ""


class Settings(NamedTuple):
    """What committed configurations ever said."""

    ids: frozenset[str] = frozenset()
    directories: tuple[str, ...] = ()
    images: frozenset[str] = frozenset()


class Recorded(NamedTuple):
    """The history behind ``tips``: content and path of all that ever stood, and every step.

    ``together`` are sidecars that stood with several participants at once, ``same`` contents that
    were added again in another form. ``lasting`` is false when something could not be read that
    may be readable another time.
    """

    tips: frozenset[str]
    shallow: frozenset[str]
    settings: Settings
    places: list[tuple[str, str]]
    steps: list[Step]
    together: frozenset[str] = frozenset()
    same: frozenset[tuple[str, str]] = frozenset()
    lasting: bool = True


def read_recorded(
    repo: Path,
    objects: Path,
    commits: Iterable[str],
    known: Recorded | None = None,
    links: Links | None = None,
) -> Recorded:
    """Read the history of the dataset at ``repo``, or what is new since ``known``.

    Parameters
    ----------
    objects : Path
        Where the annex keeps content: annexed run records are read there.
    commits : iterable of str
        Commits that must be in it, whether a branch has them or not.
    links : callable, optional
        Which key some blobs are, as far as somebody reads that anyway.

    Raises
    ------
    RepoError
        When some of the history is missing.
    """
    shallow = shallow_commits(repo)
    tips = frozenset((*branch_tips(repo).values(), *commits))
    if known is not None and (
        known.shallow != shallow
        or any(step.waits and find_object(objects, step.waits) for step in known.steps)
        or not is_ancestral(repo, known.tips, tips)
    ):
        known = None
    try:
        with collector_at_rest(), Trees(repo) as trees:
            found = _Reading(repo, objects, trees, shallow, links).read(tips, known)
            if found is None:  # what was read before would be read otherwise now
                found = _Reading(repo, objects, trees, shallow, links).read(tips, None)
    except RepoError as exc:
        if not is_partial(repo):
            raise
        raise RepoError(
            "is a partial clone: git lacks some of its history, so nobody can tell whose it is",
            where=str(repo),
            remedy="Clone it without --filter, or fetch the rest: git fetch --refetch --no-filter",
        ) from exc
    assert found is not None
    return found


class _Reading:
    """One pass over the history."""

    def __init__(
        self,
        repo: Path,
        objects: Path,
        trees: Trees,
        shallow: frozenset[str],
        links: Links | None,
    ):
        self._repo, self._objects, self._trees, self._shallow = repo, objects, trees, shallow
        self._contents = Contents(repo, links)
        self._commits: dict[str, Commit] = {}
        self._changes: dict[str, list[Change]] = {}
        self._settings = Settings()
        self._waits: dict[str, str] = {}
        self._whole = self._lasting = True
        self._named: dict[tuple[str, ...], tuple[str, ...]] = {}

    def read(self, tips: frozenset[str], known: Recorded | None) -> Recorded | None:
        """All there is to know; None when ``known`` is of no use any more."""
        if known is not None and known.tips == tips:
            return known
        self._whole = known is None
        listed = list_commits(self._repo, tips, known.tips if known else ())
        self._commits = {commit.id: commit for commit in read_commits(self._repo, listed)}
        self._changes = dict(read_changes(self._repo, listed))
        every = (change for changes in self._changes.values() for change in changes)
        self._contents.learn((change.mode, change.oid) for change in every)
        self._settings = self._configured(known.settings if known else Settings())
        if known is not None and self._settings != known.settings:
            return None
        places = list(self._places())
        commits = self._commits.values()
        added = [Added(c.tree, len(c.parents) > 1, [*self._placed(c.id)]) for c in commits]
        together = stood_together(self._repo, added, known.places if known else ())
        told = self._told()
        one_by_one = ((c, oid in told) for oid, changes in self._changes.items() for c in changes)
        same = frozenset(added_again(self._repo, replaced(one_by_one, self._contents)))
        steps = list(self._steps(told))
        if known is not None:
            places, steps = known.places + places, known.steps + steps
            together, same = together | known.together, same | known.same
        return Recorded(
            tips, self._shallow, self._settings, places, steps, together, same, self._lasting
        )

    def _configured(self, known: Settings) -> Settings:
        blobs = {c.oid for found in self._changes.values() for c in found if c.path == _CONFIG}
        sizes = object_sizes(self._repo, blobs, ALOOF)
        short = sorted(oid for oid in blobs if sizes.get(oid, 0) <= _LARGEST_CONFIG)
        texts = [text for _, text in read_blobs(self._repo, short, ALOOF)]
        return Settings(
            known.ids.union(*map(dataset_ids, texts)),
            tuple(dict.fromkeys((*known.directories, *record_directories(texts)))),
            known.images.union(*map(container_images, texts)),
        )

    def _places(self) -> Iterator[tuple[str, str]]:
        for commit in self._changes:
            yield from self._placed(commit)

    def _placed(self, commit: str) -> Iterator[tuple[str, str]]:
        for change in self._changes.get(commit, ()):
            if change.mode != GITLINK:
                yield node_of(change.oid, self._contents), change.path

    # -- what each commit is -------------------------------------------------------------

    def _steps(self, told: dict[str, Told]) -> Iterator[Step]:
        asked = {
            commit: wanted(record, self._tree_before(commit), self._settings.images)
            for commit, record in told.items()
            if isinstance(record, Record) and not self._is_foreign(record)
        }
        resolved = self._resolved(asked)
        told = {commit: found for commit, found in told.items() if self._tells(commit, found)}
        self._take_in_what_was_merged(self._commits[commit] for commit in told)
        for commit in self._commits.values():
            changes = self._changes.get(commit.id, [])
            yield from self._missing(commit, changes)
            if commit.id in self._shallow:
                why = "its history is not here: the clone is shallow (git fetch --unshallow)"
                yield self._opaque(commit, "boundary", why, changes)
            elif commit.id in told:
                software = asked[commit.id].software if commit.id in asked else ()
                inputs = resolved.get(commit.id)
                yield self._run(commit, told[commit.id], inputs, software, changes)
            elif len(commit.parents) > 1:
                yield from self._merge(commit, changes)

    def _tells(self, commit: str, found: Told) -> bool:
        """Whether there is a record: the title of a run alone may be that of a pull request."""
        known = self._commits[commit]
        if len(known.parents) < 2 or not isinstance(found, Unreadable) or known.message is None:
            return True
        return BELOW in known.message

    def _take_in_what_was_merged(self, recorded: Iterable[Commit]) -> None:
        """Of merges with a record, what they and all commits that they merge changed.

        A command that commits by itself is recorded in a merge of what it committed into what it
        started from, which is the first parent (datalad-run(1)).
        """
        merges = [commit for commit in recorded if len(commit.parents) > 1]
        if not merges:
            return
        between = {commit.id: self._between(commit) for commit in merges}
        pairs = dict(chain.from_iterable(between.values()))
        unread = [(oid, parents) for oid, parents in pairs.items() if oid not in self._commits]
        theirs = self._changes | dict(read_changes(self._repo, unread))
        against_first = dict(read_changes(self._repo, [(m.id, m.parents[:1]) for m in merges]))
        for merge in merges:
            every = list(against_first.get(merge.id, []))
            for oid, _ in between[merge.id]:
                every += theirs.get(oid, [])
            self._contents.learn((change.mode, change.oid) for change in every)
            self._changes[merge.id] = every

    def _between(self, merge: Commit) -> list[tuple[str, tuple[str, ...]]]:
        """Commits that a merge has and its first parent has not, with their parents."""
        first, *others = merge.parents
        found: list[tuple[str, tuple[str, ...]]] = []
        at = self._commits.get(others[0]) if len(others) == 1 else None
        while at is not None and len(at.parents) == 1:  # most often a chain, which needs no git
            found.append((at.id, at.parents))
            if at.parents[0] == first:
                return found
            at = self._commits.get(at.parents[0])
        return list_commits(self._repo, others, (first,))

    def _told(self) -> dict[str, Told]:
        """The records of commits that have any, those in files included."""
        told: dict[str, Told] = {}
        beside: dict[str, Sidecar] = {}
        for commit in self._commits.values():
            if commit.message is None:
                told[commit.id] = Unreadable("its message is too long to be read")
                continue
            found = read_message(commit.message)
            if isinstance(found, Sidecar):
                beside[commit.id] = found
            elif found is not None:
                told[commit.id] = found
        return told | self._in_files(beside)

    def _in_files(self, beside: dict[str, Sidecar]) -> dict[str, Told]:
        places = {
            commit: [
                (self._commits[commit].tree, f"{d}/{s.name}") for d in self._settings.directories
            ]
            for commit, s in beside.items()
        }
        found = look_up(self._repo, [pair for pairs in places.values() for pair in pairs])
        blobs = {
            commit: next((found[p][1] for p in pairs if found.get(p, ("",))[0] == "blob"), None)
            for commit, pairs in places.items()
        }
        self._contents.learn(("120000", oid) for oid in blobs.values() if oid)
        sizes = object_sizes(self._repo, dict.fromkeys(o for o in blobs.values() if o), ALOOF)
        plain = [o for o, size in sizes.items() if size <= LARGEST and not self._contents.of(o).key]
        texts = dict(read_blobs(self._repo, plain, ALOOF))
        return {
            commit: self._in_file(commit, name, blobs[commit], texts)
            for commit, name in beside.items()
        }

    def _in_file(
        self, commit: str, name: Sidecar, oid: str | None, texts: dict[str, bytes]
    ) -> Told:
        if oid is None:  # it may be in the dataset that this one was part of
            return name
        key = self._contents.of(oid).key
        if key is None:
            if oid not in texts:
                return Unreadable(f"its run record '{name.name}' is too long to be read")
            return read_sidecar(texts[oid], name)
        try:
            return read_sidecar(read_object(self._objects, key, LARGEST), name)
        except FileNotFoundError:
            self._waits[commit] = key
            directory = self._settings.directories[0]
            return Unreadable(
                f"its run record '{name.name}' is not here (git annex get {directory})"
            )
        except (OSError, RepoError) as exc:
            self._lasting = False
            return Unreadable(f"its run record '{name.name}' cannot be read: {exc}")

    def _is_foreign(self, record: Record) -> bool:
        return bool(record.dsid) and record.dsid not in self._settings.ids

    def _tree_before(self, commit: str) -> str:
        """The tree that a commit started from; empty for the first one."""
        parents = self._commits[commit].parents
        if not parents:
            return ""
        known = self._commits.get(parents[0])
        return known.tree if known else self._trees.root(parents[0]) or ""

    def _resolved(self, asked: dict[str, Wanted]) -> dict[str, Inputs]:
        heads = [(w.tree, literal_head(p)[0]) for w in asked.values() for p in w.patterns]
        found = look_up(self._repo, heads)
        if not self._whole:  # an id tells no mode, and links from before were not learnt as such
            found = {pair: there for pair, there in found.items() if there[0] == "tree"}
        resolver = Resolver(self._trees, self._contents, found)
        return {commit: resolver.resolve(want) for commit, want in asked.items()}

    # -- what becomes of it --------------------------------------------------------------

    def _run(
        self,
        commit: Commit,
        told: Told,
        inputs: Inputs | None,
        software: tuple[str, ...],
        changes: list[Change],
    ) -> Step:
        waits = self._waits.get(commit.id, "")
        if told is None or isinstance(told, Unreadable):
            why = told.why if told else "its run record cannot be read"
            return self._opaque(commit, "run", why, changes)._replace(waits=waits)
        digest = hashlib.sha256(told.text).hexdigest()
        if isinstance(told, Sidecar) or inputs is None:
            why = "its run record is of a dataset that this one was part of"
            if isinstance(told, Sidecar):
                why = f"its run record '{told.name}' was not committed with it"
            step = self._opaque(commit, "run", why, changes)
            return step._replace(record=digest, foreign=True)
        moved = (
            Moved(change.path, change.before[0], change.oid)
            for change in changes
            if change.mode == GITLINK
        )
        activity = Activity(
            commit.id,
            "run",
            Evidence.OPAQUE if inputs.why else Evidence.DECLARED,
            self._nodes(inputs.blobs),
            self._outputs(changes),
            told.command,
            _when(commit),
            software,
            inputs.why,
        )
        return Step(activity, digest, False, inputs.elsewhere, tuple(moved))

    def _nodes(self, blobs: tuple[str, ...]) -> tuple[str, ...]:
        """The contents of blobs; of the same blobs the same tuple."""
        found = self._named.get(blobs)
        if found is None:
            nodes = (node_of(oid, self._contents) for oid in blobs)
            found = self._named[blobs] = tuple(dict.fromkeys(nodes))
        return found

    def _opaque(self, commit: Commit, kind: str, why: str, changes: Iterable[Change]) -> Step:
        subject = (commit.message or b"").strip().partition(b"\n")[0].decode("utf-8", "replace")
        made = self._outputs(changes)
        when = _when(commit)
        return Step(Activity(commit.id, kind, Evidence.OPAQUE, (), made, subject, when, (), why))

    def _outputs(self, changes: Iterable[Change]) -> tuple[str, ...]:
        return changed_contents(changes, self._contents)

    def _merge(self, commit: Commit, changes: list[Change]) -> Iterator[Step]:
        """Of a merge, contents that none of the merged commits has anywhere."""
        made = [c for c in changes if c.mode != GITLINK and not c.path.startswith(".datalad/")]
        if not made:
            return
        there: set[str] = set()
        try:
            for parent in commit.parents:
                known = self._commits.get(parent)
                root = known.tree if known else self._trees.root(parent) or ""
                below = [*self._trees.below(Found("", DIRECTORY, root))]
                self._contents.learn((found.mode, found.oid) for found in below)
                there.update(node_of(found.oid, self._contents) for found in below)
        except TooMuch:
            there.clear()
        new = [change for change in made if node_of(change.oid, self._contents) not in there]
        if new:
            why = "it first appears in a merge, and nobody recorded what it was made from"
            yield self._opaque(commit, "merge", why, new)

    def _missing(self, commit: Commit, changes: list[Change]) -> Iterator[Step]:
        gone = [c for c in changes if c.mode != GITLINK and self._contents.of(c.oid).missing]
        if gone:
            self._lasting = False
            why = "git does not have it here (a partial clone)"
            step = self._opaque(commit, "missing", why, gone)
            token = f"missing:{commit.id}"
            yield step._replace(activity=step.activity._replace(token=token))


def _when(commit: Commit) -> str:
    try:
        return datetime.fromtimestamp(commit.seconds, timezone.utc).isoformat()
    except (ValueError, OverflowError, OSError):
        return ""


def changed_contents(changes: Iterable[Change], contents: Contents) -> tuple[str, ...]:
    """Contents that a commit put where another stood, or none; not what DataLad keeps."""
    made = [c for c in changes if c.mode != GITLINK and not c.path.startswith(".datalad/")]
    contents.learn((c.mode, c.oid) for c in made)
    # what stood there before may be from before what is read now
    contents.learn(("100644", oid) for c in made for oid in c.before if oid.strip("0"))
    nodes = (
        node
        for change in made
        if (node := node_of(change.oid, contents))
        not in {node_of(oid, contents) for oid in change.before}
    )
    return tuple(dict.fromkeys(nodes))
