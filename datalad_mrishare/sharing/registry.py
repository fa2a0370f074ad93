"""Where the registry lives and how it is read and added to.

In the dataset (``.datalad/mrishare/``), or in the directory that the *user's* git
configuration names as ``datalad.mrishare.registry``; a dataset cannot redirect it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..consent.forms import load_forms
from ..consent.records import Record, format_records, parse_registry
from ..consent.resolution import Registry
from ..errors import InputError, Refused
from ..repo.events import DIRECTORY as EVENTS
from ..repo.process import git, git_succeeds, git_text
from ..repo.worktree import Checkout, changed_files, write_file

OURS = ".datalad/mrishare"
FORMS_FILE = f"{OURS}/forms.yaml"
RECORDS_FILE = f"{OURS}/consent.tsv"


def outside_registry(checkout: Checkout) -> Path | None:
    """The directory outside the dataset that holds forms and records, if one is configured."""
    found = git_text(checkout.path, "config", "--get", "datalad.mrishare.registry", ok=(0, 1))
    return (checkout.path / Path(found).expanduser()) if found else None


def outside_digest(checkout: Checkout) -> str:
    """A word for what a registry outside holds; empty where there is none."""
    outside = outside_registry(checkout)
    if outside is None:
        return ""
    digest = hashlib.sha256()
    for name in (FORMS_FILE, RECORDS_FILE):
        file = outside / Path(name).name
        content = file.read_bytes() if file.is_file() else b""
        digest.update(b"%d " % len(content) + content)
    return digest.hexdigest()


def read_file_at(checkout: Checkout, commit: str, path: str) -> bytes | None:
    """A file in git at a commit, or None."""
    if not git_succeeds(checkout.path, "cat-file", "-e", f"{commit}:{path}"):
        return None
    return git(checkout.path, "cat-file", "blob", f"{commit}:{path}")


def load_registry(checkout: Checkout, commit: str | None) -> Registry:
    """Forms and records as of ``commit`` (an outside registry: as they are now).

    Raises
    ------
    InputError
        When they cannot be understood: then nothing may be decided.
    """
    outside = outside_registry(checkout)
    read: Callable[[str], str | None]
    if outside is not None:
        if not outside.is_dir():
            raise InputError(
                "the registry is not there",
                where=str(outside),
                remedy="Mount it, or correct the git configuration datalad.mrishare.registry",
            )

        def read(path: str) -> str | None:
            file = outside / Path(path).name
            return _text(file.read_bytes(), str(file)) if file.is_file() else None
    else:

        def read(path: str) -> str | None:
            content = read_file_at(checkout, commit, path) if commit else None
            return None if content is None else _text(content, path)

    forms = load_forms(read(FORMS_FILE), FORMS_FILE)
    text = read(RECORDS_FILE)
    records = parse_registry(text, RECORDS_FILE, forms=forms) if text else ()
    return Registry(forms, tuple(records))


def _text(content: bytes, where: str) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as exc:
        raise InputError(f"is not UTF-8 (byte {exc.start})", where=where) from exc


def save_records(checkout: Checkout, records: tuple[Record, ...], message: str) -> str | None:
    """Write the records where the registry lives; commit when that is in the dataset."""
    data = format_records(records).encode("utf-8")
    outside = outside_registry(checkout)
    if outside is not None:
        write_file(outside / Path(RECORDS_FILE).name, data)
        return None
    return checkout.commit_files({RECORDS_FILE: data}, message)


@dataclass(frozen=True)
class Uncommitted:
    """Files of ours that differ from what is committed."""

    paths: tuple[str, ...]

    def refuse(self) -> None:
        """Raise :class:`Refused` when there are any: a decision may be in them."""
        if self.paths:
            raise Refused(
                "has changes that are not committed, and what is not committed is not heeded",
                where=", ".join(self.paths),
                remedy="Commit them (datalad save) or undo them, then run this again",
            )


def uncommitted(checkout: Checkout) -> Uncommitted:
    """Look for changes below ``.datalad/mrishare`` that are not committed.

    Events do not count: nothing is decided by them, and another command may be about to
    commit one.
    """
    changed = changed_files(checkout.path, OURS, f":(exclude){EVENTS}")
    return Uncommitted(tuple(path for _, path in changed))
