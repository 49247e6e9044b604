"""Function calls that a model writes as JSON text, turned into OpenAI's ``tool_calls`` while they come."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from umekomi.engines.llama_cpp.tools import Tools
from umekomi.errors import EngineError

_HEAD = re.compile(r'\s*\{\s*"name"\s*:\s*("(?:[^"\\]|\\.)*")\s*,\s*"arguments"\s*:\s*(?=\{)')
_MAX_HEAD = 400
"""Characters after which a text that begins like a call, and is none, is let through."""


class CallReader:
    """One choice's text, piece by piece: content, or one call whose arguments are passed on as they come."""

    def __init__(self, names: Collection[str], *, forced: bool) -> None:
        self._names = names
        self._forced = forced
        self._held = ""
        self._depth = 0
        self._in_string = self._escaped = False
        self._state = "head"
        self.called = False

    def feed(self, text: str) -> Iterator[dict[str, Any]]:
        """Deltas of OpenAI's, as far as they are certain."""
        if self._state == "head":
            self._held += text
            if (head := _HEAD.match(self._held)) and (name := json.loads(head[1])) in self._names:
                self._state, self.called = "arguments", True
                function = {"name": name, "arguments": ""}
                yield _call({"id": f"call_{secrets.token_hex(12)}", "type": "function", "function": function})
                text = self._held[head.end() :]
            elif self._may_become_call():
                return
            else:
                self._state, text = "text", self._held
        if self._state == "arguments":
            if arguments := self._arguments(text):
                yield _call({"function": {"arguments": arguments}})
        elif self._state == "text" and text:
            yield {"content": text}

    def finish(self) -> Iterator[dict[str, Any]]:
        """What was held back, where it has not become a call."""
        if self._state == "head" and self._held:
            yield {"content": self._held}
        self._state = "done"

    def _may_become_call(self) -> bool:
        begins = self._held.lstrip()[:1] in ("", "{")
        return self._forced or (begins and len(self._held) < _MAX_HEAD)

    def _arguments(self, text: str) -> str:
        """The part of ``text`` that belongs to the arguments' object."""
        for position, character in enumerate(text):
            if self._escaped:
                self._escaped = False
            elif self._in_string:
                self._escaped, self._in_string = character == "\\", character != '"'
            elif character == '"':
                self._in_string = True
            else:
                self._depth += (character in "{[") - (character in "}]")
                if self._depth == 0:
                    self._state = "done"
                    return text[: position + 1]
        return text


class ToolCalls:
    """The calls of every choice of one answer, where the model writes them; without tools, choices pass unread."""

    def __init__(self, tools: Tools | None) -> None:
        self._tools = tools
        self._readers: dict[int, CallReader] = {}

    @property
    def forced(self) -> bool:
        """Whether every choice has to be a call."""
        return self._tools is not None and bool(self._tools.forced)

    def whole(self, choice: dict[str, Any]) -> dict[str, Any]:
        """A finished choice, with ``message.tool_calls`` in place of the text that called. Raises `EngineError`."""
        if self._tools is None:
            return choice
        message, reader = choice["message"], self._reader(choice, self._tools)
        if calls := _joined([*reader.feed(message.get("content") or ""), *reader.finish()]):
            choice = {**choice, "message": {**message, "content": None, "tool_calls": calls}}
        return self._finished(choice, self._tools)

    def stream(self, choice: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """The chunks to send for one that came. Raises `EngineError`."""
        if self._tools is None:
            yield choice
            return
        delta, reader = choice["delta"], self._reader(choice, self._tools)
        if "role" in delta:
            yield {**choice, "delta": {"role": delta["role"], "content": ""}, "finish_reason": None}
        found = [*reader.feed(delta.get("content") or "")]
        if choice["finish_reason"]:
            found += reader.finish()
        for each in found:
            yield {**choice, "delta": each, "finish_reason": None}
        if choice["finish_reason"]:
            yield self._finished({**choice, "delta": {}}, self._tools)

    def _reader(self, choice: Mapping[str, Any], tools: Tools) -> CallReader:
        new = CallReader(tools.offered.keys(), forced=bool(tools.forced))
        return self._readers.setdefault(choice["index"], new)

    def _finished(self, choice: dict[str, Any], tools: Tools) -> dict[str, Any]:
        if choice["finish_reason"] == "stop" and self._reader(choice, tools).called:
            return {**choice, "finish_reason": "tool_calls"}
        if choice["finish_reason"] == "stop" and tools.forced:
            raise EngineError("llama.cpp answered without the call that tool_choice asks for; ask again")
        return choice


def _call(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {"tool_calls": [{"index": 0, **fields}]}


def _joined(deltas: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The call that some deltas make; empty where they make none."""
    parts = [delta["tool_calls"][0] for delta in deltas if "tool_calls" in delta]
    if not parts:
        return []
    arguments = "".join(part["function"]["arguments"] for part in parts)
    head = parts[0]
    return [{"id": head["id"], "type": "function", "function": {**head["function"], "arguments": arguments}}]
