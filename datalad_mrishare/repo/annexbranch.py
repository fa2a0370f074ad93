"""Locations and metadata in the git-annex branch, read and written in bulk.

Reading 50,000 keys takes a fraction of a second with ``ls-tree`` and ``cat-file``
against 42 s with ``git annex metadata --all``; writing goes through ``git
fast-import`` of a commit into a ref that ends in ``/git-annex``, which git-annex
then merges as it merges any other repository's branch. We never write
``refs/heads/git-annex`` ourselves. The commit stands on the one that was read and
holds its lines too: git-annex takes it over as it is (2 s for 100,000 keys, against 32 s
for a merge), and where the branch has moved meanwhile merges line by line, as ever.

Formats: git-annex's ``internals`` page (location log, metadata log, uuid.log,
remote.log).
"""

from __future__ import annotations

import base64
import json
import re
import time
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import RepoError
from .keys import from_file_name, hash_lower, to_file_name
from .process import annex, complete, failure, git, git_succeeds, git_text
from .signed import read_signed, write_signed
from .trees import decode, encode, read_blobs

BRANCH = "refs/heads/git-annex"
#: git-annex merges every ref of this ending and then leaves it alone
_IMPORT_REF = "refs/mrishare/import/git-annex"
#: a key that nobody has
NO_KEY = "SHA256E-s0--datalad-mrishare-no-such-key"

Values = frozenset[str]


def same_knowledge(repo: Path, remote: str) -> bool:
    """Whether the git-annex branch that ``remote`` was last seen with says what ours says.

    Content is compared, not commits: merging back and forth makes new ones for ever.
    """
    for name in ("git-annex", "synced/git-annex"):
        there = f"refs/remotes/{remote}/{name}"
        if git_succeeds(repo, "rev-parse", "-q", "--verify", there) and git_succeeds(
            repo, "diff-tree", "--quiet", there, BRANCH
        ):
            return True
    return False


@dataclass
class KeyLogs:
    """What the branch knows about keys.

    ``locations``: key -> uuids of the repositories that have it. ``metadata``: key ->
    field -> values. ``stamps``: key -> the newest whole second in its metadata log.
    ``commit`` is the commit read, None of an empty branch; ``metadata_oids``: key -> blob of
    its metadata log there; ``asked`` are the keys looked for, None for all.
    """

    locations: dict[str, frozenset[str]] = field(default_factory=dict)
    metadata: dict[str, dict[str, Values]] = field(default_factory=dict)
    stamps: dict[str, int] = field(default_factory=dict)
    commit: str | None = None
    metadata_oids: dict[str, str] = field(default_factory=dict)
    asked: Collection[str] | None = None


def refresh(repo: Path, env: Mapping[str, str] | None = None) -> None:
    """Let git-annex write its journal and merge what other branches know.

    ``git annex merge`` would also merge ``synced/*`` into the checked-out branch; asking
    about a key that does not exist does the one without the other. ``env`` is the identity
    to commit with, where git has none.
    """
    annex(repo, "metadata", f"--key={NO_KEY}", env=env)


def discover_remotes(repo: Path, env: Mapping[str, str] | None = None) -> None:
    """Let git-annex look at remotes that it has not seen yet, and note their uuids."""
    annex(repo, "whereis", f"--key={NO_KEY}", env=env, ok=(0, 1))


def read_logs(
    repo: Path,
    keys: Collection[str] | None = None,
    *,
    locations: bool = True,
    metadata: bool = True,
    ref: str = BRANCH,
) -> KeyLogs:
    """Logs of ``keys`` (default: of all) from ``ref``; call :func:`refresh` first."""
    logs = KeyLogs(asked=keys if metadata else ())
    logs.commit = git_text(repo, "rev-parse", "-q", "--verify", ref, ok=(0, 1)) or None
    if logs.commit is None:
        return logs
    # many keys share one log: git stores it once, and it is parsed once
    located: dict[str, list[str]] = defaultdict(list)
    described: dict[str, list[str]] = defaultdict(list)
    for oid, name in _log_names(repo, logs.commit, described_only=not locations):
        if name.endswith(".met"):
            found, key = described if metadata else None, name[:-8]
        else:
            found, key = located if locations else None, name[:-4]
        if found is None:
            continue
        if "&" in key or "%" in key:
            key = from_file_name(key)
        if keys is None or key in keys:
            found[oid].append(key)
    for oid, content in read_blobs(repo, located):
        logs.locations.update(dict.fromkeys(located[oid], parse_locations(content)))
    for oid, content in read_blobs(repo, described):
        fields, stamp = parse_metadata(content)
        for key in described[oid]:
            logs.metadata[key], logs.stamps[key] = fields, stamp
            logs.metadata_oids[key] = oid
    return logs


