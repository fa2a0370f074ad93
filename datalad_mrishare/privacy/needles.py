"""Secrets looked for in bytes: as text, as JSON and UTF-16 write them, in hexadecimal, in base64.

What is packed with gzip is looked through unpacked, so the header of an image and what an
extension of it holds are found, too. Pure.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress

#: bytes of one packed file that are looked through; what holds more is no table and no image
UNPACKED_LIMIT = 1 << 31
_CHUNK = 1 << 24
_MAGIC = b"\x1f\x8b"


class Needles:
    """Finds any of ``secrets``; upper and lower case are the same.

    >>> needles = Needles(["Jane Doe", "1970-05-03"])
    >>> sorted(needles.found(b"born 1970-05-03, jane doe"))
    ['1970-05-03', 'Jane Doe']
    """

    def __init__(self, secrets: Iterable[str]):
        self._plain: list[tuple[str, tuple[bytes, ...]]] = []
        self._coded: list[tuple[str, tuple[bytes, ...]]] = []
        for secret in dict.fromkeys(secrets):
            plain, coded = _spellings(secret)
            self._plain.append((secret, plain))
            self._coded.append((secret, coded))
        self.longest = max((len(s) for _, p in self._plain for s in p), default=0)

    def __bool__(self) -> bool:
        return bool(self._plain)

    def found(self, content: bytes) -> set[str]:
        """The secrets in ``content``, as it is."""
        lower = content.lower()
        found = {s for s, spellings in self._plain if any(w in lower for w in spellings)}
        return found | {s for s, words in self._coded if any(w in content for w in words)}

    def found_in(self, chunks: Iterable[bytes]) -> set[str]:
        """The secrets in a long content that comes in pieces, as it is and unpacked."""
        found: set[str] = set()
        for window in windows(chunks, 2 * self.longest + 8):
            found |= self.found(window)
        return found


def windows(chunks: Iterable[bytes], overlap: int) -> Iterator[bytes]:
    """A long content piece by piece, as it is and unpacked.

    Each piece begins with the last ``overlap`` bytes of the one before.

    >>> import gzip
    >>> [*windows([gzip.compress(b"some"), b"more"], 2)][1]
    b'some'
    """
    packed = _Gzip()
    end = inside = b""
    for chunk in chunks:
        window = end + chunk
        yield window
        end = window[-overlap:]
        for piece in packed.unpack(chunk):
            window = inside + piece
            yield window
            inside = window[-overlap:]


def _spellings(secret: str) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
    """How a secret may be written: forms for which case does not count, and the others."""
    plain: set[bytes] = set()
    coded: set[bytes] = set()
    # as it is usually written: case counts in base64, and bytes.lower() knows ASCII only
    for written in {secret, secret.lower(), secret.upper(), secret.title()}:
        raw = written.encode("utf-8", "surrogateescape")
        in_json = json.dumps(written)[1:-1].encode()
        plain |= {raw, in_json, in_json.replace(b"/", b"\\/"), raw.hex().encode()}
        plain.add(written.encode("utf-16-le", "surrogatepass"))
        with suppress(UnicodeEncodeError):
            plain.add(written.encode("latin-1"))
        if len(raw) > 8:
            # three alignments; the characters that neighbours touch are cut off
            for shift, cut in ((0, 0), (1, 2), (2, 3)):
                coded.add(base64.b64encode(b"\0" * shift + raw)[cut:].rstrip(b"=")[:-1])
    return tuple({spelling.lower() for spelling in plain}), tuple(coded)


class _Gzip:
    """Unpacks a content that comes in pieces, as far as it is packed; what is damaged ends it."""

    def __init__(self) -> None:
        self._tool: zlib._Decompress | None = None
        #: what may be the beginning of a packed part; None when none can follow
        self._head: bytes | None = b""
        self._size = 0

    def unpack(self, chunk: bytes) -> Iterator[bytes]:
        """What is in the next piece; several packed parts may follow each other."""
        while self._size < UNPACKED_LIMIT:
            if self._tool is None:
                if self._head is None:
                    return
                self._head += chunk
                if len(self._head) < len(_MAGIC):
                    return
                chunk, self._head = self._head, None
                if not chunk.startswith(_MAGIC):
                    return
                self._tool = zlib.decompressobj(wbits=31)
            if not chunk:
                return
            try:
                piece = self._tool.decompress(chunk, _CHUNK)
            except zlib.error:
                self._tool = None
                return
            self._size += len(piece)
            if piece:
                yield piece
            chunk = self._tool.unconsumed_tail
            if self._tool.eof:
                chunk, self._tool, self._head = self._tool.unused_data, None, b""
