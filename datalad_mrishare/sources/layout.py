"""What makes a folder a dataset of ours: rules for the annex, an identity, a marker.

Images and everything else binary go into the annex, text into git; but a text file of
more than 10 MB goes into the annex, too. Rules that a dataset has already are kept.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping

ATTRIBUTES = ".gitattributes"
DATALAD_ATTRIBUTES = ".datalad/.gitattributes"
DATALAD_CONFIG = ".datalad/config"

#: files and directories that a registration may write in a checkout, apart from its event
OUR_FILES = (ATTRIBUTES, DATALAD_ATTRIBUTES, DATALAD_CONFIG)
OUR_DIRECTORIES = (".datalad/mrishare/events", ".datalad/mrishare", ".datalad")

#: kept in git, as people want to read and compare them. HTML and SVG are not among them:
#: reports show images of participants, and what is in git cannot be taken back
TEXT = tuple(
    "*.json *.jsonld *.tsv *.csv *.txt *.md *.rst *.bval *.bvec *.yaml *.yml *.toml *.cfg *.ini"
    " *.py *.sh *.m *.R *.cff *.bib README CHANGES LICENSE .bidsignore".split()
)
_LIMIT = "10mb"

_OURS = "# datalad-mrishare: text in git, everything else in the annex"
_DATALAD_RULES = (
    "config annex.largefiles=nothing",
    "runinfo/** annex.largefiles=nothing",
    "mrishare/** annex.largefiles=nothing",
)


def goes_to_annex(path: str, size: int) -> bool:
    """Whether our rules put a file of this name and ``size`` (bytes) in the annex.

    >>> goes_to_annex("a/b.nii.gz", 1), goes_to_annex("a/b.json", 1), goes_to_annex("b.tsv", 20**6)
    (True, False, True)
    """
    if any(part.startswith(".git") for part in path.split("/")):
        return False
    name = path.rsplit("/", 1)[-1]
    is_text = any(
        name.endswith(pattern[1:]) if pattern[0] == "*" else name == pattern for pattern in TEXT
    )
    return not is_text or size > 10_000_000


def set_up(files: Mapping[str, bytes | None], *, has_annex: bool) -> dict[str, bytes]:
    """The content of our files that differs from what is there.

    Parameters
    ----------
    files : mapping
        Of each of :data:`OUR_FILES` what is there, or None.
    has_annex : bool
        Whether it is an annex already: its own rules about what is large are kept then.
    """
    wanted = {
        ATTRIBUTES: _attributes(files.get(ATTRIBUTES) or b"", has_annex=has_annex),
        DATALAD_ATTRIBUTES: _with_lines(files.get(DATALAD_ATTRIBUTES) or b"", _DATALAD_RULES),
        DATALAD_CONFIG: _config(files.get(DATALAD_CONFIG) or b""),
    }
    return {name: content for name, content in wanted.items() if content != files.get(name)}


def has_own_rules(attributes: bytes) -> bool:
    """Whether ``.gitattributes`` says what is large, beyond git's own files.

    >>> has_own_rules(b"* annex.backend=MD5E\\n**/.git* annex.largefiles=nothing\\n")
    False
    >>> has_own_rules(b"*.tsv annex.largefiles=nothing\\n")
    True
    """
    for line in attributes.splitlines():
        pattern = line.split(b" ", 1)[0]
        if b"annex.largefiles" in line and not line.startswith(b"#") and b".git" not in pattern:
            return True
    return False


def has_our_rules(attributes: bytes) -> bool:
    """Whether our rules are in ``.gitattributes``."""
    return _OURS.encode() in attributes


def _attributes(there: bytes, *, has_annex: bool) -> bytes:
    if has_our_rules(there) or (has_annex and has_own_rules(there)):
        return there
    lines = [_OURS]
    if b"annex.backend" not in there or not has_annex:
        lines.append("* annex.backend=SHA256E")
    # the last line that matches counts: a rule that was there before cannot put images in git
    lines.append("* annex.largefiles=anything")
    lines += [f"{pattern} annex.largefiles=largerthan={_LIMIT}" for pattern in TEXT]
    lines.append("**/.git* annex.largefiles=nothing")
    return _ended(there) + "\n".join(lines).encode() + b"\n"


def _config(there: bytes) -> bytes:
    section = b"".join(there.split()).lower()
    if b'[datalad"dataset"]' in section and b"id=" in section:
        return there
    return _ended(there) + f'[datalad "dataset"]\n\tid = {uuid.uuid4()}\n'.encode()


def _with_lines(there: bytes, lines: tuple[str, ...]) -> bytes:
    present = there.decode("utf-8", "surrogateescape").splitlines()
    missing = [line for line in lines if line not in present]
    return _ended(there) + "".join(f"{line}\n" for line in missing).encode() if missing else there


def _ended(there: bytes) -> bytes:
    return there if not there or there.endswith(b"\n") else there + b"\n"
