"""``response_format``: what is asked of an answer, and whether the finished answer has it.

The engine holds the model to the format while it generates. It has been seen to answer without doing so, and
without saying so, hence the check.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from umekomi.engines.llama_cpp.schema import find_violation
from umekomi.errors import EngineError, InvalidInput

_PARAM = "response_format"
_MAX_BRANCHES = 1000
"""As many values of enum as OpenAI takes. The engine's time for a token grows with the square of the ways that an
answer may go, and within one it stops for nobody: 4,000 values held up all requests of a model for a minute, on two
busy cores (2026-11-21)."""


@dataclass(frozen=True, slots=True)
class Format:
    """``schema`` is the JSON Schema that an answer must follow; None where any text will do."""

    schema: Mapping[str, Any] | None

    @property
    def wanted(self) -> bool:
        return self.schema is not None

    def check(self, text: str) -> None:
        """Raises `EngineError` where a finished answer does not follow the format."""
        if self.schema is None:
            return
        try:
            value = json.loads(text)
        except ValueError as error:
            problem: str | None = f"it is no JSON ({error})"
        else:
            problem = find_violation(value, self.schema)
        if problem:
            raise EngineError(f"llama.cpp answered without following response_format: {problem}; ask again")


def read_format(asked: object) -> Format:
    """Raises `InvalidInput` for a format that is not OpenAI's, which the engine would silently leave out."""
    if asked is None:
        return Format(None)
    if not isinstance(asked, Mapping):
        raise InvalidInput("response_format must be an object with a type", param=_PARAM)
    kind = asked.get("type")
    if kind == "text":
        return Format(None)
    if kind == "json_object":
        schema = asked.get("schema", {"type": "object"})
    elif kind == "json_schema":
        wrapper = asked.get("json_schema")
        schema = wrapper.get("schema") if isinstance(wrapper, Mapping) else None
    else:
        raise InvalidInput(
            f"response_format.type is {kind!r}; known are text, json_object and json_schema", param=_PARAM
        )
    if not isinstance(schema, Mapping):
        raise InvalidInput("response_format.json_schema.schema must be a JSON Schema object", param=_PARAM)
    if (branches := _count_branches(schema)) > _MAX_BRANCHES:
        raise InvalidInput(
            f"the JSON Schema has {branches} properties, alternatives and values of enum; the limit is "
            f"{_MAX_BRANCHES} in all: ask for less, or check such values yourself",
            param=_PARAM,
        )
    return Format(schema)


def _count_branches(schema: Mapping[str, Any]) -> int:
    """Without recursion: how deep it is, nobody has checked yet."""
    count, left = 0, list[Any]([schema])
    while left:
        found = left.pop()
        if isinstance(found, Mapping):
            branching = (found.get(key) for key in ("enum", "anyOf", "oneOf", "properties"))
            count += sum(len(each) for each in branching if isinstance(each, list | dict))
            left.extend(found.values())
        elif isinstance(found, list):
            left.extend(found)
    return count
