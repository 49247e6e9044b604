"""The check that tells an answer which does not follow its JSON Schema."""

from __future__ import annotations

from typing import Any

import pytest

from umekomi.engines.llama_cpp.schema import find_violation

TREE = {
    "$ref": "#/$defs/node",
    "$defs": {
        "node": {
            "type": "object",
            "required": ["name"],
            "properties": {
                "name": {"type": "string", "pattern": "^[a-z]+$"},
                "children": {"type": "array", "items": {"$ref": "#/$defs/node"}, "maxItems": 2},
            },
            "additionalProperties": False,
        }
    },
}


@pytest.mark.parametrize(
    ("schema", "right", "wrong"),
    [
        (True, [1, None], []),
        (False, [], [1, None]),
        ({"type": "integer"}, [1, 1.0, -3], [1.5, True, "1", None]),
        ({"type": ["number", "null"]}, [1.5, None], [False, "x"]),
        ({"const": 1}, [1], [True, 2]),
        ({"enum": ["a", 0]}, ["a", 0], [False, "b"]),
        ({"minimum": 2, "exclusiveMaximum": 3}, [2, 2.5, "text"], [1, 3]),
        ({"type": "string", "minLength": 1, "maxLength": 2}, ["a", "漢字"], ["", "abc"]),
        ({"pattern": "b"}, ["abc"], ["ac", ""]),
        ({"pattern": "(unbalanced"}, ["anything"], []),
        ({"pattern": "^[a[b]]$"}, ["[]"], []),
        ({"pattern": "^(?=a)"}, ["b"], []),
        ({"anyOf": [{"type": "string"}, {"minimum": 5}]}, ["a", 6], [4]),
        ({"oneOf": [{"type": "string"}, {"type": "null"}]}, ["a", None], [4]),
        ({"allOf": [{"minimum": 1}, {"maximum": 2}]}, [1, 2], [0, 3]),
        ({"prefixItems": [{"type": "string"}], "items": {"type": "null"}}, [["a", None]], [["a", 1], [1]]),
        ({"additionalProperties": {"type": "string"}}, [{"a": "b"}], [{"a": 1}]),
        ({"patternProperties": {".": {}}, "additionalProperties": False}, [{"a": 1}], []),
        ({"$ref": "https://example.invalid/schema"}, [1, "a"], []),
        ({"$ref": "#"}, [1], []),
        (TREE, [{"name": "a"}, {"name": "a", "children": [{"name": "b"}]}],
         [{}, {"name": "A"}, {"name": "a", "more": 1}, {"name": "a", "children": [{"name": 5}]},
          {"name": "a", "children": [{"name": "b"}] * 3}]),
    ],
)  # fmt: skip
def test_right_values_pass_and_wrong_ones_are_told(schema: Any, right: list[Any], wrong: list[Any]) -> None:
    assert [value for value in right if find_violation(value, schema) is not None] == []
    assert [value for value in wrong if find_violation(value, schema) is None] == []


def test_the_place_is_named() -> None:
    problem = find_violation({"name": "a", "children": [{"name": "b"}, {"name": 5}]}, TREE)
    assert problem == "$.children[1].name is no string"


@pytest.mark.parametrize(
    "schema",
    [
        {"pattern": "(a+)+b"},
        {"pattern": "^(a?){500}a{500}b$"},
        {"$ref": "#/$defs/x", "$defs": {"x": {"allOf": [{"$ref": "#/$defs/x"}, {"$ref": "#/$defs/x"}]}}},
        {"$ref": "#/$defs/x", "$defs": {"x": {"anyOf": [{"$ref": "#/$defs/x"}, {"$ref": "#/$defs/x"}]}}},
    ],
)
def test_no_schema_of_a_stranger_keeps_the_process(schema: dict[str, Any]) -> None:
    find_violation("a" * 60, schema)  # that it ends is the test
