"""Text in image headers that tells of software and of nothing else: a closed list. Pure.

Each pattern is what one program writes, as far as it can be told from its source or from images
that it made. Whatever is not on the list counts as told, whoever wrote it.
"""

from __future__ import annotations

import re

_NUMBER = r"[0-9]+(?:\.[0-9]+)*"

#: the time of day of the scan, as dcm2niix and dcm2nii write it into ``descrip``; the time is
#: what sidecars have as ``AcquisitionTime``, which is not on the list of harmless fields either
_DCM2NIIX = re.compile(
    rf"(?:TE=(?P<te>{_NUMBER}(?:e[+-]?[0-9]+)?))?"
    rf"(?P<clock>;?Time=[0-9]{{1,6}}(?:\.[0-9]+)?)?"
    r"(?:;phase=[01])?(?:;mb=[0-9]+)?(?:;dwell=[0-9.]+)?"
)

_DESCRIP = re.compile(
    "|".join(
        (
            rf"FSL ?{_NUMBER}(?: ?beta)?",
            # fslversion of FSL 6
            r"6\.[0-9]+\.[0-9]+(?:\.[0-9]+)?(?::[0-9a-f]{6,12})?",
            # SPM 5 to 12: what was done, in its own words
            r"(?i:spm(?:2|5|8|12)? ?(?:- ?)?(?:3d |2d )?(?:realigned|coregistered|normali[sz]ed"
            r"|resliced|smoothed|compatible|segmented|bias corrected|mean image|algebra))",
            r"(?i:spm ?- ?conv\([0-9.,]+\))",
            # niworkflows, in fMRIPrep and sMRIPrep
            rf"xform matrices modified by [A-Za-z]+ \(niworkflows v{_NUMBER}\)\.?",
            r"FreeSurfer(?: v?[0-9.]+| [A-Z][a-z]{2} {1,2}[0-9]{1,2} 20[0-9]{2})?",
            rf"MRtrix(?:3| version:)? ?{_NUMBER}(?:[-_][0-9a-z]+)*",
            r"ITK|ANTs|AFNI|BrainVoyager|nibabel|pydeface",
        )
    )
)
#: names of colour tables that FSL's viewers keep there
_AUX_FILE = re.compile(
    r"(?i:none|greyscale|red|green|blue|yellow|red-yellow|blue-lightblue|cool|hot|copper|pink)"
)
#: NIfTI-1 gives names to statistics (``nifti1.h``); NIfTI-MRS and CIFTI-2 name themselves
_INTENT_NAME = re.compile(
    r"(?i:mrs_v[0-9]+_[0-9]+|conn[a-z]{1,12}|[tfz][ _-]?(?:test|stat|score|statistic)s?"
    r"|zstat[0-9]{1,3}|tstat[0-9]{1,3}|cope[0-9]{1,3}|correlation|estimate|mask|label|none)"
)
_LISTED = {"descrip": _DESCRIP, "aux-file": _AUX_FILE, "intent-name": _INTENT_NAME}


def judge(field: str, text: str) -> str | None:
    """What a text in ``field`` tells: None, ``clock``, or the name of the field.

    >>> judge("descrip", "FSL5.0"), judge("descrip", "TE=30;Time=92745.110")
    (None, 'clock')
    >>> judge("descrip", "Jane Doe"), judge("db-name", "FSL5.0")
    ('descrip', 'db-name')
    """
    text = text.strip()
    if not text:
        return None
    if field == "descrip" and (match := _DCM2NIIX.fullmatch(text)):
        return "clock" if match["clock"] else None
    listed = _LISTED.get(field)
    return None if listed is not None and listed.fullmatch(text) else field
