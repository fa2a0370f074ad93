"""Where a sibling is, from what git, git-annex or DataLad wrote when they made it.

A kind that cannot be served is refused here, with what to make instead.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

from ..errors import SiblingError
from ..repo.contentonly import (
    SERVED,
    clone_url,
    is_content_only,
    local_settings,
    storage_place,
)
from ..repo.release import Address
from ..repo.remotes import (
    Place,
    Remote,
    place_of,
    remotes,
    resolved_url,
    storage_settings,
    store_place,
)
from ..repo.ssh import SshPlace
from ..repo.transport import REMEDY, read_on_the_way
from ..repo.worktree import Checkout

_SERVED = (
    "This version serves git repositories, RIA stores, directory and rsync special remotes, on a"
    " path or behind ssh (docs/siblings.md)"
)


def address_of(checkout: Checkout, remote: Remote, declared: Address | None = None) -> Address:
    """Where a sibling made with git or DataLad is.

    ``declared`` is what a command that was killed had written down: it tells of a content
    half that has left this repository already.

    Raises
    ------
    SiblingError
        For a kind of sibling that this version cannot serve.
    """
    where = f"sibling '{remote.name}'"
    if is_content_only(remote.url):
        return _address_of_storage(checkout, remote, where)
    assert remote.url is not None
    url = resolved_url(checkout.path, remote.url)
    place = place_of(url, checkout.path)
    if place is None:
        _must_be_encrypted(url, where)
        raise SiblingError(
            f"is neither on a path nor behind ssh ({url})", where=where, remedy=_SERVED
        )
    there = str(place)
    if remote.depends is None:
        return Address(there)
    half = remotes(checkout.path).get(remote.depends)
    if half is None and declared and declared.storage and declared.url == there:
        return declared
    settings = storage_settings(checkout.path, half) if half is not None else {}
    store = store_place(settings.get("url", ""), checkout.path)
    if settings.get("externaltype") != "ora" or store is None:
        raise SiblingError(
            f"keeps its content in '{remote.depends}', which is no RIA store on a path or behind"
            " ssh",
            where=where,
            remedy=_SERVED,
        )
    if isinstance(store, SshPlace) and "@" in store.host:
        raise SiblingError(
            f"names an account ({store.host}), which everyone who clones the release would read",
            where=where,
            remedy="Put `User` for this host into ~/.ssh/config and create the store without it",
        )
    return Address(there, settings)


def _address_of_storage(checkout: Checkout, remote: Remote, where: str) -> Address:
    """Where a special remote without a git half is."""
    settings = {**storage_settings(checkout.path, remote), **local_settings(remote)}
    refuse_unserved(settings, where)
    if settings.get("encryption") != "none":
        raise SiblingError(
            f"is encrypted ({settings.get('encryption')}), and an encrypted special remote cannot"
            " be cloned from",
            where=where,
            remedy="Make one with encryption=none on storage that only the recipients read",
        )
    _must_be_encrypted(settings.get("rsyncurl", ""), where)
    place = storage_place(settings, checkout.path)
    if place is None:
        raise SiblingError("does not tell where it is", where=where, remedy=_SERVED)
    if isinstance(place, SshPlace) and "@" in place.host:
        raise SiblingError(
            f"names an account ({place.host}), which everyone who clones the release would read",
            where=where,
            remedy="Put `User` for this host into ~/.ssh/config and make the remote without it",
        )
    if isinstance(place, Path):
        settings["directory" if "directory" in settings else "rsyncurl"] = str(place)
    return Address(clone_url(settings), settings)


def _must_be_encrypted(url: str, where: str) -> None:
    wrong = read_on_the_way(url)
    if wrong:
        raise SiblingError(wrong, where=where, remedy=REMEDY)


def refuse_unserved(settings: Mapping[str, str], where: str) -> None:
    """Refuse a special remote of another type, or one that holds a tree of files, not keys.

    Raises
    ------
    SiblingError
        For any but :data:`SERVED`, and for ``exporttree=yes`` and ``importtree=yes``.
    """
    kind = settings.get("externaltype") or settings.get("type", "unknown")
    if kind not in SERVED:
        raise SiblingError(f"is a special remote of type {kind}", where=where, remedy=_SERVED)
    if "yes" in (settings.get("exporttree"), settings.get("importtree")):
        raise SiblingError(
            "holds a tree of files (exporttree or importtree), and this version fills remotes that"
            " hold keys",
            where=where,
            remedy="Make another one without exporttree=yes and importtree=yes",
        )


def fresh_storage(address: Address, place: Place) -> str:
    """The commands for another special remote beside this one."""
    settings = dict(address.storage or {})
    name = f"{settings.pop('name')}-release"
    settings.pop("uuid")
    if isinstance(place, SshPlace):
        settings["rsyncurl"] = f"{settings['rsyncurl'].rstrip('/')}-release"
        fresh = f"{place.path.rstrip('/')}-release"
        make = f"ssh {place.host} mkdir {shlex.quote(shlex.quote(fresh))} && "
    else:
        settings["directory" if "directory" in settings else "rsyncurl"] = f"{place}-release"
        make = f"mkdir {shlex.quote(f'{place}-release')} && "
    words = shlex.join(["git", "annex", "initremote", name, *map("=".join, settings.items())])
    return make + words
