"""A chat server that answers whatever a test wants, on a real socket, and counts who asks at once."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Say = Callable[[dict[str, Any]], "str | Raw"]
"""From a request's body to the answer's text, or to a whole response."""


@dataclass(frozen=True)
class Raw:
    """A response as it is: status, body, further headers. ``hang`` sends none until the server stops.

    ``endless_s`` sends the body over and over, with so many seconds between.
    """

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    finish: str = "stop"
    hang: bool = False
    endless_s: float | None = None


@dataclass
class ChatServer:
    """Where it listens, what it was asked, and the most requests that it held at once."""

    url: str
    asked: list[dict[str, Any]] = field(default_factory=list)
    most_at_once: int = 0


def completion(text: str, *, finish: str = "stop") -> Raw:
    """A whole ``chat.completion`` that says ``text``."""
    body = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12},
    }
    return Raw(body=json.dumps(body, ensure_ascii=False).encode())


def first_then(count: int, first: Say, then: Say) -> Say:
    """``first`` for so many requests, in the order in which they came, and ``then`` for the others."""
    numbers = itertools.count(1)
    return lambda body: (first if next(numbers) <= count else then)(body)


@contextmanager
def chat_server(say: Say) -> Iterator[ChatServer]:
    """A server at ``….url`` (which ends in ``/v1``) that answers every request as ``say`` tells."""
    lock = threading.Lock()
    stopping = threading.Event()
    at_once = 0

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            nonlocal at_once
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            with lock:
                server.asked.append(body)
                at_once += 1
                server.most_at_once = max(server.most_at_once, at_once)
            try:
                said = say(body)
                answer = completion(said) if isinstance(said, str) else said
            finally:
                with lock:
                    at_once -= 1
            if answer.hang:
                stopping.wait()
                self.close_connection = True
                return
            self.send_response(answer.status)
            for name, value in {"content-type": "application/json", **answer.headers}.items():
                self.send_header(name, value)
            if answer.endless_s is not None:
                self.end_headers()
                self.close_connection = True
                with suppress(OSError):  # the other side has had enough
                    while not stopping.wait(answer.endless_s):
                        self.wfile.write(answer.body)
                return
            self.send_header("content-length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        listening.daemon_threads = True
        server = ChatServer(f"http://127.0.0.1:{listening.server_address[1]}/v1")
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            stopping.set()
            listening.shutdown()
            thread.join()
