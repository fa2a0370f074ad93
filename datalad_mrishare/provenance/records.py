"""DataLad's run records: what a commit message says that was run, on what.

The message of a run has JSON between two lines (datalad-run(1)); with ``--sidecar`` the JSON
is one text, the name of a file below ``.datalad/runinfo`` that holds the record, compressed
with xz. Inputs stand there as they were given, patterns included, relative to ``pwd``, and
``pwd`` is relative to the dataset.

A message is whatever somebody wrote. What looks like a record and cannot be understood to the
last is an :class:`Unreadable`, never no record. Pure: bytes in, values out.
"""

from __future__ import annotations

import json
import lzma
import posixpath
import re
from collections.abc import Iterable
from typing import Any, NamedTuple

BELOW = b"=== Do not change lines below ==="
ABOVE = b"^^^ Do not change lines above ^^^"
_BEGINS = b"[DATALAD RUNCMD]"
_SIDECAR = re.compile(r"[0-9a-f]{1,128}")
#: where sidecars are unless the dataset says otherwise
RUNINFO = ".datalad/runinfo"
#: bytes of a record, compressed or not; a list of a hundred thousand files is 10 MB
LARGEST = 32 << 20
#: memory for decompression, in bytes; xz -9 asks for 65 MiB
_MEMORY = 128 << 20
_XZ = b"\xfd7zXZ\0"


class Record(NamedTuple):
    """One command, as recorded.

    ``inputs`` and ``extra_inputs`` are patterns relative to ``pwd``; ``text`` is the JSON
    itself, by which the copy of a record in a subdataset is known.
    """

    command: str
    pwd: str
    dsid: str
    inputs: tuple[str, ...]
    extra_inputs: tuple[str, ...]
    chain: tuple[str, ...]
    text: bytes


class Sidecar(NamedTuple):
    """The record is in a file of this name."""

    name: str
    text: bytes


class Unreadable(NamedTuple):
    """There is a record, or should be, and nobody can read it: ``why`` in one clause."""

    why: str


Told = Record | Sidecar | Unreadable | None


def read_message(message: bytes) -> Told:
    """The record in a commit message; None when it is of no run.

    >>> read_message(b"Add files") is None
    True
    >>> read_message(b"[DATALAD RUNCMD] average")
    Unreadable(why='its message is of a run, and the record is missing')
    """
    starts = message.count(BELOW)
    if not starts:
        if message.lstrip().startswith(_BEGINS) or ABOVE in message:
            return Unreadable("its message is of a run, and the record is missing")
        return None
    if starts > 1 or message.count(ABOVE) > 1:
        return Unreadable("its message holds several run records")
    _, _, rest = message.partition(BELOW)
    text, found, _ = rest.partition(ABOVE)
    if not found:
        return Unreadable("its run record is cut off")
    return read_record(text.strip())


def read_record(text: bytes) -> Record | Sidecar | Unreadable:
    """A record, or the name of the file with it."""
    try:
        value = _parse(text)
    except ValueError as exc:
        return Unreadable(f"its run record cannot be read: {exc}")
    if isinstance(value, str):
        if _SIDECAR.fullmatch(value):
            return Sidecar(value, text)
        return Unreadable("its run record names a file that cannot be one of DataLad's")
    if not isinstance(value, dict):
        return Unreadable("its run record is none")
    try:
        return _record(value, text)
    except ValueError as exc:
        return Unreadable(f"its run record cannot be understood: {exc}")


def read_sidecar(content: bytes, name: Sidecar) -> Record | Unreadable:
    """The record in a sidecar; ``content`` is at most :data:`LARGEST` bytes and one more."""
    try:
        text = _unpacked(content) if content.startswith(_XZ) else content
        if len(text) > LARGEST:
            raise ValueError("it is too long")
    except (ValueError, lzma.LZMAError, EOFError, MemoryError) as exc:
        return Unreadable(f"its run record '{name.name}' cannot be read: {exc}")
    found = read_record(text.strip())
    if isinstance(found, Sidecar):
        return Unreadable("its run record names a file that names another")
    # a copy in a subdataset has the same name, so that is what it is known by
    return found._replace(text=name.text) if isinstance(found, Record) else found


def _unpacked(content: bytes) -> bytes:
    reader = lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=_MEMORY)
    text = reader.decompress(content, max_length=LARGEST + 1)
    if not reader.eof and len(text) <= LARGEST:
        raise ValueError("it is cut off")
    return text


