"""Start git and git-annex, feed them and read them.

Every process of the package is started here: no shell, no prompt, no pager, no
replace refs, no inherited stdin, and a cleaned environment, so that what the
user exported for another repository (``GIT_DIR``, ``GIT_INDEX_FILE``) cannot
redirect us. git-annex hangs when its output is closed early, so :func:`stream`
kills what it abandons.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar, copy_context
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from ..errors import RepoError
from .pipes import Helpers, pieces, talk, widen
from .reasons import in_short

T = TypeVar("T")

#: git variables that would point a command at another repository
_REDIRECTING = (
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_NAMESPACE",
    "GIT_PREFIX",
)

#: the identity of everything that leaves: it names the tool, never a person
NEUTRAL = {
    "GIT_AUTHOR_NAME": "datalad-mrishare",
    "GIT_AUTHOR_EMAIL": "datalad-mrishare@invalid",
    "GIT_COMMITTER_NAME": "datalad-mrishare",
    "GIT_COMMITTER_EMAIL": "datalad-mrishare@invalid",
    "TZ": "UTC",
}


#: no question, no wait for a host that is down, no wait for one that went down (ssh_config(5))
SSH_OPTIONS = (
    *("-o", "BatchMode=yes", "-o", "ConnectTimeout=15"),
    *("-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=4"),
)
_BEFORE_SSH = Path(__file__).parents[1] / "resources" / "bin"

#: git settings for every process started now; see configured()
_SETTINGS: ContextVar[tuple[tuple[str, str], ...]] = ContextVar("settings", default=())


@contextlib.contextmanager
def configured(settings: Mapping[str, str]) -> Iterator[None]:
    """Let every git and git-annex started inside see ``settings`` above all its own.

    They travel in the environment (git-config(1), ``GIT_CONFIG_COUNT``), so that the git
    processes which git-annex starts see them too. Do not yield from inside.
    """
    token = _SETTINGS.set((*_SETTINGS.get(), *settings.items()))
    try:
        yield
    finally:
        _SETTINGS.reset(token)


def _add_settings(env: dict[str, str], more: Mapping[str, str]) -> None:
    settings = (*_SETTINGS.get(), *more.items())
    if not settings:
        return
    # datalad passes its own `-c` on in the same way: ours come behind, the last one counts
    count = int(env.get("GIT_CONFIG_COUNT") or 0)
    for number, (name, value) in enumerate(settings, start=count):
        env[f"GIT_CONFIG_KEY_{number}"] = name
        env[f"GIT_CONFIG_VALUE_{number}"] = value
    env["GIT_CONFIG_COUNT"] = str(count + len(settings))


@lru_cache(maxsize=4)
def _path_with_annex(path: str) -> str:
    """PATH for child processes; git-annex of our own virtual environment counts."""
    if shutil.which("git-annex", path=path):
        return path
    beside = str(Path(sys.executable).parent)
    if shutil.which("git-annex", path=beside):
        return os.pathsep.join((beside, path))
    raise RepoError(
        "git-annex was not found",
        remedy="Install it: pip install 'datalad-mrishare[annex]' (or apt-get install git-annex)",
    )


@lru_cache(maxsize=16)
def _found(program: str, path: str) -> str | None:
    return shutil.which(program, path=path)


def _patient_ssh(env: dict[str, str]) -> None:
    """Let whoever calls ``ssh`` do so with :data:`SSH_OPTIONS`.

    git has a setting for it, git-annex another one, and DataLad's RIA stores have none.
    """
    ssh = _found("ssh", env["PATH"])
    if ssh and os.path.dirname(ssh) != str(_BEFORE_SSH):
        env.update(
            MRISHARE_SSH=ssh,
            MRISHARE_SSH_OPTIONS=" ".join(SSH_OPTIONS),
            PATH=os.pathsep.join((str(_BEFORE_SSH), env["PATH"])),
        )


def environment(
    extra: Mapping[str, str] | None = None, settings: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Environment for a child process: cleaned, non-interactive, with ``extra`` on top.

    ``settings`` are git settings for it and for every git that it starts.
    """
    env = {k: v for k, v in os.environ.items() if k not in _REDIRECTING}
    env.update(
        PATH=_path_with_annex(os.environ.get("PATH", os.defpath)),
        GIT_TERMINAL_PROMPT="0",
        GIT_NO_REPLACE_OBJECTS="1",
        GIT_OPTIONAL_LOCKS="0",
        GIT_PAGER="cat",
        LC_ALL="C.UTF-8",
    )
    _patient_ssh(env)
    if extra:
        env.update(extra)
    _add_settings(env, settings or {})
    return env


