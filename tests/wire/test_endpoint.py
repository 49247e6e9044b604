"""`Endpoint` against our own server, and against servers that answer 200 with something else."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kit.server import MODEL, reference_vectors, serving
from umekomi.config import ModelSettings
from umekomi.embedding.endpoint import TEXTS_PER_REQUEST, Answer, Endpoint
from umekomi.errors import UpstreamError


def test_vectors_are_those_of_the_library_in_order_over_many_requests() -> None:
    texts = [f"{number} 緑の果物" for number in range(TEXTS_PER_REQUEST * 2 + 7)]
    with serving() as server, Endpoint(f"{server.url}/v1", MODEL) as endpoint:
        np.testing.assert_array_equal(endpoint.embed(texts, role="raw"), reference_vectors(texts))
        prompted = reference_vectors([f"query: {text}" for text in texts[:3]])
        np.testing.assert_array_equal(endpoint.embed(texts[:3], role="query"), prompted)
        assert endpoint.embed(texts[:3], role="raw", dimensions=8).shape == (3, 8)
        with pytest.raises(UpstreamError, match="answered 400: dimensions is 99"):
            endpoint.embed(texts[:3], role="raw", dimensions=99)


def test_an_unknown_model_is_told_in_the_servers_words() -> None:
    with (
        serving() as server,
        Endpoint(f"{server.url}/v1", "nobody") as endpoint,
        pytest.raises(UpstreamError, match="answered 404: The model `nobody` does not exist"),
    ):
        endpoint.embed(["text"], role="raw")


def test_the_similarity_command_ranks_the_same_here_and_there(tmp_path: Path) -> None:
    source = tmp_path / "texts.csv"
    source.write_text("name,text\na,green fruit\nb,red car\nc,greenish fruits\n", encoding="utf-8")
    command = [sys.executable, "-m", "umekomi", "similarity", str(source), "green fruit", "-m", MODEL, "--json"]
    here = subprocess.run(command, capture_output=True, text=True, check=True, timeout=240).stdout
    with serving() as server:
        asked = [*command, "--base-url", f"{server.url}/v1"]
        there = subprocess.run(asked, capture_output=True, text=True, check=True, timeout=240).stdout
    ranked = [[json.loads(line)["title"] for line in output.splitlines()] for output in (here, there)]
    assert ranked[0] == ranked[1]
    assert len(ranked[0]) == 3


@contextmanager
def _answering(status: int, body: bytes) -> Iterator[str]:
    """A server that gives one answer to everything."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1"
        finally:
            server.shutdown()
            thread.join()


def test_a_model_that_changes_under_way_is_told() -> None:
    """A second model behind one name, as behind a load balancer: the first request ends between the two."""
    models = (ModelSettings(name="one", source="hashing:8"), ModelSettings(name="two", source="hashing:16"))
    with serving(*models) as server, Endpoint(f"{server.url}/v1", "one") as endpoint:
        ask = endpoint.ask

        def ask_and_change(*arguments: Any, **options: Any) -> Answer:
            answer = ask(*arguments, **options)
            endpoint.model = "two"
            return answer

        endpoint.ask = ask_and_change  # type: ignore[method-assign]
        with pytest.raises(UpstreamError, match="changed from 8 to 16 dimensions between requests"):
            endpoint.embed(["text"] * (TEXTS_PER_REQUEST + 1), role="raw")


def test_the_tokens_that_a_server_counts_come_along() -> None:
    with serving() as server, Endpoint(f"{server.url}/v1", MODEL) as endpoint:
        assert endpoint.ask(["abc"], role="raw").tokens == 4  # a start token and three characters


def _answer(*rows: object) -> bytes:
    return json.dumps({"data": [{"index": index, "embedding": row} for index, row in enumerate(rows)]}).encode()


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (200, b"<html>Sign in</html>", "sent a body that is not JSON: <html>Sign in</html>"),
        (200, b'{"data": "x"}', "sent a body that holds no embeddings"),
        (200, _answer([1.0, 2.0]), "sent 1 vectors for 2 texts"),
        (200, b'{"data": [{"index": 1, "embedding": [1]}, {"index": 1, "embedding": [2]}]}', "repeated indices"),
        (200, _answer([1.0, 2.0], [1.0]), "vectors of different lengths"),
        (200, _answer([1.0, 2.0], [1.0, float("nan")]), "not JSON"),
        (200, _answer("AACAfw==", "AACAfw=="), "not finite"),
        (200, _answer("!!!", "!!!"), "not base64"),
        (502, b"", "answered 502: an empty body"),
        (500, b"<html>oops</html>", "answered 500: <html>oops</html>"),
    ],
)
def test_a_wrong_answer_is_never_passed_on_as_right(status: int, body: bytes, message: str) -> None:
    with (
        _answering(status, body) as base_url,
        Endpoint(base_url, "m") as endpoint,
        pytest.raises(UpstreamError, match=message),
    ):
        endpoint.embed(["one", "two"], role="raw")
