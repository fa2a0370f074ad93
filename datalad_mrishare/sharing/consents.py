"""Records into the registry, and grants onto annex keys; the state of both is in :mod:`.states`.

What stands on keys is a projection for plain git-annex to see. It is never read back
as a decision.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import date
from functools import cache, lru_cache

from ..consent import (
    FIELDS,
    Grant,
    ImportMap,
    Registry,
    Resolver,
    grant_fields,
    import_records,
    meet,
)
from ..consent.projection import PREFIX
from ..repo.annexbranch import metadata_changes, write_metadata
from ..repo.locks import lock
from ..repo.worktree import Checkout, write_file
from .anonymous import undecided
from .explaining import decide_to_tell
from .facts import Facts, facts_of
from .registry import save_records, uncommitted
from .snapshot import Snapshot, read_basis, take_snapshot

SHARE = f"{PREFIX}share"


@dataclass(frozen=True)
class Imported:
    """What an import did: records added and known before, keys whose metadata changed.

    ``skipped`` are rows without a decision, left out because the map says so. ``to_decide`` are
    paths of anonymous results that hold data of somebody who withdrew since.
    """

    new: int
    known: int
    keys: int
    participants: int
    skipped: int = 0
    to_decide: tuple[str, ...] = ()


def import_consent(
    checkout: Checkout,
    data: bytes,
    where: str,
    *,
    today: date,
    dry_run: bool = False,
    mapping: ImportMap | None = None,
) -> Imported:
    """Add the records in ``data`` to the registry and compile all grants onto keys.

    ``mapping`` tells what an export of another system means.

    Raises
    ------
    InputError
        When anything in ``data`` is wrong: then nothing was changed.
    """
    with lock(checkout.ours / "lock", "this dataset"):
        uncommitted(checkout).refuse()
        basis = read_basis(checkout)
        question = (today.isoformat(), hashlib.sha256(data).hexdigest(), repr(mapping))
        if (answer := _remembered(checkout, basis.digest(*question))) is not None:
            return answer
        state = take_snapshot(checkout, basis)
        registry = state.registry
        found = import_records(
            data,
            where,
            existing=registry.records,
            forms=registry.forms,
            participants=state.participants,
            today=today,
            mapping=mapping,
        )
        people = len({r.participant_id for r in found.new})
        together = Registry(registry.forms, (*registry.records, *found.new))
        state = replace(state, registry=together)
        changes = key_changes(state, today)
        waiting = tuple(u.path for u in undecided(state.facts(), Resolver(together, today)))
        done = Imported(len(found.new), found.known, len(changes), people, found.skipped, waiting)
        if not dry_run:
            if found.new:
                word = "record" if len(found.new) == 1 else "records"
                save_records(checkout, together.records, f"Add {len(found.new)} consent {word}")
                checkout.settle()
            write_metadata(checkout.path, changes, state.logs, checkout.identity)
            again = Imported(0, done.new + done.known, 0, 0, done.skipped, waiting)
            _remember(checkout, read_basis(checkout).digest(*question), again)
    return done


def _remembered(checkout: Checkout, question: str) -> Imported | None:
    """The answer to a question that was asked before, of the very same state."""
    try:
        held = json.loads((checkout.ours / _ANSWER).read_bytes())
        if held["question"] != question:
            return None
        answer = Imported(**held["answer"])
        return replace(answer, to_decide=tuple(answer.to_decide))
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _remember(checkout: Checkout, question: str, answer: Imported) -> None:
    held = {"question": question, "answer": asdict(answer)}
    write_file(checkout.ours / _ANSWER, json.dumps(held).encode())


#: private to this clone: what the last import would do if it ran again
_ANSWER = "imported.json"


def key_changes(state: Snapshot, at: date) -> dict[str, str]:
    """Log lines that bring the metadata of every key up to date.

    A key is of everyone whom any of its paths ever named and whom it inherits, in the tree or
    in older versions with content that is still somewhere: these are on no tree and shared with
    nobody, but ``git annex find --all`` shall tell whose they are.
    """
    share = _shares(state, at)
    resolver = Resolver(state.registry, at)
    older = facts_of(state.older, lambda _: {}, {}, (), state.origins())
    people: dict[str, frozenset[str]] = {}
    grants: dict[str, Grant] = {}
    for facts in itertools.chain(state.facts(), older):
        key = facts.entry.key
        if key is None or not facts.participants:
            continue
        grant = file_grant(facts, resolver)
        if key in grants:
            grants[key] = meet(grants[key], grant)
            people[key] = people[key] | facts.participants
        else:
            grants[key], people[key] = grant, facts.participants
    fields = lru_cache(maxsize=None)(grant_fields)
    wanted: dict[str, Mapping[str, frozenset[str]]] = {
        key: fields(grant, people[key], share.get(key, _NOBODY)) for key, grant in grants.items()
    }
    # content of nobody is nobody's grant, but may be shared
    wanted.update({key: {SHARE: names} for key, names in share.items() if key not in grants})
    stale = {k for k, m in state.logs.metadata.items() if not m.keys().isdisjoint(FIELDS)}
    wanted.update(dict.fromkeys(stale - wanted.keys(), _NO_FIELDS))
    return metadata_changes(state.logs, wanted, tuple(FIELDS))


_NOBODY: frozenset[str] = frozenset()
_NO_FIELDS: Mapping[str, frozenset[str]] = {}


def _shares(state: Snapshot, at: date) -> dict[str, frozenset[str]]:
    """Key -> the siblings that it may go to today; keys that may go nowhere are absent."""
    share: dict[str, frozenset[str]] = {}
    for policy in state.policies.values():
        for v in decide_to_tell(state, policy, at):
            key = v.facts.entry.key
            if v.permit and key:
                share[key] = _with(share.get(key, _NOBODY), policy.name)
    return share


@cache
def _with(names: frozenset[str], name: str) -> frozenset[str]:
    """One object for the same names, so that what is made of them is made once."""
    return names | {name}


def file_grant(facts: Facts, resolver: Resolver) -> Grant:
    """What everyone in a file permits together."""
    if len(facts.participants) == 1:
        (only,) = facts.participants
        return resolver.resolve(only, facts.scope).grant
    return meet(*(resolver.resolve(p, facts.scope).grant for p in facts.participants))
