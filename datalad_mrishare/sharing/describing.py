"""What a release says of itself: ``dataset_description.json`` and ``CHANGES``.

Both are made from the files of this release and of the one before, and from what the former says
of itself; so the same files give the same bytes, and where no other file changed, these do not.
An entry of ``CHANGES`` counts files and participants that came, and files that were replaced or
removed, in one number. Anybody who has both releases can count as much; that somebody left is
not said, nor why: withdrawn, expired and replaced look alike. Pure.

The form of ``CHANGES`` is that of BIDS 1.11 ("CHANGES": CPAN Changelog convention), the fields of
the description those of BIDS ("dataset_description.json"), with two of our own that BIDS allows:
``DatasetVersion``, and ``DataUse`` with the terms of the Data Use Ontology (GA4GH).
"""

from __future__ import annotations

import hashlib
import json
import posixpath
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any
from urllib.parse import urlsplit

from .. import __version__
from ..consent.duo import terms
from ..privacy.fields import each_once
from ..provenance.participants import participants_in_paths
from ..repo.release import REVOKED_FILE
from ..repo.trees import FILE, GITLINK, Entry
from .policies import Policy
from .releases import ReleaseTree
from .subdatasets import GITMODULES

DESCRIPTION = "dataset_description.json"
CHANGES = "CHANGES"
_TOOL = "datalad-mrishare"
_OURS = ".datalad/"

#: hosts that are known to publish data; who else may be named as a source is for the policy to say
PUBLIC_HOSTS = frozenset(
    "doi.org dx.doi.org openneuro.org github.com gin.g-node.org osf.io zenodo.org figshare.com"
    " dandiarchive.org nitrc.org datasets.datalad.org dataverse.harvard.edu ebrains.eu".split()
)
_DOI = re.compile(r"(doi:|https?://(dx\.)?doi\.org/)?(10\.\d{4,9}/[^\s?#]+)", re.IGNORECASE)
_VERSION = re.compile(r"\d{4}\.\d{1,2}\.\d{1,2}(\.\d+)?")
#: entries that an earlier release of ours has at its top
_ENTRY = re.compile(
    r"(?P<version>\d{4}\.\d{1,2}\.\d{1,2}(?:\.\d+)?) \d{4}-\d\d-\d\d\n(?:  - [^\n]+\n)+\n?"
)
_SOURCE_ENTRY = re.compile(r"^v?(\d[\w.+-]*)(?:\s|$)", re.MULTILINE)


@dataclass(frozen=True)
class Former:
    """The release before: ``(mode, object id)`` by path, and two files of it.

    ``anew`` says that it is to be forgotten: nothing of it is told but that it had a version.
    """

    files: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    description: bytes = b""
    changes: bytes = b""
    anew: bool = False

    @classmethod
    def of(
        cls, entries: Sequence[Entry], texts: Mapping[str, bytes], *, anew: bool = False
    ) -> Former:
        """From the entries of a release, and the content of its files by path."""
        files = {e.path: (e.mode, e.oid) for e in entries}
        return cls(files, texts.get(DESCRIPTION, b""), texts.get(CHANGES, b""), anew)


@dataclass(frozen=True)
class Said:
    """What a release calls itself, and by which version of this software it was made."""

    version: str
    tool: str
    entries: tuple[str, ...]


def describe(
    tree: ReleaseTree,
    texts: Mapping[str, bytes],
    policy: Policy,
    former: Former,
    day: date,
) -> ReleaseTree:
    """The release with what it says of itself.

    Parameters
    ----------
    tree : ReleaseTree
        Everything else in it.
    texts : mapping
        ``dataset_description.json``, those of datasets in it, and ``CHANGES`` by path, as far as
        they may leave.
    policy : Policy
        What the sibling may do with it.
    former : Former
        The release before; an empty one when there is none.
    day : date
        The day of this release.
    """
    source = _plain(texts.get(CHANGES, b""))
    before = _said(former, source)
    if before is not None and not former.anew:
        same = _with(tree, texts, policy, before)
        if _ids(same, former.files) == former.files:
            return same
    known = f"{source}\n{former.changes.decode('utf-8', 'replace')}"
    versions = {m["version"] for m in _ENTRY.finditer(known)}
    version = _version(day, versions | ({before.version} if before else set()))
    entry = _entry(version, day, tree, former)
    kept = before.entries if before is not None and not former.anew else ()
    return _with(tree, texts, policy, Said(version, __version__, (entry, *kept)))


