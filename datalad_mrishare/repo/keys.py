"""Names, sizes and places of annex keys.

The layout is the one documented on git-annex's internals pages (``internals``,
``internals/hashing``, ``internals/key_format``).
"""

from __future__ import annotations

import hashlib
import os
import re
from functools import lru_cache
from pathlib import Path

# BACKEND[-sSIZE][-mMTIME][-SCHUNKSIZE-CCHUNK]--NAME
_KEY = re.compile(
    r"(?P<backend>[A-Z0-9_]+)"
    r"(?:-s(?P<size>\d+))?(?:-m\d+)?(?:-S\d+-C\d+)?"
    r"--(?P<name>.+)",
    re.DOTALL,
)
#: the beginning of a key with a size and nothing else before its name
_SIZED = re.compile(r"[A-Z0-9_]+-s(?P<size>\d+)--.", re.DOTALL)
#: https://git-annex.branchable.com/backends/
_CHECKSUM = re.compile(
    r"(?:MD5|SHA1|SHA(?:224|256|384|512)|SHA3_(?:224|256|384|512)|SKEIN(?:256|512)"
    r"|BLAKE2(?:BP?|SP?)\d{3})E?"
)
#: hashlib has these under other names
_HASHES = {"SHA256": "sha256", "SHA512": "sha512", "SHA1": "sha1", "MD5": "md5"}
#: digits of a checksum in a key: those of MD5
_SHORTEST = 32
_MIXED = "0123456789zqjxkmvwgpfZQJXKMVWGPF"


def is_key(text: str) -> bool:
    """Whether ``text`` has the form of a file name for an annex key.

    >>> is_key("SHA256E-s5--ab.nii.gz"), is_key("../../etc/passwd"), is_key("A-s1--a/b")
    (True, False, False)
    """
    return "/" not in text and "\n" not in text and _KEY.fullmatch(text) is not None


def key_size(key: str) -> int | None:
    """Size in bytes as the key tells it, or None when it does not.

    >>> key_size("SHA256E-s1024--ab.nii.gz"), key_size("URL--http&c%%host")
    (1024, None)
    """
    # the size is what most often follows the backend, and this is asked for every file
    match = _SIZED.match(key) or _KEY.fullmatch(key)
    return int(match["size"]) if match and match["size"] is not None else None


def is_checksum(key: str) -> bool:
    """Whether a key is named after its content, with the backends of git-annex that do so.

    Others are named after where the content came from (``URL``, ``VURL``), or after the file
    that it was and when (``WORM``), or by a program of somebody (``X...``).

    >>> is_checksum("SHA256E-s5--ab.nii.gz"), is_checksum("BLAKE2BP512-s5--ab")
    (True, True)
    >>> is_checksum("WORM-s5-m1--Jane_Doe.nii.gz"), is_checksum("URL--http&c%%xnat")
    (False, False)
    """
    backend, dash, _ = key.partition("-")
    return bool(dash) and _is_checksum(backend)


@lru_cache(maxsize=64)
def _is_checksum(backend: str) -> bool:
    return _CHECKSUM.fullmatch(backend) is not None


def content_named(key: str) -> str:
    """What all keys have in common that one checksum gives to a content: it alone.

    An extension, or none, is what the first file with that content was called.

    >>> digest = "0cc175b9c0f1b6a831c399e269772661"
    >>> content_named(f"MD5E-s5--{digest}.nii.gz") == content_named(f"MD5-s5--{digest}") == digest
    True
    >>> content_named("WORM-s9-m1--ab.nii.gz")
    'WORM-s9-m1--ab.nii.gz'
    """
    digest = key.partition("--")[2].partition(".")[0]
    if len(digest) < _SHORTEST or "-s0-" in key:  # nothing is the same as nothing
        return key
    return digest if is_checksum(key) else key


def is_empty(key: str) -> bool:
    """Whether the checksum of a key is that of no bytes at all.

    The size alone would not prove it: it is what somebody wrote.

    >>> is_empty("MD5E-s0--d41d8cd98f00b204e9800998ecf8427e.txt"), is_empty("MD5-s0--ab")
    (True, False)
    """
    if "-s0-" not in key:
        return False
    digest = hasher(key)
    return digest is not None and checksum(key) == digest.hexdigest()


def key_of_pointer(content: bytes) -> str | None:
    """The key in the target of a symlink or in a pointer file, or None.

    ``content`` is what git holds for the file: a link target that ends in
    ``.../annex/objects/xx/yy/KEY/KEY``, or a pointer ``/annex/objects/KEY``.

    >>> key_of_pointer(b"../.git/annex/objects/Xq/2p/SHA256E-s1--a/SHA256E-s1--a")
    'SHA256E-s1--a'
    >>> key_of_pointer(b"/annex/objects/SHA256E-s1--a\\n")
    'SHA256E-s1--a'
    >>> key_of_pointer(b"../../etc/passwd") is None
    True
    """
    first = content.split(b"\n", 1)[0].replace(b"\\", b"/")
    before, found, rest = first.rpartition(b"annex/objects/")
    if not found or (before and not before.endswith(b"/")):
        return None
    return key_named(rest.rsplit(b"/", 1)[-1])


