"""Servers that break the protocol or refuse texts: told, and never taken for agreement."""

from __future__ import annotations

from typing import Literal

import pytest

from kit.embedding_server import Faults, serving_vectors
from kit.server import reference_vectors
from umekomi.embedding.endpoint import Endpoint
from umekomi.errors import InvalidInput, UpstreamError
from umekomi.evaluate.parity import Comparison, EndpointSide, compare
from umekomi.evaluate.parity.sides import WINDOW_TEXTS
from umekomi.types import Vectors

TEXTS = [f"text number {number} about {'緑の果物' * (number % 3)}" for number in range(3 * WINDOW_TEXTS)]


def _hashed(texts: list[str]) -> Vectors:
    return reference_vectors(texts, "hashing:64")


def _compare(faults: Faults, texts: list[str] = TEXTS) -> Comparison:
    with (
        serving_vectors(_hashed) as old,
        serving_vectors(_hashed, faults=faults) as new,
        Endpoint(old.base_url, "m") as one,
        Endpoint(new.base_url, "m") as other,
    ):
        return compare(EndpointSide("OLD", one, role="raw"), EndpointSide("NEW", other, role="raw"), texts)


def test_equal_servers_are_the_same_and_their_speed_is_known() -> None:
    comparison = _compare(Faults())
    assert comparison.same
    assert comparison.rows == tuple(range(len(TEXTS)))
    for speed in comparison.speeds:
        assert speed.texts_per_s is not None
        assert speed.tokens_per_s is not None
        assert speed.tokens_per_s > speed.texts_per_s > 0


@pytest.mark.parametrize(
    ("faults", "message"),
    [
        (Faults(drops_row_from=2), f"NEW, after {WINDOW_TEXTS} of 96 texts: .* sent 31 vectors for 32 texts"),
        (Faults(halves_dimension_from=2), "NEW, after 32 of 96 texts: .*changed from 64 to 32 dimensions"),
        (Faults(dies_from=3), "NEW, after 64 of 96 texts: .*no answer"),
        (Faults(most_characters=3), "NEW, after 0 texts: .*inputs must have less than 512 tokens"),
    ],
)
def test_a_server_that_fails_half_way_is_named_with_the_place(faults: Faults, message: str) -> None:
    with pytest.raises(UpstreamError, match=message):
        _compare(faults)


@pytest.mark.parametrize("status", [400, 413, 422, 500])
def test_a_refused_text_is_left_out_and_told(status: int) -> None:
    texts = [*TEXTS[:40], "long " * 400, *TEXTS[40:50]]
    comparison = _compare(Faults(most_characters=1000, refusal_status=status), texts)
    assert [(refusal.row, refusal.side) for refusal in comparison.refusals] == [(40, "NEW")]
    assert "less than 512 tokens" in comparison.refusals[0].message
    assert comparison.rows == tuple(row for row in range(51) if row != 40)
    assert comparison.verdict == "keep"
    assert not comparison.same
    assert any("would not embed" in note for note in comparison.notes)


def test_a_server_of_small_batches_is_asked_text_by_text() -> None:
    comparison = _compare(Faults(most_texts=8), TEXTS[:WINDOW_TEXTS])
    assert comparison.refusals == ()
    assert comparison.verdict == "keep"


@pytest.mark.parametrize(
    ("token_ids", "words"), [("own", "takes them for other tokens"), ("refused", "refuses them")]
)
def test_token_ids_that_one_server_reads_and_the_other_does_not_are_told(
    token_ids: Literal["own", "refused"], words: str
) -> None:
    comparison = _compare(Faults(token_ids=token_ids), TEXTS[:WINDOW_TEXTS])
    assert comparison.same  # texts agree
    [note] = comparison.notes
    assert note.endswith(f"OLD reads them as text and NEW {words}")
    assert _compare(Faults(), TEXTS[:WINDOW_TEXTS]).notes == ()


def test_no_texts_are_an_error() -> None:
    with pytest.raises(InvalidInput, match="no texts"):
        _compare(Faults(), [])
