"""llama.cpp's answers, cut down to OpenAI's fields and mended where they differ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from umekomi.engines.base import Answer
from umekomi.engines.llama_cpp.formats import Format

_FINISHED = "stop"


class Usage:
    """Token counts over the requests of one answer."""

    def __init__(self) -> None:
        self._prompt = self._completion = self._cached = 0

    def add(self, usage: Mapping[str, Any], *, choice: int) -> None:
        """``choice`` counts within the prompt, whose tokens count once."""
        self._completion += usage.get("completion_tokens", 0)
        if choice == 0:
            self._prompt += usage.get("prompt_tokens", 0)
            self._cached += (usage.get("prompt_tokens_details") or {}).get("cached_tokens", 0)

    def as_dict(self) -> dict[str, Any]:
        return {
            "prompt_tokens": self._prompt,
            "completion_tokens": self._completion,
            "total_tokens": self._prompt + self._completion,
            "prompt_tokens_details": {"cached_tokens": self._cached},
        }


def envelope(event: Mapping[str, Any], *, model: str, first: Mapping[str, Any]) -> Answer:
    """The fields around the choices; ``first`` is the event that gives all chunks their id and time."""
    kind = event["object"]
    prefix = "cmpl" if kind == "text_completion" else "chatcmpl"
    return {
        "id": f"{prefix}-{str(first['id']).rpartition('-')[2]}",
        "object": kind,
        "created": first["created"],
        "model": model,
    }


class ChatChoices:
    """Choices of a chat, whole or in chunks."""

    def convert(self, choice: Mapping[str, Any], *, index: int) -> dict[str, Any]:
        part = "delta" if "delta" in choice else "message"
        text = dict(choice[part])
        if text.get("content"):
            text["content"] = _whole_characters(text["content"], choice)
        if part == "delta" and "role" in text and text.get("content") is None:
            text["content"] = ""  # OpenAI's first delta, which clients add strings to
        return {
            "index": index,
            part: text,
            "logprobs": choice.get("logprobs"),
            "finish_reason": choice.get("finish_reason"),
        }

    def text(self, choice: Mapping[str, Any]) -> str:
        part = choice.get("message") or choice.get("delta") or {}
        return part.get("content") or ""


class CompletionChoices:
    """Choices of a text completion, whole or in chunks, with logprobs as that route has them."""

    def __init__(self, *, top: int) -> None:
        self._top = top
        self._offsets: dict[int, int] = {}

    def convert(self, choice: Mapping[str, Any], *, index: int) -> dict[str, Any]:
        return {
            "index": index,
            "text": _whole_characters(choice["text"], choice),
            "logprobs": self._logprobs(choice.get("logprobs"), index),
            "finish_reason": choice.get("finish_reason"),
        }

    def text(self, choice: Mapping[str, Any]) -> str:
        text: str = choice["text"]
        return text

    def _logprobs(self, logprobs: Mapping[str, Any] | None, index: int) -> dict[str, Any] | None:
        if not logprobs:
            return None
        found = logprobs.get("content") or []
        offsets = []
        for token in found:
            offsets.append(self._offsets.setdefault(index, 0))
            self._offsets[index] += len(token["token"])
        return {
            "tokens": [token["token"] for token in found],
            "token_logprobs": [token["logprob"] for token in found],
            "top_logprobs": [
                {other["token"]: other["logprob"] for other in token["top_logprobs"][: self._top]}
                for token in found
            ],
            "text_offset": offsets,
        }


def _whole_characters(text: str, choice: Mapping[str, Any]) -> str:
    """``text`` without the half character that a limit on tokens may leave at its end; streams leave it out too."""
    return text.rstrip("\ufffd") if choice.get("finish_reason") == "length" else text


class FormatWatch:
    """Collects the text of each choice of a stream, and checks it where the choice finishes."""

    def __init__(self, form: Format) -> None:
        self._form = form
        self._texts: dict[int, list[str]] = {}

    def see(self, choice: Mapping[str, Any], text: str) -> None:
        """Raises `EngineError` where a choice has finished and does not follow the format."""
        if not self._form.wanted:
            return
        texts = self._texts.setdefault(choice["index"], [])
        texts.append(text)
        if choice["finish_reason"] == _FINISHED:
            self._form.check("".join(texts))
