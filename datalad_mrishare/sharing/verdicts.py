"""Permit or deny, for each file and one sibling, and every reason for a denial.

Pure: facts, a policy and resolved consents in, verdicts out. What decides is the meet
of the grants of everyone in the content: identical bytes at two paths are one content,
so a key may leave only if each of its paths may. Everyone in a content are those whom its path
names and those whom it inherits from what it was made from.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

from ..consent.failures import failing
from ..consent.grants import Deid, meet
from ..consent.records import Record, Then
from ..consent.resolution import Resolution, Resolver
from ..consent.scopes import FileScope
from ..privacy.told import DICOM, Told, in_words
from ..provenance.bids import bids_name
from ..provenance.participants import participants_in_path
from ..repo.collector import collector_at_rest
from ..repo.keys import content_named, is_checksum
from ..repo.trees import Entry
from .anonymous import against_anonymous, claims_anonymous, counts_anonymous
from .clearance import clearance_by_told
from .facts import Facts, Kind, some_of
from .policies import EVERYONE, Policy


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a file is denied, in one component.

    ``component`` is one of the grant components, or ``participant`` (nobody known is in
    it), ``lineage`` (nobody can tell whose it is), ``contradiction`` (path and lineage disagree),
    ``excluded``, ``subdataset``, ``select``, ``finding``, ``header-text``, ``identity``,
    ``content``, ``mention``, ``table``, ``undecided``, ``withdrawn``, ``sending`` (nothing may be
    sent now, see :mod:`.shrinking`). ``sentence`` tells no decision of a participant and may
    stand in any result record; ``detail`` may, and is for :mod:`.explaining` only.
    """

    component: str
    sentence: str
    remedy: str
    participant: str | None = None
    record: Record | None = None
    detail: str = ""


class Verdict(NamedTuple):
    """What is decided about one file; it is permitted when there is no reason against."""

    facts: Facts
    reasons: tuple[Reason, ...] = ()

    @property
    def permit(self) -> bool:
        """Whether it may go."""
        return not self.reasons


_NO_ONE: frozenset[str] = frozenset()
_OWN_DENIED = (Then.STOP_USE, Then.ERASE)


