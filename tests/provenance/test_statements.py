"""Statements are read strictly: what is not understood decides nothing."""

from __future__ import annotations

import json
from datetime import date
from importlib.resources import files
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from datalad_mrishare.consent import Deid
from datalad_mrishare.errors import InputError
from datalad_mrishare.provenance.statements import (
    Attestation,
    Content,
    Derivation,
    Seal,
    attested,
    format_statement,
    parse_statement,
    parse_statements,
)

KEY, BLOB = "SHA256E-s5--ab.nii.gz", "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
DAY = date(2026, 5, 4)
MADE = Derivation(
    "t1",
    (Content("derivatives/mean.nii.gz", KEY), Content("derivatives/t.tsv", f"git:{BLOB}")),
    (Content("sub-01/anat/sub-01_T1w.nii.gz", "MD5E-s7--cd.nii.gz"),),
    "fmriprep 24.1.1",
    DAY,
    "the log of 3 May",
)
CLEAN = Attestation("t2", Content("a b/\n.nii.gz", KEY), Deid.ANONYMOUS, "mean of 12", DAY)
WHOLE = Attestation(
    "t3", Content("x.tsv", f"git:{BLOB}"), Deid.IDENTIFIABLE, "looked", DAY, "J. Doe", ("r1", "r2")
)
SEALED = Seal("t4", BLOB, MADE.outputs, (), DAY)
STATEMENTS = [MADE, CLEAN, WHOLE, SEALED]


def schema() -> Draft202012Validator:
    text = files("datalad_mrishare").joinpath("resources/statements.schema.json").read_text()
    Draft202012Validator.check_schema(json.loads(text))
    return Draft202012Validator(json.loads(text))


@pytest.mark.parametrize("statement", STATEMENTS, ids=lambda s: s.token)
def test_what_is_written_is_read_and_fits_the_schema(statement: Any) -> None:
    data = format_statement(statement)
    assert parse_statement(data, "x.json") == statement
    assert schema().is_valid(json.loads(data))


def of(statement: Any, /, **changes: Any) -> dict[str, Any]:
    values = json.loads(format_statement(statement))
    values |= changes
    return {k: v for k, v in values.items() if v is not None}


OUT = {"path": "x", "key": KEY}


@pytest.mark.parametrize(
    ("values", "named"),
    [
        (of(CLEAN, statement="attestaton"), "attestation"),
        (of(CLEAN, deid="anonym"), "anonymous"),
        (of(CLEAN, level="anonymous"), "level"),
        (of(CLEAN, outputs=[]), "outputs"),
        (of(CLEAN, key=None), "key"),
        (of(CLEAN, blob=BLOB), "key"),
        (of(CLEAN, key="no key"), "content"),
        (of(CLEAN, key=5), "content"),
        (of(CLEAN, key=None, blob="ab"), "content"),
        (of(CLEAN, path="/etc/passwd"), "path"),
        (of(CLEAN, path=""), "path"),
        (of(CLEAN, evidence=None), "evidence"),
        (of(CLEAN, evidence=""), "evidence"),
        (of(CLEAN, evidence="x" * 2001), "evidence"),
        (of(CLEAN, recorded="04.05.2026"), "recorded"),
        (of(CLEAN, recorded=None), "recorded"),
        (of(CLEAN, token="a b"), "token"),
        (of(CLEAN, considered="r1"), "considered"),
        (of(MADE, inputs=[]), "inputs"),
        (of(MADE, outputs=[]), "outputs"),
        (of(MADE, outputs=[{"path": "x"}]), "key"),
        (of(MADE, outputs=[{**OUT, "size": 5}]), "outputs"),
        (of(MADE, outputs=OUT), "outputs"),
        (of(MADE, outputs=["x"]), "outputs"),
        (of(MADE, by=""), "by"),
        (of(MADE, commit=BLOB), "commit"),
        (of(SEALED, commit="HEAD"), "commit"),
        (of(SEALED, evidence="none"), "evidence"),
    ],
)
def test_what_is_not_understood_is_an_error_that_names_it(
    values: dict[str, Any], named: str
) -> None:
    with pytest.raises(InputError) as caught:
        parse_statement(json.dumps(values).encode(), "s/x.json")
    assert named in str(caught.value) and "s/x.json" in str(caught.value)
    assert not schema().is_valid(values)


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b"{", b"[" * 100_000, b'{"statement": "seal", "statement": "seal"}', b"\xff"],
)
def test_what_is_no_object_is_an_error(data: bytes) -> None:
    with pytest.raises(InputError):
        parse_statement(data, "x.json")


@pytest.mark.parametrize("path", ["a/../../x", "..", "a\0b"])
def test_a_path_stays_in_the_dataset(path: str) -> None:
    with pytest.raises(InputError, match="path"):
        parse_statement(json.dumps(of(CLEAN, path=path)).encode(), "x.json")


def test_nothing_else_belongs_beside_them_and_no_token_is_there_twice() -> None:
    data = format_statement(CLEAN)
    assert parse_statements([("a.json", data)]) == (CLEAN,)
    with pytest.raises(InputError, match="nothing else belongs"):
        parse_statements([("a.json", data), ("README", b"x")])
    with pytest.raises(InputError, match="twice"):
        parse_statements([("a.json", data), ("b.json", data)])


def test_the_newest_attestation_of_a_content_holds() -> None:
    first = Attestation("a", Content("x", KEY), Deid.ANONYMOUS, "e", date(2026, 1, 1))
    other = Attestation("b", Content("x", "MD5-s1--a"), Deid.DEIDENTIFIED, "e", date(2026, 1, 1))
    later = Attestation("c", Content("y", KEY), Deid.IDENTIFIABLE, "e", date(2026, 2, 1))
    held = {"MD5-s1--a": other, KEY: later}
    assert attested([first, other, MADE, later]) == held
    # merged from another clone: what was recorded later counts, not what comes later
    assert attested([later, other, first]) == held
    assert attested([first, other, later], date(2026, 1, 31)) == {**held, KEY: first}
    # of two on one day the one that was written later
    again = Attestation("d", Content("y", KEY), Deid.ANONYMOUS, "e", date(2026, 2, 1))
    assert attested([first, later, again])[KEY] is again
