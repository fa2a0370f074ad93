"""A dataset with a canary in every place where a secret can sit.

``sub-01`` permits; ``sub-02`` refused, ``sub-03`` withdrew, of ``sub-04`` nothing is on
record. Each canary has a name that tells where it was put. Those in ``HEADERS`` are in images of
``sub-01``: a sibling that takes what is identifiable may have them, and no other.
"""

from __future__ import annotations

import base64
import gzip
import json
import os
import socket
import struct
from pathlib import Path

import nibabel
import numpy as np
from builders import make_bids, run
from mirrors import RECORD, TODAY

from datalad_mrishare.repo.worktree import Checkout
from datalad_mrishare.sharing.consents import import_consent
from datalad_mrishare.sources.register import register

WITHHELD = ("sub-02", "sub-03", "sub-04")
FORM = "obc-gdpr-ult-1.1.0"
HEADERS = "canaryOwn"
STEWARD = ("Canary Stewardname", "canary.mail@hospital.example")


class Canaries:
    """Makes canaries and remembers them: ``birds("in a commit")`` -> ``canaryInACommit``."""

    def __init__(self) -> None:
        self.made: list[str] = []

    def __call__(self, place: str) -> str:
        name = "canary" + "".join(word.capitalize() for word in place.split())
        assert name.isalnum() and name not in self.made
        self.made.append(name)
        return name


def build(parent: Path) -> tuple[Path, list[str]]:
    """The dataset and all its canaries."""
    birds = Canaries()
    dataset = parent / birds("directory of the dataset") / "study"
    make_bids(dataset, 4)
    for name, value in zip(("user.name", "user.email"), STEWARD, strict=True):
        run(parent, "git", "init", "--quiet", "--initial-branch=main", str(dataset))
        run(dataset, "git", "config", name, value)
    _plant_in_names(dataset, birds)
    _plant_in_tables(dataset, birds)
    _plant_in_texts(dataset, birds)
    _plant_in_image(dataset, birds)
    _plant_in_own_images(dataset, birds)
    _plant_in_dicom(dataset, birds)
    register(dataset)
    _plant_after_registration(dataset, birds)
    _plant_in_history(dataset, birds)
    _plant_in_annex(dataset, birds)
    _consent(dataset, birds)
    return dataset, [*birds.made, *STEWARD]


def host() -> list[str]:
    """The name of this machine, if it is one that cannot occur by chance."""
    name = socket.gethostname()
    return [name] if len(name) > 7 else []


def _write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def _image(path: Path, extension: str = "", **fields: str) -> Path:
    """A small image, different for each path, with text in ``fields`` of its header."""
    seed = int.from_bytes(os.fspath(path).encode(), "little")
    values = np.random.default_rng(seed).integers(0, 99, (8, 8, 8, 2), dtype=np.int16)
    image = nibabel.Nifti1Image(values, np.eye(4))
    for field, text in fields.items():
        image.header[field] = text.encode()
    if extension:
        comment = nibabel.nifti1.Nifti1Extension("comment", extension.encode())
        image.header.extensions.append(comment)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(image.to_bytes(), mtime=0))
    return path


def _plant_in_names(dataset: Path, birds: Canaries) -> None:
    _image(dataset / f"sub-03/anat/sub-03_acq-{birds('file name')}_T1w.nii.gz")
    derived = dataset / "derivatives/pipe"
    _image(derived / "sub-04" / birds("directory name") / "sub-04_desc-x_bold.nii.gz")
    _image(derived / f"group_sub-01_sub-03_desc-{birds('two people')}_bold.nii.gz")
    _image(dataset / f"sub-01/func/sub-01_from-sub-03_desc-{birds('both in name')}_bold.nii.gz")
    _image(dataset / f"sub-01/func/sub-01_like-Sub-03_desc-{birds('capital in name')}_bold.nii.gz")
    _write(dataset / birds("directory of nobody") / "README", "Nothing in here.\n")


