"""The child process of one contender: opens it, then does as it is told, one JSON object a line.

Each contender has a process of its own, so that memory and start are its own and no library disturbs another's
threads. Orders come on stdin, answers go to stdout; whatever the libraries print goes to stderr.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TextIO

import numpy as np
from numpy.typing import NDArray


class Contender(Protocol):
    """Anything that can be timed on texts."""

    def embed(self, texts: Sequence[str], *, batch_size: int | None) -> NDArray[np.float32]: ...


class Umekomi:
    """umekomi by its public API."""

    def __init__(self, order: dict[str, Any]) -> None:
        import umekomi

        self._embedder = umekomi.open_embedder(
            order["model"], precision=order["precision"], threads=order["threads"]
        )

    def embed(self, texts: Sequence[str], *, batch_size: int | None) -> NDArray[np.float32]:
        return self._embedder.embed(texts, role="raw").vectors


class SentenceTransformers:
    """sentence-transformers as its documentation shows it: fp32 on the processor."""

    def __init__(self, order: dict[str, Any]) -> None:
        import torch
        from sentence_transformers import SentenceTransformer

        torch.set_num_threads(order["threads"])
        self._model = SentenceTransformer(order["folder"], device="cpu", local_files_only=True)

    def embed(self, texts: Sequence[str], *, batch_size: int | None) -> NDArray[np.float32]:
        vectors: NDArray[np.float32] = self._model.encode(
            list(texts), batch_size=batch_size or 32, show_progress_bar=False
        )
        return vectors


class Products:
    """The model's matrix products alone; its vectors mean nothing."""

    def __init__(self, order: dict[str, Any]) -> None:
        from gemm_ceiling import Ceiling, layer_shapes

        config = json.loads(Path(order["folder"], "config.json").read_text(encoding="utf-8"))
        self._ceiling = Ceiling(layer_shapes(config), precision=order["precision"], threads=order["threads"])

    def run(self, tokens: int) -> None:
        self._ceiling.run(tokens)


KINDS: dict[str, Callable[[dict[str, Any]], Contender]] = {
    "umekomi": Umekomi,
    "sentence-transformers": SentenceTransformers,
}


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    order = json.loads(sys.stdin.readline())
    if order["kind"] == "matrix products":
        _serve_products(Products(order), answers)
        return
    sets: dict[str, list[str]] = json.loads(Path(order["texts"]).read_text(encoding="utf-8"))
    contender = KINDS[order["kind"]](order)
    contender.embed(["query: 緑の果物"], batch_size=None)
    _answer(answers, {"first_vector_at": time.time()})
    for order in _orders():
        _answer(answers, _obey(contender, order, sets[order["set"]]))


def _obey(contender: Contender, order: dict[str, Any], texts: list[str]) -> dict[str, Any]:
    batch_size = order.get("batch_size")
    if "save" not in order:
        return _timed(partial(contender.embed, texts, batch_size=batch_size)) | {"peak_bytes": _peak_bytes()}
    if order["alone"]:
        vectors = np.concatenate(
            [contender.embed([text], batch_size=batch_size) for text in texts[: order["alone"]]]
        )
    else:
        vectors = contender.embed(texts, batch_size=batch_size)
    np.save(order["save"], vectors)
    return {}


def _serve_products(products: Products, answers: TextIO) -> None:
    products.run(1)
    _answer(answers, {"first_vector_at": time.time()})
    for order in _orders():
        _answer(answers, _timed(partial(products.run, order["tokens"])))


def _timed(work: Callable[[], object]) -> dict[str, Any]:
    started, used = time.perf_counter(), time.process_time()
    work()
    return {"seconds": time.perf_counter() - started, "cpu_seconds": time.process_time() - used}


def _orders() -> Iterator[dict[str, Any]]:
    """Orders until stdin ends."""
    return map(json.loads, sys.stdin)


def _answer(answers: TextIO, answer: dict[str, Any]) -> None:
    print(json.dumps(answer), file=answers, flush=True)


def _peak_bytes() -> int:
    """The most memory this process has held. On Linux not getrusage's figure, which starts with the parent's."""
    status = Path("/proc/self/status")
    if status.exists():
        lines = status.read_text(encoding="ascii", errors="replace").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    main()
