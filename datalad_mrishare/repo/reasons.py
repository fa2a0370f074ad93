"""What git-annex says of a request that failed, in a few words.

Of one over HTTP it prints the whole request and the whole answer, some twenty lines for
each. What people need of that is a code and a word, or that nobody answered.
"""

from __future__ import annotations

import re

_REQUEST = re.compile(r"HttpExceptionRequest|S3Error \{|DAV failure:")
_STATUS = re.compile(r'statusCode = (\d+), statusMessage = "([^"]*)"')
_S3_CODE = re.compile(r's3ErrorCode = "([^"]+)"')
_CONNECTION = re.compile(r"ConnectionFailure [^\n]*\(([^()\n]+)\)")
_TLS = re.compile(r'HandshakeFailed \([^"\n]*"([^"\n]*)"')
_SIGNS = (
    ("Timeout", "the server does not answer: timed out"),
    ("HandshakeFailed", "no encrypted connection could be made"),
    ("NoResponseDataReceived", "the server closed the connection"),
)


def in_short(said: str) -> str:
    """``said`` as it is, or what matters of it when it is about a request over HTTP.

    >>> in_short('DAV failure: Status {statusCode = 403, statusMessage = "Forbidden"} ""')
    'the server says 403 Forbidden'
    >>> in_short("no such key")
    'no such key'
    """
    if not _REQUEST.search(said):
        return said
    status, connection = _STATUS.search(said), _CONNECTION.search(said)
    if status:
        code = _S3_CODE.search(said)
        word = f" ({code[1]})" if code else ""
        return f"the server says {status[1]} {status[2]}{word}"
    if connection:
        return f"the server cannot be reached: {connection[1]}"
    refused = _TLS.search(said)
    if refused:
        return f"no encrypted connection could be made: {refused[1]}"
    # the request itself has settings of such names, the reason comes after it
    after = said.rpartition("\n}")[2].strip().partition("\n")[0]
    reason = after.removesuffix(": user error").strip(" ()")
    for sign, words in _SIGNS:
        if sign in reason:
            return words
    return f"the request failed: {reason or 'for no reason that is told'}"


def in_a_line(said: str) -> str:
    """:func:`in_short` without line breaks, and each line once.

    >>> in_a_line("rsync exited 11\\n  no room\\nrsync exited 11\\n")
    'rsync exited 11; no room'
    """
    lines = (line.strip() for line in in_short(said).splitlines())
    return "; ".join(dict.fromkeys(line for line in lines if line))