def _plant_in_tables(dataset: Path, birds: Canaries) -> None:
    table = dataset / "participants.tsv"
    header, *rows = table.read_text().splitlines()
    notes = ["fine", birds("row refused"), birds("row withdrawn"), birds("row unknown")]
    lines = [f"{header}\tnote\tsister_of_sub-03_{birds('column name')}"]
    lines += [f"{row}\t{note}\tno" for row, note in zip(rows, notes, strict=True)]
    lines.append(f"sub-09\t30\tF\t{birds('row without data')}\tno")
    _write(table, "\n".join(lines) + "\n")
    moca = [f"{p}\t{i}" for i, p in enumerate(("sub-01", "sub-02"))]
    moca += [f"sub-03\t{birds('phenotype')}", "sub-04\t4"]
    _write(dataset / "phenotype/moca.tsv", "\n".join(["participant_id\tmoca", *moca]) + "\n")
    plain = f"participant_id\tx\n01\t1\n03\t{birds('label without sub')}\n"
    _write(dataset / "phenotype/other.tsv", plain)
    twice = f"participant_id\tx\tparticipant_id\n03\t{birds('column twice')}\tsub-01\n"
    _write(dataset / "phenotype/twice.tsv", twice)
    short = f"participant_id\tx\nsub-01\nsub-03\t{birds('uneven rows')}\n"
    _write(dataset / "phenotype/uneven.tsv", short)
    image = "func/sub-03_task-rest_bold.nii.gz"
    scans = f"filename\tacq_time\n{image}\t{birds('scans')}\n"
    _write(dataset / "sub-03/sub-03_scans.tsv", scans)
    sessions = f"session_id\tnote\nses-1\t{birds('sessions')}\n"
    _write(dataset / "sub-03/sub-03_sessions.tsv", sessions)
    mine = f"filename\tnote\nfunc/sub-01_task-rest_bold.nii.gz\tafter sub-03 {birds('scan row')}\n"
    _write(dataset / "sub-01/sub-01_scans.tsv", mine)
    peers = f"participant_id\tscore\n01\t2\n03\t{birds('table of two in a name of one')}\n"
    _write(dataset / "sub-01/beh/sub-01_task-x_beh.tsv", peers)


def _plant_in_texts(dataset: Path, birds: Canaries) -> None:
    sidecar = dataset / "sub-03/func/sub-03_task-rest_bold.json"
    _write(sidecar, json.dumps({"TaskName": birds("json value"), birds("json key"): 1}))
    top = {"RepetitionTime": 2, "sub-03": {"Note": birds("json by participant")}}
    _write(dataset / "task-rest_bold.json", json.dumps(top))
    _write(dataset / "mapping.json", json.dumps({"03": birds("list of names")}))
    escaped = json.dumps({"Note": f"see\nsub-03\t{birds('escaped mention')}"})
    _write(dataset / "sub-01/anat/sub-01_T1w.json", escaped)
    _write(dataset / "README", f"sub-03 is {birds('readme')}.\n")
    _write(dataset / "CHANGES", f"SUB-03 came back. {birds('capitals')}\n")
    wide = f"sub-03 is {birds('wide characters')}".encode("utf-16")
    (dataset / "LICENSE").write_bytes(wide)
    _write(dataset / ".bidsignore", f"sub-03/{birds('bidsignore')}\n")
    _write(dataset / "sourcedata/notes.txt", birds("sourcedata"))
    _write(dataset / "code/list.py", birds("code"))
    _write(dataset / "notes.txt", birds("text of nobody"))
    os.symlink(f"/home/{birds('link target')}/x", dataset / "sub-01/anat/sub-01_link.json")


def _plant_in_image(dataset: Path, birds: Canaries) -> None:
    words = {"descrip": birds("descrip"), "aux_file": birds("aux file")}
    image = dataset / "sub-04/func/sub-04_task-rest_bold.nii.gz"
    _image(image, birds("header extension"), **words)


