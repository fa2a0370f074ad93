"""Exports of provenance: everything for the steward, or what the release of a sibling holds.

What decides is the same list of verdicts that a publication rests on. What is written is looked
through once more for names of those who are withheld before any file is touched.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from ..consent.grants import Deid
from ..errors import InputError, Refused
from ..privacy.commands import scrub
from ..provenance.exporting import FORMATS, export_files
from ..provenance.exporting.account import MAKER, About, Account
from ..provenance.exporting.bidsprov import COLUMNS, GROUP, LISTS, TABLE
from ..provenance.exporting.telling import Permitted, tell_sibling, tell_steward
from ..repo.trees import GITLINK
from ..repo.worktree import Checkout, write_file
from .anonymous import claims_anonymous
from .explaining import decide_to_tell
from .facts import Kind
from .mentions import Mentions
from .origins import node_of
from .policies import policy_of
from .registry import read_file_at
from .snapshot import Snapshot, dataset_id, take_snapshot
from .verdicts import Verdict

_DESCRIPTION = "dataset_description.json"


@dataclass(frozen=True)
class ExportReport:
    """An export in one format: the files written, and how many files and steps they tell of."""

    form: str
    written: tuple[Path, ...]
    files: int
    steps: int


def export(
    checkout: Checkout,
    formats: Sequence[str],
    target: Path,
    sibling: str | None = None,
    *,
    at: date | None = None,
    as_recorded: bool = False,
) -> Iterator[ExportReport]:
    """Write the provenance of a dataset for others.

    Parameters
    ----------
    checkout : Checkout
        The steward's dataset.
    formats : sequence of str
        Some of :data:`~datalad_mrishare.provenance.exporting.FORMATS`.
    target : Path
        A directory; made when it is not there. Files of earlier exports in it are replaced.
    sibling : str, optional
        Tell what a release for it holds; default everything, which is for the steward.
    at : date, optional
        Decide as of this day; default today.
    as_recorded : bool
        For the steward: leave addresses and paths of the machine in commands.

    Raises
    ------
    InputError
        For an unknown format, or where something is in the way that is not ours; nothing is
        written then.
    SiblingError
        When the sibling has no policy.
    Refused
        When the export would name somebody who is withheld.
    """
    if unknown := [form for form in formats if form not in FORMATS]:
        raise InputError(
            f"{unknown[0]!r} is no format of exports",
            where="--format",
            remedy=f"There are: {', '.join(FORMATS)}",
        )
    if sibling and as_recorded:
        raise InputError(
            "commands are told as recorded to the steward only",
            where="--as-recorded",
            remedy="Leave out --to, or leave out --as-recorded",
        )
    state = take_snapshot(checkout)
    day = at or date.today()
    names = None
    if sibling:
        account, names = _for_sibling(state, sibling, at)
    else:
        account = _for_steward(state, as_recorded)
    _require_place(target)
    texts = {f: export_files(account, f, day, _table(target)) for f in dict.fromkeys(formats)}
    for form, files in texts.items():
        for name, text in files.items():
            if names is not None and (who := names.found(text)):
                raise Refused(
                    f"would name a participant who is withheld or not in the dataset: {who}",
                    where=f"{name} ({form})",
                    remedy=f"See which file it is: datalad mrishare-explain --to {sibling}",
                )
            _require_free(target, name)
    for form, files in texts.items():
        written = tuple(target / name for name in files)
        for path, text in zip(written, files.values(), strict=True):
            if path == target / COLUMNS and os.path.lexists(path):
                continue  # it may describe columns of others
            if path.is_symlink():  # an earlier export that was saved to the annex
                path.unlink()
            write_file(path, text.encode("utf-8"))
        if form == "bids-prov":
            _remove_stale(target, files)
        yield ExportReport(form, written, len(account.files), len(account.activities))


def permitted(verdicts: Sequence[Verdict], everyone: Sequence[str]) -> tuple[Permitted, Mentions]:
    """What a sibling may be told, and who may not be named to it. Pure.

    Tables are left out: a release holds them written anew, of permitted rows and columns, so what
    theirs was made from is not the origin of what is there.
    """
    there = [v.facts for v in verdicts if v.permit and v.facts.kind in (Kind.DATA, Kind.COMMONS)]
    paths: dict[str, list[str]] = {}
    anonymous: set[str] = set()
    people: set[str] = set()
    for facts in there:
        node = node_of(facts.entry)
        if node is None or _ours(facts.path):
            continue
        paths.setdefault(node, []).append(facts.path)
        if claims_anonymous(facts) or facts.clearance is Deid.ANONYMOUS:
            anonymous.add(node)
        else:
            people |= facts.participants
    names = Mentions(everyone, people)
    return Permitted(paths, frozenset(people), frozenset(anonymous), names.found), names


def _for_sibling(state: Snapshot, sibling: str, at: date | None) -> tuple[Account, Mentions]:
    verdicts = decide_to_tell(state, policy_of(state.policies, sibling), at)
    may, names = permitted(verdicts, sorted(state.participants))
    description = any(_DESCRIPTION in paths for paths in may.paths.values())
    about = _about(state, description, lambda text: text == scrub(text) and not names.found(text))
    return tell_sibling(state.lineage, may, about), names


def _for_steward(state: Snapshot, as_recorded: bool) -> Account:
    current: dict[str, list[str]] = {}
    for entry in state.entries:
        node = node_of(entry)
        if node is not None and not _ours(entry.path):
            current.setdefault(node, []).append(entry.path)
    return tell_steward(
        state.lineage,
        current,
        _about(state, True, lambda text: text == scrub(text)),
        roots=tuple(
            dict.fromkeys((str(state.checkout.path), os.path.realpath(state.checkout.path)))
        ),
        below=[entry.path for entry in state.entries if entry.mode == GITLINK],
        as_recorded=as_recorded,
    )


def _ours(path: str) -> bool:
    """Whether a file keeps a dataset together and is no data of it."""
    return path.startswith((".datalad/", ".git"))


def _about(state: Snapshot, told: bool, harmless: Callable[[str], bool]) -> About:
    """Title and licence as ``dataset_description.json`` has them, where that may be told."""
    content = read_file_at(state.checkout, state.commit, _DESCRIPTION) if told else None
    try:
        found = json.loads(content or b"{}")
    except (ValueError, RecursionError):
        found = {}
    texts = found if isinstance(found, Mapping) else {}
    title, licence = (
        text if isinstance(text := texts.get(key), str) and harmless(text) else ""
        for key in ("Name", "License")
    )
    return About(title, dataset_id(state.checkout, state.commit) or "", licence)


def _table(target: Path) -> str | None:
    """The table of provenance that is there already, ours or not."""
    path = target / TABLE
    if not os.path.lexists(path):
        return None
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        raise InputError(
            "cannot be read, so its other rows would be lost",
            where=str(path),
            remedy="Get it (datalad get) or correct it, or export to another directory",
        ) from None


def _require_place(target: Path) -> None:
    for directory in (target, target / "prov"):
        if directory.exists() and not directory.is_dir():
            what = "is not a directory"
        elif directory != target and directory.is_symlink():
            what = "leads elsewhere"
        else:
            continue
        raise InputError(what, where=str(directory), remedy="Export to another directory")


def _require_free(target: Path, name: str) -> None:
    """Whether a file is not there or is an earlier export."""
    path = target / name
    if name.startswith("prov/"):  # ours by name, or brought together with what is there
        return
    try:
        mine = MAKER.encode() in path.read_bytes()
    except FileNotFoundError:
        mine = not path.is_symlink()
    except OSError:
        mine = False
    if not mine:
        raise InputError(
            "is there already and was not written by this software",
            where=str(path),
            remedy="Export to another directory",
        )


def _remove_stale(target: Path, files: Mapping[str, str]) -> None:
    """Remove lists of an earlier export of which nothing is left to tell."""
    for suffix in LISTS:
        name = f"prov/{GROUP}_{suffix}.json"
        if name not in files:
            (target / name).unlink(missing_ok=True)
