"""Moving an explicit list of keys through git-annex's own batch mode.

The list decides, nothing else: preferred content and numcopies widen ``copy --auto``
and ``datalad push``, but not this. git-annex goes on with every other key after a
failure; each result is yielded as it comes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from .keys import key_size
from .process import annex, json_stream, stream
from .reasons import in_a_line
from .remotes import remotes
from .trees import encode

#: bytes; telling of progress inside a file costs git-annex up to a quarter of its time
_LONG = 8 << 20
UNREPORTED = "git-annex did not report on it"

Progress = Callable[[str, int], None]
"""Called with a key and the bytes of it that have arrived so far."""


class Ready(Protocol):
    """Hands out keys as they become ready to be sent, fewer if it comes to that."""

    def __call__(self, keys: Iterable[str]) -> Iterator[str]:
        """The keys, in their order."""

    def busy(self, seconds: float) -> bool:
        """Whether it was at work within the last ``seconds``, and git-annex waits for it."""


@dataclass(frozen=True, slots=True)
class Moved:
    """What became of one key; ``note`` is git-annex's reason when ``ok`` is false."""

    key: str
    ok: bool
    note: str = ""


def copy_keys(
    repo: Path,
    remote: str,
    keys: Sequence[str],
    *,
    jobs: int = 1,
    progress: Progress | None = None,
    reserve: int = 0,
    env: Mapping[str, str] | None = None,
    pass_fds: Sequence[int] = (),
    silence: float | None = None,
    ready: Ready | None = None,
) -> Generator[Moved, None, None]:
    """Copy ``keys`` from ``repo`` to ``remote``, leaving ``reserve`` bytes free there.

    Left to itself git-annex keeps 100 MB free, and of a small file system says no more
    than that sending failed. It asks the remote about each key before it sends it; the caller
    has decided already that these are to be sent, and what is there arrives once more.
    Where ``ready`` hands out the keys, of those that it does not nothing is said.
    """
    options = ["--fast"]
    if (progress or silence) and any(_takes_long(key) for key in keys):
        options.append("--json-progress")
    argv = _batch("copy", "--to", remote, *options, f"-J{jobs}")
    settings = _reserving(repo, remote, reserve)
    yield from _move(argv, repo, keys, progress, env, pass_fds, settings, silence, ready)


def _takes_long(key: str) -> bool:
    """Whether anybody wants to hear of it while it moves; that a small one moved is word enough."""
    size = key_size(key)
    return size is None or size > _LONG


def _reserving(repo: Path, remote: str, reserve: int) -> dict[str, str]:
    """git settings that keep ``reserve`` bytes free where ``remote`` is.

    Behind ssh another git-annex takes the content, which hears of settings by its environment.
    """
    known = remotes(repo).get(remote)
    shell = (known.settings.get("annex-shell") if known else None) or "git-annex-shell"
    there = ("COUNT=1", "KEY_0=annex.diskreserve", f"VALUE_0={reserve}")
    words = ("env", *(f"GIT_CONFIG_{word}" for word in there), shell)
    return {"annex.diskreserve": str(reserve), f"remote.{remote}.annex-shell": " ".join(words)}


def fetch_keys(
    repo: Path, remote: str, keys: Sequence[str], *, env: Mapping[str, str] | None = None
) -> Generator[Moved, None, None]:
    """Get ``keys`` from ``remote``; git-annex compares what comes with its checksum."""
    yield from _move(_batch("copy", "--from", remote), repo, keys, None, env, ())


def drop_keys(
    repo: Path,
    remote: str,
    keys: Sequence[str],
    *,
    force: bool = False,
    env: Mapping[str, str] | None = None,
    pass_fds: Sequence[int] = (),
    silence: float | None = None,
) -> Generator[Moved, None, None]:
    """Drop ``keys`` from ``remote``; ``force`` when the caller knows of another copy."""
    argv = _batch("drop", "--from", remote, *(["--force"] if force else []))
    yield from _move(argv, repo, keys, None, env, pass_fds, silence=silence)


