"""Everything in a clone or in storage is looked at, whatever it is called and however large."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from datalad_mrishare.repo.strangers import files_below, parse_objects


@pytest.mark.parametrize("repository", [False, True])
def test_nothing_hides_in_a_directory_that_is_called_like_objects_of_git(
    tmp_path: Path, repository: bool
) -> None:
    top = tmp_path / "half"
    hidden = {top / "objects" / name / "sub-03.txt" for name in ("notes", "info-2")}
    if repository:
        subprocess.run(["git", "init", "-q", "--bare", str(top)], check=True)
    else:
        hidden |= {top / "objects" / name / "sub-03.txt" for name in ("info", "pack", "ab")}
    for path in (*hidden, top / "objects/info/x", top / "objects/pack/x"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("sub-03\n")
    found = set(files_below(tmp_path))
    assert hidden <= found
    assert repository == ((top / "objects/pack/x") not in found)


def test_objects_in_pieces_of_any_size() -> None:
    said = [
        ("a" * 40, "blob", bytes(range(256)) * 300),
        ("b" * 40, "tree", b""),
        ("c" * 40, "x", b"\n"),
    ]
    raw = b"".join(b"%b %b %d\n%b\n" % (o.encode(), k.encode(), len(c), c) for o, k, c in said)

    def pieces(size: int) -> Iterator[bytes]:
        yield from (raw[at : at + size] for at in range(0, len(raw), size))

    for size in (1, 7, 41, 4096, len(raw)):
        assert list(parse_objects(pieces(size))) == said


def test_a_large_object_is_not_copied_for_each_piece() -> None:
    size, piece = 4 << 20, 1 << 12
    copied = 0

    class Counted(bytes):
        """What is added to something else is copied, with all that it is added to."""

        def __radd__(self, other: bytes) -> bytes:
            nonlocal copied
            copied += len(other)
            return bytes(other) + bytes(self)

    def chunks() -> Iterator[bytes]:
        yield Counted(b"%b blob %d\n" % (b"a" * 40, size))
        for _ in range(size // piece):
            yield Counted(piece)
        yield Counted(b"\n")

    ((_, _, content),) = parse_objects(chunks())
    assert len(content) == size and copied < 3 * size
