"""How clean a file is, from its name and the keys it holds. It fails closed.

Everything of a participant is identifiable until there is evidence, except a closed
list: functional and diffusion images, which show no face, and text whose every field is
on the shipped list of :mod:`datalad_mrishare.privacy.fields`.
"""

from __future__ import annotations

from ..consent.grants import Deid
from ..privacy.fields import columns_listed, sidecar_listed
from ..privacy.told import CLOCK, Told
from ..provenance.bids import BidsName
from ..provenance.statements import Attestation

_IMAGES = frozenset("bold sbref dwi asl m0scan epi".split())
_IMAGE_EXTENSIONS = frozenset((".nii", ".nii.gz"))
_TEXTS = frozenset((".bval", ".bvec"))


def clearance_by_name(name: BidsName) -> Deid:
    """What the name alone clears a file of a participant to."""
    if name.suffix in _IMAGES and name.extension in _IMAGE_EXTENSIONS:
        return Deid.DEIDENTIFIED
    if name.extension in _TEXTS and name.suffix in _IMAGES:
        return Deid.DEIDENTIFIED
    if name.suffix == "events" and name.extension in (".tsv", ".json"):
        return Deid.DEIDENTIFIED
    return Deid.IDENTIFIABLE


def needs_content(name: BidsName) -> bool:
    """Whether the fields inside could clear the file further than its name does."""
    return clearance_by_name(name) < Deid.DEIDENTIFIED and name.extension in (".json", ".tsv")


def clearance_by_content(name: BidsName, content: bytes) -> Deid:
    """What the fields of a JSON or TSV file clear it to."""
    if name.extension == ".json":
        listed = sidecar_listed(content)
    else:
        header = content.partition(b"\n")[0].decode("utf-8-sig", "replace").rstrip("\r")
        listed = columns_listed(header.split("\t"))
    return Deid.DEIDENTIFIED if listed else Deid.IDENTIFIABLE


def clearance_attested(attested: Attestation | None, clearance: Deid) -> Deid:
    """What a steward says of this very content, or ``clearance`` where nobody did.

    It holds in both directions: somebody has looked. *Anonymous* is no clearance but a claim
    about a group, which :mod:`.anonymous` holds against lineage; by itself it clears nothing.
    """
    if attested is None or attested.deid is Deid.ANONYMOUS:
        return clearance
    return attested.deid


def clearance_by_told(told: Told) -> Deid:
    """How clean an image is at most that tells something beside its voxels.

    The time of day of a scan, without the day, finds the person only for those who have the
    list of scans; any text may be a name.

    >>> clearance_by_told(Told(("clock",))).name, clearance_by_told(Told(("descrip",))).name
    ('PSEUDONYMISED', 'IDENTIFIABLE')
    """
    if not told.places:
        return Deid.ANONYMOUS
    return Deid.PSEUDONYMISED if told.places == (CLOCK,) else Deid.IDENTIFIABLE
