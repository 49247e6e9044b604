"""Does a value follow a JSON Schema? The keywords that constrained generation knows; others are left unchecked.

It tells an answer that was not held to its schema. It never fetches a reference and never refuses a right answer
for a keyword it does not know. A schema is a stranger's: patterns run in time that is linear in the answer, and
references that multiply end the check, because whatever runs here stops every other request of the process.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

from pydantic_core import SchemaError, SchemaValidator, core_schema

Schema: TypeAlias = Mapping[str, Any]

_TYPES: Mapping[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "integer": lambda value: (
        not isinstance(value, bool)
        and (isinstance(value, int) or (isinstance(value, float) and value.is_integer()))
    ),
}
_BOUNDS: Mapping[str, Callable[[Any, Any], bool]] = {
    "minimum": lambda value, bound: value >= bound,
    "maximum": lambda value, bound: value <= bound,
    "exclusiveMinimum": lambda value, bound: value > bound,
    "exclusiveMaximum": lambda value, bound: value < bound,
}
_LENGTHS: Mapping[type, tuple[str, str]] = {
    str: ("minLength", "maxLength"),
    list: ("minItems", "maxItems"),
    dict: ("minProperties", "maxProperties"),
}
_OTHERWISE_IN_RUST = re.compile(r"\[[^]]*\[|&&|--|~~")  # sets within a class, which JavaScript takes for characters
_MAX_DEPTH = 100
_MAX_STEPS = 100_000
"""Places in schemas that are looked at; what is left then stays unchecked."""


def find_violation(value: Any, schema: Schema) -> str | None:
    """The first place in which ``value`` does not follow ``schema``, in words; None where it does."""
    return next(_violations(value, schema, _Place(schema, "$", 0, iter(range(_MAX_STEPS)))), None)


class _Place:
    """Where in the value we are, the whole schema, for references, and the steps that are left."""

    def __init__(self, root: Schema, path: str, depth: int, steps: Iterator[int]) -> None:
        self.root, self.path, self.depth, self.steps = root, path, depth, steps

    def into(self, step: str = "") -> _Place:
        return _Place(self.root, self.path + step, self.depth + 1, self.steps)

    def resolve(self, reference: str) -> Any:
        """What a reference inside the schema points to; True, which allows everything, for any other."""
        if not reference.startswith("#"):
            return True
        found: Any = self.root
        for step in reference.removeprefix("#").split("/")[1:]:
            key = step.replace("~1", "/").replace("~0", "~")
            found = found.get(key, True) if isinstance(found, Mapping) else True
        return found


def _violations(value: Any, schema: Any, place: _Place) -> Iterator[str]:
    if schema is False:
        yield f"{place.path} is not allowed"
    if not isinstance(schema, Mapping) or place.depth > _MAX_DEPTH or next(place.steps, None) is None:
        return
    if isinstance(reference := schema.get("$ref"), str):
        yield from _violations(value, place.resolve(reference), place.into())
    yield from _of_itself(value, schema, place)
    yield from _of_alternatives(value, schema, place)
    if isinstance(value, dict):
        yield from _of_object(value, schema, place)
    if isinstance(value, list):
        yield from _of_array(value, schema, place)


def _of_itself(value: Any, schema: Schema, place: _Place) -> Iterator[str]:
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if kinds and not any(_TYPES.get(kind, lambda _: True)(value) for kind in kinds):
        yield f"{place.path} is no {' or '.join(kinds)}"
    if "const" in schema and not _same(value, schema["const"]):
        yield f"{place.path} is not {schema['const']!r}"
    if isinstance(allowed := schema.get("enum"), list) and not any(_same(value, one) for one in allowed):
        yield f"{place.path} is none of {allowed!r}"
    if _TYPES["number"](value):
        for keyword, holds in _BOUNDS.items():
            if _TYPES["number"](bound := schema.get(keyword)) and not holds(value, bound):
                yield f"{place.path} breaks {keyword} {bound}"
    least, most = _LENGTHS.get(type(value), ("", ""))
    if least and len(value) < schema.get(least, 0):
        yield f"{place.path} breaks {least} {schema[least]}"
    if most and len(value) > schema.get(most, len(value)):
        yield f"{place.path} breaks {most} {schema[most]}"
    if isinstance(value, str) and isinstance(pattern := schema.get("pattern"), str) and not _found(pattern, value):
        yield f"{place.path} does not fit the pattern {pattern!r}"


def _of_alternatives(value: Any, schema: Schema, place: _Place) -> Iterator[str]:
    for part in schema.get("allOf", ()):
        yield from _violations(value, part, place.into())
    for keyword in ("anyOf", "oneOf"):
        parts = schema.get(keyword)
        if parts and not any(next(_violations(value, part, place.into()), None) is None for part in parts):
            yield f"{place.path} fits no schema of {keyword}"


def _of_object(value: dict[str, Any], schema: Schema, place: _Place) -> Iterator[str]:
    for name in schema.get("required", ()):
        if name not in value:
            yield f"{place.path} has no '{name}'"
    properties = schema.get("properties", {})
    others = True if "patternProperties" in schema else schema.get("additionalProperties", True)
    for name, inner in value.items():
        yield from _violations(inner, properties.get(name, others), place.into(f".{name}"))


def _of_array(value: list[Any], schema: Schema, place: _Place) -> Iterator[str]:
    first = schema.get("prefixItems", ())
    others = schema.get("items", True)
    for index, inner in enumerate(value):
        yield from _violations(inner, first[index] if index < len(first) else others, place.into(f"[{index}]"))


def _same(left: Any, right: Any) -> bool:
    """Equality of JSON, where true is not 1."""
    return bool(left == right) and isinstance(left, bool) == isinstance(right, bool)


def _found(pattern: str, value: str) -> bool:
    """Searched by Rust's engine, which knows no backtracking: `re` takes years for ``(a+)+b`` and 40 letters."""
    if _OTHERWISE_IN_RUST.search(pattern):
        return True
    try:
        validator = SchemaValidator(core_schema.str_schema(pattern=pattern))
    except SchemaError:
        return True  # a pattern of another dialect, or a huge one
    return validator.isinstance_python(value)
