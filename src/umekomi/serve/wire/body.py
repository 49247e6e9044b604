"""A request's body: read with a limit while it arrives, then decoded as a JSON object."""

from __future__ import annotations

import asyncio
import codecs
from collections.abc import Callable
from typing import Any

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request

from umekomi.errors import InvalidInput

IDLE_TIMEOUT_S = 30.0
"""How long a client may send nothing in the middle of a body."""

WHOLE_TIMEOUT_S = 300.0
"""How long a whole body may take; 15 MB at 50 kB/s. Without it, a byte now and then would hold memory for ever."""

_CLOSE = {"connection": "close"}


async def read_body(request: Request, *, max_bytes: int, grow: Callable[[int], None] = lambda size: None) -> bytes:
    """The whole body. Raises 413 as soon as it is known to be over ``max_bytes``, 408 where it stalls, 415 where it
    is compressed.

    ``grow`` is told of each piece's bytes as it comes, and what it raises ends the reading. Raises starlette's
    ``ClientDisconnect`` where the client goes away first.
    """
    encoding = request.headers.get("content-encoding", "identity")
    if encoding.strip().lower() not in ("", "identity"):
        raise HTTPException(
            415, f"Content-Encoding {encoding[:40]!r} is not supported; send the body as it is.", _CLOSE
        )
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > max_bytes:
        raise _too_large(max_bytes)
    body = bytearray()
    stream = aiter(request.stream())
    clock = asyncio.get_running_loop().time
    end = clock() + WHOLE_TIMEOUT_S
    while True:
        try:
            async with asyncio.timeout_at(min(clock() + IDLE_TIMEOUT_S, end)):
                piece = await anext(stream)
        except StopAsyncIteration:
            return bytes(body)
        except TimeoutError:
            raise HTTPException(
                408,
                f"The request body sent nothing for {IDLE_TIMEOUT_S:g} s, or took over {WHOLE_TIMEOUT_S:g} s; "
                "send it again.",
                _CLOSE,
            ) from None
        if len(body) + len(piece) > max_bytes:
            raise _too_large(max_bytes)
        grow(len(piece))
        body += piece


def parse_json_object(body: bytes) -> dict[str, Any]:
    """The JSON object in ``body``. Raises `InvalidInput` with the line and column of what is wrong.

    The content type plays no part: clients send JSON as text/plain or as a form too.
    """
    body = body.removeprefix(codecs.BOM_UTF8)
    if not body.strip():
        raise InvalidInput('the request body is empty; send a JSON object such as {"model": "…", "input": "…"}')
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidInput(f"the request body is not valid JSON: {_explain(error, body)}") from None
    if not isinstance(value, dict):
        raise InvalidInput(f"the request body must be a JSON object, not {json_type(value)}")
    return value


def json_type(value: object) -> str:
    """What JSON calls the type of ``value``, with its article."""
    if value is None:
        return "null"
    names = {bool: "a boolean", int: "an integer", float: "a number", str: "a string", list: "an array"}
    return names.get(type(value), "an object")


def _explain(error: orjson.JSONDecodeError, body: bytes) -> str:
    """Position and cause. A body that is not UTF-8 has its first bad byte named, which orjson does not tell."""
    try:
        body.decode()
    except UnicodeDecodeError as wrong:
        return f"byte {wrong.start} is not UTF-8; encode the body as UTF-8"
    hint = ""
    if "string key" in error.msg:
        hint = " (keys need double quotes)"
    elif "surrogate" in error.msg:
        hint = " (a lone surrogate: half of a character)"
    return f"{error.msg} at line {error.lineno} column {error.colno}{hint}"


def _too_large(max_bytes: int) -> HTTPException:
    return HTTPException(413, f"The request body is larger than {max_bytes} bytes; split it into smaller requests.")
