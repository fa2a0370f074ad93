"""Where a sibling is, from what git, git-annex or DataLad wrote when they made it.

A kind that cannot be served is refused here, with what to make instead.
"""

from __future__ import annotations

import itertools
import shlex
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from ..errors import SiblingError
from ..repo.address import Address
from ..repo.cloud import CREDENTIALS, CloudPlace, cloud_place, names_a_user
from ..repo.contentonly import (
    SERVED,
    clone_url,
    is_content_only,
    local_settings,
    storage_place,
    without_secrets,
)
from ..repo.encrypted import check_recipients, is_encrypted, make_commands, without_cipher
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
from ..repo.webhalf import annex_url, commands, must_take_content
from ..repo.worktree import Checkout

_SERVED = (
    "This version serves git repositories, RIA stores, directory and rsync special remotes, on a"
    " path or behind ssh, S3 and WebDAV (docs/siblings.md)"
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
        _must_be_web(checkout, url, remote, where)
    there = url if place is None else str(place)
    if remote.depends is None:
        return Address(there)
    half = remotes(checkout.path).get(remote.depends)
    if half is None and declared and declared.storage and declared.url == there:
        return declared
    if half is None:
        raise SiblingError(
            f"keeps its content in '{remote.depends}', which is not there",
            where=where,
            remedy=f"Make it (git annex initremote {remote.depends} ...), or unset"
            f" remote.{remote.name}.datalad-publish-depends",
        )
    settings = storage_settings(checkout.path, half)
    if settings.get("externaltype") != "ora":
        settings = _served_storage(checkout, half, f"{where}: its content remote '{half.name}'")
    elif (store := store_place(settings.get("url", ""), checkout.path)) is None:
        raise SiblingError(
            f"keeps its content in '{half.name}', which is no RIA store on a path or behind ssh",
            where=where,
            remedy=_SERVED,
        )
    elif isinstance(store, SshPlace) and "@" in store.host:
        raise SiblingError(
            f"names an account ({store.host}), which everyone who clones the release would read",
            where=where,
            remedy="Put `User` for this host into ~/.ssh/config and create the store without it",
        )
    settings = without_cipher(settings)  # it would be shared, and with it what it encrypts
    check_recipients(settings, where)
    return Address(there, settings)


def _address_of_storage(checkout: Checkout, remote: Remote, where: str) -> Address:
    """Where a special remote without a git half is."""
    settings = _served_storage(checkout, remote, where, files=True)
    if is_encrypted(settings):
        raise SiblingError(
            f"is encrypted ({settings.get('encryption')}), and an encrypted special remote cannot"
            " be cloned from",
            where=where,
            remedy=_beside(remote.name, checkout.path),
        )
    if chunk := settings.get("chunk") or settings.get("chunksize"):
        raise SiblingError(  # git-remote-annex puts its manifest there in chunks, and finds none
            f"keeps content in chunks ({chunk}), and such a special remote cannot be cloned from",
            where=where,
            remedy=_beside(remote.name, checkout.path),
        )
    if settings.get("versioning") == "yes":
        raise SiblingError(
            "keeps every version (versioning=yes), so that nothing can be taken back",
            where=where,
            remedy="Make another one without versioning",
        )
    return Address(clone_url(settings), settings)


def _must_be_web(checkout: Checkout, url: str, remote: Remote, where: str) -> None:
    """Refuse a git half where only git can look, unless content goes elsewhere or by p2phttp."""
    host = urlsplit(url)
    if host.scheme.lower() not in ("http", "https"):
        raise SiblingError("is neither on a path nor behind ssh", where=where, remedy=_SERVED)
    if "@" in host.netloc:
        raise SiblingError(
            f"has an account or a password in its URL (of {host.hostname}), which would be"
            " written down in this dataset",
            where=where,
            remedy="Take it out of the URL and let git remember it: git config --global"
            " credential.helper store",
        )
    if remote.depends is not None:
        return
    if annex_url(checkout.path, remote.name, checkout.identity) is None:
        raise SiblingError(
            f"is neither on a path nor behind ssh ({url}), and its server does not say where"
            " content goes, so it can take names only",
            where=where,
            remedy="Let `git annex p2phttp` run there (docs/siblings.md). Or name a special remote"
            f" for the content: git config remote.{remote.name}.datalad-publish-depends STORE. Or"
            " declare it by its path or ssh:// URL: who clones it may use https:// all the same",
        )
    must_take_content(checkout.path, remote.name, checkout.identity)


def _beside(storage: str, base: Path) -> str:
    """How to share through encrypted storage."""
    name = f"{storage}{fresh_end(base, storage)}"
    return (
        "Let a git repository stand beside it, for names and history: git init --bare DIR"
        f" && git remote add {name} DIR"
        f" && git config remote.{name}.datalad-publish-depends {storage}"
        f" && datalad mrishare-sibling {name} --policy PRESET"
    )


def _served_storage(
    checkout: Checkout, remote: Remote, where: str, *, files: bool = False
) -> dict[str, str]:
    """Settings of a special remote that can be filled from a release repository."""
    told = {**storage_settings(checkout.path, remote), **local_settings(remote)}
    settings = without_secrets(told)
    refuse_unserved(settings, where, files=files)
    _must_be_encrypted(settings.get("rsyncurl", ""), where)
    _must_be_encrypted(settings.get("publicurl", ""), where)
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
    return settings


def _must_be_encrypted(url: str, where: str, remedy: str = REMEDY) -> None:
    wrong = read_on_the_way(url)
    if wrong:
        raise SiblingError(wrong, where=where, remedy=remedy)


def _must_be_discreet(place: CloudPlace, where: str) -> None:
    """Refuse a URL that holds a password, and ways on which it could be read."""
    if names_a_user(place.url):
        raise SiblingError(
            "names a user in its URL, which everyone who clones would read",
            where=where,
            remedy="Make it anew without, and set " + " and ".join(CREDENTIALS[place.kind]),
        )
    name = where.split("'")[1]
    _must_be_encrypted(place.url, where, place.remedy(name))


def refuse_unserved(settings: Mapping[str, str], where: str, *, files: bool = False) -> None:
    """Refuse a special remote of another type, or one that holds a tree of files, not keys.

    ``files``: whether a directory may hold a tree of files that only this dataset puts there.

    Raises
    ------
    SiblingError
        For any but :data:`SERVED`, for ``exporttree=yes`` and ``importtree=yes``, and for a way
        to a server on which others read along.
    """
    kind = settings.get("externaltype") or settings.get("type", "unknown")
    if kind not in SERVED:
        raise SiblingError(f"is a special remote of type {kind}", where=where, remedy=_SERVED)
    if files and kind == "directory" and settings.get("importtree") != "yes":
        return
    refuse_tree(settings, where)
    place = cloud_place(settings)
    if place is not None:
        _must_be_discreet(place, where)


def refuse_tree(settings: Mapping[str, str], where: str) -> None:
    """Refuse a special remote that holds a tree of files, not keys.

    Raises
    ------
    SiblingError
        For ``exporttree=yes`` and ``importtree=yes``.
    """
    if "yes" in (settings.get("exporttree"), settings.get("importtree")):
        raise SiblingError(
            "holds a tree of files (exporttree or importtree), and this version fills remotes that"
            " hold keys",
            where=where,
            remedy="Make another one without exporttree=yes and importtree=yes",
        )


def fresh_end(base: Path, *names: str) -> str:
    """What to put behind ``names`` so that no remote is called so: ``-release``, ``-release2``."""
    known = remotes(base)
    ends = (f"-release{number}" for number in itertools.count(2))
    every = itertools.chain(("-release",), ends)
    return next(end for end in every if known.keys().isdisjoint(f"{name}{end}" for name in names))


def fresh_sibling(address: Address, name: str, base: Path, end: str) -> str:
    """The commands for an empty sibling of the same kind beside this one, ``NAME-release``."""
    stored = address.storage_place(base)
    content = fresh_storage(address, stored, end) if stored else None
    if address.content_only and content:
        return content
    url, place = f"{address.url.rstrip('/')}{end}", address.place(base)
    make = f"git init --bare {shlex.quote(url)}"
    if place is None:
        there = "" if content else f" ({commands(name)})"
        url, make = "URL", f"make an empty repository there{there}"
    if isinstance(place, SshPlace):
        port = f"-p {place.port} " if place.port else ""
        path = shlex.quote(f"{place.path.rstrip('/')}{end}")
        make = f"ssh {port}{place.host} git init --bare {shlex.quote(path)}"
    make += f" && git remote add {name}{end} {shlex.quote(url)}"
    if content and address.storage:
        depends = f"remote.{name}{end}.datalad-publish-depends"
        make += f" && {content} && git config {depends} {address.storage['name']}{end}"
    return make


def fresh_storage(address: Address, place: Place, end: str) -> str:
    """The commands for another special remote beside this one, which is at ``place``."""
    settings = dict(address.storage or {})
    name = f"{settings.pop('name')}{end}"
    settings.pop("uuid")
    if isinstance(place, CloudPlace):
        key = "bucket" if place.kind == "S3" else "url"
        settings[key] = f"{settings[key].rstrip('/')}{end}"
        make = ""
    elif isinstance(place, SshPlace):
        settings["rsyncurl"] = f"{settings['rsyncurl'].rstrip('/')}{end}"
        fresh = f"{place.path.rstrip('/')}{end}"
        make = f"ssh {place.host} mkdir {shlex.quote(shlex.quote(fresh))} && "
    else:
        settings["directory" if "directory" in settings else "rsyncurl"] = f"{place}{end}"
        make = f"mkdir {shlex.quote(f'{place}{end}')} && "
    words = make_commands(name, settings)
    return make + " && ".join(shlex.join(["git", "annex", *command]) for command in words)
