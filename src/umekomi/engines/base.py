"""The contract between the layers above and the runtimes: encoders, generators and rerankers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from umekomi.models.card import ModelCard
from umekomi.types import Prepared, Truncation, Vectors

handed_on: ContextVar[Mapping[str, str]] = ContextVar("handed_on", default={})  # noqa: B039 - never changed
"""Headers of the request at hand that go along where another server is asked for it, such as ``traceparent``."""


class Encoder(Protocol):
    """Texts to token ids, and token ids to vectors. Synchronous; knows nothing of roles.

    `prepare` and `run` may be called from several threads at once.
    """

    card: ModelCard

    lanes: int
    """How many threads should call `run` at once for the best throughput."""

    batch_tokens: int
    """Token budget of one `run` that this engine is fastest at; a longer text runs alone."""

    def prepare(self, texts: Sequence[str], *, prompt: str = "", truncation: Truncation = "end") -> list[Prepared]:
        """Token ids of ``prompt + text`` for each text, in order, cut to ``card.max_tokens``.

        ``truncation="start"`` keeps the prompt and cuts what follows it. Raises `InputTooLong` for a text over
        the context under ``truncation="error"``, and `InvalidInput` for a text that is not valid Unicode.
        """
        ...

    def run(self, batch: Sequence[Prepared]) -> Vectors:
        """Vectors for ``batch``, in order: float32 ``(len(batch), card.dim)``, unit length if ``card.normalize``.

        A row depends on its own text only: batch size, padding and neighbours do not change it (to 1e-5 in fp32).
        Raises `EngineError`.
        """
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """Text of the model's own token ids, special tokens left out. Raises `InvalidInput` for an unknown id."""
        ...

    def close(self) -> None:
        """Give back memory and threads; calling it twice is harmless."""
        ...


Body: TypeAlias = Mapping[str, Any]
"""A request in OpenAI's shape, decoded from JSON. What is absent, null or unknown to the engine is left out."""

Answer: TypeAlias = dict[str, Any]
"""A whole answer, or one chunk of a streamed one, in OpenAI's shape and ready for JSON."""


class Cancellation:
    """Tells work in another thread to stop. One for each request; once cancelled, it stays so."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cancelled = False
        self._calls: list[Callable[[], None]] = []

    @property
    def cancelled(self) -> bool:
        return self._cancelled

    def cancel(self) -> None:
        """Stop the work; from any thread, and twice is harmless."""
        with self._lock:
            self._cancelled = True
            calls, self._calls = self._calls, []
        for call in calls:
            call()

    def on_cancel(self, call: Callable[[], None]) -> None:
        """Have ``call`` run once at the cancellation, in its thread; at once where that has been."""
        with self._lock:
            if not self._cancelled:
                self._calls.append(call)
                return
        call()


class Chunks(Iterator[Answer], Protocol):
    """The chunks of one streamed answer, in order. An error in mid-stream is raised by the next step."""

    def close(self) -> None:
        """Stop the generation; from any thread, and twice is harmless. The iteration then ends."""
        ...


class Generator(Protocol):
    """Text from a conversation or a prompt. Synchronous; every method may be called from several threads at once.

    `chat` takes ``messages`` and gives a ``chat.completion``, `complete` takes ``prompt`` (one text or several) and
    gives a ``text_completion``; the streaming ones give chunks of the same. Both obey ``temperature``, ``top_p``,
    ``top_k``, ``min_p``, ``max_tokens``, ``stop``, ``seed``, ``n``, ``presence_penalty``, ``frequency_penalty``,
    ``repeat_penalty``, ``logit_bias``, ``logprobs`` and ``response_format``; `chat` also ``max_completion_tokens``,
    ``top_logprobs``, ``tools``, ``tool_choice``, ``parallel_tool_calls`` and ``chat_template_kwargs``; streams
    ``stream_options.include_usage``. Answers carry the card's name as ``model``.

    All raise `InvalidInput` naming the parameter, `InputTooLong` for more tokens than `context_tokens`,
    `EngineError`, and `concurrent.futures.CancelledError` from a whole answer that was cancelled.
    """

    card: ModelCard

    parallel: int
    """How many requests generate at once; more wait their turn in the order of their arrival."""

    context_tokens: int
    """Tokens of one request, prompt and answer together."""

    def chat(self, body: Body, *, cancel: Cancellation | None = None) -> Answer:
        """A ``chat.completion``: ``id``, ``object``, ``created``, ``model``, ``choices``, ``usage``."""
        ...

    def stream_chat(self, body: Body, *, cancel: Cancellation | None = None) -> Chunks:
        """``chat.completion.chunk``s. Returns once the first one is there, so that a refusal is raised here."""
        ...

    def complete(self, body: Body, *, cancel: Cancellation | None = None) -> Answer:
        """A ``text_completion``, with choices for every prompt in order, and usage over all of them."""
        ...

    def stream_complete(self, body: Body, *, cancel: Cancellation | None = None) -> Chunks:
        """``text_completion`` chunks. Returns once the first one is there, so that a refusal is raised here."""
        ...

    def tokenize(self, text: str, *, special: bool = False) -> list[int]:
        """Token ids of ``text``, with ``special`` also those that the model puts around every text."""
        ...

    def detokenize(self, ids: Sequence[int]) -> str:
        """Text of token ids, special tokens written out. Raises `InvalidInput` for an unknown id."""
        ...

    def close(self) -> None:
        """Stop what runs and give back memory and threads; calling it twice is harmless."""
        ...


@dataclass(frozen=True, slots=True)
class Scores:
    """What a reranker finds.

    scores     one for each document, in their order; higher is nearer, and the scale is the model's own
    tokens     the model's own tokens that were run, those of the query once for each document
    truncated  how many pairs of query and document were cut to the model's context
    """

    scores: tuple[float, ...]
    tokens: int
    truncated: int


def admit_all(_tokens: int) -> None:
    """Lets any number of tokens run."""


class Reranker(Protocol):
    """Scores of documents for a query, by a model that reads both together. Any thread may call."""

    card: ModelCard

    def score(
        self,
        query: str,
        documents: Sequence[str],
        *,
        cancel: Cancellation | None = None,
        admit: Callable[[int], None] = admit_all,
    ) -> Scores:
        """The score of each document. What does not fit the context is cut at its end, and counted.

        admit  called once with the tokens to run, before any runs; what it raises ends the call

        Raises `InputTooLong` where a query leaves no room for a document, `InvalidInput`, `EngineError`, and
        `concurrent.futures.CancelledError` once cancelled.
        """
        ...

    def close(self) -> None:
        """Give back memory and threads; calling it twice is harmless."""
        ...
