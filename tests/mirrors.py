"""Siblings for tests: make them, consent, publish, and look at what is there."""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path
from typing import Any

from builders import run

from datalad_mrishare.repo.worktree import Checkout
from datalad_mrishare.sharing.consents import import_consent
from datalad_mrishare.sharing.planning import Options
from datalad_mrishare.sharing.publishing import Publication
from datalad_mrishare.sharing.siblings import declare

FORM = "obc-gdpr-ult-1.1.0"
TODAY = date(2026, 5, 4)
RECORD = "participant_id\tstate\tform\tfrom\tthen\trecorded\n"


def records(*rows: tuple[str, str] | tuple[str, str, str]) -> bytes:
    """Records of ``(participant, state)`` or ``(participant, state, then)``, a day apart."""
    days = {"given": "2026-01-01", "refused": "2026-01-01", "withdrawn": "2026-03-01"}
    lines = []
    for participant, state, *then in rows:
        form = FORM if state == "given" else "n/a"
        depth = then[0] if then else ("stop-sharing" if state == "withdrawn" else "n/a")
        day = days[state]
        lines.append(f"{participant}\t{state}\t{form}\t{day}\t{depth}\t{day}\n")
    return (RECORD + "".join(lines)).encode()


def consent(dataset: Path, *rows: tuple[str, ...]) -> None:
    """Import records and compile them onto keys."""
    import_consent(Checkout(dataset), records(*rows), "records.tsv", today=TODAY)


def bare(path: Path) -> Path:
    """An empty bare repository."""
    path.parent.mkdir(parents=True, exist_ok=True)
    run(path.parent, "git", "init", "--quiet", "--bare", "--initial-branch=main", path.name)
    return path


def add_path(dataset: Path, name: str, policy: str) -> Path:
    """A declared sibling in a bare repository beside the dataset."""
    place = bare(dataset.parent / f"{name}.git")
    run(dataset, "git", "remote", "add", name, str(place))
    declare(Checkout(dataset), name, policy)
    return place


def add_ria(dataset: Path, name: str, policy: str) -> Path:
    """A declared sibling in a RIA store; returns its git half."""
    store = dataset.parent / f"{name}.ria"
    run(
        dataset,
        *("datalad", "create-sibling-ria", "-s", name, "--new-store-ok", f"ria+file://{store}"),
    )
    declare(Checkout(dataset), name, policy)
    return next(p.parent for p in store.glob("*/*/HEAD"))


def publish(dataset: Path, name: str, **options: Any) -> list[Any]:
    """Publish in this process; the reports."""
    options.setdefault("at", TODAY)
    return list(Publication(Checkout(dataset), name, Options(**options)).run())


def keys_at(sibling: Path) -> set[str]:
    """Keys whose content lies below ``annex/objects``, each with the size it tells.

    A git-annex that was killed while it dropped leaves its empty lock file beside.
    """
    found = set()
    for directory in (sibling / "annex/objects", sibling / ".git/annex/objects"):
        for parent, _, files in os.walk(directory):
            for name in files:
                size = os.path.getsize(os.path.join(parent, name))
                if name.endswith(".lck") and not size:
                    continue
                assert f"-s{size}-" in name, f"{name} has {size} bytes"
                found.add(name)
    return found


def keys_of(dataset: Path, *starts: str, commit: str = "HEAD") -> set[str]:
    """Annex keys of the paths that start with one of ``starts``, as the tree tells them."""
    found = set()
    for line in run(dataset, "git", "ls-tree", "-r", "-z", commit).split("\0"):
        head, _, path = line.partition("\t")
        if not path.startswith(starts) or " blob " not in head:
            continue
        text = run(dataset, "git", "cat-file", "blob", head.split(" ")[2])
        if "annex/objects/" in text and len(text) < 1000:
            found.add(text.strip().rpartition("/")[2])
    return found


def tree_of(sibling: Path, ref: str = "main", *, events: bool = True) -> dict[str, str]:
    """Path -> mode and object id of a branch; ``events`` says whether events count."""
    found = {}
    for line in run(sibling, "git", "ls-tree", "-r", "-z", ref).split("\0"):
        head, _, path = line.partition("\t")
        if path and (events or not path.startswith(".datalad/mrishare/events/")):
            found[path] = head
    return found


def locations(repo: Path, ref: str = "git-annex") -> dict[str, set[str]]:
    """Key -> uuids that have it, as the git-annex branch tells; read line by line."""
    found: dict[str, set[str]] = {}
    for path in tree_of(repo, ref):
        if path.count("/") != 2 or not path.endswith(".log"):
            continue
        latest: dict[str, tuple[float, str]] = {}
        for line in run(repo, "git", "cat-file", "blob", f"{ref}:{path}").splitlines():
            stamp, present, uuid = line.split(" ", 2)
            latest[uuid] = max(latest.get(uuid, (0.0, "")), (float(stamp.rstrip("s")), present))
        found[path.rpartition("/")[2][:-4]] = {u for u, (_, p) in latest.items() if p == "1"}
    return {key: uuids for key, uuids in found.items() if uuids}


def objects(dataset: Path) -> dict[str, tuple[int, int]]:
    """Annexed object -> inode and mode, as they are on disk."""
    found = {}
    for parent, _, files in os.walk(dataset / ".git/annex/objects"):
        for name in files:
            seen = os.lstat(os.path.join(parent, name))
            found[name] = (seen.st_ino, seen.st_mode)
    return found


def lent(dataset: Path, name: str) -> set[str]:
    """Files that the release repository still holds of the steward's annex."""
    return keys_at(dataset / ".git/mrishare" / name)


def told(dataset: Path, to: str = "mir", *, code: int = 0, **options: Any) -> list[dict[str, Any]]:
    """The same from Python, which is faster: ``code`` is what the exit code would be."""
    from datalad.api import mrishare_publish

    quiet = {"result_renderer": "disabled", "on_failure": "ignore"}
    records = mrishare_publish(to=to, dataset=dataset, **options, **quiet)
    assert int(any(r["status"] in ("error", "impossible") for r in records)) == code, records
    return list(records)


def units(records: list[dict[str, Any]]) -> dict[str, str]:
    """Unit -> outcome."""
    return {r["unit"]: r["outcome"] for r in records if "unit" in r}
