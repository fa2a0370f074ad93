"""``kill -9`` while publishing to every kind of sibling: here, to git-annex, or over there.

The instants are drawn with a seed that is printed, with what they hit: a fixed one, or
``$MRISHARE_SEED``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from builders import remove
from faults.worlds import ENCRYPTED, PHASES, World, build, converges, instants
from servers.gpg import Keys
from servers.p2phttp import P2pHttp, certify, trust
from servers.s3 import S3
from servers.ssh import Sshd
from servers.web import reach_loopback
from servers.webdav import WebDav

Worlds = Callable[[str], World]
MOVING = ("take_back", "transfer", "push")
FAR = ("ssh", "ria-ssh", "rsync", "own ssh", "own ria-ssh", "own rsync")
CLOUD: dict[str, type[S3 | WebDav]] = {"s3": S3, "webdav": WebDav}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """An ssh server that all worlds of this module are behind."""
    sshd = Sshd(tmp_path_factory.mktemp("ssh"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{sshd.bin}{os.pathsep}{os.environ['PATH']}")
        patch.delenv("SSH_AUTH_SOCK", raising=False)
        sshd.start()
        yield sshd
        sshd.stop()


Cloud = Callable[[str, Path], S3 | WebDav | P2pHttp]


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """Start a server of a kind for a directory; it outlives every kill.

    Its credentials are in the environment of the whole module.
    """
    running: list[S3 | WebDav | P2pHttp] = []
    with pytest.MonkeyPatch.context() as patch:
        apart = tmp_path_factory.mktemp("cloud")
        reach_loopback(patch, apart)

        def start(kind: str, root: Path) -> S3 | WebDav | P2pHttp:
            if kind == "https":
                certificate = apart / "certificate.pem"
                certificate = certificate if certificate.exists() else certify(apart)
                running.append(P2pHttp(root.parent, certificate))
                trust(patch, apart, running[-1])
                running[-1].start()
                return running[-1]
            running.append(CLOUD[kind](root))
            running[-1].start()
            for name, value in running[-1].environment().items():
                patch.setenv(name, value)
            return running[-1]

        yield start
        for one in running:
            one.stop()


@pytest.fixture(scope="module")
def keys(request: pytest.FixtureRequest) -> Iterator[Callable[[], Keys]]:
    """Ask for the keys of two people; from then on one is the steward."""
    with pytest.MonkeyPatch.context() as patch:

        def ask() -> Keys:
            found: Keys = request.getfixturevalue("_gpg_keys")
            patch.setenv("GNUPGHOME", str(found.steward_home))
            return found

        yield ask


@pytest.fixture(scope="module")
def worlds(
    tmp_path_factory: pytest.TempPathFactory,
    registered_template: Path,
    server: Sshd,
    cloud: Cloud,
    keys: Callable[[], Keys],
) -> Iterator[Worlds]:
    """Worlds by kind of sibling, each built when it is first asked for."""
    base = tmp_path_factory.mktemp("far")
    built: dict[str, World] = {}

    def world(kind: str) -> World:
        if kind not in built:
            root, where = base / kind.replace(" ", "-") / "world", kind.removeprefix("own ")
            root.parent.mkdir()
            served = where in CLOUD or where == "https"
            behind = cloud(where, root / "served") if served else None
            built[kind] = build(
                root,
                kind,
                registered_template,
                server if kind in FAR else behind,
                keys() if where in ENCRYPTED else None,
                ticks=False,
            )
        built[kind].put_back()
        return built[kind]

    yield world
    remove(base)


def strike(
    worlds: Worlds, kind: str, whom: str, count: int, phases: Sequence[str] = PHASES
) -> list[str]:
    """``count`` kills at random instants in ``phases``, and what each of them hit."""
    seconds = {phase: worlds(kind).seconds[phase] for phase in phases}
    points = instants(f"{kind} {whom}", count, seconds)
    return [converges(worlds(kind), point, whom) for point in points]


@pytest.mark.slow
def test_a_few(worlds: Worlds, record_property: Callable[[str, object], None]) -> None:
    found = strike(worlds, "directory", "group", 1) + strike(worlds, "directory", "annex", 1)
    record_property("hit", found)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["path", "own ria"])
def test_git_annex_alone(
    worlds: Worlds, kind: str, record_property: Callable[[str, object], None]
) -> None:
    """On paths, where ``test_kill_publish.py`` kills publications in each phase."""
    record_property("hit", strike(worlds, kind, "annex", 2, MOVING))


# one test a kind: its world takes longer to build than to be struck
@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", ["ssh", "ria-ssh", "directory", "rsync"])
def test_shared(worlds: Worlds, kind: str, record_property: Callable[[str, object], None]) -> None:
    every = ("group", "python", "annex", *(("sshd",) if kind in FAR else ()))
    record_property("hit", [hit for whom in every for hit in strike(worlds, kind, whom, 1)])


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", ["own ssh", "own ria-ssh", "own directory", "own rsync"])
def test_kept(worlds: Worlds, kind: str, record_property: Callable[[str, object], None]) -> None:
    every = ("group", "annex", *(("sshd",) if kind in FAR else ()))
    record_property("hit", [hit for whom in every for hit in strike(worlds, kind, whom, 1)])


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "kind",
    ["s3", "webdav", "encrypted", "sharedpubkey", "depends", "rsync-here", "files", "https"],
)
@pytest.mark.parametrize("own", ["", "own "], ids=["shared", "kept"])
def test_content_elsewhere(
    worlds: Worlds, own: str, kind: str, record_property: Callable[[str, object], None]
) -> None:
    """In a bucket or a collection, beside the git half, as plain files, behind https."""
    every = ("group", "annex")
    found = [hit for whom in every for hit in strike(worlds, own + kind, whom, 1, MOVING)]
    record_property("hit", found)


@pytest.mark.slow
@pytest.mark.parametrize("whom", ["group", "annex"])
def test_encrypted_without_a_git_half(
    worlds: Worlds, whom: str, record_property: Callable[[str, object], None]
) -> None:
    record_property("hit", strike(worlds, "own crypt", whom, 1, MOVING))


@pytest.mark.slow
@pytest.mark.parametrize("own", ["", "own "], ids=["shared", "kept"])
def test_the_server_behind_https(
    worlds: Worlds, own: str, record_property: Callable[[str, object], None]
) -> None:
    found = strike(worlds, f"{own}https", "p2phttp", 1, ("take_back", "transfer", "check"))
    record_property("hit", found)
