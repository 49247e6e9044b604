"""An upstream that answers as a test says: bare sockets, so that it can do what no HTTP library would."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from umekomi.config import RemoteSettings

KEY = "sk-the-upstreams-own-key"


@dataclass
class Asked:
    """One request as it came, and the way to answer it. `left` is set once the asker has closed the connection."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    connection: socket.socket
    left: threading.Event = field(default_factory=threading.Event)

    def send(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.connection.sendall(piece)

    def json(self, content: object, *, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self.whole(json.dumps(content).encode(), status=status, headers=headers)

    def whole(
        self, body: bytes, *, status: int = 200, headers: dict[str, str] | None = None, length: int | None = None
    ) -> None:
        """An answer with a content-length, which may be a lie."""
        named = {"content-type": "application/json", "content-length": str(len(body) if length is None else length)}
        self.send(head(status, named | (headers or {})) + body)

    def begin_stream(self, kind: str = "text/event-stream") -> None:
        self.send(head(200, {"content-type": kind, "transfer-encoding": "chunked"}))

    def event(self, content: object) -> None:
        data = content if isinstance(content, bytes) else b"data: %b\n\n" % json.dumps(content).encode()
        self.send(b"%x\r\n%b\r\n" % (len(data), data))

    def end_stream(self) -> None:
        self.event(b"data: [DONE]\n\n")
        self.send(b"0\r\n\r\n")

    def wait_until_left(self, seconds: float = 200) -> float:
        """Seconds until the asker closed the connection; whatever it sends meanwhile is thrown away."""
        began = time.monotonic()
        self.connection.settimeout(seconds)
        with contextlib.suppress(ConnectionError):
            while self.connection.recv(65_536):
                pass
        self.left.set()
        return time.monotonic() - began


Behaviour: TypeAlias = Callable[[Asked], None]


def head(status: int, headers: dict[str, str]) -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status} Whatever\r\n{lines}\r\n".encode()


class Upstream:
    """``behave`` answers each request in a thread of its connection, and may be replaced while it runs.

    An exception in it is the test's own mistake, and fails the test at the end.
    """

    def __init__(self, behave: Behaviour) -> None:
        self.behave = behave
        self.asked: list[Asked] = []
        self.connections = 0
        self.mistakes: list[Exception] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._closed = False
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}/v1"

    def remote(self, **settings: Any) -> RemoteSettings:
        """Settings of a model here, without second tries unless told."""
        return RemoteSettings(**{"base_url": self.url, "model": "theirs", "max_retries": 0, **settings})

    def close(self) -> None:
        self._closed = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # the thread that accepts would keep it open
        self._listener.close()

    def _accept(self) -> None:
        while not self._closed:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(ConnectionError, TimeoutError):
            while (asked := _receive(connection)) is not None:
                self.asked.append(asked)
                try:
                    self.behave(asked)
                except (ConnectionError, TimeoutError):
                    raise
                except Exception as error:
                    self.mistakes.append(error)
                    raise
                if connection.fileno() < 0:
                    return


def _receive(connection: socket.socket) -> Asked | None:
    received = b""
    while b"\r\n\r\n" not in received:
        piece = connection.recv(65_536)
        if not piece:
            return None
        received += piece
    start, _, rest = received.partition(b"\r\n\r\n")
    first, *lines = start.decode().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    while len(rest) < int(headers.get("content-length", "0")):
        piece = connection.recv(65_536)
        if not piece:
            return None
        rest += piece
    return Asked(first.split()[1], headers, json.loads(rest or b"{}"), connection)


@contextmanager
def upstream(behave: Behaviour) -> Iterator[Upstream]:
    running = Upstream(behave)
    try:
        yield running
    finally:
        running.close()
        assert not running.mistakes


def vectors(*rows: object, **fields: object) -> dict[str, Any]:
    """An embeddings answer."""
    data = [{"object": "embedding", "index": index, "embedding": row} for index, row in enumerate(rows)]
    usage = {"prompt_tokens": 7, "total_tokens": 7}
    return {"object": "list", "data": data, "model": "theirs", "usage": usage, **fields}


def chat(text: str = "Hello.", **fields: object) -> dict[str, Any]:
    """A whole answer of chat."""
    message = {"role": "assistant", "content": text}
    return {
        "id": "chatcmpl-kept",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": "theirs",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7},
        **fields,
    }


def chunk(text: str | None = None, *, finish: str | None = None, **fields: object) -> dict[str, Any]:
    """A chunk of a stream."""
    delta = {} if text is None else {"content": text}
    return {
        "id": "chatcmpl-kept",
        "object": "chat.completion.chunk",
        "created": 1_700_000_000,
        "model": "theirs",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
        **fields,
    }


def talk(*texts: str) -> Behaviour:
    """Answer chat with ``texts``, streamed where that is asked for."""

    def behave(asked: Asked) -> None:
        if not asked.body.get("stream"):
            asked.json(chat("".join(texts)))
            return
        asked.begin_stream()
        for text in texts:
            asked.event(chunk(text))
        asked.event(chunk(finish="stop"))
        asked.event(chunk() | {"choices": [], "usage": chat()["usage"]})
        asked.end_stream()

    return behave
