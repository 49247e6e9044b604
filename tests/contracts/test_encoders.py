"""What every engine promises to the layers above, whatever its runtime."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kit.tiny_models import DECODERS, save_tiny_decoder, save_tiny_model
from umekomi.engines.base import Encoder
from umekomi.engines.hashing import hashing_bundle
from umekomi.engines.registry import open_encoder
from umekomi.errors import InputTooLong, InvalidInput
from umekomi.types import Precision, Truncation

CHAT_STARTER = "smollm2-135m-instruct"  # makes vectors too, once it is told how to pool
STARTERS = ("multilingual-e5-small", "all-MiniLM-L6-v2")
KINDS: list[tuple[str, Precision]] = [
    ("hashing:48", "fp32"),
    *((name, precision) for name in STARTERS for precision in ("fp32", "int8")),
    ("gguf:mean", "fp32"),
    ("torch:mpnet", "fp32"),
    ("torch:llama", "fp32"),
]
MADE = ("hashing:", "torch:")
"""Made here, where the others are fetched."""

TEXTS = [
    "",
    "a",
    "green apple",
    "緑の果物",
    "👩‍👩‍👧‍👦🇯🇵🍏",
    "カタカナ と ﾊﾝｶｸ と　全角",
    "mixed 日本語 text with 123, \n newline \t tab and \u200b zero width",
    "long " * 40,
    "長い文章。" * 400,
]


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(kind, id="-".join(kind), marks=() if kind[0].startswith(MADE) else pytest.mark.starter)
        for kind in KINDS
    ],
)
def encoder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Encoder]:
    name, precision = request.param
    options: dict[str, Any] | None = None
    if name.startswith("hashing:"):
        bundle = hashing_bundle(name)
    else:
        from umekomi.models.sources import open_model

        if name.startswith("gguf:"):
            # One thread, because llama.cpp's wait for one another actively; a context that two cores get through.
            options = {"pooling": name.removeprefix("gguf:"), "ctx_size": 40, "threads": 1}
            name = CHAT_STARTER
        elif name.startswith("torch:"):
            architecture = name.removeprefix("torch:")
            save = save_tiny_decoder if architecture in DECODERS else save_tiny_model
            name = str(save(tmp_path_factory.mktemp("models") / architecture, architecture))
            options = {"batch_tokens": 8000}
        bundle = open_model(name)
    threads = 1 if request.param[0].startswith("torch:") else 2  # torch's wait for one another actively
    opened = open_encoder(bundle, precision=precision, threads=threads, options=options)
    yield opened
    opened.close()
    opened.close()


def _tolerance(encoder: Encoder) -> float:
    return 1e-5 if encoder.card.precision == "fp32" else 1e-4


def _most_tokens(encoder: Encoder) -> int:
    return sys.maxsize if encoder.card.in_pieces else encoder.card.max_tokens


def test_shapes_types_and_lengths(encoder: Encoder) -> None:
    prepared = encoder.prepare(TEXTS)
    vectors = encoder.run(prepared)
    assert vectors.shape == (len(TEXTS), encoder.card.dim)
    assert vectors.dtype == np.float32
    assert vectors.flags.c_contiguous
    if encoder.card.normalize:
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert all(1 <= text.tokens <= _most_tokens(encoder) for text in prepared)
    assert len({vector.tobytes() for vector in vectors}) == len(TEXTS)


@pytest.mark.timeout(1200)  # 356 s for the GGUF file on two cores under a load of 27 (2026-11-21)
def test_batch_padding_and_order_never_change_a_vector(encoder: Encoder) -> None:
    prepared = encoder.prepare(TEXTS)
    alone = [encoder.run([text])[0] for text in prepared]

    @settings(max_examples=25)
    @given(rows=st.lists(st.integers(0, len(TEXTS) - 1), min_size=1, max_size=12))
    def check(rows: list[int]) -> None:
        together = encoder.run([prepared[row] for row in rows])
        for vector, row in zip(together, rows, strict=True):
            np.testing.assert_allclose(vector, alone[row], atol=_tolerance(encoder), rtol=0)

    check()


def test_a_prompt_is_text_before_the_text(encoder: Encoder) -> None:
    with_prompt = encoder.prepare(["緑の果物"], prompt="query: ")[0]
    written_out = encoder.prepare(["query: 緑の果物"])[0]
    assert with_prompt.ids.tolist() == written_out.ids.tolist()


def test_truncation_cuts_the_right_end_and_says_so(encoder: Encoder) -> None:
    limit = encoder.card.max_tokens
    words = [f"{number}" for number in range(limit)]
    text = " ".join(words)
    if encoder.card.in_pieces:
        sides: list[Truncation] = ["end", "start", "error"]
        kept = [encoder.prepare([text], prompt="query: ", truncation=side)[0] for side in sides]
        assert all(encoder.decode(whole.ids.tolist()) == f"query: {text}" for whole in kept)
        assert not any(whole.truncated for whole in kept)
        return
    end, start = (encoder.prepare([text], prompt="query: ", truncation=side)[0] for side in ("end", "start"))
    for cut in (end, start):
        assert cut.truncated
        assert cut.tokens == limit
        assert cut.total_tokens > limit
    assert end.total_tokens == start.total_tokens
    first = 1 if encoder.card.format == "hashing" else 0  # its start of a text is no code point
    head, tail = (encoder.decode(cut.ids.tolist()[first:]) for cut in (end, start))
    assert head.startswith("query: 0 1 2") or head.startswith("query : 0 1 2")
    assert tail.startswith("query: ") or tail.startswith("query :")
    assert tail.rstrip().endswith(words[-1])
    with pytest.raises(InputTooLong, match=f"maximum context length is {limit} tokens, however you requested"):
        encoder.prepare(["fits", text], truncation="error")


def test_a_huge_text_is_cut_not_fatal(encoder: Encoder) -> None:
    prepared = encoder.prepare(["🍏" * (1000 if encoder.card.in_pieces else 100_000)])[0]
    assert 1 <= prepared.tokens <= _most_tokens(encoder)  # WordPiece takes it as one unknown word
    assert np.isfinite(encoder.run([prepared])).all()


@pytest.mark.parametrize("bad", [-1, 10**9])
def test_an_unknown_token_id_is_refused(encoder: Encoder, bad: int) -> None:
    with pytest.raises(InvalidInput, match=str(bad)):
        encoder.decode([5, bad])


def test_decoding_leaves_special_tokens_out(encoder: Encoder) -> None:
    ids = encoder.prepare(["plain words"])[0].ids.tolist()
    assert encoder.decode(ids).strip().lower() == "plain words"
