"""What was typed may tell names, hosts and people: the scrubbers, with what must never pass."""

from __future__ import annotations

import pytest

from datalad_mrishare.privacy.commands import Wording, scrub, tool_of
from datalad_mrishare.sharing.releases import Mentions

ROOT = "/srv/hospital/study"
CANARIES = (
    "jdoe",
    "jane",
    "doe",
    "node17",
    "hospital",
    "sub-02",
    "02",
    "1970",
    "hunter2",
    "kerstin",
    "12",
)
COMMANDS = (
    "/home/jdoe/bin/bet sub-01/anat/sub-01_T1w.nii.gz -o out",
    "python /home/jdoe/jane.py sub-01/anat/sub-01_T1w.nii.gz",
    "./jane_doe.sh -o out",
    "ssh jdoe@node17.hospital.de:/data run",
    "mean sub-01/anat/sub-01_T1w.nii.gz sub-02/anat/sub-02_T1w.nii.gz -n 12 -o out",
    "mean SUB-02 Sub-02 xsub-02x --sub-02 --label=sub-02 --label sub-02 -lsub-02",
    "fmriprep --participant-label 01 02 --participant-label=02 -p02",
    "curl https://jdoe:hunter2@node17/api?name=jane",
    "TOKEN=hunter2 NAME='Jane Doe' bet --password hunter2 --password=hunter2",
    "bash -c 'cd /home/jdoe && bet sub-02 in && mail jdoe@hospital.de'",
    "bet {inputs[12]} {inputs} {outputs} ~jdoe/x C:\\Users\\jdoe\\x file:///home/jdoe",
    "bet 'unclosed jane doe",
    "bet\nkerstin\n--date 1970-05-03\tjane",
    "bet --comment='for kerstin, born 1970' -pjane -jane --jdoe@node17",
    "bet ../../home/jdoe/x sub-01/../../jdoe ./sub-02 sub-*/anat/jane*",
    "jane@node17",
    "",
    "bet \0jane",
)
RELEASED = ("sub-01/anat/sub-01_T1w.nii.gz", "out/mean.nii.gz", "README")


def wording() -> Wording:
    names = Mentions(["sub-01", "sub-02"], ["sub-01"])
    return Wording(RELEASED, names.found)


@pytest.mark.parametrize("command", COMMANDS)
def test_no_canary_passes_to_a_sibling(command: str) -> None:
    told = wording().command(command)
    for word in CANARIES:
        assert word not in told.lower(), told
    assert "/home" not in told and "@" not in told and "\n" not in told


def test_what_a_sibling_is_told_of_a_command() -> None:
    told = wording().command(
        "N=4 /usr/bin/bet ./sub-01/anat/sub-01_T1w.nii.gz sub-02/anat/sub-02_T1w.nii.gz"
        " --out=out/mean.nii.gz -f 0.5 --robust {outputs} out"
    )
    assert told == (
        "bet sub-01/anat/sub-01_T1w.nii.gz --out=out/mean.nii.gz -f --robust {outputs} out"
    )


def test_a_withheld_participant_leaves_no_trace_in_a_command() -> None:
    both = "mean sub-01/anat/sub-01_T1w.nii.gz sub-02/anat/sub-02_T1w.nii.gz -o out"
    one = "mean sub-01/anat/sub-01_T1w.nii.gz -o out"
    assert wording().command(both) == wording().command(one) == one


@pytest.mark.parametrize(
    ("software", "told"),
    [
        (".datalad/environments/fmriprep/image", ("fmriprep", "", True)),
        (
            "code/containers/images/bids/bids-fmriprep--20.2.0.sing",
            ("bids-fmriprep", "20.2.0", True),
        ),
        ("docker://registry.hospital.de/jdoe/fmriprep:24.1.1", ("fmriprep", "24.1.1", True)),
        ("nipreps/mriqc@sha256:0123abcd", ("mriqc", "", True)),
        ("/home/jdoe/images/xcp.sif", ("xcp", "", True)),
        ("fMRIPrep 24.1.1", ("fMRIPrep", "24.1.1", False)),
        ("FSL v6.0.5:b3", ("FSL", "6.0.5:b3", False)),
        ("3dvolreg", ("3dvolreg", "", False)),
    ],
)
def test_software_is_told_by_name_and_version(software: str, told: tuple[str, str, bool]) -> None:
    assert tuple(tool_of(software)) == told
    assert wording().tool(software) == tool_of(software)


@pytest.mark.parametrize(
    "software",
    [
        *("jdoe@node17", "node17.hospital.de", "sub-02", "fix-sub-02", "02", "tool\nkerstin", ""),
        *("written by Jane Doe <jane@x.de>", "tool sub-02", "tool 1.0-sub-02", "/home/jdoe/"),
        *(".datalad/environments/sub-02/image", "a" * 200, "\udcff", "http://node17/"),
    ],
)
def test_software_that_may_tell_something_is_not_told(software: str) -> None:
    assert wording().tool(software) is None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("bet /srv/hospital/study/sub-01/x.nii out", "bet sub-01/x.nii out"),
        ("bet '/srv/hospital/study/sub-01/x.nii'", "bet 'sub-01/x.nii'"),
        ("cd /srv/hospital/study", "cd ."),
        ("bet /srv/hospital/study2/x", "bet [path]"),
        ("/home/jdoe/bin/bet -i/home/jdoe/x --in=/home/jdoe/x", "[path] -i[path] --in=[path]"),
        ("bet '/home/Jane Doe/x' /home/Jane\\ Doe/x out", "bet '[path]' [path] out"),
        ("/usr/bin/bet /bin/sh", "bet sh"),
        ("~/bin/x ~jdoe/x C:\\Users\\jdoe\\x \\\\server\\share", "[path] [path] [path] [path]"),
        ("file:///home/jdoe/x", "[path]"),
        ("PATH=/home/jdoe/bin:/opt/x:$PATH x", "PATH=[path]:[path]:$PATH x"),
        ("mail jane.doe@uni.de, jdoe@node17:/data/x", "mail [address], [address]"),
        ("<Jane.Doe@uni.de>", "<[address]>"),
        ("curl https://jdoe:hunter2@host/a/b?token=z", "curl https://host/a/b"),
        ("docker://nipreps/fmriprep:1@sha256:ab", "docker://nipreps/fmriprep:1@sha256:ab"),
        (
            "bet sub-02/anat/x.nii -f 0.5 a/b 1/2 and/or",
            "bet sub-02/anat/x.nii -f 0.5 a/b 1/2 and/or",
        ),
        ("../inputs/x ./y {inputs}/z $HOME/x", "../inputs/x ./y {inputs}/z $HOME/x"),
        ("awk '/home/ {print}' (/home/jdoe)", "awk '[path]' ([path])"),
    ],
)
def test_the_steward_is_told_no_address_and_no_path_of_the_machine(text: str, told: str) -> None:
    assert scrub(text, (ROOT,)) == told
    assert scrub(told, (ROOT,)) == told


def test_long_texts_do_not_take_long() -> None:
    for text in ("a@" * 50_000, "/" * 100_000, "'/" * 50_000, "https://" * 20_000, "-" * 100_000):
        scrub(text, (ROOT,))
        wording().command(text)