def _with(
    tree: ReleaseTree,
    texts: Mapping[str, bytes],
    policy: Policy,
    said: Said,
) -> ReleaseTree:
    """The release that calls itself ``said``."""
    written = dict(tree.written)
    source = texts.get(CHANGES, b"")
    description = written.get(DESCRIPTION, texts.get(DESCRIPTION, b""))
    told = _description(description, source, policy, said)
    if told is not None:
        written[DESCRIPTION] = told
    in_annex = any(e.path == CHANGES and e.key for e in tree.taken)
    if not in_annex:
        below = _plain(source)
        written[CHANGES] = "\n".join([*said.entries, *([below] if below else [])]).encode("utf-8")
    for path, text in _below({**texts, **tree.written}).items():
        mended = _without_sources(text, policy, path.rpartition("/")[0])
        if mended != texts.get(path):
            written[path] = mended
    taken = tuple(e for e in tree.taken if e.path not in written)
    written = {path: text for path, text in written.items() if text}
    return replace(tree, taken=taken, written=written)


def _below(texts: Mapping[str, bytes]) -> dict[str, bytes]:
    """The descriptions of datasets in this one, derivatives most of all."""
    return {path: text for path, text in texts.items() if describes_dataset(path) and "/" in path}


def describes_dataset(path: str) -> bool:
    """Whether a file says what a dataset is: this one, or one that is in it."""
    return path.rpartition("/")[2] == DESCRIPTION


def _without_sources(content: bytes, policy: Policy, below: str) -> bytes:
    """The description of a dataset in this one, without sources and links that stay here.

    Empty where nobody can tell what it says.
    """
    value = _parsed(content)
    if not isinstance(value, dict):
        return b""
    told = dict(value)
    if "SourceDatasets" in told:
        told["SourceDatasets"] = _sources({"SourceDatasets": told["SourceDatasets"]}, b"", policy)
    if isinstance(links := told.get("DatasetLinks"), dict):
        told["DatasetLinks"] = _links_told(links, policy, below)
    if told == value:
        return content
    return (json.dumps(told, indent=4, ensure_ascii=False) + "\n").encode("utf-8", "replace")


def _links_told(links: Mapping[str, Any], policy: Policy, below: str = "") -> dict[str, Any]:
    """Those that may be told of a dataset in the directory ``below``."""
    return {name: link for name, link in links.items() if _may_link(link, policy, below)}


def _plain(content: bytes) -> str:
    return content.decode("utf-8", "replace").lstrip("\ufeff").lstrip("\n")


def _ids(tree: ReleaseTree, like: Mapping[str, tuple[str, str]]) -> dict[str, tuple[str, str]]:
    """``(mode, object id)`` by path of a whole release; ids as long as those in ``like``."""
    length = len(next(iter(like.values()))[1]) if like else 40
    new = hashlib.sha256 if length == 64 else hashlib.sha1
    found = {e.path: (e.mode, e.oid) for e in tree.taken}
    for path, content in tree.written.items():
        found[path] = (FILE, new(b"blob %d\0" % len(content) + content).hexdigest())
    return found


# -- what the release before says of itself


