#!/usr/bin/env python3
"""Make a small BIDS dataset from the real images that nibabel ships.

Every participant has a T1w image, a resting bold series, its sidecars and events; voxel
values differ, so that no two files have the same content. The same call makes the same
bytes. Also used by the tests (``tests/builders.py``).
"""

from __future__ import annotations

import argparse
import gzip
import json
from collections.abc import Collection, Iterable
from pathlib import Path

#: volumes of the series of a participant who is to be clearly larger than the others
BIG_VOLUMES = 700
VOLUMES = 8
TASK = "rest"

README = """A small BIDS dataset for trying out datalad-mrishare.

The images are those that nibabel ships for its own tests, changed a little for each
participant. The participants are made up.
"""


def make_bids(
    path: Path,
    participants: int | Iterable[str] = 8,
    *,
    big: Collection[str] = (),
    sessions: Iterable[str] = ("",),
) -> Path:
    """Build the dataset in ``path``, which must be new or empty.

    Parameters
    ----------
    path : Path
    participants : int or iterable of str
        How many, or their labels (``sub-01``).
    big : collection of str
        Participants with a series of about 20 MB instead of 30 kB.
    sessions : iterable of str
        Session labels without ``ses-``; one empty label means no sessions.

    Returns
    -------
    Path
        ``path``
    """
    if isinstance(participants, int):
        participants = [f"sub-{number:02d}" for number in range(1, participants + 1)]
    names = list(participants)
    path.mkdir(parents=True, exist_ok=True)
    if any(path.iterdir()):
        raise SystemExit(f"{path} is not empty. Give a new directory.")
    _write_top(path, names)
    for seed, name in enumerate(names):
        for number, session in enumerate(sessions):
            _write_participant(path, name, session, 100 * seed + number, big=name in big)
    return path


def _write_top(path: Path, names: list[str]) -> None:
    description = {
        "Name": "A small dataset",
        "BIDSVersion": "1.10.0",
        "DatasetType": "raw",
        "License": "CC0",
        "Authors": ["A. Author"],
    }
    _write_json(path / "dataset_description.json", description)
    path.joinpath("README").write_text(README)
    path.joinpath("CHANGES").write_text("1.0.0 2026-01-01\n  - First version\n")
    columns = {
        "age": {"Description": "age at the examination", "Units": "year"},
        "sex": {"Description": "sex", "Levels": {"F": "female", "M": "male"}},
    }
    _write_json(path / "participants.json", columns)
    rows = ["participant_id\tage\tsex"]
    rows += [f"{name}\t{20 + 7 * n % 50}\t{'FM'[n % 2]}" for n, name in enumerate(names)]
    path.joinpath("participants.tsv").write_text("\n".join(rows) + "\n")


def _write_participant(path: Path, name: str, session: str, seed: int, *, big: bool) -> None:
    base = path / name / f"ses-{session}" if session else path / name
    stem = f"{name}_ses-{session}" if session else name
    anat, func = base / "anat", base / "func"
    anat.mkdir(parents=True)
    func.mkdir()
    _write_image(anat / f"{stem}_T1w.nii.gz", "anatomical.nii", seed)
    _write_json(anat / f"{stem}_T1w.json", {"Modality": "MR", "MagneticFieldStrength": 3})
    bold = func / f"{stem}_task-{TASK}_bold.nii.gz"
    _write_image(bold, "functional.nii", seed, volumes=BIG_VOLUMES if big else VOLUMES)
    _write_json(func / f"{stem}_task-{TASK}_bold.json", {"RepetitionTime": 2.0, "TaskName": TASK})
    events = ["onset\tduration\ttrial_type", f"{seed % 7}.0\t2.0\tcross", "12.0\t2.0\tcross"]
    (func / f"{stem}_task-{TASK}_events.tsv").write_text("\n".join(events) + "\n")


def _write_image(path: Path, name: str, seed: int, *, volumes: int = 0) -> None:
    """A shipped image with some noise; with ``volumes``, a series of that length."""
    import nibabel
    import numpy as np

    # nibabel.testing knows the directory, too, but wants pytest
    shipped = nibabel.load(Path(nibabel.__file__).parent / "tests" / "data" / name)
    data = np.asanyarray(shipped.dataobj).astype(np.int32)
    if volumes:
        data = np.take(data, np.arange(volumes) % data.shape[3], axis=3)
    if volumes > VOLUMES:  # a finer grid, as a longer and better series would have
        data = data.repeat(2, axis=0).repeat(2, axis=1).repeat(2, axis=2)
    noise = np.random.default_rng(seed).integers(0, 50, size=data.shape, dtype=np.int32)
    image = nibabel.Nifti1Image((data + noise).astype(np.int16), shipped.affine)
    image.header.set_xyzt_units("mm", "sec")
    zooms = shipped.header.get_zooms()
    image.header.set_zooms((*zooms[:3], 2.0) if volumes else zooms[:3])
    path.write_bytes(gzip.compress(image.to_bytes(), compresslevel=1, mtime=0))


def _write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("path", type=Path, metavar="DIR", help="a new or empty directory")
    parser.add_argument("--participants", type=int, default=8, metavar="N", help="default: 8")
    parser.add_argument(
        "--big", action="append", default=[], metavar="SUB", help="one who is larger: sub-08"
    )
    given = parser.parse_args()
    make_bids(given.path, given.participants, big=given.big)


if __name__ == "__main__":
    main()
