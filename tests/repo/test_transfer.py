"""Each key that was asked for is told of, whatever becomes of git-annex."""

from __future__ import annotations

from pathlib import Path

from datalad_mrishare.repo.transfer import UNREPORTED, drop_keys, fetch_keys

#: more than a pipe holds
KEYS = [f"MD5E-s9--{number:032}.nii.gz" for number in range(5000)]


def test_none_is_forgotten_where_git_annex_ends_before_it_reads(registered: Path) -> None:
    for moving in (drop_keys, fetch_keys):
        moved = list(moving(registered, "nowhere", KEYS))
        assert [one.key for one in moved] == KEYS
        assert not any(one.ok for one in moved) and {one.note for one in moved} == {UNREPORTED}
