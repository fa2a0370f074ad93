"""What stewards state: what was made outside, how clean a content is, which run was sealed.

One JSON file a statement below ``.datalad/mrishare/statements/``, never changed once it is
committed; ``resources/statements.schema.json`` describes them. They decide, so they are read
strictly: an unknown field, kind or word is an error and never ignored.

::

    derivation   outputs were made from inputs by something that left no run record
    attestation  how clean one content is, with the evidence
    seal         a run was repeated with nothing but its declared inputs: the same outputs

A statement is about contents and not about paths: an attestation of one version says nothing
of the next. Pure: bytes in, statements out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, NamedTuple

from ..consent.grants import Deid
from ..consent.values import HIDDEN, read_date, unknown
from ..errors import InputError
from ..repo.keys import is_key

DIRECTORY = ".datalad/mrishare/statements"

#: bytes of one file, characters of one text: no statement that anybody writes is longer
LARGEST, LONGEST = 16 << 20, 2000

_TOKEN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
_OID = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


class Content(NamedTuple):
    """A content and the path at which it stood when the statement was made.

    ``node`` is an annex key, or ``git:`` and the id of the blob.
    """

    path: str
    node: str

    def as_json(self) -> dict[str, str]:
        """As a statement holds it."""
        if self.node.startswith("git:"):
            return {"path": self.path, "blob": self.node[4:]}
        return {"path": self.path, "key": self.node}


@dataclass(frozen=True)
class Derivation:
    """Contents that were made from others by something without a run record."""

    token: str
    outputs: tuple[Content, ...]
    inputs: tuple[Content, ...]
    by: str
    recorded: date
    evidence: str = ""


@dataclass(frozen=True)
class Attestation:
    """How clean a content is.

    ``considered`` are the records of denials that were in force when it was made, of those
    who are in an anonymous result: one that came later asks for another decision.
    """

    token: str
    content: Content
    deid: Deid
    evidence: str
    recorded: date
    by: str = ""
    considered: tuple[str, ...] = ()


@dataclass(frozen=True)
class Seal:
    """The run of ``commit`` was repeated with its declared ``inputs`` only: same ``outputs``."""

    token: str
    commit: str
    outputs: tuple[Content, ...]
    inputs: tuple[Content, ...]
    recorded: date


Statement = Derivation | Attestation | Seal

_COMMON = ("statement", "token", "recorded")
#: what each kind must have, and what it may have
_FIELDS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "derivation": ((*_COMMON, "outputs", "inputs", "by"), ("evidence",)),
    "attestation": ((*_COMMON, "path", "deid", "evidence"), ("key", "blob", "by", "considered")),
    "seal": ((*_COMMON, "commit", "outputs", "inputs"), ()),
}


def parse_statements(files: Iterable[tuple[str, bytes]]) -> tuple[Statement, ...]:
    """The statements in ``files``, in the order of their names, that is of time.

    Parameters
    ----------
    files : iterable of (str, bytes)
        Path and content of every file below :data:`DIRECTORY`.

    Raises
    ------
    InputError
        When any of them cannot be understood: then nothing may be decided.
    """
    found: dict[str, Statement] = {}
    for path, data in sorted(files):
        statement = parse_statement(data, path)
        if statement.token in found:
            raise _wrong(f"the token `{statement.token}` is given twice", path)
        found[statement.token] = statement
    return tuple(found.values())


def parse_statement(data: bytes, where: str) -> Statement:
    """One statement; raises :class:`InputError` when it is none."""
    reader = _Reader(_object(data, where), where)
    kind = reader.kind
    if kind == "derivation":
        return Derivation(
            reader.token(),
            reader.contents("outputs"),
            reader.contents("inputs"),
            reader.text("by"),
            reader.day(),
            reader.text("evidence", empty=True),
        )
    if kind == "seal":
        outputs, inputs = reader.contents("outputs"), reader.contents("inputs", empty=True)
        return Seal(reader.token(), reader.oid("commit"), outputs, inputs, reader.day())
    return Attestation(
        reader.token(),
        content_of(reader.values, where),
        reader.level(),
        reader.text("evidence"),
        reader.day(),
        reader.text("by", empty=True),
        reader.tokens("considered"),
    )


def format_statement(statement: Statement) -> bytes:
    """The bytes of a statement's file."""
    content: dict[str, Any] = {
        "statement": type(statement).__name__.lower(),
        "token": statement.token,
        "recorded": statement.recorded.isoformat(),
    }
    if isinstance(statement, Attestation):
        content |= statement.content.as_json()
        content |= {"deid": statement.deid.word, "evidence": statement.evidence}
        content |= {"by": statement.by} if statement.by else {}
        content |= {"considered": list(statement.considered)} if statement.considered else {}
    else:
        content["outputs"] = [c.as_json() for c in statement.outputs]
        content["inputs"] = [c.as_json() for c in statement.inputs]
    if isinstance(statement, Derivation):
        content["by"] = statement.by
        content |= {"evidence": statement.evidence} if statement.evidence else {}
    if isinstance(statement, Seal):
        content["commit"] = statement.commit
    text = json.dumps(content, indent=1, sort_keys=True, ensure_ascii=True)
    return text.encode("ascii") + b"\n"


