"""What participants permitted: one algebra, from signed forms to a grant per file.

Everything here is pure: it takes values and returns values, and neither reads a
dataset nor starts a process. The path of a consent through it::

    forms.yaml ---------.
                         >-- Registry -- Resolver.resolve(participant, file) -- Grant
    consent.tsv --------'                                                        |
      ^                                     meet over everyone in the file ------'
      | import_records                                   |
    what is handed in                  failing(policy, grant, ...)  ->  permit or deny

``grants``       the lattice: :class:`Grant`, :func:`meet`, ``<=``, reading from words
``failures``     a policy against a grant at a date: the components that fail
``purposes``, ``regions``, ``duo``   the sets that grants are made of
``forms``        form versions and what they permit
``records``      dated statements about a participant, and their table
``scopes``       what of a participant's data a record is about
``resolution``   records to grants at a date: the rules in full are there
``importing``, ``tables``   records that people hand in
``redcap``, ``fhir``, ``maps``   the same from other systems, by a map
``projection``   grants as git-annex metadata fields
``values``, ``yamltext``    strict readers of words, dates and YAML

>>> from datetime import date
>>> forms = load_forms()
>>> record = build_record(
...     {"record": "r1", "participant_id": "sub-01", "state": "given",
...      "form": "obc-gdpr-ult-1.1.0", "from": "2026-01-07", "recorded": "2026-01-07"},
...     forms=forms,
... )
>>> resolver = Resolver(Registry(forms, (record,)), at=date(2026, 5, 3))
>>> grant = resolver.resolve("sub-01").grant
>>> public = parse_grant({"reach": "public", "use": "GRU"})
>>> for failure in failing(
...     public, grant, at=date(2026, 5, 3), recall=False, clearance=Deid.DEIDENTIFIED
... ):
...     print(failure.sentence)
it reaches public, permitted is at most registered
it would be used for GRU, permitted is HMB
recipients promise nothing, demanded is DUA, NRI
"""

from __future__ import annotations

from .failures import Failure, failing
from .forms import Form, load_forms
from .grants import (
    BOTTOM,
    COMPONENTS,
    DUTIES,
    TOP,
    UNSAID,
    Deid,
    Grant,
    Reach,
    meet,
    parse_duty,
    parse_grant,
)
from .importing import ImportMap, ImportResult, import_records, parse_map, read_records
from .projection import FIELDS, grant_fields, grant_from_fields
from .purposes import Use
from .records import (
    COLUMNS,
    DENIALS,
    Basis,
    By,
    CellError,
    Record,
    State,
    Then,
    build_record,
    format_records,
    parse_registry,
)
from .regions import ANYWHERE, parse_region, region_words
from .resolution import Registry, Resolution, Resolver
from .scopes import EVERYTHING, FileScope, Scope
from .yamltext import Document, load_yaml

__all__ = [
    "ANYWHERE",
    "BOTTOM",
    "COLUMNS",
    "COMPONENTS",
    "DENIALS",
    "DUTIES",
    "EVERYTHING",
    "FIELDS",
    "TOP",
    "UNSAID",
    "Basis",
    "By",
    "CellError",
    "Deid",
    "Document",
    "Failure",
    "FileScope",
    "Form",
    "Grant",
    "ImportMap",
    "ImportResult",
    "Reach",
    "Record",
    "Registry",
    "Resolution",
    "Resolver",
    "Scope",
    "State",
    "Then",
    "Use",
    "build_record",
    "failing",
    "format_records",
    "grant_fields",
    "grant_from_fields",
    "import_records",
    "load_forms",
    "load_yaml",
    "meet",
    "parse_duty",
    "parse_grant",
    "parse_map",
    "parse_region",
    "parse_registry",
    "read_records",
    "region_words",
]
