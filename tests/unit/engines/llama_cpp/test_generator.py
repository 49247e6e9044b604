"""Chat and completion with the real starter: one answer, streams side by side, cancelling, formats, refusals."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterable
from concurrent.futures import CancelledError, ThreadPoolExecutor
from typing import Any

import pytest

from kit.server import wait_until
from umekomi.engines.base import Answer, Cancellation, Generator
from umekomi.engines.llama_cpp import exchange
from umekomi.engines.registry import open_generator
from umekomi.errors import BrokenModel, EngineError, InputTooLong, InvalidInput
from umekomi.models.bundle import Bundle

pytestmark = pytest.mark.starter

LONG = "Write a very long story about a dragon and a king."
SURE = (
    "What is the capital of Japan?",
    "What is the capital of England?",
    "What is the boiling point of water?",
    "Who was the first president of the United States?",
)
"""Questions whose answers begin with words that are ten times as likely as any others (2026-11-21)."""

ENDLESS = {"logit_bias": {"2": -100, "0": -100}}
"""No token ends the answer."""

SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 12}, "size": {"enum": ["small", "large"]}},
    "required": ["city", "size"],
    "additionalProperties": False,
}


def asked(text: str, **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}], "temperature": 0, "max_tokens": 16, **more}


def content(answer: Answer) -> str:
    text: str = answer["choices"][0]["message"]["content"]
    return text


def joined(chunks: Iterable[Answer]) -> str:
    return "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])


def formatted(schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "place", "schema": schema}}


def test_a_whole_and_a_streamed_chat_agree(generator: Generator) -> None:
    body = asked("Name three fruits.", seed=3)
    whole = generator.chat(body)
    chunks = list(generator.stream_chat(body | {"stream_options": {"include_usage": True}}))
    assert whole["object"] == "chat.completion"
    assert whole["model"] == generator.card.name
    assert content(whole)
    assert joined(chunks) == content(whole)
    assert {(chunk["id"], chunk["created"], chunk["object"]) for chunk in chunks} == {
        (chunks[0]["id"], chunks[0]["created"], "chat.completion.chunk")
    }
    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
    reasons = [chunk["choices"][0]["finish_reason"] for chunk in chunks[:-1]]
    assert reasons == [None] * (len(reasons) - 1) + [whole["choices"][0]["finish_reason"]]
    assert chunks[-1]["choices"] == []
    usage = whole["usage"]
    assert chunks[-1]["usage"]["completion_tokens"] == usage["completion_tokens"] > 1
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


def test_a_whole_and_a_streamed_completion_agree(generator: Generator) -> None:
    body = {"prompt": ["Once upon a time", "日本の首都は"], "n": 2, "max_tokens": 6, "seed": 5, "logprobs": 2}
    whole = generator.complete(body)
    streamed: dict[int, str] = {}
    for chunk in generator.stream_complete(body):
        for choice in chunk["choices"]:
            streamed[choice["index"]] = streamed.get(choice["index"], "") + choice["text"]
    assert whole["object"] == "text_completion"
    assert [choice["index"] for choice in whole["choices"]] == [0, 1, 2, 3]
    assert streamed == {choice["index"]: choice["text"] for choice in whole["choices"]}
    assert whole["usage"]["completion_tokens"] == 4 * 6
    logprobs = whole["choices"][0]["logprobs"]
    assert len(logprobs["tokens"]) == len(logprobs["token_logprobs"]) == len(logprobs["text_offset"]) == 6
    assert all(len(top) == 2 for top in logprobs["top_logprobs"])
    assert max(logprobs["token_logprobs"]) <= 0


def test_a_seed_repeats_its_answer_and_other_seeds_give_others(generator: Generator) -> None:
    answers = [content(generator.chat(asked(LONG, temperature=1.2, seed=seed))) for seed in (1, 1, 2, 2, -1, 2**40)]
    assert answers[0] == answers[1] != answers[2] == answers[3]
    assert len(set(answers)) == 4


def test_several_prompts_of_a_chat_have_their_own_seeds(generator: Generator) -> None:
    answer = generator.chat(asked(LONG, temperature=1.2, seed=7, n=3, logprobs=True, top_logprobs=1))
    texts = [choice["message"]["content"] for choice in answer["choices"]]
    assert len(set(texts)) == 3
    assert content(generator.chat(asked(LONG, temperature=1.2, seed=7))) == texts[0]
    assert answer["usage"]["completion_tokens"] == 3 * 16
    assert len(answer["choices"][0]["logprobs"]["content"]) == 16


def test_four_streams_at_once_are_each_their_own(generator: Generator) -> None:
    bodies = [asked(question, seed=number) for number, question in enumerate(SURE)]
    alone = [content(generator.chat(body)) for body in bodies]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda body: joined(generator.stream_chat(body)), bodies))
    # In company, a row may be computed in another order of additions; the first words still must be the same.
    assert [text[:24] for text in together] == [text[:24] for text in alone]
    assert len({text[:24] for text in together}) == 4


def test_closing_a_stream_frees_its_slot_and_leaves_the_others(starter: Bundle) -> None:
    narrow = open_generator(starter, threads=1, options={"ctx_size": 2 * 1024, "parallel": 2})
    try:
        expected = content(narrow.chat(asked(SURE[0])))
        doomed = narrow.stream_chat(asked(LONG, max_tokens=900, **ENDLESS))
        neighbour = narrow.stream_chat(asked(SURE[0], max_tokens=800, **ENDLESS))
        next(doomed)
        closer = threading.Timer(0.2, doomed.close)
        closer.start()
        assert len(list(doomed)) < 890
        closer.join()
        beginning = ""
        while len(beginning) < 24:
            beginning += joined([next(neighbour)])
        with ThreadPoolExecutor(1) as pool:
            rest = pool.submit(list, neighbour)
            assert narrow.chat(asked("Hi", max_tokens=1))["choices"]
            assert not rest.done()  # as it would be if the doomed one had been written to its end
            neighbour.close()
        assert beginning[:24] == expected[:24]
        assert list(doomed) == []
    finally:
        narrow.close()


def test_a_cancelled_answer_stops_soon_even_while_it_waits(starter: Bundle) -> None:
    narrow = open_generator(starter, threads=1, options={"ctx_size": 2 * 2048, "parallel": 2})
    try:
        running, waiting = Cancellation(), Cancellation()
        endless = asked(LONG, max_tokens=1900, **ENDLESS)
        neighbour = narrow.stream_chat(endless | {"max_tokens": 1800})
        with ThreadPoolExecutor(3) as pool:
            written = pool.submit(joined, neighbour)
            first = pool.submit(narrow.chat, endless, cancel=running)
            time.sleep(0.3)
            second = pool.submit(narrow.chat, endless, cancel=waiting)
            time.sleep(0.2)
            waiting.cancel()
            with pytest.raises(CancelledError):
                second.result()
            assert not first.done()
            running.cancel()
            with pytest.raises(CancelledError):
                first.result()
            assert narrow.chat(asked("Hi", max_tokens=1))["choices"]
            assert not written.done()  # as it would be if the first had been written to its end
            neighbour.close()
    finally:
        narrow.close()


def test_a_cancelled_prompt_stops_before_its_end(starter: Bundle) -> None:
    """In the steps of a neighbour: 64 tokens of the prompt go with each of its words."""
    narrow = open_generator(starter, threads=1, options={"ctx_size": 2 * 4096, "parallel": 2})
    try:
        steps: list[Any] = []
        neighbour = narrow.stream_chat(asked(LONG, max_tokens=3000, **ENDLESS))
        with ThreadPoolExecutor(2) as pool:
            pool.submit(lambda: [steps.append(chunk) for chunk in neighbour])
            cancel = Cancellation()
            doomed = pool.submit(narrow.chat, asked("word " * 3000, max_tokens=1), cancel=cancel)
            before = len(steps)
            wait_until(lambda: len(steps) >= before + 4, what="steps of the prompt")
            cancel.cancel()
            with pytest.raises(CancelledError):
                doomed.result()
            before = len(steps)
            assert narrow.chat(asked("Hi", max_tokens=1))["choices"]
            assert len(steps) < before + 20
            neighbour.close()
    finally:
        narrow.close()


def test_closing_the_model_ends_what_runs(starter: Bundle) -> None:
    opened = open_generator(starter, threads=1, options={"ctx_size": 1024})
    stream = opened.stream_chat(asked(LONG, max_tokens=900, **ENDLESS))
    opened.close()
    opened.close()
    assert len(list(stream)) < 900
    with pytest.raises(EngineError, match="closed"):
        opened.chat(asked("Hi"))


def test_characters_are_never_split(generator: Generator) -> None:
    body = asked("「こんにちは」を三回、日本語で書いてください。🍏", max_tokens=48, temperature=1.5, seed=11)
    chunks = list(generator.stream_chat(body))
    texts = [choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"]]
    assert not any("\ufffd" in text for text in texts[:-1])
    prompted = {"prompt": "吾輩は猫である。名前はまだ無い。", "max_tokens": 40, "temperature": 0}
    pieces = [chunk["choices"][0]["text"] for chunk in generator.stream_complete(prompted)]
    assert any(ord(character) > 0x3000 for piece in pieces for character in piece)
    assert not any("\ufffd" in piece for piece in pieces)
    assert "".join(pieces) == generator.complete(prompted)["choices"][0]["text"]


def test_an_answer_without_a_whole_character_is_an_answer(generator: Generator) -> None:
    half = {str(generator.tokenize("🍏")[0]): 100}
    (choice,) = generator.chat(asked("Hi", max_tokens=1, logit_bias=half))["choices"]
    assert (choice["message"], choice["finish_reason"]) == ({"role": "assistant", "content": ""}, "length")


def test_a_stop_text_ends_the_answer_and_is_left_out(generator: Generator) -> None:
    prompt = {"prompt": "1, 2, 3, 4, 5,", "temperature": 0, "max_tokens": 24}
    assert "8" in generator.complete(prompt)["choices"][0]["text"]
    stopped = generator.complete(prompt | {"stop": ["8"]})["choices"][0]
    assert stopped["finish_reason"] == "stop"
    assert "8" not in stopped["text"]
    assert "7" in stopped["text"]


@pytest.mark.parametrize("temperature", [0, 1.5])
def test_a_schema_is_followed(generator: Generator, temperature: float) -> None:
    body = asked("Say hello.", response_format=formatted(SCHEMA), temperature=temperature, seed=1, max_tokens=96)
    answer = generator.chat(body)
    value = json.loads(content(answer))
    assert set(value) == {"city", "size"}
    assert value["size"] in ("small", "large")
    assert json.loads(joined(generator.stream_chat(body))) == value


def test_an_answer_that_does_not_follow_its_schema_is_an_error(
    generator: Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of an engine that leaves the format out: it is taken from what is sent, not from what is checked."""
    for name in ("ask", "listen"):
        honest = getattr(exchange, name)

        def lax(address: Any, route: str, body: dict[str, Any], honest: Any = honest, **rest: Any) -> Any:
            return honest(address, route, {key: body[key] for key in body if key != "response_format"}, **rest)

        monkeypatch.setattr(f"umekomi.engines.llama_cpp.server.{name}", lax)
    body = asked("Say hello.", response_format=formatted(SCHEMA), seed=1, stop=["!", "."], max_tokens=60)
    with pytest.raises(EngineError, match="without following response_format"):
        generator.chat(body)
    with pytest.raises(EngineError, match="without following response_format"):
        list(generator.stream_chat(body))


