"""`LlamaGenerator`: chat and text completion from a GGUF file."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from umekomi.engines.base import Answer, Body, Cancellation
from umekomi.engines.llama_cpp.answers import ChatChoices, CompletionChoices, FormatWatch, Usage, envelope
from umekomi.engines.llama_cpp.bodies import Plan, check_messages, plan_chat, plan_completion
from umekomi.engines.llama_cpp.calls import ToolCalls
from umekomi.engines.llama_cpp.failures import too_long
from umekomi.engines.llama_cpp.gathering import gather
from umekomi.engines.llama_cpp.options import Slots
from umekomi.engines.llama_cpp.server import LlamaServer
from umekomi.engines.llama_cpp.tools import (
    in_words,
    plain_messages,
    read_tools,
    speaks_of_tools,
    without_tools,
)
from umekomi.engines.llama_cpp.vocabulary import Vocabulary
from umekomi.errors import InputTooLong, InvalidInput
from umekomi.models.card import ModelCard

_PROBE = [{"role": "user", "content": "probe"}]
_STREAMED = {"stream": True, "stream_options": {"include_usage": True}, "return_progress": True}


@dataclass(frozen=True, slots=True)
class _Job:
    """One request of ours: where the engine answers it, in which parts, and what becomes of the choices."""

    route: str
    prompt_param: str
    plan: Plan
    choices: ChatChoices | CompletionChoices
    calls: ToolCalls = field(default_factory=lambda: ToolCalls(None))

    def steps(self) -> list[tuple[int, int, dict[str, Any]]]:
        """The engine's requests in order: number of the choice over all prompts and within its own, and body."""
        pairs = [pair for requests in self.plan.requests for pair in enumerate(requests)]
        return [(index, number, request) for index, (number, request) in enumerate(pairs)]


class LlamaGenerator:
    """See `umekomi.engines.base.Generator`."""

    def __init__(self, server: LlamaServer, vocabulary: Vocabulary, card: ModelCard, slots: Slots) -> None:
        self.card = card
        self.parallel = slots.parallel
        self.context_tokens = slots.tokens
        self._server = server
        self._vocabulary = vocabulary

    def chat(self, body: Body, *, cancel: Cancellation | None = None) -> Answer:
        return self._whole(self._chat_job(body), cancel or Cancellation())

    def stream_chat(self, body: Body, *, cancel: Cancellation | None = None) -> LlamaChunks:
        return self._stream(self._chat_job(body), body, cancel or Cancellation())

    def complete(self, body: Body, *, cancel: Cancellation | None = None) -> Answer:
        return self._whole(_completion_job(body), cancel or Cancellation())

    def stream_complete(self, body: Body, *, cancel: Cancellation | None = None) -> LlamaChunks:
        return self._stream(_completion_job(body), body, cancel or Cancellation())

    def tokenize(self, text: str, *, special: bool = False) -> list[int]:
        return self._vocabulary.tokenize(text, special=special)

    def detokenize(self, ids: Sequence[int]) -> str:
        return self._vocabulary.detokenize(ids)

    def close(self) -> None:
        self._server.close()

    def _chat_job(self, body: Body) -> _Job:
        tools, calls = read_tools(body), ToolCalls(None)
        check_messages(body.get("messages"))
        if (least := len(body["messages"])) > self.context_tokens:  # the engine would write all of them out first
            raise too_long(self.context_tokens, f"at least {least}", param="messages")
        if tools is None:
            body = without_tools(body)
            if speaks_of_tools(body["messages"]) and not self._template_knows_tools:
                body["messages"] = plain_messages(body["messages"])
        elif tools.forced or not self._template_knows_tools:
            body, calls = in_words(body, tools), ToolCalls(tools)
        return _Job("/v1/chat/completions", "messages", plan_chat(body), ChatChoices(), calls)

    @cached_property
    def _template_knows_tools(self) -> bool:
        """Whether tools change the prompt. Where they do not, the engine leaves them out without a word."""
        with_tools = {"messages": _PROBE, "tools": [{"type": "function", "function": {"name": "probe"}}]}
        bodies: tuple[dict[str, Any], ...] = ({"messages": _PROBE}, with_tools)
        plain, told = (self._server.ask_quick("/apply-template", body)["prompt"] for body in bodies)
        return bool(plain != told)

    def _whole(self, job: _Job, cancel: Cancellation) -> Answer:
        watch, usage = FormatWatch(job.plan.form), Usage()
        first: dict[str, Any] = {}
        choices: list[dict[str, Any]] = []
        for index, number, request in job.steps():
            with _naming(job):
                whole = self._ask(job.route, request, cancel)
            first = first or whole
            usage.add(whole["usage"], choice=number)
            choice = job.choices.convert(whole["choices"][0], index=index)
            watch.see(choice, job.choices.text(choice))
            choices.append(job.calls.whole(choice))
        return {**self._envelope(first, first), "choices": choices, "usage": usage.as_dict()}

    def _ask(self, route: str, request: dict[str, Any], cancel: Cancellation) -> dict[str, Any]:
        """The engine's whole answer to one of its requests."""
        if request.get("tools") or request.get("logprobs"):  # calls and stop texts are only sure at the end
            whole: dict[str, Any] = self._server.ask(route, request, cancel=cancel)
            return whole
        return gather(self._listen(route, request, cancel))

    def _listen(self, route: str, request: dict[str, Any], cancel: Cancellation) -> Iterator[dict[str, Any]]:
        """The events of a streamed answer, but those of a prompt's steps: by sending them, the engine finds out
        within a long prompt that nobody listens."""
        for event in self._server.listen(route, request | _STREAMED, cancel=cancel):
            if "prompt_progress" not in event:
                yield event

    def _stream(self, job: _Job, body: Body, cancel: Cancellation) -> LlamaChunks:
        return LlamaChunks(self._chunks(job, body, cancel), cancel)

    def _chunks(self, job: _Job, body: Body, cancel: Cancellation) -> Generator[Answer]:
        watch, usage = FormatWatch(job.plan.form), Usage()
        first: dict[str, Any] = {}
        for index, number, request in job.steps():
            with _naming(job):
                for event in self._listen(job.route, request, cancel):
                    first = first or event
                    usage.add(event.get("usage") or {}, choice=number)
                    for found in event["choices"]:
                        choice = job.choices.convert(found, index=index)
                        watch.see(choice, job.choices.text(choice))
                        for shown in job.calls.stream(choice):
                            yield {**self._envelope(event, first), "choices": [shown]}
        if (body.get("stream_options") or {}).get("include_usage"):
            yield {**self._envelope(first, first), "choices": [], "usage": usage.as_dict()}

    def _envelope(self, event: dict[str, Any], first: dict[str, Any]) -> Answer:
        return envelope(event, model=self.card.name, first=first)


