"""Mined negatives keep every rule, whatever the data; and what was mined and refused is said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kit.training_data import Told, made_up_chunks, made_up_text, write_synthesis
from umekomi.errors import InvalidInput
from umekomi.evaluate.candidates.opening import open_candidate, parse_candidate
from umekomi.evaluate.candidates.vectors import embed_task
from umekomi.evaluate.metrics.repeats import fold, is_near
from umekomi.evaluate.results import ModelRecord
from umekomi.train.data import RankingBatches, build_domain_task, mine_negatives, read_training_data
from umekomi.train.examples import Example, Passage, TrainingData
from umekomi.types import Embeddings, Role, Truncation

HASHING = parse_candidate("hashing:32")


class Planar:
    """A model whose vectors the test gives: an angle for each text."""

    def __init__(self, angles: dict[str, float]) -> None:
        self._angles = angles
        self.fingerprint = f"planar-{abs(hash(tuple(angles.items())))}"
        self.record = ModelRecord(name="planar", fingerprint=self.fingerprint, dim=2)

    def iter_embed(
        self, texts: Iterable[str], *, role: Role, truncation: Truncation, dimensions: int | None, window_texts: int
    ) -> Iterator[Embeddings]:
        source = iter(texts)
        while window := list(islice(source, window_texts)):
            turns = np.array([self._angles[text] for text in window])
            vectors = np.stack([np.cos(turns), np.sin(turns)], axis=1).astype(np.float32)
            none = np.zeros(len(window), np.int64)
            yield Embeddings(vectors, none, none.astype(np.bool_), self.fingerprint)

    def lost_tokens(self, texts: Sequence[str], *, role: Role) -> int:
        return 0

    def close(self) -> None: ...


def _mine(data: TrainingData, candidate: Planar, folder: Path, **options: float) -> tuple[TrainingData, Told]:
    told = Told()
    chosen = {"count": 1, "margin": 0.05, "batch_size": 1, **options}
    return mine_negatives(data, candidate, cache=folder, watch=told, **chosen), told  # type: ignore[arg-type]


def _data(train: Sequence[Example], corpus: Sequence[Passage], test: Sequence[Example] = ()) -> TrainingData:
    return TrainingData("ranking", tuple(train), (), tuple(test), tuple(corpus), {}, {})


def test_the_hardest_text_beyond_the_margin_is_taken(tmp_path: Path) -> None:
    names = {"positive": 0.30, "too near": 0.20, "within": 0.42, "hardest": 0.50, "easy": 1.40}
    corpus = [Passage(f"p{number}", text) for number, text in enumerate(names)]
    data = _data([Example("1", "query", "positive")], corpus)
    mined, told = _mine(data, Planar({**names, "query": 0.0}), tmp_path, margin=0.05)
    # cos 0.30 = 0.955; 95 % of it is 0.908: cos 0.42 = 0.913 is refused, cos 0.50 = 0.878 taken.
    assert mined.train[0].negatives == ("hardest",)
    assert told.messages == [mined.notes[-1]]
    assert "1 negatives mined with planar for 1 of 1 pairs" in told.messages[0]
    assert "2 too near the query to be surely wrong" in told.messages[0]
    assert _mine(data, Planar({**names, "query": 0.0}), tmp_path, margin=0)[0].train[0].negatives == ("within",)


def test_neighbours_answers_repeats_and_the_test_are_never_taken(tmp_path: Path) -> None:
    long = made_up_text(3)
    texts = ["before", long, "after", "far on", "other answer", f"{long} x", "of test", "free"]
    places = [("d", 0), ("d", 10), ("d", 20), ("d", 30), ("e", 0), ("f", 0), ("t", 0), ("g", 0)]
    corpus = [Passage(str(n), text, *place) for n, (text, place) in enumerate(zip(texts, places, strict=True))]
    train = [
        Example("1", "query", long, chunk_id="1", document_id="d"),
        Example("2", "Query", "other answer", document_id="e"),
    ]
    test = [Example("3", "asked", "another text", document_id="t")]
    # All lie beyond the margin, those that are forbidden nearest of all.
    angles = dict.fromkeys(texts, 0.5) | {long: 0.0, "free": 0.6, "far on": 0.7, "query": 0.0, "Query": 0.0}
    angles["another text"] = 0.0
    mined, told = _mine(_data(train, corpus, test), Planar(angles), tmp_path, count=5, batch_size=1)
    assert mined.train[0].negatives == ("free", "far on")
    assert "2 beside the positive in its document" in told.messages[0]
    assert "nearly the positive's text" in told.messages[0]
    unknown = [replace(passage, start=None) for passage in corpus]
    assert _mine(_data(train, unknown, test), Planar(angles), tmp_path, count=5)[0].train[0].negatives == ("free",)


def test_given_negatives_stay_and_are_filled_up(tmp_path: Path) -> None:
    angles = {"q": 0.0, "positive": 0.0, "given": 0.5, "near": 0.6, "far": 0.9}
    corpus = [Passage(text, text) for text in list(angles)[1:]]
    data = _data([Example("1", "q", "positive", ("given",))], corpus)
    assert _mine(data, Planar(angles), tmp_path, count=2)[0].train[0].negatives == ("given", "near")
    assert _mine(data, Planar(angles), tmp_path, count=1)[0] == data
    assert _mine(data, Planar(angles), tmp_path, count=0)[0] == data
    scored = replace(data, objective="similarity")
    assert _mine(scored, Planar(angles), tmp_path, count=4)[0] == scored


def test_a_text_near_to_all_does_not_make_batches_smaller(tmp_path: Path) -> None:
    train = [Example(str(row), f"q{row}", f"p{row}") for row in range(64)]
    corpus = [Passage(f"p{row}", f"p{row}") for row in range(64)] + [Passage("hub", "hub")]
    angles = (
        {f"q{row}": 0.0 for row in range(64)} | {f"p{row}": 0.1 + row / 1000 for row in range(64)} | {"hub": 0.5}
    )
    mined, told = _mine(_data(train, corpus), Planar(angles), tmp_path, margin=0.05, batch_size=16)
    assert Counter(text for each in mined.train for text in each.negatives) == {"hub": 4}
    assert "60 pairs have none, since no text may be given" in told.messages[0]
    assert "60 in as many pairs as there are batches" in told.messages[0]
    assert len(RankingBatches(mined.train, batch_size=16, seed=0)) == 4


@st.composite
def worlds(draw: st.DrawFn) -> tuple[TrainingData, dict[str, float]]:
    """A corpus of a few documents, some texts twice, pairs on them, and a place of every text on a circle."""
    count = draw(st.integers(4, 16))
    texts = [f"text {draw(st.integers(0, count))}" for _ in range(count)]
    with_starts = draw(st.booleans())
    corpus = [
        Passage(str(row), text, f"d{row // 3}", 10 * row if with_starts else None) for row, text in enumerate(texts)
    ]
    train = [
        Example(
            str(row),
            f"query {row // 2 if draw(st.booleans()) else row}",
            texts[row],
            chunk_id=str(row),
            document_id=f"d{row // 3}",
        )
        for row in range(count - 3)
    ]
    test = [Example("t", "asked", texts[-1], document_id=f"d{(count - 1) // 3}")]
    every = {*texts, *(example.query for example in train)}
    turn = st.integers(0, 60).map(lambda tenth: tenth / 10)
    return _data(train, corpus, test), {text: draw(turn) for text in sorted(every)}


@settings(max_examples=40, deadline=None)
@given(world=worlds(), count=st.integers(1, 4), margin=st.sampled_from([0.0, 0.05, 0.3]))
def test_no_rule_is_ever_broken(world: tuple[TrainingData, dict[str, float]], count: int, margin: float) -> None:
    data, angles = world
    with TemporaryDirectory() as folder:
        mined, _ = _mine(data, Planar(angles), Path(folder), count=count, margin=margin, batch_size=2)
    answers: dict[str, set[str]] = {}
    for example in data.train:
        answers.setdefault(fold(example.query), set()).add(fold(example.positive))
    tested = {fold(passage.text) for passage in data.corpus if passage.document_id == data.test[0].document_id}
    for before, example in zip(data.train, mined.train, strict=True):
        assert replace(example, negatives=()) == before
        assert len({*map(fold, example.negatives)}) == len(example.negatives) <= count
        asked = angles[example.query]
        limit = np.cos(asked - angles[example.positive])
        limit -= margin * abs(limit)
        likeness = [round(float(np.cos(asked - angles[text])), 6) for text in example.negatives]
        assert likeness == sorted(likeness, reverse=True)
        for text, alike in zip(example.negatives, likeness, strict=True):
            assert alike <= limit + 1e-6
            assert not is_near(text, example.positive)
            assert fold(text) not in answers[fold(example.query)] | tested | {fold(example.query)}
            for row, passage in enumerate(data.corpus):
                if fold(passage.text) != fold(example.positive):
                    continue
                mates = [p for p in data.corpus if p.document_id == passage.document_id]
                beside = (
                    mates
                    if passage.start is None
                    else mates[max(0, mates.index(passage) - 1) : mates.index(passage) + 2]
                )
                assert fold(text) not in {fold(mate.text) for mate in beside}, row


def test_a_margin_that_allows_nothing_or_everything_is_refused(tmp_path: Path) -> None:
    data = _data([Example("1", "q", "p")], [Passage("p", "p")])
    for margin in (1.0, -0.1, float("nan")):
        with pytest.raises(InvalidInput, match="negative margin"):
            _mine(data, Planar({}), tmp_path, margin=margin)


def test_with_an_engine_of_ours_over_a_synthesis_and_from_the_cache(tmp_path: Path) -> None:
    write_synthesis(tmp_path / "pairs", made_up_chunks(12))
    data = read_training_data(tmp_path / "pairs", notify=lambda message: None)
    candidate = open_candidate(HASHING, threads=1, notify=lambda message: None)
    told = Told()
    options = {"count": 2, "margin": 0.05, "cache": tmp_path / "cache", "batch_size": 8}
    mined = mine_negatives(data, candidate, watch=told, **options)  # type: ignore[arg-type]
    assert all(len(example.negatives) == 2 for example in mined.train)
    assert told.done > len(data.train)
    held_out = {example.document_id for example in (*data.dev, *data.test)}
    closed = {passage.text for passage in data.corpus if passage.document_id in held_out}
    assert not closed & {text for example in mined.train for text in example.negatives}
    assert mine_negatives(data, candidate, watch=Told(), **options) == mined  # type: ignore[arg-type]
    documents = tmp_path / "cache" / candidate.fingerprint / "document"
    kept = set(documents.iterdir())
    embed_task(candidate, build_domain_task(data), role="document", cache=tmp_path / "cache")
    assert set(documents.iterdir()) == kept, "the proof searches the same corpus"
    candidate.close()
