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
    return Format(schema)
