"""Which test items moved, and which training pairs are named for it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kit.proofs import labelled, open_hashing, origin, questions, training_pairs
from umekomi.evaluate.outcomes import Outcome
from umekomi.evaluate.tasks import PairTask, RetrievalTask
from umekomi.prove import causes
from umekomi.prove.causes import CAUSES, explain_moved
from umekomi.prove.examples import Moved, find_moved
from umekomi.prove.inputs import TrainingPair
from umekomi.prove.measuring import Measured


def task(queries: int = 4, texts: int = 6) -> RetrievalTask:
    """Query n is answered by text n."""
    corpus = tuple(f"text {at}" for at in range(texts))
    return RetrievalTask(
        name="test",
        queries=tuple(f"query {at}" for at in range(queries)),
        query_ids=tuple(map(str, range(queries))),
        corpus=corpus,
        corpus_ids=corpus,
        relevant=tuple({at: 1.0, 5: 0.0} for at in range(queries)),
        origin=origin(corpus),
    )


def ranked(*rows: list[int]) -> Measured:
    return Measured((Outcome("ndcg@10", np.zeros(len(rows))),), np.array(rows, np.int64))


def test_items_that_moved_most_come_first_both_ways_with_what_overtook_them() -> None:
    before = ranked([4, 5, 0], [1, 0, 4], [3, 5, 4], [3, 0, 1])
    after = ranked([0, 4, 5], [5, 4, 1], [2, 3, 5], [3, 1, 0])
    moved = find_moved(task(), before, after, count=5)
    assert [(each.query, each.base_rank, each.tuned_rank, each.better) for each in moved] == [
        ("query 2", None, 1, True),
        ("query 0", 3, 1, True),
        ("query 1", 1, 3, False),
    ]
    assert [each.text for each in moved] == ["text 2", "text 0", "text 1"]
    # A text with a gain of 0 is no answer.
    assert [each.overtaken_by for each in moved] == [None, None, "text 5"]


def test_places_count_as_ndcg_counts_them_and_only_so_many_are_shown() -> None:
    deep = list(range(1, 6))
    before = ranked([*deep, 0], [0, 1, 2, 3, 4, 5], [0, 1, 2, 3, 4, 5], [3, 0, 1, 2, 4, 5])
    after = ranked([*deep[:4], 0, 5], [1, 0, 2, 3, 4, 5], [0, 1, 2, 3, 4, 5], [0, 3, 1, 2, 4, 5])
    moved = find_moved(task(), before, after, count=1)
    assert [(each.query, each.base_rank, each.tuned_rank) for each in moved] == [
        ("query 1", 2, 1),
        ("query 3", 1, 2),
    ]


def test_pairs_that_came_nearer_to_their_rating_count_as_better() -> None:
    pairs = PairTask(
        "ratings",
        tuple("abcd"),
        tuple("wxyz"),
        np.array([4.0, 3.0, 2.0, 1.0]),
        tuple("1234"),
        origin(tuple("abcd")),
    )

    def cosines(*values: float) -> Measured:
        return Measured((Outcome("spearman", np.array(values), "spearman", pairs.scores),))

    moved = find_moved(pairs, cosines(0.1, 0.8, 0.5, 0.3), cosines(0.9, 0.2, 0.8, 0.3), count=3)
    first, *others = moved
    assert (first.query, first.text, first.base_rank, first.tuned_rank, first.rated_rank) == ("a", "w", 4, 1, 1)
    assert first.better
    assert [each.query for each in others if not each.better] == ["b"]


def test_labels_have_no_examples_and_the_same_ranking_has_none() -> None:
    same = ranked([0, 1], [1, 0], [2, 0], [3, 0])
    assert find_moved(task(), same, same, count=5) == ()
    assert find_moved(labelled(), same, same, count=5) == ()


def test_the_pair_with_the_same_question_and_text_is_named_with_its_page(tmp_path: Path) -> None:
    subject = questions()
    moved = Moved(subject.queries[3], subject.corpus[3], 9, 1, 56, 0.7)
    pairs = training_pairs()
    model = open_hashing(256)
    (record,) = explain_moved(subject, [moved], [*pairs, pairs[3]], model, role="document", cache=tmp_path)
    first = record.causes[0]
    assert (first.query, first.source, first.page, first.chunk_id) == (
        pairs[3].query,
        pairs[3].source,
        pairs[3].page,
        pairs[3].chunk_id,
    )
    assert len({(each.query, each.positive) for each in record.causes}) == CAUSES
    assert first.query_similarity * first.text_similarity == max(
        each.query_similarity * each.text_similarity for each in record.causes
    )


def test_where_a_query_fell_the_cause_is_sought_by_what_overtook_it(tmp_path: Path) -> None:
    subject = questions()
    wrong = TrainingPair(query=subject.queries[0], positive=subject.corpus[20], source="wrong.csv")
    right = TrainingPair(query=subject.queries[0], positive=subject.corpus[0], source="right.csv")
    fell = Moved(subject.queries[0], subject.corpus[0], 1, 7, 56, -0.7, overtaken_by=subject.corpus[20])
    rose = replace(fell, worth=0.7, overtaken_by=None)
    model = open_hashing(256)
    found = explain_moved(subject, [fell, rose], [right, wrong], model, role="document", cache=tmp_path)
    assert [record.causes[0].source for record in found] == ["wrong.csv", "right.csv"]


def test_without_pairs_examples_have_no_causes(tmp_path: Path) -> None:
    moved = Moved("q", "t", 2, 1, 10, 0.3)
    (record,) = explain_moved(questions(), [moved], (), open_hashing(16), role="document", cache=tmp_path)
    assert record.causes == ()


def test_of_very_many_pairs_some_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(causes, "COMPARED_PAIRS", 5)
    sampled = causes.sample_pairs(training_pairs())
    assert len(sampled) == 5
    assert sampled[0] == training_pairs()[0]
