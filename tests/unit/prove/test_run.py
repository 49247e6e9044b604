"""Whole proofs, of models that know characters only."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kit.evaluating import RecordingWatch
from kit.proofs import alphas, labelled, open_hashing, questions, ratings, story, training_pairs
from umekomi.errors import InvalidInput
from umekomi.evaluate.candidates.vectors import RoleVectors, TaskVectors
from umekomi.evaluate.datasets import open_task
from umekomi.evaluate.outcomes import Outcome
from umekomi.prove.comparing import Trial
from umekomi.prove.files import REPORT_JSON, read_training_report
from umekomi.prove.inputs import Alpha, ProofSettings, ProofTasks, TrainingPair
from umekomi.prove.measuring import Measured, measure, score
from umekomi.prove.output.publishing import publish
from umekomi.prove.results import LearningPoint, TrainingReport
from umekomi.prove.run import prove
from umekomi.prove.verdict import decide

Prove = Callable[..., TrainingReport]


@pytest.fixture
def proved(tmp_path: Path) -> Prove:
    def prove_(base: int, tuned: int, tasks: ProofTasks | None = None, **given: Any) -> TrainingReport:
        settings = ProofSettings(resamples=200, cache=tmp_path / "vectors")
        models = [open_hashing(base), open_hashing(tuned)]
        tasks = tasks or ProofTasks(questions(), general=(labelled(),))
        return prove(*models, tasks, settings, folder=tmp_path, watch=RecordingWatch(), **given)

    return prove_


def test_a_better_model_improved_and_a_worse_one_regressed(proved: Prove) -> None:
    report = proved(16, 256)
    assert report.verdict == "IMPROVED"
    assert re.match(
        r"nDCG@10 rose from 0\.\d{3} to \d\.\d{3} \(\+0\.\d{3} \[.*\]\) on 56 test queries of 8 doc",
        report.sentence,
    )
    assert report.sentence.endswith("no loss beyond chance on kept")
    assert proved(256, 16).verdict == "REGRESSED"


def test_the_same_vectors_are_tied_exactly_on_everything(proved: Prove) -> None:
    report = proved(64, 64, ProofTasks(questions(), preference=ratings(), general=(labelled(),)))
    assert report.verdict == "TIED"
    assert {(each.delta, each.p) for each in report.comparisons} == {(0.0, 1.0)}
    assert report.examples == ()


def test_ratings_of_groups_that_were_held_out_are_proved_beside_the_domain(proved: Prove) -> None:
    report = proved(8, 512, ProofTasks(questions(), preference=ratings(20)))
    by_part = {each.part: each for each in report.comparisons if each.decides}
    assert (by_part["preference"].metric, by_part["preference"].groups) == ("spearman", 20)
    assert by_part["preference"].verdict == "better"
    assert {each.dataset for each in report.examples} == {"test", "ratings"}
    only = proved(8, 512, ProofTasks(None, preference=ratings(20)))
    assert only.verdict == "IMPROVED"


def test_the_shipped_sample_of_questions_can_be_the_general_set(proved: Prove) -> None:
    report = proved(
        16, 256, ProofTasks(questions(), general=(open_task("sample-retrieval"), open_task("sample-en")))
    )
    assert {each.metric for each in report.comparisons if each.part == "general"} == {"ndcg@10", "precision@3"}
    decisive = [(each.dataset, each.metric) for each in report.comparisons if each.decides]
    assert decisive == [("test", "ndcg@10"), ("sample-retrieval", "ndcg@10"), ("sample-en", "precision@3")]


def test_a_report_comes_back_as_it_was(proved: Prove, tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (model / "model.safetensors").write_bytes(b"weights")
    report = proved(16, 256, pairs=training_pairs(), alphas=alphas(), story=replace(story(), model=model))
    publish(tmp_path, report)
    content = json.loads((tmp_path / REPORT_JSON).read_text(encoding="utf-8"))
    assert content["schema"] == "umekomi-training-report-1"
    assert {"verdict", "metrics", "comparisons", "examples", "alphas", "data", "training", "gate"} <= set(content)
    assert content["model"]["path"] == "model"
    metrics = {each["metric"] for each in content["comparisons"] if each["part"] == "domain"}
    assert metrics == {"ndcg@10", "mrr@10", "recall@1", "recall@5", "recall@10"}
    first = content["examples"][0]
    assert (first["better"], first["tuned_rank"]) == (True, 1)
    assert first["causes"][0]["source"].startswith("規程/")
    assert read_training_report(tmp_path) == report


def test_what_the_sweep_measured_on_the_test_split_gets_its_intervals(proved: Prove, tmp_path: Path) -> None:
    outcomes = measure(open_hashing(32), questions(), cache=tmp_path / "vectors").outcomes
    report = proved(16, 256, alphas=[Alpha(0.5, dev=0.5, general={"kept": 0.4}, test=outcomes)])
    (record,) = report.alphas
    assert record.metrics[0].metric == "ndcg@10"
    assert record.metrics[0].model == "alpha=0.5"
    assert record.metrics[0].ci95 is not None
    assert record.metrics[0].groups == 8


def test_a_proof_that_was_interrupted_embeds_nothing_twice(proved: Prove, monkeypatch: pytest.MonkeyPatch) -> None:
    first = proved(16, 64, pairs=training_pairs())
    asked: list[str] = []
    model = type(open_hashing(16))
    embed = model.iter_embed

    def listening(self: Any, texts: Any, **how: Any) -> Any:
        texts = list(texts)
        asked.extend(texts)
        return embed(self, texts, **how)

    monkeypatch.setattr(model, "iter_embed", listening)
    again = proved(16, 64, pairs=training_pairs())
    assert asked == []
    assert again.comparisons == first.comparisons


def test_equal_vectors_of_another_fingerprint_are_tied_exactly(tmp_path: Path) -> None:
    """As a training with a learning rate of 0 leaves them: other files, the same vectors."""

    class Renamed:
        fingerprint = "0" * 32

        def __init__(self) -> None:
            self._model = open_hashing(64)
            self.record = self._model.record

        def __getattr__(self, name: str) -> Any:
            return getattr(self._model, name)

    tasks = ProofTasks(questions(), preference=ratings(), general=(labelled(),))
    settings = ProofSettings(resamples=200, cache=tmp_path)
    report = prove(open_hashing(64), Renamed(), tasks, settings, folder=tmp_path, watch=RecordingWatch())
    assert report.verdict == "TIED"
    assert {(each.delta, each.p) for each in report.comparisons} == {(0.0, 1.0)}
    assert len(list(tmp_path.iterdir())) == 2, "both models were embedded"


def test_a_model_that_collapsed_regressed() -> None:
    """All its vectors are the same, so all pairs are equally alike."""
    pairs = ratings(20)

    def vectors(random: bool) -> RoleVectors:
        count = (len(pairs), 8) if random else (1, 8)
        raw = np.broadcast_to(np.random.default_rng(0).normal(size=count), (len(pairs), 8))
        unit = np.ascontiguousarray(raw / np.linalg.norm(raw, axis=1, keepdims=True), np.float32)
        return RoleVectors(unit, np.ones(len(pairs), np.float32), None, None, None)

    collapsed = score(pairs, TaskVectors(vectors(False), vectors(False)))
    good = Measured((Outcome("spearman", pairs.scores + 0.1 * np.arange(len(pairs)), "spearman", pairs.scores),))
    trial = Trial("preference", pairs.name, good, collapsed, pairs.groups)
    found = decide([trial], tolerated_loss=0.01, resamples=200, seed=0)
    assert (found.verdict, found.comparisons[0].tuned) == ("REGRESSED", 0.0)


def test_a_loss_that_was_no_number_leaves_json_and_picture_whole(proved: Prove, tmp_path: Path) -> None:
    told = story()
    curve = (*told.training.curve, LearningPoint(step=9, loss=float("nan")))
    training = told.training.model_copy(update={"curve": curve})
    publish(tmp_path, proved(16, 256, story=replace(told, training=training)))
    assert "NaN" not in (tmp_path / REPORT_JSON).read_text(encoding="utf-8")
    assert "nan" not in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert read_training_report(tmp_path).training.curve[-1].loss is None


def test_tasks_that_prove_nothing_are_refused() -> None:
    with pytest.raises(InvalidInput, match="no test split"):
        ProofTasks(None, general=(labelled(),))
    with pytest.raises(InvalidInput, match="'test' is given twice"):
        ProofTasks(questions(), general=(labelled("test"),))
    few = replace(labelled("few"), texts=("a", "b"), labels=("x", "y"), ids=("1", "2"))
    with pytest.raises(InvalidInput, match="few: 2 texts"):
        ProofTasks(questions(), general=(few,))
    same = replace(ratings(), scores=np.ones(len(ratings())))
    with pytest.raises(InvalidInput, match="ratings: all scores are 1"):
        ProofTasks(questions(), preference=same)
    with pytest.raises(InvalidInput, match=r"tolerated_loss is 2"):
        ProofSettings(tolerated_loss=2)


def test_the_page_escapes_what_others_wrote_and_runs_nothing(proved: Prove, tmp_path: Path) -> None:
    hostile = "</style><script>alert(1)</script><img src=x onerror=alert(2)>"
    subject = questions()
    subject = replace(subject, queries=tuple(f"{query}{hostile}" for query in subject.queries), name=hostile)
    pairs = [TrainingPair(hostile, hostile, source=hostile, chunk_id=hostile)]
    told = story()
    told = replace(
        told, notes=(hostile,), data=told.data.model_copy(update={"notes": (hostile,), "source": hostile})
    )
    publish(
        tmp_path, proved(16, 256, ProofTasks(subject, general=(labelled(hostile * 2),)), pairs=pairs, story=told)
    )
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert "<img" not in page
    assert hostile in unescape(page)


def test_the_page_tells_the_story(proved: Prove, tmp_path: Path) -> None:
    report = proved(16, 256, pairs=training_pairs(), alphas=alphas(), story=story())
    publish(tmp_path, report)
    page = unescape((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert f"{report.sentence}." in page
    for said in (
        "IMPROVED",
        "chosen: 0.5",
        "Found better now",
        "出張旅費.pdf, page 7",
        "loss",
        "min ≥ 0.9999",
        "ab" * 32,
    ):
        assert said in page, said
    assert re.search(r"<svg[^>]*aria-label=\"change from base to tuned", page)


def test_what_decided_comes_first_among_the_examples(proved: Prove, tmp_path: Path) -> None:
    for base, tuned, verdict, first in ((16, 64, "IMPROVED", "better"), (64, 16, "REGRESSED", "worse")):
        report = proved(base, tuned)
        assert report.verdict == verdict
        assert {each.better for each in report.examples} == {True, False}
        publish(tmp_path, report)
        page = (tmp_path / "report.html").read_text(encoding="utf-8")
        assert min(("better", "worse"), key=lambda way: page.index(f"Found {way} now")) == first


def test_a_page_without_story_or_alphas_is_whole_too(proved: Prove, tmp_path: Path) -> None:
    publish(tmp_path, proved(16, 16, ProofTasks(questions(1))))
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "cannot decide anything" in page
    assert "How much of the training" not in page
