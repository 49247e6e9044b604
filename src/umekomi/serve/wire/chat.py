"""``POST /v1/chat/completions`` and ``/v1/completions``: what the server itself reads of a body, and SSE frames.

The engine checks the rest, which it knows best.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from umekomi.errors import InvalidInput
from umekomi.serve.wire.body import json_type
from umekomi.serve.wire.embeddings import parse_model

DONE = b"data: [DONE]\n\n"
KEEP_ALIVE = b": keep-alive\n\n"

_ENGINE_FIELDS = frozenset(
    {
        "chat_template_kwargs",
        "frequency_penalty",
        "logit_bias",
        "logprobs",
        "max_completion_tokens",
        "max_tokens",
        "messages",
        "min_p",
        "n",
        "parallel_tool_calls",
        "presence_penalty",
        "prompt",
        "repeat_penalty",
        "response_format",
        "seed",
        "stop",
        "temperature",
        "tool_choice",
        "tools",
        "top_k",
        "top_logprobs",
        "top_p",
    }
)
"""What engines obey; anything else, ``user`` and ``store`` and what is to come, is ignored by those here."""


_OWN_FIELDS = frozenset({"model", "stream", "stream_options"})


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """A request for text, without what is null.

    body     what is for the engine
    further  what engines here ignore; another server may know it
    """

    model: str
    stream: bool
    include_usage: bool
    body: Mapping[str, Any]
    further: Mapping[str, Any] = field(default_factory=dict)


def parse_generation(body: Mapping[str, Any]) -> GenerationRequest:
    """Raises `InvalidInput` that names the field, for the fields that the server reads itself."""
    model = parse_model(body.get("model"))
    stream = _switch(body, "stream")
    options = body.get("stream_options")
    if options is not None and not isinstance(options, dict):
        raise InvalidInput(f"stream_options must be an object, not {json_type(options)}", param="stream_options")
    if options is not None and not stream:
        raise InvalidInput("stream_options is given without stream: true", param="stream_options")
    for_engine = {name: value for name, value in body.items() if name in _ENGINE_FIELDS and value is not None}
    include_usage = _switch(options or {}, "include_usage")
    if stream:  # for our own books too; the chunk is left out where the client did not ask for it
        for_engine["stream_options"] = {"include_usage": True}
    further = {
        name: value
        for name, value in body.items()
        if name not in _ENGINE_FIELDS and name not in _OWN_FIELDS and value is not None
    }
    return GenerationRequest(model, stream, include_usage, for_engine, further)


def frame(content: Mapping[str, Any]) -> bytes:
    """One event of the stream."""
    return event(orjson.dumps(content))


def event(data: bytes) -> bytes:
    """An event with JSON on one line: a chunk, or after a failure the envelope that the request would have got."""
    return b"data: %b\n\n" % data


def _switch(body: Mapping[str, Any], field: str) -> bool:
    value = body.get(field)
    if value is None or isinstance(value, bool):
        return bool(value)
    raise InvalidInput(f"{field} must be true or false, not {json_type(value)}", param=field)
