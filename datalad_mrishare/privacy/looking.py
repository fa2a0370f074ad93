"""Looking into files for what they tell beside their data: the first bytes of an image, of
anything else all of it up to a limit.

The array of an image is read only when gzip's own record of the length says that there is more
than an image in the file.
"""

from __future__ import annotations

import os
import stat
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from .imagetext import (
    FRONT_LIMIT,
    NIFTI2,
    Layout,
    labels_in,
    layout,
    told_by_envelope,
    told_in_front,
)
from .told import DICOM, SILENT, UNREADABLE, Told

IMAGES = (".nii", ".nii.gz")
#: bytes of a file that is no image which are looked through for labels
TEXT_LIMIT = 1 << 26
_FIRST, _CHUNK, _OVERLAP = 1 << 12, 1 << 18, 1 << 8
_GZIP = b"\x1f\x8b"


def look_into(file: Path, name: str) -> Told | None:
    """What the content in ``file`` tells, which is known as ``name``; None if it is not there.

    Parameters
    ----------
    file : Path
        A regular file; a symlink is not followed.
    name : str
        A path or name that it has in the dataset.
    """
    try:
        fd = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(fd, "rb", buffering=0) as stream:
            seen = os.fstat(fd)
            if not stat.S_ISREG(seen.st_mode):
                return None
            return look_at(stream, seen.st_size, name)
    except OSError:
        return None


def look_at(stream: IO[bytes], size: int, name: str) -> Told:
    """The same for a stream of ``size`` bytes that can be sought in."""
    first = stream.read(_FIRST)
    if not name.endswith(IMAGES):
        return _any_file(stream, first)
    envelope = told_by_envelope(first, name.rpartition("/")[2])
    pieces = _pieces(stream, first)
    raw = _front(pieces, NIFTI2)
    found = layout(raw)
    if found is None:
        other = _any_file(stream, first)
        return _together(envelope, other, Told((UNREADABLE,)))
    if found.start > len(raw):
        raw += _front(pieces, min(found.start, FRONT_LIMIT) - len(raw))
    told = told_in_front(raw, found)
    return _together(envelope, told, _behind(stream, first, size, found))


def _together(*parts: Told) -> Told:
    if all(part == SILENT for part in parts):
        return SILENT
    places = {place for part in parts for place in part.places}
    return Told(tuple(sorted(places)), frozenset().union(*(part.labels for part in parts)))


def _any_file(stream: IO[bytes], first: bytes) -> Told:
    """A file that is no image: labels in it, and whether it is DICOM (PS3.10, 7.1)."""
    pieces, end, done = _pieces(stream, first), b"", 0
    labels = told_by_envelope(first, "").labels  # the name that was packed, a comment
    dicom = False
    for piece in pieces:
        dicom = dicom or (not done and piece[128:132] == b"DICM")
        labels |= labels_in(end + piece)
        end, done = piece[-_OVERLAP:], done + len(piece)
        if done > TEXT_LIMIT:
            break
    return Told((DICOM,) if dicom else (), labels) if dicom or labels else SILENT


def _front(pieces: Iterator[bytes], count: int) -> bytes:
    raw = b""
    while len(raw) < count:
        piece = next(pieces, b"")
        if not piece:
            break
        raw += piece
    return raw


def _pieces(stream: IO[bytes], first: bytes) -> Iterator[bytes]:
    """The content piece by piece, unpacked when it is packed; what is damaged ends it."""
    stream.seek(len(first))
    if not first.startswith(_GZIP):
        if first:
            yield first
        while piece := stream.read(_CHUNK):
            yield piece
        return
    unpacker, data = zlib.decompressobj(wbits=31), first
    try:
        while data:
            if piece := unpacker.decompress(data, _CHUNK if data is not first else _FIRST):
                yield piece
            data = unpacker.unconsumed_tail
            if unpacker.eof:
                data = unpacker.unused_data or stream.read(_CHUNK)
                if data and not data.startswith(_GZIP[:1]):
                    yield data  # no gzip any more, and told all the same
                    return
                unpacker = zlib.decompressobj(wbits=31)
            data = data or stream.read(_CHUNK)
    except zlib.error:
        return


def _behind(stream: IO[bytes], first: bytes, size: int, found: Layout) -> Told:
    """What follows the image; a packed file is unpacked only when gzip recorded another length."""
    if not first.startswith(_GZIP):
        if size <= found.needed:
            return SILENT
        stream.seek(found.needed)
        rest: Iterator[bytes] = iter(lambda: stream.read(_CHUNK), b"")
    else:
        stream.seek(max(0, size - 4))
        if int.from_bytes(stream.read(4), "little") == found.needed % (1 << 32):
            return SILENT
        rest = _after(_pieces(stream, first), found.needed)
    told, labels, end = False, frozenset[str](), b""
    for piece in rest:
        told = told or any(piece)
        labels |= labels_in(end + piece)
        end = piece[-_OVERLAP:]
    return Told(("behind",), labels) if told else SILENT


def _after(pieces: Iterator[bytes], count: int) -> Iterator[bytes]:
    for piece in pieces:
        if count < len(piece):
            yield piece[count:]
        count = max(0, count - len(piece))
