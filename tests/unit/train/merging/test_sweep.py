"""Which alpha is taken: the best on dev that keeps the general sets, by scores of real models and by the rule."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.evaluating import RecordingWatch
from kit.tiny_models import save_tiny_model
from kit.tuning import save_tuned
from umekomi.errors import ConfigError
from umekomi.evaluate.tasks import LabelTask, Origin, RetrievalTask
from umekomi.models.bundle import Bundle
from umekomi.models.sources import open_model
from umekomi.train.merging import Merge, Trial, open_merge, sweep
from umekomi.train.merging.sweep import _choose

torch = pytest.importorskip("torch")

ORIGIN = Origin("0", "made here")
WORDS = ("apple", "banana", "long", "green", "fruit", "東京", "日本", "黄色い", "text", "numbers", "4 5 6", "query")
CORPUS = tuple(f"{first} {second}" for first in WORDS for second in WORDS[:4])
DEV = RetrievalTask(
    name="dev",
    queries=WORDS,
    query_ids=WORDS,
    corpus=CORPUS,
    corpus_ids=CORPUS,
    relevant=tuple({4 * row: 1.0} for row in range(len(WORDS))),
    origin=ORIGIN,
)
LABELS = LabelTask("labels", CORPUS, tuple(text.split()[-1] for text in CORPUS), CORPUS, ORIGIN)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return open_model(str(save_tiny_model(tmp_path_factory.mktemp("base") / "bert")))


@contextmanager
def merged(base: Bundle, folder: Path, *, spread: float) -> Iterator[Merge]:
    with open_merge(base, save_tuned(base, folder / "tuned", spread=spread), device="cpu", threads=1) as merge:
        yield merge


def test_every_alpha_is_scored_on_every_set_and_the_best_is_taken(base: Bundle, tmp_path: Path) -> None:
    watch = RecordingWatch()
    with merged(base, tmp_path, spread=2.0) as merge:
        found = sweep(
            merge,
            alphas=(1.0, 0.3, 0.7),
            dev=DEV,
            general=[LABELS],
            tolerated_loss=1,
            cache=tmp_path / "v",
            watch=watch,
        )
    assert [trial.alpha for trial in found.trials] == [0.3, 0.7, 1.0]
    assert found.metrics == {"dev": "ndcg@10", "labels": "precision@3"}
    assert found.base is not None
    assert len({trial.scores["dev"] for trial in (found.base, *found.trials)}) > 1
    best = max(found.trials, key=lambda trial: (trial.dev or 0, -trial.alpha))
    assert (found.alpha, found.within) == (best.alpha, True)
    for trial in found.trials:
        assert trial.loss == pytest.approx(found.base.scores["labels"] - trial.scores["labels"])
    assert found.record()["trials"][0]["alpha"] == 0.3
    assert not watch.notices


def test_a_training_that_changed_nothing_takes_the_smallest_alpha(base: Bundle, tmp_path: Path) -> None:
    with merged(base, tmp_path, spread=0) as merge:
        found = sweep(
            merge, alphas=(0.5, 1.0), dev=DEV, tolerated_loss=0, cache=tmp_path / "v", watch=RecordingWatch()
        )
    assert found.alpha == 0.5
    assert found.base is not None
    assert {trial.dev for trial in found.trials} == {found.base.dev}
    assert "every alpha scores the same on dev" in found.sentence


def test_without_dev_as_much_is_kept_as_the_general_sets_bear(base: Bundle, tmp_path: Path) -> None:
    with merged(base, tmp_path, spread=0.01) as merge:
        found = sweep(
            merge,
            alphas=(0.3, 0.7),
            dev=None,
            general=[LABELS],
            tolerated_loss=1,
            cache=tmp_path / "v",
            watch=RecordingWatch(),
        )
        assert (found.alpha, found.trials[0].dev) == (0.7, None)
        only = sweep(merge, alphas=(0.4,), dev=DEV, tolerated_loss=0, cache=tmp_path / "v", watch=RecordingWatch())
    assert (only.alpha, only.trials) == (0.4, ())


def test_of_a_large_set_a_part_is_scored_and_that_is_said(base: Bundle, tmp_path: Path) -> None:
    texts = tuple(f"{first} {number}" for number in range(1100) for first in ("apple", "東京"))
    large = LabelTask("large", texts, tuple(text.split()[0] for text in texts), texts, ORIGIN)
    watch = RecordingWatch()
    with merged(base, tmp_path, spread=0) as merge:
        sweep(merge, alphas=(0.5, 1), dev=large, tolerated_loss=0, cache=tmp_path / "v", watch=watch)
    assert watch.notices == [
        "large: alphas are compared on 2,000 of its 2,200 texts, drawn at random, with all that answers its queries"
    ]
    assert list(watch.stages.values()) == [3 * 2000]


@pytest.mark.parametrize("alphas", [(), (0.0,), (1.5,), (-1.0, 1.0), (float("nan"),), (0.5, 0.5)])
def test_alphas_that_cannot_be_tried_are_refused_before_anything_is_embedded(
    base: Bundle, tmp_path: Path, alphas: tuple[float, ...]
) -> None:
    with merged(base, tmp_path, spread=0) as merge, pytest.raises(ConfigError, match="alpha"):
        sweep(merge, alphas=alphas, dev=DEV, tolerated_loss=0, cache=tmp_path / "v", watch=RecordingWatch())
    assert not (tmp_path / "v").exists()


scores = st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0])
trials = st.lists(st.tuples(scores, scores), min_size=1, max_size=5).map(
    lambda pairs: [Trial((row + 1) / 5, {"dev": dev}, dev, loss - 0.5) for row, (dev, loss) in enumerate(pairs)]
)


@given(trials, st.sampled_from([0.0, 0.25]))
def test_no_other_alpha_would_have_been_the_better_choice(tried: list[Trial], tolerated: float) -> None:
    chosen, sentence = _choose(tried, tolerated)

    def worth(trial: Trial) -> tuple[float, ...]:
        within = trial.loss <= tolerated
        return (1.0, trial.dev or 0.0, -trial.alpha) if within else (0.0, -trial.loss, -trial.alpha)

    assert chosen == max(tried, key=worth)
    assert f"{chosen.alpha:g}" in sentence
    assert ("every alpha loses" in sentence) == (chosen.loss > tolerated)
