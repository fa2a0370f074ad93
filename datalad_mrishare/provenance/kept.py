"""What was read of a history, as bytes and back.

Plain JSON in columns: it is read a hundred times faster than it was found out, and
reading it runs nothing. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from .activities import Activity
from .evidence import Evidence
from .inputs import Elsewhere
from .recorded import Moved, Recorded, Settings, Step

#: raised whenever a history would be read differently, so that what older versions kept is not used
VERSION = 8


def encode(recorded: Recorded) -> bytes:
    """The bytes for :func:`decode`."""
    numbers: dict[str, int] = {}

    def number(node: str) -> int:
        return numbers.setdefault(node, len(numbers))

    bundles: dict[tuple[str, ...], int] = {}

    def bundle(nodes: tuple[str, ...]) -> int:
        return bundles.setdefault(nodes, len(bundles))

    where = [number(node) for node, _ in recorded.places]
    steps = [_plain(step, bundle) for step in recorded.steps]
    settings = recorded.settings
    value = {
        "version": VERSION,
        "tips": sorted(recorded.tips),
        "shallow": sorted(recorded.shallow),
        "ids": sorted(settings.ids),
        "directories": list(settings.directories),
        "images": sorted(settings.images),
        "together": sorted(recorded.together),
        "same": sorted(recorded.same),
        "steps": steps,
        "bundles": [[number(node) for node in nodes] for nodes in bundles],
        "where": where,
        "paths": [path for _, path in recorded.places],
        "nodes": list(numbers),
    }
    return json.dumps(value, separators=(",", ":")).encode("ascii")


def decode(content: bytes) -> Recorded | None:
    """What :func:`encode` was given; None when another version wrote it."""
    value = json.loads(content)
    if value.get("version") != VERSION:
        return None
    nodes = value["nodes"]
    # what many steps share is one tuple afterwards as well
    bundles = [tuple(map(nodes.__getitem__, numbers)) for numbers in value["bundles"]]
    settings = Settings(
        frozenset(value["ids"]), tuple(value["directories"]), frozenset(value["images"])
    )
    return Recorded(
        frozenset(value["tips"]),
        frozenset(value["shallow"]),
        settings,
        list(zip(map(nodes.__getitem__, value["where"]), value["paths"], strict=True)),
        [_step(step, bundles) for step in value["steps"]],
        frozenset(value["together"]),
        frozenset((one, other) for one, other in value["same"]),
    )


def _plain(step: Step, bundle: Callable[[tuple[str, ...]], int]) -> list[Any]:
    activity = step.activity
    return [
        *activity[:2],
        int(activity.evidence),
        bundle(activity.inputs),
        bundle(activity.outputs),
        *activity[5:],
        *step[1:],
    ]


def _step(plain: list[Any], bundles: list[tuple[str, ...]]) -> Step:
    token, kind, evidence, inputs, outputs, what, when, software, why, *rest = plain
    record, foreign, elsewhere, moved, waits = rest
    activity = Activity(
        token,
        kind,
        Evidence(evidence),
        bundles[inputs],
        bundles[outputs],
        what,
        when,
        tuple(software),
        why,
    )
    places = tuple(Elsewhere(*one) for one in elsewhere)
    return Step(activity, record, foreign, places, tuple(Moved(*one) for one in moved), waits)
