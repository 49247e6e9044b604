"""How failures are told: the wait that a server asks for, its words made plain, and a refusal retold."""

from __future__ import annotations

import json
import time
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from umekomi.engines.remote.address import Address
from umekomi.engines.remote.circuit import FAILURES, FIRST_S, LONGEST_S, Circuit
from umekomi.engines.remote.failures import excerpt_of, failure_of_status, plain, retry_after_s, words_of
from umekomi.engines.remote.refusals import refusal
from umekomi.engines.remote.replica import Replica
from umekomi.errors import ConfigError, InputTooLong, InvalidInput, UnsupportedCapability


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after-ms": "soon", "retry-after": "9"}, 9),
        ({"retry-after": "1e18"}, 3600),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "tomorrow"}, None),
        ({"retry-after": "Wed, 99 Foo 2026 00:00:00 GMT"}, None),
        ({"retry-after": formatdate(0, usegmt=True)}, 0),
    ],
)
def test_the_wait_that_a_server_asks_for(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_s(headers) == seconds


def test_a_date_is_a_wait_until_then() -> None:
    date = int(time.time()) + 1000
    wait = retry_after_s({"retry-after": formatdate(date, usegmt=True)})
    assert wait is not None
    assert date - time.time() <= wait <= 1000


@given(st.integers(100, 999).filter(lambda status: status != 200), st.text(max_size=5))
def test_every_status_has_words_and_only_some_may_pass(status: int, excerpt: str) -> None:
    failure = failure_of_status(status, {}, excerpt)
    assert failure.what
    assert failure.passes == (status in (408, 429) or status >= 500)
    error = failure.as_error("far", "http://secret")
    shown = getattr(error, "public", None) or str(error)
    assert shown.startswith("The upstream of model `far` ")
    assert "secret" not in shown


@given(st.text(max_size=800))
def test_plain_words_are_one_short_line(text: str) -> None:
    shown = plain(text, secret="abc")
    assert len(shown) <= 300
    assert shown.isprintable()
    assert "abc" not in shown


def test_words_are_the_envelopes_or_the_beginning() -> None:
    assert words_of(b'{"error": {"message": "a\\u001b[31m\\nb"}}') == "a [31m b"
    assert words_of(b'{"error": "short"}') == "short"
    assert words_of(b"<html>\n\xff") == "<html> \ufffd"
    assert excerpt_of(b"<html>") == "<html>"
    assert excerpt_of(b'{"choices": [{"message": "what a user') == ""


@pytest.fixture
def server() -> Replica:
    address = Address.of("http://models.internal:8080/v1", key="sk-abc")
    return Replica(0, address, "their-model", "sk-abc")


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("the model their-model takes 5", ": the model far takes 5"),
        ("see https://platform.internal/docs?x=1 please", ": see … please"),
        ("at MODELS.internal, 10.1.2.3:80 or [fe80::1]:80", ": at …, … or …"),
        ("key sk-abc, sk-other, Authorization: Bearer xyz", ": key …, … Authorization: …"),
        ("models.internal. their-models and my-their-model", ": …. their-models and my-their-model"),
        ("8192 tokens: too long at 12:30", ": 8192 tokens: too long at 12:30"),
    ],
)
def test_a_refusal_is_retold_without_places_and_secrets(server: Replica, message: str, told: str) -> None:
    content = json.dumps({"error": {"message": message, "param": "x[0].y"}}).encode()
    error = refusal(content, server, model="far")
    assert isinstance(error, InvalidInput)
    assert str(error) == f"The upstream of model `far` refused the request{told}"
    assert error.param == "x[0].y"


def test_codes_that_clients_know_are_kept(server: Replica) -> None:
    def told(**error: object) -> object:
        return refusal(json.dumps({"error": {"message": "m", **error}}).encode(), server, model="far")

    assert isinstance(told(code="context_length_exceeded"), InputTooLong)
    assert isinstance(told(code="unsupported_capability"), UnsupportedCapability)
    odd = told(param="a b", code=5)
    assert isinstance(odd, InvalidInput)
    assert odd.param is None
    assert str(refusal(b"<html>", server, model="far")).endswith("refused the request.")


def test_a_circuit_rests_longer_each_time_and_lets_one_try() -> None:
    circuit, now = Circuit(), 0.0
    for _ in range(FAILURES - 1):
        circuit.fail(now)
        assert circuit.allows(now)
    for doublings in range(8):
        circuit.fail(now)
        rest = min(LONGEST_S, FIRST_S * 2**doublings)
        assert circuit.left_s(now) == rest
        assert not circuit.allows(now + rest - 0.01)
        now += rest
        assert circuit.allows(now)
        circuit.begin()
        assert not circuit.allows(now)
    circuit.end()  # given up: the next may try
    assert circuit.allows(now)
    circuit.begin()
    circuit.succeed()
    circuit.fail(now)
    assert circuit.allows(now)
    circuit.fail(now, rest_s=7)
    assert circuit.left_s(now) == 7
    circuit.fail(now, rest_s=1e9)
    assert circuit.left_s(now) == LONGEST_S


@pytest.mark.parametrize("key", ["a\nb", "ключ"])
def test_a_key_that_no_header_carries(key: str) -> None:
    with pytest.raises(ConfigError, match="no header can carry") as refused:
        Address.of("http://h/v1", key=key)
    assert key not in str(refused.value)


@pytest.mark.parametrize(
    ("base_url", "host", "path"),
    [
        ("http://h/v1", b"h", "/v1"),
        ("http://h:80", b"h:80", ""),
        ("http://[::1]:8080/a b/ü", b"[::1]:8080", "/a%20b/%C3%BC"),
        ("http://bücher.example/v1", b"xn--bcher-kva.example", "/v1"),
    ],
)
def test_an_address_as_it_goes_on_the_wire(base_url: str, host: bytes, path: str) -> None:
    address = Address.of(base_url, key="sk-abc")
    assert dict(address.headers)[b"host"] == host
    assert address.path == path
    assert "sk-abc" not in repr(address)
