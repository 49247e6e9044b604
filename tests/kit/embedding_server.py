"""A small embeddings server for tests, of any function from texts to vectors, with every fault a test wants."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

import numpy as np

from umekomi.models.openai_tokens import decode
from umekomi.types import Vectors

Embed = Callable[[list[str]], Vectors]


@dataclass
class Faults:
    """What the server does wrong. Numbers count requests from 1; None: never."""

    shuffled: bool = False
    drops_row_from: int | None = None
    halves_dimension_from: int | None = None
    dies_from: int | None = None
    most_texts: int | None = None
    most_characters: int | None = None
    token_ids: Literal["text", "own", "refused"] = "text"
    refusal_status: int = 413


@dataclass
class EmbeddingServer:
    """``base_url`` ends in ``/v1``; ``bodies`` are the requests so far, ``keys`` their Authorization headers."""

    base_url: str
    bodies: list[dict[str, Any]]
    keys: list[str | None]


@contextmanager
def serving_vectors(
    embed: Embed, *, faults: Faults | None = None, by_role: Callable[[str | None], str] = lambda role: ""
) -> Iterator[EmbeddingServer]:
    """A server of ``embed``; ``by_role`` gives the prompt for a request's ``input_type``."""
    faults = faults or Faults()
    bodies: list[dict[str, Any]] = []
    keys: list[str | None] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            bodies.append(body)
            keys.append(self.headers["authorization"])
            number, texts = len(bodies), [_text(given, faults) for given in body["input"]]
            if faults.dies_from is not None and number >= faults.dies_from:
                self.close_connection = True
                return
            if refusal := _refusal(body["input"], texts, faults):
                self._answer(faults.refusal_status, {"error": {"message": refusal}})
                return
            vectors = embed([by_role(body.get("input_type")) + text for text in texts])
            self._answer(200, _answer(vectors, texts, number, faults))

        def _answer(self, status: int, answer: dict[str, Any]) -> None:
            sent = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(sent)))
            self.end_headers()
            self.wfile.write(sent)

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield EmbeddingServer(f"http://127.0.0.1:{server.server_port}/v1", bodies, keys)
        finally:
            server.shutdown()
            thread.join()


def _text(given: str | list[int], faults: Faults) -> str:
    """Ids as the text that cl100k_base means by them, or as if they were the model's own."""
    if isinstance(given, str):
        return given
    return decode("cl100k_base", given) if faults.token_ids == "text" else f"tokens {given}"


def _refusal(inputs: Sequence[object], texts: Sequence[str], faults: Faults) -> str | None:
    if faults.token_ids == "refused" and not all(isinstance(given, str) for given in inputs):
        return "input must be a string or a list of strings"
    if faults.most_texts is not None and len(texts) > faults.most_texts:
        return f"batch size {len(texts)} > maximum allowed batch size {faults.most_texts}"
    if faults.most_characters is not None and max(map(len, texts)) > faults.most_characters:
        return "inputs must have less than 512 tokens"
    return None


def _answer(vectors: Vectors, texts: Sequence[str], number: int, faults: Faults) -> dict[str, Any]:
    if faults.shuffled:
        vectors = vectors[::-1]
    if faults.halves_dimension_from is not None and number >= faults.halves_dimension_from:
        vectors = vectors[:, : vectors.shape[1] // 2]
    if faults.drops_row_from is not None and number >= faults.drops_row_from:
        vectors = vectors[:-1]
    rows = [
        {"index": index, "embedding": row.tolist()} for index, row in enumerate(np.asarray(vectors, np.float64))
    ]
    tokens = sum(len(text.split()) for text in texts)
    return {"object": "list", "data": rows, "usage": {"prompt_tokens": tokens, "total_tokens": tokens}}
