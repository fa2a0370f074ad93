"""Registering runs nothing that the folder, repository or dataset contains."""

from __future__ import annotations

from pathlib import Path

import pytest
from builders import annexed, run

from datalad_mrishare.sources.register import register

HOOKS = """pre-commit commit-msg post-commit post-checkout post-merge pre-push post-index-change
reference-transaction post-rewrite prepare-commit-msg pre-auto-gc fsmonitor-watchman""".split()


@pytest.fixture
def alarm(tmp_path: Path) -> Path:
    """A program that leaves a mark when it is run; the mark is ``alarm.rang``."""
    program = tmp_path / "alarm"
    program.write_text(f'#!/bin/sh\necho "$0 $@" >> {tmp_path}/alarm.rang\ncat\nexit 0\n')
    program.chmod(0o755)
    return program


def rang(alarm: Path) -> str:
    mark = alarm.with_name("alarm.rang")
    return mark.read_text() if mark.exists() else ""


def arm(path: Path, alarm: Path) -> None:
    """Everything in a repository that git or git-annex could be made to run."""
    for name in HOOKS:
        hook = path / ".git/hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_bytes(alarm.read_bytes())
        hook.chmod(0o755)
    settings = {
        "core.fsmonitor": alarm,
        "core.editor": alarm,
        "core.pager": alarm,
        "core.askPass": alarm,
        "core.sshCommand": alarm,
        "gpg.program": alarm,
        "commit.gpgSign": "true",
        "filter.evil.clean": alarm,
        "filter.evil.smudge": alarm,
        "filter.evil.process": alarm,
        "filter.annex.clean": alarm,
        "filter.annex.smudge": alarm,
        "filter.annex.process": alarm,
        "diff.external": alarm,
        "diff.evil.textconv": alarm,
        "merge.evil.driver": alarm,
        "uploadpack.packObjectsHook": alarm,
        "annex.freezecontent-command": alarm,
        "annex.thawcontent-command": alarm,
        "remote.evil.url": f"ext::{alarm}",
        "remote.evil.annex-ssh-options": alarm,
    }
    for name, value in settings.items():
        run(path, "git", "config", name, str(value))
    (path / ".gitattributes").write_text("* filter=evil diff=evil merge=evil\n")


def furnish(tree: Path, alarm: Path) -> None:
    """Files that tools of the family would act on."""
    (tree / ".gitattributes").write_text("* filter=evil diff=evil\n*.json filter=lfs\n")
    (tree / ".gitmodules").write_text(
        f'[submodule "x"]\n\tpath = x\n\turl = ext::{alarm}\n\tupdate = !{alarm}\n'
    )
    (tree / ".datalad").mkdir(exist_ok=True)
    with (tree / ".datalad/config").open("a") as config:
        config.write(
            f'[datalad "procedures.cfg_x"]\n\tcall-format = {alarm}\n'
            '[datalad "mrishare-register"]\n\tproc-pre = cfg_x\n\tproc-post = cfg_x\n'
            '[datalad "result-hook.x"]\n\tmatch-json = {}\n'
            '\tcall-json = run_procedure {"spec": "cfg_x"}\n'
        )


def test_a_folder(bids_tree: Path, alarm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    furnish(bids_tree, alarm)
    # what git-lfs installs: a filter in the user's own configuration
    for number, (name, value) in enumerate(
        {"filter.lfs.process": alarm, "filter.evil.clean": alarm}.items()
    ):
        monkeypatch.setenv(f"GIT_CONFIG_KEY_{number}", name)
        monkeypatch.setenv(f"GIT_CONFIG_VALUE_{number}", str(value))
    monkeypatch.setenv("GIT_CONFIG_COUNT", "2")
    run(bids_tree, "git", "init", "-q", "sub-01/nested")
    arm(bids_tree / "sub-01/nested", alarm)
    (bids_tree / "sub-02/gitfile").mkdir()
    (bids_tree / "sub-02/gitfile/.git").write_text("gitdir: ../../sub-01/nested/.git\n")
    alarm.with_name("alarm.rang").unlink(missing_ok=True)
    report = register(bids_tree)
    register(bids_tree)
    assert rang(alarm) == ""
    assert {f.path for f in report.findings if f.kind == "nested-repository"} == {
        "sub-01/nested",
        "sub-02/gitfile",
    }
    assert len(annexed(bids_tree)) == 8


@pytest.mark.parametrize("copied", [False, True], ids=["in place", "copy"])
def test_a_repository(copied: bool, bids_tree: Path, alarm: Path, tmp_path: Path) -> None:
    register(bids_tree)
    run(bids_tree, "git", "annex", "unlock", "sub-01")
    run(bids_tree, "git", "commit", "-q", "-m", "unlocked")
    furnish(bids_tree, alarm)
    arm(bids_tree, alarm)
    (bids_tree / "sub-02/anat/sub-02_T2w.json").write_text("{}")
    alarm.with_name("alarm.rang").unlink(missing_ok=True)
    report = register(tmp_path / "copy", bids_tree) if copied else register(bids_tree)
    assert rang(alarm) == ""
    assert report.changed
    # the alarm works: plain git sets it off
    run(bids_tree, "git", "status", ok=(0, 1, 128))
    assert rang(alarm) != ""


def test_a_subdataset_is_not_looked_into(registered: Path, alarm: Path) -> None:
    run(registered, "datalad", "create", "-d", ".", "code/sub")
    arm(registered / "code/sub", alarm)
    alarm.with_name("alarm.rang").unlink(missing_ok=True)
    report = register(registered)
    assert rang(alarm) == "" and not report.findings
    run(registered, "git", "status", ok=(0, 1, 128))
    assert rang(alarm) != ""


def test_images_are_annexed_whatever_the_folder_says(bids_tree: Path) -> None:
    (bids_tree / ".gitattributes").write_text("* annex.largefiles=nothing\n")
    register(bids_tree)
    assert len(annexed(bids_tree)) == 8


@pytest.mark.parametrize("name", [".datalad", ".gitattributes", ".datalad/mrishare"])
def test_no_writing_through_links(name: str, bids_tree: Path, tmp_path: Path) -> None:
    from datalad_mrishare.errors import InputError

    outside = tmp_path / "outside"
    outside.mkdir()
    (bids_tree / name).parent.mkdir(exist_ok=True)
    (bids_tree / name).symlink_to(outside)
    with pytest.raises(InputError, match="symbolic link"):
        register(bids_tree)
    assert not list(outside.iterdir()) and not (bids_tree / ".git").exists()
