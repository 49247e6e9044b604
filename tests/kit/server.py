"""Real servers on real sockets: in a thread where a test needs to reach inside, as a process where it must not."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from umekomi.config import (
    KeySettings,
    Limits,
    ModelSettings,
    RequestLogSettings,
    ServerSettings,
    Settings,
    TracingSettings,
)
from umekomi.embedding.embedder import Embedder
from umekomi.engines.hashing import HashingEncoder, hashing_bundle
from umekomi.serve.listening import bind, url_of
from umekomi.serve.residency import OpenModel
from umekomi.serve.server import Server
from umekomi.serve.service import Service, open_service
from umekomi.types import Prepared, Vectors

MODEL = "hashing:64"
PATIENCE_S = 200
"""How long to wait for what is certain to come: only a test that fails ever waits as long."""


@dataclass(frozen=True)
class LocalServer:
    """A server in a thread of this process."""

    url: str
    server: Server
    service: Service
    client: httpx.Client

    def post(self, body: object, **options: Any) -> httpx.Response:
        """``POST /v1/embeddings`` with ``body`` as JSON, or as it is where it is bytes."""
        sent = {"content": body} if isinstance(body, bytes) else {"json": body}
        return self.client.post("/v1/embeddings", **sent, **options)

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.client.get(path, **options)

    def metric(self, name: str, **labels: str) -> float:
        """One figure of ``/metrics``; 0 where there is none."""
        wanted = {f'{key}="{value}"' for key, value in labels.items()}
        for line in self.get("/metrics").text.splitlines():
            found = re.fullmatch(rf"{name}(?:\{{(.*)\}})? (\S+)", line)
            if found and wanted <= set((found[1] or "").split(",")):
                return float(found[2])
        return 0.0

    def connect(self) -> socket.socket:
        """A bare connection, for what no client library would send."""
        host, port = self.url.removeprefix("http://").split(":")
        return socket.create_connection((host, int(port)), timeout=PATIENCE_S)


@contextmanager
def serving(
    *models: ModelSettings,
    limits: Limits | None = None,
    open_model: OpenModel | None = None,
    drain_s: float = 60,
    wait: bool = True,
    keys: Path | None = None,
    request_log: RequestLogSettings | None = None,
    capture_s: float | None = None,
    cors_origins: Sequence[str] = (),
    tracing: TracingSettings | None = None,
) -> Iterator[LocalServer]:
    """A running server, stopped as SIGTERM would; ``wait`` for the models that it loads at start.

    ``keys`` is the database of keys and usage; else a new one, so that tests do not count into one another's.
    """
    folder = tempfile.TemporaryDirectory(prefix="umekomi-")
    settings = Settings(
        models=models or (ModelSettings(name=MODEL),),
        limits=limits or Limits(),
        keys=KeySettings(file=keys or Path(folder.name, "server.sqlite")),
        request_log=request_log or RequestLogSettings(),
        server=ServerSettings(cors_origins=tuple(cors_origins)),
        tracing=tracing or TracingSettings(),
    ).with_defaults()
    service = open_service(settings, open_model=open_model, capture_s=capture_s)
    listener = bind("127.0.0.1", 0)
    ready = threading.Event()
    server = Server(service, drain_s=drain_s, on_ready=ready.set)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    url = url_of(listener)
    thread.start()
    try:
        if wait:
            assert ready.wait(PATIENCE_S), "the server did not become ready"
        with httpx.Client(base_url=url, timeout=PATIENCE_S) as client:
            yield LocalServer(url, server, service, client)
    finally:
        if thread.is_alive():
            server.handle_exit(signal.SIGTERM, None)
        thread.join(drain_s + 60)
        listener.close()
        assert not thread.is_alive(), "the server did not stop"
        folder.cleanup()


class GatedEncoder(HashingEncoder):
    """The hashing encoder, but `run` waits until the test opens the gate; remembers the texts that ran."""

    def __init__(self, name: str = MODEL) -> None:
        super().__init__(hashing_bundle(name).card, lanes=1)
        self.gate = threading.Event()
        self.entered = threading.Event()
        self.runs: list[Prepared] = []
        """Every text, in the order in which they ran: answers may overtake one another on their way to a client."""
        self.batch_tokens = 1  # one text a run, so that a test can tell what ran and what did not

    def run(self, batch: Sequence[Prepared]) -> Vectors:
        self.entered.set()
        assert self.gate.wait(PATIENCE_S)
        self.runs += batch
        return super().run(batch)

    def open(self, settings: ModelSettings) -> Embedder:
        return Embedder(self)


class FailingEncoder(HashingEncoder):
    """The hashing encoder, but `prepare` fails as a programming error would."""

    def __init__(self) -> None:
        super().__init__(hashing_bundle(MODEL).card, lanes=1)

    def prepare(self, *args: object, **kwargs: object) -> list[Prepared]:
        raise ZeroDivisionError("the secret of the server")

    def open(self, settings: ModelSettings) -> Embedder:
        return Embedder(self)


def reference_vectors(texts: Sequence[str], model: str = MODEL) -> Vectors:
    """What the Python API gives for ``texts`` as they are."""
    encoder = HashingEncoder(hashing_bundle(model).card, lanes=1)
    return np.stack([encoder.run([prepared])[0] for prepared in encoder.prepare(texts)])


def wait_until(condition: Callable[[], bool], *, seconds: float = PATIENCE_S, what: str = "the condition") -> None:
    """Poll until ``condition``; fails the test after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come within {seconds} s"
        time.sleep(0.01)


@dataclass(frozen=True)
class ServerProcess:
    """``umekomi serve`` as users start it. ``log`` is where its standard error goes."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path

    def stop(self, signal_number: int = signal.SIGTERM) -> int:
        """Send the signal and return the exit code."""
        self.process.send_signal(signal_number)
        return self.process.wait(PATIENCE_S)


@contextmanager
def serve_process(
    folder: Path,
    *arguments: str,
    ready: bool = True,
    environment: Mapping[str, str] | None = None,
    seconds: float = PATIENCE_S,
) -> Iterator[ServerProcess]:
    """The command with ``arguments`` on a free port; waits for its invitation, or only for its address."""
    log = folder / "serve.log"
    command = [sys.executable, "-m", "umekomi", "serve", "--port", "0", *arguments]
    with log.open("wb") as errors:
        process = subprocess.Popen(command, stderr=errors, stdout=errors, env={**os.environ, **(environment or {})})
    pattern = re.compile(r"serving .* at (http://\S+)/v1.*\n" if ready else r"(http://\S+) is starting.*\n")
    try:
        deadline = time.monotonic() + seconds
        # A line may have been written in part, up to the middle of a character.
        while not (found := pattern.search(log.read_text(encoding="utf-8", errors="replace"))):
            assert process.poll() is None, f"ended with {process.returncode}: {log.read_text(encoding='utf-8')}"
            assert time.monotonic() < deadline, f"not ready: {log.read_text(encoding='utf-8')}"
            time.sleep(0.05)
        yield ServerProcess(found[1], process, log)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(PATIENCE_S)
