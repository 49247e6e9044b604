"""Calls of the LLM over real sockets: nothing is asked twice, nothing wrong is taken for an answer."""

from __future__ import annotations

import gzip
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kit.chat_server import ChatServer, Raw, chat_server, completion, first_then
from umekomi.errors import ConfigError, StoreError, UpstreamError
from umekomi.synthesize.calls.asking import Call, probe_schema
from umekomi.synthesize.calls.driving import FAILURES_IN_A_ROW, Progress, answer_all
from umekomi.synthesize.calls.ledger import Ledger, Reply
from umekomi.synthesize.calls.llm import Sampling, open_llm
from umekomi.synthesize.prompts import LANGUAGES, SCHEMAS, load_prompt

GOOD = '{"query": "水の沸点は何度ですか。"}'


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(tmp_path / "calls.sqlite") as opened:
        yield opened


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("umekomi.synthesize.calls.asking.pause_s", lambda attempt, retry_after_s: 0.0)


def _calls(count: int, **changes: Any) -> list[Call]:
    prompt = load_prompt("question", "ja")
    return [Call.build(prompt, "m", Sampling(**changes), passage=f"第{number}節") for number in range(count)]


def _answer(server: ChatServer, calls: list[Call], ledger: Ledger, *, slots: int = 3) -> dict[str, Reply]:
    llm = open_llm(f"{server.url}#m", slots=slots, notify=pytest.fail)
    try:
        return answer_all(llm, calls, ledger, advance=lambda progress: None)
    finally:
        llm.close()


def test_every_call_is_answered_once_over_all_slots(ledger: Ledger) -> None:
    gate = threading.Barrier(3)

    def say(body: dict[str, Any]) -> str:
        if len(server.asked) <= 3:
            gate.wait(120)  # three must be asked at once, or this breaks
        return GOOD

    with chat_server(say) as server:
        calls = _calls(9)
        replies = _answer(server, [*calls, *calls], ledger)
        assert server.most_at_once == 3
        assert len(server.asked) == 9
        assert {reply.content["query"] for reply in replies.values() if reply.content} == {"水の沸点は何度ですか。"}
        _answer(server, calls, ledger)
        assert len(server.asked) == 9
        _answer(server, _calls(2, temperature=0.1), ledger)
        assert len(server.asked) == 11


def test_the_schema_is_sent_and_each_attempt_takes_another_seed(ledger: Ledger) -> None:
    with chat_server(lambda body: "Here are two questions: …") as server:
        [reply] = _answer(server, _calls(1), ledger).values()
    assert reply.content is None
    assert reply.problem is not None
    assert reply.problem.startswith("not a JSON object: 'Here are two")
    assert [body["seed"] for body in server.asked] == [0, 1, 2]
    assert server.asked[0]["response_format"]["json_schema"]["schema"] == SCHEMAS["question"]


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ('{"query": "水の沸', "not a JSON object"),
        (completion(GOOD, finish="length"), "cut at max_tokens"),
        ('["query"]', "not a JSON object"),
        ('{"queries": "a?"}', "has the keys queries"),
        ('{"query": "a?", "note": 1}', "has the keys note, query"),
        ('{"query": 7}', "'query' is no text"),
        ('{"query": "   "}', "shorter than 2"),
        (json.dumps({"query": "長" * 301}), "longer than 300"),
        ("[" * 100_000, "not a JSON object"),
        ("", "not a JSON object: ''"),
        (r'{"query": "\ud800 surrogate"}', "not a JSON object"),
        (r'{"query": "null \u0000 byte"}', "'query' holds control characters"),
        (json.dumps({"k" * 5000: 1}), "has the keys kkk"),
    ],
)
def test_answers_that_do_not_fit_are_set_down_with_the_reason(
    ledger: Ledger, said: str | Raw, problem: str
) -> None:
    with chat_server(lambda body: said) as server:
        [reply] = _answer(server, _calls(1), ledger).values()
    assert reply.content is None
    assert problem in (reply.problem or "")


@pytest.mark.parametrize(
    "failure",
    [
        Raw(status=500, body=b'{"error": {"message": "boom"}}'),
        Raw(status=429, headers={"retry-after-ms": "1"}),
        Raw(body=b"<html>busy</html>"),
        Raw(body=b'{"choices": []}'),
    ],
)
def test_failures_that_may_pass_are_tried_again(ledger: Ledger, failure: Raw) -> None:
    with chat_server(lambda body: failure if len(server.asked) < 3 else GOOD) as server:
        [reply] = _answer(server, _calls(1), ledger).values()
    assert reply.content is not None
    assert len(server.asked) == 3


