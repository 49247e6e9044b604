"""Requests in OpenAI's shape, checked and turned into what llama.cpp reads. Fields not listed here are left out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from umekomi.engines.base import Body
from umekomi.engines.llama_cpp.formats import Format, read_format
from umekomi.errors import InvalidInput

_SAMPLING = ("stop", "logit_bias", "logprobs")
_CHAT = (*_SAMPLING, "top_logprobs", "tools", "tool_choice", "parallel_tool_calls", "chat_template_kwargs")
_NUMBERS: Mapping[str, tuple[float, float]] = {
    "temperature": (0, 2),
    "top_p": (0, 1),
    "top_k": (0, 1_000_000),
    "min_p": (0, 1),
    "presence_penalty": (-2, 2),
    "frequency_penalty": (-2, 2),
    "repeat_penalty": (0.01, 10),
}
"""Least and greatest value; the engine itself takes any."""

_RANDOM_SEED = 0xFFFF_FFFF  # llama.cpp's word for "choose one"
_MAX_LOGPROBS = 20
_MAX_CHOICES = 128
_MAX_STOPS = 16
_MAX_PROMPTS = 2048  # as OpenAI takes inputs


@dataclass(frozen=True, slots=True)
class Plan:
    """What to ask the engine one after another: for each prompt, a request for each of its choices."""

    requests: tuple[tuple[dict[str, Any], ...], ...]
    form: Format


def plan_chat(body: Body) -> Plan:
    """Raises `InvalidInput` naming the parameter."""
    request = _picked(body, _CHAT)
    check_messages(body.get("messages"))
    request["messages"] = body["messages"]
    if "top_logprobs" in request:
        _check_int(request, "top_logprobs", least=0, most=_MAX_LOGPROBS)
        if not request.get("logprobs"):
            raise InvalidInput("top_logprobs is given without logprobs: true", param="top_logprobs")
    for field, kind in (("tools", list), ("chat_template_kwargs", Mapping), ("logprobs", bool)):
        if field in request and not isinstance(request[field], kind):
            raise InvalidInput(f"{field} has the wrong type, {type(request[field]).__name__}", param=field)
    form = read_format(body.get("response_format"))
    if form.wanted:
        request["response_format"] = body["response_format"]
    request |= _shared(body, ("max_completion_tokens", "max_tokens"))
    return Plan((_choices(request, body),), form)


def plan_completion(body: Body) -> Plan:
    """Raises `InvalidInput` naming the parameter."""
    request = _picked(body, _SAMPLING)
    if "logprobs" in request:
        _check_int(request, "logprobs", least=0, most=_MAX_LOGPROBS)
        request["logprobs"] = max(1, request["logprobs"])  # the engine takes 0 for none at all
    form = read_format(body.get("response_format"))
    if form.wanted:
        request["json_schema"] = form.schema
    request |= _shared(body, ("max_tokens",))
    return Plan(tuple(_choices(request | {"prompt": one}, body) for one in _prompts(body.get("prompt"))), form)


def _picked(body: Body, fields: tuple[str, ...]) -> dict[str, Any]:
    return {field: body[field] for field in fields if body.get(field) is not None}


def _shared(body: Body, limits: tuple[str, ...]) -> dict[str, Any]:
    """What both routes take, checked."""
    request: dict[str, Any] = {}
    for field in limits:
        if body.get(field) is not None:
            _check_int(body, field, least=1)
            request["max_tokens"] = body[field]
            break
    for field, (least, most) in _NUMBERS.items():
        if (value := body.get(field)) is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
            raise InvalidInput(f"{field} is {value!r:.40}; allowed is {least} to {most}", param=field)
        request[field] = value
    _check_stop(body.get("stop"))
    _check_bias(body.get("logit_bias"))
    return request


def _choices(request: dict[str, Any], body: Body) -> tuple[dict[str, Any], ...]:
    """A request for each choice. The engine's own ``n`` counts the tokens of one choice only."""
    count = 1
    if body.get("n") is not None:
        _check_int(body, "n", least=1, most=_MAX_CHOICES)
        count = body["n"]
    if body.get("seed") is None:
        return (request,) * count
    _check_int(body, "seed")
    # A prompt computed in other steps differs in its last bits, and a seed promises the same answer again.
    seeds = (min((body["seed"] + number) & _RANDOM_SEED, _RANDOM_SEED - 1) for number in range(count))
    return tuple(request | {"seed": seed, "cache_prompt": False} for seed in seeds)


def _check_stop(stop: object) -> None:
    stops = [stop] if isinstance(stop, str) else stop
    if stops is None:
        return
    if (
        not isinstance(stops, list)
        or len(stops) > _MAX_STOPS
        or not all(isinstance(one, str) and one for one in stops)
    ):
        raise InvalidInput(f"stop must be a text or up to {_MAX_STOPS} texts, none of them empty", param="stop")


def _check_bias(bias: object) -> None:
    if bias is None:
        return
    if not isinstance(bias, Mapping) or not all(_is_bias(token, value) for token, value in bias.items()):
        raise InvalidInput("logit_bias must map token ids to numbers from -100 to 100", param="logit_bias")


def _is_bias(token: object, value: object) -> bool:
    return str(token).isdecimal() and type(value) in (int, float) and -100 <= value <= 100  # type: ignore[operator]


def check_messages(messages: object) -> None:
    """Raises `InvalidInput` where they are no conversation in text."""
    if not isinstance(messages, list) or not messages:
        raise InvalidInput("messages must be a list of at least one message", param="messages")
    for index, message in enumerate(messages):
        if not isinstance(message, Mapping) or not isinstance(message.get("role"), str):
            raise InvalidInput(f"messages[{index}] must be an object with a role", param="messages")
        content = message.get("content")
        for part in content if isinstance(content, list) else ():
            kind = part.get("type") if isinstance(part, Mapping) else part
            if kind != "text":
                raise InvalidInput(
                    f"messages[{index}] has a part of type {kind!r}; this model reads text only", param="messages"
                )


def _prompts(prompt: object) -> list[str] | list[list[int]]:
    """The prompts of a request: a text, texts, token ids, or lists of token ids."""
    shapes: tuple[tuple[Callable[[Any], bool], bool], ...] = (
        (lambda value: isinstance(value, str), True),
        (_is_ids, True),
        (lambda value: isinstance(value, list) and all(isinstance(one, str) for one in value), False),
        (lambda value: isinstance(value, list) and all(map(_is_ids, value)), False),
    )
    for fits, single in shapes:
        if prompt and fits(prompt):
            prompts: list[Any] = [prompt] if single else prompt  # type: ignore[assignment]
            if len(prompts) > _MAX_PROMPTS:
                found = f"prompt has {len(prompts)} items"
                raise InvalidInput(f"{found}; the limit is {_MAX_PROMPTS}: split the request", param="prompt")
            return prompts
    raise InvalidInput("prompt must be a text, a list of texts, or token ids, and not empty", param="prompt")


def _is_ids(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(type(token) is int and token >= 0 for token in value)


def _check_int(values: Mapping[str, Any], field: str, *, least: int | None = None, most: int | None = None) -> None:
    value = values[field]
    if type(value) is not int:
        raise InvalidInput(f"{field} must be a whole number, and is {value!r:.40}", param=field)
    if (least is not None and value < least) or (most is not None and value > most):
        bounds = f"{least} to {most}" if most is not None else f"at least {least}"
        raise InvalidInput(f"{field} is {value}; allowed is {bounds}", param=field)
