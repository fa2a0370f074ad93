"""Run records: real ones, and ten thousand that somebody spoilt."""

from __future__ import annotations

import json
import lzma
import random
import time
from collections import Counter

import pytest

from datalad_mrishare.provenance.records import (
    LARGEST,
    Record,
    Sidecar,
    Unreadable,
    in_dataset,
    read_message,
    read_sidecar,
)

#: as DataLad 1.7 writes it
REAL = b"""[DATALAD RUNCMD] average

=== Do not change lines below ===
{
 "chain": [
  "2a3ca79671c5cb71e823f9c5e85893d4c09cfb56"
 ],
 "cmd": "cat {inputs} > {outputs}",
 "dsid": "7f2d3a52-8c1e-4c53-9a55-0d4bd5a4b0b1",
 "exit": 0,
 "extra_inputs": [
  ".datalad/environments/x/image"
 ],
 "inputs": [
  "sub-*/anat",
  "gr\xc3\xbc\xc3\x9fe.txt"
 ],
 "outputs": [
  "mean.nii.gz"
 ],
 "pwd": "code"
}
^^^ Do not change lines above ^^^
"""


def with_json(text: str | bytes) -> bytes:
    raw = text.encode() if isinstance(text, str) else text
    return (
        b"[DATALAD RUNCMD] x\n\n=== Do not change lines below ===\n"
        + raw
        + b"\n^^^ Do not change lines above ^^^\n"
    )


def test_a_real_record() -> None:
    found = read_message(REAL)
    assert isinstance(found, Record)
    assert found.command == "cat {inputs} > {outputs}"
    assert found.inputs == ("sub-*/anat", "grüße.txt")
    assert found.extra_inputs == (".datalad/environments/x/image",)
    assert (found.pwd, found.dsid[:8], len(found.chain)) == ("code", "7f2d3a52", 1)


def test_what_older_versions_wrote() -> None:
    """No inputs at all, or the command as a list."""
    found = read_message(with_json('{"cmd": ["bash", "-c", "x"], "exit": 0, "pwd": "."}'))
    assert isinstance(found, Record)
    assert (found.command, found.inputs, found.dsid) == ("bash -c x", (), "")


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (b"[DATALAD RUNCMD] x", "is missing"),
        (REAL.partition(b"^^^")[0], "is cut off"),
        (REAL.replace(b"[DATALAD", b"[").replace(b"=== Do", b"==="), "is missing"),
        (REAL + REAL, "several"),
        (with_json("{"), "cannot be read"),
        (with_json("[]"), "is none"),
        (with_json('{"cmd": "x", "inputs": "a"}'), "`inputs` is no list"),
        (with_json('{"cmd": "x", "inputs": [1]}'), "`inputs` is no list"),
        (with_json('{"cmd": "x", "extra_inputs": {}}'), "`extra_inputs` is no list"),
        (with_json('{"inputs": []}'), "no command"),
        (with_json('{"cmd": "x", "pwd": 1}'), "`pwd`"),
        (with_json('{"cmd": "x", "dsid": []}'), "`dsid`"),
        (with_json('{"cmd": "x", "inputs": ["a"], "inputs": []}'), "given twice"),
        (with_json('{"cmd": "x", "exit": NaN}'), "NaN"),
        (with_json('{"cmd": "x", "exit": ' + "9" * 9999 + "}"), "cannot be read"),
        (with_json("[" * 99_999), "nested too deeply"),
        (with_json('{"a":' * 99_999), "nested too deeply"),
        (with_json(b'{"cmd": "\xff"}'), "UTF-8"),
        (with_json('"../../etc/passwd"'), "cannot be one of DataLad's"),
        (with_json('"ABCDEF"'), "cannot be one of DataLad's"),
        (with_json('""'), "cannot be one of DataLad's"),
    ],
)
def test_what_cannot_be_read(message: bytes, why: str) -> None:
    found = read_message(message)
    assert isinstance(found, Unreadable) and why in found.why, found
    assert "\n" not in found.why


