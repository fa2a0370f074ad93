"""What must not be at a sibling, and whom it would tell about. Pure: bytes in, findings out.

::

    participant  a label of somebody who is withheld, or whom nobody knows
    key          the name of content that is withheld
    registry     our own records: consents, forms, policies of other siblings, events
    metadata     a log of metadata on keys
    address      a log of URLs that content came from
    credential   a password or cipher in the configuration of a special remote
    identity     somebody else than this software made a commit or tag
    machine      the steward's dataset, account or annex
    canary       a word of a private list
    header       an image that tells more beside its voxels than the policy allows, or DICOM
    content      withheld content itself
    unread       a file of the storage that nobody could look into
    missing      what is promised there and is not
    residue      permitted once and named in the history of the release since
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from ..privacy.imagetext import labels_in
from ..privacy.needles import Needles, windows
from ..repo.keys import checksum, content_named, from_file_name, hasher, key_size
from ..repo.release import REVOKED_FILE
from ..repo.trees import Entry, hasher_of_blob
from .mentions import Mentions
from .releases import POLICY_FILE

_KEY = re.compile(rb"[A-Z][A-Z0-9_]+(?:-[a-zA-Z]\d+)*--[^\s/\"'\\<>]+")
_WHO = re.compile(rb"^(?:author|committer|tagger) (.*?) <(.*?)> ", re.MULTILINE)
#: in a bare repository: what was pushed there and by whom (git-reflog(1)), and its settings
_REFLOG = re.compile(r"file (?:(?!.*\.git/).*/)?logs/(?:HEAD|refs/.+)")
_LOGGED = re.compile(rb"^[0-9a-f]{40,64} [0-9a-f]{40,64} (.*?) <(.*?)> \d+ ", re.MULTILINE)
_CONFIG = re.compile(r"file (?:(?!.*\.git/).*/)?config")
_USER = re.compile(rb"^\[user\]\n((?:[ \t]+[^\n]*\n)+)", re.MULTILINE | re.IGNORECASE)
_VALUE = re.compile(rb"^\s*(?:name|email)\s*=\s*(\S[^\n]*)", re.MULTILINE | re.IGNORECASE)
_CIPHER = re.compile(rb" cipher=(\S+)")
_CREDENTIAL = re.compile(rb"\b(s3creds|davcreds|cipher|embedcreds=yes|password)\b[^\n]*")
#: how git-annex describes a repository that nobody described: account, host and path
_PLACE = re.compile(rb"\S+@\S+:[/~][^\n]*?(?= timestamp=|$)", re.MULTILINE)
_CHUNK = re.compile(r"-S\d+-C\d+(?=--)")
#: what git-annex calls an object that it encrypted
_ENCRYPTED = re.compile(r"GPGHMAC[A-Z0-9]+--[0-9a-f]+")
#: bytes at the end of a piece that are looked at again with the next one
_OVERLAP = 1 << 12
_OURS = ".datalad/mrishare/"
_PUBLIC = frozenset((POLICY_FILE, REVOKED_FILE))


@dataclass(frozen=True)
class Finding:
    """One thing at one place: ``kind`` as above, ``what`` it is, ``where`` it was found."""

    kind: str
    what: str
    where: str


@dataclass(frozen=True)
class Candidate:
    """Withheld content that something of the same size may be: ``what`` it is called."""

    what: str
    digest: hashlib._Hash
    checksum: str


@dataclass(frozen=True)
class Secrets:
    """All that is looked for.

    ``keys`` is withheld content, ``blobs`` are withheld files in git by the id of their blob,
    ``permitted`` the keys that may be there, ``residue`` participants, keys and blobs that were
    permitted before, ``neutral`` who may have made a commit, as ``NAME <MAIL>``.
    ``own_stores`` are the release's stores by annex uuid, with the ciphers that the steward's
    dataset has for them, which are not the release's.
    """

    mentions: Mentions | None
    keys: Collection[str]
    permitted: Collection[str]
    residue: Collection[str]
    machine: Needles
    canaries: Needles
    neutral: Collection[str]
    blobs: Mapping[str, Entry] = field(default_factory=dict)
    own_stores: Mapping[str, Collection[str]] = field(default_factory=dict)

    def in_path(self, path: str, where: str) -> Iterator[Finding]:
        """What the name of a file, directory or ref tells."""
        if self.mentions is None:
            return
        raw = path.encode("utf-8", "surrogateescape")
        if path.startswith(_OURS) and path not in _PUBLIC:
            yield Finding("registry", path, where)
        if path.endswith(".log.met"):
            yield Finding("metadata", path.rpartition("/")[2][:-8], where)
        if path.endswith((".log.web", ".log.rmet", ".log.cnk.web")):
            yield Finding("address", path.rpartition("/")[2], where)
        yield from self.in_bytes(raw, where)

    def in_object(self, kind: str, oid: str, content: bytes, where: str) -> Iterator[Finding]:
        """What an object of git tells."""
        if kind in ("commit", "tag") and self.mentions is not None:
            yield from self._signed(_WHO.findall(content.partition(b"\n\n")[0]), where)
        if kind == "tree":
            # git tells one path of an object, and the same content may stand under another
            for name in names_in_tree(content, len(oid) // 2):
                yield from self.in_path(name, f"{where}: {name}")
            return
        if where.endswith(" remote.log)") and self.mentions is not None:
            for line in content.splitlines():
                for match in _CREDENTIAL.findall(self._without_own_cipher(line)):
                    yield Finding("credential", match.decode("ascii", "replace"), where)
        if where.endswith(" uuid.log)") and self.mentions is not None:
            for match in _PLACE.findall(content):
                yield Finding("machine", match.decode("utf-8", "replace"), where)
        if self.mentions is not None and content.lstrip()[:1] in (b"{", b"["):
            for label in self.mentions.in_json(content.decode("utf-8", "replace")):
                kind = "residue" if label in self.residue else "participant"
                yield Finding(kind, label, where)
        yield from self.same_content(oid, content, where)
        yield from self.in_bytes(content, where)

    def _without_own_cipher(self, line: bytes) -> bytes:
        """A line of ``remote.log`` without the cipher that was made for this release."""
        uuid = line.partition(b" ")[0].decode("ascii", "replace")
        match = _CIPHER.search(line) if uuid in self.own_stores else None
        if match is None or match[1].decode("ascii", "replace") in self.own_stores[uuid]:
            return line
        return line.replace(match[0], b"")

    def _signed(self, people: Iterable[tuple[bytes, bytes]], where: str) -> Iterator[Finding]:
        """Names and mail addresses of anybody but this software."""
        for name, mail in dict.fromkeys(people):
            who = (name + b" <" + mail + b">").decode("utf-8", "replace")
            if who not in self.neutral:
                yield Finding("identity", who, where)

    def _in_settings(self, content: bytes, where: str) -> Iterator[Finding]:
        """Who pushed to a repository, as its reflog or its configuration tells."""
        if self.mentions is None:
            return
        if _REFLOG.fullmatch(where):
            yield from self._signed(_LOGGED.findall(content), where)
        if _CONFIG.fullmatch(where):
            ours = {part for who in self.neutral for part in who.rstrip(">").split(" <")}
            found = (
                v.decode("utf-8", "replace")
                for s in _USER.findall(content)
                for v in _VALUE.findall(s)
            )
            yield from (Finding("identity", value, where) for value in found if value not in ours)

    def same_content(self, oid: str, content: bytes, where: str) -> Iterator[Finding]:
        """Withheld content under another name."""
        if oid in self.blobs:
            kind = "residue" if oid in self.residue else "content"
            yield Finding(kind, self.blobs[oid].path, where)
        for key in self._sizes.get(len(content), ()):
            if (digest := hasher(key)) is not None:
                digest.update(content)
                if digest.hexdigest() == checksum(key):
                    once = key in self.residue and self.mentions is not None
                    yield Finding("residue" if once else "content", key, where)

    def candidates(self, size: int | None) -> Iterator[Candidate]:
        """Withheld content of so many bytes, each with a fresh hash object."""
        for key in self._sizes.get(size or 0, ()):
            if (digest := hasher(key)) is not None:
                yield Candidate(key, digest, checksum(key))
        for oid in self._blob_sizes.get(size or 0, ()):
            yield Candidate(self.blobs[oid].path, hasher_of_blob(oid, size or 0), oid)

    @cached_property
    def _sizes(self) -> dict[int, list[str]]:
        return _by_size((key, key_size(key) or 0) for key in self.keys)

    @cached_property
    def _blob_sizes(self) -> dict[int, list[str]]:
        return _by_size((oid, entry.size) for oid, entry in self.blobs.items())

    def withheld(self, name: str) -> str | None:
        """The withheld key that a file in storage holds, or a chunk of; None of another one.

        The same checksum with another extension is the same content.

        >>> held = Secrets(None, {"A-s9--b"}, (), (), Needles(()), Needles(()), ())
        >>> held.withheld("A-s9-S5-C2--b")
        'A-s9--b'
        """
        key = _CHUNK.sub("", from_file_name(name))
        if key in self.keys:
            return key
        return None if key in self.permitted else self._contents.get(content_named(key))

    @cached_property
    def _contents(self) -> dict[str, str]:
        found = {content_named(key): key for key in self.keys}
        for key in self.permitted:
            found.pop(content_named(key), None)
        return found

    def kind_of_key(self, key: str) -> str:
        """What it is when the name of a withheld key is there, and no content."""
        return "residue" if key in self.residue else "key"

    def explains(self, name: str) -> bool:
        """Whether the name of a key says enough: its content is permitted, withheld or encrypted.

        Nobody knows what any other one holds.
        """
        if _CHUNK.sub("", from_file_name(name)) in self.permitted:
            return True
        return self.withheld(name) is not None or _ENCRYPTED.fullmatch(name) is not None

    def in_pieces(self, size: int | None, pieces: Iterator[bytes], where: str) -> Iterator[Finding]:
        """What a long content of ``size`` bytes tells that comes in pieces, packed or not."""
        hashed = [*self.candidates(size)]

        def passing() -> Iterator[bytes]:
            for piece in pieces:
                for candidate in hashed:
                    candidate.digest.update(piece)
                yield piece

        found: set[Finding] = set()
        for window in self._windows(passing()):
            found.update(self._told(window, where), self._in_settings(window, where))
        same = (c.what for c in hashed if c.digest.hexdigest() == c.checksum)
        found.update(Finding("content", what, where) for what in same)
        yield from sorted(found, key=lambda f: (f.kind, f.what))

    def in_bytes(self, content: bytes, where: str) -> Iterator[Finding]:
        """What any text tells, packed or not."""
        seen = self._windows([content])
        yield from dict.fromkeys(found for window in seen for found in self._told(window, where))

    def _windows(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        return windows(pieces, max(_OVERLAP, 2 * self.canaries.longest + 8))

    def _told(self, content: bytes, where: str) -> Iterator[Finding]:
        for label in self._named(content):
            yield Finding("residue" if label in self.residue else "participant", label, where)
        wide = content.replace(b"\0", b"") if b"-\0-" in content else b""
        if b"--" in content or wide:
            for raw in {*_KEY.findall(content), *_KEY.findall(wide)}:
                key = raw.decode("utf-8", "surrogateescape")
                key = self.withheld(key.removesuffix(".log")) or self.withheld(key) or ""
                if key:
                    yield Finding(self.kind_of_key(key), key, where)
        yield from self._words(content, where)

    def words_in(self, pieces: Iterable[bytes], where: str) -> Iterator[Finding]:
        """Words of the machine and of the private list in permitted content, packed or not."""
        seen = self._windows(pieces)
        yield from dict.fromkeys(found for window in seen for found in self._words(window, where))

    def _words(self, content: bytes, where: str) -> Iterator[Finding]:
        for found in self.machine.found(content) if self.mentions is not None else ():
            yield Finding("machine", found, where)
        for found in self.canaries.found(content) if self.canaries else ():
            yield Finding("canary", found, where)

    def _named(self, content: bytes) -> frozenset[str]:
        """Everyone who may not be named but is, in wide characters, too."""
        if self.mentions is None:
            return frozenset()
        lower, found = content.lower(), frozenset[str]()
        written = b"sub" in lower or b"participant" in lower
        if b"sub-" in lower or (written and b"\0" not in content):
            found |= self.mentions.all(content.decode("utf-8", "replace"))
        if b"s\0u\0b\0-\0" in lower:
            found |= self.mentions.all(" ".join(labels_in(content)))
        return found


def _by_size(sized: Iterable[tuple[str, int]]) -> dict[int, list[str]]:
    """Names by the bytes that they take; without those of nothing, and those nobody knows of."""
    found: dict[int, list[str]] = {}
    for name, size in sized:
        found.setdefault(size, []).append(name)
    found.pop(0, None)
    return found


def names_in_tree(content: bytes, oid_bytes: int) -> Iterator[str]:
    """The names in a tree object: mode, blank, name, NUL, id of ``oid_bytes``.

    >>> list(names_in_tree(b"100644 a b\\0" + b"\\1" * 20 + b"40000 c\\0" + b"\\2" * 20, 20))
    ['a b', 'c']
    """
    at = 0
    while at < len(content):
        end = content.index(b"\0", at)
        yield content[content.index(b" ", at) + 1 : end].decode("utf-8", "surrogateescape")
        at = end + 1 + oid_bytes


@dataclass(frozen=True)
class Grouped:
    """Findings of the same kind and thing: how many, and the first place."""

    kind: str
    what: str
    count: int
    first: str


def group(findings: Mapping[tuple[str, str], list[str]]) -> list[Grouped]:
    """Findings by kind and thing, in a stable order."""
    return [
        Grouped(kind, what, len(places), min(places))
        for (kind, what), places in sorted(findings.items())
    ]
