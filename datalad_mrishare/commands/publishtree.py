"""``datalad mrishare-publish``: one dataset or a tree of them, to one sibling or several."""

from __future__ import annotations

import logging
from pathlib import Path

from .publishrecords import to_parts
from .shared import error_record, record

lgr = logging.getLogger("datalad.mrishare.publish")


def datasets_below(ds, limit):
    """Subdatasets that are installed, the deepest first, then ``ds`` itself.

    A superdataset names commits of its subdatasets: so these go first.
    """
    from datalad.distribution.dataset import Dataset

    quiet = {"result_renderer": "disabled", "on_failure": "ignore", "return_type": "list"}
    found = ds.subdatasets(
        recursive=True, recursion_limit=limit, state="present", bottomup=True, **quiet
    )
    return [*(Dataset(res["path"]) for res in found if res["status"] == "ok"), ds]


def serve(top, datasets, action, names, options, progress):
    """Publish each dataset to each of ``names``, of no names to all that it declares.

    A budget holds for all of them together: what is there of any of them counts, and each
    takes from what the others leave.
    """
    budgets = _Budgets(options.budget, datasets) if len(datasets) > 1 else None
    for ds in datasets:
        for res in _serve_one(ds, action, names, options, progress, budgets, ds is top):
            yield res | {"refds": top.path}


class _Budgets:
    """What each sibling may still hold of a tree of datasets; None: as much as there is room."""

    def __init__(self, budget, datasets):
        self._budget, self._datasets = budget, datasets
        self._held, self._left = {}, {}

    def of(self, path, name):
        if self._budget is None:
            return None
        if name not in self._left:
            self._look(name)
        return max(0, self._left[name] + self._held[path, name])

    def _look(self, name):
        from ..errors import MriShareError
        from ..repo.worktree import Checkout
        from ..sharing.stores import bytes_held

        for ds in self._datasets:
            try:
                held = bytes_held(Checkout(Path(ds.path)), name)
            except MriShareError:
                held = 0  # publishing there tells what is wrong
            self._held[ds.path, name] = held
        known = (held for (_, there), held in self._held.items() if there == name)
        self._left[name] = self._budget - sum(known)

    def took(self, path, name, held):
        if self._budget is not None:
            self._left[name] -= held - self._held[path, name]
            self._held[path, name] = held


def _serve_one(ds, action, names, options, progress, budgets, is_top):
    from ..errors import MriShareError
    from ..repo.events import is_registered
    from ..repo.worktree import Checkout
    from ..sharing.siblings import declared_names

    checkout = Checkout(Path(ds.path))
    if not is_top and not is_registered(checkout.path):
        said = f"{ds.path}: is not registered, so nothing of it is published"
        yield record(ds, action, "notneeded", said)
        return
    try:
        declared = declared_names(checkout)
    except MriShareError as exc:
        yield error_record(ds, action, exc)
        return
    if not names and not declared:
        yield record(ds, action, "notneeded", "no sibling is declared")
    for name in dict.fromkeys(names) or declared:
        if not is_top and name not in declared:
            said = f"{ds.path}: declares no sibling '{name}', so nothing of it goes there"
            yield record(ds, action, "notneeded", said, to=name)
            continue
        yield from _publish(ds, checkout, action, name, options, progress(name), budgets)


def _publish(ds, checkout, action, name, options, progress, budgets):
    from dataclasses import replace

    from ..errors import MriShareError, RepoError
    from ..sharing.publishing import Publication

    if budgets is not None:
        left = budgets.of(ds.path, name)
        options = replace(options, budget=left, elsewhere=(options.budget or 0) - (left or 0))
    publication = Publication(checkout, name, replace(options, progress=progress))
    told = []
    try:
        for report in publication.run():
            for status, message, fields in to_parts(report, name):
                told.append((status, message, dict(fields)))
                if budgets is not None and fields.get("outcome") == "summary":
                    budgets.took(ds.path, name, fields["held"] + fields["bytes"])
                shown = {"to": name, "dry_run": options.dry_run}
                yield record(ds, action, status, message, **shown, **fields)
        publication.keep(told)
    except MriShareError as exc:
        yield error_record(ds, action, exc) | {"to": name}
    except OSError as exc:  # of this machine; the other siblings are served all the same
        failed = RepoError(
            f"could not be served from here: {exc.strerror or exc}",
            where=f"sibling '{name}'" + (f" at {exc.filename}" if exc.filename else ""),
            remedy="Look at that place on this machine, then run this again",
        )
        yield error_record(ds, action, failed) | {"to": name}
    except Exception as exc:  # a defect of ours, which is no reason to serve nobody else
        lgr.debug("Publishing to %s failed", name, exc_info=True)
        failed = RepoError(
            f"could not be served, for a reason that nobody thought of ({_in_words(exc)})",
            where=f"sibling '{name}'",
            remedy="Report it with what `datalad -l debug mrishare-publish` says of it",
        )
        yield error_record(ds, action, failed) | {"to": name}


def _in_words(exc):
    return " ".join(f"{type(exc).__name__}: {exc}".split())
