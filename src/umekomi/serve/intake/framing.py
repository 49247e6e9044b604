"""What a request's head must not be, where uvicorn and h11 let it pass."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.types import Scope

MAX_HEADER_BYTES = 65_536
"""Of a request line and its headers. h11 ends larger ones too, but only those that come in several pieces."""

_CLOSE = {"connection": "close"}
_AROUND = len(": \r\n")


def check_framing(scope: Scope) -> None:
    """Raises 431 for a head that is too large, and 400 for one with two ways to tell where its body ends.

    ``Content-Length`` beside ``Transfer-Encoding`` is how requests are smuggled past a proxy that goes by the one
    to a server that goes by the other (RFC 9112, section 6.3); nobody sends both in good faith.
    """
    size = len(scope["method"]) + len(scope["raw_path"]) + len(scope["query_string"]) + len("  HTTP/1.1\r\n\r\n")
    lengths = 0
    for name, value in scope["headers"]:
        size += len(name) + len(value) + _AROUND
        lengths |= 1 if name == b"content-length" else 2 if name == b"transfer-encoding" else 0
    if size > MAX_HEADER_BYTES:
        raise HTTPException(431, f"The request's headers are larger than {MAX_HEADER_BYTES} bytes.", _CLOSE)
    if lengths == 3:
        raise HTTPException(400, "The request has both Content-Length and Transfer-Encoding; send one.", _CLOSE)
