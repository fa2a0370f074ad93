"""Consent forms: which grant a form version gives.

The package ships forms (``resources/forms.yaml``); a dataset adds its own in the same
notation. The notation is described by ``resources/forms.schema.json``, for editors, and
the loader checks with the same schema. Everything is looked at before anything is used,
and an unknown key or word is an error: what a typo means cannot be known.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Any

from ..errors import InputError
from .duo import resource
from .grants import COMPONENTS, Grant, parse_grant
from .values import unknown, years_later
from .yamltext import Document, load_yaml


@dataclass(frozen=True)
class Form:
    """One version of a consent form.

    Parameters
    ----------
    id : str
        The word by which records name it.
    grant : Grant
        What it permits at most.
    title, version, source, note, withdrawal : str or None
        For people: its name, its version, where the text is, remarks, and what it says
        about withdrawing. ``withdrawal`` is inherited through ``extends``.
    term_years : int or None
        It ends this many years after the start of a record.
    extends : str or None
        The form it builds on.
    """

    id: str
    grant: Grant
    title: str | None = None
    version: str | None = None
    source: str | None = None
    note: str | None = None
    withdrawal: str | None = None
    term_years: int | None = None
    extends: str | None = None

    def end(self, start: date, until: date | None) -> date | None:
        """The first day without permission of a record from ``start`` (to ``until``)."""
        ends = [day for day in (self.grant.until, until) if day is not None]
        if self.term_years is not None:
            ends.append(years_later(start, self.term_years))
        return min(ends, default=None)


def load_forms(text: str | None = None, where: str = "forms.yaml") -> dict[str, Form]:
    """The shipped forms, and those of a dataset.

    Parameters
    ----------
    text : str or None
        The dataset's ``forms.yaml``; None when it has none.
    where : str
        Its name, for messages.

    Raises
    ------
    InputError
        When it is not safe YAML, does not fit the schema, names an unknown word or form,
        gives a shipped form another meaning, or goes round in circles with ``extends``.

    >>> load_forms()["obc-gdpr-ult-1.1.0"].grant.words("use")
    ('HMB',)
    """
    shipped = _shipped()
    if text is None:
        return dict(shipped)
    document = load_yaml(text, where)
    check_forms(document)
    for name in document.value or {}:
        if name in shipped:
            raise InputError(
                f"`{name}` is a shipped form and keeps its meaning",
                where=document.at(name),
                remedy=f"Choose another name and write `extends: {name}`",
            )
    return _Builder(document, shipped).all()


@lru_cache(maxsize=1)
def _shipped() -> dict[str, Form]:
    # a test holds these against the schema: every command would wait for it
    return _Builder(shipped_document(), {}).all()


def shipped_document() -> Document:
    """The forms that come with this software, as written."""
    return load_yaml(resource("forms.yaml"), "forms.yaml (shipped)")


@lru_cache(maxsize=1)
def _validator() -> Any:
    from jsonschema import Draft202012Validator

    return Draft202012Validator(json.loads(resource("forms.schema.json")))


def check_forms(document: Document) -> None:
    """Hold forms against the schema.

    Raises
    ------
    InputError
        For the first thing that does not fit, with its line.
    """
    errors = sorted(_validator().iter_errors(document.value), key=lambda e: list(map(str, e.path)))
    for error in errors:
        path = tuple(error.absolute_path)
        if error.validator == "additionalProperties":
            known = error.schema["properties"]
            extra = next(key for key in error.instance if key not in known)
            raise unknown("key", extra, known, document.at(*path, extra))
        if error.validator == "enum":
            name = str(path[-1])
            raise unknown(name, str(error.instance), error.validator_value, document.at(*path))
        reason = {
            "oneOf": "give a word or a list of words",
            "type": f"expected {error.validator_value}",
            "pattern": "it is not written as expected",
        }.get(str(error.validator), error.message[:120])
        name = f"`{path[-1]}`: " if path else ""
        raise InputError(f"{name}{reason}", where=document.at(*path))


class _Builder:
    """Builds the forms of one file, each after the one it extends."""

    def __init__(self, document: Document, given: dict[str, Form]):
        self._document = document
        self._forms = dict(given)
        self._open: list[str] = []

    def all(self) -> dict[str, Form]:
        for name in self._document.value or {}:
            self._form(name)
        return self._forms

    def _form(self, name: str) -> Form:
        if name in self._forms:
            return self._forms[name]
        values = self._document.value[name]
        self._open.append(name)
        base = self._base(name, values.get("extends"))
        self._open.pop()

        def locate(component: str) -> str:
            return self._document.at(name, component)

        words = {key: values[key] for key in COMPONENTS if values.get(key) is not None}
        term = values.get("term_years")
        form = Form(
            name,
            parse_grant(words, locate, base=base.grant) if base else parse_grant(words, locate),
            **{key: values.get(key) for key in ("title", "version", "source", "note", "extends")},
            withdrawal=values.get("withdrawal") or (base.withdrawal if base else None),
            term_years=int(term) if term else (base.term_years if base else None),
        )
        self._forms[name] = form
        return form

    def _base(self, name: str, extends: str | None) -> Form | None:
        if extends is None:
            return None
        place = self._document.at(name, "extends")
        if extends in self._open:
            circle = " -> ".join((*self._open, extends))
            raise InputError(f"forms extend each other in a circle: {circle}", where=place)
        if extends in self._forms:
            return self._forms[extends]
        if extends not in (self._document.value or {}):
            raise unknown("form", extends, [*self._forms, *self._document.value], place)
        if len(self._open) > 50:
            raise InputError("more than 50 forms extend one another", where=place)
        return self._form(extends)