def _plant_in_own_images(dataset: Path, birds: Canaries) -> None:
    """Every place of an image that holds text: of one who permits, and about that person."""

    def own(task: str) -> Path:
        return dataset / f"sub-01/func/sub-01_task-{task}_bold.nii.gz"

    fields = {"descrip": "own descrip", "aux_file": "own aux", "intent_name": "own it"}
    for field, place in {**fields, "db_name": "own db"}.items():
        _image(own(field.replace("_", "")), **{field: birds(place)})
    _image(own("extension"), extension=birds("own extension"))
    raw = gzip.decompress(_image(own("behind")).read_bytes())
    own("behind").write_bytes(gzip.compress(raw + birds("own behind").encode(), mtime=0))
    moved = raw[:108] + struct.pack("<f", 400) + raw[112:352]
    hidden = birds("own gap").encode().ljust(48, b"\0")
    own("gap").write_bytes(gzip.compress(moved + hidden + raw[352:], mtime=0))
    name = birds("own name in gzip")
    with own("gz").open("wb") as file, gzip.GzipFile(name, "wb", fileobj=file) as packed:
        packed.write(raw)
    _image(own("mention"), descrip=f"like sub-03 {birds('header mention')}")


def _plant_in_dicom(dataset: Path, birds: Canaries) -> None:
    for path, place in (
        ("sourcedata/sub-01/0001.dcm", "dicom in sourcedata"),
        ("sub-01/anat/sub-01_acq-raw_T1w.dcm", "misplaced dicom"),
    ):
        name = birds(place).encode()
        name += b" " * (len(name) % 2)
        element = struct.pack("<2H2sH", 0x0010, 0x0010, b"PN", len(name)) + name
        _write(dataset / path, "").write_bytes(b"\0" * 128 + b"DICM" + element)


def _plant_after_registration(dataset: Path, birds: Canaries) -> None:
    """What registration would not let through, but somebody may have saved before or after."""
    note = _write(dataset / "derivatives/pipe/README", f"sub-03 {birds('annexed readme')}\n")
    told = _write(
        dataset / "sub-01/beh/sub-01_task-x_stim.txt", f"SUB-03 {birds('annexed text')}\n"
    )
    run(dataset, "git", "annex", "add", "--force-large", str(note), str(told))
    by_hand = dataset / "sub-01/func/sub-01_task-byhand_bold.nii.gz"
    _image(by_hand, descrip=birds("own saved by hand"))
    run(dataset, "git", "annex", "add", str(by_hand))
    worm = dataset / f"sub-03_{birds('name in a key')}.nii.gz"
    _image(worm)
    run(dataset, "git", "annex", "add", "--backend=WORM", worm.name)
    run(dataset, "git", "mv", worm.name, "sub-01/func/sub-01_task-worm_bold.nii.gz")
    config = str(dataset / ".datalad/config")
    run(dataset, "git", "config", "-f", config, "datalad.containers.x.image", birds("config"))
    sub = dataset.parent / "other"
    run(dataset.parent, "git", "init", "--quiet", str(sub))
    run(sub, "git", "commit", "--quiet", "--allow-empty", "-m", "first")
    run(dataset, "git", "submodule", "--quiet", "add", str(sub), birds("submodule path"))
    unlocked = dataset / "sub-02/anat/sub-02_T1w.nii.gz"
    _image_unlocked(dataset, unlocked, birds("unlocked file"))
    run(dataset, "git", "add", ".")
    author = f"{birds('author name')} <{birds('author mail')}@hospital.example>"
    message = ("-m", birds("commit subject"), "-m", birds("commit body"))
    run(dataset, "git", "commit", "--quiet", "--author", author, *message)
    target = os.readlink(dataset / "sub-01/func/sub-01_task-rest_bold.nii.gz")
    absolute = f"/home/{birds('absolute link')}/.{target.lstrip('./')}"
    os.symlink(absolute, dataset / "sub-01/func/sub-01_task-abs_bold.nii.gz")
    run(dataset, "git", "add", "sub-01/func/sub-01_task-abs_bold.nii.gz")
    # git-annex would make it relative before it is committed
    run(dataset, "git", "-c", "core.hooksPath=/dev/null", "commit", "--quiet", "-m", "link")


