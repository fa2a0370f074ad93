"""The ``mri-*`` metadata of annex keys: what a name and a header say, as fields.

Metadata belongs to content: two files with one key have the union of their values.
The participant is not among the fields, the registry alone speaks about people.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..privacy.told import LABELS, OF, TEXT, as_metadata, mark
from ..provenance.bids import ENTITIES, bids_name
from .headers import Damage, Header

Fields = dict[str, frozenset[str]]

PREFIX = "mri-"
FINDING = "mri-finding"
HEADER_FIELDS = (
    *("mri-dim", "mri-zooms-mm", "mri-tr-s", "mri-dtype", "mri-units"),
    *(TEXT, LABELS, FINDING, OF),
)
NAME_FIELDS = (
    *("mri-suffix", "mri-datatype", "mri-extension"),
    *(PREFIX + entity for entity in ENTITIES if entity != "sub"),
)
#: every field that a registration writes
OWNED = NAME_FIELDS + HEADER_FIELDS


def name_fields(path: str) -> dict[str, str]:
    """Fields from the path of a file.

    >>> name_fields("sub-01/func/sub-01_task-rest_bold.nii.gz") == {
    ...     "mri-suffix": "bold", "mri-datatype": "func", "mri-extension": ".nii.gz",
    ...     "mri-task": "rest"}
    True
    """
    name = bids_name(path)
    fields = {PREFIX + entity: label for entity, label in name.pairs}
    fields = {field: label for field, label in fields.items() if field in NAME_FIELDS}
    if name.ses:
        fields["mri-ses"] = name.ses
    parts = {"suffix": name.suffix, "datatype": name.datatype, "extension": name.extension}
    fields.update({PREFIX + part: value for part, value in parts.items() if value})
    return fields


def header_fields(header: Header | Damage) -> dict[str, str]:
    """Fields from what was read of an image.

    >>> from .findings import Kind
    >>> header_fields(Header((4, 5, 6, 9), (2.0, 2.0, 2.2), 1.5, "int16", ("mm", "sec")))
    {'mri-dim': '4x5x6x9', 'mri-zooms-mm': '2x2x2.2', 'mri-dtype': 'int16', \
'mri-units': 'mm,sec', 'mri-tr-s': '1.5'}
    >>> header_fields(Damage(Kind.TRUNCATED, "has 4 of 9 bytes"))
    {'mri-finding': 'truncated'}
    """
    if isinstance(header, Damage):
        return {FINDING: header.kind.value}
    fields = {
        "mri-dim": "x".join(map(str, header.dim)),
        "mri-zooms-mm": "x".join(_number(z) for z in header.zooms_mm),
        "mri-dtype": header.dtype,
        "mri-units": ",".join(header.units),
    }
    if header.tr_s is not None:
        fields["mri-tr-s"] = _number(header.tr_s)
    return fields


def is_indexed(key: str, fields: Mapping[str, frozenset[str]]) -> bool:
    """Whether the header of a key was read before, with the text in it, and not only that of
    a former version.
    """
    return fields.get(OF, frozenset()) == {mark(key)} and (TEXT in fields or FINDING in fields)


def wanted_fields(
    files: Iterable[tuple[str, str]],
    current: Mapping[str, Mapping[str, frozenset[str]]],
    headers: Mapping[str, Header | Damage],
) -> dict[str, Fields]:
    """The fields that each key should have.

    Parameters
    ----------
    files : iterable of (path, key)
    current : mapping
        key -> fields it has; header fields in it stay unless the header was read now.
    headers : mapping
        path -> what was read of it now.
    """
    listed = list(files)
    fresh = {key for path, key in listed if path in headers}
    gathered: dict[str, dict[str, set[str]]] = {}
    for path, key in listed:
        fields = gathered.setdefault(key, {})
        for name, value in name_fields(path).items():
            fields.setdefault(name, set()).add(value)
        if path in headers:
            header = headers[path]
            for name, value in header_fields(header).items():
                fields.setdefault(name, set()).add(value)
            if isinstance(header, Header):
                for name, values in as_metadata(header.told).items():
                    fields.setdefault(name, set()).update(values)
            fields[OF] = {mark(key)}
        elif key not in fresh and is_indexed(key, current.get(key, {})):
            for name in HEADER_FIELDS:
                if kept := current.get(key, {}).get(name):
                    fields.setdefault(name, set()).update(kept)
    return {
        key: {name: frozenset(values) for name, values in fields.items()}
        for key, fields in gathered.items()
    }


def _number(value: float) -> str:
    # headers hold 32-bit floats: six digits are what they mean
    return f"{value:.6g}"
