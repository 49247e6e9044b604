"""Small proofs: questions about Japanese documents, models that know characters only, and made-up outcomes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from umekomi.evaluate.candidates.opening import Candidate, CandidateName, open_candidate
from umekomi.evaluate.outcomes import Outcome, Reduction
from umekomi.evaluate.tasks import LabelTask, Origin, PairTask, RetrievalTask
from umekomi.prove.comparing import Trial
from umekomi.prove.inputs import Alpha, Story, TrainingPair
from umekomi.prove.measuring import Measured
from umekomi.prove.results import (
    DataRecord,
    GateCheck,
    GateRecord,
    LearningPoint,
    Part,
    TrainedRecord,
)

THINGS = ("出張旅費", "有給休暇", "経費精算", "社用車", "会議室", "名刺発注", "備品購入", "在宅勤務")
STEPS = ("申請書", "承認者", "締切日", "添付書類", "問い合わせ先", "金額上限", "例外規定")


def open_hashing(dim: int) -> Candidate:
    """A model that knows characters only; few dimensions find little."""
    name = f"hashing:{dim}"
    return open_candidate(CandidateName(name, name), threads=1, notify=lambda message: None)


def questions(documents: int = 8, *, name: str = "test", grouped: bool = True) -> RetrievalTask:
    """Questions about passages, `STEPS` of them for each document."""
    cells = [(thing, step) for thing in _subjects(documents) for step in STEPS]
    corpus = tuple(
        f"{thing}の{step}については、総務部の規程第{at}条に定める。" for at, (thing, step) in enumerate(cells)
    )
    queries = tuple(f"{thing}の{step}を教えてください" for thing, step in cells)
    return RetrievalTask(
        name=name,
        queries=queries,
        query_ids=tuple(f"q{at}" for at in range(len(cells))),
        corpus=corpus,
        corpus_ids=tuple(f"c{at}" for at in range(len(cells))),
        relevant=tuple({at: 1.0} for at in range(len(cells))),
        origin=origin(corpus),
        groups=tuple(thing for thing, _ in cells) if grouped else None,
    )


def ratings(groups: int = 10, *, name: str = "ratings") -> PairTask:
    """Pairs of descriptions, rated by how many characters they share."""
    subjects = _subjects(groups)
    first = tuple(f"{subject}の{step}" for subject in subjects for step in STEPS)
    second = tuple(f"{STEPS[at % 3]}と{subject[:2]}" for subject in subjects for at in range(len(STEPS)))
    shared = [len(set(a) & set(b)) for a, b in zip(first, second, strict=True)]
    ids = tuple(str(at) for at in range(len(first)))
    groups_of = tuple(subject for subject in subjects for _ in STEPS)
    return PairTask(name, first, second, np.array(shared, np.float64), ids, origin(first), groups=groups_of)


def labelled(name: str = "kept") -> LabelTask:
    """Texts with the thing that they are about."""
    texts = tuple(f"{thing}の{step}を確認した" for thing in THINGS for step in STEPS)
    labels = tuple(thing for thing in THINGS for _ in STEPS)
    return LabelTask(name, texts, labels, tuple(str(at) for at in range(len(texts))), origin(texts))


def training_pairs() -> tuple[TrainingPair, ...]:
    """Pairs as they are trained, of other documents than `questions` has."""
    return tuple(
        TrainingPair(
            query=f"{thing}の{step}はどこですか",
            positive=f"{thing}の{step}は別表による。",
            chunk_id=f"chunk-{at}",
            source=f"規程/{thing}.pdf",
            page=at % 9 + 1,
        )
        for at, (thing, step) in enumerate((thing, step) for thing in THINGS for step in STEPS)
    )


def story() -> Story:
    """What a training says of itself."""
    curve = tuple(
        LearningPoint(step=at, loss=2.0 / at, dev=0.6 + 0.02 * at if at % 2 == 0 else None) for at in range(1, 9)
    )
    return Story(
        data=DataRecord(source="規程/", train=56, dev=8, test=56, digests={"train.jsonl": "ab" * 32}),
        training=TrainedRecord(
            settings={"base": "hashing:16", "alphas": [0.3, 1.0]}, curve=curve, dev_metric="ndcg@10", best_step=8
        ),
        gate=GateRecord(
            passed=True,
            checks=(
                GateCheck(
                    name="fp32", texts=40, min_cosine=0.99999, mean_cosine=1.0, limit="min ≥ 0.9999", passed=True
                ),
            ),
        ),
    )


def alphas() -> tuple[Alpha, ...]:
    """A sweep in which the middle is best."""
    return (
        Alpha(0.0, dev=0.60, general={"kept": 0.90}),
        Alpha(0.5, chosen=True, dev=0.70, general={"kept": 0.895}),
        Alpha(1.0, dev=0.72, general={"kept": 0.80}),
    )


def origin(texts: Sequence[str]) -> Origin:
    return Origin(hashlib.sha256("\0".join(texts).encode()).hexdigest(), "made up")


def _subjects(count: int) -> tuple[str, ...]:
    return tuple(f"{THINGS[at % len(THINGS)]}{'' if at < len(THINGS) else at}" for at in range(count))


def trial(
    base: NDArray[np.float64],
    tuned: NDArray[np.float64],
    *,
    groups: Sequence[object] | None = None,
    part: Part = "domain",
    dataset: str = "",
    reduction: Reduction = "mean",
    reference: NDArray[np.float64] | None = None,
) -> Trial:
    """Both models by one metric."""
    before, after = (
        Measured((Outcome("ndcg@10" if reduction == "mean" else reduction, each, reduction, reference),))
        for each in (base, tuned)
    )
    return Trial(part, dataset or part, before, after, None if groups is None else tuple(map(str, groups)))


def ranked_twice(
    rng: np.random.Generator, documents: int, queries: int, *, gain: float = 0.0, together: float = 0.5
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """nDCG@10 of two models and the document of each query. Ranks move in logarithms: by ``gain`` for all, at
    random for each document (``together``) and each query. With no gain, neither model is better."""
    of = np.repeat(np.arange(documents), queries)
    middle = rng.exponential(1.0, len(of)) + rng.exponential(0.6, documents)[of]
    moved = rng.normal(0, together, documents)[of] + rng.normal(0, 0.5, len(of)) - gain
    before, after = (np.maximum(1, np.round(np.exp(middle + half * moved))) for half in (-0.5, 0.5))
    return _gains(before), _gains(after), of


def _gains(ranks: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(ranks <= 10, 1 / np.log2(1 + ranks), 0.0)
