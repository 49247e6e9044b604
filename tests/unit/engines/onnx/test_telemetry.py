"""Nothing that runs a model tells anybody outside: onnxruntime would, some seconds after it has loaded a graph."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from kit.outside import watched_outside
from kit.tiny_models import save_tiny_model

EMBED = """\
import sys, umekomi
with umekomi.open_embedder(sys.argv[1]) as embedder:
    embedder.embed(["text"], role="raw")
    sys.stdin.read()
"""
LONGEST_S = 40
"""More than the library waits before it reports."""


@contextmanager
def embedding(model: Path, environment: Mapping[str, str]) -> Iterator[None]:
    """A process that has embedded a text and stays."""
    command = [sys.executable, "-c", EMBED, str(model)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, env=environment) as process:
        yield
    assert process.returncode == 0


@pytest.mark.slow
def test_embedding_reaches_for_nothing_where_the_runtime_by_itself_would(tmp_path: Path) -> None:
    model = save_tiny_model(tmp_path / "model")
    with watched_outside() as ours, watched_outside() as bare:
        with (
            embedding(model, ours.environment),
            embedding(model, bare.environment | {"ORT_DISABLE_TELEMETRY": "0"}),
        ):
            deadline = time.monotonic() + LONGEST_S
            while not bare.asked and time.monotonic() < deadline:
                time.sleep(0.1)
            time.sleep(2)  # the other process is no faster
        if not bare.asked:
            pytest.skip("this build of onnxruntime reports nothing anyway")
        assert not ours.asked
