"""Tools told in words and called by JSON: for templates that know none, and where a call is forced.

llama.cpp drops ``tools`` without a word where the template has no place for them (its issue 27129), and may not
hold a model to ``tool_choice`` where it has (27217; so it was here, 2026-11-21). Its schemas do hold.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from umekomi.engines.base import Body
from umekomi.errors import InvalidInput

_CHOICES = ("none", "auto", "required")
_HOISTED = ("$defs", "definitions")


@dataclass(frozen=True, slots=True)
class Tools:
    """The functions that a request offers, by name, and those of which one must be called, if any."""

    offered: Mapping[str, Mapping[str, Any]]
    forced: tuple[str, ...] = ()


def read_tools(body: Body) -> Tools | None:
    """None where the model is to know of no tools. Raises `InvalidInput` naming the parameter."""
    offered = _read_offered(body.get("tools"))
    choice = body.get("tool_choice")
    named = _read_choice(choice)
    if (named or choice == "required") and not offered:
        raise InvalidInput("tool_choice asks for a call, and the request has no tools", param="tool_choice")
    if named and named not in offered:
        raise InvalidInput(f"tool_choice names {named!r:.60}, which is none of the tools", param="tool_choice")
    if not offered or choice == "none":
        return None
    return Tools(offered, (named,) if named else tuple(offered) if choice == "required" else ())


def without_tools(body: Body) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name not in ("tools", "tool_choice")}


def in_words(body: Body, tools: Tools) -> dict[str, Any]:
    """The request with the tools in the system message, earlier calls as text, and a forced one as a schema."""
    request = without_tools(body)
    request["messages"] = _with_system(_instructions(tools), plain_messages(body["messages"]))
    if tools.forced:
        request["response_format"] = {"type": "json_schema", "json_schema": {"schema": _call_schema(tools)}}
    return request


def speaks_of_tools(messages: Iterable[Mapping[str, Any]]) -> bool:
    return any(message.get("tool_calls") or message.get("role") == "tool" for message in messages)


def plain_messages(messages: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The conversation for a template that knows neither calls nor their results."""
    return [_plain(message) for message in messages]


def _read_offered(value: object) -> dict[str, Mapping[str, Any]]:
    if value is None:
        return {}
    if not isinstance(value, list):
        raise InvalidInput(f"tools must be a list, not {type(value).__name__}", param="tools")
    offered: dict[str, Mapping[str, Any]] = {}
    for index, tool in enumerate(value):
        function = tool.get("function") if isinstance(tool, Mapping) and tool.get("type") == "function" else None
        name = function.get("name") if isinstance(function, Mapping) else None
        if function is None or not isinstance(name, str) or not name:
            raise InvalidInput(
                f'tools[{index}] must be of type "function", with a function that has a name', param="tools"
            )
        parameters = function.get("parameters") or {}
        if not isinstance(parameters, Mapping) or parameters.get("type", "object") != "object":
            raise InvalidInput(
                f"tools[{index}].function.parameters must be the JSON Schema of an object", param="tools"
            )
        offered[name] = function
    return offered


def _read_choice(choice: object) -> str | None:
    """The name of the function that must be called, where one is named."""
    if choice is None or choice in _CHOICES:
        return None
    function = choice.get("function") if isinstance(choice, Mapping) and choice.get("type") == "function" else None
    name = function.get("name") if isinstance(function, Mapping) else None
    if not isinstance(name, str):
        raise InvalidInput(
            f"tool_choice must be one of {', '.join(_CHOICES)}, or an object that names a function",
            param="tool_choice",
        )
    return name


def _instructions(tools: Tools) -> str:
    listed = "\n".join(json.dumps(function, ensure_ascii=False) for function in tools.offered.values())
    call = '{"name": <name of the function>, "arguments": <object with its arguments>}'
    duty = (
        f"Answer with a call of {' or '.join(tools.forced)}:"
        if tools.forced
        else "To call one, answer with nothing but"
    )
    return f"You have these functions, described by JSON Schema:\n{listed}\n{duty} {call}"


def _with_system(text: str, messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    if messages and messages[0].get("role") == "system" and isinstance(messages[0].get("content"), str):
        first = {**messages[0], "content": f"{messages[0]['content']}\n\n{text}"}
        return [first, *messages[1:]]
    return [{"role": "system", "content": text}, *messages]


def _plain(message: Mapping[str, Any]) -> dict[str, Any]:
    """A message without what such a template leaves out: a call becomes its JSON, a result a user's words."""
    calls = message.get("tool_calls")
    if isinstance(calls, list) and calls:
        return {"role": "assistant", "content": "\n".join(_written(calls))}
    if message.get("role") == "tool":
        return {"role": "user", "content": f"The function returned:\n{message.get('content') or ''}"}
    return dict(message)


def _written(calls: Iterable[Any]) -> Iterable[str]:
    for call in calls:
        function = call.get("function") if isinstance(call, Mapping) else None
        if not isinstance(function, Mapping):
            raise InvalidInput("a message's tool_calls must each have a function", param="messages")
        yield f'{{"name": {json.dumps(function.get("name"))}, "arguments": {function.get("arguments") or "{}"}}}'


def _call_schema(tools: Tools) -> dict[str, Any]:
    """Calls of the forced functions. Definitions move to the top, where references look for them."""
    root: dict[str, Any] = {}
    calls = []
    for name in tools.forced:
        parameters = dict(tools.offered[name].get("parameters") or {"type": "object"})
        for key in _HOISTED:
            if isinstance(found := parameters.pop(key, None), Mapping):
                root[key] = {**root.get(key, {}), **found}
        calls.append(
            {
                "type": "object",
                "properties": {"name": {"const": name}, "arguments": parameters},
                "required": ["name", "arguments"],
                "additionalProperties": False,
            }
        )
    return {**root, **(calls[0] if len(calls) == 1 else {"anyOf": calls})}
