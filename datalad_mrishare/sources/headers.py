"""What a NIfTI file says about its image, from the bytes of its header only.

NIfTI-1 and NIfTI-2, plain and gzipped (https://nifti.nimh.nih.gov: ``nifti1.h``,
``nifti2.h``). The array is never read, with one exception: when the length that gzip
recorded disagrees with the header, the stream is unpacked (and thrown away) to be sure.
"""

from __future__ import annotations

import os
import stat
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

from ..privacy.looking import look_at
from ..privacy.told import SILENT, Told
from .findings import Kind

_CHUNK = 1 << 18
_NIFTI1, _NIFTI2 = 348, 540
_MM = {"meter": 1000.0, "mm": 1.0, "micron": 0.001}
_SECONDS = {"sec": 1.0, "msec": 0.001, "usec": 0.000001}

EXTENSIONS = (".nii", ".nii.gz")


@dataclass(frozen=True, slots=True)
class Header:
    """Shape; voxel size in mm; repetition time in s (None: not a series, or unknown unit);
    data type as numpy names it; spatial and temporal unit as the header names them; what is
    told beside the image."""

    dim: tuple[int, ...]
    zooms_mm: tuple[float, ...]
    tr_s: float | None
    dtype: str
    units: tuple[str, str]
    told: Told = SILENT


@dataclass(frozen=True, slots=True)
class Damage:
    """Why there is no header, or not all of the image behind it."""

    kind: Kind
    what: str


def is_image(path: str) -> bool:
    """Whether ``path`` names a NIfTI image."""
    return path.endswith(EXTENSIONS)


def read_header(file: Path, name: str = "") -> Header | Damage:
    """The header of ``file``, after checking that the image behind it is complete.

    Parameters
    ----------
    file : Path
        A regular file; a symlink is not followed.
    name : str, optional
        The path in the dataset when the content lies elsewhere.
    """
    name = name or file.name
    try:
        fd = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(fd, "rb") as stream:
            seen = os.fstat(fd)
            if not stat.S_ISREG(seen.st_mode):
                return Damage(Kind.UNREADABLE, "is not a file")
            if seen.st_size == 0:
                return Damage(Kind.UNREADABLE, "the file is empty")
            return _read(stream, name, seen.st_size)
    except OSError as exc:
        return Damage(Kind.UNREADABLE, f"cannot be read: {exc.strerror}")


def _read(stream: IO[bytes], name: str, size: int) -> Header | Damage:
    packed = stream.read(2) == b"\x1f\x8b"
    stream.seek(0)
    if packed != name.endswith(".gz"):
        word = "gzipped" if packed else "not gzipped"
        return Damage(Kind.UNREADABLE, f"the file is {word}, the name says otherwise")
    try:
        raw = _unpacked(stream, _NIFTI2) if packed else stream.read(_NIFTI2)
    except zlib.error:
        return Damage(Kind.UNREADABLE, "the gzip stream is damaged")
    parsed = _parse(raw)
    if isinstance(parsed, Damage):
        return parsed
    header, needed = parsed
    if packed:
        damage = _short_stream(stream, size, needed)
    elif size < needed:
        damage = Damage(Kind.TRUNCATED, f"has {size} of {needed} bytes")
    else:
        damage = None
    if damage:
        return damage
    stream.seek(0)
    told = look_at(stream, size, name)
    return replace(header, told=told) if told != SILENT else header


def _pieces(stream: IO[bytes]) -> Iterator[bytes]:
    """Unpacked content of a gzip file of one or more members, in bounded pieces.

    Ends without an error where the file ends; trailing bytes that are no gzip are left out.
    """
    unpacker = zlib.decompressobj(wbits=31)
    started = False
    data = stream.read(_CHUNK)
    while data:
        if not started and not data.startswith(b"\x1f"):
            return
        started = True
        piece = unpacker.decompress(data, _CHUNK)
        if piece:
            yield piece
        data = unpacker.unconsumed_tail
        if unpacker.eof:
            data, unpacker, started = unpacker.unused_data, zlib.decompressobj(wbits=31), False
        data = data or stream.read(_CHUNK)


def _unpacked(stream: IO[bytes], count: int) -> bytes:
    raw = b""
    for piece in _pieces(stream):
        raw += piece
        if len(raw) >= count:
            break
    return raw[:count]


def _short_stream(stream: IO[bytes], size: int, needed: int) -> Damage | None:
    """Whether a gzip file holds fewer than ``needed`` bytes (RFC 1952: ISIZE)."""
    stream.seek(max(0, size - 4))
    (recorded,) = struct.unpack("<I", stream.read(4).rjust(4, b"\0"))
    if recorded == needed % (1 << 32):
        return None
    stream.seek(0)
    there = 0
    try:
        for piece in _pieces(stream):
            there += len(piece)
            if there >= needed:
                return None
    except zlib.error:
        return Damage(Kind.UNREADABLE, f"the gzip stream is damaged after {there} bytes")
    return Damage(Kind.TRUNCATED, f"has {there} of {needed} bytes once unpacked")


def _parse(raw: bytes) -> tuple[Header, int] | Damage:
    """The header in ``raw``, and how many bytes the whole file must have at least."""
    from nibabel.nifti1 import Nifti1Header
    from nibabel.nifti2 import Nifti2Header
    from nibabel.spatialimages import HeaderDataError
    from nibabel.wrapstruct import WrapStructError

    sizes = {raw[:4]} & {struct.pack(e + "i", n) for e in "<>" for n in (_NIFTI1, _NIFTI2)}
    if len(raw) < 4 or not sizes:
        return Damage(Kind.UNREADABLE, "does not start with a NIfTI header")
    large = raw[:4] in (struct.pack("<i", _NIFTI2), struct.pack(">i", _NIFTI2))
    length = _NIFTI2 if large else _NIFTI1
    if len(raw) < length:
        return Damage(Kind.TRUNCATED, f"has {len(raw)} of the {length} bytes of its header")
    kind: Any = Nifti2Header if large else Nifti1Header
    try:
        parsed = kind(raw[:length], check=False)
        return _header(parsed, length)
    except (HeaderDataError, WrapStructError, ValueError, KeyError, OverflowError) as exc:
        return Damage(Kind.UNREADABLE, f"the NIfTI header is damaged: {exc}")


def _header(parsed: Any, length: int) -> tuple[Header, int]:
    if bytes(parsed["magic"])[:2] != b"n+":
        raise ValueError("it is half of a .hdr/.img pair, or no NIfTI")
    rank = int(parsed["dim"][0])
    dim = tuple(int(n) for n in parsed["dim"][1 : rank + 1])
    if not 1 <= rank <= 7 or any(n < 1 for n in dim):
        raise ValueError(f"impossible dimensions {'x'.join(map(str, dim)) or rank}")
    # a header may call an RGB voxel a record: its name is not a simple word then
    dtype = parsed.get_data_dtype()
    space, time = parsed.get_xyzt_units()
    scale = _MM.get(space, 1.0)
    zooms = tuple(abs(float(z)) * scale for z in parsed["pixdim"][1 : 1 + min(rank, 3)])
    tr_s = None
    if rank >= 4 and time in _SECONDS and float(parsed["pixdim"][4]) > 0:
        tr_s = float(parsed["pixdim"][4]) * _SECONDS[time]
    needed = int(dtype.itemsize)
    for count in dim:
        needed *= count
    start = max(int(parsed["vox_offset"]), length + 4)
    word = dtype.name if dtype.names is None else "x".join(dtype.names)
    return Header(dim, zooms, tr_s, word, (space, time)), start + needed