def read_field(
    repo: Path, name: str, ref: str = BRANCH, memory: Path | None = None
) -> dict[str, Values]:
    """Values of one metadata field, of every key that has it; call :func:`refresh` first.

    git looks for the name in all logs, and only what has it is read: of a field that few keys
    have, a tenth of the time and memory that :func:`read_logs` takes.

    Parameters
    ----------
    memory : Path, optional
        A private file that keeps what was found for the next time; then only logs that are
        other ones are looked into. It is signed (:mod:`.signed`).

    Raises
    ------
    RepoError
        When git cannot read some log.
    """
    commit = git_text(repo, "rev-parse", "-q", "--verify", ref, ok=(0, 1))
    if not commit:
        return {}
    known = _recall_field(repo, name, commit, memory)
    if known is not None and known[1] is None:
        return known[0]
    if known is None:
        found, places = {}, _with_word(repo, name, commit)
    else:
        found, places = known[0], [f"{commit}:{path}" for path in known[1] or ()]
        for place in places:
            found.pop(_key_described(place), None)
    # what is no longer there is left out
    for place, content in _read_named(repo, places):
        fields, _ = parse_metadata(content)
        if name in fields:
            found[_key_described(place)] = fields[name]
    if memory is not None:
        told = {"commit": commit, "found": {key: sorted(values) for key, values in found.items()}}
        write_signed(memory, _FIELD + name, json.dumps(told).encode("ascii"))
    return found


_FIELD = "field 1 "
#: with more logs that are other ones, git looks into all of them in less time
_FEW_OTHERS = 5000


def _with_word(repo: Path, name: str, commit: str) -> list[str]:
    """``COMMIT:PATH`` of every metadata log in which a word stands somewhere."""
    # names of fields stand in a log as they are; --text, whatever .gitattributes say of it
    how = ("-l", "-z", "-F", "--text", "--no-color", "--full-name", "--no-recurse-submodules")
    argv = ("git", "-c", "core.fsmonitor=false", "grep", *how, "-e", name, commit)
    done = complete(argv, repo)
    # of an object that is missing it tells, and goes on
    if done.returncode not in (0, 1) or b"error:" in done.stderr:
        raise failure(argv, repo, done.returncode, done.stderr)
    places = decode(done.stdout).split("\0")
    return [p for p in places if _DESCRIBES.fullmatch(p, 1 + len(commit))]


def _recall_field(
    repo: Path, name: str, commit: str, memory: Path | None
) -> tuple[dict[str, Values], list[str] | None] | None:
    """What was known of a field, and the logs that are other ones since; None for no such log."""
    raw = read_signed(memory, _FIELD + name) if memory else None
    if not raw:
        return None
    told = json.loads(raw)
    found = {key: frozenset(values) for key, values in told["found"].items()}
    if told["commit"] == commit:
        return found, None
    how = ("-r", "-z", "--name-only", "--no-renames", "--no-ext-diff")
    argv = ("git", "-c", "core.fsmonitor=false", "diff-tree", *how, told["commit"], commit)
    done = complete(argv, repo)
    if done.returncode:  # git has that commit no more
        return None
    others = [path for path in decode(done.stdout).split("\0") if _DESCRIBES.fullmatch(path)]
    return (found, others) if len(others) <= _FEW_OTHERS else None


def _key_described(place: str) -> str:
    return from_file_name(place.rpartition("/")[2][:-8])


