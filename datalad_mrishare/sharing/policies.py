"""What each sibling would do with the data: ``.datalad/mrishare/siblings.yaml``.

A policy is a point in the lattice plus how the sibling is served. In a policy what is
missing is the widest claim (any region, no end), so that a gap never opens anything.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from difflib import get_close_matches
from fractions import Fraction
from functools import lru_cache
from importlib.resources import files
from typing import Any

from ..consent.grants import COMPONENTS, Deid, Grant, Reach, parse_grant
from ..consent.values import unknown, words_of
from ..consent.yamltext import Document, load_yaml
from ..errors import InputError, SiblingError
from ..provenance.bids import ENTITIES
from ..repo.address import Address
from ..repo.cloud import cloud_place
from ..repo.transport import REMEDY, read_on_the_way
from .agreements import Agreement, parse_agreement

SIBLINGS_FILE = ".datalad/mrishare/siblings.yaml"

#: how a sibling is served, beside the grant components
_SERVICE = frozenset(
    "recall budget reserve unit select columns commons sources min_participants opaque dua"
    " encryption".split()
)
_PLACE = frozenset(("policy", "url", "storage"))
_ENCRYPTION = ("none", "required")
#: what becomes of files of which nobody can tell whose data they hold
DENY, EVERYONE = "deny", "everyone"
UNITS = ("participant", "session", "file")
_SELECTABLE = frozenset((*ENTITIES, "datatype", "suffix", "extension"))


#: a result attested anonymous holds at least so many, unless a policy says otherwise
LEAST_PARTICIPANTS = 10


@dataclass(frozen=True)
class Policy:
    """The policy of one sibling.

    Parameters
    ----------
    name : str
        The sibling's name.
    grant : Grant
        Its point in the lattice.
    recall : bool
        Whether content can be deleted there when asked.
    budget, reserve : int or None
        Bytes: what the sibling may hold of this dataset, and what must stay free there.
    unit : str
        What is sent together or not at all; one of :data:`UNITS`.
    select : mapping
        BIDS entity (also ``datatype``, ``suffix``) -> values; empty selects everything.
    columns : tuple of str or None
        Table columns that may leave; None: those that count as deidentified where the
        policy demands it, else all.
    commons : tuple of str
        Patterns of further files without a participant that may go everywhere.
    sources : tuple of str
        How URLs start that a release may name as its source, beside those of hosts that are
        known to publish data.
    min_participants : int
        The least number of participants in a result attested anonymous.
    opaque : str
        Of files whose lineage nobody can tell: :data:`DENY`, or :data:`EVERYONE` where each
        participant of the dataset has to permit it.
    address : Address or None
        Where the sibling is, once its release repository was set up.
    preset : str or None
        The shipped policy it is based on.
    dua : Agreement or None
        The data use agreement that is demanded.
    encryption : bool
        Whether content may lie there encrypted only.
    """

    name: str
    grant: Grant
    recall: bool = False
    budget: int | None = None
    reserve: int = 0
    unit: str = "participant"
    select: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    columns: tuple[str, ...] | None = None
    commons: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    min_participants: int = LEAST_PARTICIPANTS
    opaque: str = DENY
    address: Address | None = None
    preset: str | None = None
    dua: Agreement | None = None
    encryption: bool = False

    @property
    def own(self) -> bool:
        """Whether it is the controller's own storage: no sharing."""
        return self.grant.reach is Reach.OWN

    @property
    def days(self) -> tuple[date, ...]:
        """Days from which it may mean something else."""
        return () if self.grant.until is None else (self.grant.until,)

    def public_form(self) -> dict[str, Any]:
        """The policy as a release tells it: terms only, no place and no budget."""
        words = {c: " ".join(self.grant.words(c)) for c in COMPONENTS if self.grant.words(c)}
        words["recall"] = "yes" if self.recall else "no"
        return words


@lru_cache(maxsize=1)
def presets() -> dict[str, dict[str, Any]]:
    """The shipped policies by name, as written."""
    text = files("datalad_mrishare").joinpath("resources/policies.yaml").read_text()
    return dict(load_yaml(text, "resources/policies.yaml").value)


_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
#: what else is kept beside the release repositories in .git/mrishare
_TAKEN = re.compile(
    r"(hooks|lock|dataset|lineage|links|seal|.*\.(lock|journal|settled|clone|newroot))"
)


