"""Directories go also while what a killed command had started still writes in them."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from datalad_mrishare.repo.worktree import remove_directory


def test_while_somebody_writes_there(tmp_path: Path) -> None:
    place, stop = tmp_path / "place", threading.Event()
    place.mkdir()
    begun = threading.Event()

    def write() -> None:
        for number in range(3000):
            try:
                (place / f"{number}").write_text("x")
            except OSError:
                break  # its directory is gone
            begun.set()
        stop.set()

    writer = threading.Thread(target=write)
    writer.start()
    begun.wait(10)
    remove_directory(place)
    writer.join()
    assert stop.is_set() and not place.exists()


def test_one_that_is_gone_and_one_that_cannot_go(tmp_path: Path) -> None:
    remove_directory(tmp_path / "never")
    (tmp_path / "file").write_text("x")
    with pytest.raises(NotADirectoryError):
        remove_directory(tmp_path / "file")
