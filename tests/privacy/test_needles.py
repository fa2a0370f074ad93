"""Secrets in bytes, however they are written and wherever the pieces end."""

from __future__ import annotations

import base64
import gzip
import json

import pytest

from datalad_mrishare.privacy.needles import Needles

SECRET = "Jörg Canary"
PLAIN = SECRET.encode()


@pytest.mark.parametrize(
    "content",
    [
        PLAIN,
        SECRET.upper().encode(),
        SECRET.encode("latin-1"),
        SECRET.encode("utf-16-le"),
        json.dumps(SECRET).encode(),
        PLAIN.hex().encode(),
        *(base64.b64encode(b"x" * shift + PLAIN + b" and more") for shift in range(3)),
        gzip.compress(b"a" * 5000 + PLAIN),
        gzip.compress(b"first") + gzip.compress(PLAIN),
        gzip.compress(b"a" * 50 + PLAIN + bytes(range(256)) * 50)[:-60],
        b"\x1f\x8b is not packed, " + PLAIN,
    ],
    ids=map(str, range(13)),
)
@pytest.mark.parametrize("size", [1, 7, 1 << 20])
def test_found(content: bytes, size: int) -> None:
    pieces = [content[at : at + size] for at in range(0, len(content), size)]
    assert Needles([SECRET, "nobody"]).found_in(pieces) == {SECRET}


def test_not_found() -> None:
    for content in (b"", b"J\xc3\xb6rg  Canary", gzip.compress(b"Canary"), b"\x1f\x8b" * 99):
        assert Needles([SECRET]).found_in([content]) == set()
    assert not Needles([])
