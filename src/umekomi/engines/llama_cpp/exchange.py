"""One request to the engine over its private socket: sent, read whole or by line, stopped from any thread."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from umekomi.engines.base import Body, Cancellation
from umekomi.engines.llama_cpp.failures import failure
from umekomi.errors import EngineError, InvalidInput

_EVENT = b"data: "
_DONE = b"[DONE]"
_MAX_DEPTH = 100
"""Deeper JSON could exhaust the stack of the engine's recursive converters, and with it the process."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where the engine listens: a path of a Unix socket, else a loopback port; and the key that opens it."""

    path: str | None
    port: int
    key: str

    def connect(self) -> socket.socket:
        if self.path is None:
            return socket.create_connection(("127.0.0.1", self.port))
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(self.path)
        except OSError:
            connection.close()
            raise
        return connection


def ask(address: Address, route: str, body: Body, *, cancel: Cancellation | None = None) -> Any:
    """The engine's whole answer. Raises what `failures` makes of a refusal, and `CancelledError`."""
    with _exchange(address, route, body, cancel or Cancellation()) as response:
        return json.loads(response.read())


def listen(address: Address, route: str, body: Body, *, cancel: Cancellation) -> Iterator[dict[str, Any]]:
    """The events of a streamed answer. Raises as `ask` does; an error event raises too."""
    with _exchange(address, route, body, cancel) as response:
        while line := response.readline():
            if not line.startswith(_EVENT):
                continue
            content = line.removeprefix(_EVENT).strip()
            if content == _DONE:
                return
            event = json.loads(content)
            if "error" in event:
                raise failure(event["error"])
            yield event
        raise EngineError("llama.cpp ended its answer too early; try again")


@contextmanager
def _exchange(address: Address, route: str, body: Body, cancel: Cancellation) -> Iterator[http.client.HTTPResponse]:
    content = encode(body)
    if cancel.cancelled:
        raise CancelledError
    try:
        connection = address.connect()
        # A shutdown wakes a thread that waits for the socket, which a close does not.
        cancel.on_cancel(lambda: _shut_down(connection))
        with connection, _send(connection, address, route, content) as response:
            try:
                yield response
            finally:
                _shut_down(connection)  # so that the engine stops at once where we leave in mid-answer
    except (OSError, http.client.HTTPException, json.JSONDecodeError) as error:
        if cancel.cancelled:
            raise CancelledError from None
        raise EngineError(f"llama.cpp broke off: {type(error).__name__} {error}".rstrip()) from None
    except EngineError:
        if cancel.cancelled:
            raise CancelledError from None
        raise


def _send(connection: socket.socket, address: Address, route: str, content: bytes) -> http.client.HTTPResponse:
    client = http.client.HTTPConnection("localhost")
    client.sock = connection
    headers = {"Authorization": f"Bearer {address.key}", "Content-Type": "application/json"}
    client.request("POST", route, content, headers)
    response = client.getresponse()
    if response.status != http.client.OK:
        raise failure(json.loads(response.read()).get("error"))
    return response


def _shut_down(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def encode(body: Body) -> bytes:
    """JSON of ``body``. Raises `InvalidInput` for what JSON or the engine cannot hold."""
    _check_depth(body)
    try:
        return json.dumps(body, ensure_ascii=False, allow_nan=False).encode()
    except UnicodeEncodeError as error:
        found = f"U+{ord(error.object[error.start]):04X}"
        raise InvalidInput(f"the request has a lone surrogate, {found}; it was cut or decoded wrongly") from None
    except ValueError:
        raise InvalidInput("the request has a number that is infinite or not a number") from None


def _check_depth(body: Body) -> None:
    level: list[Any] = [body]
    for _ in range(_MAX_DEPTH):
        level = [
            inner
            for value in level
            if isinstance(value, dict | list)
            for inner in (value.values() if isinstance(value, dict) else value)
        ]
        if not level:
            return
    raise InvalidInput(f"the request is nested more than {_MAX_DEPTH} levels deep")