class Judge:
    """Decides for one sibling on one day.

    ``everyone`` are all participants of the dataset: the policy may want them asked about what
    nobody can tell the lineage of. ``linked`` are paths of subdatasets that have a release for
    the sibling themselves.
    """

    def __init__(
        self,
        policy: Policy,
        resolver: Resolver,
        at: date,
        everyone: frozenset[str] = frozenset(),
        linked: Collection[str] = (),
    ):
        self.policy, self.resolver, self.at = policy, resolver, at
        self._is_own = policy.own
        self.everyone, self.linked = everyone, frozenset(linked)
        self._seen: dict[object, tuple[object, tuple[Reason, ...]]] = {}

    def meant(self, facts: Facts) -> Facts:
        """The facts as far as people count for this sibling.

        An anonymous result is nobody's as long as lineage counts enough people in it; what
        nobody can tell the lineage of may be everyone's.
        """
        origin, policy = facts.origin, self.policy
        if origin is None or policy.own:
            return facts
        if claims_anonymous(facts) and not against_anonymous(facts, policy.min_participants):
            return facts._replace(participants=_NO_ONE, clearance=Deid.ANONYMOUS)
        if origin.opaque is not None and policy.opaque == EVERYONE:
            return facts._replace(participants=facts.participants | self.everyone)
        return facts

    def judge(self, facts: Facts) -> tuple[Reason, ...]:
        """Every reason against one file, looked at alone."""
        if facts.origin is not None:
            facts = self.meant(facts)
        if self._is_own:
            return self._own(facts)
        if facts.kind is Kind.GITLINK:
            if facts.path not in self.linked:
                return (_NO_RELEASE,)
            # what is in it was decided there; here it is a name of somebody
            return self.people(facts.participants, facts.scope, Deid.ANONYMOUS)
        if facts.kind is Kind.EXCLUDED:
            return (_EXCLUDED,)
        reasons, key = self._shared(facts), facts.entry.key
        if DICOM in facts.told.places and not reasons:
            return (_DICOM,)
        if key and not reasons and not is_checksum(key):
            return (_TELLING,)  # of what is withheld anyway nobody has to mend it
        return reasons

    def _shared(self, facts: Facts) -> tuple[Reason, ...]:
        """Reasons against a file of a dataset, whatever its content is called."""
        if facts.kind is Kind.COMMONS:
            return ()
        if not selected(facts, self.policy.select):
            return (_NOT_SELECTED,)
        if facts.origin is not None and (found := self._of_origin(facts)) is not None:
            return found
        if facts.kind is Kind.TABLE:  # filtered by row and column, see releases
            return self.people(facts.participants, facts.scope, Deid.ANONYMOUS)
        if not facts.participants:
            return (_NOBODY,)
        reasons = self.people(facts.participants, facts.scope, facts.clearance)
        if facts.origin is not None:
            reasons = self._of_sources(facts, reasons)
        if facts.finding:
            reasons = (*reasons, _finding(facts.finding))
        if facts.told.places:
            reasons += self._told(facts)
        return reasons

    def _of_origin(self, facts: Facts) -> tuple[Reason, ...] | None:
        """What lineage and attestations decide before any grant is asked; None: ask on."""
        origin = facts.origin
        assert origin is not None
        if origin.disjoint is not None:
            return (_contradiction(*origin.disjoint),)
        if origin.opaque is not None and self.policy.opaque != EVERYONE:
            return (_opaque(origin.opaque),)
        if counts_anonymous(facts):
            return (_finding(facts.finding),) if facts.finding else ()
        return None

    def _of_sources(self, facts: Facts, reasons: tuple[Reason, ...]) -> tuple[Reason, ...]:
        """With those against what it was made from: who keeps back an image means what is made
        of it as well, whatever that is called.
        """
        people = frozenset(p for p in facts.participants if self.resolver.has_scopes(p))
        if not people or facts.origin is None:
            return reasons
        for who, scope in facts.origin.sources():
            if who in people:
                found = self.people(frozenset((who,)), scope, facts.clearance)
                reasons += tuple(r for r in found if r not in reasons)
        return reasons

    def _told(self, facts: Facts) -> tuple[Reason, ...]:
        """The reason against an image that is clean enough but for what its header tells."""
        clearance = clearance_by_told(facts.told)
        attested = facts.origin.attested if facts.origin else None
        if clearance >= facts.clearance or attested:  # somebody has looked at this very content
            return ()
        without = self.people(facts.participants, facts.scope, facts.clearance)
        if self.people(facts.participants, facts.scope, clearance) == without:
            return ()
        return (_header_text(facts.told, clearance),)

    def people(
        self, participants: frozenset[str], scope: FileScope, clearance: Deid
    ) -> tuple[Reason, ...]:
        """Reasons against a file of ``participants``, by component."""
        if not participants:
            return ()
        if len(participants) == 1:  # the many
            (only,) = participants
            alone = (only, self.resolver.resolve(only, scope))
            known = self._seen.get((only, id(alone[1]), clearance))
            if known is None:
                known = (alone, self._compare((alone,), clearance))
                self._seen[only, id(alone[1]), clearance] = known
            return known[1]
        resolved = tuple((p, self.resolver.resolve(p, scope)) for p in sorted(participants))
        cached = (tuple((p, id(r)) for p, r in resolved), clearance)
        found = self._seen.get(cached)
        if found is None:
            # the resolutions are kept with the answer, so that their ids stay theirs
            found = self._seen[cached] = (resolved, self._compare(resolved, clearance))
        return found[1]

    def _compare(
        self, resolved: Sequence[tuple[str, Resolution]], clearance: Deid
    ) -> tuple[Reason, ...]:
        policy = self.policy
        options = {"at": self.at, "recall": policy.recall, "clearance": clearance}
        together = meet(*(r.grant for _, r in resolved))
        if not failing(policy.grant, together, **options):  # type: ignore[arg-type]
            return ()
        reasons: list[Reason] = []
        for participant, resolution in resolved:
            alone = failing(policy.grant, resolution.grant, **options)  # type: ignore[arg-type]
            if alone and resolution.grant.is_bottom:
                reasons.append(_from_record(participant, resolution))
                continue
            reasons += [
                Reason(
                    failure.component,
                    f"{participant}: {_SENTENCES[failure.component]}",
                    _REMEDIES[failure.component],
                    participant,
                    resolution.record,
                    f"{participant}: {failure.sentence}",
                )
                for failure in alone
            ]
        return tuple(reasons) or (_TOGETHER,)

    def _own(self, facts: Facts) -> tuple[Reason, ...]:
        """Own storage holds everything but what was withdrawn from use."""
        if facts.kind is Kind.GITLINK:
            return (_SUBDATASET,)
        return tuple(
            Reason(
                "withdrawn",
                f"{p}: may not be kept",
                "It stays away until a later record lifts the withdrawal",
                p,
                self.resolver.resolve(p, facts.scope).record,
                f"{p}: withdrawn ({depth.value})",
            )
            for p in sorted(facts.participants)
            if (depth := self.resolver.withdrawn_depth(p, facts.scope)) in _OWN_DENIED
        )


