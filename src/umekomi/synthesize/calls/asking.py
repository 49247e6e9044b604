"""One call to one reply: the schema is sent *and* checked, a bad answer is asked for again, and then set down."""

from __future__ import annotations

import json
import re
import threading
import time
from dataclasses import dataclass
from typing import Any

import orjson

from umekomi.engines.base import Answer
from umekomi.errors import UpstreamError
from umekomi.synthesize.calls.ledger import Reply
from umekomi.synthesize.calls.llm import Busy, Llm, Sampling, content_of, pause_s
from umekomi.synthesize.pairs import build_id
from umekomi.synthesize.prompts import SCHEMAS, Prompt, Task, response_format

ATTEMPTS = 3
"""Answers that are asked for before a call is set down as one without content."""

BUSY_ATTEMPTS = 4
"""Failures that may pass, in a row, before the call is given up; the next run asks again."""

_UNWRITABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufffe\uffff]")
"""Characters that no text holds, and that neither XML nor a terminal takes."""


@dataclass(frozen=True, slots=True)
class Call:
    """One question to the LLM. ``key`` covers all that decides the answer: prompt, passage, model, sampling."""

    key: str
    task: Task
    messages: tuple[dict[str, str], ...]
    sampling: Sampling

    @classmethod
    def build(
        cls,
        prompt: Prompt,
        llm_name: str,
        sampling: Sampling,
        *,
        passage: str,
        query: str = "",
        examples: tuple[str, ...] = (),
    ) -> Call:
        messages = tuple(prompt.messages(passage=passage, query=query, examples=examples))
        described = json.dumps(
            {
                "messages": messages,
                "sampling": [sampling.temperature, sampling.top_p, sampling.max_tokens, sampling.seed],
            },
            sort_keys=True,
        )
        return cls(build_id(llm_name, prompt.task, described), prompt.task, messages, sampling)


def ask(llm: Llm, call: Call, *, stop: threading.Event) -> Reply:
    """Ask until an answer fits, at most `ATTEMPTS` times; failures that may pass are tried again after a pause.

    ``stop`` ends the pauses and further attempts. Raises `Busy` once `BUSY_ATTEMPTS` failures came in a row, and
    the `UmekomiError` of a failure that will not pass.
    """
    started = time.perf_counter()
    prompt_tokens = completion_tokens = busy = 0
    problem = ""
    for attempt in range(ATTEMPTS):
        if attempt and stop.is_set():
            raise Busy("stopped before another attempt", again=False)
        while True:
            try:
                answer = llm.chat(_body(call, attempt))
                content, finish = content_of(answer)
                busy = 0
                break
            except Busy as failure:
                busy += 1
                if not failure.again or busy >= BUSY_ATTEMPTS or stop.wait(pause_s(busy, failure.retry_after_s)):
                    raise
        used = _usage(answer)
        prompt_tokens, completion_tokens = prompt_tokens + used[0], completion_tokens + used[1]
        value, problem = read_answer(call.task, content, finish)
        if value is not None:
            return Reply(value, None, prompt_tokens, completion_tokens, time.perf_counter() - started, attempt + 1)
    return Reply(None, problem, prompt_tokens, completion_tokens, time.perf_counter() - started, ATTEMPTS)


def probe_schema(llm: Llm, *, stop: threading.Event) -> bool:
    """Whether the server makes its model keep to a schema: the schema asks for what the words do not.

    Raises `UpstreamError` where no answer comes: no other call would get one.
    """
    schema = {
        "type": "object",
        "properties": {"umekomi_probe": {"type": "string", "enum": ["enforced"]}},
        "required": ["umekomi_probe"],
        "additionalProperties": False,
    }
    body = {
        "messages": [{"role": "user", "content": "Say hello in one short sentence."}],
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "probe", "strict": True, "schema": schema},
        },
        "max_tokens": 40,
        "temperature": 0,
    }
    for attempt in range(BUSY_ATTEMPTS):
        try:
            content, _ = content_of(llm.chat(body))
            return _parsed(content) == {"umekomi_probe": "enforced"}
        except Busy as failure:
            last = not failure.again or attempt + 1 == BUSY_ATTEMPTS
            if last or stop.wait(pause_s(attempt, failure.retry_after_s)):
                raise UpstreamError(
                    f"the first call of the LLM failed: {failure}; see that its server runs at this address and "
                    "takes json_schema, then run the same command again"
                ) from None
    return False


def read_answer(task: Task, content: str, finish: str | None) -> tuple[dict[str, Any] | None, str]:
    """The answer where it fits the task's schema, else None and what is wrong with it.

    Nothing is dug out of prose: a preamble before the JSON is a sign that the model did not understand.
    """
    if finish == "length":
        return None, f"cut at max_tokens: {_short(content)}"
    value = _parsed(content)
    if value is None:
        return None, f"not a JSON object: {_short(content)}"
    schema = SCHEMAS[task]
    fields: dict[str, Any] = schema["properties"]
    if set(value) != set(fields):
        return None, f"has the keys {', '.join(sorted(value))[:100] or 'none'}: {_short(content)}"
    for name, rule in fields.items():
        if problem := _misfit(value[name], rule):
            return None, f"'{name}' {problem}: {_short(content)}"
    return value, ""


def _misfit(value: Any, rule: dict[str, Any]) -> str:
    if rule["type"] == "boolean":
        return "" if isinstance(value, bool) else "is not true or false"
    if not isinstance(value, str):
        return "is no text"
    length = len(value.strip())
    if _UNWRITABLE.search(value):
        return "holds control characters"
    if length < rule.get("minLength", 0):
        return f"is shorter than {rule['minLength']} characters"
    return f"is longer than {rule['maxLength']} characters" if length > rule["maxLength"] else ""


def _body(call: Call, attempt: int) -> dict[str, Any]:
    return {
        "messages": list(call.messages),
        "response_format": response_format(call.task),
        **call.sampling.body(attempt=attempt),
    }


def _parsed(content: str) -> dict[str, Any] | None:
    """orjson, since it takes no NaN, no lone surrogates and no deep nesting: such text could not be kept."""
    try:
        value = orjson.loads(content)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None


def _usage(answer: Answer) -> tuple[int, int]:
    """Prompt and completion tokens as the server counted them; 0 where it did not, or wrongly."""
    usage = answer.get("usage")
    return (_count(usage, "prompt_tokens"), _count(usage, "completion_tokens"))


def _count(usage: object, field: str) -> int:
    value = usage.get(field) if isinstance(usage, dict) else None
    return value if type(value) is int and 0 <= value < 2**40 else 0


def _short(content: str) -> str:
    return repr(content if len(content) <= 120 else content[:119] + "…")
