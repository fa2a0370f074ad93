"""Declaring a sibling's policy, and moving it behind the one door.

The order is such that a kill leaves nothing open by mistake: first the policy is
committed, then the release repository stands, last the remote leaves the steward's
repository. In between, publishing refuses because of the remote that is still there,
and declaring again goes on where it stopped.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..consent.grants import Reach
from ..consent.yamltext import load_yaml
from ..errors import InputError, SiblingError
from ..repo import webhalf
from ..repo.address import Address
from ..repo.annexbranch import remote_configs
from ..repo.contentonly import (
    holds_something,
)
from ..repo.gates import close_url, is_locked, reopen_url, unlock_remote
from ..repo.githalf import open_half
from ..repo.locks import lock
from ..repo.ownstorage import OwnStorage
from ..repo.process import annex, git
from ..repo.release import ReleaseRepository
from ..repo.remotes import (
    Remote,
    refs_at,
    remotes,
    remove_remote,
)
from ..repo.worktree import Checkout
from .addresses import address_of, fresh_end, fresh_sibling, refuse_tree, refuse_unserved
from .policies import (
    SIBLINGS_FILE,
    Policy,
    check_name,
    load_policies,
    parse_policy,
    policy_of,
    presets,
)
from .preflight import leading_to
from .registry import read_file_at, uncommitted
from .snapshot import dataset_id, require_registered
from .storage import ENCRYPT, unencrypted


@dataclass(frozen=True)
class Declared:
    """What declaring did: ``moved`` when the remote left the steward's repository."""

    policy: Policy
    changed: bool
    moved: bool
    where: str


def declare(checkout: Checkout, name: str, spec: str, *, dry_run: bool = False) -> Declared:
    """Declare the policy of sibling ``name``.

    Parameters
    ----------
    checkout : Checkout
        The steward's dataset.
    name : str
        A git remote of it, or a sibling declared before.
    spec : str
        A preset, or the path of a YAML file with the policy.
    dry_run : bool
        Check everything and stop before the first change.

    Raises
    ------
    InputError
        For a policy that cannot be understood.
    SiblingError
        When there is no such sibling, or it is not empty and is to be shared.
    """
    check_name(name)
    require_registered(checkout)
    checkout.branch()  # a declaration that no branch has is lost with the next checkout
    uncommitted(checkout).refuse()
    with lock(checkout.ours / f"{name}.lock", f"sibling '{name}'"):
        declared = _declared(checkout)
        written = {**read_spec(name, spec), **_kept_place(declared.get(name))}
        policy = _parsed(name, written)
        before = _parsed(name, declared[name]) if name in declared else None
        remote = remotes(checkout.path).get(name)
        _must_be_its_own(checkout, name, declared)
        if policy.own:
            return _declare_own(checkout, policy, before, written, remote, dry_run)
        return _declare_shared(checkout, policy, before, written, remote, dry_run)


def read_spec(name: str, spec: str) -> dict[str, Any]:
    """What is to be written in ``siblings.yaml`` for a preset or policy file."""
    if spec in presets():
        return {"policy": spec}
    path = Path(spec)
    if not path.is_file():
        raise InputError(
            f"`{spec}` is neither a preset nor a file",
            where=f"policy of '{name}'",
            remedy=f"Presets: {', '.join(presets())}",
        )
    try:
        document = load_yaml(path.read_text(encoding="utf-8"), spec)
    except UnicodeDecodeError as exc:
        raise InputError(f"is not UTF-8 (byte {exc.start})", where=spec) from exc
    except OSError as exc:
        raise InputError(f"cannot be read: {exc.strerror}", where=spec) from exc
    values = document.value
    if not isinstance(values, Mapping):
        raise InputError("a policy is a mapping", where=spec, remedy="See docs/siblings.md")
    for key in ("url", "storage"):
        if key in values:
            raise InputError(f"`{key}` is taken from the remote", where=document.at(key))
    parse_policy(name, values, document)
    return dict(values)


def _declared(checkout: Checkout) -> dict[str, dict[str, Any]]:
    content = read_file_at(checkout, "HEAD", SIBLINGS_FILE)
    if content is None:
        return {}
    text = content.decode("utf-8", "replace")
    load_policies(text)
    return dict(load_yaml(text, SIBLINGS_FILE).value["siblings"])


def _parsed(name: str, values: Mapping[str, Any]) -> Policy:
    return load_policies(_dump({name: values}))[name]


def _dump(siblings: Mapping[str, Any]) -> str:
    import yaml

    head = "# Policies of the siblings: datalad mrishare-sibling NAME --policy ...\n"
    body = yaml.safe_dump({"siblings": dict(siblings)}, sort_keys=False, allow_unicode=True)
    return head + str(body)


def _kept_place(values: Mapping[str, Any] | None) -> dict[str, Any]:
    return {k: v for k, v in (values or {}).items() if k in ("url", "storage")}


