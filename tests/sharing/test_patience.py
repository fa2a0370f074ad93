"""Trying again: what passes, what lasts, how often and how long."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from datalad_mrishare.repo.transfer import Moved
from datalad_mrishare.sharing.patience import may_pass, patiently

RESET = "read: Connection reset by peer"


@pytest.mark.parametrize(
    "note",
    [
        RESET,
        "ssh: connect to host x port 22: Connection refused",
        "curl: (28) Operation timed out after 30000 milliseconds",
        "fd:21: hPutBuf: resource vanished (Broken pipe)",
        "HTTP 503 Service Unavailable",
        "Temporary failure in name resolution",
        "the server is temporarily overloaded",
    ],
)
def test_what_may_pass(note: str) -> None:
    assert may_pass(note)


@pytest.mark.parametrize(
    "note",
    [
        "No space left on device",
        "sending failed (Broken pipe); remote: No space left on device",
        "not enough free space, need 3 MB more",
        "Permission denied (publickey). Connection closed by 10.0.0.1",
        "Disk quota exceeded",
        "403 Forbidden",
        "verification of content failed",
        "no reason given",
        "",
        "MD5E-s1503--5034.nii.gz failed",
    ],
)
def test_what_lasts(note: str) -> None:
    assert not may_pass(note)


class Line:
    """A connection on which each key fails for a number of times, with a reason."""

    def __init__(self, **failures: tuple[int, str]):
        self.failures, self.attempts, self.waits = dict(failures), [], []

    def send(self, keys: list[str]) -> Generator[Moved, None, None]:
        self.attempts.append(list(keys))
        for key in keys:
            times, why = self.failures.get(key, (0, ""))
            self.failures[key] = (times - 1, why)
            yield Moved(key, times <= 0, why if times > 0 else "")

    def run(self, *keys: str) -> dict[str, bool]:
        found = list(patiently(self.send, keys, self.waits.append))
        assert len(found) == len(keys), "each key is told of once"
        return {moved.key: moved.ok for moved in found}


def test_only_what_failed_goes_again() -> None:
    line = Line(b=(2, RESET))
    assert line.run("a", "b", "c") == {"a": True, "b": True, "c": True}
    assert line.attempts == [["a", "b", "c"], ["b"], ["b"]]
    assert line.waits == [0.5, 2.0]


def test_it_ends_after_three_more() -> None:
    line = Line(a=(99, RESET), b=(99, "No space left on device"))
    assert line.run("a", "b", "c") == {"a": False, "b": False, "c": True}
    assert line.attempts == [["a", "b", "c"], ["a"], ["a"], ["a"]]
    assert line.waits == [0.5, 2.0, 5.0]


def test_without_a_failure_there_is_no_waiting() -> None:
    line = Line()
    assert line.run("a") == {"a": True} and line.waits == []


def test_a_reason_that_changes() -> None:
    """First the connection breaks, then the disk is full: no third attempt."""
    notes = iter([RESET, "No space left on device"])
    attempts = []

    def send(keys: list[str]) -> Generator[Moved, None, None]:
        attempts.append(keys)
        yield Moved(keys[0], False, next(notes))

    (moved,) = patiently(send, ["a"], lambda seconds: None)
    assert moved.note.startswith("No space") and len(attempts) == 2


def test_giving_up_closes_what_sends() -> None:
    closed = []

    def send(keys: list[str]) -> Generator[Moved, None, None]:
        try:
            for key in keys:
                yield Moved(key, True)
        finally:
            closed.append(True)

    sending = patiently(send, ["a", "b"], lambda seconds: None)
    next(sending)
    sending.close()
    assert closed == [True]
