"""A RIA store behind ssh: shared, kept, and what its URL may not tell."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from builders import run
from mirrors import consent, publish
from servers.ssh import Sshd
from siblings.life import Kind, keep, live, share

from datalad_mrishare.errors import SiblingError
from datalad_mrishare.repo.remotes import remotes
from datalad_mrishare.repo.worktree import Checkout
from datalad_mrishare.sharing.siblings import declare


def create(dataset: Path, sshd: Sshd, url: str | None = None) -> Kind:
    """A store with the dataset's place in it, made by DataLad."""
    where = url or f"ria+{sshd.url('store')}"
    run(dataset, "datalad", "create-sibling-ria", "-s", "mir", "--new-store-ok", where)
    dataset_id = run(dataset, "git", "config", "-f", ".datalad/config", "datalad.dataset.id")
    clone = ["datalad", "clone", f"ria+{sshd.url('store')}#{dataset_id.strip()}"]
    store = sshd.root / "store"
    return Kind(dataset, store, lambda: held(store), lambda: clone, ("datalad", "get", "."))


def held(store: Path) -> set[str]:
    """Keys whose content lies in the store."""
    return {
        name for parent, _, names in os.walk(store) if "/annex/objects/" in parent for name in names
    }


@pytest.mark.slow
def test_shared(registered: Path, sshd: Sshd) -> None:
    share(create(registered, sshd))


@pytest.mark.slow
def test_shared_and_taken_back(registered: Path, sshd: Sshd) -> None:
    live(create(registered, sshd))


@pytest.mark.slow
def test_own_storage(registered: Path, sshd: Sshd) -> None:
    keep(create(registered, sshd), "mir", "mir-storage")


@pytest.mark.slow
def test_what_is_refused(registered: Path, sshd: Sshd) -> None:
    kind = create(registered, sshd)
    key = run(registered, "git", "annex", "lookupkey", "sub-01/anat/sub-01_T1w.nii.gz").strip()
    run(registered, "git", "annex", "copy", f"--key={key}", "--to", "mir-storage")
    with pytest.raises(SiblingError, match=r"is not empty .*annexed content"):
        declare(Checkout(registered), "mir", "institution")
    run(registered, "git", "annex", "drop", "--force", f"--key={key}", "--from", "mir-storage")
    consent(registered, ("sub-01", "given"))
    declare(Checkout(registered), "mir", "institution")
    for command in ("git annex copy --to mir-storage sub-01", "datalad push --to mir"):
        run(registered, *command.split(), ok=(1,))
    sshd.stop()
    with pytest.raises(SiblingError, match="refuses connections"):
        publish(registered, "mir")
    assert held(kind.directory) == set()


@pytest.mark.slow
def test_an_account_in_the_url_of_a_store_would_be_told(registered: Path, sshd: Sshd) -> None:
    user = run(registered, "ssh", sshd.alias, "id", "-un").strip()
    create(registered, sshd, f"ria+{sshd.url('store')}".replace("//", f"//{user}@", 1))
    with pytest.raises(SiblingError, match="names an account"):
        declare(Checkout(registered), "mir", "institution")
    assert set(remotes(registered)) == {"mir", "mir-storage"}
