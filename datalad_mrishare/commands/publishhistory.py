"""``datalad mrishare-publish --history``: the events as result records."""

from __future__ import annotations

import os

from .shared import count, record


def past_records(ds, checkout, action, to, asked):
    """All publications, or one of them decided again."""
    from ..sharing.published import decide_again, find_publication, publications
    from ..sharing.siblings import must_be_declared

    if asked is True:
        found = publications(checkout, to)
        if to and not found:
            must_be_declared(checkout, to)
        for event in found:
            yield _event(ds, action, event)
        return
    event = find_publication(checkout, str(asked), to)
    yield _event(ds, action, event)
    revision = decide_again(checkout, event)
    for unit in revision.units:
        yield _unit(ds, action, event, unit)
    yield _revision(ds, action, revision)


def _event(ds, action, event):
    from ..sharing.policies import format_size

    def number(name):
        value = event.get(name)
        return value if isinstance(value, int) else 0

    units = len(event.get("units_sent") or ())
    message = (
        f"{event.get('when')} to {event.get('sibling')}: {count(units, 'unit')},"
        f" {count(number('keys_sent'), 'object')} ({format_size(number('bytes_sent'))}) sent,"
        f" {number('keys_taken_back')} taken back, digest {str(event.get('keys_digest'))[:12]}"
        f" ({os.path.basename(event['path'])})"
    )
    if event.get("new_root") is True:
        message += "; its history began afresh"
    fields = {k: v for k, v in event.items() if k not in ("path", "event")}
    path = os.path.join(ds.path, event["path"])
    fields |= {"path": path, "type": "event", "outcome": "published", "to": event.get("sibling")}
    return record(ds, action, "ok", message, **fields)


def _unit(ds, action, event, unit):
    may = bool(unit.keys)
    message = f"{unit.unit}: {count(len(unit.keys), 'object')} might go on {event['at']}"
    if unit.denied:
        why = unit.reasons[0] if unit.reasons else "no reason is known"
        message += f", {count(unit.denied, 'file')} might not ({why})"
    elif not may:
        message += "; it is not in the commit that was published"
    fields = {
        "type": "unit",
        "unit": unit.unit,
        "outcome": "permit" if may else "deny",
        "to": event["sibling"],
        "at": event["at"],
        "keys": list(unit.keys),
        "denied_files": unit.denied,
        "reasons": list(unit.reasons),
        "complete": unit.complete,
    }
    return record(ds, action, "ok" if may else "impossible", message, **fields)


def _revision(ds, action, revision):
    units = revision.units
    may = sum(bool(u.keys) for u in units)
    words = [f"{may} of {count(len(units), 'unit')} might go then"]
    if revision.same_keys:
        words.append("the objects that might go are exactly those that were sent")
    else:
        words.append(
            "which of their objects were sent this time cannot be told (others were there"
            " already, were not selected or did not arrive)"
        )
    for what, same in (
        ("records", revision.same_registry),
        ("policy", revision.same_policy),
    ):
        if same is False:
            words.append(f"the {what} of that time cannot be had again, so this may differ")
    changed = False in (revision.same_registry, revision.same_policy)
    fields = {
        "outcome": "decided again",
        "to": revision.event["sibling"],
        "at": revision.event["at"],
        "commit": revision.event["commit"],
        "same_keys": revision.same_keys,
        "same_registry": revision.same_registry,
        "same_policy": revision.same_policy,
    }
    status = "impossible" if changed or may < len(units) else "ok"
    return record(ds, action, status, "; ".join(words), **fields)