_SUBDATASET = Reason(
    "subdataset", "subdatasets are not published with their superdataset", "Publish it by itself"
)
_NO_RELEASE = Reason(
    "subdataset",
    "a subdataset that has no release for this sibling, or none that others could find",
    "Declare the sibling in it, too, in the same place, and publish with -r",
)
_EXCLUDED = Reason(
    "excluded",
    "never part of a release",
    "Name it in the policy's `commons` if it has no participant and should leave",
)
_TELLING = Reason(
    "finding",
    "the name of its content in git-annex tells a file name or where it came from",
    "Name it by its checksum: git annex get FILE, git annex migrate --backend SHA256E FILE, then"
    " datalad save and datalad mrishare-register",
)
_DICOM = Reason(
    "finding",
    "it is a DICOM file, which tells the name and number of a patient",
    "Convert it to NIfTI, and keep it below sourcedata",
)
_NOT_SELECTED = Reason("select", "not selected by the policy", "Change `select` of the policy")
_NOBODY = Reason(
    "participant",
    "nobody knows whose data it is",
    "Put `sub-XX` into its name, say what it was made from (datalad mrishare-provenance PATH"
    " --derived-from INPUTS --by TEXT), or name it in the policy's `commons` if it is nobody's",
)
_TOGETHER = Reason(
    "use", "what its participants permit has nothing in common", "Share their data one by one"
)
_DUPLICATE = Reason(
    "identity",
    "the same image is recorded under different participants",
    "Find out whose it is and remove the other",
)
UNDECIDED = Reason(
    "undecided",
    "it was attested anonymous, and since then there is a denial of somebody who is in it",
    "Decide: datalad mrishare-attest FILE --deid anonymous --evidence TEXT, or --deid identifiable",
)
_SHARED_CONTENT = "identical content at another path is withheld"
_SENTENCES = {
    "reach": "its consent does not reach that far",
    "use": "its consent does not cover that use",
    "region": "its consent does not cover every place it could go to",
    "duty": "its consent demands promises that recipients do not make",
    "until": "its consent ends too early for this sibling",
    "deid": "not clean enough for this sibling",
}
_REMEDIES = {
    "reach": "A consent that reaches further, or a sibling that reaches less far",
    "use": "A consent for that use, or a policy with a narrower one",
    "region": "A consent for that region, or a policy with a narrower one",
    "duty": "Recipients who promise it: add it to the policy's `duty` once they do",
    "until": "A renewed consent, or a sibling that can be recalled",
    "deid": "Remove what identifies (deface an image) and say so: datalad mrishare-attest PATH"
    " --deid WORD --evidence TEXT. Or a policy that asks for less",
}


def _opaque(why: str) -> Reason:
    return Reason(
        "lineage",
        f"nobody can tell whose data it holds: {why}",
        "Say what it was made from: datalad mrishare-provenance PATH --derived-from INPUTS"
        " --by TEXT",
    )


def _contradiction(named: frozenset[str], inherited: frozenset[str]) -> Reason:
    return Reason(
        "contradiction",
        f"its path names {some_of(named)}, and it was made from data of {some_of(inherited)}",
        "Find out whose it is (datalad mrishare-provenance PATH) and name it after them",
    )


def _finding(word: str) -> Reason:
    return Reason(
        "finding",
        f"registration found the image {word}, so nobody can tell what is in it",
        "Replace the file and register again: datalad mrishare-register",
    )


def _header_text(told: Told, clearance: Deid) -> Reason:
    return Reason(
        "header-text",
        f"it has {in_words(told.places)}, and counts as {clearance.name.lower()} for that",
        "Empty it in the image (nibabel: image.header['descrip'] = b'', header.extensions.clear();"
        " gzip -n keeps no name), then datalad save and datalad mrishare-register",
    )


