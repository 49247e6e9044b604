"""GGUF files that are damaged, of another kind, or tiny and whole; and what the registry makes of them."""

from __future__ import annotations

from concurrent.futures import CancelledError
from pathlib import Path

import numpy as np
import pytest

from kit.gguf_files import MEAN, RANK, write_bert
from umekomi.engines.base import Cancellation, Generator, Scores
from umekomi.engines.hashing import hashing_bundle
from umekomi.engines.registry import open_encoder, open_generator, open_reranker
from umekomi.errors import BrokenModel, ConfigError, InputTooLong, InvalidInput, UnsupportedCapability
from umekomi.models.bundle import Bundle
from umekomi.models.sources import open_model
from umekomi.models.store import Store

WORDS = ("what", "is", "the", "a", "red", "green", "blue", "apple", "fruit", "car", "road")


def opened(path: Path) -> Bundle:
    return open_model(str(path), store=Store(path.parent / "home"))


@pytest.mark.starter
@pytest.mark.parametrize("kept", [3, 100, 20_000, 1_000_000, 1_770_000, -1])
def test_a_file_that_is_cut_short_is_named(starter: Bundle, tmp_path: Path, kept: int) -> None:
    path = tmp_path / "cut.gguf"
    path.write_bytes(starter.weights[0].read_bytes()[:kept])
    with pytest.raises(BrokenModel, match=r"cut\.gguf"):
        open_generator(opened(path), threads=1)


def test_a_file_that_only_the_engine_can_refuse_is_named_and_nothing_else_fails(tmp_path: Path) -> None:
    path = tmp_path / "odd.gguf"
    write_bert(path, WORDS, pooling=MEAN)
    path.write_bytes(path.read_bytes().replace(b"blk.0.ffn_up.weight", b"blk.0.ffn_xx.weight"))
    bundle = opened(path)
    for _ in range(2):
        with pytest.raises(BrokenModel, match=r"odd\.gguf: llama\.cpp .* does not load it"):
            open_encoder(bundle, threads=1)
    write_bert(path, WORDS, pooling=MEAN)
    open_encoder(opened(path), threads=1).close()


def test_an_embedding_file_makes_vectors_that_do_not_know_their_company(tmp_path: Path) -> None:
    write_bert(tmp_path / "mean.gguf", WORDS, pooling=MEAN)
    encoder = open_encoder(opened(tmp_path / "mean.gguf"), threads=1)
    texts = encoder.prepare(["green apple", "what is the red car", "", "a", "the road is a car " * 9])
    together = encoder.run(texts)
    assert together.shape == (5, encoder.card.dim)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(encoder.run(texts[::-1])[::-1], together, atol=1e-5)
    for row, text in zip(together, texts, strict=True):
        np.testing.assert_allclose(encoder.run([text])[0], row, atol=1e-5)
    encoder.close()


@pytest.mark.starter
def test_a_decoder_pools_as_it_is_told(starter: Bundle) -> None:
    texts = ["green apple", "the red car on the road", "緑の果物"]
    vectors = {}
    for pooling, word in (("mean", "mean"), ("last", "lasttoken")):
        encoder = open_encoder(starter, threads=1, options={"pooling": pooling, "ctx_size": 64})
        assert (encoder.card.pooling, encoder.card.max_tokens) == (word, 64)
        together = encoder.run(encoder.prepare(texts))
        np.testing.assert_allclose(encoder.run(encoder.prepare(texts[1:2]))[0], together[1], atol=1e-5)
        vectors[encoder.card.fingerprint] = together
        encoder.close()
    first, second = vectors.values()
    assert (np.einsum("ij,ij->i", first, second) < 0.99).all()


