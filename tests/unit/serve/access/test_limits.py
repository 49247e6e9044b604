"""Rate limits on a clock of the test's own: no minute ever holds more than the limit, and waiting always helps."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from umekomi.errors import InvalidInput, Overloaded
from umekomi.serve.access.keys import Key
from umekomi.serve.access.limits import WINDOW_S, RateLimits

pauses = st.one_of(st.floats(0, 3), st.floats(0, 90), st.sampled_from([0.0, 0.999, 1.0, 59.999, 60.0, 61.0]))


class Clock:
    def __init__(self) -> None:
        self.now = 1234.567

    def __call__(self) -> float:
        return self.now


def a_key(requests: int | None = None, tokens: int | None = None, name: str = "one") -> Key:
    return Key(name, name, None, requests, tokens, datetime.now(UTC), None, None)


@given(st.integers(1, 20), st.lists(st.tuples(pauses, st.integers(1, 12)), max_size=60))
def test_no_minute_holds_more_than_the_limit(limit: int, asked: list[tuple[float, int]]) -> None:
    clock = Clock()
    limits, key = RateLimits(clock=clock), a_key(tokens=limit)
    taken: list[tuple[float, int]] = []
    for pause, count in asked:
        clock.now += pause
        if count > limit:
            continue
        try:
            limits.take_tokens(key, count)
        except Overloaded:
            recent = sum(n for at, n in taken if at > clock.now - WINDOW_S - 1)
            assert recent + count > limit, "refused although there was room"
        else:
            taken.append((clock.now, count))
        assert sum(n for at, n in taken if at > clock.now - WINDOW_S) <= limit


@given(st.integers(1, 10), st.lists(st.tuples(pauses, st.integers(1, 10)), min_size=1, max_size=40))
def test_after_the_time_it_names_a_refused_request_fits(limit: int, asked: list[tuple[float, int]]) -> None:
    clock = Clock()
    limits, key = RateLimits(clock=clock), a_key(tokens=limit)
    for pause, count in asked:
        clock.now += pause
        count = min(count, limit)
        try:
            limits.take_tokens(key, count)
        except Overloaded as error:
            assert 0 < error.retry_after_s <= WINDOW_S + 1
            clock.now += error.retry_after_s
            limits.take_tokens(key, count)


@given(st.lists(st.tuples(pauses, st.integers(0, 30)), max_size=30))
def test_the_headers_tell_the_truth(asked: list[tuple[float, int]]) -> None:
    clock = Clock()
    limits, key = RateLimits(clock=clock), a_key(requests=5, tokens=40)
    for pause, count in asked:
        clock.now += pause
        before = limits.headroom(key).tokens
        assert before is not None
        try:
            limits.take_tokens(key, count)
        except Overloaded:
            assert count > before.remaining
        else:
            assert count <= before.remaining
            after = limits.headroom(key).tokens
            assert after is not None
            assert after.remaining == before.remaining - count
    allowance = limits.headroom(key).tokens
    assert allowance is not None
    clock.now += allowance.reset_s
    assert limits.headroom(key).headers()["x-ratelimit-remaining-tokens"] == "40"
    assert limits.headroom(key).headers()["x-ratelimit-reset-tokens"] == "0s"


def test_requests_are_counted_by_key() -> None:
    clock = Clock()
    limits = RateLimits(clock=clock)
    one, two, free = a_key(requests=2), a_key(requests=2, name="two"), a_key(name="free")
    limits.take_request(one)
    limits.take_request(one)
    with pytest.raises(Overloaded, match=r"'one': 2 requests a minute; try again in 1m0\.5s") as caught:
        limits.take_request(one)
    assert caught.value.retry_after_s == pytest.approx(60.433)
    limits.take_request(two)
    for _ in range(100):
        limits.take_request(free)
    assert limits.headroom(free).headers() == {}
    headers = limits.headroom(one).headers()
    assert headers == {
        "x-ratelimit-limit-requests": "2",
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": "1m0.5s",
    }
    assert re.fullmatch(r"(\d+m)?[\d.]+s", headers["x-ratelimit-reset-requests"])


def test_more_than_a_minutes_tokens_at_once_will_never_fit() -> None:
    limits, key = RateLimits(), a_key(tokens=100)
    with pytest.raises(InvalidInput, match="has 101 tokens, and the key 'one' may use 100 a minute"):
        limits.take_tokens(key, 101)
    limits.take_tokens(key, 100)


def test_an_answers_tokens_may_go_over_and_are_waited_for() -> None:
    clock = Clock()
    limits, key = RateLimits(clock=clock), a_key(tokens=100)
    limits.take_tokens(key, 60)
    limits.charge_tokens(key, 500)
    assert limits.headroom(key).headers()["x-ratelimit-remaining-tokens"] == "0"
    with pytest.raises(Overloaded):
        limits.take_tokens(key, 1)
    clock.now += WINDOW_S + 1
    limits.take_tokens(key, 100)
