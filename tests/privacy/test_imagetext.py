"""What images tell beside their voxels: every place in them, and nothing that is harmless."""

from __future__ import annotations

import gzip
import io
import struct
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datalad_mrishare.privacy.harmless import judge
from datalad_mrishare.privacy.looking import look_at, look_into
from datalad_mrishare.privacy.told import SILENT, Told, as_metadata, from_metadata, mark

NAME = "sub-01_task-rest_bold.nii.gz"


def image(kind: type = nibabel.Nifti1Image, **fields: bytes) -> nibabel.Nifti1Image:
    made = kind(np.arange(24, dtype=np.int16).reshape(2, 3, 4), np.eye(4))
    for field, text in fields.items():
        made.header[field] = text
    return made


def told(raw: bytes, name: str = "sub-01_bold.nii") -> Told:
    return look_at(io.BytesIO(raw), len(raw), name)


def with_extension(code: int, content: bytes) -> bytes:
    made = image()
    made.header.extensions.append(nibabel.nifti1.Nifti1Extension(code, content))
    return bytes(made.to_bytes())


def patched(at: int, text: bytes, kind: type = nibabel.Nifti1Image) -> bytes:
    raw = bytearray(image(kind).to_bytes())
    raw[at : at + len(text)] = text
    return bytes(raw)


def moved(text: bytes) -> bytes:
    """Bytes between header and image that no extension announces."""
    raw = bytearray(image().to_bytes())
    raw[108:112] = struct.pack("<f", 400)
    return bytes(raw[:352]) + text.ljust(48, b"\0") + bytes(raw[352:])


SECRET = b"Jane like sub-03"
PLAIN: dict[str, Callable[[], bytes]] = {
    "descrip": lambda: image(descrip=SECRET).to_bytes(),
    "aux-file": lambda: image(aux_file=SECRET).to_bytes(),
    "intent-name": lambda: image(intent_name=SECRET).to_bytes(),
    "db-name": lambda: image(db_name=SECRET).to_bytes(),
    "data-type": lambda: image(data_type=b"sub-03").to_bytes(),
    "extension-6": lambda: with_extension(6, SECRET),
    "extension-18": lambda: with_extension(18, SECRET),
    "extension-44": lambda: with_extension(44, SECRET),
    "gap": lambda: moved(SECRET),
    "behind": lambda: image().to_bytes() + SECRET,
}


@pytest.mark.parametrize("place", PLAIN)
def test_every_place_of_an_image(place: str, tmp_path: Path) -> None:
    raw = PLAIN[place]()
    expected = Told((place,), frozenset({"sub-03"}))
    assert told(raw) == expected
    assert told(gzip.compress(raw, mtime=0), NAME) == expected
    assert told(gzip.compress(raw[:500], mtime=0) + gzip.compress(raw[500:], mtime=0), NAME) == (
        expected
    )
    file = tmp_path / "KEY"
    file.write_bytes(raw)
    assert look_into(file, "sub-01_bold.nii") == expected


def test_dicom_in_an_extension() -> None:
    raw = bytearray(with_extension(6, b"Jane" * 4))
    raw[356:360] = struct.pack("<i", 2)
    assert told(bytes(raw)).places == ("extension-2",)


@pytest.mark.parametrize(
    ("field", "at"), [("descrip", 240), ("aux-file", 320), ("intent-name", 508), ("unused", 525)]
)
def test_every_place_of_nifti_2(field: str, at: int) -> None:
    assert told(patched(at, b"sub-03", nibabel.Nifti2Image)).places == (field,)


@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
@pytest.mark.parametrize("swapped", [False, True])
def test_an_image_that_tells_nothing(kind: type, swapped: bool) -> None:
    made = image(kind, descrip=b"FSL5.0", aux_file=b"none")
    header = made.header.as_byteswapped() if swapped else made.header
    raw = kind(made.dataobj, None, header).to_bytes()
    assert told(raw) == told(gzip.compress(raw, mtime=0), NAME) == SILENT
    assert told(raw + b"\0" * 9) == SILENT  # tools pad


def test_what_a_shorter_text_left_behind_is_told() -> None:
    assert told(image(descrip=b"FSL5.0\0Jane").to_bytes()).places == ("descrip",)


def test_an_extension_of_zeros_and_a_damaged_one() -> None:
    assert told(with_extension(6, b"")) == SILENT
    raw = bytearray(with_extension(6, b"Jane" * 4))
    raw[352:356] = struct.pack("<i", 1 << 20)
    assert told(bytes(raw)).places == ("gap",)