def _said(former: Former, source: str) -> Said | None:
    """What a release of ours says; None of one that says nothing, or of none."""
    if not former.files:
        return None
    text = former.changes.decode("utf-8", "replace")
    if source and text.endswith(source):
        text, source = text.removesuffix(source), ""
    entries: list[str] = []
    at = 0
    while match := _ENTRY.match(text, at):
        if match[0].rstrip("\n") in source:
            break  # the dataset was itself made from a release
        entries.append(match[0].rstrip("\n") + "\n")
        at = match.end()
    value = _parsed(former.description)
    told = value if isinstance(value, dict) else {}
    version = told.get("DatasetVersion")
    if not (isinstance(version, str) and _VERSION.fullmatch(version)):
        if not entries:
            return None
        version = entries[0].partition(" ")[0]
    makers = told.get("GeneratedBy")
    for maker in makers if isinstance(makers, list) else []:
        if isinstance(maker, dict) and maker.get("Name") == _TOOL:
            return Said(version, str(maker.get("Version", "")), tuple(entries))
    return Said(version, __version__, tuple(entries))


def _version(day: date, taken: Collection[str]) -> str:
    """The day, with a number behind it where releases of that day are known.

    >>> _version(date(2026, 5, 4), ()), _version(date(2026, 5, 4), ["2026.5.4", "2026.5.4.2"])
    ('2026.5.4', '2026.5.4.3')
    """
    plain = f"{day.year}.{day.month}.{day.day}"
    if plain not in taken:
        return plain
    number = 2
    while f"{plain}.{number}" in taken:
        number += 1
    return f"{plain}.{number}"


# -- CHANGES


def _entry(version: str, day: date, tree: ReleaseTree, former: Former) -> str:
    """The entry of a release: what is new in it beside the one before."""
    old = {} if former.anew else _counted(former.files)
    ids = _ids(tree, former.files)
    new = _counted(ids)
    added = len(new.keys() - old.keys())
    other = sum(old[path] != new.get(path) for path in old)
    people = participants_in_paths(new) - participants_in_paths(old)
    lines = []
    if former.anew:
        lines.append("The history starts here: make clones anew")
    if added or not old:
        of = f", with {_count(len(people), 'new participant')}" if people else ""
        lines.append(f"{_count(added, 'file')} added{of}")
    if other:
        lines.append(f"{_count(other, 'file')} replaced or removed")
    links = _links(ids), {} if former.anew else _links(former.files)
    moved = sum(links[1].get(path) != commit for path, commit in links[0].items())
    if moved:
        lines.append(f"{_count(moved, 'subdataset')} added or at a new release")
    revoked = tree.written.get(REVOKED_FILE)
    if revoked is not None and (FILE, _oid(revoked, former)) != former.files.get(REVOKED_FILE):
        lines.append(f"What to remove from copies: {REVOKED_FILE}")
    if not lines:
        lines.append("Described anew; its files are the same")
    body = "".join(f"  - {line}\n" for line in lines)
    return f"{version} {day.isoformat()}\n{body}"


def _oid(content: bytes, former: Former) -> str:
    lone = ReleaseTree((), {"": content}, (), 0)
    return _ids(lone, former.files)[""][1]


def _counted(files: Mapping[str, tuple[str, str]]) -> dict[str, tuple[str, str]]:
    """Files of the dataset, not those that tell about the release."""
    ours = (DESCRIPTION, CHANGES, GITMODULES)
    theirs = (p for p in files if p not in ours and not p.startswith(_OURS))
    return {p: files[p] for p in theirs if files[p][0] != GITLINK}


def _links(files: Mapping[str, tuple[str, str]]) -> dict[str, str]:
    """Path -> commit of each subdataset."""
    return {path: oid for path, (mode, oid) in files.items() if mode == GITLINK}


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


# -- dataset_description.json


