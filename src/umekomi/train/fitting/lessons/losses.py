"""What a batch teaches: that a query finds its text, how alike two texts are, or a reranker's order.

Every loss here is computed over the whole batch from vectors made in small parts (gradient caching,
https://arxiv.org/abs/2101.06983), so memory grows with ``mini_batch_size`` and not with the batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from sentence_transformers.base.losses.gradcache import CachedLossMixin
from sentence_transformers.sentence_transformer import losses
from sentence_transformers.util import pairwise_cos_sim

from umekomi.train.settings import TrainingSettings

COSENT_SCALE = 20.0
"""Of the method's author and of sentence-transformers; `TrainingSettings.scale` is that of ranking."""


class CachedLoss(CachedLossMixin, torch.nn.Module):  # type: ignore[misc]
    """A loss of sentence-transformers that is computed from vectors, with gradient caching put under it."""

    def __init__(self, model: Any, loss: Any, *, mini_batch_size: int) -> None:
        super().__init__()
        self.model = model
        self.loss = loss
        self.mini_batch_size = mini_batch_size

    def forward(self, sentence_features: Iterable[dict[str, Any]], labels: Any) -> Any:
        return self.forward_cached(list(sentence_features), labels)

    def calculate_loss(self, reps: list[list[Any]], labels: Any = None, *, with_backward: bool = False) -> Any:
        loss = self.loss.compute_loss_from_embeddings([torch.cat(parts) for parts in reps], labels)
        if with_backward:
            loss.backward()
            loss = loss.detach()
        return loss


def build_ranking_loss(model: Any, settings: TrainingSettings, *, processes: int) -> Any:
    """A query must be nearer to its text than to all other texts of the batch, those of other processes too."""
    loss = losses.CachedMultipleNegativesRankingLoss(
        model,
        scale=settings.scale,
        mini_batch_size=settings.mini_batch_size,
        gather_across_devices=processes > 1,
    )
    return _nested(model, loss, settings.matryoshka)


def build_similarity_loss(model: Any, settings: TrainingSettings) -> Any:
    """CoSENT (https://kexue.fm/archives/8847): pairs that people scored higher must get the higher cosine."""
    loss = losses.CoSENTLoss(model, scale=COSENT_SCALE)
    return _nested(model, CachedLoss(model, loss, mini_batch_size=settings.mini_batch_size), settings.matryoshka)


def build_distillation_loss(model: Any, settings: TrainingSettings) -> Any:
    """The order that a reranker gives the texts of a query, as probabilities (KL divergence)."""

    def scaled_cosine(first: Any, second: Any) -> Any:
        # Scaled here and not by the loss's temperature, which would shrink the gradient by its square.
        return settings.scale * pairwise_cos_sim(first, second)

    loss = losses.DistillKLDivLoss(model, similarity_fct=scaled_cosine)
    return _nested(model, CachedLoss(model, loss, mini_batch_size=settings.mini_batch_size), settings.matryoshka)


def _nested(model: Any, loss: Any, dimensions: Sequence[int]) -> Any:
    """``loss`` for the whole vectors and for their leading ``dimensions`` (https://arxiv.org/abs/2205.13147)."""
    if not dimensions:
        return loss
    return losses.MatryoshkaLoss(model, loss, [model.get_embedding_dimension(), *dimensions])
