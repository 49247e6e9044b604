"""What llama.cpp's refusals mean in our error tree."""

from __future__ import annotations

import re

from umekomi.errors import EngineError, InputTooLong, InvalidInput, UmekomiError, UnsupportedCapability

_FIELD = re.compile(r"^Field '(\w+)': (?:\[[\w.]+\] )?")
_PARAMS = (
    (re.compile(r"json.?schema|grammar|response_format", re.IGNORECASE), "response_format"),
    (re.compile(r"tool_choice"), "tool_choice"),
    (re.compile(r"tools"), "tools"),
    (re.compile(r"message|'content'"), "messages"),
)
_PARSING = re.compile(r"Failed to parse (tools|messages|tool_choice)")  # sent with status 500
_TEMPLATE = re.compile(r"jinja|chat template|Error: |raise_exception", re.IGNORECASE)


def failure(error: object) -> UmekomiError:
    """The error for the engine's ``error`` object."""
    facts = error if isinstance(error, dict) else {"message": str(error)}
    kind, code = facts.get("type"), facts.get("code")
    message = " ".join(str(facts.get("message", "no reason given")).split())
    if kind == "exceed_context_size_error":
        return too_long(facts.get("n_ctx"), facts.get("n_prompt_tokens"))
    if kind == "not_supported_error":
        return UnsupportedCapability(f"llama.cpp: {message}")
    if kind == "invalid_request_error" or code == 400:
        return _invalid(message)
    if parsing := _PARSING.match(message):
        return InvalidInput(message, param=parsing[1])
    if _TEMPLATE.search(message):
        return InvalidInput(f"the model's chat template refuses the conversation: {message}", param="messages")
    return EngineError(f"llama.cpp: {message}")


def too_long(limit: object, tokens: object, *, param: str | None = None) -> InputTooLong:
    return InputTooLong(
        f"This model's maximum context length is {limit} tokens, however you requested {tokens} tokens; "
        "shorten the input",
        param=param,
    )


def _invalid(message: str) -> InvalidInput:
    if field := _FIELD.match(message):
        return InvalidInput(f"{field[1]}: {message[field.end() :]}", param=field[1])
    param = next((name for pattern, name in _PARAMS if pattern.search(message)), None)
    return InvalidInput(message, param=param)