def check_name(name: str, where: str | None = None) -> None:
    """Refuse a name that cannot be the name of a sibling and of its release repository.

    Raises
    ------
    InputError
        Always naming what may be used.
    """
    if not _NAME.fullmatch(name) or _TAKEN.fullmatch(name):
        raise InputError(
            "is not a name for a sibling",
            where=where or repr(name),
            remedy="Use letters, digits, dots, dashes and underscores, but neither `hooks`, `lock`,"
            " `dataset`, `lineage`, `links`, `seal` nor an ending .lock, .journal, .settled, .clone"
            " or .newroot. To rename: git remote rename OLD NEW",
        )


def parse_policy(name: str, values: Mapping[str, Any], document: Document, *path: str) -> Policy:
    """A policy from what is written for it.

    Raises
    ------
    InputError
        For an unknown field, preset or word, naming its line.
    """
    known = {*COMPONENTS, *_SERVICE, *_PLACE}
    for key in values:
        if key not in known:
            raise unknown("policy field", key, known, document.at(*path, key))
    preset = values.get("policy")
    if preset is not None and preset not in presets():
        raise unknown("policy preset", str(preset), presets(), document.at(*path, "policy"))
    merged = {**(presets()[preset] if preset else {}), **values}

    def at(*keys: str) -> str:
        return document.at(*path, *keys)

    if merged.get("reach") is None:
        raise InputError(
            "says no `reach`, so nobody can tell whom it serves",
            where=document.at(*path),
            remedy=f"Add `reach:` (own, institution, ...) or `policy:` ({', '.join(presets())})",
        )
    grant = parse_grant(merged, at)
    if grant.reach is not Reach.OWN and not grant.use:
        raise InputError(
            "says no `use`, so it would be served nothing",
            where=document.at(*path),
            remedy="Add `use:` with DUO codes, for example `use: HMB`",
        )
    if grant.deid is None:
        grant = Grant(**{**_fields(grant), "deid": Deid.DEIDENTIFIED})
    dua = parse_agreement(merged.get("dua"), lambda *keys: at("dua", *keys))
    if dua is not None and "DUA" not in grant.duty:
        raise InputError(
            "`dua` is given, and the policy promises no DUA",
            where=at("dua"),
            remedy="Add DUA to `duty`, or remove `dua`",
        )
    columns = merged.get("columns")
    return Policy(
        name=name,
        grant=grant,
        recall=_yes(merged.get("recall", "no"), at("recall")),
        budget=_size(merged.get("budget"), at("budget")),
        reserve=_size(merged.get("reserve"), at("reserve")) or 0,
        unit=_one_of(merged.get("unit", "participant"), UNITS, at("unit")),
        select=parse_select(merged.get("select"), at("select")),
        columns=None if columns is None else _names(columns, at("columns")),
        commons=_names(merged.get("commons") or [], at("commons")),
        sources=_names(merged.get("sources") or [], at("sources")),
        min_participants=_count(
            merged.get("min_participants", str(LEAST_PARTICIPANTS)), at("min_participants")
        ),
        opaque=_one_of(merged.get("opaque", DENY), (DENY, EVERYONE), at("opaque")),
        address=_address(merged, at),
        preset=preset,
        dua=dua,
        encryption=_one_of(merged.get("encryption", "none"), _ENCRYPTION, at("encryption"))
        == "required",
    )


def _fields(grant: Grant) -> dict[str, Any]:
    return {name: getattr(grant, name) for name in COMPONENTS}


def _address(values: Mapping[str, Any], at: Any) -> Address | None:
    url = values.get("url")
    if not url:
        return None
    storage = values.get("storage")
    address = Address(url, dict(storage) if storage else None)
    # written by us, but anybody can edit it
    ways = [("url", str(url))]
    ways += [("storage", str(v)) for k, v in (storage or {}).items() if k in ("url", "rsyncurl")]
    cloud = cloud_place({str(k): str(v) for k, v in (storage or {}).items()})
    ways += [("storage", cloud.url)] if cloud else []
    for key, way in ways:
        wrong = None if way.startswith("annex::") else read_on_the_way(way)
        if wrong:
            raise InputError(wrong, where=at(key), remedy=REMEDY)
    return address


def _yes(word: Any, where: str) -> bool:
    if word not in ("yes", "no"):
        raise InputError(f"expected `yes` or `no`, found `{word}`", where=where)
    return bool(word == "yes")


def _one_of(word: Any, known: tuple[str, ...], where: str) -> str:
    if word not in known:
        raise unknown("value", str(word), known, where)
    return str(word)


def _count(word: Any, where: str) -> int:
    if not str(word).isdecimal() or int(word) < 1:
        raise InputError(f"expected a number of participants, found `{word}`", where=where)
    return int(word)


