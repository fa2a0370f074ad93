"""Commits with a run record as DataLad writes it, without the seconds that a run takes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from builders import run

_MESSAGE = """[DATALAD RUNCMD] {title}

=== Do not change lines below ===
{record}
^^^ Do not change lines above ^^^
"""


def recorded(
    dataset: Path,
    outputs: Mapping[str, bytes],
    inputs: Sequence[str],
    *,
    cmd: str = "make",
    git: bool = False,
) -> str:
    """Files as a run with these ``inputs`` made them, annexed unless ``git``; the commit."""
    for path, content in outputs.items():
        file = dataset / path
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.is_symlink():
            file.unlink()
        file.write_bytes(content)
    if not git:
        run(dataset, "git", "annex", "add", "--quiet", "--force-large", *outputs)
    run(dataset, "git", "-c", "annex.largefiles=nothing", "add", *outputs)
    record = {
        "chain": [],
        "cmd": cmd,
        "dsid": run(
            dataset, "git", "config", "-f", ".datalad/config", "datalad.dataset.id"
        ).strip(),
        "exit": 0,
        "extra_inputs": [],
        "inputs": list(inputs),
        "outputs": list(outputs),
        "pwd": ".",
    }
    text = _MESSAGE.format(title=cmd[:40], record=json.dumps(record, indent=1, sort_keys=True))
    run(dataset, "git", "commit", "--quiet", "-m", text)
    return run(dataset, "git", "rev-parse", "HEAD").strip()


def raw(participant: str, kind: str = "func/{0}_task-rest_bold.nii.gz") -> str:
    """The path of an image in the generated datasets."""
    return f"{participant}/{kind.format(participant)}"


def key_of(dataset: Path, path: str, commit: str = "HEAD") -> str:
    """The key that a path has in a commit."""
    text = run(dataset, "git", "cat-file", "blob", f"{commit}:{path}")
    return text.strip().rpartition("/")[2]


ONE, TWO, THREE = (raw(f"sub-0{n}") for n in (1, 2, 3))
DERIVED = "derivatives/pipe/sub-02/func/sub-02_desc-x_bold.nii.gz"
SECOND, RENAMED = "derivatives/second_bold.nii.gz", "derivatives/renamed_bold.nii.gz"
MEAN, TABLE, FIGURE = (f"derivatives/group/{n}" for n in ("mean_bold.nii.gz", "t.tsv", "fig.svg"))
CONTROL = "derivatives/control_bold.nii.gz"
T1W = raw("sub-02", "anat/{0}_T1w.nii.gz")


def derive(dataset: Path) -> None:
    """Of sub-02 a derivative, one of that, a group mean, a table and a figure in git."""
    recorded(dataset, {DERIVED: b"derived of 2"}, [TWO])
    recorded(dataset, {SECOND: b"derived again"}, [DERIVED])
    recorded(dataset, {MEAN: b"mean of 1 and 2"}, [ONE, TWO])
    recorded(dataset, {TABLE: b"x\n1\n"}, [MEAN], git=True)
    recorded(dataset, {FIGURE: b"<svg>2</svg>"}, [SECOND], git=True)
    recorded(dataset, {CONTROL: b"mean of 1 and 3"}, [ONE, THREE])
    run(dataset, "git", "mv", SECOND, RENAMED)
    run(dataset, "git", "commit", "--quiet", "-m", "rename")


OF_TWO = (DERIVED, RENAMED, MEAN, TABLE, FIGURE)
