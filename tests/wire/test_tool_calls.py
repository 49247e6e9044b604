"""Tools over real sockets with the official client, and a starter whose chat template knows none."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from kit.server import serving
from umekomi.config import LlamaSettings, ModelSettings

pytestmark = pytest.mark.starter

CHAT = "smollm2-135m-instruct"
QUESTION = [{"role": "user", "content": "What is the weather in Oslo?"}]


def tool(name: str, **properties: Any) -> dict[str, Any]:
    parameters = {"type": "object", "properties": properties, "required": list(properties)}
    return {"type": "function", "function": {"name": name, "description": f"{name}.", "parameters": parameters}}


WEATHER = tool("get_weather", city={"type": "string", "maxLength": 20}, unit={"$ref": "#/$defs/unit"})
WEATHER["function"]["parameters"]["$defs"] = {"unit": {"enum": ["celsius", "fahrenheit"]}}
CLOCK = tool("get_time", zone={"type": "string", "maxLength": 20})
NAMED = {"type": "function", "function": {"name": "get_time"}}


@pytest.fixture(scope="module")
def client() -> Iterator[openai.OpenAI]:
    llama = LlamaSettings(ctx_size=1024, parallel=1, threads=1)
    with (
        serving(ModelSettings(name=CHAT, llama=llama)) as server,
        openai.OpenAI(base_url=f"{server.url}/v1", api_key="any", max_retries=0) as found,
    ):
        yield found


def ask(client: openai.OpenAI, **fields: Any) -> Any:
    asked = {"messages": QUESTION, "tools": [WEATHER, CLOCK], "max_tokens": 80, "seed": 1, **fields}
    return client.chat.completions.create(model=CHAT, **asked)


@pytest.mark.parametrize(("choice", "names"), [("required", {"get_weather", "get_time"}), (NAMED, {"get_time"})])
def test_a_forced_call_comes_whole_and_streamed_alike(client: openai.OpenAI, choice: Any, names: set[str]) -> None:
    whole = ask(client, tool_choice=choice).choices[0]
    assert (whole.finish_reason, whole.message.content) == ("tool_calls", None)
    (call,) = whole.message.tool_calls
    arguments = json.loads(call.function.arguments)
    assert call.id.startswith("call_")
    assert call.function.name in names
    if call.function.name == "get_weather":
        assert arguments["unit"] in {"celsius", "fahrenheit"}
    assert set(arguments) == {"city", "unit"} if call.function.name == "get_weather" else {"zone"}

    chunks = [chunk.choices[0] for chunk in ask(client, tool_choice=choice, stream=True)]
    parts = [part for chunk in chunks for part in chunk.delta.tool_calls or ()]
    assert chunks[0].delta.role == "assistant"
    assert chunks[-1].finish_reason == "tool_calls"
    assert {part.index for part in parts} == {0}
    assert [part.function.name for part in parts if part.function.name] == [call.function.name]
    assert [part.id for part in parts if part.id] == [parts[0].id]
    assert "".join(part.function.arguments or "" for part in parts) == call.function.arguments
    assert not any(chunk.delta.content for chunk in chunks)


def test_the_clients_own_reader_of_streams_finds_the_call(client: openai.OpenAI) -> None:
    asked = {"messages": QUESTION, "tools": [CLOCK], "tool_choice": "required", "max_tokens": 80, "seed": 1}
    with client.chat.completions.stream(model=CHAT, **asked) as stream:
        found = stream.get_final_completion().choices[0]
    assert found.message.tool_calls is not None
    assert found.message.tool_calls[0].function.name == "get_time"


def test_tools_reach_the_prompt_and_none_keeps_them_out(client: openai.OpenAI) -> None:
    def prompt_tokens(**fields: Any) -> int:
        return ask(client, max_tokens=1, **fields).usage.prompt_tokens

    plain = prompt_tokens(tools=openai.NOT_GIVEN)
    assert prompt_tokens(tool_choice="none") == plain
    assert prompt_tokens() > plain + 50
    history = [
        *QUESTION,
        {"role": "assistant", "tool_calls": [{"id": "c", "type": "function", "function": {"name": "get_weather"}}]},
        {"role": "tool", "tool_call_id": "c", "content": "12 degrees and rain"},
    ]
    assert prompt_tokens(tools=openai.NOT_GIVEN, messages=history) > plain + 20


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tool_choice": {"type": "function", "function": {"name": "other"}}}, "tool_choice"),
        ({"tool_choice": "always"}, "tool_choice"),
        ({"tool_choice": "required", "tools": []}, "tool_choice"),
        ({"tools": [{"type": "function"}]}, "tools"),
        ({"tools": [{"type": "function", "function": {"name": "f", "parameters": 5}}]}, "tools"),
        ({"tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "string"}}}]}, "tools"),
        ({"tools": [tool("f", x={"$ref": "#/nowhere"})], "tool_choice": "required"}, "tools"),
    ],
)
def test_what_is_no_tool_and_no_choice_is_named(client: openai.OpenAI, fields: Any, param: str) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        ask(client, **fields)
    assert caught.value.param == param
