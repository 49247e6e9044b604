"""Evaluations from end to end, over models of this process and over real sockets."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import umekomi
from kit.evaluating import RecordingWatch, embeddings_server, quick
from umekomi.errors import ConfigError, InvalidInput, StoreError, UpstreamError
from umekomi.evaluate.candidates.opening import parse_candidate
from umekomi.evaluate.datasets import open_task
from umekomi.evaluate.output.files import read_results, write_results
from umekomi.evaluate.output.joining import join_runs
from umekomi.evaluate.run import Evaluation, evaluate
from umekomi.evaluate.tasks import LabelTask, Origin, PairTask, RetrievalTask

SAMPLE = "sample-en"
PLAIN = Origin(digest="0" * 64, source="test")


def _evaluate(cache: Path, *models: str, tasks: list[object] | None = None, **changes: object) -> Evaluation:
    names = [parse_candidate(model) for model in models]
    return evaluate(tasks or [open_task(SAMPLE)], names, quick(cache, **changes), RecordingWatch())  # type: ignore[arg-type]


def _retrieval() -> RetrievalTask:
    corpus = tuple(f"passage about subject {number} and nothing else" for number in range(12))
    return RetrievalTask(
        name="subjects",
        queries=tuple(f"subject {number}" for number in range(6)),
        query_ids=tuple(f"q{number}" for number in range(6)),
        corpus=corpus,
        corpus_ids=tuple(f"d{number}" for number in range(12)),
        relevant=tuple({number: 1.0} for number in range(6)),
        origin=PLAIN,
    )


def _pairs() -> PairTask:
    first = tuple(f"one {number} text" for number in range(8))
    second = tuple(f"one {number * number} text" for number in range(8))
    return PairTask("likeness", first, second, np.arange(8.0), tuple("abcdefgh"), PLAIN)


def test_every_kind_of_task_gets_its_metrics_with_intervals(tmp_path: Path) -> None:
    tasks = [open_task(SAMPLE), _pairs(), _retrieval()]
    results = _evaluate(tmp_path, "hashing:32", "hashing:256", tasks=tasks).results
    metrics = {(score.dataset, score.metric) for score in results.scores}
    assert {(SAMPLE, "precision@3"), ("likeness", "spearman"), ("subjects", "ndcg@10")} <= metrics
    for score in results.scores:
        assert score.ci95 is not None
        assert score.ci95[0] <= score.value <= score.ci95[1] or math.isclose(*score.ci95), score
    roles = {score.dataset: score.role for score in results.scores}
    assert roles == {SAMPLE: "document", "likeness": "document", "subjects": "query/document"}
    primary = results.settings["primary"]
    assert primary == {SAMPLE: "precision@3", "likeness": "spearman", "subjects": "ndcg@10"}
    for dataset, metric in primary.items():
        ranks = [rank for rank in results.ranking if (rank.dataset, rank.metric) == (dataset, metric)]
        assert {rank.model for rank in ranks} == {"hashing:32", "hashing:256"}


def test_a_model_against_itself_is_a_tie_on_every_metric(tmp_path: Path) -> None:
    with embeddings_server(_hashing(64)) as url:
        results = _evaluate(tmp_path, "hashing:64", f"{url}#same", role="raw").results
    assert results.comparisons
    for comparison in results.comparisons:
        assert (comparison.verdict, comparison.delta) == ("tied", pytest.approx(0, abs=1e-6)), comparison
    assert {rank.rank for rank in results.ranking} == {1}


def test_nothing_is_embedded_twice_and_roles_share_nothing(tmp_path: Path) -> None:
    asked: Counter[str] = Counter()
    hashing = _hashing(16)

    def embed(texts: list[str]) -> np.ndarray:
        asked.update(texts)
        return hashing(texts)

    with embeddings_server(embed) as url:
        for role in ("document", "document", "raw"):
            _evaluate(tmp_path, f"{url}#m", role=role)
    task = open_task(SAMPLE)
    assert isinstance(task, LabelTask)
    assert {asked[text] for text in task.texts} == {2}


def test_a_server_that_dies_half_way_is_named_and_the_next_run_goes_on(tmp_path: Path) -> None:
    texts = tuple(f"text {number}" for number in range(700))
    task = LabelTask("many", texts, tuple("ab" * 350), texts, PLAIN)
    answered: list[str] = []
    hashing = _hashing(16)

    def dying(texts: list[str]) -> np.ndarray:
        if len(answered) > 300:
            raise RuntimeError("out of memory")
        answered.extend(texts)
        return hashing(texts)

    def healthy(texts: list[str]) -> np.ndarray:
        answered.extend(texts)
        return hashing(texts)

    current = [dying]
    with embeddings_server(lambda texts: current[0](texts)) as url:
        with pytest.raises(UpstreamError, match="out of memory"):
            _evaluate(tmp_path, f"{url}#m", tasks=[task])
        answered.clear()
        current[0] = healthy
        results = _evaluate(tmp_path, f"{url}#m", tasks=[task]).results
    again = [text for text in answered if text in set(texts)]
    assert 0 < len(again) <= 700 - 256
    assert results.scores


def test_a_server_that_serves_another_model_than_before_is_asked_again(tmp_path: Path) -> None:
    watch = RecordingWatch()
    current = [_hashing(16)]
    with embeddings_server(lambda texts: current[0](texts)) as url:
        names = [parse_candidate(f"{url}#m")]
        first = evaluate([open_task(SAMPLE)], names, quick(tmp_path), watch)
        current[0] = lambda texts: np.random.default_rng(len(texts)).normal(size=(len(texts), 16))
        second = evaluate([open_task(SAMPLE)], names, quick(tmp_path), watch)
        (kept,) = tmp_path.glob("*/probes.npy")
        kept.write_bytes(b"\x93NUMPY")
        with pytest.raises(StoreError, match=r"probes\.npy: damaged"):
            evaluate([open_task(SAMPLE)], names, quick(tmp_path), watch)
    assert any("gives other vectors than when" in notice for notice in watch.notices)
    assert first.results.scores[0].value > second.results.scores[0].value


def test_a_server_whose_vectors_change_their_length_is_refused(tmp_path: Path) -> None:
    calls = iter(range(100))
    with (
        embeddings_server(lambda texts: np.ones((len(texts), 8 if next(calls) < 2 else 12))) as url,
        pytest.raises(UpstreamError, match="12"),
    ):
        _evaluate(tmp_path, f"{url}#m")


@pytest.mark.parametrize(
    ("models", "error", "match"),
    [
        (["hashing:16", "hashing:16"], ConfigError, "given twice"),
        (["http://127.0.0.1:9/v1"], ConfigError, "after '#'"),
        (["http://127.0.0.1:9/v1#m"], UpstreamError, "127.0.0.1:9"),
    ],
)
def test_wrong_models_are_refused_before_any_work(
    tmp_path: Path, models: list[str], error: type[Exception], match: str
) -> None:
    with pytest.raises(error, match=match):
        _evaluate(tmp_path, *models)
    assert not list(tmp_path.rglob("*.npz"))


def test_fewer_texts_than_neighbours_are_refused(tmp_path: Path) -> None:
    task = LabelTask("tiny", ("a", "b", "c"), ("x", "y", "x"), ("1", "2", "3"), PLAIN)
    with pytest.raises(InvalidInput, match="3 texts, but the 3 nearest others"):
        _evaluate(tmp_path, "hashing:16", tasks=[task])


def test_items_of_one_group_are_refused_before_any_work(tmp_path: Path) -> None:
    task = replace(_retrieval(), groups=("report",) * 6)
    with pytest.raises(InvalidInput, match="all 6 items are in the group 'report'"):
        _evaluate(tmp_path, "hashing:16", tasks=[task])
    assert not list(tmp_path.iterdir())


def test_results_come_back_from_their_folder_as_they_were(tmp_path: Path) -> None:
    done = _evaluate(tmp_path / "cache", "hashing:16", "hashing:32", tasks=[_pairs(), _retrieval()])
    write_results(tmp_path, done.results, done.findings)
    results, findings = read_results(tmp_path)
    assert results == done.results
    assert len(findings) == len(done.findings)
    for read, written in zip(findings, done.findings, strict=True):
        assert (read.dataset, read.model, read.outcome.metric) == (
            written.dataset,
            written.model,
            written.outcome.metric,
        )
        np.testing.assert_array_equal(read.outcome.items, written.outcome.items)
    assert (tmp_path / "scores.csv").read_text(encoding="utf-8-sig").count("\n") == 1 + len(results.scores)


def test_two_runs_joined_say_what_one_run_of_all_models_says(tmp_path: Path) -> None:
    whole = _evaluate(tmp_path / "cache", "hashing:16", "hashing:32", "hashing:64").results
    parts = []
    for name, models in (("first", ["hashing:16", "hashing:32"]), ("second", ["hashing:32", "hashing:64"])):
        done = _evaluate(tmp_path / "cache", *models)
        (tmp_path / name).mkdir()
        write_results(tmp_path / name, done.results, done.findings)
        parts.append(read_results(tmp_path / name / "results.json"))
    joined = join_runs(parts[0], parts[1], names=("first", "second")).results
    assert joined.scores == whole.scores
    assert joined.comparisons == whole.comparisons
    assert joined.ranking == whole.ranking


def test_models_of_one_name_and_two_fingerprints_are_told_apart(tmp_path: Path) -> None:
    current = [_hashing(16)]
    parts = []
    with embeddings_server(lambda texts: current[0](texts)) as url:
        for size in (16, 32):
            current[0] = _hashing(size)
            done = _evaluate(tmp_path, f"{url}#m")
            parts.append((done.results, done.findings))
        joined = join_runs(parts[0], parts[1], names=("old", "new")).results
    assert [model.name for model in joined.models] == [f"{url}#m (old)", f"{url}#m (new)"]
    assert len(joined.comparisons) == len({score.metric for score in joined.scores})


def test_a_model_in_two_roles_is_compared_with_itself(tmp_path: Path) -> None:
    prompted, bare = (_evaluate(tmp_path, "hashing:32", role=role) for role in ("document", "raw"))
    runs = [(each.results, each.findings) for each in (prompted, bare)]
    joined = join_runs(*runs, names=("prompted", "bare")).results
    scores = {score.model: score for score in joined.scores if score.metric == "precision@3"}
    assert {name: score.role for name, score in scores.items()} == {
        "hashing:32 (prompted)": "document",
        "hashing:32 (bare)": "raw",
    }
    assert {each.metric for each in joined.comparisons} == {each.metric for each in joined.scores}


def test_an_address_that_serves_another_model_of_as_many_dimensions_is_told_apart(tmp_path: Path) -> None:
    prefix = [""]
    runs = []
    with embeddings_server(lambda texts: _hashing(32)([prefix[0] + text for text in texts])) as url:
        for prefix[0] in ("", "", "another model "):
            done = _evaluate(tmp_path, f"{url}#m")
            runs.append((done.results, done.findings))
    again = join_runs(runs[0], runs[1], names=("monday", "tuesday")).results
    assert [model.name for model in again.models] == [f"{url}#m"]
    changed = join_runs(runs[1], runs[2], names=("tuesday", "friday")).results
    assert [model.name for model in changed.models] == [f"{url}#m (tuesday)", f"{url}#m (friday)"]


def test_runs_over_other_data_are_not_joined(tmp_path: Path) -> None:
    first = _evaluate(tmp_path, "hashing:16")
    second = _evaluate(tmp_path, "hashing:16", tasks=[open_task("sample-ja")])
    with pytest.raises(InvalidInput, match="no data set in common"):
        join_runs((first.results, first.findings), (second.results, second.findings), names=("a", "b"))


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"schema": "umekomi-results-1"}', b"\xff\xfe"])
def test_files_that_are_no_results_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "results.json").write_bytes(content)
    with pytest.raises(InvalidInput, match=r"results\.json"):
        read_results(tmp_path)


def test_damaged_items_are_named(tmp_path: Path) -> None:
    done = _evaluate(tmp_path / "cache", "hashing:16")
    write_results(tmp_path, done.results, done.findings)
    whole = (tmp_path / "items.npz").read_bytes()
    for left in (0, 3, len(whole) // 2):
        (tmp_path / "items.npz").write_bytes(whole[:left])
        with pytest.raises(InvalidInput, match=r"items\.npz: cannot be read"):
            read_results(tmp_path)


def test_a_model_that_reads_only_the_starts_of_texts_is_noted(tmp_path: Path) -> None:
    texts = tuple(f"{number} " + "long " * (600 * (number % 3 == 0)) for number in range(12))
    task = LabelTask("cut", texts, tuple("ab" * 6), texts, PLAIN)
    (note,) = [each for each in _evaluate(tmp_path, "hashing:16", tasks=[task]).results.notes if "read" in each]
    assert note.startswith("cut: hashing:16 read only the starts of 33.3% of the texts")


def _hashing(dim: int):  # type: ignore[no-untyped-def]
    def embed(texts: list[str]) -> np.ndarray:
        with umekomi.open_embedder(f"hashing:{dim}") as embedder:
            return embedder.embed(texts, role="raw").vectors

    return embed
