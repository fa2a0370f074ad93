"""What a policy demands of a sibling beside its grant: an agreement, encryption."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from builders import run
from leaks import scanner
from mirrors import add_path, bare, consent, keys_at, keys_of, publish, tree_of
from servers.gpg import Keys

from datalad_mrishare.errors import SiblingError
from datalad_mrishare.repo.remotes import remotes
from datalad_mrishare.repo.worktree import Checkout
from datalad_mrishare.sharing.reports import ProblemReport
from datalad_mrishare.sharing.siblings import declare

AGREEMENT = "dua: {reference: Agreement-2026-017, until: 2027-01-01}"


def policy(dataset: Path, preset: str, *lines: str) -> str:
    """A policy file that changes a preset."""
    path = dataset.parent / "policy.yaml"
    path.write_text("\n".join((f"policy: {preset}", *lines)) + "\n")
    return str(path)


def refusals(reports: list[Any]) -> list[str]:
    """The sentences, each with its remedy."""
    return [f"{r.what}. {r.remedy}" for r in reports if isinstance(r, ProblemReport)]


def test_no_agreement_then_one_then_one_that_has_ended(registered: Path) -> None:
    place = add_path(registered, "mir", policy(registered, "institution", "dua: required"))
    consent(registered, ("sub-01", "given"))
    for options in ({}, {"dry_run": True}):
        (said,) = refusals(publish(registered, "mir", **options))
        assert "names none" in said and "mrishare-sibling mir --policy" in said
    assert keys_at(place) == set()

    declare(Checkout(registered), "mir", policy(registered, "institution", AGREEMENT))
    (said,) = refusals(publish(registered, "mir", at=date(2027, 1, 1)))
    assert "Agreement-2026-017 holds no longer (until 2027-01-01)" in said
    assert keys_at(place) == set()
    assert publish(registered, "mir", at=date(2026, 12, 31))[-1].complete
    assert len(keys_at(place)) == 2
    assert scanner.scan(place, ["Agreement-2026-017", "2027-01-01"]) == {}

    (said,) = refusals(publish(registered, "mir", at=date(2027, 1, 2)))
    renewed = "dua: {reference: Agreement-2027-001, until: open}"
    declare(Checkout(registered), "mir", policy(registered, "institution", renewed))
    assert refusals(publish(registered, "mir", at=date(2027, 1, 2))) == []


@pytest.mark.slow
def test_a_withdrawal_does_not_wait_for_an_agreement(registered: Path) -> None:
    place = add_path(registered, "mir", policy(registered, "institution", AGREEMENT))
    consent(registered, ("sub-01", "given"), ("sub-02", "given"))
    publish(registered, "mir", at=date(2026, 12, 31))
    assert len(keys_at(place)) == 4
    consent(registered, ("sub-02", "withdrawn"), ("sub-03", "given"))
    ended = date(2027, 1, 1)
    publish(registered, "mir", at=ended, dry_run=True)
    assert len(keys_at(place)) == 4
    reports = publish(registered, "mir", at=ended)
    assert refusals(reports)
    assert keys_at(place) == keys_of(registered, "sub-01")
    path = reports[-1].event
    assert path is not None and reports[-1].changed
    event = json.loads((registered / path).read_text())
    assert (event["keys_taken_back"], event["keys_sent"], event["units_sent"]) == (2, 0, [])
    assert publish(registered, "mir", at=ended)[-1:] != reports[-1:]
    # and once there is one again, the rest follows
    declare(Checkout(registered), "mir", policy(registered, "institution"))
    assert publish(registered, "mir", at=ended)[-1].complete
    assert keys_at(place) == keys_of(registered, "sub-01", "sub-03")
    assert not any(path.startswith("sub-02") for path in tree_of(place))


def test_storage_that_is_not_encrypted(registered: Path, tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    run(
        registered,
        *("git", "annex", "initremote", "plain", "type=directory"),
        *(f"directory={tmp_path / 'store'}", "encryption=none"),
    )
    run(registered, "git", "remote", "add", "mir", str(bare(tmp_path / "mir.git")))
    for name in ("plain", "mir"):
        for preset in ("backup", "institution"):
            demanded = policy(registered, preset, "encryption: required")
            with pytest.raises(SiblingError, match="demands encryption") as caught:
                declare(Checkout(registered), name, demanded)
            assert "encryption=hybrid" in (caught.value.remedy or "")
    assert remotes(registered).keys() == {"plain", "mir"}
    assert not (registered / ".datalad/mrishare/siblings.yaml").exists()


@pytest.mark.parametrize("preset", ["backup", "institution"])
def test_a_policy_that_was_edited_by_hand(registered: Path, preset: str) -> None:
    place = add_path(registered, "mir", preset)
    consent(registered, ("sub-01", "given"))
    file = registered / ".datalad/mrishare/siblings.yaml"
    file.write_text(file.read_text() + "    encryption: required\n")
    run(registered, "git", "commit", "--quiet", "-m", "encrypt", str(file))
    (said,) = refusals(publish(registered, "mir"))
    assert "demands encryption" in said and "encryption=hybrid" in said
    assert keys_at(place) == set()


def test_own_storage_that_is_encrypted(registered: Path, tmp_path: Path, gpg: Keys) -> None:
    place = tmp_path / "store"
    place.mkdir()
    words = ("type=directory", f"directory={place}", "encryption=hybrid", f"keyid={gpg.steward}")
    run(registered, "git", "annex", "initremote", "mir", *words)
    declare(Checkout(registered), "mir", policy(registered, "backup", "encryption: required"))
    assert publish(registered, "mir")[-1].complete
    assert len([p for p in place.rglob("GPGHMAC*") if p.is_file()]) > 0


@pytest.mark.slow
def test_the_key_beside_the_content(registered: Path, tmp_path: Path, gpg: Keys) -> None:
    """A RIA store encrypted with ``shared``: whoever has the store has the key, too."""
    store = tmp_path / "ria"
    url = f"ria+file://{store}"
    run(registered, "datalad", "create-sibling-ria", "-s", "mir", "--new-store-ok", url)
    run(registered, "git", "config", "remote.mir.datalad-publish-depends", "sec")
    identity = run(registered, "git", "config", "-f", ".datalad/config", "datalad.dataset.id")
    words = ("type=external", "externaltype=ora", f"url={url}", f"archive-id={identity.strip()}")
    run(registered, "git", "annex", "initremote", "sec", *words, "encryption=shared")
    for preset in ("backup", "institution"):
        demanded = policy(registered, preset, "encryption: required")
        with pytest.raises(SiblingError, match="key to it lies beside the content"):
            declare(Checkout(registered), "mir", demanded)