def _save(checkout: Checkout, name: str, written: Mapping[str, Any] | None) -> bool:
    """Commit what is written for ``name``, or that nothing is any more."""
    with lock(checkout.ours / "lock", "this dataset"):
        siblings = {**_declared(checkout), name: written}
        data = _dump({k: v for k, v in siblings.items() if v is not None}).encode("utf-8")
        message = f"{'Reopen' if written is None else 'Declare'} sibling {name}"
        return checkout.commit_files({SIBLINGS_FILE: data}, message) is not None


def _declare_own(
    checkout: Checkout,
    policy: Policy,
    before: Policy | None,
    written: dict[str, Any],
    remote: Remote | None,
    dry_run: bool,
) -> Declared:
    name = policy.name
    if before is not None and not before.own:
        raise SiblingError(
            "is shared, and what was shared cannot become own storage",
            where=f"sibling '{name}'",
            remedy=f"Take it out first: datalad mrishare-sibling {name} --reopen",
        )
    own = OwnStorage(checkout, name)
    where = own.url or str(own.place or name)  # raises when there is no such remote
    own.refuse_readable()
    settings = remote_configs(checkout.path).get(own.known_uuid() or "", {})
    if own.content_only:
        refuse_unserved(settings, f"sibling '{name}'", files=True)
    else:
        refuse_tree(settings, f"sibling '{name}'")
    if before is None:
        own.refuse_strange()
    _must_encrypt(policy, settings, own.content_only)
    if dry_run:
        return Declared(policy, before != policy, False, where)
    changed = _save(checkout, name, written)
    for half in (name, remote.depends if remote else None):
        changed = bool(half and unlock_remote(checkout, half)) or changed
    return Declared(policy, changed, False, where)


def _declare_shared(
    checkout: Checkout,
    policy: Policy,
    before: Policy | None,
    written: dict[str, Any],
    remote: Remote | None,
    dry_run: bool,
) -> Declared:
    name = policy.name
    address = policy.address
    if remote is not None:
        address = address_of(checkout, remote, address)
        _must_be_movable(checkout, name, address, policy.address)
        written = {k: v for k, v in written.items() if k != "storage"} | {"url": address.url}
        if address.storage:
            written["storage"] = dict(address.storage)
    elif address is None:
        raise SiblingError(
            "is neither a git remote of this dataset nor declared before",
            where=f"sibling '{name}'",
            remedy=f"Create it, for example: git init --bare DIR && git remote add {name} DIR",
        )
    policy = _parsed(name, written)
    _must_encrypt(policy, address.storage or {}, address.content_only)
    if (address.storage or {}).get("public") == "yes" and policy.grant.reach < Reach.PUBLIC:
        raise SiblingError(
            f"may be read by everybody (public=yes), and the policy says {policy.grant.reach.word}",
            where=f"sibling '{name}'",
            remedy="Make another one without public=yes",
        )
    halves = _halves(checkout, name, address)
    if dry_run:
        return Declared(policy, policy != before, bool(halves), address.url)
    if address.storage and address.storage["name"] in halves:
        # else every clone of this dataset would enable it by itself
        stored = address.storage["name"]
        annex(checkout.path, "configremote", stored, "autoenable=false", env=checkout.identity)
    changed = _save(checkout, name, written)
    identity = dataset_id(checkout, "HEAD")
    release = ReleaseRepository(checkout.path, checkout.gitdir, name, address, identity)
    release.open()
    close_url(checkout, address.url)
    for half in halves:
        remove_remote(checkout.path, half)
    return Declared(policy, changed, bool(halves), address.url)


def _must_encrypt(policy: Policy, settings: Mapping[str, str], content_only: bool) -> None:
    """Refuse storage that others can read where the policy promises that they cannot."""
    readable = unencrypted(settings, beside_git=not content_only) if policy.encryption else None
    if readable:
        raise SiblingError(readable, where=f"sibling '{policy.name}'", remedy=ENCRYPT)


def _halves(checkout: Checkout, name: str, address: Address) -> list[str]:
    """The remotes of the steward's repository that are the sibling; one after a kill."""
    known = remotes(checkout.path)
    storage = address.storage or {}
    content = known.get(storage.get("name", ""))
    found = [content.name] if content and content.uuid == storage["uuid"] else []
    return [*found, name] if name in known and name not in found else found