def _batch(*words: str) -> tuple[str, ...]:
    return ("git-annex", *words, "--batch-keys", "--json", "--json-error-messages")


def _move(
    argv: Sequence[str],
    repo: Path,
    keys: Sequence[str],
    progress: Progress | None,
    env: Mapping[str, str] | None,
    pass_fds: Sequence[int],
    settings: Mapping[str, str] | None = None,
    silence: float | None = None,
    ready: Ready | None = None,
) -> Generator[Moved, None, None]:
    if not keys:
        return
    # what is handed out one by one is told of when it was; everything else was asked for
    left: dict[str, None] = {} if ready else dict.fromkeys(keys)

    def fed() -> Iterator[bytes]:
        for key in ready(keys) if ready else keys:
            if ready:
                left[key] = None
            yield key.encode("utf-8", "surrogateescape") + b"\n"

    feed = fed()
    # exit code 1: some keys failed, and each says so itself
    options: dict[str, Any] = {"env": env, "settings": settings, "pass_fds": pass_fds}
    if ready:
        options["busy"] = ready.busy
    records = json_stream(argv, repo, feed=feed, ok=(0, 1), silence=silence, **options)
    with closing(records):  # git-annex ends before anything else that follows an error
        for record in records:
            if "byte-progress" in record:
                key = (record.get("action") or {}).get("key")
                if progress and key:
                    progress(key, int(record["byte-progress"]))
                continue
            key = record.get("key")
            if key in left:
                del left[key]
                yield Moved(key, bool(record.get("success")), _reason(record))
    for key in list(left):
        yield Moved(key, False, UNREPORTED)


def _reason(record: Mapping[str, Any]) -> str:
    if record.get("success"):
        return ""
    said = [*(record.get("error-messages") or ()), record.get("note") or ""]
    words = dict.fromkeys(in_a_line(str(s)) for s in said)
    return "; ".join(w for w in words if w) or "no reason given"


def keys_present(
    repo: Path,
    remote: str,
    keys: Iterable[str],
    env: Mapping[str, str] | None = None,
    silence: float | None = None,
) -> dict[str, bool]:
    """Ask ``remote`` itself which of ``keys`` it has, whatever the location log says."""
    asked = list(keys)
    if not asked:
        return {}
    feed = (encode("".join(f"{key}\n" for key in asked)),)
    argv = ("git-annex", "checkpresentkey", "--batch", remote)
    lines = stream(argv, repo, feed=feed, env=env, ok=(0, 1), silence=silence)
    answers = [line.strip() == b"1" for line in lines]
    answers += [False] * (len(asked) - len(answers))
    return dict(zip(asked, answers, strict=False))


def note_presence(
    repo: Path, uuid: str, found: Mapping[str, bool], env: Mapping[str, str] | None = None
) -> None:
    """Write into the location log what was ``found`` out about keys in repository ``uuid``."""
    if found:
        lines = "".join(f"{key} {uuid} {int(there)}\n" for key, there in found.items())
        annex(repo, "setpresentkey", "--batch", stdin=encode(lines), env=env)


class ByteCount:
    """Bytes done over a whole plan, from the progress of several keys at once."""

    def __init__(self, report: Callable[[int], None] | None):
        self._report = report
        self._done: dict[str, int] = {}
        self._lock = threading.Lock()

    def __call__(self, key: str, count: int) -> None:
        with self._lock:
            before = self._done.get(key, 0)
            if count <= before:
                return
            self._done[key] = count
        if self._report:
            self._report(count - before)


def metered(
    show: Callable[[int, int], None] | None, total: int
) -> tuple[ByteCount, Callable[[], None]]:
    """A counter that tells ``show`` of bytes just done and in all, and what to call at the end."""
    if show is None or not total:
        return ByteCount(None), lambda: None
    show(0, total)
    return ByteCount(lambda count: show(count, total)), lambda: show(-1, total)
