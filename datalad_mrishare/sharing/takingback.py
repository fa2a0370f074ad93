"""What comes back from a sibling, and what of it may be dropped there.

Never the last copy, unless somebody whose data it holds withdrew it to ``erase``: then the last
one has to go, too. Another copy is content that is here, or that another place says it has when
it is asked: a location log tells what was once, and nothing of a disk that broke. Parts that
interrupted transfers left there are no copies of anything, and go as soon as the content may not
be there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from ..consent.records import Then
from ..consent.resolution import Resolver
from ..errors import RepoError
from ..repo.annexbranch import dead, descriptions, read_logs
from ..repo.keys import find_object
from ..repo.leftovers import Leftover
from ..repo.store import SILENCE
from ..repo.transfer import keys_present
from ..repo.worktree import Checkout
from .stores import Store
from .verdicts import Verdict

Failed = dict[str, str]
"""Keys, or names at the sibling, with the reason why they are still there."""

LAST_COPY = "it is the only known copy; get it first: datalad get"
UNCERTAIN = "no other copy was found at {0}; get it first, or bring it back there: datalad get"


@dataclass(frozen=True)
class TakingBack:
    """The keys that come back from the sibling ``there`` (its annex uuid).

    ``former`` are denials of content that is in the tree no more.
    """

    checkout: Checkout
    there: str
    keys: Sequence[str]
    verdicts: Sequence[Verdict]
    resolver: Resolver
    former: Sequence[Verdict] = ()

    def split(self) -> tuple[list[str], dict[str, str]]:
        """Keys that may be dropped there, and the others with the reason."""
        asked = [key for key in self.keys if key not in self._erased and not self._is_here(key)]
        kept = {key: self._reason(key) for key in sorted({*asked} - self._elsewhere(asked))}
        return [key for key in self.keys if key not in kept], kept

    def paths(self, keys: Iterable[str]) -> dict[str, str]:
        """Key -> its first path in the dataset, empty for what is in its tree no more."""
        return {key: self._known[key][0].facts.path if key in self._known else "" for key in keys}

    @cached_property
    def _known(self) -> dict[str, list[Verdict]]:
        asked, found = frozenset(self.keys), dict[str, list[Verdict]]()
        for verdict in self.verdicts:
            key = verdict.facts.entry.key
            if key in asked:
                found.setdefault(key or "", []).append(verdict)
        return found

    @cached_property
    def _erased(self) -> frozenset[str]:
        def erased(verdict: Verdict) -> bool:
            facts, depth = verdict.facts, self.resolver.withdrawn_depth
            return any(depth(p, facts.scope) is Then.ERASE for p in facts.participants)

        here = {key for key, found in self._known.items() if any(map(erased, found))}
        gone = {v.facts.entry.key or "" for v in self.former if erased(v)}
        return frozenset(here | gone)

    def _is_here(self, key: str) -> bool:
        return find_object(self.checkout.objects, key) is not None

    def _elsewhere(self, keys: Iterable[str]) -> set[str]:
        """Those of ``keys`` that one of the other places known to have them says it has."""
        places, found = defaultdict[str, list[str]](list), set[str]()
        for key in keys:
            for uuid in sorted(self._places[key]):
                places[uuid].append(key)
        for uuid, known in places.items():
            left = [key for key in known if key not in found]
            found.update(key for key, there in self._asked(uuid, left).items() if there)
        return found

    def _asked(self, uuid: str, keys: list[str]) -> dict[str, bool]:
        """What the repository ``uuid`` says; of one that cannot be asked, nothing."""
        try:
            return keys_present(self.checkout.path, uuid, keys, silence=SILENCE)
        except RepoError:
            return {}

    def _reason(self, key: str) -> str:
        places = sorted(self._names.get(uuid) or uuid for uuid in self._places[key])
        return UNCERTAIN.format(", ".join(places)) if places else LAST_COPY

    @cached_property
    def _names(self) -> dict[str, str]:
        return descriptions(self.checkout.path)

    @cached_property
    def _places(self) -> dict[str, frozenset[str]]:
        """Where else the keys are known to be; some have left the tree."""
        repo = self.checkout.path
        found = read_logs(repo, self.keys, metadata=False).locations
        none = {self.checkout.uuid, self.there} | dead(repo)
        return {key: found.get(key, frozenset()) - none for key in self.keys}


@dataclass(frozen=True)
class Unfinished:
    """What transfers that did not come to their end left at a sibling.

    Own storage may belong to others as well: what does not concern this dataset stays there.
    """

    store: Store
    own: bool
    verdicts: Sequence[Verdict]

    def parts(self) -> list[Leftover]:
        """Parts of what may not be there.

        Raises
        ------
        SiblingError
            When the sibling cannot be reached.
        """
        paths = (v.facts.path for v in self.verdicts)
        return [part for part in self.store.left_over(paths) if not self.may_stay(part.key)]

    def take_back(
        self,
        parts: Sequence[Leftover],
        begun: Collection[str],
        present: Collection[str],
        pass_fds: Sequence[int],
    ) -> tuple[list[Leftover], Failed]:
        """Remove ``parts``; what was removed, and what was not.

        ``begun`` are keys whose transfer is not known to have ended. Those that are kept in
        several objects have whole ones there, which only git-annex can tell from others.

        Raises
        ------
        SiblingError
            When the sibling cannot be reached.
        """
        failed: Failed = {}
        if self.store.in_chunks():
            asked = [k for k in begun if k not in present and not self.may_stay(k)]
            failed = {m.key: m.note for m in self.store.drop(asked, pass_fds) if not m.ok}
        kept = self.store.remove_left_over(parts)
        return [part for part in parts if part.name not in kept], failed | kept

    def may_stay(self, key: str | None) -> bool:
        """Whether a transfer of ``key`` may go on there; None is what nobody can tell of."""
        if key is None:
            return False
        return key not in self._denied if self.own else key in self._permitted

    @cached_property
    def _permitted(self) -> frozenset[str | None]:
        return frozenset(v.facts.entry.key for v in self.verdicts if v.permit)

    @cached_property
    def _denied(self) -> frozenset[str | None]:
        return frozenset(v.facts.entry.key for v in self.verdicts if not v.permit)
