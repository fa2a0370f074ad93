"""The pipes of a process: what is said to it and heard from it at the same time."""

from __future__ import annotations

import contextlib
import fcntl
import selectors
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import IO, Any

#: bytes; the widest that Linux grants to everybody (pipe(7))
_WIDE = 1 << 20
#: bytes; what a pipe holds that was not widened
_NARROW = 1 << 16
#: seconds; short to a person, and long enough for a process to say some hundred things
_NAP = 0.002


def grouped(lines: Iterable[bytes], count: int) -> Iterator[bytes]:
    """The same bytes, ``count`` lines at a time: each piece that is written costs a call."""
    group: list[bytes] = []
    for line in lines:
        group.append(line)
        if len(group) >= count:
            yield b"".join(group)
            group.clear()
    yield b"".join(group)


def talk(
    process: subprocess.Popen[bytes], stdin: bytes, timeout: float | None
) -> tuple[bytes, bytes]:
    """Its output and errors once it has ended; killed when that takes too long, or we are.

    ``Popen.communicate`` writes 512 bytes at a time and takes turns with all our threads for each:
    with a hundred thousand ids to write that is longer than git takes to look them up.
    """
    assert process.stdin and process.stdout and process.stderr
    said = [b"", b""]

    def hear(at: int, pipe: IO[bytes]) -> None:
        with pipe:
            said[at] = pipe.read()

    ends = None if timeout is None else time.monotonic() + timeout

    def left() -> float | None:
        return None if ends is None else max(0.0, ends - time.monotonic())

    widen(process.stdout)
    helpers = Helpers()
    try:
        helpers.start(hear, 0, process.stdout)
        helpers.start(hear, 1, process.stderr)
        if stdin:
            helpers.feed(process.stdin, [stdin])
        else:
            process.stdin.close()
        for thread in helpers.threads:
            thread.join(left())
            if thread.is_alive():
                raise subprocess.TimeoutExpired(process.args, timeout or 0)
        process.wait(left())
    except BaseException as exc:
        if isinstance(exc, KeyboardInterrupt):  # it has heard of that, too, and tidies up
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.25)
        process.kill()
        process.wait()
        raise
    helpers.check()
    return said[0], said[1]


def widen(pipe: IO[bytes]) -> None:
    """Let more be on its way: for each time that it is full somebody has to wait for all our
    threads. As it is where the system has no wider ones, or no more of them.
    """
    with contextlib.suppress(OSError, AttributeError):
        fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, _WIDE)


class Helpers:
    """Threads at the pipes of a process; what goes wrong in them is not lost."""

    def __init__(self) -> None:
        self.threads: list[threading.Thread] = []
        self._failed: list[BaseException] = []

    def start(self, work: Callable[..., None], *args: Any) -> None:
        """Begin ``work`` in a thread of its own."""

        def safely() -> None:
            try:
                work(*args)
            except BaseException as exc:
                self._failed.append(exc)

        self.threads.append(threading.Thread(target=safely, daemon=True))
        self.threads[-1].start()

    def feed(self, pipe: IO[bytes], chunks: Iterable[bytes]) -> None:
        """Write ``chunks`` in a thread, and end; what went wrong is known before it ends."""

        def work() -> None:
            try:
                feed_to(pipe, chunks)
            except BaseException as exc:
                self._failed.append(exc)
            with contextlib.suppress(OSError, ValueError):
                pipe.close()

        self.start(work)

    def check(self) -> None:
        """Raise what went wrong first: what was heard or said then is not all of it."""
        if self._failed:
            raise self._failed[0]


def feed_to(pipe: IO[bytes], chunks: Iterable[bytes]) -> None:
    """Write each of ``chunks`` as it comes."""
    for chunk in chunks:
        try:
            pipe.write(chunk)
            pipe.flush()
        except (BrokenPipeError, ValueError):
            return  # the process ended early; its exit code tells


def _chunks(
    source: IO[bytes],
    silence: float | None,
    busy: Callable[[float], bool] | None,
    bulk: bool = False,
) -> Iterator[bytes]:
    """What comes, as it comes; :class:`TimeoutError` after ``silence`` seconds of nothing.

    In ``bulk`` it is let come together: ``git cat-file --batch --buffer`` writes each blob by
    itself all the same, and to be woken for a hundred thousand links takes us four times as long
    as to read them, and git half as long again.
    """
    with selectors.DefaultSelector() as waiting:
        waiting.register(source, selectors.EVENT_READ)
        while True:
            # as much as is read is never left in a buffer, where nobody would wait for it
            if silence and not waiting.select(silence):
                if busy and busy(silence):
                    continue
                raise TimeoutError
            chunk = source.read1(1 << 18)  # type: ignore[attr-defined]
            if not chunk:
                return
            yield chunk
            if bulk and len(chunk) < _NARROW:
                time.sleep(_NAP)


def pieces(
    source: IO[bytes],
    sep: bytes | None,
    silence: float | None,
    busy: Callable[[float], bool] | None,
) -> Iterator[bytes]:
    """What comes, in pieces that ``sep`` is between; without one as it comes.

    :class:`TimeoutError` after ``silence`` seconds of nothing, unless it is we who were ``busy``.
    """
    if sep is None:
        yield from _chunks(source, silence, busy, bulk=True)
        return
    rest = b""
    for chunk in _chunks(source, silence, busy):
        pieces = (rest + chunk).split(sep)
        rest = pieces.pop()
        yield from pieces
    if rest:
        yield rest
