"""What was made outside, told by the steward: outputs, inputs, what made them, the evidence.

It is an assertion and the weakest evidence there is; it only ever adds participants to a
content, except that it is the answer to *nobody can tell*.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from ..errors import InputError
from ..provenance.statements import LONGEST, Derivation
from ..repo.locks import lock
from ..repo.worktree import Checkout
from .origins import node_of
from .plans import natural
from .snapshot import take_snapshot
from .stating import (
    content_of,
    entries_at,
    new_token,
    refuse_changed,
    refuse_uncommitted,
    save_statements,
)


@dataclass(frozen=True)
class Derived:
    """What was recorded; ``participants`` are all whose data the outputs hold with it."""

    outputs: tuple[str, ...]
    inputs: int
    participants: tuple[str, ...]
    statement: str | None
    known: bool = False


def derive(
    checkout: Checkout,
    outputs: Sequence[str],
    inputs: Sequence[str],
    by: str,
    evidence: str = "",
    *,
    today: date,
    dry_run: bool = False,
) -> Derived:
    """Record that outputs were made from inputs; directories stand for all below them.

    Raises
    ------
    InputError
        When a path names nothing, or nothing is left that was made.
    Refused
        When a file, or the registry, is not as it is committed.
    """
    for name, text in (("--by", by), ("--evidence", evidence)):
        if len(text) > LONGEST:
            raise InputError(f"is longer than {LONGEST} characters", where=name)
    with lock(checkout.ours / "lock", "this dataset"):
        refuse_uncommitted(checkout, "derivation")
        state = take_snapshot(checkout)
        sources = entries_at(state.entries, inputs, files=False)
        before = {node_of(e) for e in sources}
        made = [
            e for e in entries_at(state.entries, outputs, files=False) if node_of(e) not in before
        ]
        if not made:
            raise InputError(
                "is all among what it would be made from",
                where=", ".join(outputs),
                remedy="Name as inputs only what went in",
            )
        refuse_changed(checkout, [*made, *sources])
        nodes = {node_of(e) or "" for e in made}
        people = frozenset[str]().union(*(state.people(e) for e in [*made, *sources]))
        new = Derivation(
            new_token(),
            tuple(map(content_of, made)),
            tuple(map(content_of, sources)),
            by,
            today,
            evidence,
        )
        names = tuple(e.path for e in made)
        told = tuple(sorted(people, key=natural))
        for one in state.statements:
            if isinstance(one, Derivation) and _same(one, nodes, before, new):
                return Derived(names, len(sources), told, None, True)
        statement = None
        if not dry_run:
            word = "1 file" if len(made) == 1 else f"{len(made)} files"
            (statement,) = save_statements(checkout, [new], f"Record what {word} were made from")
        return Derived(names, len(sources), told, statement)


def _same(one: Derivation, outputs: set[str], inputs: set[str | None], new: Derivation) -> bool:
    return (
        (one.by, one.evidence) == (new.by, new.evidence)
        and {c.node for c in one.outputs} == outputs
        and {c.node for c in one.inputs} == inputs
    )


def evidence_text(given: str, base: Path) -> str:
    """A text as it is; of a file its name and checksum, so that it can be shown to be the one.

    Parameters
    ----------
    given : str
        Text, or a file relative to ``base``.
    """
    try:
        path = base / given
        if not path.is_file():
            return given
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except (OSError, ValueError):  # too long for a name, or has a NUL: a text
        return given
    return f"file {path.name}, SHA-256 {digest}"
