"""The digests that the event of a publication holds, to tell later what was decided by."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from ..consent.grants import COMPONENTS
from ..consent.resolution import Registry
from .policies import DENY, LEAST_PARTICIPANTS, Policy


def keys_digest(keys: Iterable[str]) -> str:
    """Of a set of keys, one a line in bytewise order."""
    return _digest("".join(f"{k}\n" for k in sorted(keys)))


def policy_digest(policy: Policy) -> str:
    """Of what a policy claims and promises."""
    promises = [repr(policy.dua)] if policy.dua else []
    promises += ["encryption"] if policy.encryption else []
    if policy.min_participants != LEAST_PARTICIPANTS:
        promises.append(f"min_participants {policy.min_participants}")
    promises += [f"opaque {policy.opaque}"] if policy.opaque != DENY else []
    # in the order of words and not of sets, which differs from process to process
    grant = [(name, policy.grant.words(name)) for name in COMPONENTS]
    return _digest("".join((repr(grant), repr(policy.recall), *promises)))


def registry_digest(registry: Registry) -> str:
    """Of the records."""
    return _digest(repr(registry.records))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
