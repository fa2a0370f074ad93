"""What an export tells: files, what was done with them, and with what. Values only.

An account is complete before it is written: filtered and scrubbed for whoever reads it. The
formats differ in how they write it and in nothing else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from enum import Enum
from typing import NamedTuple
from urllib.parse import quote

from ...repo.keys import checksum, is_checksum

#: in what is told for a person to read; an export that is there already is known by it
MAKER = "datalad-mrishare"
#: name of a backend of git-annex without its E -> name of the algorithm in SPDX, hexadecimal digits
#: (https://git-annex.branchable.com/backends/, https://spdx.org/rdf/terms/#d4e2129)
_ALGORITHMS = {
    "MD5": ("md5", 32),
    "SHA1": ("sha1", 40),
    "SHA224": ("sha224", 56),
    "SHA256": ("sha256", 64),
    "SHA384": ("sha384", 96),
    "SHA512": ("sha512", 128),
    "SHA3_256": ("sha3_256", 64),
    "SHA3_384": ("sha3_384", 96),
    "SHA3_512": ("sha3_512", 128),
    "BLAKE2B256": ("blake2b_256", 64),
    "BLAKE2B384": ("blake2b_384", 96),
    "BLAKE2B512": ("blake2b_512", 128),
}
_HEXADECIMAL = frozenset("0123456789abcdef")


class Place(Enum):
    """Where a file of an account is."""

    PRESENT = "present"  # in the dataset that is told about
    PAST = "past"  # in an older version of it
    BELOW = "below"  # in a subdataset of it, in some version
    ELSEWHERE = "elsewhere"  # in another dataset; its path is a BIDS URI, or a key


class Checksum(NamedTuple):
    """``algorithm`` as SPDX calls it (``sha256``), ``value`` in lower-case hexadecimal."""

    algorithm: str
    value: str


class ToldFile(NamedTuple):
    """One content: its first path and the others, bytes; ``evidence`` only for the steward."""

    uid: str
    path: str
    also: tuple[str, ...] = ()
    place: Place = Place.PRESENT
    checksum: Checksum | None = None
    size: int | None = None
    evidence: str = ""


class ToldTool(NamedTuple):
    """A program, or the image of a container; ``version`` is empty when nobody said it."""

    uid: str
    name: str
    version: str
    container: bool


class ToldActivity(NamedTuple):
    """One step. ``used`` and ``made`` are uids of files, ``tools`` of tools.

    ``command`` is empty when none is told; ``when`` is the end, in UTC, or empty; ``record`` says
    where the steward finds what was recorded.
    """

    uid: str
    label: str
    kind: str
    evidence: str
    command: str
    used: tuple[str, ...]
    made: tuple[str, ...]
    tools: tuple[str, ...]
    when: str = ""
    record: str = ""
    why: str = ""


@dataclass(frozen=True)
class About:
    """The dataset: its title, DataLad's id of it, and its licence as far as it is stated."""

    title: str = ""
    dataset_id: str = ""
    licence: str = ""


@dataclass(frozen=True)
class Account:
    """All that is told; files by path, activities by what they made."""

    about: About = field(default_factory=About)
    files: tuple[ToldFile, ...] = ()
    activities: tuple[ToldActivity, ...] = ()
    tools: tuple[ToldTool, ...] = ()

    def makers(self) -> dict[str, list[str]]:
        """Uid of a file -> uids of the activities that made it."""
        found: dict[str, list[str]] = {}
        for activity in self.activities:
            for uid in activity.made:
                found.setdefault(uid, []).append(activity.uid)
        return found


def uid_of(*words: str, digits: int = 12) -> str:
    """A short name made of what is told, so that it tells nothing more."""
    told = "\0".join(words).encode("utf-8", "surrogatepass")
    return hashlib.sha256(told).hexdigest()[:digits]


def checksum_of(node: str) -> Checksum | None:
    """The checksum of a content as its key tells it; None for one in git.

    The id of a blob is no checksum of a file: git puts a header before what it digests.

    >>> checksum_of("MD5E-s1--0cc175b9c0f1b6a831c399e269772661.nii.gz")
    Checksum(algorithm='md5', value='0cc175b9c0f1b6a831c399e269772661')
    >>> checksum_of("git:e69de29bb2d1d6434b8b29ae775ad8c2e48c5391")
    """
    if not is_checksum(node):
        return None
    known = _ALGORITHMS.get(node.split("-", 1)[0].removesuffix("E"))
    value = checksum(node)
    if known is None or len(value) != known[1] or not _HEXADECIMAL.issuperset(value):
        return None
    return Checksum(known[0], value)


def in_utc(when: str) -> str:
    """A time in UTC, to the second; empty when it is none.

    >>> in_utc("2026-05-03T10:00:00+02:00"), in_utc("yesterday")
    ('2026-05-03T08:00:00+00:00', '')
    """
    try:
        time = datetime.fromisoformat(when.strip().replace("Z", "+00:00"))
        time = time if time.tzinfo else time.replace(tzinfo=timezone.utc)
        return time.astimezone(timezone.utc).isoformat(timespec="seconds")
    except (ValueError, OverflowError):
        return ""


def in_uri(path: str) -> str:
    """A path as it stands in a URI (RFC 3986), whatever its bytes are.

    >>> in_uri("sub-01/a b#c.nii")
    'sub-01/a%20b%23c.nii'
    """
    return quote(path.encode("utf-8", "surrogateescape"), safe="/+@,=!$&()*;~")


def readable(text: str) -> str:
    """A text that every file can hold: bytes that are no UTF-8 are written out."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def by_uid(told: Iterable[ToldFile]) -> dict[str, ToldFile]:
    """The files of an account by name."""
    return {file.uid: file for file in told}