def key_named(raw: bytes) -> str | None:
    """The key that a file of the annex is named after; None when no key has such a name."""
    name = raw.decode("utf-8", "surrogateescape")
    return from_file_name(name) if is_key(name) else None


def from_file_name(name: str) -> str:
    """The key that a file of the annex or of its branch is named after.

    >>> from_file_name("URL--http&c%%host%a&sb")
    'URL--http://host/a%b'
    """
    if "&" not in name and "%" not in name:
        return name
    name = name.replace("%", "/").replace("&c", ":").replace("&s", "%")
    return name.replace("&a", "&")


def to_file_name(key: str) -> str:
    """The name of the file for a key: no slash, percent sign or colon in it.

    >>> to_file_name("URL--http://host/a%b")
    'URL--http&c%%host%a&sb'
    """
    if not any(c in key for c in "&%:/"):
        return key
    key = key.replace("&", "&a").replace("%", "&s")
    return key.replace(":", "&c").replace("/", "%")


def _md5(key: str) -> bytes:
    return hashlib.md5(key.encode("utf-8", "surrogateescape"), usedforsecurity=False).digest()


def hash_lower(key: str) -> str:
    """``xxx/yyy``: the directories of a bare repository and of the git-annex branch.

    >>> hash_lower("SHA256E-s5--a")
    '599/59c'
    """
    digest = _md5(key).hex()
    return f"{digest[:3]}/{digest[3:6]}"


def hash_mixed(key: str) -> str:
    """``Xx/Yy``: the directories of a repository with a working tree."""
    word = int.from_bytes(_md5(key)[:4], "little")
    chars = [_MIXED[(word >> (6 * i)) & 31] for i in range(4)]
    return f"{chars[1]}{chars[0]}/{chars[3]}{chars[2]}"


def object_paths(key: str) -> tuple[str, str]:
    """Where below ``annex/objects`` a key may lie: mixed hashes first, then lower case."""
    name = to_file_name(key)
    return f"{hash_mixed(key)}/{name}/{name}", f"{hash_lower(key)}/{name}/{name}"


def find_object(objects: Path, key: str) -> Path | None:
    """The file with the content of ``key`` below ``annex/objects``, or None."""
    # asked for every file of a dataset: pathlib would take ten times as long
    top = os.fspath(objects)
    for place in object_paths(key):
        if os.path.isfile(f"{top}/{place}"):
            return objects / place
    return None


class Objects:
    """The contents below an ``annex/objects``, for who asks about every file of a dataset.

    Which directories there are is listed as they are asked for, a thousand or two at most.
    Content that is not there, which is most of it in many a clone, takes no look at the disk then.
    What comes or goes meanwhile may be missed.
    """

    def __init__(self, objects: Path):
        self._objects, self._top = objects, os.fspath(objects)
        first = self._list("")
        self._mixed = None if first is None else {n for n in first if len(n) == 2}
        self._lower = None if first is None else {n for n in first if len(n) == 3}
        self._below: dict[str, frozenset[str] | None] = {}

    def find(self, key: str) -> Path | None:
        """The file with the content of ``key``, or None."""
        for those, place_of in ((self._mixed, hash_mixed), (self._lower, hash_lower)):
            if (those is None or those) and self._may_be(those, place := place_of(key)):
                name = to_file_name(key)
                if os.path.isfile(f"{self._top}/{place}/{name}/{name}"):
                    return self._objects / place / name / name
        return None

    def _may_be(self, those: set[str] | None, place: str) -> bool:
        first, _, second = place.partition("/")
        if those is not None and first.lower() not in those:
            return False
        if first not in self._below:
            self._below[first] = self._list(first)
        below = self._below[first]
        return below is None or second.lower() in below

    def _list(self, first: str) -> frozenset[str] | None:
        """Names in lower case: a file system may have one directory for both. None: who knows."""
        try:
            return frozenset(map(str.lower, os.listdir(f"{self._top}/{first}")))
        except (FileNotFoundError, NotADirectoryError):
            return frozenset()
        except OSError:  # one may look for a file in it all the same
            return None


def matches_key(file: Path, key: str) -> bool:
    """Whether the content of ``file`` has the checksum that ``key`` names.

    A key of a backend without a checksum that we know counts as different.
    """
    digest = hasher(key)
    if digest is None:
        return False
    with open(file, "rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest() == checksum(key)


def hasher(key: str) -> hashlib._Hash | None:
    """A fresh hash object for the backend of ``key``, or None for an unknown one."""
    name = _HASHES.get(key.split("-", 1)[0].removesuffix("E"))
    return hashlib.new(name, usedforsecurity=False) if name else None


def checksum(key: str) -> str:
    """The hexadecimal checksum in a key.

    >>> checksum("MD5E-s5--0cc175b9c0f1b6a831c399e269772661.nii.gz")
    '0cc175b9c0f1b6a831c399e269772661'
    """
    return key.partition("--")[2].partition(".")[0]