def _from_record(participant: str, resolution: Resolution) -> Reason:
    """The reason where a participant permits nothing at all."""
    return Reason(
        "consent",
        f"{participant}: no consent in force for this file",
        "A new record that permits it: datalad mrishare-consent FILE",
        participant,
        resolution.record,
        reason if participant in (reason := resolution.reason) else f"{participant}: {reason}",
    )


def selected(facts: Facts, select: Mapping[str, Sequence[str]]) -> bool:
    """Whether a file matches every entity of a selection; commons and tables always do."""
    if not select or facts.kind in (Kind.COMMONS, Kind.TABLE):
        return True
    name = bids_name(facts.path)
    for entity, values in select.items():
        if entity == "sub":
            if not any(f"sub-{v.removeprefix('sub-')}" in facts.participants for v in values):
                return False
            continue
        labels = [v.removeprefix(f"{entity}-") for v in values]
        if entity in ("datatype", "suffix", "ses", "extension"):
            if getattr(name, entity) not in labels:
                return False
        elif name.entities.get(entity) not in labels:
            return False
    return True


def decide(facts: Iterable[Facts], judge: Judge) -> list[Verdict]:
    """Verdicts for all files, in their order."""
    with collector_at_rest():
        # by name they would take three times as long
        verdicts = [
            tuple.__new__(Verdict, (f if f.origin is None else judge.meant(f), judge.judge(f)))
            for f in facts
        ]
        contents = _contents(verdicts)
    if not judge.policy.own:
        verdicts = _refuse_duplicates(verdicts, contents)
    return _one_per_content(verdicts, contents)


def hold_back(
    verdicts: list[Verdict], waiting: Collection[str], is_there: Callable[[Entry], bool]
) -> list[Verdict]:
    """Anonymous results of which something is to be decided go to no place where they are not.

    Parameters
    ----------
    waiting : collection of str
        Their paths, see :func:`.anonymous.undecided`.
    is_there : callable
        Whether a file is at the sibling; there it stays until somebody has decided.
    """
    held = [
        v._replace(reasons=(UNDECIDED,))
        if v.permit and v.facts.path in waiting and not is_there(v.facts.entry)
        else v
        for v in verdicts
    ]
    return _one_per_content(held, _contents(held))


_IMAGE_EXTENSIONS = frozenset((".nii", ".nii.gz", ".dcm", ".mgz"))
#: bytes; below this a file can be the same for everyone (an empty one is)
_TRIVIAL = 4096


def _refuse_duplicates(verdicts: list[Verdict], contents: list[str]) -> list[Verdict]:
    """Refuse images that stand under disjoint participants."""
    times = Counter(contents)
    people: dict[str, set[frozenset[str]]] = defaultdict(set)
    for v, content in zip(verdicts, contents, strict=True):
        if content and times[content] > 1 and v.facts.participants and _is_image(v.facts):
            # by lineage each of the paths is of everyone whom any of them names
            people[content].add(participants_in_path(v.facts.path) or v.facts.participants)
    doubled = {
        content
        for content, groups in people.items()
        if len(groups) > 1 and not frozenset.intersection(*groups)
    }
    if not doubled:
        return verdicts
    return [
        v._replace(reasons=(*v.reasons, _DUPLICATE)) if content in doubled else v
        for v, content in zip(verdicts, contents, strict=True)
    ]


def _contents(verdicts: list[Verdict]) -> list[str]:
    """What each file holds, as far as its key tells; empty for those in git."""
    return [((key := v.facts.entry.key) and content_named(key)) or "" for v in verdicts]


def _is_image(facts: Facts) -> bool:
    large = (facts.size or _TRIVIAL) >= _TRIVIAL
    return large and bids_name(facts.path).extension in _IMAGE_EXTENSIONS


def _one_per_content(verdicts: list[Verdict], contents: list[str]) -> list[Verdict]:
    """Deny a content everywhere when it is denied anywhere."""
    denied: dict[str, Verdict] = {}
    for v, content in zip(verdicts, contents, strict=True):
        if v.reasons and content:
            denied.setdefault(content, v)
    result = []
    for v, content in zip(verdicts, contents, strict=True):
        if not v.reasons and (other := denied.get(content)) is not None:
            reason = Reason("content", _SHARED_CONTENT, other.reasons[0].remedy)
            v = v._replace(reasons=(reason,))
        result.append(v)
    return result
