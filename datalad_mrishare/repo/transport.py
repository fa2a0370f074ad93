"""Which ways to a sibling are encrypted.

What is shared may travel through networks of others: only ways on which nobody in between
can read along are taken, or those that never leave this machine.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

_UNENCRYPTED = ("http", "ftp", "git", "rsync", "annex+http", "ria+http")
#: gitremote-helpers(7): the name of a program, and what it is given
_HELPER = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9+.-]*)::(?P<address>.*)", re.DOTALL)
#: helpers that run or read whatever their address says
_ANYTHING = ("ext", "fd")
_LOOPBACK = re.compile(r"(localhost|127(\.\d{1,3}){3}|::1)", re.IGNORECASE)

REMEDY = "Give an ssh:// or https:// URL"


def read_on_the_way(url: str) -> str | None:
    """What is wrong with a URL that is reached without encryption; None for any other.

    >>> read_on_the_way("http://lab.example.org/mir")  # doctest: +ELLIPSIS
    'would be reached without encryption (http://lab.example.org), so everybody on the way...'
    >>> read_on_the_way("http://127.0.0.1:8080/mir"), read_on_the_way("ssh://host/mir")
    (None, None)
    """
    helper = _HELPER.match(url)
    if helper and helper["name"].lower() in _ANYTHING:
        return "is a command of somebody's, and nobody knows where that leads"
    if helper and "://" in helper["address"]:  # http::http://host, as git takes it, too
        return read_on_the_way(helper["address"])
    scheme, found, rest = url.partition("://")
    scheme = scheme.lower()
    if not found and re.match(r"[^/:]+::", url):  # a module of an rsync daemon: host::module
        scheme, found, rest = "rsync", "::", url.replace("::", "/", 1)
    if not found or scheme not in _UNENCRYPTED:
        return None
    host = urlsplit(f"//{rest}").hostname or ""
    if _LOOPBACK.fullmatch(host):
        return None
    return (
        f"would be reached without encryption ({scheme}://{host}), so everybody on the way could"
        " read what is sent"
    )
