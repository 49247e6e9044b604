"""A generator that a test can hold, break and watch; for what a real one cannot be made to do."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from umekomi.config import ModelSettings
from umekomi.engines.base import Answer, Body, Cancellation
from umekomi.engines.hashing import hashing_bundle
from umekomi.errors import EngineError
from umekomi.serve.workers import ChatModel


def chunk(delta: dict[str, Any], finish: str | None = None) -> Answer:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "x", "choices": [choice]}


class ScriptedGenerator:
    """Streams "a", waits for the ``gate``, then fails with ``failure`` or goes on to the end."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.card = dataclasses.replace(hashing_bundle("hashing:8").card, name="x", capabilities=("chat",))
        self.parallel = 2
        self.context_tokens = 64
        self.failure = failure
        self.before = threading.Event()  # holds the first chunk back
        self.before.set()
        self.gate = threading.Event()
        self.stopped = threading.Event()

    def open(self, settings: ModelSettings) -> Any:
        return ChatModel(self)

    def chat(self, body: Body, *, cancel: Cancellation | None = None) -> Answer:
        raise self.failure or EngineError("nothing scripted")

    complete = chat

    def stream_chat(self, body: Body, *, cancel: Cancellation | None = None) -> ScriptedChunks:
        assert cancel is not None
        return ScriptedChunks(self._chunks(cancel), cancel.cancel)

    stream_complete = stream_chat

    def _chunks(self, cancel: Cancellation) -> Iterator[Answer]:
        self._wait(self.before, cancel)
        yield chunk({"role": "assistant", "content": ""})
        yield chunk({"content": "a"})
        self._wait(self.gate, cancel)
        if cancel.cancelled:
            return
        if self.failure is not None:
            raise self.failure
        yield chunk({}, "stop")

    def _wait(self, event: threading.Event, cancel: Cancellation) -> None:
        woken = threading.Event()
        cancel.on_cancel(woken.set)
        while not event.wait(0.01):
            if woken.is_set():
                self.stopped.set()
                return

    def tokenize(self, text: str, *, special: bool = False) -> list[int]:
        return list(text.encode())

    def detokenize(self, ids: Sequence[int]) -> str:
        return bytes(ids).decode()

    def close(self) -> None:
        self.gate.set()


class ScriptedChunks:
    def __init__(self, chunks: Iterator[Answer], close: Callable[[], None]) -> None:
        self._chunks = chunks
        self.close = close

    def __iter__(self) -> ScriptedChunks:
        return self

    def __next__(self) -> Answer:
        return next(self._chunks)
