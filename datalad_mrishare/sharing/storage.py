"""What content takes where it is stored: more than its size where it is encrypted or cut up.

Pure, and on the safe side: never less than what was measured with git-annex and gpg
(docs/design.md, "Room").
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

#: bytes that gpg adds to each object, and one byte in so many of content that does not shrink
_ENVELOPE, _FRAMES = 256, 256
#: bytes that each recipient adds to each object
_RECIPIENT = 1100
#: encryption that writes the recipients into each object
_TO_RECIPIENTS = ("pubkey", "sharedpubkey")
#: what a file rounds up to, and each object makes up to three directories of its own
_BLOCK, _DIRECTORIES = 4096, 3


@dataclass(frozen=True)
class Storage:
    """How a sibling keeps content.

    Parameters
    ----------
    encrypted : bool
        Whether gpg packs each object.
    recipients : int
        Keys that each object is encrypted to; 0 where one cipher serves for all objects.
    chunk : int or None
        Bytes of a chunk; None where objects are kept whole.
    on_disk : bool
        Whether it lies in a file system of files and directories.
    """

    encrypted: bool = False
    recipients: int = 0
    chunk: int | None = None
    on_disk: bool = False

    def stored(self, size: int) -> int:
        """Bytes of all the objects that content of ``size`` bytes becomes, at most.

        >>> Storage().stored(1000), Storage(encrypted=True).stored(100_000)
        (1000, 100647)
        """
        if not self.encrypted:
            return size
        each = _ENVELOPE + self.recipients * _RECIPIENT
        return size + -(-size // _FRAMES) + each * self._objects(size)

    def disk(self, size: int) -> int:
        """Bytes of the file system that they take, at most.

        >>> Storage().disk(1000), Storage(on_disk=True).disk(1000)
        (1000, 16384)
        """
        if not self.on_disk:
            return self.stored(size)
        count = self._objects(size)
        # each of them ends in a block that is not full
        blocks = -(-self.stored(size) // _BLOCK) + count - 1
        return (blocks + count * _DIRECTORIES) * _BLOCK

    def _objects(self, size: int) -> int:
        return max(1, -(-size // self.chunk)) if self.chunk else 1


#: as it is, in objects of the size of the content
PLAIN = Storage()
#: the same in a file system
IN_FILES = Storage(on_disk=True)


def storage_of(settings: Mapping[str, str], *, on_disk: bool = False) -> Storage:
    """How a special remote keeps content, from its settings; a git remote has none.

    >>> storage_of({"encryption": "sharedpubkey", "pubkeys": "A,B", "chunk": "1MiB"})
    Storage(encrypted=True, recipients=2, chunk=1000000, on_disk=False)
    """
    encryption = settings.get("encryption", "none")
    keys = settings.get("cipherkeys") or settings.get("pubkeys") or ""
    recipients = len(keys.split(",")) if encryption in _TO_RECIPIENTS else 0
    return Storage(encryption != "none", recipients, _chunk(settings.get("chunk", "")), on_disk)


def unencrypted(settings: Mapping[str, str], *, beside_git: bool) -> str | None:
    """Why whoever has the storage can read what lies there, None where they cannot.

    ``beside_git`` says that the git half, with what git-annex knows, lies there, too.

    >>> unencrypted({"encryption": "hybrid"}, beside_git=True) is None
    True
    """
    encryption = settings.get("encryption", "none")
    if encryption == "none":
        return "its policy demands encryption, and it keeps content as it is"
    if encryption == "shared" and beside_git:
        return "its policy demands encryption, and the key to it lies beside the content"
    return None


ENCRYPT = (
    "Keep content in a special remote made with encryption=hybrid (or pubkey, sharedpubkey), or"
    " declare a policy without `encryption: required`"
)

_POWERS = {letter: 1000**power for power, letter in enumerate("kmgtp", start=1)}


def _chunk(words: str) -> int | None:
    """The size of a chunk, rounded down: git-annex takes any unit that there is."""
    found = re.match(r"\s*(\d+(?:\.\d+)?)\s*([a-z]?)", words.lower(), re.ASCII)
    size = int(Fraction(found[1]) * _POWERS.get(found[2], 1)) if found else 0
    return size or None