@pytest.mark.parametrize(
    ("flag", "place"), [(8, "gzip-name"), (16, "gzip-comment"), (4, "gzip-extra")]
)
def test_the_envelope(flag: int, place: str) -> None:
    packed = gzip.compress(image().to_bytes(), mtime=0)
    text = b"sub-03 Jane.nii\0"
    more = struct.pack("<H", len(text)) + text if flag == 4 else text
    raw = packed[:3] + bytes((flag,)) + packed[4:10] + more + packed[10:]
    assert told(raw, NAME) == Told((place,), frozenset({"sub-03"}))
    assert gzip.decompress(raw) == gzip.decompress(packed)


def test_a_file_may_be_packed_under_its_own_name() -> None:
    packed = io.BytesIO()
    with gzip.GzipFile(NAME.removesuffix(".gz"), "wb", fileobj=packed) as out:
        out.write(image().to_bytes())
    assert told(packed.getvalue(), f"sub-01/func/{NAME}") == Told((), frozenset({"sub-01"}))
    assert told(packed.getvalue(), "sub-02_bold.nii.gz").places == ("gzip-name",)


@pytest.mark.parametrize(
    ("name", "raw", "expected"),
    [
        ("sub-01_bold.nii", b"like SUB-03", Told(("unreadable",), frozenset({"sub-03"}))),
        ("sub-01_bold.nii.gz", b"\x1f\x8bnothing", Told(("unreadable",))),
        ("sub-01_bold.nii.gz", b"", Told(("unreadable",))),
        ("sub-01_physio.tsv", b"like sub-03", Told((), frozenset({"sub-03"}))),
        ("x.tsv.gz", gzip.compress(b"like sub-03", mtime=0), Told((), frozenset({"sub-03"}))),
        ("x.txt", "like sub-03".encode("utf-16"), Told((), frozenset({"sub-03"}))),
        ("x.txt", b"x" * 300_000 + b"sub-03", Told((), frozenset({"sub-03"}))),
        ("x", b"\0" * 128 + b"DICM" + b"Doe^Jane", Told(("dicom",))),
        ("x.bin", b"\1" * 900, SILENT),
    ],
)
def test_what_is_no_image(name: str, raw: bytes, expected: Told) -> None:
    assert told(raw, name) == expected


@given(st.binary(max_size=700))
def test_no_bytes_make_it_fail(noise: bytes) -> None:
    raw = image().to_bytes()
    starts = (b"", raw[:4], raw[:300], raw, b"\x1f\x8b\x08")
    for content in [start + noise for start in starts]:
        told(content)
        told(content, NAME)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", None),
        ("FSL3.3", None),
        ("FSL5.0", None),
        ("6.0.5:b57b01ca", None),
        ("spm - realigned", None),
        ("SPM12 - smoothed", None),
        ("spm - conv(8,8,8)", None),
        ("xform matrices modified by FixHeaderApplyTransforms (niworkflows v1.1.12).", None),
        ("FreeSurfer May 13 2013", None),
        ("MRtrix version: 3.0.2", None),
        ("TE=30", None),
        ("TE=3.2e+01;phase=1", None),
        ("TE=30;Time=92745.110", "clock"),
        ("TE=2.3;Time=130000.000;phase=1;mb=8", "clock"),
        ("Time=92745.110", "clock"),
        ("TE=30;Time=20100401092745.110", "descrip"),  # with the day
        ("TE=30;Name=Doe", "descrip"),
        ("FSL5.0 Doe", "descrip"),
        ("spm - Doe", "descrip"),
        ("FreeSurfer May 13 1970", "descrip"),
        ("Doe, Jane 1970-05-13", "descrip"),
    ],
)
def test_what_is_harmless_in_a_description(text: str, expected: str | None) -> None:
    assert judge("descrip", text) == expected


def test_what_is_kept_counts_for_that_content_alone() -> None:
    seen = Told(("descrip",), frozenset({"sub-03"}))
    for kept in (seen, SILENT):
        fields = as_metadata(kept) | {"mri-of": frozenset({mark("KEY-s1--a")})}
        assert from_metadata("KEY-s1--a", fields) == kept
        assert from_metadata("KEY-s1--b", fields) is None
    assert from_metadata("KEY-s1--a", {"mri-of": frozenset({mark("KEY-s1--a")})}) is None
