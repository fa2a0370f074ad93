"""What may be told of a command and of the software behind it. Pure.

A command line tells what nobody meant to publish: an account in a path, a host, a password, a
date, the label of somebody who is withheld. There are two readers:

* A *sibling* is told what is known to be harmless and nothing else (:class:`Wording`): the
  program, the names of options, and the words that are paths of its release. Values are left out,
  because a value may be a label, a name, a date, or the number of people in an analysis; and a
  word is judged by itself, so that nothing shows where one was left out.
* The *steward* is told everything but addresses and paths of the machine (:func:`scrub`).
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Collection, Iterable
from typing import NamedTuple

#: more than this of one command is read by nobody
_LIMIT = 1 << 16

_SYSTEM = ("/usr/local/bin/", "/usr/bin/", "/bin/", "/usr/sbin/", "/sbin/")
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=", re.ASCII)
_OPTION = re.compile(
    r"(-[A-Za-z]|--[A-Za-z][A-Za-z_-]{1,40})(=(?P<value>.*))?", re.ASCII | re.DOTALL
)
#: what ``datalad run`` puts in their place; with a number it would tell how many there are
_PLACEHOLDER = re.compile(r"\{(?:inputs|outputs|pwd|dspath|tmpdir)\}")

_NAME = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9][A-Za-z0-9._+-]*(?: [A-Za-z0-9._+-]+){0,2}", re.ASCII)
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+:-]{0,40}|", re.ASCII)
#: the name of a host or of a script, and both are somebody's
_DOTTED = re.compile(r"\.[A-Za-z]{2,}", re.ASCII)
_VERSIONED = re.compile(r"(?P<name>\S.*?)\s+v?(?P<version>\d\S*)")
_IMAGE = re.compile(r"\.(?:sif|simg|sing|img)$")
_ENVIRONMENT = re.compile(r"(?:.*/)?\.datalad/environments/(?P<name>[^/]+)/[^/]+")


class Tool(NamedTuple):
    """A piece of software; an empty ``version`` when nobody said it."""

    name: str
    version: str
    container: bool


def tool_of(text: str) -> Tool:
    """Name and version in what a record calls its software: a name, or the image of a container.

    >>> tool_of("fmriprep 24.1.1")
    Tool(name='fmriprep', version='24.1.1', container=False)
    >>> tool_of("docker://nipreps/fmriprep:24.1.1")
    Tool(name='fmriprep', version='24.1.1', container=True)
    """
    if match := _ENVIRONMENT.fullmatch(text):  # where datalad-container keeps images
        return Tool(match["name"], "", True)
    if match := _VERSIONED.fullmatch(text):
        return Tool(match["name"], match["version"], False)
    if "/" not in text and not _IMAGE.search(text):
        return Tool(text, "", False)
    last = _IMAGE.sub("", text.rpartition("/")[2]).partition("@sha256:")[0]
    name, _, version = last.partition("--" if "--" in last else ":")
    return Tool(name, version, True)


class Wording:
    """What a sibling is told of commands.

    Parameters
    ----------
    released : collection of str
        The paths of its release.
    named : callable
        Text -> something true when it names who may not be named.
    """

    def __init__(self, released: Collection[str], named: Callable[[str], object]):
        self._named = named
        self._paths = set(released)
        for path in released:
            above = path.rpartition("/")[0]
            while above and above not in self._paths:
                self._paths.add(above)
                above = above.rpartition("/")[0]

    def command(self, text: str) -> str:
        """The harmless words of a command; empty when not even the program is one."""
        program, rest = _program(_words(text))
        told = [self._program(program)]
        told += [self._word(word) for word in rest] if told[0] else []
        return " ".join(word for word in told if word)

    def program(self, text: str) -> str:
        """The program of a command, or an empty string."""
        return self._program(_program(_words(text))[0])

    def tool(self, text: str) -> Tool | None:
        """The software that a record names, or None when its name may tell something."""
        tool = tool_of(text)
        if not self._harmless(tool.name) or not _VERSION.fullmatch(tool.version):
            return None
        alone = f" sub-{tool.version}" if tool.version.isalnum() else ""
        return None if self._named(tool.version + alone) else tool

    def _program(self, word: str) -> str:
        if path := self._path(word):
            return path
        for place in _SYSTEM:
            word = word.removeprefix(place)
        return word if self._harmless(word) and " " not in word else ""

    def _harmless(self, name: str) -> bool:
        if len(name) > 60 or not _NAME.fullmatch(name) or _DOTTED.search(name):
            return False
        # a label may stand without its "sub-"
        return not self._named(f"{name} sub-{name}")

    def _word(self, word: str) -> str:
        if path := self._path(word):
            return path
        if _PLACEHOLDER.fullmatch(word):
            return word
        option = _OPTION.fullmatch(word)
        if option is None or self._named(f"{option[1]} sub-{option[1].lstrip('-')}"):
            return ""
        path = self._path(option["value"] or "")
        return f"{option[1]}={path}" if path else option[1]

    def _path(self, word: str) -> str:
        path = word.removeprefix("./").rstrip("/")
        return shlex.quote(path) if path in self._paths else ""


def _words(text: str) -> list[str]:
    text = text[:_LIMIT].replace("\0", " ")
    try:
        return shlex.split(text)
    except ValueError:  # a quote that is never closed
        return text.split()


def _program(words: Iterable[str]) -> tuple[str, list[str]]:
    """The program and what follows it; variables that are set for it come before."""
    rest = list(words)
    while rest and _ASSIGNMENT.match(rest[0]):
        rest.pop(0)
    return (rest[0], rest[1:]) if rest else ("", [])


_FOUND = re.compile(
    r"""
      (?P<url>\b[A-Za-z][A-Za-z0-9+.]{1,15}://[^\s'"<>]*)
    | (?P<quote>['"])(?:/|~|[A-Za-z]:\\)[^'"\n]*(?P=quote)
    | (?P<address>[\w.%+-]{1,64}@(?!sha256:)[\w-][\w.-]*\w(?::[/~\w][^\s'"<>,;]*)?)
    | (?P<path>
        (?:(?<![\w.}\])*?$@/\\-])|(?<=[\s"'=]-[A-Za-z]))
        (?:/(?=[^\s/])|~|[A-Za-z]:\\|\\\\)(?:\\.|[^\s'"`;|&<>(),:=])*
      )
    """,
    re.VERBOSE,
)
_URL = re.compile(r"(?P<scheme>[^:]+)://(?:[^/@]*@(?!sha256:))?(?P<rest>[^?#]*)")
_LOCAL = frozenset(("file", "ssh", "sftp", "rsync", "ria+ssh", "ria+file", "smb", "nfs"))


def scrub(text: str, roots: Iterable[str] = ()) -> str:
    """A text without addresses and without paths of the machine.

    Parameters
    ----------
    text : str
        A command or description.
    roots : iterable of str
        Where the dataset lies; paths below it become relative to it.

    Returns
    -------
    str
        With ``[path]`` and ``[address]`` in their place. Passwords and parameters of URLs are
        left out, and programs of the system stand without their directory.

    >>> scrub("/home/me/bet /data/sub-01/x.nii me@uni.de", ["/data"])
    '[path] sub-01/x.nii [address]'
    """
    for root in roots:
        below = re.escape(root.rstrip("/"))
        text = re.sub(rf"(?<![\w./-]){below}/(?=[^\s'\"])", "", text)
        text = re.sub(rf"(?<![\w./-]){below}/?(?=[\s'\"]|$)", ".", text)
    return _FOUND.sub(_instead, text)


def _instead(match: re.Match[str]) -> str:
    if match["url"]:
        url = _URL.match(match["url"])
        if url is None or url["scheme"].lower() in _LOCAL:
            return "[path]"
        return f"{url['scheme']}://{url['rest']}"
    if match["quote"]:
        return f"{match['quote']}[path]{match['quote']}"
    if match["address"]:
        return "[address]"
    for place in _SYSTEM:
        if match["path"].startswith(place):
            return match["path"][len(place) :]
    return "[path]"


def program_of(text: str) -> str:
    """The name of the program in a command that is scrubbed already, or an empty string.

    >>> program_of("N=4 code/bet.py x"), program_of("[path] x")
    ('bet.py', '')
    """
    name = _program(_words(text))[0].rpartition("/")[2]
    return name if re.fullmatch(r"[\w.+-]{1,60}", name) else ""
