"""A part of a data set: small enough, the same every time, and nothing in it that is not in the whole."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from umekomi.evaluate.candidates.vectors import count_texts
from umekomi.evaluate.tasks import LabelTask, Origin, PairTask, RetrievalTask
from umekomi.train.merging.sampling import sample_task

ORIGIN = Origin("0", "made here")
sizes = st.integers(1, 60)
limits = st.integers(8, 80)


def words(start: str, count: int) -> tuple[str, ...]:
    return tuple(f"{start}{row}" for row in range(count))


@st.composite
def searches(draw: st.DrawFn) -> RetrievalTask:
    queries, texts = draw(sizes), draw(sizes)
    relevant = [
        draw(st.dictionaries(st.integers(0, texts - 1), st.sampled_from([0.5, 1.0]), min_size=1, max_size=3))
        for _ in range(queries)
    ]
    corpus = words("c", texts)
    asked = words("q", queries)
    return RetrievalTask("dev", asked, asked, corpus, corpus, tuple(relevant), ORIGIN, words("g", queries))


@given(searches(), limits)
def test_queries_keep_all_that_answers_them(task: RetrievalTask, most: int) -> None:
    part = sample_task(task, most=most)
    assert isinstance(part, RetrievalTask)
    answers = {row for each in part.relevant for row in each}
    assert count_texts(part) <= max(most, len(part) + len(answers))
    assert (part is task) == (count_texts(task) <= most)
    whole = dict(zip(task.queries, task.relevant, strict=True))
    for query, group, relevant in zip(part.queries, part.groups or (), part.relevant, strict=True):
        assert {part.corpus[row]: gain for row, gain in relevant.items()} == {
            task.corpus[row]: gain for row, gain in whole[query].items()
        }
        assert group.removeprefix("g") == query.removeprefix("q")
    again = sample_task(task, most=most)
    assert isinstance(again, RetrievalTask)
    assert (again.queries, again.corpus) == (part.queries, part.corpus)


@given(sizes, limits)
def test_labels_and_pairs_stay_with_their_texts(count: int, most: int) -> None:
    texts, scores = words("t", count), np.arange(count, dtype=np.float64)
    labels = sample_task(LabelTask("l", texts, words("l", count), texts, ORIGIN), most=most)
    assert isinstance(labels, LabelTask)
    assert len(labels) == min(count, most)
    assert [label[1:] for label in labels.labels] == [text[1:] for text in labels.texts]
    pairs = sample_task(PairTask("p", texts, words("s", count), scores, texts, ORIGIN), most=most)
    assert isinstance(pairs, PairTask)
    assert count_texts(pairs) <= max(most, 2)
    assert [text[1:] for text in pairs.first] == [text[1:] for text in pairs.second]
    assert [float(text[1:]) for text in pairs.first] == pairs.scores.tolist()