def attested(statements: Iterable[Statement], known: date | None = None) -> dict[str, Attestation]:
    """Content -> the attestation that holds for it: the newest.

    Parameters
    ----------
    statements : iterable of Statement
        In the order of time.
    known : date, optional
        Only what was recorded up to this day counts.
    """
    found: dict[str, Attestation] = {}
    for one in statements:
        if isinstance(one, Attestation) and (known is None or one.recorded <= known):
            before = found.get(one.content.node)
            if before is None or before.recorded <= one.recorded:
                found[one.content.node] = one
    return found


def _wrong(what: str, where: str) -> InputError:
    return InputError(
        what,
        where=where,
        remedy=f"Statements are made by commands; see who changed it: git log -p -- {where}",
    )


def _object(data: bytes, where: str) -> dict[str, Any]:
    if not where.endswith(".json"):
        raise _wrong("is no statement, and nothing else belongs there", where)
    if len(data) > LARGEST:
        raise _wrong(f"is larger than {LARGEST >> 20} MiB", where)
    try:
        value = json.loads(data, object_pairs_hook=_each_once)
    except (ValueError, RecursionError):
        raise _wrong("is not valid JSON", where) from None
    if not isinstance(value, dict):
        raise _wrong("is no statement", where)
    return value


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key is given twice")
    return found


def content_of(values: Mapping[str, Any], where: str) -> Content:
    """The content that ``path`` and either ``key`` or ``blob`` name."""
    path, key, blob = (values.get(name) for name in ("path", "key", "blob"))
    if not isinstance(path, str) or not path or _leads_out(path):
        raise _wrong("`path` is not a path in the dataset", where)
    if (key is None) == (blob is None):
        raise _wrong("give either `key` or `blob`", where)
    if isinstance(key, str) and is_key(key) and not key.startswith("git:"):
        return Content(path, key)
    if isinstance(blob, str) and _OID.fullmatch(blob):
        return Content(path, f"git:{blob}")
    raise _wrong("`key` or `blob` is not the name of a content", where)


def _leads_out(path: str) -> bool:
    return path.startswith("/") or "\0" in path or ".." in path.split("/")


class _Reader:
    """Reads the fields of one statement."""

    def __init__(self, values: dict[str, Any], where: str):
        self.values, self.where = values, where
        kind = values.get("statement")
        if not isinstance(kind, str) or kind not in _FIELDS:
            raise unknown("kind of statement", str(kind), _FIELDS, where)
        self.kind = kind
        required, optional = _FIELDS[kind]
        for name in values:
            if name not in required and name not in optional:
                raise unknown("field", name, (*required, *optional), where)
        for name in required:
            if name not in values:
                raise _wrong(f"has no field `{name}`", where)

    def text(self, name: str, *, empty: bool = False) -> str:
        value = self.values.get(name, "" if empty else None)
        if not isinstance(value, str) or len(value) > LONGEST or HIDDEN.search(value):
            raise _wrong(f"`{name}` is not a text of at most {LONGEST} characters", self.where)
        if not empty and not value.strip():
            raise _wrong(f"`{name}` is empty", self.where)
        return value

    def token(self) -> str:
        value = self.values["token"]
        if not isinstance(value, str) or not _TOKEN.fullmatch(value):
            raise _wrong("`token` is not a token", self.where)
        return value

    def tokens(self, name: str) -> tuple[str, ...]:
        value = self.values.get(name, [])
        if not isinstance(value, list) or not all(
            isinstance(v, str) and _TOKEN.fullmatch(v) for v in value
        ):
            raise _wrong(f"`{name}` is not a list of tokens", self.where)
        return tuple(value)

    def oid(self, name: str) -> str:
        value = self.values[name]
        if not isinstance(value, str) or not _OID.fullmatch(value):
            raise _wrong(f"`{name}` is not the id of a commit", self.where)
        return value

    def day(self) -> date:
        value = self.values["recorded"]
        if not isinstance(value, str):
            raise _wrong("`recorded` is not a date", self.where)
        try:
            return read_date(value)
        except InputError as exc:
            raise _wrong(f"`recorded`: {exc.what}", self.where) from None

    def level(self) -> Deid:
        value = self.values["deid"]
        try:
            return Deid.parse(value if isinstance(value, str) else "")
        except InputError as exc:
            raise InputError(f"`deid`: {exc.what}", where=self.where, remedy=exc.remedy) from None

    def contents(self, name: str, *, empty: bool = False) -> tuple[Content, ...]:
        value = self.values[name]
        if not isinstance(value, list) or not (value or empty):
            raise _wrong(f"`{name}` is not a list of contents", self.where)
        found = []
        for one in value:
            if not isinstance(one, dict) or set(one) - {"path", "key", "blob"}:
                raise _wrong(f"`{name}` holds something that is no content", self.where)
            found.append(content_of(one, self.where))
        return tuple(found)
