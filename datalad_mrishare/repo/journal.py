"""The keys under way to a sibling, so that a run that is killed is found out about."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from .worktree import write_file


class Journal:
    """The keys under way to a sibling, on disk before the first of them moves."""

    def __init__(self, path: Path):
        self._path = path

    def exists(self) -> bool:
        """Whether a run has not come to its end."""
        return self._path.exists()

    def read(self) -> list[str]:
        """The keys, none when there is no journal."""
        if not self._path.exists():
            return []
        return list(json.loads(self._path.read_text(encoding="utf-8")))

    def add(self, keys: Sequence[str]) -> None:
        """Note keys in addition to those there."""
        together = sorted({*self.read(), *keys})
        write_file(self._path, json.dumps(together).encode("utf-8"))

    def replace(self, keys: Sequence[str]) -> None:
        """Note these and no others."""
        self.remove()
        if keys:
            self.add(keys)

    def remove(self) -> None:
        """Forget it: all is known and written down elsewhere."""
        self._path.unlink(missing_ok=True)
