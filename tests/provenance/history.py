"""A small history for the tests of exports, written by hand, with and without sub-02.

sub-01 and sub-03 permit, sub-02 is withheld. What must reach nobody but the steward has a
word of ``CANARIES`` in it; what must never be exported has one of ``NEVER``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from datalad_mrishare.provenance.activities import Activity
from datalad_mrishare.provenance.evidence import Evidence
from datalad_mrishare.provenance.exporting.account import About
from datalad_mrishare.provenance.exporting.telling import Permitted
from datalad_mrishare.provenance.graph import Lineage
from datalad_mrishare.sharing.releases import Mentions

ROOT = "/srv/clinic/study"
CANARIES = ("sub-02", "kerstin", "withheld", "commit", "2026-01", "oldversion", "jobfile", "/r.nii")
NEVER = ("jdoe", "node17", "/srv/", "/home/", "hunter2")
ABOUT = About("A study", "12345678-1234-1234-1234-123456789abc", "CC0")


def key(name: str, backend: str = "SHA256E", size: int = 7) -> str:
    """A key for content that is called ``name``."""
    digest = hashlib.new(backend.removesuffix("E").lower(), name.encode()).hexdigest()
    return f"{backend}-s{size}--{digest}.nii.gz"


def blob(name: str) -> str:
    """A node for text in git."""
    return "git:" + hashlib.sha1(name.encode()).hexdigest()


ELSEWHERE = "bids:raw:sub-02/anat/sub-02_T1w.nii.gz"
BELOW = key("below")
ATLAS, SIDECAR, CHANGES = key("atlas"), blob("sidecar"), blob("changes")
EMPTY = "git:e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"


def t1w(who: str) -> str:
    """The raw image of a participant."""
    return key(f"T1w {who}", "MD5E")


def mask(who: str) -> str:
    """The mask that was made of it."""
    return key(f"mask {who}")


PATHS = [
    (ATLAS, "atlas/mni.nii.gz"),
    (CHANGES, "CHANGES"),
    (key("old"), "derivatives/oldversion/sub-01/sub-01_x.nii.gz"),
    *((t1w(w), f"sub-{w}/anat/sub-{w}_T1w.nii.gz") for w in ("01", "02", "03")),
    *((SIDECAR, f"sub-{w}/func/sub-{w}_bold.json") for w in ("01", "02", "03")),
    *((mask(w), f"derivatives/bet/sub-{w}/sub-{w}_mask.nii.gz") for w in ("01", "02", "03")),
    *((key(f"warp {w}"), f"derivatives/reg/sub-{w}/sub-{w}_w.nii.gz") for w in ("01", "02", "03")),
    (key("group"), "derivatives/group/withheld_mean.nii.gz"),
    (key("anonymous"), "derivatives/group/mean.nii.gz"),
    (key("pair"), "derivatives/group/pair ä#1.nii.gz"),
    (key("pair"), "derivatives/group/pair_copy.nii.gz"),
    (ELSEWHERE, "sub-02/anat/sub-02_T1w.nii.gz"),
    (BELOW, "sub/dataset/sub-02_x.nii.gz"),
    (EMPTY, "sub-01/log.txt"),
    (EMPTY, "sub-02/log.txt"),
    *((key(f"raw {w}"), f"sourcedata/sub-{w}/r.nii.gz") for w in ("01", "02", "03")),
]
#: paths that are no part of any release here
_KEPT_HERE = ("sourcedata/", "derivatives/oldversion/", "derivatives/group/withheld")


def _run(
    number: int,
    what: str,
    inputs: tuple[str, ...],
    outputs: tuple[str, ...],
    software: tuple[str, ...] = (),
    **more: object,
) -> Activity:
    known = {"kind": "run", "evidence": Evidence.DECLARED, "when": f"2026-01-0{number}T10:00:00Z"}
    return Activity(
        f"commit{number}",
        inputs=inputs,
        outputs=outputs,
        what=what,
        software=software,
        **{**known, **more},  # type: ignore[arg-type]
    )


def activities() -> list[Activity]:
    """What was done."""
    everyone = ("01", "02", "03")
    bold = [
        _run(
            1,
            f"heudiconv -s {w} --files /home/jdoe/dicom/{w} -o . --note=kerstin",
            (key(f"raw {w}"),),
            (t1w(w), key(f"jobfile {w}")),
            ("docker://node17/jdoe/heudiconv:1.1.0", "jdoe@node17"),
        )
        for w in everyone
    ]
    sidecars = [
        _run(2, f"sidecars /srv/clinic/study/sub-{w}", (), (SIDECAR, key(f"extra {w}"), t1w(w)))
        for w in everyone
    ]
    masks = [
        _run(
            3,
            f"/usr/bin/bet sub-{w}/anat/sub-{w}_T1w.nii.gz"
            f" derivatives/bet/sub-{w}/sub-{w}_mask.nii.gz -f 0.5 --owner=jdoe@node17",
            (t1w(w),),
            (mask(w),),
            ("FSL 6.0.5",),
        )
        for w in everyone
    ]
    return [
        *bold,
        *sidecars,
        *masks,
        _run(
            4,
            "register atlas/mni.nii.gz 01 02 03 sub-01 sub-02 sub-03 -n 3",
            (ATLAS,),
            (*(key(f"warp {w}") for w in everyone), CHANGES),
            (".datalad/environments/reg/image",),
        ),
        _run(5, "mean -n 3 withheld", tuple(mask(w) for w in everyone), (key("group"),)),
        _run(6, "mean -n 3", tuple(mask(w) for w in everyone), (key("anonymous"),)),
        _run(6, "mean -n 2 kerstin", (mask("01"), mask("03")), (key("pair"),)),
        _run(7, "note sub-02", (), (CHANGES, key("raw 02"))),
        _run(7, "withheldlog sub-02", (), (EMPTY,)),
        _run(8, "fetch sub-02", (ELSEWHERE, BELOW), (key("extra 02"),)),
        _run(8, "edit --old", (mask("01"),), (key("old"),)),
        _run(9, "by kerstin at /home/jdoe", (key("old"),), (key("warp 01"),))._replace(
            kind="statement", evidence=Evidence.ASSERTED, token="statement:1"
        ),
        _run(
            9, "spm12 withheld", (), (blob("spoilt"),), evidence=Evidence.OPAQUE, why="jdoe@node17"
        ),
    ]


def history(sub_02: bool = True) -> Lineage:
    """All of it, or what there would be without sub-02."""
    if sub_02:
        return Lineage.build(activities(), PATHS)
    gone = {n for n, path in PATHS if "sub-02" in path} - {SIDECAR, EMPTY} | {key("group")}
    gone |= {key("jobfile 02"), key("extra 02"), ELSEWHERE, BELOW}
    left = []
    for a in activities():
        # steps of sub-02 alone, which also left bytes that others have as well
        alone = ("note sub-02", "withheldlog sub-02", "sidecars /srv/clinic/study/sub-02")
        if a.what in alone:
            continue
        inputs = tuple(n for n in a.inputs if n not in gone)
        outputs = tuple(n for n in a.outputs if n not in gone)
        if outputs:
            what = " ".join(w for w in a.what.split() if "02" not in w)
            left.append(a._replace(inputs=inputs, outputs=outputs, what=what))
    paths = [(n, path) for n, path in PATHS if n not in gone and "sub-02" not in path]
    return Lineage.build(left, paths)


def permitted() -> Permitted:
    """What a sibling has that may hold all but sub-02."""
    paths: dict[str, list[str]] = {}
    for node, path in PATHS:
        if "sub-02" not in path and not path.startswith(_KEPT_HERE):
            paths.setdefault(node, []).append(path)
    people = frozenset(("sub-01", "sub-03"))
    names = Mentions(["sub-01", "sub-02", "sub-03"], people)
    return Permitted(paths, people, frozenset((key("anonymous"),)), names.found)


def current() -> Mapping[str, list[str]]:
    """The steward's tree: everything but the old version."""
    paths: dict[str, list[str]] = {}
    for node, path in PATHS:
        if "oldversion" not in path and node not in (ELSEWHERE, BELOW):
            paths.setdefault(node, []).append(path)
    return paths