def _names(value: Any, where: str) -> tuple[str, ...]:
    """Names or patterns, each whole: a blank in one must not make two that match more."""
    if isinstance(value, str) and not any(map(str.isspace, value)):
        return (value,)
    if not isinstance(value, list) or not all(isinstance(v, str) and v for v in value):
        raise InputError("expected a list", where=where, remedy="Write it as [one, two]")
    return tuple(value)


def _size(word: Any, where: str) -> int | None:
    return None if word is None else parse_size(str(word), where)


_UNITS = {"": 1, "B": 1}
for _power, _letter in enumerate("KMGTP", start=1):
    _UNITS[f"{_letter}B"] = _UNITS[_letter] = 1000**_power
    _UNITS[f"{_letter}IB"] = 1024**_power


def parse_size(text: str, where: str | None = None) -> int:
    """Bytes from ``40GB`` (powers of 1000), ``40GiB`` (of 1024) or a plain number.

    >>> parse_size("40GB"), parse_size("1.5 MiB"), parse_size("0")
    (40000000000, 1572864, 0)
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", text, re.ASCII)
    if not match or match[2].upper() not in _UNITS:
        raise InputError(
            f"`{text}` is not a size", where=where, remedy="Write it as 40GB, 500MiB or in bytes"
        )
    return int(Fraction(match[1]) * _UNITS[match[2].upper()])


def format_size(count: int) -> str:
    """Bytes for people, powers of 1000.

    >>> format_size(0), format_size(999), format_size(1500), format_size(40_000_000_000)
    ('0 B', '999 B', '1.5 kB', '40.0 GB')
    """
    if count < 1000:
        return f"{count} B"
    size = float(count)
    for unit in ("kB", "MB", "GB", "TB"):
        size /= 1000
        if size < 999.95:
            return f"{size:.1f} {unit}"
    return f"{size / 1000:.1f} PB"


def parse_select(value: Any, where: str | None = None) -> dict[str, tuple[str, ...]]:
    """``datatype=anat suffix=T1w,T2w`` (words, a list of them, or a mapping).

    >>> parse_select(["datatype=anat", "suffix=T1w,T2w"])
    {'datatype': ('anat',), 'suffix': ('T1w', 'T2w')}
    """
    if value is None:
        return {}
    if isinstance(value, Mapping):
        return {_entity(str(k), where): words_of(v) for k, v in value.items()}
    words = value.split() if isinstance(value, str) else [str(v) for v in value]
    found: dict[str, tuple[str, ...]] = {}
    for word in words:
        entity, equals, values = word.partition("=")
        if not (entity and equals and values):
            raise InputError(
                f"`{word}` selects nothing",
                where=where,
                remedy="Write ENTITY=VALUE, for example datatype=anat or sub=01,02",
            )
        found[_entity(entity, where)] = (*found.get(entity, ()), *values.split(","))
    return found


def _entity(name: str, where: str | None) -> str:
    if name not in _SELECTABLE:
        raise unknown("entity", name, _SELECTABLE, where)
    return name


def load_policies(text: str | None, where: str = SIBLINGS_FILE) -> dict[str, Policy]:
    """All declared policies of a dataset by sibling name; none when there is no file.

    Raises
    ------
    InputError
        When the file cannot be understood, naming the line.
    """
    if text is None:
        return {}
    document = load_yaml(text, where)
    value = document.value or {}
    declared = value.get("siblings") if isinstance(value, Mapping) else None
    if not isinstance(declared, Mapping) or set(value) - {"siblings"}:
        raise InputError("must hold `siblings:` and nothing else", where=where)
    found = {}
    for name, values in declared.items():
        check_name(str(name), document.at("siblings", name))
        if not isinstance(values, Mapping):
            raise InputError("a policy is a mapping", where=document.at("siblings", name))
        found[name] = parse_policy(name, values, document, "siblings", name)
    return found


def policy_of(policies: Mapping[str, Policy], name: str) -> Policy:
    """The policy of ``name``.

    Raises
    ------
    SiblingError
        When none is declared.
    """
    if near := get_close_matches(name, policies, n=1) if name not in policies else []:
        raise SiblingError(
            "has no policy, so nothing may go there",
            where=f"sibling '{name}'",
            remedy=f"Did you mean '{near[0]}'?",
        )
    if name not in policies:
        raise SiblingError(
            "has no policy, so nothing may go there",
            where=f"sibling '{name}'",
            remedy=f"Declare one: datalad mrishare-sibling {name} --policy PRESET",
        )
    return policies[name]
