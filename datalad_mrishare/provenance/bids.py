"""What a BIDS path says: entities, suffix, datatype, extension, and whether BIDS knows it.

Pure: nothing is opened. :func:`bids_name` takes what it can from any path;
:func:`outside_bids` says why a name is not one of BIDS, following BIDS 1.10
("Filesystem structure", "Entities" appendix). Directories that BIDS leaves to their
owners (``derivatives/``, ``code/``, ...) are never judged.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from ..consent.scopes import DATATYPES, SUFFIXES

#: entities in the order in which a name must have them (BIDS 1.10, appendix "Entities")
ENTITIES = tuple(
    "sub ses sample task tracksys acq nuc voi ce trc stain rec dir run mod echo flip inv mt part"
    " proc hemi space split recording chunk seg res den label desc".split()
)
_RANK = {name: number for number, name in enumerate(ENTITIES)}
_INDEX = frozenset(("run", "echo", "flip", "inv", "split", "chunk"))

#: directories at the top whose content is not checked
UNCHECKED = frozenset(("code", "derivatives", "phenotype", "sourcedata", "stimuli", "prov"))

#: files at the top that have no entities
_TOP = re.compile(
    r"README(\.md|\.rst|\.txt)?|CHANGES(\.md)?|LICENSE(\.md|\.txt)?|CITATION\.cff"
    r"|dataset_description\.json|genetic_info\.json|(participants|samples)\.(tsv|json)"
)
# a recording that is a directory: its inside belongs to the format (BIDS, "MEG", "iEEG")
_DIRECTORY_FORMATS = (".ds", ".mefd", ".zarr")

_EXTENSIONS = frozenset(
    (
        *(".nii.gz", ".nii", ".json", ".tsv", ".tsv.gz", ".bval", ".bvec", ".md", ".txt", ".jpg"),
        *(".png", ".tif", ".mp3", ".mp4", ".mkv", ".wav", ".edf", ".bdf", ".set", ".fdt", ".vhdr"),
        *(".vmrk", ".eeg", ".fif", ".con", ".sqd", ".kdf", ".chn", ".raw", ".mhd", ".trg", ".pos"),
        *(".nwb", ".snirf", ".ome.tif", ".ome.btf", ".ome.zarr", ".zarr", ".ds", ".mefd", ".h5"),
        *(".dat", ".sqd", ".gii", ".label.gii", ".surf.gii", ".blood", ".calibration", ".txt"),
    )
)

#: suffixes that belong to certain datatypes of MRI; others are not judged
_AT_HOME = {
    "anat": "T1w T2w FLAIR PDw PDT2 T2starw inplaneT1 inplaneT2 angio defacemask MP2RAGE UNIT1",
    "func": "bold sbref cbv phase events noRF",
    "dwi": "dwi sbref dwiref",
    "fmap": "epi fieldmap magnitude magnitude1 magnitude2 phase1 phase2 phasediff m0scan",
    "perf": "asl aslcontext asllabeling m0scan noRF",
}
_DATATYPES_OF: dict[str, set[str]] = {}
for _datatype, _names in _AT_HOME.items():
    for _suffix in _names.split():
        _DATATYPES_OF.setdefault(_suffix, set()).add(_datatype)
_DATATYPES_OF["events"] = set(DATATYPES)

_LABEL = re.compile(r"[A-Za-z0-9+]+", re.ASCII)


class BidsName(NamedTuple):
    """The parts of a path; an empty string (or no pair) where there is none.

    ``pairs`` are the entities in the order of the name, ``ses`` is a label without
    ``ses-``, ``extension`` starts with its dot and holds everything after the first dot.
    """

    pairs: tuple[tuple[str, str], ...] = ()
    suffix: str = ""
    datatype: str = ""
    extension: str = ""
    ses: str = ""

    @property
    def entities(self) -> dict[str, str]:
        """Entities of the file name, as ``{"sub": "01", "task": "rest"}``."""
        return dict(self.pairs)


def bids_name(path: str) -> BidsName:
    """The parts of ``path``, as far as they are there.

    >>> name = bids_name("sub-01/ses-b/func/sub-01_ses-b_task-rest_run-1_bold.nii.gz")
    >>> name.entities
    {'sub': '01', 'ses': 'b', 'task': 'rest', 'run': '1'}
    >>> name.suffix, name.datatype, name.extension, name.ses
    ('bold', 'func', '.nii.gz', 'b')
    >>> bids_name("README")
    BidsName(pairs=(), suffix='', datatype='', extension='', ses='')
    """
    above, _, file_name = path.rpartition("/")
    datatype, session = _directory(above)
    # files of different participants differ in their first entity, the rest is parsed once
    first, bar, rest = file_name.partition("_")
    if not bar or "." in first:
        pairs, last, extension = _file_name(file_name)
    else:
        pairs, last, extension = _file_name(rest)
        pairs = (*_pair(first), *pairs)
    suffix = last if "-" not in last and (pairs or last in SUFFIXES) else ""
    ses = next((label for name, label in pairs if name == "ses"), "") or session
    return BidsName(pairs, suffix, datatype, extension, ses)


@lru_cache(maxsize=1 << 14)
def _directory(path: str) -> tuple[str, str]:
    """Datatype and session label that a directory tells."""
    parts = path.split("/")
    session = next((d[4:] for d in parts if d.startswith("ses-") and len(d) > 4), "")
    return parts[-1] if parts[-1] in DATATYPES else "", session


@lru_cache(maxsize=1 << 14)
def _file_name(name: str) -> tuple[tuple[tuple[str, str], ...], str, str]:
    """Entities, what stands last before the extension, and the extension."""
    stem, dot, rest = name.partition(".")
    *parts, last = stem.split("_")
    return tuple(pair for part in parts for pair in _pair(part)), last, dot + rest


def _pair(part: str) -> tuple[tuple[str, str], ...]:
    """The entity that a part of a name is, if it is one."""
    name, dash, label = part.partition("-")
    return ((name, label),) if dash and label and name.isascii() and name.isalnum() else ()


def is_bids(path: str) -> bool:
    """Whether ``path`` is a name of BIDS, or at a place whose names BIDS leaves open.

    >>> is_bids("sub-01/anat/sub-01_T1w.nii.gz"), is_bids("sub-01/anat/brain.nii.gz")
    (True, False)
    """
    return outside_bids(path) is None


def outside_bids(path: str) -> str | None:
    """Why ``path`` is outside BIDS, as half a sentence, or None when it is not.

    >>> outside_bids("sub-01/anat/sub-02_T1w.nii.gz")
    'the file name says sub-02, the directory sub-01'
    """
    *directories, file_name = path.split("/")
    if any(part.startswith(".") for part in (*directories, file_name)):
        return None
    if directories and directories[0] in UNCHECKED:
        return None
    for depth, name in enumerate(directories):
        if name.endswith(_DIRECTORY_FORMATS):
            return outside_bids("/".join(directories[: depth + 1]))
    if not directories:
        return None if _TOP.fullmatch(file_name) else _wrong_name(path, "", "")
    return _wrong_place(path, directories)


def _wrong_place(path: str, directories: list[str]) -> str | None:
    rest = list(directories)
    participant = rest.pop(0)
    if not participant.startswith("sub-"):
        return f"BIDS has no directory {participant!r} at the top"
    if not _LABEL.fullmatch(participant[4:]):
        return f"{participant!r} is not a participant label: letters and digits only"
    session = ""
    if rest and rest[0].startswith("ses-"):
        session = rest.pop(0)
        if not _LABEL.fullmatch(session[4:]):
            return f"{session!r} is not a session label: letters and digits only"
    if rest and rest[0] not in DATATYPES:
        return f"BIDS has no datatype {rest[0]!r}"
    if len(rest) > 1:
        return f"BIDS has no directory {rest[1]!r} in {rest[0]}"
    return _wrong_name(path, participant, session)


def _wrong_name(path: str, participant: str, session: str) -> str | None:
    name = bids_name(path)
    stem = path.rsplit("/", 1)[-1].partition(".")[0]
    parts = stem.split("_")
    if len(name.pairs) != len(parts) - 1 or not name.suffix:
        return "the name is not of the form entity-label_..._suffix.extension"
    return (
        _wrong_entities(name, participant, session)
        or _wrong_suffix(name)
        or (None if name.extension in _EXTENSIONS else f"unknown extension {name.extension!r}")
    )


def _wrong_entities(name: BidsName, participant: str, session: str) -> str | None:
    named, none = name.entities, "nothing"
    for entity, label in name.pairs:
        if entity not in _RANK:
            return f"BIDS has no entity {entity!r}"
        if not _LABEL.fullmatch(label):
            return f"{entity}-{label} is not a label: letters and digits only"
        if entity in _INDEX and not label.isdecimal():
            return f"{entity}-{label} must be a number"
    ranks = [_RANK[entity] for entity, _ in name.pairs]
    if ranks != sorted(set(ranks)):
        return "the entities are not in the order of BIDS, or one is there twice"
    for entity, directory in (("sub", participant), ("ses", session)):
        given = f"{entity}-{named[entity]}" if entity in named else ""
        if given != directory:
            return f"the file name says {given or none}, the directory {directory or none}"
    return None


def _wrong_suffix(name: BidsName) -> str | None:
    if name.suffix not in SUFFIXES:
        return f"BIDS has no suffix {name.suffix!r}"
    home = _DATATYPES_OF.get(name.suffix)
    if home and name.datatype and name.datatype not in home:
        return f"{name.suffix} does not belong into {name.datatype}"
    if name.extension in (".nii", ".nii.gz") and not name.datatype:
        return "an image belongs into a directory of its datatype, such as anat or func"
    return None