def _image_unlocked(dataset: Path, path: Path, descrip: str) -> None:
    run(dataset, "git", "annex", "unlock", str(path.relative_to(dataset)))
    path.unlink()
    _image(path, descrip=descrip)


def _plant_in_history(dataset: Path, birds: Canaries) -> None:
    gone = dataset / f"sub-03/anat/sub-03_{birds('deleted name')}.json"
    _write(gone, birds("deleted content"))
    run(dataset, "git", "add", str(gone))
    run(dataset, "git", "commit", "--quiet", "-m", "add")
    run(dataset, "git", "rm", "--quiet", str(gone))
    run(dataset, "git", "commit", "--quiet", "-m", "remove")
    run(dataset, "git", "branch", birds("branch"))
    run(dataset, "git", "tag", "-m", birds("tag message"), birds("tag"))
    run(dataset, "git", "notes", "add", "-m", birds("git note"))
    _write(dataset / "dataset_description.json", birds("stash content"))
    run(dataset, "git", "stash", "push", "-m", birds("stash message"))
    run(
        dataset, "datalad", "run", "-m", birds("run message"), f"echo {birds('run command')}>code/x"
    )
    sidecar = ("--sidecar", "yes", f"echo {birds('run sidecar')} > code/y")
    run(dataset, "datalad", "run", *sidecar)


def _plant_in_annex(dataset: Path, birds: Canaries) -> None:
    run(dataset, "git", "annex", "describe", "here", birds("description"))
    mine, theirs = (f"sub-{p}/func/sub-{p}_task-rest_bold.nii.gz" for p in ("01", "03"))
    for number, path in enumerate((mine, theirs)):
        word = birds(f"metadata {'own other'.split()[number]}")
        run(dataset, "git", "annex", "metadata", path, "-s", f"diagnosis={word}")
        spaced = birds(f"metadata with space {'own other'.split()[number]}")
        run(dataset, "git", "annex", "metadata", path, "-s", f"remark=has {spaced} here")
        key = run(dataset, "git", "annex", "lookupkey", path).strip()
        url = f"https://pacs.example/{birds(f'url {number}')}"
        run(dataset, "git", "annex", "registerurl", key, url)
    disk = dataset.parent / birds("special remote")
    disk.mkdir()
    config = ("type=directory", f"directory={disk}", "encryption=none")
    run(dataset, "git", "annex", "initremote", "disk", *config)
    _configure_remote(dataset, birds("embedded credentials"), birds("account in a configuration"))


def _configure_remote(dataset: Path, secret: str, account: str) -> None:
    """A remote whose password is embedded; git-annex itself would have to reach it for that."""
    creds = base64.b64encode(f"key\n{secret}\n".encode()).decode()
    line = (
        "11111111-aaaa-4bbb-8ccc-222222222222 type=S3 name=cloud bucket=x encryption=none"
        f" embedcreds=yes s3creds={creds} host={account}.example timestamp=1700000000s\n"
    )
    stream = (
        "commit refs/heads/synced/git-annex\ncommitter x <x@x> 1700000000 +0000\ndata 1\nx\n"
        f"M 100644 inline remote.log\ndata {len(line)}\n{line}\n"
    )
    run(dataset, "git", "fast-import", "--quiet", "--force", input=stream.encode())
    run(dataset, "git", "annex", "merge", "--quiet")


def _consent(dataset: Path, birds: Canaries) -> None:
    head = RECORD.rstrip("\n") + "\tevidence\n"
    rows = (
        f"sub-01\tgiven\t{FORM}\t2026-01-01\tn/a\t2026-01-01\t{birds('evidence given')}\n"
        f"sub-02\trefused\tn/a\t2026-01-01\tn/a\t2026-01-01\t{birds('evidence refused')}\n"
        f"sub-03\tgiven\t{FORM}\t2026-01-01\tn/a\t2026-01-01\tn/a\n"
        f"sub-03\twithdrawn\tn/a\t2026-03-01\tstop-sharing\t2026-03-01\tn/a\n"
    )
    import_consent(Checkout(dataset), (head + rows).encode(), "records.tsv", today=TODAY)