def test_a_reranker_scores_every_document_by_itself(tmp_path: Path) -> None:
    write_bert(tmp_path / "rank.gguf", WORDS, pooling=RANK)
    bundle = opened(tmp_path / "rank.gguf")
    assert bundle.card.capabilities == ("rerank",)
    reranker = open_reranker(bundle, threads=1)
    documents = ["green apple", "car road", "", "日本", "the fruit is a apple " * 5]
    found = reranker.score("what is the fruit", documents)
    assert len(set(found.scores)) == len(documents)
    assert found.truncated == 0
    backwards = reranker.score("what is the fruit", documents[::-1]).scores
    assert backwards == pytest.approx(found.scores[::-1], abs=1e-5)
    alone = [reranker.score("what is the fruit", [one]) for one in documents]
    assert [one.scores[0] for one in alone] == pytest.approx(found.scores, abs=1e-5)
    assert sum(one.tokens for one in alone) == found.tokens
    assert reranker.score("what", []) == Scores((), 0, 0)
    with pytest.raises(InvalidInput):
        reranker.score("what", ["\ud800"])
    reranker.close()


def test_a_reranker_cuts_documents_and_counts_them(tmp_path: Path) -> None:
    write_bert(tmp_path / "rank.gguf", WORDS, pooling=RANK)
    reranker = open_reranker(opened(tmp_path / "rank.gguf"), threads=1)
    admitted: list[int] = []
    found = reranker.score("what", ["car", "car " * 100, "緑" * 1000], admit=admitted.append)
    assert found.truncated == 2
    assert admitted == [found.tokens]
    assert found.tokens <= 2 * 64 + 10
    assert found.scores[1] == pytest.approx(reranker.score("what", ["car " * 59]).scores[0], abs=1e-5)
    with pytest.raises(InputTooLong, match="maximum context length is 64") as error:
        reranker.score("what " * 64, ["car"])
    assert error.value.param == "query"
    with pytest.raises(ZeroDivisionError):
        reranker.score("what", ["car"], admit=lambda tokens: tokens // 0)
    cancel = Cancellation()
    cancel.cancel()
    with pytest.raises(CancelledError):
        reranker.score("what", ["car"], cancel=cancel)
    reranker.close()


@pytest.mark.starter
def test_a_model_is_only_asked_for_what_it_does(starter: Bundle, generator: Generator, tmp_path: Path) -> None:
    assert generator.card.capabilities == ("chat",)
    with pytest.raises(UnsupportedCapability, match=r"generates text.*name a pooling"):
        open_encoder(starter)
    with pytest.raises(UnsupportedCapability, match="rerank"):
        open_reranker(starter)
    with pytest.raises(UnsupportedCapability, match="makes embeddings"):
        open_generator(hashing_bundle("hashing:8"))
    write_bert(tmp_path / "rank.gguf", WORDS, pooling=RANK)
    with pytest.raises(UnsupportedCapability, match="scores documents"):
        open_encoder(opened(tmp_path / "rank.gguf"))


@pytest.mark.parametrize(
    "options",
    [{"ctx": 5}, {"parallel": 0}, {"ctx_size": -1}, {"ctx_size": 2, "parallel": 4}, {"pooling": "max"},
     {"flash_attn": "maybe"}, {"threads": 0}],
)  # fmt: skip
def test_a_wrong_option_is_named(tmp_path: Path, options: dict[str, object]) -> None:
    write_bert(tmp_path / "mean.gguf", WORDS, pooling=MEAN)
    with pytest.raises(ConfigError, match=next(iter(options))):
        open_encoder(opened(tmp_path / "mean.gguf"), options=options)


def test_options_are_refused_by_an_engine_that_has_none() -> None:
    with pytest.raises(ConfigError, match="takes no options"):
        open_encoder(hashing_bundle("hashing:8"), options={"threads": 2})


def test_a_precision_is_refused_for_a_file_that_has_its_own(tmp_path: Path) -> None:
    write_bert(tmp_path / "mean.gguf", WORDS, pooling=MEAN)
    with pytest.raises(ConfigError, match="int8"):
        open_encoder(opened(tmp_path / "mean.gguf"), precision="int8")
