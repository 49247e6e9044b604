"""What prompts are worth, told from a model that heeds them, one that they harm and one that ignores them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from umekomi.config import ModelSettings, RemoteSettings, Settings
from umekomi.evaluate.audits import audit_prompts
from umekomi.evaluate.datasets import open_task
from umekomi.evaluate.served_prompts import audit_settings
from umekomi.evaluate.tasks import LabelTask, Origin, PairTask, RetrievalTask
from umekomi.types import Role, Vectors

E5 = {"query": "query: ", "document": "passage: "}
ORIGIN = Origin(digest="", source="here")
COUNT = 60
LABELS = tuple(f"label {row % 3}" for row in range(COUNT))
TASK = LabelTask("t", tuple(f"text {row}" for row in range(COUNT)), LABELS, tuple(map(str, range(COUNT))), ORIGIN)


def _rows(texts: Sequence[str], role: str, noise: float) -> Vectors:
    """A direction for each label, hidden under ``noise``."""
    rows = []
    for text in texts:
        row = int(text.split()[-1])
        rng = np.random.default_rng([row, *role.encode()])
        rows.append(np.eye(8)[row % 3] + noise * rng.normal(size=8))
    return np.asarray(rows, np.float32)


def heeding(texts: Sequence[str], role: Role) -> Vectors:
    return _rows(texts, role, {"document": 0.1, "raw": 1.0, "query": 1.5}[role])


def harmed(texts: Sequence[str], role: Role) -> Vectors:
    return _rows(texts, role, 0.1 if role == "raw" else 1.5)


def ignoring(texts: Sequence[str], role: Role) -> Vectors:
    return _rows(texts, "any", 0.7)


def test_prompts_that_help_are_told_in_points_with_their_interval() -> None:
    record = audit_prompts(TASK, "m", prompts=E5, embed=heeding, resamples=300)
    points = record.details["points"]
    assert points["none"]["low"] > 0
    assert points["wrong role"]["delta"] > 0
    assert record.details["values"]["documented"] == 1
    assert f"{points['none']['delta']:+.1f} points" in record.finding
    assert (record.audit, record.model, record.warning) == ("prompts", "m", False)


def test_prompts_that_harm_are_a_warning() -> None:
    record = audit_prompts(TASK, "m", prompts=E5, embed=harmed, resamples=300)
    assert record.warning
    assert record.details["points"]["none"]["high"] < 0


def test_prompts_that_a_model_ignores_make_no_difference() -> None:
    record = audit_prompts(TASK, "m", prompts=E5, embed=ignoring, resamples=300)
    assert [points["delta"] for points in record.details["points"].values()] == [0, 0]
    assert record.finding.count("no more than chance") == 2
    assert not record.warning


def test_no_text_is_embedded_twice_in_a_role_and_none_without_prompts() -> None:
    asked: list[tuple[str, Role]] = []

    def counting(texts: Sequence[str], role: Role) -> Vectors:
        asked.extend((text, role) for text in texts)
        return heeding(texts, role)

    pairs = PairTask("p", TASK.texts, TASK.texts[::-1], np.arange(COUNT, dtype=np.float64), TASK.ids, ORIGIN)
    audit_prompts(pairs, "m", prompts=E5, embed=counting, resamples=300)
    assert len(asked) == len(set(asked)) == 3 * COUNT
    asked.clear()
    assert "nothing to compare" in audit_prompts(pairs, "m", prompts={}, embed=counting).finding
    assert asked == []


def test_a_prompt_for_queries_only_leaves_documents_without_a_second_usage() -> None:
    record = audit_prompts(TASK, "m", prompts={"query": "search: "}, embed=heeding, resamples=300)
    assert set(record.details["values"]) == {"documented", "wrong role"}


def test_retrieval_takes_both_prompts_the_wrong_way_round() -> None:
    def one_way(texts: Sequence[str], role: Role) -> Vectors:
        """Only queries as queries and documents as documents lie together."""
        rows = []
        for text in texts:
            own = "query" if text.startswith("q") else "document"
            right = role == own
            rows.append(_rows([text], "same" if right else own, 0.5 if right else 3.0)[0])
        return np.stack(rows)

    task = RetrievalTask(
        "r",
        tuple(f"q {row}" for row in range(30)),
        tuple(map(str, range(30))),
        tuple(f"d {row}" for row in range(30)),
        tuple(map(str, range(30))),
        tuple({row: 1.0} for row in range(30)),
        ORIGIN,
    )
    record = audit_prompts(task, "m", prompts=E5, embed=one_way, resamples=300)
    assert record.details["metric"] == "ndcg@10"
    assert record.details["points"]["wrong role"]["low"] > 0


def test_the_sample_data_set_can_be_audited() -> None:
    from umekomi import open_embedder

    with open_embedder("hashing:128") as embedder:
        record = audit_prompts(
            open_task("sample"),
            "hashing:128",
            prompts=embedder.card.prompts,
            embed=lambda texts, role: embedder.embed(texts, role=role).vectors,
            resamples=300,
        )
    assert set(record.details["values"]) == {"documented", "none", "wrong role"}


@pytest.mark.parametrize(
    ("model", "prompt"),
    [
        (ModelSettings(name="multilingual-e5-small"), "passage: "),
        (ModelSettings(name="x", source="intfloat/multilingual-e5-base@main"), "query: "),
        (ModelSettings(name="x", source="/nowhere", prompts={"query": "find: "}), "find: "),
        (ModelSettings(name="multilingual-e5-small", role="query"), None),
        (ModelSettings(name="all-MiniLM-L6-v2"), None),
        (ModelSettings(name="x", source="/nowhere"), None),
        (ModelSettings(name="x", remote=RemoteSettings(base_url="http://127.0.0.1:1/v1")), None),
        (ModelSettings(name="multilingual-e5-small", kind="rerank"), None),
    ],
)
def test_an_alias_without_the_prompts_of_its_card_is_warned_of(model: ModelSettings, prompt: str | None) -> None:
    records = audit_settings(Settings(models=(model,)))
    if prompt is None:
        assert records == ()
    else:
        [record] = records
        assert record.warning
        assert record.model == model.name
        assert repr(prompt) in record.finding


def test_prompts_that_a_folder_ships_count(tmp_path: Path) -> None:
    (tmp_path / "config_sentence_transformers.json").write_text(
        '{"prompts": {"query": "検索: "}}', encoding="utf-8"
    )
    [record] = audit_settings(Settings(models=(ModelSettings(name="x", source=str(tmp_path)),)))
    assert "検索: " in record.finding
