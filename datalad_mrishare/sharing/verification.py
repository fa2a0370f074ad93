"""Proving what a sibling holds, from a fresh clone: nothing that is withheld, all that is promised.

The clone is made by plain git as a stranger would make it, with every ref there is. Each object
in it is read, whether the current release or its history or nothing leads to it; where the
storage can be listed (a directory here or behind ssh, a bucket, a collection), so is every file
there. Nothing is taken from the release repository, which made what is looked at.
"""

from __future__ import annotations

import hashlib
import re
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cached_property
from pathlib import Path

from .. import __version__
from ..consent.grants import Deid
from ..consent.records import Then
from ..consent.resolution import Resolver
from ..errors import InputError, MriShareError, RepoError, SiblingError
from ..privacy.looking import look_into
from ..privacy.needles import Needles
from ..privacy.told import DICOM, Told, in_words
from ..repo import listing, strangers
from ..repo.annexbranch import read_logs, remote_configs
from ..repo.cloud import credentials
from ..repo.contentonly import BUNDLE, is_content_only, of_git, storage_places
from ..repo.events import event_file, left_behind, read_events
from ..repo.keys import find_object, is_key
from ..repo.listing import Stored
from ..repo.locks import lock
from ..repo.process import NEUTRAL
from ..repo.remotes import Place, place_of, remotes, resolved_url
from ..repo.transfer import keys_present
from ..repo.trees import read_tree
from ..repo.worktree import Checkout
from . import machine
from .clearance import clearance_by_told
from .digests import policy_digest, registry_digest
from .disclosures import Finding, Grouped, Secrets, group
from .explaining import decide_all
from .holdings import places
from .mentions import Mentions
from .policies import Policy, load_policies, presets
from .snapshot import Snapshot, take_snapshot
from .withheld import withheld_blobs

#: what a sibling without a policy is held against
DEFAULT_POLICY = "institution"


@dataclass(frozen=True)
class Asked:
    """What is to be verified beside the rules.

    ``canaries`` are words that must not be found; ``content`` retrieves everything and compares
    checksums, ``sample`` so many files of it; ``policy`` is the preset that a sibling without
    a declared policy is held against; ``at`` the day.
    """

    canaries: tuple[str, ...] = ()
    content: bool = False
    sample: int = 0
    policy: str | None = None
    at: date = field(default_factory=date.today)


@dataclass(frozen=True)
class Verified:
    """What was looked at: objects of git, keys promised and of these there, files retrieved.

    ``unreached`` are promised files in storage that a clone does not reach by itself.
    ``storage`` are the places that were read file by file, ``unlisted`` those that could not be,
    each with the reason. ``release`` is the commit that a clone checks out, ``event`` the file
    that records the verification of a declared sibling.
    """

    objects: int
    promised: int
    there: int
    retrieved: int
    unreached: int
    storage: tuple[str, ...]
    unlisted: tuple[str, ...]
    declared: bool
    release: str | None
    event: str | None = None