def _read_named(repo: Path, places: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """``COMMIT:PATH`` and content of those that there are."""
    fed = "".join(f"{place}\n" for place in places)
    said = decode(git(repo, "cat-file", "--batch-check", stdin=encode(fed))) if places else ""
    if known := [line for line in said.splitlines() if line.endswith(" missing")]:
        # a path that is gone, or a log that git cannot read: the tree tells
        listed = {
            decode(path)
            for path in git(
                repo, "ls-tree", "-r", "-z", "--name-only", places[0].partition(":")[0]
            ).split(b"\0")
        }
        lost = [p for p in places if f"{p} missing" in known and p.partition(":")[2] in listed]
        if lost:
            raise RepoError("git cannot read a metadata log", where=str(repo), remedy="git fsck")
    there = {
        place: words[0]
        for place, line in zip(places, said.splitlines(), strict=True)
        if len(words := line.split(" ")) == 3 and words[1] == "blob"
    }
    texts = dict(read_blobs(repo, dict.fromkeys(there.values())))
    yield from ((place, texts[oid]) for place, oid in there.items())


#: abc/def/NAME.log.met, read where nothing stands between two lines
_DESCRIBES = re.compile(r"[^/]{3}/[^/]{3}/[^/\n]+\.log\.met")
#: abc/def/NAME.log or NAME.log.met: three letters, three letters, and no name has a slash
_LOG = re.compile(r"\d{6} \w+ ([0-9a-f]+)\t[^/\0]{3}/[^/\0]{3}/([^/\0]+\.log(?:\.met)?)\0")


def _log_names(repo: Path, ref: str, *, described_only: bool = False) -> list[tuple[str, str]]:
    """Blob and name of each location and metadata log, or of the latter where there are any."""
    listed = git(repo, "ls-tree", "-r", "-z", "--full-tree", ref)
    if described_only and b".log.met\0" not in listed:
        return []
    # one run of an expression in C: a loop over lines takes three times as long
    return _LOG.findall(decode(listed))


def parse_locations(content: bytes) -> frozenset[str]:
    """The uuids that a location log says have the key: per uuid its newest line counts.

    >>> sorted(parse_locations(b"1s 1 aa\\n2s 1 bb\\n3.5s 0 aa\\n"))
    ['bb']
    """
    newest: dict[str, tuple[float, bool]] = {}
    for when, rest in _stamped(content):
        status, _, uuid = rest.partition(" ")
        if uuid and when >= newest.get(uuid, (float("-inf"), False))[0]:
            newest[uuid] = (when, status == "1")
    return frozenset(uuid for uuid, (_, here) in newest.items() if here)


def parse_metadata(content: bytes) -> tuple[dict[str, Values], int]:
    """Current values of each field in a metadata log, and its newest whole second.

    >>> parse_metadata(b"1s a +x +y\\n2s a -x b +!aGkgdGhlcmU=\\n")
    ({'a': frozenset({'y'}), 'b': frozenset({'hi there'})}, 2)
    """
    lines: dict[tuple[float, Sequence[object]], str] = {}
    texts = list(_stamped(content))
    for stamp, rest in texts:
        lines[stamp, _rank(rest) if len(texts) > 1 else ()] = rest
    fields: dict[str, set[str]] = {}
    for _, rest in sorted(lines.items()):
        current: set[str] = set()
        for word in rest.split(" "):
            if word[:1] == "+":
                current.add(_decode_value(word[1:]))
            elif word[:1] == "-":
                current.discard(_decode_value(word[1:]))
            elif word:
                current = fields.setdefault(word, set())
    newest = int(max(lines)[0]) if lines else 0
    return {name: frozenset(values) for name, values in fields.items() if values}, newest


_STAMP = re.compile(r"\d{1,18}(\.\d*)?", re.ASCII)


def _stamped(content: bytes) -> Iterator[tuple[float, str]]:
    """Time and rest of each line; lines without a time are none of git-annex."""
    # not splitlines: a value may hold a separator of Unicode
    for line in content.decode("utf-8", "surrogateescape").split("\n"):
        stamp, found, rest = line.partition("s ")
        if found and _STAMP.fullmatch(stamp):
            yield float(stamp), rest


def _rank(rest: str) -> Sequence[object]:
    """What git-annex orders lines of the same time by: fields and values, set or unset alike.

    Of two lines that are the same in that, the later one in the file counts (``Ord`` of
    ``MetaValue`` in Annex/MetaData of its source, and ``Set.fromList``).
    """
    fields: list[tuple[str, list[bytes]]] = []
    for word in rest.split(" "):
        if word[:1] in ("+", "-"):
            if fields:
                fields[-1][1].append(encode(_decode_value(word[1:])))
        elif word:
            fields.append((word.lower(), []))
    return tuple((name, tuple(sorted(values))) for name, values in sorted(fields))


_PLAIN = re.compile(r"[!-~]+")


def _encode_value(value: str) -> str:
    if _PLAIN.fullmatch(value) and not value.startswith("!"):
        return value
    return "!" + base64.b64encode(encode(value)).decode("ascii")


def _decode_value(word: str) -> str:
    if not word.startswith("!"):
        return word
    try:
        return decode(base64.b64decode(word[1:], validate=True))
    except ValueError:
        return word


def metadata_changes(
    logs: KeyLogs, wanted: Mapping[str, Mapping[str, Values]], owned: Collection[str]
) -> dict[str, str]:
    """Log lines that turn the current values of the ``owned`` fields into the wanted ones.

    Fields that are not owned are left as they are; an owned field that is not wanted is
    emptied. Keys that need nothing are absent from the result.
    """
    now = int(time.time())
    nothing: dict[str, Values] = {}
    changes = {}
    # keys with the same values before and after need the same words; both mappings keep
    # what they hold alive, so an id stands for one value here
    known: dict[tuple[int, int], str] = {}
    for key, fields in wanted.items():
        current = logs.metadata.get(key, nothing)
        pair = (id(current), id(fields))
        if pair not in known:
            known[pair] = _words(current, fields, owned)
        if known[pair]:
            stamp = max(now, logs.stamps.get(key, 0) + 1)
            changes[key] = f"{stamp}s {known[pair]}\n"
    return changes


def _words(
    current: Mapping[str, Values], fields: Mapping[str, Values], owned: Collection[str]
) -> str:
    words = []
    for name in owned:
        before, after = current.get(name, frozenset()), fields.get(name, frozenset())
        if before == after:
            continue
        words.append(name)
        words += [f"+{_encode_value(v)}" for v in sorted(after - before)]
        words += [f"-{_encode_value(v)}" for v in sorted(before - after)]
    return " ".join(words)


def write_metadata(
    repo: Path, changes: Mapping[str, str], logs: KeyLogs, env: Mapping[str, str]
) -> int:
    """Add one line to the metadata log of each key, in one commit that git-annex merges.

    Parameters
    ----------
    changes : mapping
        Key -> line, as :func:`metadata_changes` made them.
    logs : KeyLogs
        What they were made from. What others have written since is kept.

    Returns the number of keys written.

    Raises
    ------
    RepoError
        When git-annex does not merge, as where ``annex.merge-annex-branches`` is off.
    """
    if not changes:
        return 0
    if logs.asked is not None and not changes.keys() <= set(logs.asked):
        raise ValueError("the logs of these keys were not read")
    # what git leaves out of an identity, too
    name, mail = (
        re.sub(r"[<>\n]", "", env.get(f"GIT_COMMITTER_{part}", default))
        for part, default in (("NAME", "datalad-mrishare"), ("EMAIL", "datalad-mrishare@invalid"))
    )
    fed = _fast_import(repo, changes, logs, f"{name} <{mail}>")
    git(repo, "fast-import", "--quiet", "--force", stdin=b"".join(fed))
    refresh(repo, env)
    merged = git_succeeds(repo, "merge-base", "--is-ancestor", _IMPORT_REF, BRANCH)
    git(repo, "update-ref", "-d", _IMPORT_REF)
    if not merged:
        raise RepoError(
            "git-annex did not take over metadata that was written",
            where=str(repo),
            remedy="Let it merge: git config --unset annex.merge-annex-branches",
        )
    return len(changes)


def _fast_import(
    repo: Path, changes: Mapping[str, str], logs: KeyLogs, committer: str
) -> Iterator[bytes]:
    yield f"commit {_IMPORT_REF}\n".encode()
    yield encode(f"committer {committer} {int(time.time())} +0000\n")
    yield b"data 8\nmetadata\n"
    if logs.commit:
        yield f"from {logs.commit}\n".encode()
    wanted = dict.fromkeys(logs.metadata_oids[k] for k in changes if k in logs.metadata_oids)
    old = {
        oid: content if content.endswith(b"\n") else content + b"\n"
        for oid, content in read_blobs(repo, wanted)
        if content
    }
    # in the order of a tree: fast-import then looks at each directory once
    paths = sorted((f"{hash_lower(key)}/{to_file_name(key)}.log.met", key) for key in changes)
    for path, key in paths:
        data = old.get(logs.metadata_oids.get(key, ""), b"") + changes[key].encode("ascii")
        yield b"M 100644 inline " + _quote(path) + b"\n"
        yield f"data {len(data)}\n".encode() + data + b"\n"
    yield b"\n"


def _quote(path: str) -> bytes:
    """A path for fast-import: quoted when it starts with a quote or has odd characters."""
    raw = encode(path)
    if raw.startswith(b'"') or b"\n" in raw:
        raw = raw.replace(b"\\", b"\\\\").replace(b'"', b'\\"').replace(b"\n", b"\\n")
        return b'"' + raw + b'"'
    return raw


def descriptions(repo: Path, ref: str = BRANCH) -> dict[str, str]:
    """uuid -> description of every repository that the branch knows (``uuid.log``)."""
    found = {}
    for line in _lines(repo, ref, "uuid.log"):
        uuid, _, rest = line.partition(" ")
        found[uuid] = rest.rpartition(" timestamp=")[0] or rest
    return found


def remote_configs(repo: Path, ref: str = BRANCH) -> dict[str, dict[str, str]]:
    """uuid -> settings of every special remote that the branch knows (``remote.log``)."""
    found: dict[str, tuple[float, dict[str, str]]] = {}
    for line in _lines(repo, ref, "remote.log"):
        uuid, _, rest = line.partition(" ")
        words = (word.partition("=") for word in rest.split(" ") if "=" in word)
        settings = {name: _unescape(value) for name, _, value in words}
        when = float(settings.pop("timestamp", "0s").rstrip("s") or 0)
        if uuid not in found or when >= found[uuid][0]:
            found[uuid] = (when, settings)
    return {uuid: settings for uuid, (_, settings) in found.items()}


def max_sizes(repo: Path, ref: str = BRANCH) -> dict[str, int]:
    """uuid -> bytes of annexed content that it may hold (``git annex maxsize``)."""
    content = "\n".join(_lines(repo, ref, "maxsize.log"))
    found: dict[str, tuple[float, int]] = {}
    for when, rest in _stamped(encode(content)):
        uuid, _, size = rest.partition(" ")
        if size.isdecimal() and when >= found.get(uuid, (float("-inf"), 0))[0]:
            found[uuid] = (when, int(size))
    return {uuid: size for uuid, (_, size) in found.items()}


def dead(repo: Path, ref: str = BRANCH) -> frozenset[str]:
    """uuids of repositories that are lost (``git annex dead``, ``trust.log``)."""
    found: dict[str, tuple[float, str]] = {}
    for line in _lines(repo, ref, "trust.log"):
        uuid, _, rest = line.partition(" ")
        level, _, stamp = rest.partition(" timestamp=")
        found[uuid] = max(found.get(uuid, (float("-inf"), "")), (float(stamp[:-1] or 0), level))
    return frozenset(uuid for uuid, (_, level) in found.items() if level == "X")


def _unescape(value: str) -> str:
    """White space in ``remote.log``.

    >>> _unescape("ria+file:///my&32;store&38;more")
    'ria+file:///my store&more'
    """
    return re.sub(r"&(\d+);", lambda found: chr(int(found[1])), value)


def _lines(repo: Path, ref: str, name: str) -> list[str]:
    if not git_succeeds(repo, "cat-file", "-e", f"{ref}:{name}"):
        return []
    return decode(git(repo, "cat-file", "blob", f"{ref}:{name}")).splitlines()
