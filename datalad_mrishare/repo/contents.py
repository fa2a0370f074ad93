"""Which content each blob is: itself, or the annex key that it points to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from .commits import ALOOF
from .keys import key_named, key_of_pointer
from .remembered import WORTHWHILE
from .trees import GITLINK, LINK, POINTER, POINTER_LIMIT, decode, object_sizes, read_blobs

#: a pointer starts with /annex/objects/ and names a key
_SHORTEST = 20

Links = Callable[[], Mapping[str, str]]
"""Tells the key of blobs that are known to be links or pointers, once somebody has read them."""


class Content(NamedTuple):
    """What a blob is: an annex key, or else content in git.

    ``target`` is where a link leads that is no link into the annex.
    """

    key: str | None = None
    target: str | None = None
    missing: bool = False


_IN_GIT, _MISSING = Content(), Content(missing=True)


class Contents:
    """The blobs of one repository, read many at a time and each once.

    ``links`` is asked when there are many to read.
    """

    def __init__(self, repo: Path, links: Links | None = None):
        self._repo, self._links = repo, links
        self._known: dict[str, Content] = {}
        self._as_link: set[str] = set()

    def learn(self, blobs: Iterable[tuple[str, str]]) -> None:
        """Read what is not known yet among ``(mode, id)``, by two processes."""
        fresh: dict[str, bool] = {}
        for mode, oid in blobs:
            known = oid in self._as_link if mode == LINK else oid in self._known
            if not known and mode != GITLINK:
                fresh[oid] = fresh.get(oid, False) or mode == LINK
        if not fresh:
            return
        self._as_link.update(oid for oid, link in fresh.items() if link)
        if self._links is not None and len(fresh) >= WORTHWHILE:
            told = self._links()
            known_keys = {oid: key for oid in fresh if (key := told.get(oid))}
            self._known.update((oid, Content(key)) for oid, key in known_keys.items())
            fresh = {oid: link for oid, link in fresh.items() if oid not in known_keys}
        sizes = object_sizes(self._repo, fresh, ALOOF)
        for oid in fresh:
            self._known[oid] = _IN_GIT if oid in sizes else _MISSING
        wanted = [
            oid
            for oid, link in fresh.items()
            if (1 if link else _SHORTEST) <= sizes.get(oid, 0) <= POINTER_LIMIT
        ]
        for oid, text in read_blobs(self._repo, wanted, ALOOF):
            match = POINTER.fullmatch(text)
            if match:
                key = key_named(match["name"] or match["pointer"])
                if key is not None:
                    self._known[oid] = Content(key)
                    continue
            if fresh[oid]:
                # also an absolute link, or one of Windows: the content is that of the key
                key = key_of_pointer(text)
                self._known[oid] = Content(key) if key else Content(target=decode(text))

    def of(self, oid: str) -> Content:
        """What a blob is that :meth:`learn` was told of."""
        return self._known.get(oid, _MISSING)
