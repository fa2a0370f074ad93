"""Terms of the Data Use Ontology, by shorthand or id.

The table is ``resources/duo.yaml``; its head says where it comes from. A term is a
*permission* (a set of purposes), a *modifier* (a duty, or both of two duties), a
*region* or *other*: terms that exist but have no meaning in our lattice. The last are
shipped so that they are refused with a reason instead of as unknown words.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

from ..errors import InputError
from .values import unknown
from .yamltext import load_yaml


@dataclass(frozen=True)
class Term:
    """One DUO term: ``GRU``, ``DUO:0000042``, ``general research use``, ``permission``."""

    shorthand: str
    id: str
    label: str
    kind: str
    note: str | None = None


def resource(name: str) -> str:
    """The text of a file shipped in ``resources/``."""
    return (files("datalad_mrishare") / "resources" / name).read_text("utf-8")


@lru_cache(maxsize=1)
def terms() -> dict[str, Term]:
    """All shipped terms, by shorthand and by id.

    >>> terms()["DUO:0000042"].label
    'general research use'
    """
    table = load_yaml(resource("duo.yaml"), "duo.yaml").value["terms"]
    found: dict[str, Term] = {}
    for shorthand, row in table.items():
        found[shorthand] = found[row["id"]] = Term(shorthand, **row)
    return found


def term(text: str, *kinds: str, where: str | None = None) -> Term:
    """Look up a term of one of the ``kinds``.

    Raises
    ------
    InputError
        When there is no such term, or it is of another kind.

    >>> term("DUO:0000006", "permission").shorthand
    'HMB'
    """
    found = terms().get(text)
    if found is None:
        known = [t.shorthand for t in terms().values() if t.kind in kinds]
        raise unknown("DUO term", text, known, where)
    if found.kind not in kinds:
        reason = found.note or f"it is a {found.kind}, not a {' or '.join(kinds)}"
        raise InputError(
            f"`{text}` ({found.label}) cannot be used here", where=where, remedy=reason
        )
    return found
