"""How well a model does on the dev split while it is trained: one number, higher is better."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from umekomi.errors import EngineError
from umekomi.extras import require
from umekomi.models.card import ModelCard
from umekomi.train.examples import TrainingData

DEV_PASSAGES = 400
"""Texts that a dev query searches, its own and random ones: enough to rank checkpoints, and soon embedded."""

NDCG = "dev_cosine_ndcg@10"
SPEARMAN = "dev_spearman_cosine"
"""As the evaluators of sentence-transformers call what they measure."""

_EVALUATION = "sentence_transformers.sentence_transformer.evaluation"


@dataclass(frozen=True, slots=True)
class DevScore:
    """An evaluator of sentence-transformers, and which of its numbers counts.

    key    of that number among what the evaluator gives
    title  what people call it
    """

    evaluator: Any
    key: str
    title: str

    @property
    def logged_as(self) -> str:
        """The trainer's name for it."""
        return f"eval_{self.key}"

    def measure(self, model: Any) -> float:
        """The score of ``model`` now. Raises `EngineError` where the number has another name, or is none."""
        found = self.evaluator(model)
        if self.key not in found:
            raise EngineError(
                f"the dev score '{self.key}' is not among what is measured: {', '.join(sorted(found))}; "
                "this version of sentence-transformers names it otherwise"
            )
        value = float(found[self.key])
        if not math.isfinite(value):
            raise EngineError(f"the base's dev score is {value}: its vectors of the dev split are not usable")
        return value


def build_dev_score(data: TrainingData, card: ModelCard, *, batch_size: int, seed: int) -> DevScore | None:
    """nDCG@10 of dev queries, or Spearman's correlation with people's scores; None without a dev split."""
    if not data.dev:
        return None
    if data.objective == "similarity":
        return _correlation(data, card, batch_size=batch_size)
    return _retrieval(data, card, batch_size=batch_size, seed=seed)


def _retrieval(data: TrainingData, card: ModelCard, *, batch_size: int, seed: int) -> DevScore:
    wanted: dict[str, set[str]] = {}
    for example in data.dev:
        wanted.setdefault(example.query, set()).add(example.positive)
    texts = list(dict.fromkeys(text for answers in wanted.values() for text in answers))
    texts += _distractors(data, texts, seed=seed)
    ids = {text: str(number) for number, text in enumerate(texts)}
    evaluator = require(_EVALUATION, extra="train").InformationRetrievalEvaluator(
        {str(number): query for number, query in enumerate(wanted)},
        {number: text for text, number in ids.items()},
        {str(number): {ids[text] for text in answers} for number, answers in enumerate(wanted.values())},
        ndcg_at_k=[10],
        batch_size=batch_size,
        name="dev",
        write_csv=False,
        # Not what the model's settings name: vectors are compared by cosine wherever umekomi compares them.
        score_functions={"cosine": require("sentence_transformers.util", extra="train").cos_sim},
        query_prompt=card.prompt_for("query"),
        corpus_prompt=card.prompt_for("document"),
    )
    return DevScore(evaluator, NDCG, f"nDCG@10 on dev, {len(texts)} texts")


def _distractors(data: TrainingData, answers: list[str], *, seed: int) -> list[str]:
    """Random texts of the corpus, none of the test split's documents."""
    held_out = {example.document_id for example in data.test if example.document_id}
    hidden = {example.positive for example in data.test} | set(answers)
    free = dict.fromkeys(
        passage.text
        for passage in data.corpus
        if passage.document_id not in held_out and passage.text not in hidden
    )
    texts = list(free)
    count = max(0, min(DEV_PASSAGES - len(answers), len(texts)))
    rows = np.random.default_rng([seed, 12]).permutation(len(texts))[:count]
    return [texts[row] for row in sorted(rows.tolist())]


def _correlation(data: TrainingData, card: ModelCard, *, batch_size: int) -> DevScore:
    prompt = card.prompt_for("document")
    evaluator = require(_EVALUATION, extra="train").EmbeddingSimilarityEvaluator(
        [prompt + example.query for example in data.dev],
        [prompt + example.positive for example in data.dev],
        [float(example.score or 0.0) for example in data.dev],
        batch_size=batch_size,
        name="dev",
        main_similarity="cosine",
        similarity_fn_names=["cosine"],
        write_csv=False,
    )
    return DevScore(evaluator, SPEARMAN, f"Spearman on dev, {len(data.dev)} pairs")
