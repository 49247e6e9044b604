"""A whole answer out of the events of a streamed one.

The engine looks after a closed connection in every second in which no request gets anything. Beside a neighbour's
stream there is no such second, and a whole answer that was called off would be written to its end for nobody (seen
with xllamacpp on 2026-11-21). A stream stops at its next token.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def gather(events: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """What the engine would have answered without ``stream``, for one choice without logprobs and tools."""
    whole: dict[str, Any] = {}
    choice: dict[str, Any] = {}
    texts: dict[str, list[str]] = {}
    for event in events:
        whole = whole or {key: event[key] for key in ("id", "created", "object")}
        whole["usage"] = event.get("usage") or whole.get("usage")
        for choice in event["choices"]:
            for name, text in choice.get("delta", {"text": choice.get("text")}).items():
                texts.setdefault(name, []).append(text or "")
    answer: dict[str, Any] = {name: "".join(pieces) for name, pieces in texts.items()}
    if "delta" in choice:
        whole["object"] = "chat.completion"
        answer = {"message": {"content": "", **answer, "role": "assistant"}}  # where no word came, no role did
    return {**whole, "choices": [{"index": 0, "finish_reason": choice.get("finish_reason"), **answer}]}