def test_tools_are_passed_through(generator: Generator) -> None:
    tool = {"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}
    plain = generator.chat(asked("Weather?", max_tokens=1))["usage"]["prompt_tokens"]
    forced = generator.chat(asked("Weather in Oslo?", tools=[tool], tool_choice="required", max_tokens=128, seed=1))
    assert forced["usage"]["prompt_tokens"] != plain
    for call in forced["choices"][0]["message"].get("tool_calls", []):
        assert call["function"]["name"] == "weather"
        if forced["choices"][0]["finish_reason"] == "tool_calls":
            assert set(json.loads(call["function"]["arguments"])) == {"city", "size"}


def test_a_conversation_over_the_context_is_refused_in_openais_words(generator: Generator) -> None:
    body = asked("word " * 600)
    for ask in (generator.chat, generator.stream_chat):
        with pytest.raises(
            InputTooLong, match="maximum context length is 512 tokens, however you requested 6"
        ) as error:
            ask(body)
        assert error.value.param == "messages"
    assert generator.chat(asked("Hi", max_tokens=1))["choices"][0]["finish_reason"] == "length"


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": "Hi"}, "messages"),
        ({"messages": ["Hi"]}, "messages"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]},
            "messages",
        ),
        ({"messages": [{"role": "user", "content": "\ud800"}]}, None),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"top_p": 7}, "top_p"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_completion_tokens": 1.5}, "max_completion_tokens"),
        ({"n": 0}, "n"),
        ({"seed": "x"}, "seed"),
        ({"stop": 5}, "stop"),
        ({"stop": [""]}, "stop"),
        ({"logit_bias": {"a": 1}}, "logit_bias"),
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"tools": [{}]}, "tools"),
        ({"tool_choice": "never"}, "tool_choice"),
        ({"response_format": {"type": "yaml"}}, "response_format"),
        ({"response_format": {"type": "json_schema"}}, "response_format"),
        ({"response_format": formatted({"type": "nothing"})}, "response_format"),
        ({"response_format": formatted({"items": {"enum": list(range(1001))}})}, "response_format"),
        ({"response_format": formatted({"$ref": "http://127.0.0.1:9/x"})}, "response_format"),
    ],
)
def test_bad_input_is_a_clear_refusal(generator: Generator, change: dict[str, Any], param: str | None) -> None:
    for ask in (generator.chat, generator.stream_chat):
        with pytest.raises(InvalidInput) as error:
            ask(asked("Hi") | change)
        assert error.value.param == param
        assert "\n" not in str(error.value)