class LlamaChunks:
    """See `umekomi.engines.base.Chunks`. One thread iterates; any may close."""

    def __init__(self, chunks: Generator[Answer], cancel: Cancellation) -> None:
        """Waits for the first chunk, so that a refusal is raised here rather than in mid-stream."""
        self._chunks = chunks
        self._cancel = cancel
        self._stepping = threading.Lock()
        first = self._step()
        self._ahead = [] if first is None else [first]

    def __iter__(self) -> LlamaChunks:
        return self

    def __next__(self) -> Answer:
        if self._ahead and not self._cancel.cancelled:
            return self._ahead.pop()
        if (chunk := self._step()) is None:
            raise StopIteration
        return chunk

    def close(self) -> None:
        self._cancel.cancel()
        if self._stepping.acquire(blocking=False):  # else the thread inside is woken by the cancellation
            try:
                self._chunks.close()
            finally:
                self._stepping.release()

    def _step(self) -> Answer | None:
        """The next chunk; None at the end, and after a cancellation."""
        with self._stepping:
            if self._cancel.cancelled:
                self._chunks.close()
                return None
            try:
                return next(self._chunks, None)
            except CancelledError:
                return None


@contextmanager
def _naming(job: _Job) -> Iterator[None]:
    """Name the parameter that is too long or wrong as the client wrote it, which the engine does not know."""
    try:
        yield
    except InputTooLong as error:
        error.param = error.param or job.prompt_param
        raise
    except InvalidInput as error:
        if job.calls.forced and error.param == "response_format":
            error.param = "tools"  # whose parameters the format was made of
        raise


def _completion_job(body: Body) -> _Job:
    choices = CompletionChoices(top=body.get("logprobs") or 0)
    return _Job("/v1/completions", "prompt", plan_completion(body), choices)
