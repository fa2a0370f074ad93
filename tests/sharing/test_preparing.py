"""What goes on beside a run is at an end before its lock is given up."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from datalad_mrishare.repo.worktree import Checkout
from datalad_mrishare.sharing.planning import Options
from datalad_mrishare.sharing.preparing import Preparation


@pytest.mark.parametrize("error", [None, KeyboardInterrupt, ValueError])
def test_nothing_goes_on_after_it(tmp_path: Path, error: type[BaseException] | None) -> None:
    preparation, ended = Preparation(Checkout(tmp_path), "mir", Options()), []

    def slowly(fails: bool) -> None:
        time.sleep(0.3)
        ended.append(fails)
        if fails:
            raise OSError("the sibling went away")

    def run() -> None:
        with preparation.at_an_end():
            for fails in (True, False):
                preparation._meanwhile(lambda fails=fails: slowly(fails))
            if error:
                raise error

    if error:
        with pytest.raises(error):
            run()
    else:
        run()
    assert sorted(ended) == [False, True]