def read_canaries(path: Path) -> tuple[str, ...]:
    """The words of a private list, one a line; empty lines and those with ``#`` do not count.

    Raises
    ------
    InputError
        When it cannot be read, or a word is too short to be found for what it is.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as exc:
        raise InputError(f"cannot be read: {exc}", where=str(path)) from exc
    words = [line.strip() for line in lines]
    for number, word in enumerate(words, start=1):
        if 0 < len(word) < 3:
            raise InputError(
                "a word of less than three characters is found everywhere",
                where=f"{path}, line {number}",
                remedy="Leave it out, or write more of it",
            )
    return tuple(dict.fromkeys(w for w in words if w and not w.startswith("#")))


def _without_account(url: str) -> str:
    return re.sub(r"(?<=//)[^/@]*@", "", url)


def _quoted(url: str) -> str:
    """As a shell wants it, without what only the steward knows."""
    return shlex.quote(_without_account(url))


class Verification:
    """Verifies one sibling.

    Parameters
    ----------
    checkout : Checkout
        The steward's dataset.
    name : str
        A declared sibling, or any remote of the dataset.
    asked : Asked
        What is to be looked for.
    """

    def __init__(self, checkout: Checkout, name: str, asked: Asked):
        self.checkout, self.name, self.asked = checkout, name, asked
        self._found: dict[tuple[str, str], list[str]] = {}
        self._seen: set[str] = set()
        self._looked_into: set[str] = set()
        self._unlisted: list[str] = []
        self.objects = 0
        self.tip: str | None = None

    def run(self) -> Iterator[Grouped | Verified]:
        """Findings, then what was looked at.

        Raises
        ------
        SiblingError
            When there is no such sibling, or it cannot be cloned.
        """
        self.state: Snapshot = take_snapshot(self.checkout)
        self.declared = self.name in self.state.policies
        self.policy = self._policy()
        self.verdicts = decide_all(self.state, self.policy, self.asked.at)
        url, there = self._address()
        self.env = {**NEUTRAL, **{k: v for p in there for k, v in credentials(p).items()}}
        # beside the dataset's own content, and not where a kill leaves it for everybody
        ours = self.checkout.ours
        with lock(ours / "verify.lock", "verifying"):
            clone, scratch = ours / "verify.clone", ours / "verify.bundles"
            strangers.remove(clone)
            strangers.remove(scratch)
            kept = (0, 0, 0, 0)
            try:
                if url is not None:
                    try:
                        strangers.clone(url, clone, self.env)
                    except RepoError as exc:
                        raise SiblingError(
                            f"cannot be cloned: {exc.what}",
                            where=f"sibling '{self.name}'",
                            remedy=f"See what this says: git clone {_quoted(url)}",
                        ) from exc
                    self.objects = self._read_objects(clone)
                    kept = self._keep_promises(clone)
                listed = [
                    str(place)
                    for number, place in enumerate(there)
                    if self._list(place, scratch / str(number))
                ]
            finally:
                strangers.remove(clone)
                strangers.remove(scratch)
        found = group(self._found)
        yield from found
        unlisted = tuple(self._unlisted)
        result = Verified(self.objects, *kept, tuple(listed), unlisted, self.declared, self.tip)
        if self.declared:
            try:
                result = replace(result, event=self._record(result, found))
            except MriShareError:
                yield result
                raise
        yield result

    def _record(self, result: Verified, found: list[Grouped]) -> str:
        """Write down that it was verified: figures and digests, no name and no place."""
        details = {
            "sibling": self.name,
            "at": self.asked.at.isoformat(),
            "commit": self.state.commit,
            "release": result.release,
            "policy": policy_digest(self.policy),
            "registry": registry_digest(self.state.registry),
            "version": __version__,
            "objects": result.objects,
            "keys_promised": result.promised,
            "keys_there": result.there,
            "keys_retrieved": result.retrieved,
            "keys_unreached": result.unreached,
            "places_listed": len(result.storage),
            "places_unlisted": len(result.unlisted),
            "canaries": len(self.asked.canaries),
            "findings": dict(sorted(Counter(f.kind for f in found).items())),
        }
        path, data = event_file("verified", details, suffix=self.name)
        with lock(self.checkout.ours / "lock", "this dataset"):
            files = left_behind(self.checkout.path, "verified", self.name) | {path: data}
            self.checkout.commit_files(files, f"Record verification of {self.name}")
            self.checkout.settle()
        return path

    # -- what is looked for

    def _policy(self) -> Policy:
        if self.declared:
            if self.asked.policy is not None:
                raise InputError(
                    "has a policy of its own, and is held against that",
                    where=f"sibling '{self.name}'",
                    remedy="Leave out --policy",
                )
            return self.state.policies[self.name]
        preset = self.asked.policy or DEFAULT_POLICY
        if preset not in presets():
            raise InputError(
                f"'{preset}' is no preset",
                where="--policy",
                remedy=f"Take one of {', '.join(presets())}",
            )
        text = f"siblings:\n  verified:\n    policy: {preset}\n"
        return replace(load_policies(text, "--policy")["verified"], name=self.name)

    def _address(self) -> tuple[str | None, list[Place]]:
        """The URL to clone, and the places that hold it all."""
        base, address = self.checkout.path, self.policy.address
        if address is not None:
            url: str | None = address.url
            found = [address.place(base), address.storage_place(base)]
        else:
            known = remotes(base)
            if self.name not in known:
                raise SiblingError(
                    "is neither declared nor a remote of this dataset",
                    where=f"sibling '{self.name}'",
                    remedy="See what there is: git remote -v",
                )
            remote = known[self.name]
            url = None if is_content_only(remote.url) else resolved_url(base, remote.url or "")
            halves = {n: known[n] for n in (self.name, remote.depends or "") if n in known}
            found = [*storage_places(halves, base).values()]
            here = place_of(url, base) if url else None
            url = str(here) if isinstance(here, Path) else url  # it may be relative to the dataset
            found.append(here)
        there = [*dict.fromkeys(p for p in found if p is not None)]
        if url and not is_content_only(url) and place_of(url, base) is None:
            self._unlisted.append(f"{_without_account(url)}: only git can look there")
        elif not there:
            self._unlisted.append(f"{self.name}: of a kind that nobody can list")
        return url, there

    @cached_property
    def secrets(self) -> Secrets:
        """All that must not be there."""
        permitted = {v.facts.entry.key for v in self.verdicts if v.permit and v.facts.entry.key}
        older = {e.key for e in self.state.older if e.key}
        keys = ({*self.state.keys} | older | {*self.state.logs.locations}) - permitted
        keys = {k for k in keys if not of_git(k)}
        if self.policy.own:
            denied = {v.facts.entry.key for v in self.verdicts if not v.permit} - {None}
            mentions, permitted = None, permitted | (keys - denied)
            keys &= denied
        else:
            released = {p for v in self.verdicts if v.permit for p in v.facts.participants}
            mentions = Mentions(self.state.participants, released)
        return Secrets(
            mentions,
            keys,
            permitted,
            keys if self.policy.own else self._residue,
            Needles(machine.everything(self.checkout, self.name)),
            Needles(self.asked.canaries),
            {f"{NEUTRAL['GIT_AUTHOR_NAME']} <{NEUTRAL['GIT_AUTHOR_EMAIL']}>"},
            {} if self.policy.own else withheld_blobs(self.verdicts),
            self._own_stores(),
        )

    def _own_stores(self) -> dict[str, set[str]]:
        address = self.policy.address
        if address is None or not address.storage:
            return {}
        uuid, known = address.storage["uuid"], remote_configs(self.checkout.path)
        return {uuid: {known.get(uuid, {}).get("cipher", "")}}

    @cached_property
    def _residue(self) -> frozenset[str]:
        """Participants, and keys of theirs, that this sibling may have had once."""
        if not self.declared:
            return frozenset()
        resolver = Resolver(self.state.registry, self.asked.at)
        events = read_events(self.checkout.path, self.state.commit)
        people = {
            p
            for p in self.state.participants
            if resolver.withdrawn_depth(p) is not Then.ERASE
            and any(place.sibling == self.name for place in places(events, p))
        }
        found = {p.lower() for p in people}
        for entry in (*self.state.entries, *self.state.older):
            who = self.state.people(entry)
            if who and who <= people:
                found.add(entry.key or entry.oid)
        return frozenset(found)

    def _note(self, found: Iterator[Finding]) -> None:
        for finding in found:
            self._found.setdefault((finding.kind, finding.what), []).append(finding.where)

    # -- looking

    def _read_objects(self, clone: Path) -> int:
        """Look through every object, path and ref of the clone."""
        secrets, count = self.secrets, 0
        names = strangers.names_of_objects(clone)
        tip = strangers.default_branch(clone)
        now = strangers.objects_of(clone, tip) if tip else frozenset()
        for name in strangers.refs(clone):
            self._note(secrets.in_path(name, f"ref {name}"))
        for oid, path in names.items():
            if path:
                self._note(self._as_of(oid in now, secrets.in_path(path, f"path {path}")))
        for oid, kind, content in strangers.all_objects(clone):
            if oid in self._seen:
                continue
            self._seen.add(oid)
            count += 1
            where = f"{kind} {oid[:10]}" + (f" (at {names[oid]})" if names.get(oid) else "")
            found = secrets.in_object(kind, oid, content, where)
            self._note(self._as_of(oid in now, found))
        return count

    def _as_of(self, current: bool, found: Iterator[Finding]) -> Iterator[Finding]:
        """What is in the release of today is no residue, but for the list of what was revoked."""
        for finding in found:
            listed = is_key(finding.what) and "revoked.tsv" in finding.where
            if current and finding.kind == "residue" and not listed and not self.policy.own:
                in_git = "/" in finding.what  # a path, not a label
                kind = "key" if is_key(finding.what) else "content" if in_git else "participant"
                finding = Finding(kind, finding.what, finding.where)
            yield finding

    def _list(self, place: Place, scratch: Path) -> bool:
        """Look through a place; False, and why, where it cannot be listed to its end."""
        scratch.mkdir(parents=True)
        try:
            if listing.keeps_versions(place):
                self._unlisted.append(f"{place}: older versions of what was there are kept")
            self._read_storage(place, scratch)
        except (OSError, MriShareError) as exc:
            self._unlisted.append(f"{place}: {listing.reason(exc)}")
            return False
        return True

    def _read_storage(self, place: Place, scratch: Path) -> None:
        """Look through every file at a place, and every object of repositories in it."""
        secrets = self.secrets
        for oid, kind, content in listing.objects(place):
            if oid not in self._seen:
                where = f"{kind} {oid[:10]} in the storage"
                self._note(secrets.in_object(kind, oid, content, where))
        bundles: list[Path] = []
        for stored, pieces in listing.entries(place, self._is_wanted):
            name = stored.name.rpartition("/")[2]
            where = f"file {stored.name}"
            held = secrets.withheld(name) if is_key(name) else None
            if held:
                kind = secrets.kind_of_key(held) if stored.size == 0 else "content"
                self._note(iter((Finding(kind, held, where),)))
            told = secrets.in_path(stored.name, where)
            self._note(f for f in told if f.what != held)
            try:
                if name.startswith(BUNDLE):
                    target = scratch / str(len(bundles)) / name
                    bundles.append(strangers.write_pieces(pieces, target))
                else:
                    self._note(secrets.in_pieces(stored.size, pieces, where))
            except OSError as exc:
                stored = replace(stored, wrong=exc.strerror or str(exc))
            if stored.wrong:
                self._note(iter((Finding("unread", f"{stored.name}: {stored.wrong}", where),)))
        self._read_bundles(bundles, scratch / "repository")

    def _is_wanted(self, stored: Stored) -> bool:
        """Content whose key is known says nothing more, unless words are looked for in it."""
        name = stored.name.rpartition("/")[2]
        if not is_key(name) or of_git(name) or not self.secrets.explains(name):
            return True
        return bool(self.asked.content and self.asked.canaries and name not in self._looked_into)

    def _read_bundles(self, bundles: list[Path], repo: Path) -> None:
        """Look through the history in bundles, of which a clone gets the current ones only."""
        if bundles:
            for failed in strangers.take_bundles(repo, bundles):
                said = f"{failed.name}: is no bundle, or what it rests on is not there"
                self._note(iter((Finding("unread", said, f"file {failed.name}"),)))
            self.objects += self._read_objects(repo)

    # -- what is promised

    def _keep_promises(self, clone: Path) -> tuple[int, int, int, int]:
        """Keys that the release says are there, those that are, those retrieved, the others."""
        self.tip = tip = strangers.default_branch(clone)
        if tip is None:
            return 0, 0, 0, 0
        strangers.start_annex(clone, self.env)
        paths = {e.key: e.path for e in read_tree(clone, tip) if e.key}
        logs = read_logs(clone, paths.keys(), metadata=False).locations
        there, promised, retrieved = 0, 0, 0
        enabled_first = remote_configs(clone).keys()  # a repository somewhere else is no storage
        unreached = {k for k in paths if not enabled_first.isdisjoint(logs.get(k, ()))}
        for uuid, remote in strangers.content_remotes(clone).items():
            keys = sorted(k for k in paths if uuid in logs.get(k, ()))
            unreached.difference_update(keys)
            answers = keys_present(clone, remote, keys, env=self.env)
            promised, there = promised + len(keys), there + sum(answers.values())
            for key in (k for k in keys if not answers[k]):
                self._note(iter((Finding("missing", key, f"path {paths[key]}"),)))
            wanted = self._wanted([k for k in keys if answers[k]])
            failed = strangers.get(clone, wanted, remote, self.env) if wanted else {}
            for key, note in failed.items():
                self._note(iter((Finding("missing", key, f"path {paths[key]}: {note}"),)))
            retrieved += len(wanted) - len(failed)
            self._read_content(clone, {k: paths[k] for k in wanted if k not in failed})
        return promised, there, retrieved, len(unreached)

    def _wanted(self, keys: list[str]) -> list[str]:
        if self.asked.content:
            return keys
        # which they are does not depend on the run
        mixed = sorted(keys, key=lambda k: hashlib.sha256(k.encode("utf-8", "replace")).digest())
        return mixed[: self.asked.sample]

    def _read_content(self, clone: Path, paths: Mapping[str, str]) -> None:
        for key, path in paths.items():
            found = find_object(clone / ".git/annex/objects", key)
            if found is None:
                continue
            if told := look_into(found, path):
                self._note(self._told(told, f"content of {path}"))
            self._looked_into.add(key)
            pieces = strangers.read_pieces(found)
            self._note(self.secrets.words_in(pieces, f"content of {path}"))

    def _told(self, told: Told, where: str) -> Iterator[Finding]:
        """What a content names beside its data, and what is too much for the policy."""
        if self.secrets.mentions is None:
            return
        for label in sorted(self.secrets.mentions.all(" ".join(sorted(told.labels)))):
            yield Finding("participant", label, where)
        if DICOM in told.places:
            yield Finding("header", "the name and number of a patient (DICOM)", where)
        elif clearance_by_told(told) < (self.policy.grant.deid or Deid.IDENTIFIABLE):
            yield Finding("header", in_words(told.places), where)
