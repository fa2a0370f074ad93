"""What a content tells beside its data, and how that is kept as metadata of its key. Pure.

Words for where something is told::

    descrip, aux-file, db-name, data-type, intent-name, unused   text in a field of the header
    extension-N       a header extension of code N
    gap               bytes between header and image that are no extension
    behind            bytes behind the image
    gzip-name, gzip-comment, gzip-extra   the envelope of a packed file
    clock             the time of day of the scan, as dcm2niix writes it
    dicom             it is a DICOM file
    unreadable        it is named like an image, and has no header that can be read
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

#: metadata fields: where text was found (``none``: looked at, nothing there), and the labels in it
TEXT, LABELS = "mri-text", "mri-text-labels"
#: which content the header fields are about: git-annex gives a new version of a file the
#: metadata of the former one
OF = "mri-of"
NOTHING = "none"
DICOM, CLOCK, UNREADABLE = "dicom", "clock", "unreadable"

Values = Mapping[str, frozenset[str]]


class Told(NamedTuple):
    """``places`` as above, sorted; ``labels`` of participants (``sub-XX``) that are told."""

    places: tuple[str, ...] = ()
    labels: frozenset[str] = frozenset()


SILENT = Told()


def mark(key: str) -> str:
    """A short name for a key, which says that metadata is about its content."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def as_metadata(told: Told) -> dict[str, frozenset[str]]:
    """The metadata fields that keep ``told``.

    >>> as_metadata(SILENT)
    {'mri-text': frozenset({'none'})}
    """
    kept = {TEXT: frozenset(told.places or (NOTHING,))}
    return kept | {LABELS: told.labels} if told.labels else kept


def from_metadata(key: str, fields: Values) -> Told | None:
    """What is kept about a key; None when nobody has looked, or only at a former version."""
    if TEXT not in fields or fields.get(OF, frozenset()) != {mark(key)}:
        return None
    places = fields[TEXT] - {NOTHING}
    labels = fields.get(LABELS, frozenset())
    return Told(tuple(sorted(places)), labels) if places or labels else SILENT


_SENTENCES = {
    "gap": "bytes between header and image",
    "behind": "bytes behind the image",
    "gzip-name": "the file name that gzip keeps",
    "gzip-comment": "the comment that gzip keeps",
    "gzip-extra": "an extra field of gzip",
    CLOCK: "the time of day of the scan in the field descrip",
    UNREADABLE: "a header that cannot be read",
}


def in_words(places: Sequence[str]) -> str:
    """Where something is told, and nothing of what it is.

    >>> in_words(("aux-file", "extension-2"))
    'text in the field aux_file, a header extension of code 2 (DICOM)'
    """
    return ", ".join(_place_in_words(place) for place in places)


def _place_in_words(place: str) -> str:
    if place in _SENTENCES:
        return _SENTENCES[place]
    if place.startswith("extension-"):
        code = place.partition("-")[2]
        return f"a header extension of code {code}" + (" (DICOM)" if code == "2" else "")
    return f"text in the field {place.replace('-', '_')}"