def _must_be_movable(
    checkout: Checkout, name: str, address: Address, declared: Address | None
) -> None:
    place = address.place(checkout.path)
    if address.content_only:
        found = []
    elif place is None and address.storage:
        found = [f"ref {ref}" for ref in refs_at(checkout.path, address.url)]
    elif place is None:
        found = webhalf.contents(checkout.path, address.url, name)
    else:
        found = open_half(place, name).contents()
    beside = address.storage_place(checkout.path)
    if beside is not None and holds_something(beside, name):
        found.append(f"files in '{(address.storage or {})['name']}'")
    if found and address == declared:
        raise SiblingError(
            "is served from its release repository, and a remote of this dataset leads there",
            where=f"sibling '{name}'",
            remedy=f"Remove that, then run this again: git remote remove {name}",
        )
    if found:
        tells = f" ({found[0]}{', ...' if len(found) > 1 else ''}): what was pushed there by hand"
        tells += " tells about everyone in this dataset"
        if address.content_only:
            tells = ": what was put there by hand is not known to be permitted"
        names = (name, *([(address.storage or {})["name"]] if address.storage else []))
        end = fresh_end(checkout.path, *names)
        raise SiblingError(
            f"is not empty{tells}",
            where=f"sibling '{name}'",
            remedy=f"Share through a fresh one: {fresh_sibling(address, name, checkout.path, end)}"
            f" && datalad mrishare-sibling {name}{end} --policy PRESET",
        )
    storage = address.storage["name"] if address.storage else None
    for other in leading_to(address, checkout.path):
        if other not in (name, storage):
            raise SiblingError(
                f"leads to the same place as sibling '{name}'",
                where=f"remote '{other}'",
                remedy=f"Remove it first: git remote remove {other}",
            )


def _must_be_its_own(checkout: Checkout, name: str, declared: Mapping[str, Any]) -> None:
    """Two siblings at one place, and the wider policy would be undone by the other."""
    for other, values in declared.items():
        address = _parsed(other, values).address
        if other != name and address and name in leading_to(address, checkout.path):
            raise SiblingError(
                f"leads to the same place as sibling '{other}', which is shared",
                where=f"remote '{name}'",
                remedy=f"Remove it: git remote remove {name}",
            )


@dataclass(frozen=True)
class Reopened:
    """What reopening undid: ``unlocked`` bolts, or a ``moved`` remote brought back."""

    name: str
    unlocked: bool
    moved: bool


def reopen(checkout: Checkout, name: str, *, dry_run: bool = False) -> Reopened:
    """Undo a lock or a move: plain commands reach the sibling again.

    Raises
    ------
    SiblingError
        When nothing is known of such a sibling.
    """
    require_registered(checkout)
    checkout.branch()
    if dry_run:
        return _reopen(checkout, name, dry_run)
    uncommitted(checkout).refuse()
    with lock(_lock_file(checkout, name), f"sibling '{name}'"):
        return _reopen(checkout, name, dry_run)


def _lock_file(checkout: Checkout, name: str) -> Path:
    # a remote that is only locked may have a name that no sibling can have
    return checkout.ours / f"{name.replace('/', '%')}.lock"


def _reopen(checkout: Checkout, name: str, dry_run: bool) -> Reopened:
    values = _declared(checkout).get(name)
    policy = _parsed(name, values) if values else None
    remote = remotes(checkout.path).get(name)
    if policy is None and remote is None:
        raise SiblingError(
            "is not known here",
            where=f"sibling '{name}'",
            remedy="See what there is: git remote -v",
        )
    moved = policy is not None and not policy.own and policy.address is not None
    locked = remote is not None and is_locked(remote)
    if dry_run:
        return Reopened(name, locked, moved)
    if moved:
        assert policy is not None and policy.address is not None
        _bring_back(checkout, name, policy.address)
        _save(checkout, name, None)
    if remote is not None:
        unlock_remote(checkout, name)
    return Reopened(name, locked, moved)


def _bring_back(checkout: Checkout, name: str, address: Address) -> None:
    reopen_url(checkout, address.url)
    known = remotes(checkout.path)
    if address.content_only:
        if name not in known:
            _enable(checkout, name, address)
        shutil.rmtree(checkout.ours / name, ignore_errors=True)
        return
    if name not in known:
        git(checkout.path, "remote", "add", name, address.url)
    if address.storage:
        stored = address.storage["name"]
        if stored not in known:
            _enable(checkout, stored, address)
        git(checkout.path, "config", f"remote.{name}.annex-ignore", "true")
        git(checkout.path, "config", f"remote.{name}.datalad-publish-depends", stored)
    shutil.rmtree(checkout.ours / name, ignore_errors=True)


def _enable(checkout: Checkout, name: str, address: Address) -> None:
    """Make a special remote one of this dataset again."""
    fixed = ("name", "uuid", "type", "externaltype", "encryption", "keyid", "exporttree")
    words = [f"{k}={v}" for k, v in (address.storage or {}).items() if k not in fixed]
    annex(checkout.path, "enableremote", name, *words, env=checkout.identity)
    git(checkout.path, "config", f"remote.{name}.annex-verified", "verified")


def must_be_declared(checkout: Checkout, name: str) -> None:
    """Raise :class:`SiblingError` unless a committed policy declares ``name``."""
    content = read_file_at(checkout, "HEAD", SIBLINGS_FILE)
    policy_of(load_policies(content.decode("utf-8", "replace") if content else None), name)


def declared_names(checkout: Checkout) -> tuple[str, ...]:
    """Siblings that a policy declares; none when there is no commit yet."""
    if checkout.head() is None:
        return ()
    return tuple(_declared(checkout))
