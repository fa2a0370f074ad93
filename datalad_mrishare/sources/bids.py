"""Whether a tree is a BIDS dataset, and what in it is not as BIDS has it.

Pure checks on names and on the few small files that describe the whole. The full
standard is the validator's business (``pip install 'datalad-mrishare[bids]'``).
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache

from ..provenance.bids import outside_bids
from .findings import Finding, Kind

#: gives the content of a file at the top, or None when it is not there
Reader = Callable[[str], "bytes | None"]

_TABLE = "participants.tsv"


def is_bids_tree(paths: Iterable[str]) -> bool:
    """Whether there is a ``dataset_description.json`` or a directory ``sub-*``."""
    return any(
        path == "dataset_description.json" or (path.startswith("sub-") and "/" in path)
        for path in paths
    )


def participants_with_data(paths: Iterable[str]) -> frozenset[str]:
    """The ``sub-*`` directories at the top that hold files."""
    return frozenset(p.split("/", 1)[0] for p in paths if p.startswith("sub-") and "/" in p)


def check_tree(paths: Iterable[str], read: Reader) -> list[Finding]:
    """Findings about names, the description and the participants table."""
    listed = sorted(paths)
    if not listed:
        return []
    return [
        *_check_description(read),
        *_check_names(listed, read),
        *_check_participants(participants_with_data(listed), read),
    ]


def _check_description(read: Reader) -> Iterator[Finding]:
    name = "dataset_description.json"
    raw = read(name)
    if raw is None:
        yield Finding(
            Kind.DESCRIPTION,
            name,
            "there is no dataset_description.json",
            'Write one with "Name" and "BIDSVersion"',
        )
        return
    try:
        fine = isinstance(json.loads(raw), dict)
    except ValueError:
        fine = False
    if not fine:
        yield Finding(Kind.DESCRIPTION, name, "is not a JSON object", "Correct the file")


def _check_names(paths: Iterable[str], read: Reader) -> Iterator[Finding]:
    patterns = parse_ignore(read(".bidsignore") or b"")
    for path in paths:
        reason = outside_bids(path)
        if reason and not is_ignored(path, patterns):
            yield Finding(
                Kind.NAME,
                path,
                f"the name is outside BIDS: {reason}",
                "Rename the file, or list it in .bidsignore",
            )


def _check_participants(present: frozenset[str], read: Reader) -> Iterator[Finding]:
    raw = read(_TABLE)
    if raw is None:
        if present:
            yield Finding(
                Kind.NO_TABLE,
                _TABLE,
                f"there is no participants.tsv for {len(present)} participants with data",
                "Write one with a column participant_id",
            )
        return
    listed = participants_in_table(raw)
    if listed is None:
        yield Finding(
            Kind.PARTICIPANTS_TABLE,
            _TABLE,
            "is not a table with a column participant_id",
            "Correct the file: tab-separated values, participant_id first",
        )
        return
    for participant in sorted(listed - present):
        yield Finding(
            Kind.NO_DATA,
            _TABLE,
            f"{participant} is in participants.tsv and has no data",
            f"Add the data, or remove the row of {participant}",
        )
    for participant in sorted(present - listed):
        yield Finding(
            Kind.NOT_LISTED,
            participant,
            f"{participant} has data and is not in participants.tsv",
            f"Add a row for {participant} to participants.tsv",
        )


def participants_in_table(raw: bytes) -> frozenset[str] | None:
    """Identifiers in a participants table, with their ``sub-``; None when it is none.

    >>> sorted(participants_in_table(b"participant_id\\tage\\nsub-01\\t20\\n02\\t30\\n"))
    ['sub-01', 'sub-02']
    """
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    rows = csv.reader(io.StringIO(text, newline=""), delimiter="\t", quoting=csv.QUOTE_NONE)
    try:
        header = [cell.strip() for cell in next(rows, [])]
        if "participant_id" not in header:
            return None
        column = header.index("participant_id")
        cells = [row[column].strip() for row in rows if len(row) > column]
    except csv.Error:
        return None
    names = (cell if cell.startswith("sub-") else f"sub-{cell}" for cell in cells if cell)
    return frozenset(name for name in names if name != "sub-n/a")


def parse_ignore(raw: bytes) -> tuple[tuple[bool, str], ...]:
    """Patterns of a ``.bidsignore`` (the syntax of ``.gitignore``), as ``(ignore, pattern)``."""
    found = []
    for line in raw.decode("utf-8", "surrogateescape").splitlines():
        line = line.rstrip()
        if not line or line.startswith("#"):
            continue
        again = line.startswith("!")
        found.append((not again, line[1:] if again else line))
    return tuple(found)


def is_ignored(path: str, patterns: tuple[tuple[bool, str], ...]) -> bool:
    """Whether the last pattern that matches ``path`` ignores it.

    >>> is_ignored("extra/a/b.txt", parse_ignore(b"extra/"))
    True
    >>> is_ignored("sub-01/anat/x_mask.nii", parse_ignore(b"*_mask.nii"))
    True
    """
    ignored = False
    for ignore, pattern in patterns:
        if _compiled(pattern).fullmatch(path):
            ignored = ignore
    return ignored


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    only_directories = pattern.endswith("/")
    body = pattern.strip("/")
    # a slash at the start or in the middle ties the pattern to the top (gitignore(5))
    anchored = pattern.startswith("/") or "/" in body
    expression = ""
    for piece in re.split(r"(\*\*/|/\*\*|\*|\?)", body):
        expression += {
            "**/": "(?:.*/)?",
            "/**": "/.*",
            "*": "[^/]*",
            "?": "[^/]",
        }.get(piece, re.escape(piece))
    before = "" if anchored else "(?:.*/)?"
    after = "/.*" if only_directories else "(?:/.*)?"
    return re.compile(before + expression + after, re.DOTALL)
