"""What a user may choose about a training, with the defaults that published recipes agree on."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ALPHAS = (0.3, 0.5, 0.7, 1.0)
"""Shares of the way from the base to the tuned weights that are tried: θ = base + α(tuned − base)."""


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """How a model is tuned.

    epochs, max_steps   passes over the training pairs; ``max_steps`` ends it earlier
    batch_size          pairs whose texts are negatives of one another; cached, so memory does not grow with it
    mini_batch_size     texts that run at once
    scale               cosines are multiplied by it in ranking: 1 / temperature
    warmup_share        of the steps, in which the learning rate rises to ``learning_rate``; none where that is one
    max_length          tokens of a text in training; None: the model's own limit
    lora_rank           train LoRA adapters of this rank and merge them; None: all weights
    matryoshka          dimensions that are trained to be useful on their own, largest first
    distill             a reranker whose scores are taught; None: none
    negatives           mined for each pair; 0 mines none
    negative_margin     a negative's similarity is at most (1 − margin) of the positive's
    patience            evaluations without a better dev score after which training stops; None: never
    evaluations         how often dev is scored and a checkpoint is kept, over the whole training
    alphas              tried after training, see `ALPHAS`; (1.0,): the tuned weights as they are
    tolerated_loss      of the general sets' scores, for an alpha to be chosen
    device              ``auto``, ``cpu`` or ``cuda``
    """

    base: str
    epochs: float = 2.0
    max_steps: int | None = None
    batch_size: int = 64
    mini_batch_size: int = 16
    learning_rate: float = 2e-5
    scale: float = 50.0
    warmup_share: float = 0.1
    max_length: int | None = None
    seed: int = 0
    lora_rank: int | None = None
    matryoshka: tuple[int, ...] = ()
    distill: str | None = None
    negatives: int = 1
    negative_margin: float = 0.05
    gradient_checkpointing: bool = False
    patience: int | None = 3
    evaluations: int = 4
    alphas: tuple[float, ...] = ALPHAS
    tolerated_loss: float = 0.01
    device: str = "auto"
    threads: int | None = None
    cache: Path | None = None

    def record(self) -> dict[str, Any]:
        """What of this decides the result."""
        return {key: value for key, value in asdict(self).items() if key not in ("cache", "threads")}
