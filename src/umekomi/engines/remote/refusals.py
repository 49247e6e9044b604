"""An upstream's refusal of what a client sent, retold to that client without a word about the upstream itself."""

from __future__ import annotations

import re
from typing import Any

import orjson

from umekomi.engines.remote.failures import words_of
from umekomi.engines.remote.replica import Replica
from umekomi.errors import InputTooLong, InvalidInput, UnsupportedCapability, UserError

REFUSALS = frozenset({400, 413, 422})
"""Statuses that speak of the request, not of the server."""

OUR_FIELDS = ("stream_options", "input_type")
"""Fields that we add. Servers that do not know them say so in many shapes, which are all told as this ``param``."""

_PLACE = re.compile(
    r"\w+://\S+|\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b|\[?[0-9a-fA-F]*:[0-9a-fA-F:]*:[0-9a-fA-F]*\]?(?::\d+)?"
)
_SECRET = re.compile(r"(?i)\bbearer\s+\S+|\bsk-\S+")
_FIELD = re.compile(r"[A-Za-z_][\w.\[\]]{0,63}")


def refusal(content: bytes, replica: Replica, *, model: str) -> UserError:
    """The error for the client: the upstream's message without addresses, keys and its own name for the model.

    It is worth relaying, because it names the parameter or the limit, and only its author knows which.
    """
    envelope = _envelope(content)
    said = words_of(content, secret=replica.key) if envelope else ""
    message = f"The upstream of model `{model}` refused the request" + (
        f": {_clean(said, replica, model)}" if said else "."
    )
    param, code = envelope.get("param"), envelope.get("code")
    param = next((field for field in OUR_FIELDS if field.encode() in content), param)
    if code == "unsupported_capability":
        return UnsupportedCapability(f"The upstream of model `{model}` has no such capability.")
    kind = InputTooLong if code == "context_length_exceeded" else InvalidInput
    return kind(message, param=param if isinstance(param, str) and _FIELD.fullmatch(param) else None)


def _clean(text: str, replica: Replica, model: str) -> str:
    text = _PLACE.sub("…", _SECRET.sub("…", text))
    text = re.sub(_whole_word(replica.address.host), "…", text, flags=re.IGNORECASE)
    return re.sub(_whole_word(replica.model), lambda _: model, text)


def _whole_word(name: str) -> str:
    return rf"(?<![\w.-]){re.escape(name)}(?![\w-])"


def _envelope(content: bytes) -> dict[str, Any]:
    """The object in ``error``, where there is one with a message."""
    try:
        error: Any = orjson.loads(content)["error"]
    except (ValueError, TypeError, KeyError):
        return {}
    return error if isinstance(error, dict) and isinstance(error.get("message"), str) else {}