def test_json_nested_too_deeply_never_reaches_the_engine(generator: Generator) -> None:
    schema: dict[str, Any] = {}
    for _ in range(50_000):
        schema = {"items": schema}
    with pytest.raises(InvalidInput, match="nested"):
        generator.chat(asked("Hi", response_format=formatted(schema)))


@pytest.mark.parametrize("prompt", [None, "", [], [[]], [1, "a"], [-1], 5, [[1], "a"], ["a"] * 2049])
def test_a_prompt_of_no_known_kind_is_refused(generator: Generator, prompt: object) -> None:
    with pytest.raises(InvalidInput) as error:
        generator.complete({"prompt": prompt})
    assert error.value.param == "prompt"


def test_unknown_and_null_fields_are_left_out(generator: Generator) -> None:
    extra = {"user": "me", "stop": None, "tools": None, "cache_prompt": "yes", "grammar": 5, "lora": [{"id": 9}]}
    assert generator.chat(asked("Hi", max_tokens=1, **extra))["choices"]


def test_tokens_and_text_come_back_to_each_other(generator: Generator) -> None:
    for text in ("", "hello", "日本語と👩‍👩‍👧‍👦", " two  spaces\n", "a\x00b"):
        assert generator.detokenize(generator.tokenize(text)) == text
    ids = generator.tokenize("Once upon a time")
    by_ids = generator.complete({"prompt": ids, "max_tokens": 4, "seed": 1})
    assert (
        by_ids["choices"][0]["text"]
        == generator.complete({"prompt": "Once upon a time", "max_tokens": 4, "seed": 1})["choices"][0]["text"]
    )
    for bad in (-1, 49152, 10**12):
        with pytest.raises(InvalidInput, match=str(bad)):
            generator.detokenize([1, bad])


def test_a_broken_template_is_an_error_of_the_file_or_of_the_conversation(starter: Bundle) -> None:
    refusing = "{{ raise_exception('roles must alternate') }}"
    try:
        opened = open_generator(starter, threads=1, options={"ctx_size": 256, "chat_template": refusing})
    except BrokenModel:
        return
    with pytest.raises(InvalidInput) as error:
        opened.chat(asked("Hi"))
    assert error.value.param == "messages"
    opened.close()


def test_loading_leaves_the_signals_and_the_terminal_alone(
    starter: Bundle, capfd: pytest.CaptureFixture[str]
) -> None:
    caught: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _frame: caught.append(number))
    try:
        opened = open_generator(starter, threads=1, options={"ctx_size": 256})
        os.kill(os.getpid(), signal.SIGTERM)
        wait_until(lambda: bool(caught), what="the signal")
        assert caught == [signal.SIGTERM]
        assert opened.chat(asked("Hi", max_tokens=1))["choices"]
        opened.close()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert capfd.readouterr() == ("", "")
