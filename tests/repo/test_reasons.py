"""What git-annex says of requests over HTTP, told in a few words."""

from __future__ import annotations

import pytest

from datalad_mrishare.repo.reasons import in_short

REQUEST = """git-annex: WebDAV test failed: HttpExceptionRequest Request {
  host                 = "dav.example.org"
  requestHeaders       = [("Authorization","<REDACTED>"),("Depth","1")]
  responseTimeout      = ResponseTimeoutNone
}
 (%s): user error
failed
initremote: 1 failed"""
ANSWER = 'Response {responseStatus = Status {statusCode = 401, statusMessage = "Not Authorized"}}'
UNKNOWN = (
    "ConnectionFailure Network.Socket.getAddrInfo (called with: AddrInfo {addrFlags = []}, host"
    ' name: "dav.example.org"): does not exist (Name or service not known)'
)


@pytest.mark.parametrize(
    ("why", "short"),
    [
        (f'StatusCodeException ({ANSWER}) "<html>"', "the server says 401 Not Authorized"),
        (
            "ConnectionFailure Network.Socket.connect: <socket: 14>: does not exist"
            " (Connection refused)",
            "the server cannot be reached: Connection refused",
        ),
        (UNKNOWN, "the server cannot be reached: Name or service not known"),
        (
            'InternalException (HandshakeFailed (Error_Protocol "certificate has expired" X))',
            "no encrypted connection could be made: certificate has expired",
        ),
        ("ResponseTimeout", "the server does not answer: timed out"),
        ("ConnectionTimeout", "the server does not answer: timed out"),
        ("NoResponseDataReceived", "the server closed the connection"),
        ("InvalidChunkHeaders", "the request failed: InvalidChunkHeaders"),
    ],
)
def test_what_is_left_of_a_request(why: str, short: str) -> None:
    said = in_short(REQUEST % why)
    assert said == short


def test_s3_has_words_of_its_own() -> None:
    said = (
        'S3Error {s3StatusCode = Status {statusCode = 403, statusMessage = "Forbidden"},'
        ' s3ErrorCode = "AccessDenied", s3ErrorMessage = "Not permitted."}'
    )
    assert in_short(said) == "the server says 403 Forbidden (AccessDenied)"


@pytest.mark.parametrize("said", ["", "no such key\nat all", "statusCode = 3"])
def test_all_else_is_left_as_it_is(said: str) -> None:
    assert in_short(said) == said
