"""What a failing request is told. (That every error has a row is tested with the architecture.)"""

from __future__ import annotations

import json

import pytest
from starlette.exceptions import HTTPException

from umekomi import errors
from umekomi.serve.status import STATUSES, envelope, error_response, status_of


@pytest.mark.parametrize("kind", STATUSES, ids=lambda kind: kind.__name__)
def test_a_failure_that_would_repeat_is_never_repeated_by_clients(kind: type[errors.UmekomiError]) -> None:
    """OpenAI's client repeats 408, 409, 429 and 5xx unless told otherwise."""
    response = error_response(kind("what happened"))
    status = status_of(kind("x"))
    told_not_to = response.headers.get("x-should-retry") == "false"
    assert told_not_to == (status.status >= 500 and not status.retry)
    if response.status_code == 429:
        assert int(response.headers["retry-after"]) >= 1


@pytest.mark.parametrize(
    "error", [errors.EngineError("/secret"), errors.BrokenModel("/secret"), KeyError("/secret")]
)
def test_the_servers_own_problems_are_not_told(error: Exception) -> None:
    assert b"secret" not in error_response(error).body


def test_loading_that_failed_for_good_is_not_repeated() -> None:
    error = errors.Unavailable("could not be loaded", retry_after_s=3.2)
    assert "x-should-retry" not in error_response(error).headers
    assert error_response(error).headers["retry-after"] == "4"
    error.__cause__ = errors.BrokenModel("cut short")
    assert error_response(error).headers["x-should-retry"] == "false"


@pytest.mark.parametrize("status", [400, 404, 405, 408, 413, 418, 431])
def test_https_own_failures_have_the_envelope(status: int) -> None:
    response = error_response(HTTPException(status, "what happened", {"x-extra": "1"}))
    assert response.status_code == status
    assert response.headers["x-extra"] == "1"
    assert json.loads(bytes(response.body))["error"]["message"] == "what happened"


def test_any_message_can_be_sent() -> None:
    for message in ("\ud800", "\0", "x" * 100_000, "日本語"):
        assert len(json.loads(envelope(message, type="t"))["error"]["message"]) <= 1000
