"""Which way leads to a sibling: its policy says."""

from __future__ import annotations

from ..repo.address import Address
from ..repo.keys import key_size
from ..repo.ownstorage import OwnStorage
from ..repo.release import ReleaseRepository
from ..repo.worktree import Checkout
from .policies import SIBLINGS_FILE, Policy, load_policies
from .registry import read_file_at
from .snapshot import dataset_id

Store = OwnStorage | ReleaseRepository


def open_store(checkout: Checkout, policy: Policy, commit: str) -> Store:
    """The way to a sibling: own storage directly, everything else by its release repository."""
    if policy.own:
        return OwnStorage(checkout, policy.name)
    address = policy.address or Address("")
    identity = dataset_id(checkout, commit)
    return ReleaseRepository(checkout.path, checkout.gitdir, policy.name, address, identity)


def bytes_held(checkout: Checkout, name: str) -> int:
    """Bytes of this dataset's content that sibling ``name`` has; 0 where it is not declared.

    Raises
    ------
    MriShareError
        When the policies cannot be read or the sibling cannot be reached.
    """
    head = checkout.head()
    text = read_file_at(checkout, head, SIBLINGS_FILE) if head else None
    policy = load_policies(text.decode("utf-8", "replace") if text else None).get(name)
    if head is None or policy is None:
        return 0
    store = open_store(checkout, policy, head)
    store.open(prepare=False)
    return sum(key_size(key) or 0 for key in store.present())
