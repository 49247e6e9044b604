"""Chat and completion over real sockets: the starter with the official client, and what clients send by mistake."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import openai
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from kit.server import MODEL, LocalServer, serving, wait_until
from umekomi.cli.main import app
from umekomi.config import LlamaSettings, ModelSettings
from umekomi.serve.wire import generation_schema
from umekomi.serve.workers import ChatModel

pytestmark = pytest.mark.starter

CHAT = "smollm2-135m-instruct"
HELLO: list[Any] = [{"role": "user", "content": "Say hello in one short sentence."}]
ENDLESS: list[Any] = [{"role": "user", "content": "Count from 1 to 10000, one number a line."}]


@pytest.fixture(scope="module")
def talker() -> Iterator[LocalServer]:
    llama = LlamaSettings(ctx_size=2048, parallel=2, threads=1)  # spinning threads cost most on a busy machine
    with serving(ModelSettings(name=MODEL), ModelSettings(name=CHAT, preload=False, llama=llama)) as running:
        yield running


@pytest.fixture(scope="module")
def client(talker: LocalServer) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{talker.url}/v1", api_key="any", max_retries=0) as found:
        yield found


def ask(talker: LocalServer, route: str = "chat/completions", /, **fields: object) -> httpx.Response:
    body = {"model": CHAT, "messages": HELLO, "max_tokens": 4, **fields}
    return talker.client.post(f"/v1/{route}", json=body)


def events(text: str) -> list[str]:
    """The content of each event of a stream; fails where it is no stream of events."""
    assert text.endswith("\n\n")
    frames = [frame for frame in text.split("\n\n")[:-1] if not frame.startswith(":")]
    assert all(frame.startswith("data: ") and "\n" not in frame for frame in frames)
    return [frame.removeprefix("data: ") for frame in frames]


def generating(talker: LocalServer) -> int:
    model = talker.service.residency.resolve(CHAT).model
    return model.busy + model.waiting if isinstance(model, ChatModel) else 0


def test_it_is_loaded_by_its_first_use_and_not_by_a_wrong_one(talker: LocalServer) -> None:
    assert talker.client.post("/v1/embeddings", json={"model": CHAT, "input": "x"}).status_code == 400
    entries = {entry["id"]: entry for entry in talker.get("/v1/models").json()["data"]}
    assert entries[CHAT]["state"] == "unloaded"
    assert entries[CHAT]["capabilities"] == entries["gpt-4o-mini"]["capabilities"] == ["chat"]
    assert entries[MODEL]["capabilities"] == ["embeddings"]
    assert ask(talker).status_code == 200
    assert talker.get(f"/v1/models/{CHAT}").json()["state"] == "loaded"


def test_a_whole_answer(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model="gpt-4o-mini", messages=HELLO, max_tokens=16, seed=1)
    assert answer.model == CHAT
    assert answer.choices[0].message.role == "assistant"
    assert answer.choices[0].message.content
    assert answer.usage is not None
    assert answer.usage.completion_tokens <= 16
    again = client.chat.completions.create(model="gpt-3.5-turbo", messages=HELLO, max_tokens=16, seed=1)
    assert again.choices[0].message.content == answer.choices[0].message.content


def test_a_stream_says_what_a_whole_answer_says(client: openai.OpenAI) -> None:
    asked: dict[str, Any] = {"model": CHAT, "messages": HELLO, "max_tokens": 24, "temperature": 0, "seed": 1}
    whole = client.chat.completions.create(**asked)
    chunks = list(client.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True}))
    assert "".join(c.choices[0].delta.content or "" for c in chunks[:-1]) == whole.choices[0].message.content
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-2].choices[0].finish_reason == whole.choices[0].finish_reason
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert whole.usage is not None
    assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens
    assert len({(c.id, c.created, c.model, c.object) for c in chunks}) == 1


def test_an_async_stream(talker: LocalServer) -> None:
    async def read() -> list[str]:
        async with openai.AsyncOpenAI(base_url=f"{talker.url}/v1", api_key="any") as client:
            stream = await client.chat.completions.create(model=CHAT, messages=HELLO, max_tokens=4, stream=True)
            return [chunk.choices[0].delta.content or "" async for chunk in stream]

    assert "".join(asyncio.run(read()))


@pytest.mark.parametrize("route", ["chat/completions", "completions"])
def test_the_frames_of_a_stream(talker: LocalServer, route: str) -> None:
    answer = ask(talker, route, prompt="One, two,", stream=True)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    *chunks, done = events(answer.text)
    assert done == "[DONE]"
    parsed = [json.loads(chunk) for chunk in chunks]
    assert all(chunk["choices"] for chunk in parsed)  # the usage was not asked for
    assert parsed[-1]["choices"][0]["finish_reason"] == "length"
    assert {chunk["model"] for chunk in parsed} == {CHAT}


def test_completion(client: openai.OpenAI) -> None:
    answer = client.completions.create(model=CHAT, prompt=["1, 2, 3,", "a b c"], max_tokens=3, logprobs=1)
    assert [choice.index for choice in answer.choices] == [0, 1]
    assert answer.object == "text_completion"
    assert answer.choices[0].logprobs is not None


def test_an_answer_follows_its_schema(client: openai.OpenAI) -> None:
    schema = {
        "type": "object",
        "properties": {
            "colour": {"enum": ["red", "green"]},
            "count": {"type": "integer", "maximum": 9, "minimum": 0},
        },
        "required": ["colour", "count"],
        "additionalProperties": False,
    }
    answer = client.chat.completions.create(
        model=CHAT,
        messages=HELLO,
        max_tokens=60,
        response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": schema}},
    )
    value = json.loads(answer.choices[0].message.content or "")
    assert value["colour"] in {"red", "green"}
    assert type(value["count"]) is int


def test_a_client_that_leaves_stops_its_own_generation_only(talker: LocalServer) -> None:
    body = {"model": CHAT, "messages": ENDLESS, "stream": True, "logit_bias": {"2": -100}}

    def read_on() -> str:
        with talker.client.stream("POST", "/v1/chat/completions", json={**body, "max_tokens": 40}) as answer:
            begun.set()
            return "".join(answer.iter_text())

    began, begun = time.monotonic(), threading.Event()
    with ThreadPoolExecutor(1) as pool:
        with talker.client.stream("POST", "/v1/chat/completions", json=body) as leaver:
            next(leaver.iter_lines())
            staying = pool.submit(read_on)
            assert begun.wait(60)
        *_, last, end = events(staying.result(60))
    assert end == "[DONE]"
    assert json.loads(last)["choices"][0]["finish_reason"] == "length"
    # The leaver's would go on for 900 tokens, and what wrote 40 takes 20 times as long for them.
    patience_s = 8 * (time.monotonic() - began) + 1.5
    wait_until(lambda: generating(talker) == 0, seconds=patience_s, what="the end of the generation")


def test_a_client_that_leaves_before_its_whole_answer(talker: LocalServer) -> None:
    body = {"model": CHAT, "messages": ENDLESS, "logit_bias": {"2": -100}}
    began = time.monotonic()
    ask(talker, max_tokens=20)
    patience_s = 8 * (time.monotonic() - began) + 1.5  # in which nobody writes the 900 tokens there is room for
    with talker.connect() as leaver:
        sent = json.dumps(body).encode()
        head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(sent)
        leaver.sendall(head + sent)
        wait_until(lambda: generating(talker) == 1, what="the generation")
    wait_until(lambda: generating(talker) == 0, seconds=patience_s, what="the end of the generation")
    assert ask(talker).status_code == 200


def test_more_clients_than_slots(talker: LocalServer) -> None:
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda n: ask(talker, stream=n % 2 == 0), range(16)))
    assert {answer.status_code for answer in answers} == {200}
    assert all(events(answer.text)[-1] == "[DONE]" for answer in answers[::2])


@pytest.mark.parametrize("route", ["chat/completions", "completions"])
def test_answers_are_as_described(talker: LocalServer, route: str) -> None:
    answer = ask(talker, route, prompt="1, 2,")
    generation_schema.GenerationAnswer.model_validate_json(answer.content, strict=True)


def test_usage_is_counted(talker: LocalServer) -> None:
    before = talker.metric("umekomi_generated_tokens_total", model=CHAT)
    ask(talker)
    ask(talker, stream=True)
    assert talker.metric("umekomi_generated_tokens_total", model=CHAT) == before + 8


WRONG: dict[str, tuple[dict[str, Any], str | None]] = {
    "no model": ({"model": None}, "model"),
    "no messages": ({"messages": None}, "messages"),
    "empty messages": ({"messages": []}, "messages"),
    "messages as text": ({"messages": "hello"}, "messages"),
    "a message without role": ({"messages": [{"content": "x"}]}, "messages"),
    "a number as content": ({"messages": [{"role": "user", "content": 5}]}, "messages"),
    "an image": ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages"),
    "too long": ({"messages": [{"role": "user", "content": "word " * 3000}]}, "messages"),
    "too many": ({"messages": [{"role": "user", "content": "x"}] * 100_000}, "messages"),
    "stream as text": ({"stream": "yes"}, "stream"),
    "stream options as text": ({"stream": True, "stream_options": "x"}, "stream_options"),
    "stream options without stream": ({"stream_options": {"include_usage": True}}, "stream_options"),
    "temperature": ({"temperature": 3}, "temperature"),
    "top_p": ({"top_p": "x"}, "top_p"),
    "n": ({"n": 0}, "n"),
    "max_tokens": ({"max_tokens": 0}, "max_tokens"),
    "stop": ({"stop": [""]}, "stop"),
    "seed": ({"seed": "x"}, "seed"),
    "format": ({"response_format": {"type": "xml"}}, "response_format"),
    "schema": ({"response_format": {"type": "json_schema"}}, "response_format"),
    "tools": ({"tools": "x"}, "tools"),
    "logit_bias": ({"logit_bias": [1]}, "logit_bias"),
}


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(("fields", "param"), WRONG.values(), ids=WRONG)
def test_a_wrong_field_is_named(
    talker: LocalServer, fields: dict[str, Any], param: str | None, streamed: bool
) -> None:
    answer = ask(talker, **({"stream": True, **fields} if streamed and "stream_options" not in fields else fields))
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert error["param"] == param
    assert error["message"]


@pytest.mark.parametrize("route", ["chat/completions", "completions"])
def test_an_embedding_model_does_not_chat(talker: LocalServer, route: str) -> None:
    error = ask(talker, route, model=MODEL, prompt="x").json()["error"]
    assert error["code"] == "unsupported_capability"
    assert "chat" in error["message"]
    assert ask(talker, route, model="nobody", prompt="x").status_code == 404


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
FIELDS = sorted(generation_schema.ChatBody.model_fields.keys() - {"model", "max_tokens", "max_completion_tokens"})


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    route=st.sampled_from(["chat/completions", "completions"]),
    body=st.dictionaries(st.sampled_from(["prompt", *FIELDS]), JSON, min_size=1, max_size=3),
)
def test_any_body_is_answered_or_refused_but_never_fails(
    talker: LocalServer, route: str, body: dict[str, Any]
) -> None:
    asked = {"model": CHAT, "messages": HELLO, "prompt": "x", **body, "max_tokens": 1}
    answer = talker.client.post(f"/v1/{route}", json=asked)
    assert answer.status_code in {200, 400}, (body, answer.text)


def test_tokens_and_back(talker: LocalServer) -> None:
    found = talker.client.post("/v1/tokenize", json={"model": CHAT, "prompt": "緑の果物 hello"}).json()
    assert found["count"] == len(found["tokens"]) > 0
    back = talker.client.post("/v1/detokenize", json={"model": CHAT, "tokens": found["tokens"]}).json()
    assert back == {"model": CHAT, "prompt": "緑の果物 hello"}
    for route, body, param in (
        ("tokenize", {"prompt": 5}, "prompt"),
        ("tokenize", {"prompt": "a\0"}, "prompt"),
        ("tokenize", {"prompt": "a", "add_special_tokens": 1}, "add_special_tokens"),
        ("detokenize", {"tokens": "x"}, "tokens"),
        ("detokenize", {"tokens": [True]}, "tokens"),
        ("detokenize", {"tokens": [10**9]}, "tokens"),
    ):
        answer = talker.client.post(f"/v1/{route}", json={"model": CHAT, **body})
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, param), body


def test_the_command_talks_with_a_server(talker: LocalServer) -> None:
    result = CliRunner().invoke(
        app, ["chat", "--base-url", f"{talker.url}/v1", "--max-tokens", "8"], input="Hi\n\nAgain\n"
    )
    assert result.exit_code == 0, result.output
    assert len(result.stdout.strip()) > 2


def test_the_server_still_answers(talker: LocalServer) -> None:
    wait_until(lambda: generating(talker) == 0, what="the end of all generations")
    assert ask(talker).status_code == 200
