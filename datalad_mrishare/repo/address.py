"""Where a sibling is: its git half, and the content beside it or inside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .contentonly import is_content_only, storage_place
from .remotes import Place, place_of


@dataclass(frozen=True)
class Address:
    """Where a sibling is: its git half, and the special remote that holds its content.

    ``storage`` are the settings of ``git annex initremote`` with ``name`` and ``uuid``, or
    None when the git half holds the content itself. Storage without a git half has one
    through git-remote-annex: ``url`` is what a stranger clones.
    """

    url: str
    storage: Mapping[str, str] | None = None

    @property
    def content_only(self) -> bool:
        """Whether the git half lies in the storage."""
        return self.storage is not None and is_content_only(self.url)

    @property
    def of_files(self) -> bool:
        """Whether files lie there under their own names (``exporttree=yes``)."""
        return (self.storage or {}).get("exporttree") == "yes"

    def place(self, base: Path) -> Place | None:
        """The sibling's directory, here or behind ssh; None where there is none."""
        if self.storage is not None and self.content_only:
            return storage_place(self.storage, base)
        return place_of(self.url, base)

    def storage_place(self, base: Path) -> Place | None:
        """The directory of the special remote; None where it is none or not in one."""
        return storage_place(self.storage, base) if self.storage else None
