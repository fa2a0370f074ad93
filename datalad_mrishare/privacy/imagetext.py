"""What an image tells beside its voxels, from the bytes of its header. Pure.

Layouts: ``nifti1.h`` and ``nifti2.h`` (https://nifti.nimh.nih.gov), extensions as in
``nifti1_io``; the envelope of a packed file is RFC 1952.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from .harmless import judge
from .told import Told

NIFTI1, NIFTI2 = 348, 540
#: bytes in front of an image that are looked at; no header is that long
FRONT_LIMIT = 1 << 24
# what is captured is not used up: sub-01+sub-02 are two
# (what begins with letters is found thirty times faster)
_LABEL = re.compile(rb"sub-(?=([a-z0-9]+(?:\+[a-z0-9+]*)?))")
#: field -> its bytes in the header
_PLACES1 = {
    "data-type": (4, 14),
    "db-name": (14, 32),
    "descrip": (148, 228),
    "aux-file": (228, 252),
    "intent-name": (328, 344),
}
_PLACES2 = {
    "descrip": (240, 320),
    "aux-file": (320, 344),
    "intent-name": (508, 524),
    "unused": (525, 540),
}


@dataclass(frozen=True)
class Layout:
    """Bytes of the header, where the image begins, and how many bytes the file has with it."""

    order: str
    header: int
    start: int
    needed: int


def layout(raw: bytes) -> Layout | None:
    """How a file that begins with ``raw`` is laid out; None when it is no NIfTI in one file."""
    for order in "<>":
        if raw[:4] == struct.pack(f"{order}i", NIFTI1):
            return _layout1(raw, order)
        if raw[:4] == struct.pack(f"{order}i", NIFTI2):
            return _layout2(raw, order)
    return None


def _layout1(raw: bytes, order: str) -> Layout | None:
    if len(raw) < NIFTI1 or raw[344:346] != b"n+":
        return None
    (bits,) = struct.unpack_from(f"{order}h", raw, 72)
    dim = struct.unpack_from(f"{order}8h", raw, 40)
    (offset,) = struct.unpack_from(f"{order}f", raw, 108)
    return _laid_out(order, NIFTI1, dim, bits, offset)


def _layout2(raw: bytes, order: str) -> Layout | None:
    if len(raw) < NIFTI2 or raw[4:6] != b"n+":
        return None
    (bits,) = struct.unpack_from(f"{order}h", raw, 14)
    dim = struct.unpack_from(f"{order}8q", raw, 16)
    (offset,) = struct.unpack_from(f"{order}q", raw, 168)
    return _laid_out(order, NIFTI2, dim, bits, offset)


def _laid_out(
    order: str, header: int, dim: tuple[int, ...], bits: int, offset: float
) -> Layout | None:
    if not 1 <= dim[0] <= 7 or any(n < 1 for n in dim[1 : dim[0] + 1]) or bits < 1:
        return None
    if not math.isfinite(offset) or offset > 1 << 40:
        return None
    voxels = math.prod(dim[1 : dim[0] + 1])
    start = max(int(offset), header + 4)
    return Layout(order, header, start, start + (voxels * bits + 7) // 8)


def told_in_front(raw: bytes, found: Layout) -> Told:
    """What the bytes in front of the image tell.

    >>> import nibabel, numpy
    >>> image = nibabel.Nifti1Image(numpy.zeros((2, 2, 2), "int16"), numpy.eye(4))
    >>> image.header["descrip"] = b"like sub-03"
    >>> raw = image.to_bytes()
    >>> told_in_front(raw, layout(raw))
    Told(places=('descrip',), labels=frozenset({'sub-03'}))
    """
    raw = raw[: found.start]
    places = {*_in_fields(raw, found), *_in_extensions(raw, found)}
    if len(raw) < found.start:
        places.add("gap")  # more than anybody looks at
    # one by one: a text that fills its field runs into the next
    texts = [raw[begin:end] for begin, end in _fields(found).values()]
    labels = frozenset[str]().union(*map(labels_in, (*texts, raw[found.header :])))
    return Told(tuple(sorted(places)), labels)


def _fields(found: Layout) -> dict[str, tuple[int, int]]:
    return _PLACES1 if found.header == NIFTI1 else _PLACES2


def _in_fields(raw: bytes, found: Layout) -> Iterator[str]:
    for field, (begin, end) in _fields(found).items():
        # what an earlier, longer text has left behind its end is told as well
        for part in raw[begin:end].split(b"\0"):
            if part and (place := judge(field, part.decode("latin-1"))):
                yield place


def _in_extensions(raw: bytes, found: Layout) -> Iterator[str]:
    at, end = found.header + 4, min(found.start, len(raw))
    follow = raw[found.header : at]
    if follow[:1] in (b"", b"\0") or any(follow[1:]):
        if any(raw[found.header : end]):
            yield "gap"
        return
    while at < end:
        size, code = struct.unpack_from(f"{found.order}2i", raw.ljust(at + 8, b"\0"), at)
        if size < 8 or at + size > end:
            if any(raw[at:end]):
                yield "gap"
            return
        if any(raw[at + 8 : at + size]):
            yield f"extension-{max(code, 0)}"
        at += size


def labels_in(content: bytes) -> frozenset[str]:
    """Labels of participants (``sub-XX``) in bytes, lower case; wide characters count, too."""
    lower = content.lower()
    found = {*_LABEL.findall(lower)}
    if b"s\0u\0b\0-\0" in lower:
        found.update(_LABEL.findall(lower.replace(b"\0", b"")))
    return frozenset(f"sub-{label.decode('ascii')}" for label in found)


def told_by_envelope(raw: bytes, name: str) -> Told:
    """What the header of a gzip file called ``name`` tells.

    >>> import gzip, io
    >>> packed = io.BytesIO()
    >>> gzip.GzipFile("Doe.nii", "wb", fileobj=packed).close()
    >>> told_by_envelope(packed.getvalue(), "sub-01_T1w.nii.gz").places
    ('gzip-name',)
    >>> told_by_envelope(packed.getvalue(), "Doe.nii.gz").places
    ()
    """
    if raw[:2] != b"\x1f\x8b" or len(raw) < 10:
        return Told()
    flags, at, places, texts = raw[3], 10, set(), b""
    if flags & 4:
        size = int.from_bytes(raw[at : at + 2], "little")
        extra = raw[at + 2 : at + 2 + size]
        if not (size == 6 and extra.startswith(b"BC\x02\0")):  # blocks of bgzip
            places.add("gzip-extra")
        texts, at = extra, at + 2 + size
    for flag, word in ((8, "gzip-name"), (16, "gzip-comment")):
        if flags & flag:
            text = raw[at:].partition(b"\0")[0]
            own = word == "gzip-name" and text.decode("latin-1") == name.removesuffix(".gz")
            if text and not own:
                places.add(word)
            texts, at = texts + b" " + text, at + len(text) + 1
    return Told(tuple(sorted(places)), labels_in(texts))