def _description(content: bytes, changes: bytes, policy: Policy, said: Said) -> bytes | None:
    """The description of a release; None when the dataset's own cannot be added to."""
    value = _parsed(content)
    if not isinstance(value, dict):
        return None
    told = dict(value)
    told["DatasetVersion"] = said.version
    if "GeneratedBy" not in told:
        # the default of BIDS; the validator takes what was generated for a derivative otherwise
        told.setdefault("DatasetType", "raw")
    makers = told.get("GeneratedBy", [])
    if isinstance(makers, list):
        others = [m for m in makers if not (isinstance(m, dict) and m.get("Name") == _TOOL)]
        told["GeneratedBy"] = [*others, {"Name": _TOOL, "Version": said.tool}]
    sources = _sources(value, changes, policy)
    if sources or "SourceDatasets" in told:  # without the field the BIDS validator asks for it
        told["SourceDatasets"] = sources
    links = told.get("DatasetLinks")
    if isinstance(links, dict):
        told["DatasetLinks"] = _links_told(links, policy)
    told["DataUse"] = data_use(policy)
    text = json.dumps(told, indent=4, ensure_ascii=False) + "\n"
    return text.encode("utf-8", "replace")


def data_use(policy: Policy) -> list[dict[str, str]]:
    """What a sibling may do with the data: terms of the Data Use Ontology, in its shorthands.

    Duties that the ontology has no term for (an agreement, no re-identification) have no ``ID``.
    """
    found = []
    for component in ("use", "duty"):
        for word in policy.grant.words(component):
            term = terms().get(word.partition(":")[0])
            named = {"ID": term.id, "Label": term.label} if term else {}
            found.append({"Code": word, **named})
    return found


def _sources(value: Mapping[str, Any], changes: bytes, policy: Policy) -> list[dict[str, str]]:
    """What a release may tell of where it comes from."""
    found: list[dict[str, str]] = []
    doi = value.get("DatasetDOI")
    match = _DOI.fullmatch(doi.strip()) if isinstance(doi, str) else None
    if match:
        entry = _SOURCE_ENTRY.search(changes.decode("utf-8", "replace"))
        version = {"Version": entry[1]} if entry else {}
        found.append({"DOI": f"doi:{match[3]}", **version})
    listed = value.get("SourceDatasets")
    for source in listed if isinstance(listed, list) else []:
        if not isinstance(source, dict):
            continue
        told = {}
        if isinstance(source.get("DOI"), str) and (m := _DOI.fullmatch(source["DOI"].strip())):
            told["DOI"] = f"doi:{m[3]}"
        if may_be_named(source.get("URL"), policy.sources):
            told["URL"] = source["URL"]
        if told and isinstance(source.get("Version"), str):
            told["Version"] = source["Version"]
        if told and told not in found:
            found.append(told)
    return found


def may_be_named(url: object, allowed: Collection[str]) -> bool:
    """Whether a URL of a source may stand in a release.

    Only http(s) without an account and without a query, at a host that publishes data or that
    starts with one of ``allowed``. Anything else may be a machine of the hospital.

    >>> may_be_named("https://openneuro.org/datasets/ds000001", ())
    True
    >>> may_be_named("https://a:b@openneuro.org/x", ()), may_be_named("https://xnat.example/x", ())
    (False, False)
    >>> may_be_named("https://xnat.example/x", ["https://xnat.example/"])
    True
    """
    if not isinstance(url, str) or re.search(r"[\s\x00-\x1f]", url):
        return False
    try:
        parts = urlsplit(url)
        host, account, port = parts.hostname or "", parts.username, parts.port
    except ValueError:
        return False
    if parts.scheme not in ("http", "https") or account is not None or "@" in parts.netloc:
        return False
    if any(url.startswith(start) for start in allowed):
        return True
    plain = not parts.query and port is None
    return plain and host.removeprefix("www.") in PUBLIC_HOSTS


def _may_link(link: object, policy: Policy, below: str) -> bool:
    """A dataset may be named that lies inside this one, or that a source may be."""
    if not isinstance(link, str):
        return False
    inside = ":" not in link and not link.startswith("/")
    inside = inside and posixpath.normpath(posixpath.join(below, link)).split("/")[0] != ".."
    doi = _DOI.fullmatch(link) is not None
    return inside or doi or may_be_named(link, policy.sources)


def _parsed(content: bytes) -> Any:
    try:
        return json.loads(content, object_pairs_hook=each_once)
    except (ValueError, RecursionError):
        return None