@pytest.mark.parametrize(
    "usage",
    ['"many"', "[7]", '{"prompt_tokens": NaN}', '{"prompt_tokens": -7}', '{"prompt_tokens": 1e999}', "1" * 300],
)
def test_a_usage_that_is_none_counts_as_nothing(ledger: Ledger, usage: str) -> None:
    body = completion(GOOD).body.decode()
    wrong = Raw(body=(body[: body.index('"usage"')] + f'"usage": {usage}}}').encode())
    with chat_server(lambda _: wrong) as server:
        [reply] = _answer(server, _calls(1), ledger).values()
    assert reply.content is not None
    assert (reply.prompt_tokens, reply.completion_tokens) == (0, 0)


@pytest.mark.parametrize(
    "hostile",
    [
        Raw(body=b" " * 65536, endless_s=0),
        Raw(body=b" ", endless_s=0.01),
        Raw(body=b"[" * 100_000),
        Raw(body=b'{"choices":' * 900 + b"1" + b"}" * 900),
        Raw(body=gzip.compress(b"0" * 10_000_000), headers={"content-encoding": "gzip"}),
        Raw(status=400, body=b'{"error": "the passage is too long"}'),
        Raw(body=b'{"choices": []}' + b" " * 10_000_000),
    ],
)
def test_an_answer_without_end_or_sense_costs_its_own_call_only(
    ledger: Ledger, hostile: Raw, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Clock(threading.local):
        """Of each thread its own: 10 s go by at each piece of an answer that it reads."""

        now = 0.0

        def monotonic(self) -> float:
            self.now += 10
            return self.now

    monkeypatch.setattr("umekomi.synthesize.calls.llm.time", Clock())

    def say(body: dict[str, Any]) -> str | Raw:
        return hostile if "第1節" in body["messages"][-1]["content"] else GOOD

    with chat_server(say) as server:
        calls = _calls(3)
        replies = _answer(server, calls, ledger, slots=2)
    assert set(replies) == {calls[0].key, calls[2].key}


def test_a_redirect_is_named_and_not_followed(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UMEKOMI_API_KEY", "secret-key")
    with chat_server(lambda body: GOOD) as other:
        moved = Raw(status=307, headers={"location": f"{other.url}/chat/completions"})
        with (
            chat_server(lambda body: moved) as server,
            pytest.raises(UpstreamError, match=r"it moved to http.*name that address"),
        ):
            _answer(server, _calls(1), ledger)
        assert other.asked == []
    monkeypatch.setenv("UMEKOMI_API_KEY", "secret\nkey")
    for address in ("http://127.0.0.1:1/v1#m", "http://me:secret@127.0.0.1:1/v1#m"):
        with pytest.raises(ConfigError, match="UMEKOMI_API_KEY") as caught:
            open_llm(address, slots=1, notify=pytest.fail)
        assert "secret" not in str(caught.value)


def test_a_server_that_is_not_there_is_one_line() -> None:
    llm = open_llm("http://127.0.0.1:9/v1#m", slots=1, notify=pytest.fail)
    with pytest.raises(UpstreamError, match=r"first call of the LLM failed.*see that its server runs"):
        probe_schema(llm, stop=threading.Event())
    llm.close()


def test_a_server_that_keeps_failing_stops_the_run_and_loses_nothing(ledger: Ledger) -> None:
    def say(body: dict[str, Any]) -> str | Raw:
        return GOOD if len(server.asked) <= 5 else Raw(status=503, body=b"down")

    with chat_server(say) as server:
        calls = _calls(40)
        with pytest.raises(UpstreamError, match=rf"{FAILURES_IN_A_ROW} calls in a row failed.*503: down"):
            _answer(server, calls, ledger, slots=1)
    assert len(ledger.known([call.key for call in calls])) == 5


def test_what_will_not_pass_ends_the_run_at_once(ledger: Ledger) -> None:
    refused = Raw(status=401, body=b'{"error": {"message": "Incorrect API key"}}')
    with chat_server(lambda body: refused) as server:
        with pytest.raises(UpstreamError, match=r"401.*Incorrect API key"):
            _answer(server, _calls(20), ledger, slots=1)
        assert len(server.asked) <= 2
    with pytest.raises(ConfigError, match="after '#'"):
        open_llm("http://127.0.0.1:1/v1", slots=None, notify=pytest.fail)


@pytest.mark.parametrize(("said", "enforced"), [('{"umekomi_probe": "enforced"}', True), ("Hello!", False)])
def test_the_probe_tells_whether_schemas_are_enforced(said: str, enforced: bool) -> None:
    with chat_server(lambda body: said) as server:
        llm = open_llm(f"{server.url}#m", slots=1, notify=pytest.fail)
        assert probe_schema(llm, stop=threading.Event()) is enforced
        llm.close()


def test_progress_counts_and_tells_the_time_left(ledger: Ledger) -> None:
    seen: list[Progress] = []
    with chat_server(lambda body: GOOD) as server:
        calls = _calls(6)
        _answer(server, calls[:2], ledger)
        llm = open_llm(f"{server.url}#m", slots=2, notify=pytest.fail)
        answer_all(llm, calls, ledger, advance=seen.append)
        llm.close()
    assert [progress.done for progress in seen] == [2, 3, 4, 5, 6]
    assert seen[0].seconds_left is None
    assert (seen[-1].seconds_left, seen[-1].completion_tokens, seen[-1].kept_before) == (0, 20, 2)


KILLED = """
import sys
from pathlib import Path
from umekomi.synthesize.calls import llm
from umekomi.synthesize.calls.asking import Call
from umekomi.synthesize.calls.driving import answer_all
from umekomi.synthesize.calls.ledger import Ledger
from umekomi.synthesize.calls.llm import Sampling, open_llm
from umekomi.synthesize.prompts import load_prompt

prompt = load_prompt("question", "ja")
calls = [Call.build(prompt, "m", Sampling(), passage=f"第{n}節") for n in range(30)]
llm = open_llm(sys.argv[1], slots=2, notify=print)
answer_all(llm, calls, Ledger(Path(sys.argv[2])), advance=lambda progress: None)
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_was_ended_repeats_no_finished_call(tmp_path: Path, how: signal.Signals) -> None:
    path = tmp_path / "calls.sqlite"
    answered = 0
    lock = threading.Lock()
    at_work, ended = threading.Semaphore(0), threading.Event()

    def say(body: dict[str, Any]) -> str:
        nonlocal answered
        with lock:
            answered += 1
        return GOOD

    def say_later(body: dict[str, Any]) -> str:
        at_work.release()
        assert ended.wait(60)
        return say(body)

    with chat_server(first_then(8, say, say_later)) as server:
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, f"{server.url}#m", str(path)], stderr=subprocess.DEVNULL
        )
        assert all(at_work.acquire(timeout=120) for _ in range(2)), "two calls in flight after eight"
        process.send_signal(how)
        ended.set()
        assert process.wait(60) != 0
        with Ledger(path) as ledger:
            calls = _calls(30)
            kept = len(ledger.known([call.key for call in calls]))
            in_flight = 3  # two slots, and one call that a slot may have begun since
            assert 0 < kept < 30
            assert kept >= answered - in_flight if how == signal.SIGKILL else kept == answered
            before = len(server.asked)
            assert len(_answer(server, calls, ledger)) == 30
            assert len(server.asked) - before == 30 - kept


def test_a_reply_that_was_being_kept_at_an_interruption_is_kept(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    put, interruptions = ledger.put, [KeyboardInterrupt()]

    def interrupted(*reply: Any) -> None:
        if interruptions:
            raise interruptions.pop()
        put(*reply)

    monkeypatch.setattr(ledger, "put", interrupted)
    calls = _calls(9)
    with chat_server(lambda body: GOOD) as server:
        with pytest.raises(KeyboardInterrupt):
            _answer(server, calls, ledger)
        assert len(ledger.known([call.key for call in calls])) == len(server.asked) > 0


def test_ledgers_that_cannot_be_used_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"not a database, and long enough to be none" * 10)
    with pytest.raises(StoreError, match="what was kept until now is safe"):
        Ledger(tmp_path / "a")


def test_every_prompt_reads_and_another_file_is_another_prompt(tmp_path: Path) -> None:
    keys = set()
    for task in SCHEMAS:
        for language in LANGUAGES:
            prompt = load_prompt(task, language)
            messages = prompt.messages(passage="$5 {x} を払う", query="いくら", examples=["送料 $"])
            assert "$5 {x} を払う" in messages[1]["content"]
            keys.add(Call.build(prompt, "m", Sampling(), passage="p").key)
    assert len(keys) == len(SCHEMAS) * len(LANGUAGES)
    (tmp_path / "question.ja.md").write_text("# system\n質問を書く。\n# user\n$passage\n", encoding="utf-8")
    own = load_prompt("question", "ja", folder=tmp_path)
    assert own.version != load_prompt("question", "ja").version
    for wrong in ("質問を書く。", "# system\nx\n# user\n$pasage\n"):
        (tmp_path / "question.ja.md").write_text(wrong, encoding="utf-8")
        with pytest.raises(ConfigError, match=r"question\.ja\.md"):
            load_prompt("question", "ja", folder=tmp_path)