def test_other_messages_have_no_record() -> None:
    for text in (b"", b"Add files", b'Revert "[DATALAD RUNCMD] x"', b"\xff\xfe\0", b"x" * 99):
        assert read_message(text) is None


def test_a_record_in_a_file() -> None:
    name = read_message(with_json('"0123abc"'))
    assert isinstance(name, Sidecar) and name.name == "0123abc"
    text = json.dumps({"cmd": "x", "inputs": ["a"], "pwd": "."}).encode()
    for content in (lzma.compress(text), text, text + b"\n"):
        found = read_sidecar(content, name)
        assert isinstance(found, Record) and found.inputs == ("a",) and found.text == name.text
    for content, why in (
        (lzma.compress(text)[:-9], "cut off"),
        (lzma.compress(b" " * (LARGEST + 1), preset=0), "too long"),
        (lzma.compress(bytes(1 << 28), preset=0), "too long"),  # a bomb
        (b"\xfd7zXZ\0" + b"rubbish" * 9, "cannot be read"),
        (b'"abc"', "names another"),
        (b"", "cannot be read"),
    ):
        found = read_sidecar(content, name)
        assert isinstance(found, Unreadable) and why in found.why, (content[:20], found)


@pytest.mark.parametrize(
    ("pwd", "given", "path"),
    [
        (".", "a", "a"),
        (".", ".", ""),
        ("code", "..", ""),
        ("code", "../a/./b//c/", "a/b/c"),
        ("a/b", "../../../x", None),
        ("..", "x", None),
        (".", "/x", None),
        ("/x", "y", None),
        (".", "a\0b", None),
        (".", "\ud800", None),
        (".", "a" * 9000, None),
        (".", "\udcff", "\udcff"),
        (".", "-x\ny", "-x\ny"),
    ],
)
def test_paths_stay_in_the_dataset(pwd: str, given: str, path: str | None) -> None:
    assert in_dataset(pwd, given) == path


def mutated(number: int) -> bytes:
    """A real message, spoilt at random; also used by the tests of reading."""
    chance = random.Random(number)
    text = bytearray(REAL)
    odd = [
        b"../" * 9,
        b"/etc/passwd",
        b"\0",
        b"\xff",
        b'"',
        b"\\u0000",
        b"\\ud800",
        b"{",
        b"[" * 99,
    ]
    odd += [b"**/" * 99, b"*" * 99, b"[!", b"-x", b"$(touch pwned)", b"`touch pwned`", b"\n", b","]
    odd += [b"1e999999", b"null", b"=== Do not change lines below ===", b"^^^", b"HEAD:", b"@{u}"]
    for _ in range(chance.choice([1, 1, 2, 5, 20])):
        at = chance.randrange(len(text))
        way = chance.randrange(5)
        if way == 0:
            text[at] = chance.randrange(256)
        elif way == 1:
            del text[at : at + chance.randrange(1, 40)]
        elif way == 2:
            text[at:at] = chance.choice(odd)
        elif way == 3:
            other = chance.randrange(len(text))
            text[at:at] = text[other : other + chance.randrange(60)]
        else:  # where it matters: an input
            text = bytearray(bytes(text).replace(b"sub-*/anat", chance.choice(odd), 1))
        text = text or bytearray(b"x")
    return bytes(text)


def test_ten_thousand_spoilt_records() -> None:
    seen: Counter[str] = Counter()
    start = time.monotonic()
    for number in range(10_000):
        found = read_message(mutated(number))
        seen[type(found).__name__] += 1
        if isinstance(found, Record):
            for given in (*found.inputs, *found.extra_inputs):
                path = in_dataset(found.pwd, given)
                seen["leads out"] += path is None
                assert path is None or (not path.startswith(("/", "../")) and path != "..")
    assert seen["Record"] > 1500 and seen["Unreadable"] > 5000 and seen["leads out"] > 100, seen
    assert time.monotonic() - start < 60
