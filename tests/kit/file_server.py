"""A web server on loopback with one file: it resumes by ranges, and breaks off, lies or refuses where told to."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar


@dataclass
class ServedFile:
    """What is served, and how.

    cut_after  bytes of a body after which the connection breaks, once
    version    the ETag; empty for none
    requests   the Range header of each request so far, empty where there was none
    """

    content: bytes
    url: str = ""
    version: str = '"1"'
    cut_after: int | None = None
    status: int | None = None
    requests: list[str] = field(default_factory=list)


@contextmanager
def serve_file(content: bytes) -> Iterator[ServedFile]:
    """A server that listens while the block runs."""
    served = ServedFile(content)

    class Handler(_Handler):
        file = served

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    served.url = f"http://127.0.0.1:{server.server_port}/corpus.tar.gz"
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    file: ClassVar[ServedFile]

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        asked = self.headers.get("Range", "")
        self.file.requests.append(asked)
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        if self.headers.get("If-Range", self.file.version) != self.file.version:
            start = 0
        body = self.file.content[start:]
        if self.file.status:
            self.send_error(self.file.status)
            return
        if not body:
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(self.file.content)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        if self.file.version:
            self.send_header("ETag", self.file.version)
        if start:
            total = len(self.file.content)
            self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
        self.end_headers()
        cut, self.file.cut_after = self.file.cut_after, None
        self.wfile.write(body[:cut])
