"""The tutorial is run as it is printed: each ``$`` line, in one shell, in an empty HOME.

What stands below a command is compared with its output, loosely: ``...`` stands for
anything, white space does not matter, and a command without output below it is only
run. A command whose exit code is not 0 is followed by a line ``(exit code N)``.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TUTORIAL = ROOT / "docs" / "tutorial.md"
_END = "--end-of-command--"


@dataclass(frozen=True)
class Step:
    """A command of the tutorial, with what is printed below it."""

    command: str
    shown: str
    code: int
    line: int


def steps(text: str) -> Iterator[Step]:
    """The commands in the fenced ``console`` blocks, in order.

    >>> text = "```console\\n$ echo a \\\\\\n    b\\na ...\\n$ false\\n(exit code 1)\\n```\\n"
    >>> [(s.command, s.shown, s.code) for s in steps(text)]
    [('echo a \\\\\\n    b', 'a ...', 0), ('false', '', 1)]
    """
    for block in re.finditer(r"^```console\n(.*?)^```$", text, re.M | re.S):
        first = text[: block.start()].count("\n") + 2
        command: list[str] = []
        shown: list[str] = []
        start = first
        for number, line in enumerate([*block[1].splitlines(), "$ "], first):
            if line.startswith("$ "):
                if command:
                    yield _step(command, shown, start)
                command, shown, start = [line[2:]], [], number
            elif command and not shown and command[-1].endswith("\\"):
                command.append(line)
            else:
                shown.append(line)


def _step(command: list[str], shown: list[str], line: int) -> Step:
    code = 0
    if shown and (found := re.fullmatch(r"\(exit code (\d+)\)", shown[-1])):
        code = int(found[1])
        shown = shown[:-1]
    return Step("\n".join(command), "\n".join(shown), code, line)


def matches(shown: str, output: str) -> bool:
    """Whether an output is what is shown, with ``...`` for anything.

    >>> matches("a ... c", "a  b b\\nc\\n"), matches("a c", "a b c"), matches("", "anything")
    (True, False, True)
    """
    if not shown.strip():
        return True
    pieces = (re.escape(piece.strip()) for piece in " ".join(shown.split()).split("..."))
    return re.fullmatch(".*".join(pieces), " ".join(output.split())) is not None


def in_one_shell(parts: list[Step], home: Path) -> list[tuple[int, str]]:
    """Exit code and output of every step that was reached."""
    script = "exec </dev/null 2>&1\n" + "".join(
        f"{s.command}\nprintf '%s %s\\n' '{_END}' \"$?\"\n" for s in parts
    )
    env = {k: v for k, v in os.environ.items() if not k.startswith(("GIT_", "XDG_"))}
    beside = str(Path(sys.executable).parent)
    env |= {
        "HOME": str(home),
        "PATH": os.pathsep.join((beside, env.get("PATH", os.defpath))),
        "CHECKOUT": str(ROOT),
        "LC_ALL": "C.UTF-8",
    }
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=home,
        env=env,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        timeout=550,
    )
    pieces = re.split(rf"{_END} (\d+)\n", done.stdout)
    return [(int(code), output) for output, code in zip(pieces[::2], pieces[1::2], strict=False)]


def test_the_shell_keeps_its_place(tmp_path: Path) -> None:
    text = "```console\n$ mkdir a && cd a\n$ pwd\n.../a\n$ false\n(exit code 1)\n```\n"
    found = in_one_shell(list(steps(text)), tmp_path)
    assert [code for code, _ in found] == [0, 0, 1]
    assert matches(".../a", found[1][1])


@pytest.mark.parametrize(
    ("shown", "output", "same"),
    [
        ("a\nb", "a\n  b\n", True),
        ("a\n...\nd", "a\nb\nc\nd\n", True),
        ("a\n...\nd", "a\nd\n", True),
        ("ok 3 files", "ok 4 files", False),
        ("a.c", "abc", False),
    ],
)
def test_loose_comparison(shown: str, output: str, same: bool) -> None:
    assert matches(shown, output) is same


def test_the_tutorial_runs(tmp_path: Path) -> None:
    parts = list(steps(TUTORIAL.read_text()))
    assert len(parts) >= 10, "the tutorial has lost its commands"
    results = in_one_shell(parts, tmp_path)
    for step, (code, output) in zip(parts, results, strict=False):
        where = f"docs/tutorial.md:{step.line}: $ {step.command}"
        assert code == step.code, f"{where}\nexit code {code}\n{output}"
        assert matches(step.shown, output), f"{where}\nshown:\n{step.shown}\nseen:\n{output}"
    assert len(results) == len(parts)
