"""NIfTI headers: read from the first bytes, truncation found, nothing raises."""

from __future__ import annotations

import gzip
from pathlib import Path

import nibabel
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nibabel.testing import data_path

from datalad_mrishare.sources.findings import Kind
from datalad_mrishare.sources.headers import Damage, Header, read_header

SHIPPED = Path(data_path)


def image(kind: type = nibabel.Nifti1Image, shape: tuple[int, ...] = (4, 5, 6, 7)) -> bytes:
    made = kind(np.arange(np.prod(shape), dtype=np.int16).reshape(shape), np.eye(4))
    made.header.set_xyzt_units("mm", "msec")
    made.header.set_zooms((2.0, 2.0, 2.5, 1500.0)[: len(shape)])
    return made.to_bytes()


def read(path: Path, name: str, content: bytes) -> Header | Damage:
    (path / name).write_bytes(content)
    return read_header(path / name)


# as `nib-ls` prints them
@pytest.mark.parametrize(
    ("name", "dim", "zooms", "dtype", "units"),
    [
        ("anatomical.nii", (33, 41, 25), (2.0, 2.0, 2.0), "int16", ("mm", "sec")),
        ("functional.nii", (17, 21, 3, 20), (4.0, 4.0, 8.0), "int16", ("mm", "sec")),
        ("reoriented_anat_moved.nii", (21, 26, 22), (4.0, 4.0, 4.0), "float32", ("mm", "sec")),
        ("standard.nii.gz", (4, 5, 7), (1.0, 3.0, 2.0), "uint8", ("unknown", "unknown")),
    ],
)
def test_shipped_images(name, dim, zooms, dtype, units) -> None:  # type: ignore[no-untyped-def]
    header = read_header(SHIPPED / name)
    assert isinstance(header, Header)
    assert (header.dim, header.zooms_mm, header.dtype, header.units) == (dim, zooms, dtype, units)
    assert header.tr_s == (2.0 if name == "functional.nii" else None)


def test_nifti2_and_units(tmp_path: Path) -> None:
    assert isinstance(read_header(SHIPPED / "example_nifti2.nii.gz"), Header)
    for kind in (nibabel.Nifti1Image, nibabel.Nifti2Image):
        header = read(tmp_path, "x.nii", image(kind))
        assert header == Header((4, 5, 6, 7), (2.0, 2.0, 2.5), 1.5, "int16", ("mm", "msec"))


@pytest.mark.parametrize("missing", [1, 100, 1500])
@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
def test_truncated(tmp_path: Path, kind: type, missing: int) -> None:
    whole = image(kind)
    for name, content in (
        ("x.nii", whole[:-missing]),
        ("x.nii.gz", gzip.compress(whole[:-missing])),
    ):
        damage = read(tmp_path, name, content)
        assert isinstance(damage, Damage) and damage.kind is Kind.TRUNCATED
        assert f"{len(whole) - missing} of {len(whole)} bytes" in damage.what


def test_a_gzip_stream_that_ends_early(tmp_path: Path) -> None:
    packed = gzip.compress(image(shape=(40, 50, 6, 7)))
    for cut in (5, 12, 60, len(packed) // 2, len(packed) - 20):
        damage = read(tmp_path, "x.nii.gz", packed[:cut])
        assert isinstance(damage, Damage), cut
        assert damage.kind in (Kind.TRUNCATED, Kind.UNREADABLE)


def test_several_members_and_trailing_bytes_are_complete(tmp_path: Path) -> None:
    whole = image()
    members = gzip.compress(whole[:500]) + gzip.compress(whole[500:])
    for content in (members, gzip.compress(whole) + b"\0" * 512, gzip.compress(whole + b"more")):
        assert isinstance(read(tmp_path, "x.nii.gz", content), Header)
    assert isinstance(read(tmp_path, "x.nii", whole + b"trailing"), Header)


@pytest.mark.parametrize(
    ("name", "content", "word"),
    [
        ("x.nii", b"", "empty"),
        ("x.nii.gz", b"", "empty"),
        ("x.nii", b"a text", "does not start"),
        ("x.nii.gz", b"a text", "not gzipped"),
        ("x.nii", gzip.compress(image()), "gzipped"),
        ("x.nii.gz", gzip.compress(b"a text, not an image", mtime=0), "does not start"),
        ("x.nii", image()[:200], "200 of the 348 bytes"),
        ("x.nii", b"\x5c\x01\0\0" + b"\xff" * 600, "damaged"),
    ],
)
def test_not_an_image(tmp_path: Path, name: str, content: bytes, word: str) -> None:
    damage = read(tmp_path, name, content)
    assert isinstance(damage, Damage) and word in damage.what


def test_a_damaged_stream(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(image(shape=(40, 50, 6, 7)), compresslevel=1))
    packed[len(packed) // 2 : len(packed) // 2 + 200] = bytes(200)
    packed[-4:] = b"\0\0\0\0"
    damage = read(tmp_path, "x.nii.gz", bytes(packed))
    assert isinstance(damage, Damage)


def test_links_and_pipes_are_not_opened(tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "pipe.nii")
    (tmp_path / "link.nii").symlink_to(SHIPPED / "anatomical.nii")
    assert isinstance(read_header(tmp_path / "pipe.nii"), Damage)
    assert isinstance(read_header(tmp_path / "link.nii"), Damage)


@settings(
    max_examples=300,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    deadline=None,
)
@given(st.data())
def test_mutated_headers_never_raise(tmp_path: Path, data: st.DataObject) -> None:
    raw = bytearray(image())
    for _ in range(data.draw(st.integers(1, 8))):
        raw[data.draw(st.integers(0, 351))] = data.draw(st.integers(0, 255))
    assert isinstance(read(tmp_path, "x.nii", bytes(raw)), (Header, Damage))
