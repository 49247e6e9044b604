"""``POST /v1/embeddings`` as bytes: a JSON object to an `EmbeddingsRequest`, vectors to the answer."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np
import orjson

from umekomi.errors import InvalidInput
from umekomi.serve.wire.body import json_type
from umekomi.types import Truncation, Vectors

Encoding: TypeAlias = Literal["float", "base64"]
InputType: TypeAlias = Literal["query", "document"]

MAX_NAME = 256
MAX_TOKEN_ID = 2**31 - 1


_KNOWN = frozenset({"model", "input", "encoding_format", "dimensions", "input_type", "truncate"})


@dataclass(frozen=True, slots=True)
class EmbeddingsRequest:
    """A request whose shape is right; None where the client left a field out or sent null.

    texts, token_ids   one of them has the inputs, at least one; the other is None and empty
    further            what is ignored here; another server may know it
    """

    model: str
    texts: list[str] | None
    token_ids: list[list[int]]
    encoding: Encoding = "float"
    dimensions: int | None = None
    input_type: InputType | None = None
    truncation: Truncation | None = None
    further: Mapping[str, Any] = field(default_factory=dict)

    @property
    def count(self) -> int:
        return len(self.token_ids if self.texts is None else self.texts)


def parse_request(body: Mapping[str, Any], *, max_inputs: int) -> EmbeddingsRequest:
    """Raises `InvalidInput` that names the field. Unknown fields and ``user`` change nothing here."""
    model = parse_model(body.get("model"))
    texts, token_ids = _parse_inputs(body.get("input"), max_inputs)
    return EmbeddingsRequest(
        model=model,
        texts=texts,
        token_ids=token_ids,
        encoding=_choice(body, "encoding_format", ("float", "base64")) or "float",
        dimensions=_parse_dimensions(body.get("dimensions")),
        input_type=_choice(body, "input_type", ("query", "document")),
        truncation=_choice(body, "truncate", ("error", "end", "start")),
        further={name: value for name, value in body.items() if name not in _KNOWN and value is not None},
    )


def parse_model(value: object) -> str:
    """The name in a request's ``model``."""
    if value is None:
        raise InvalidInput("you must provide a model parameter; GET /v1/models lists the names", param="model")
    if not isinstance(value, str):
        raise InvalidInput(f"model must be a string, not {json_type(value)}", param="model")
    if not 0 < len(value) <= MAX_NAME:
        raise InvalidInput(f"model has {len(value)} characters; a name has 1 to {MAX_NAME}", param="model")
    return value


def encode_answer(vectors: Vectors, *, model: str, tokens: int, encoding: Encoding) -> bytes:
    """OpenAI's answer: row *i* at index *i*, as numbers or as base64 of little-endian float32.

    Built row by row, so that a large answer never keeps other threads waiting for the interpreter's lock.
    """
    encode = _base64_row if encoding == "base64" else _float_row
    rows = np.ascontiguousarray(vectors, dtype="<f4")
    data = b",".join(
        b'{"object":"embedding","index":%d,"embedding":%b}' % (index, encode(row)) for index, row in enumerate(rows)
    )
    return b'{"object":"list","data":[%b],"model":%b,"usage":{"prompt_tokens":%d,"total_tokens":%d}}' % (
        data,
        orjson.dumps(model),
        tokens,
        tokens,
    )


def _float_row(row: np.ndarray[Any, np.dtype[np.float32]]) -> bytes:
    return orjson.dumps(row, option=orjson.OPT_SERIALIZE_NUMPY)


def _base64_row(row: np.ndarray[Any, np.dtype[np.float32]]) -> bytes:
    return b'"%b"' % base64.b64encode(row.tobytes())


def _parse_inputs(value: object, max_inputs: int) -> tuple[list[str] | None, list[list[int]]]:
    """Texts, or token ids. A bare empty string is a text: LangChain sends it for an empty document."""
    if value is None:
        raise InvalidInput("you must provide an input parameter", param="input")
    if isinstance(value, str):
        return [value], []
    if not isinstance(value, list):
        raise InvalidInput(
            f"input must be a string, an array of strings, or token ids, not {json_type(value)}", param="input"
        )
    if not value:
        raise InvalidInput("input is an empty array; send at least one text", param="input")
    kind = _only_kind(value, "input", (str, int, list))
    if kind is int:
        return None, [value]
    if len(value) > max_inputs:
        raise InvalidInput(
            f"input has {len(value)} items; the limit is {max_inputs}: split the request", param="input"
        )
    if not all(value):
        index = next(index for index, item in enumerate(value) if not item)
        advice = "leave empty texts out" if kind is str else "an array needs at least one token id"
        raise InvalidInput(f"input[{index}] is empty; {advice}", param="input")
    if kind is str:
        return value, []
    for index, ids in enumerate(value):
        _only_kind(ids, f"input[{index}]", (int,))
    return None, value


def _only_kind(items: Sequence[object], where: str, allowed: tuple[type, ...]) -> type:
    """The one type of all ``items``. `bool` is no `int` here."""
    kinds = set(map(type, items))
    first = type(items[0])
    if kinds == {first} and first in allowed:
        return first
    index, odd = next(
        (index, item) for index, item in enumerate(items) if type(item) is not first or first not in allowed
    )
    expected = (
        "an integer token id" if allowed == (int,) else "all strings, all token ids, or all arrays of token ids"
    )
    shown = json_type(odd) + (f", {odd}" if type(odd) is float else "")  # so come integers beyond 64 bits
    beside = f" beside {json_type(items[0])}" if index else ""
    raise InvalidInput(f"{where}[{index}] is {shown}{beside}; expected {expected}", param="input")


def _parse_dimensions(value: object) -> int | None:
    if value is None or (type(value) is int and value >= 1):
        return value
    shown = value if type(value) in (int, float) else json_type(value)
    raise InvalidInput(f"dimensions is {shown}; send a whole number of at least 1", param="dimensions")


def _choice(body: Mapping[str, Any], field: str, allowed: tuple[Any, ...]) -> Any:
    """The field's value where it is allowed, None where it is absent or null."""
    value = body.get(field)
    if value is None or (isinstance(value, str) and value in allowed):
        return value
    shown = repr(value[:40]) if isinstance(value, str) else json_type(value)
    raise InvalidInput(f"{field} is {shown}; use one of {', '.join(allowed)}", param=field)
