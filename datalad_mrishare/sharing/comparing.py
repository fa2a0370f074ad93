"""Comparing what lies at a sibling with its checksums, and what of it has to be sent anew."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..repo.checksum import NOT_VERIFIED, Checked
from ..repo.keys import find_object, matches_key
from .plans import Plan
from .reports import ChecksumReport
from .stores import Store


@dataclass(frozen=True)
class Found:
    """What was compared, ``damaged`` keys that are gone there now, those that are ``here``.

    ``failed`` are keys that are there and could not be compared, with the reason.
    """

    checked: Sequence[Checked]
    damaged: tuple[str, ...]
    here: tuple[str, ...]
    failed: dict[str, str]


@dataclass(frozen=True)
class Comparison:
    """Compares what ``store`` has; ``objects`` are those of the steward's annex."""

    store: Store
    objects: Path
    plan: Plan
    pass_fds: Sequence[int]

    def look(self) -> Found:
        """Compare; what is damaged is dropped there."""
        store = self.store
        checked = store.compare(self.pass_fds)
        wrong = {c.key: c.note for c in checked if not c.ok}
        there = store.check(wrong)
        left = [k for k in wrong if there[k]]
        # what it had to fetch over ssh git-annex leaves there, damaged as it is
        bad = [k for k in left if NOT_VERIFIED in wrong[k] and find_object(self.objects, k)]
        if len(bad) < len(left) and store.reads_encrypted():
            # damaged as it is nobody can decrypt it, and so git-annex could not fetch it
            bad += [k for k in left if k not in bad and self._sound_here(k)]
        there |= {m.key: not m.ok for m in store.drop(bad, self.pass_fds)}
        failed = {k: f"could not be compared: {wrong[k]}" for k in wrong if there[k]}
        damaged = tuple(k for k in wrong if not there[k])
        may = (k for k in damaged if k in self.plan.keys)
        here = tuple(k for k in may if find_object(self.objects, k))
        return Found(checked, damaged, here, failed)

    def _sound_here(self, key: str) -> bool:
        """Whether this dataset has the content, and it is what the key says."""
        here = find_object(self.objects, key)
        return here is not None and matches_key(here, key)

    def report(self, found: Found, arrived: Collection[str]) -> tuple[ChecksumReport, set[str]]:
        """What is told of it, and the keys that are there no more."""
        failed = dict(found.failed)
        lost = {k for k in found.damaged if k not in arrived or k in failed}
        failed |= {k: "damaged, and there is no content here" for k in lost if k not in failed}
        units = (u for u in self.plan.units if not set(found.damaged).isdisjoint(u.keys))
        without = sum(c.ok and not c.compared for c in found.checked)
        names, compared = tuple(u.name for u in units), len(found.checked) - without
        return ChecksumReport(compared, without, found.damaged, names, failed), lost