def _parse(text: bytes) -> Any:
    if len(text) > LARGEST:
        raise ValueError("it is too long")
    try:
        return json.loads(text, object_pairs_hook=_each_once, parse_constant=_no_number)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8") from None
    except json.JSONDecodeError as exc:
        raise ValueError(f"{exc.msg} (line {exc.lineno})") from None


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a field is given twice")
    return found


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is no number")


def _record(value: dict[str, Any], text: bytes) -> Record:
    command = value.get("cmd")
    if isinstance(command, list) and all(isinstance(word, str) for word in command):
        command = " ".join(command)
    if not isinstance(command, str):
        raise ValueError("it has no command")
    pwd, dsid = value.get("pwd"), value.get("dsid")
    if not isinstance(pwd if pwd is not None else ".", str):
        raise ValueError("`pwd` is no path")
    if not isinstance(dsid if dsid is not None else "", str):
        raise ValueError("`dsid` is no text")
    return Record(
        command,
        pwd or ".",
        dsid or "",
        _texts(value, "inputs"),
        _texts(value, "extra_inputs"),
        _texts(value, "chain"),
        text,
    )


def _texts(value: dict[str, Any], name: str) -> tuple[str, ...]:
    found = value.get(name)
    if found is None:
        return ()
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise ValueError(f"`{name}` is no list of texts")
    return tuple(found)


def in_dataset(pwd: str, pattern: str) -> str | None:
    """A path or pattern of a record relative to the dataset; None when it leads out of it.

    >>> in_dataset("code", "../inputs/sub-*/"), in_dataset(".", "../x"), in_dataset(".", "/etc")
    ('inputs/sub-*', None, None)
    >>> in_dataset("code", ".")
    'code'
    """
    if "\0" in pattern or "\0" in pwd or len(pattern) + len(pwd) > 8192:
        return None
    try:
        (pwd + pattern).encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return None
    path = posixpath.normpath(posixpath.join(pwd, pattern))
    if path.startswith(("/", "../")) or path == "..":
        return None
    return "" if path == "." else path


def is_software(path: str, images: Iterable[str] = ()) -> bool:
    """Whether an extra input is the image of a container, as containers-run adds it.

    By where datalad-container puts images, by the names of Singularity's and Apptainer's, or
    because it is one of ``images``, those that the dataset's configuration names.

    >>> is_software(".datalad/environments/fmriprep/image"), is_software("sub-01/atlas.nii.gz")
    (True, False)
    """
    return (
        path.startswith(".datalad/environments/")
        or path.endswith((".sif", ".sing", ".simg"))
        or path in images
    )


def container_images(config: bytes) -> tuple[str, ...]:
    """Images of containers that a committed ``.datalad/config`` names.

    >>> container_images(b'[datalad "containers.qc"]\\n\\timage = images/qc\\n')
    ('images/qc',)
    """
    found = (in_dataset(".", v) for v in _settings(config, "datalad.containers.", "image"))
    return tuple(path for path in found if path)


def record_directories(configs: Iterable[bytes]) -> tuple[str, ...]:
    """Where sidecars may be: what committed ``.datalad/config`` files say, and the default.

    >>> record_directories([b'[datalad "run"]\\n\\trecord-directory = code/records\\n'])
    ('code/records', '.datalad/runinfo')
    """
    found: dict[str, None] = {}
    for config in configs:
        for value in _settings(config, "datalad.run", "record-directory"):
            path = in_dataset(".", value)
            if path:
                found[path] = None
    return (*found, RUNINFO)


def dataset_ids(config: bytes) -> tuple[str, ...]:
    """What a committed ``.datalad/config`` calls the dataset.

    >>> dataset_ids(b'[datalad "dataset"]\\n\\tid = 7f2d3a52-8c1e\\n')
    ('7f2d3a52-8c1e',)
    """
    return tuple(_settings(config, "datalad.dataset", "id"))


_SECTION = re.compile(r'\[\s*([A-Za-z0-9.-]+)(?:\s+"((?:[^"\\]|\\.)*)")?\s*\]')


def _settings(config: bytes, section: str, name: str) -> Iterable[str]:
    """Values of a setting in the plain form that DataLad writes (git-config(1)).

    A section that ends in a dot means all below it.
    """
    here = ""
    for line in config[: 1 << 20].decode("utf-8", "replace").splitlines():
        match = _SECTION.match(line.strip())
        if match:
            here = match[1].lower() + (f".{match[2]}" if match[2] else "")
            continue
        key, found, value = line.partition("=")
        inside = here.startswith(section) if section.endswith(".") else here == section
        if found and inside and key.strip().lower() == name:
            value = value.strip().strip('"')
            if value:
                yield value
