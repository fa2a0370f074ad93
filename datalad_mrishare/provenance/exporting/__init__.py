"""Accounts of provenance in the formats of others: W3C PROV, BIDS-Prov, Process Run Crate.

``account``      what is told, as values: files, steps, tools
``telling``      from a lineage to an account, for the steward or for a sibling
``provdocument`` PROV-JSON, PROV-N, PROV-JSONLD
``bidsprov``     the files in ``prov/`` of a draft of BIDS
``runcrate``     ``ro-crate-metadata.json``
"""

from __future__ import annotations

from datetime import date

from .account import Account
from .bidsprov import bids_files
from .provdocument import FORMATS as PROV_FORMATS
from .provdocument import prov_files
from .runcrate import crate_files

#: what an export can be written as
FORMATS = (*PROV_FORMATS, "bids-prov", "ro-crate")


def export_files(
    account: Account, form: str, day: date, table: str | None = None
) -> dict[str, str]:
    """Path below the directory of the export -> text.

    Parameters
    ----------
    account : Account
        All that is told.
    form : str
        One of :data:`FORMATS`.
    day : date
        Of the export.
    table : str, optional
        What ``prov/provenance.tsv`` holds already, for ``bids-prov``.
    """
    if form in PROV_FORMATS:
        return prov_files(account, form)
    if form == "bids-prov":
        return bids_files(account, table)
    return crate_files(account, day)
