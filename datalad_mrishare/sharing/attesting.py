"""A steward's word for how clean a content is, and when it is accepted.

It is bound to the content: a new version at the same path needs a new one. ``anonymous`` is
only for group results, and only where lineage counts enough people in it (:mod:`.anonymous`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date

from ..consent.grants import Deid
from ..consent.resolution import Resolver
from ..errors import InputError
from ..provenance.statements import LONGEST, Attestation
from ..repo.locks import lock
from ..repo.worktree import Checkout
from .anonymous import against_anonymous, denials
from .facts import Facts, Kind
from .origins import node_of
from .policies import LEAST_PARTICIPANTS, Policy
from .snapshot import Snapshot, take_snapshot
from .stating import (
    content_of,
    entries_at,
    new_token,
    refuse_changed,
    refuse_uncommitted,
    save_statements,
)


@dataclass(frozen=True)
class Claim:
    """What a steward says: ``evidence`` is why, ``by`` who looked, if not who commits."""

    deid: Deid
    evidence: str
    by: str = ""


@dataclass(frozen=True)
class Attested:
    """What became of a claim about one file.

    ``refused`` says why it was not accepted, ``remedy`` what to do then. ``participants`` counts
    whom lineage has in it, ``lineage`` is the evidence for that, ``denied`` how many of them
    withdrew, refused or objected. ``siblings`` may have it as an anonymous result.
    ``statement`` is the file that was committed; None where the same is on record already, and
    with a dry run.
    """

    path: str
    node: str
    claim: Claim
    participants: int
    lineage: str
    denied: int = 0
    siblings: tuple[str, ...] = ()
    refused: str | None = None
    remedy: str = ""
    known: bool = False
    statement: str | None = None


def attest(
    checkout: Checkout,
    paths: Sequence[str],
    claim: Claim,
    *,
    today: date,
    dry_run: bool = False,
) -> Iterator[Attested]:
    """Record a claim about each file, where it is accepted; all in one commit.

    Raises
    ------
    InputError
        When a path is no file, or the evidence is no text.
    Refused
        When a file, or the registry, is not as it is committed.
    """
    check_claim(claim)
    with lock(checkout.ours / "lock", "this dataset"):
        refuse_uncommitted(checkout, "attestation")
        state = take_snapshot(checkout)
        entries = entries_at(state.entries, paths, files=True)
        refuse_changed(checkout, entries)
        resolver = Resolver(state.registry, today)
        facts = {f.path: f for f in state.facts()}
        found = [_judged(state, facts[e.path], claim, resolver) for e in entries]
        fresh = {
            one.path: Attestation(
                new_token(),
                content_of(facts[one.path].entry),
                claim.deid,
                claim.evidence,
                today,
                claim.by,
                _considered(facts[one.path], claim, resolver),
            )
            for one in found
            if one.refused is None and not one.known
        }
        written: dict[str, str] = {}
        if fresh and not dry_run:
            word = "1 file" if len(fresh) == 1 else f"{len(fresh)} files"
            message = f"Attest {word} as {claim.deid.word}"
            saved = save_statements(checkout, list(fresh.values()), message)
            written = dict(zip(fresh, saved, strict=True))
    for one in found:
        yield _with_statement(one, written.get(one.path))


def check_claim(claim: Claim) -> None:
    """Refuse evidence that says nothing.

    Raises
    ------
    InputError
        Before anything is looked at.
    """
    if not claim.evidence.strip():
        raise InputError(
            "an attestation without evidence is only an opinion",
            where="--evidence",
            remedy="Say what was done and looked at, or where that is on file",
        )
    for name, text in (("--evidence", claim.evidence), ("--by", claim.by)):
        if len(text) > LONGEST:
            raise InputError(f"is longer than {LONGEST} characters", where=name)


def least_participants(policies: Sequence[Policy]) -> int:
    """How many people there must be in an anonymous result for any sibling to take it."""
    asked = [policy.min_participants for policy in policies if not policy.own]
    return min(asked, default=LEAST_PARTICIPANTS)


def _judged(state: Snapshot, facts: Facts, claim: Claim, resolver: Resolver) -> Attested:
    node = node_of(facts.entry) or ""
    evidence = state.lineage.evidence(node).word
    # facts of a table or commons leave lineage out, of which rows or texts take the place
    people = facts.participants or state.people(facts.entry)
    base = Attested(facts.path, node, claim, len(people), evidence)
    if claim.deid is Deid.ANONYMOUS:
        shared = [p for p in state.policies.values() if not p.own]
        why = against_anonymous(facts, least_participants(shared))
        if why is not None:
            return _refused(base, why, facts)
        may = [p.name for p in shared if against_anonymous(facts, p.min_participants) is None]
        denied = len({r.participant_id for r in denials(facts, resolver)})
        base = replace(base, siblings=tuple(may), denied=denied)
    held = state.origins().attested.get(node)
    same = (
        held is not None
        and (held.deid, held.evidence, held.by) == (claim.deid, claim.evidence, claim.by)
        and set(held.considered) >= set(_considered(facts, claim, resolver))
    )
    return replace(base, known=same)


def _refused(base: Attested, why: str, facts: Facts) -> Attested:
    remedy = "Say what it was made from, if more people are in it: datalad mrishare-provenance"
    remedy += f" {facts.path} --derived-from INPUTS --by TEXT"
    if facts.kind is not Kind.DATA:
        remedy = "Attest the files of results"
    return replace(base, refused=f"not anonymous: {why}", remedy=remedy)


def _considered(facts: Facts, claim: Claim, resolver: Resolver) -> tuple[str, ...]:
    if claim.deid is not Deid.ANONYMOUS:
        return ()
    return tuple(r.record for r in denials(facts, resolver))


def _with_statement(one: Attested, statement: str | None) -> Attested:
    return one if statement is None else replace(one, statement=statement)
