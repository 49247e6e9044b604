"""A watch that remembers, settings for quick evaluations, and servers that go wrong on purpose."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np

from umekomi.evaluate.settings import EvaluationSettings


@dataclass
class RecordingWatch:
    """What a run told its user."""

    stages: dict[str, int] = field(default_factory=dict)
    notices: list[str] = field(default_factory=list)

    @contextmanager
    def stage(self, title: str, *, total: int) -> Iterator[Callable[[int], None]]:
        self.stages[title] = 0

        def advance(count: int) -> None:
            self.stages[title] += count

        yield advance
        assert self.stages[title] == total, f"{title}: {self.stages[title]} of {total}"

    def notify(self, message: str) -> None:
        self.notices.append(message)


def quick(cache: Path, **changes: Any) -> EvaluationSettings:
    """Settings without what takes long: no maps, no speed, few resamples."""
    plain = {"cost": False, "projection": "none", "curves": False, "audits": False, "resamples": 200}
    return EvaluationSettings(cache=cache, **(plain | changes))


Embed = Callable[[list[str]], np.ndarray]


@contextmanager
def embeddings_server(embed: Embed) -> Iterator[str]:
    """The base URL of a server whose vectors are whatever ``embed`` says; where it raises, the answer is a 500."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
            try:
                vectors = np.asarray(embed(texts), "<f4")
            except Exception as error:
                return self._answer(500, {"error": {"message": str(error)}})
            rows = [
                {"object": "embedding", "index": row, "embedding": base64.b64encode(vector.tobytes()).decode()}
                for row, vector in enumerate(vectors)
            ]
            return self._answer(200, {"object": "list", "data": rows, "usage": {"prompt_tokens": 1}})

        def _answer(self, status: int, body: object) -> None:
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/v1"
        finally:
            server.shutdown()
            thread.join()
