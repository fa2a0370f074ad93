"""What people see of names that would move their cursor."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from builders import run

MAIN = "from datalad.cli.main import main; main()"


def test_no_name_reaches_a_terminal_as_it_is(registered: Path) -> None:
    name = "derivatives/\x1b[31mred\nok          forged.nii.gz"
    (registered / "derivatives").mkdir()
    (registered / name).write_bytes(os.urandom(100))
    run(registered, "git", "annex", "add", "--quiet", "derivatives")
    run(registered, "git", "commit", "--quiet", "-m", "odd")
    argv = [sys.executable, "-c", MAIN, "mrishare-provenance", name]
    said = subprocess.run(argv, cwd=registered, capture_output=True, text=True, check=False).stdout
    assert "[31mred" in said and "\x1b[31mred" not in said
    assert not any(line.startswith("ok ") for line in said.splitlines())


def test_what_a_line_quotes_cannot_move_or_colour_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from datalad_mrishare.commands import shared

    told: list[str] = []
    monkeypatch.setattr(shared, "_put", told.append)
    shared.say("why: 'x\nok          y: may go to mir\x1b[2K'")
    shared.say_text("first\x1b[2K\nsecond")
    assert told == [r"why: 'x\nok          y: may go to mir\x1b[2K'", "first\\x1b[2K\nsecond"]