def _command(argv: Sequence[str]) -> str:
    """The first words of a command, for messages: never its data."""
    words = list(argv)
    while words[1:2] == ["-c"]:  # settings come before what is done
        del words[1:3]
    return " ".join(a for a in words[:4] if "\n" not in a)


def failure(argv: Sequence[str], cwd: Path | str, code: int, stderr: bytes) -> RepoError:
    """The error for a command that ended with ``code``."""
    lines = in_short(stderr.decode("utf-8", "replace").strip()).splitlines()
    shown = lines[-3:]
    fatal = [line for line in lines if line.startswith("fatal:")]
    if fatal and not set(fatal) & set(shown):  # git's advice came after it
        shown = fatal[:1]
    reason = "; ".join(line.strip() for line in shown) or f"exit code {code}"
    return RepoError(f"`{_command(argv)}` failed: {reason}", where=os.fspath(cwd))


def run(
    argv: Sequence[str],
    cwd: Path | str,
    *,
    stdin: bytes | None = None,
    env: Mapping[str, str] | None = None,
    ok: Sequence[int] = (0,),
    timeout: float | None = 600,
    pass_fds: Sequence[int] = (),
) -> bytes:
    """Run a command to its end and return its output.

    Raises
    ------
    RepoError
        When it cannot be started, ends with a code not in ``ok``, or takes longer
        than ``timeout`` seconds.
    """
    done = complete(argv, cwd, stdin=stdin, env=env, timeout=timeout, pass_fds=pass_fds)
    if done.returncode not in ok:
        raise failure(argv, cwd, done.returncode, done.stderr)
    return done.stdout


def complete(
    argv: Sequence[str],
    cwd: Path | str,
    *,
    stdin: bytes | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float | None = 600,
    pass_fds: Sequence[int] = (),
) -> subprocess.CompletedProcess[bytes]:
    """Run a command to its end, whatever its exit code; for who reads that himself.

    Raises
    ------
    RepoError
        When it cannot be started or takes longer than ``timeout`` seconds.
    """
    try:
        process = subprocess.Popen(
            list(argv),
            cwd=cwd,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(env),
            pass_fds=tuple(pass_fds),
        )
    except OSError as exc:
        raise RepoError(f"`{_command(argv)}`: {exc.strerror}", where=os.fspath(cwd)) from exc
    try:
        out, err = talk(process, stdin or b"", timeout)
    except subprocess.TimeoutExpired as exc:
        raise RepoError(
            f"`{_command(argv)}` gave no answer within {timeout:.0f} seconds", where=os.fspath(cwd)
        ) from exc
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def git(cwd: Path | str, *args: str, **kwargs: Any) -> bytes:
    """``git ARGS`` in ``cwd``; see :func:`run`."""
    return run(("git", "-c", "core.fsmonitor=false", *args), cwd, **kwargs)


def git_text(cwd: Path | str, *args: str, **kwargs: Any) -> str:
    """Like :func:`git`, decoded (file names survive) and without the last newline."""
    return git(cwd, *args, **kwargs).decode("utf-8", "surrogateescape").rstrip("\n")


def git_succeeds(cwd: Path | str, *args: str, **kwargs: Any) -> bool:
    """Whether ``git ARGS`` ends with 0."""
    try:
        git(cwd, *args, **kwargs)
    except RepoError:
        return False
    return True


def annex(cwd: Path | str, *args: str, **kwargs: Any) -> bytes:
    """``git annex ARGS`` in ``cwd``; see :func:`run`."""
    return run(("git", "-c", "core.fsmonitor=false", "annex", *args), cwd, **kwargs)


def meanwhile(work: Callable[[], T]) -> Callable[[], T]:
    """Begin ``work`` in a thread, and return what waits for its result and raises its errors.

    For what is mostly git's work, while there is other work for Python.
    """
    pool = ThreadPoolExecutor(max_workers=1)
    future = pool.submit(copy_context().run, work)
    pool.shutdown(wait=False)
    return future.result


