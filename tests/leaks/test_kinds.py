"""The dataset with its canaries, published to every kind of sibling: nothing of it is there.

What lies there is read byte by byte, the git half and a stranger's clone object by object.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from builders import run
from leaks import scanner, world
from mirrors import bare, keys_of, publish
from siblings import (
    test_depends,
    test_exporttree,
    test_p2phttp,
    test_ria_ssh,
    test_special,
    test_ssh,
)
from siblings.life import BOLD, Kind

from datalad_mrishare.repo.worktree import Checkout
from datalad_mrishare.sharing.siblings import declare

Ask = Callable[[str], Any]
POLICY = "policy: institution\ncommons: [canaryPolicy*]\nbudget: 10MB\n"
CLEAN = "policy: institution\ndeid: pseudonymised\nbudget: 10MB\n"


def at_path(dataset: Path, tmp_path: Path, ask: Ask) -> Kind:
    place = bare(tmp_path / "forge/mir.git")
    run(dataset, "git", "remote", "add", "mir", str(place))
    return Kind(dataset, place, set, lambda: ["git", "clone", "--quiet", str(place)])


def at_path_adjusted(dataset: Path, tmp_path: Path, ask: Ask) -> Kind:
    run(dataset, "git", "annex", "adjust", "--unlock")
    return at_path(dataset, tmp_path, ask)


def behind_ssh(dataset: Path, tmp_path: Path, ask: Ask) -> Kind:
    sshd = ask("sshd")
    test_ssh.add(dataset, sshd, sshd.url("mir.git"))
    return test_ssh.kind_of(dataset, sshd, sshd.url("mir.git"))


def made_by_datalad(dataset: Path, tmp_path: Path, ask: Ask) -> Kind:
    sshd = ask("sshd")
    run(dataset, "datalad", "create-sibling", "-s", "mir", sshd.url("mir.git"))
    return test_ssh.kind_of(dataset, sshd, sshd.url("mir.git"))


def ria_behind_ssh(dataset: Path, tmp_path: Path, ask: Ask) -> Kind:
    return test_ria_ssh.create(dataset, ask("sshd"))


def directory(dataset: Path, tmp_path: Path, ask: Ask) -> Kind:
    return test_special.directory(dataset, tmp_path)


def rsync(dataset: Path, tmp_path: Path, ask: Ask) -> Kind:
    return test_special.by_rsync(dataset, ask("rsync_ssh"))


def in_cloud(dataset: Path, server: Any, login: Callable[[str, str], None]) -> Kind:
    for name, value in server.environment().items():
        login(name, value)
    run(dataset, "git", "annex", "initremote", "mir", *server.initremote("mir-bucket"))

    def clone() -> list[str]:
        text = run(dataset, "git", "show", "HEAD:.datalad/mrishare/siblings.yaml")
        return ["git", "clone", "--quiet", yaml.safe_load(text)["siblings"]["mir"]["url"]]

    return Kind(dataset, server.root / "mir-bucket", set, clone)


def bucket(dataset: Path, tmp_path: Path, ask: Ask) -> Kind:
    return in_cloud(dataset, ask("s3"), ask("monkeypatch").setenv)


def collection(dataset: Path, tmp_path: Path, ask: Ask) -> Kind:
    return in_cloud(dataset, ask("webdav"), ask("monkeypatch").setenv)


def tree_of_files(dataset: Path, tmp_path: Path, ask: Ask) -> Kind:
    return test_exporttree.directory(dataset, tmp_path)


def beside_git(dataset: Path, tmp_path: Path, ask: Ask) -> Kind:
    return test_depends.in_directory(dataset, tmp_path)


def encrypted_beside_git(dataset: Path, tmp_path: Path, ask: Ask) -> Kind:
    return test_depends.in_directory(dataset, tmp_path, "encryption=hybrid", keys=ask("gpg"))


def over_https(dataset: Path, tmp_path: Path, ask: Ask) -> Kind:
    return test_p2phttp.by_https(dataset, ask("p2phttps"), tmp_path)


KINDS = (
    *(at_path, at_path_adjusted, behind_ssh, made_by_datalad, ria_behind_ssh, directory, rsync),
    *(bucket, collection, tree_of_files, beside_git, encrypted_beside_git, over_https),
)


def secrets(dataset: Path, canaries: list[str]) -> list[str]:
    """All that must not be found at a sibling that takes what is identifiable."""
    keys = keys_of(dataset, *(f"{p}/" for p in world.WITHHELD))
    assert len(keys) == 7
    uuid = run(dataset, "git", "config", "annex.uuid").strip()
    hidden = [c for c in canaries if not c.startswith(world.HEADERS)]
    ours = ("consent.tsv", "siblings.yaml", str(dataset))
    return [*hidden, *world.WITHHELD, *keys, uuid, *ours]


def release(dataset: Path, policy: str) -> None:
    file = dataset.parent.parent / "policy.yaml"
    file.write_text(policy)
    declare(Checkout(dataset), "mir", str(file))
    publish(dataset, "mir")


@pytest.mark.slow
@pytest.mark.parametrize("make", KINDS, ids=lambda make: make.__name__)
def test_nothing_that_is_withheld_is_anywhere(
    make: Callable[[Path, Path, Ask], Kind],
    copied: tuple[Path, list[str]],
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    dataset, canaries = copied
    kind = make(dataset, tmp_path, request.getfixturevalue)
    release(dataset, POLICY)
    looked_for = secrets(dataset, canaries)
    assert scanner.scan(kind.directory, [*looked_for, *world.host()]) == {}
    assert scanner.scan(kind.unbundled(), [*looked_for, *world.host()]) == {}
    clone = kind.stranger("stranger")
    assert scanner.scan(clone, looked_for) == {}
    assert (clone / BOLD).read_bytes() == (dataset / BOLD).read_bytes()
    assert (clone / "participants.tsv").exists()


@pytest.mark.slow
def test_what_headers_tell_goes_only_where_everything_may(
    copied: tuple[Path, list[str]], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    dataset, canaries = copied
    told = [c for c in canaries if c.startswith(world.HEADERS)]
    assert len(told) == 9
    kind = at_path(dataset, tmp_path, request.getfixturevalue)
    release(dataset, CLEAN)
    assert scanner.scan(kind.directory, [*secrets(dataset, canaries), *told]) == {}
    assert any(p.name for p in kind.directory.rglob("SHA256E-*"))
    release(dataset, POLICY)
    assert scanner.scan(kind.directory, told).keys() == set(told)
