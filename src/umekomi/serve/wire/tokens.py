"""``POST /v1/tokenize`` and ``/v1/detokenize``: the fields of their bodies, as vLLM names them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from umekomi.embedding.texts import check_texts
from umekomi.errors import InvalidInput
from umekomi.serve.wire.body import json_type
from umekomi.serve.wire.embeddings import MAX_TOKEN_ID


def parse_text(body: Mapping[str, Any]) -> tuple[str, bool]:
    """The text, and whether to add the model's special tokens. Raises `InvalidInput` that names the field."""
    text = body.get("prompt")
    if not isinstance(text, str):
        raise InvalidInput(f"prompt must be a string, not {json_type(text)}", param="prompt")
    try:
        check_texts([text])
    except InvalidInput as error:
        error.param = "prompt"
        raise
    special = body.get("add_special_tokens")
    if special is not None and not isinstance(special, bool):
        raise InvalidInput(
            f"add_special_tokens must be true or false, not {json_type(special)}", param="add_special_tokens"
        )
    return text, special is not False


def parse_ids(body: Mapping[str, Any], *, max_ids: int) -> list[int]:
    """The token ids, which may be none. Raises `InvalidInput` that names the field."""
    ids = body.get("tokens")
    if not isinstance(ids, list):
        raise InvalidInput(f"tokens must be an array of token ids, not {json_type(ids)}", param="tokens")
    if len(ids) > max_ids:
        raise InvalidInput(
            f"tokens has {len(ids)} items; the limit is {max_ids}: split the request", param="tokens"
        )
    for index, token in enumerate(ids):
        if type(token) is not int or not 0 <= token <= MAX_TOKEN_ID:
            shown = token if type(token) is int else json_type(token)
            raise InvalidInput(
                f"tokens[{index}] is {shown}; a token id is from 0 to {MAX_TOKEN_ID}", param="tokens"
            )
    return ids