def _dies_with_us() -> Callable[[], None] | None:
    """What a child does first, so that it is killed when we are; None where that cannot be.

    git-annex hangs for ever once nobody reads its output, with our lock in its hands
    (prctl(2), PR_SET_PDEATHSIG; Linux only). Git ends by itself then, and starting it is
    cheap without: Python has to copy the map of all of its memory to run this.
    """
    if not sys.platform.startswith("linux"):
        return None
    prctl, parent = ctypes.CDLL(None).prctl, os.getpid()

    def die_with_parent() -> None:
        prctl(1, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)

    return die_with_parent


def stream(
    argv: Sequence[str],
    cwd: Path | str,
    *,
    feed: Iterable[bytes] | None = None,
    sep: bytes | None = b"\n",
    env: Mapping[str, str] | None = None,
    settings: Mapping[str, str] | None = None,
    ok: Sequence[int] = (0,),
    pass_fds: Sequence[int] = (),
    silence: float | None = None,
    busy: Callable[[float], bool] | None = None,
) -> Generator[bytes, None, None]:
    """Run a command and yield its output piece by piece, without the separators.

    Without ``sep`` the pieces are as they come. ``feed`` is written to its stdin from a
    thread. When the caller stops early, or is killed, the process is killed, but not its
    children: start ``git-annex``, not ``git annex``. When it fails, or says nothing for
    ``silence`` seconds, the pieces come first, then :class:`RepoError`. ``busy`` is asked then
    whether it waits for us, who were at work within so many seconds.
    """
    process = subprocess.Popen(
        list(argv),
        cwd=cwd,
        stdin=subprocess.PIPE if feed is not None else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(env, settings),
        pass_fds=tuple(pass_fds),
        preexec_fn=_dies_with_us() if argv[0] == "git-annex" else None,
    )
    errors: list[bytes] = []
    assert process.stdout is not None and process.stderr is not None
    widen(process.stdout)
    stderr, helpers, finished = process.stderr, Helpers(), False
    try:
        helpers.start(lambda: errors.append(stderr.read()))
        if feed is not None:
            assert process.stdin is not None
            helpers.feed(process.stdin, feed)
        yield from pieces(process.stdout, sep, silence, busy)
        process.wait()
        finished = True
    except TimeoutError as exc:
        what = f"`{_command(argv)}` said nothing for {silence:.0f} seconds"
        raise RepoError(what, where=os.fspath(cwd)) from exc
    finally:
        if not finished:
            process.kill()
            process.wait()
        process.stdout.close()
        helpers.threads[0].join(timeout=10)
        if not helpers.threads[0].is_alive():  # else a child of it still holds the other end
            stderr.close()
    helpers.check()
    if process.returncode not in ok:
        raise failure(argv, cwd, process.returncode, b"".join(errors))


def json_stream(
    argv: Sequence[str], cwd: Path | str, **kwargs: Any
) -> Generator[dict[str, Any], None, None]:
    """Like :func:`stream` for commands that print one JSON object a line.

    Other lines are of programs that they start: an rsync that deletes says what.
    """
    with contextlib.closing(stream(argv, cwd, **kwargs)) as lines:
        for line in lines:
            if line.lstrip().startswith(b"{"):
                yield json.loads(line)


class Conversation:
    """A batch process that answers one line to each line.

    >>> with Conversation(("cat",), "/") as cat:
    ...     cat.ask(b"hello")
    b'hello'
    """

    def __init__(self, argv: Sequence[str], cwd: Path | str, env: Mapping[str, str] | None = None):
        self._argv, self._cwd = list(argv), cwd
        self._process = subprocess.Popen(
            self._argv,
            cwd=cwd,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment(env),
        )

    def ask(self, line: bytes) -> bytes:
        """Write ``line`` and return the answer, both without the newline."""
        assert self._process.stdin is not None and self._process.stdout is not None
        if b"\n" in line:
            raise RepoError("a name with a newline cannot be asked for in batch mode")
        try:
            self._process.stdin.write(line + b"\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        except BrokenPipeError:
            answer = b""
        if not answer:
            raise failure(self._argv, self._cwd, self._process.wait(), b"it ended early")
        return answer.rstrip(b"\n")

    def __enter__(self) -> Conversation:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
