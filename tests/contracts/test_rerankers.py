"""What every reranker promises to the layers above, whatever its runtime."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from concurrent.futures import CancelledError

import numpy as np
import pytest

from kit.gguf_files import RANK, write_bert
from kit.tiny_models import save_tiny_reranker
from umekomi.engines.base import Cancellation, Reranker, Scores
from umekomi.engines.registry import open_reranker
from umekomi.errors import InputTooLong, InvalidInput, UmekomiError
from umekomi.models.sources import open_model
from umekomi.types import Precision

KINDS: list[tuple[str, Precision]] = [("onnx", "fp32"), ("onnx", "int8"), ("torch", "fp32"), ("llama_cpp", "fp32")]
WORDS = ["the", "green", "apple", "fruit", "banana", "yellow", "long", "what", "is"]
QUERY = "what is the fruit"
DOCUMENTS = ["the green apple is a fruit", "banana", "", "緑の果物", "long yellow banana " * 2]
TOO_LONG = "the green apple is yellow " * 200


@pytest.fixture(scope="module", params=KINDS, ids="-".join)
def reranker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reranker]:
    engine, precision = request.param
    folder = tmp_path_factory.mktemp("models")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UMEKOMI_HOME", str(folder / "home"))
        path = folder / "ranker.gguf" if engine == "llama_cpp" else folder / "ranker"
        if engine == "llama_cpp":
            if importlib.util.find_spec("xllamacpp") is None:
                pytest.skip("llama.cpp is not installed")
            write_bert(path, WORDS, pooling=RANK)
        else:
            save_tiny_reranker(path, "bert", max_tokens=64)
        threads = 2 if engine == "onnx" else 1  # the others' wait for one another actively
        opened = open_reranker(open_model(str(path)), engine=engine, precision=precision, threads=threads)
        yield opened
        opened.close()
        opened.close()
        with pytest.raises(UmekomiError, match="closed"):
            opened.score(QUERY, DOCUMENTS)


def _tolerance(reranker: Reranker) -> float:
    return 1e-5 if reranker.card.precision == "fp32" else 1e-3


def test_a_score_for_each_document_whatever_stands_beside_it(reranker: Reranker) -> None:
    found = reranker.score(QUERY, DOCUMENTS)
    assert len(found.scores) == len(DOCUMENTS)
    assert np.isfinite(found.scores).all()
    assert len(set(found.scores)) == len(DOCUMENTS)
    backwards = reranker.score(QUERY, DOCUMENTS[::-1])
    alone = [reranker.score(QUERY, [document]) for document in DOCUMENTS]
    for other in (backwards.scores[::-1], [one.scores[0] for one in alone]):
        np.testing.assert_allclose(other, found.scores, atol=_tolerance(reranker))
    assert found.tokens == backwards.tokens == sum(one.tokens for one in alone) > 0
    assert found.truncated == 0
    assert reranker.score(QUERY, []) == Scores((), 0, 0)


def test_what_does_not_fit_is_cut_and_counted(reranker: Reranker) -> None:
    found = reranker.score(QUERY, ["banana", TOO_LONG, TOO_LONG + "!"])
    assert found.truncated == 2
    assert found.tokens <= 3 * reranker.card.max_tokens
    assert found.scores[1] == pytest.approx(found.scores[2], abs=_tolerance(reranker))


def test_a_query_without_end_is_cut_or_refused(reranker: Reranker) -> None:
    try:
        assert reranker.score(TOO_LONG, ["banana"]).truncated == 1
    except InputTooLong as error:
        assert error.param == "query"


def test_tokens_are_admitted_once_before_any_runs(reranker: Reranker) -> None:
    admitted: list[int] = []
    found = reranker.score(QUERY, DOCUMENTS, admit=admitted.append)
    assert admitted == [found.tokens]
    with pytest.raises(ZeroDivisionError):
        reranker.score(QUERY, DOCUMENTS, admit=lambda tokens: tokens // 0)


def test_what_was_called_off_does_not_run(reranker: Reranker) -> None:
    cancel = Cancellation()
    cancel.cancel()
    with pytest.raises(CancelledError):
        reranker.score(QUERY, DOCUMENTS, cancel=cancel)
    during = Cancellation()
    with pytest.raises(CancelledError):
        reranker.score(QUERY, DOCUMENTS, cancel=during, admit=lambda _: during.cancel())


def test_half_a_character_is_refused(reranker: Reranker) -> None:
    for query, documents in ((QUERY, ["a", "\ud800"]), ("\ud800", ["a"])):
        with pytest.raises(InvalidInput):
            reranker.score(query, documents)
