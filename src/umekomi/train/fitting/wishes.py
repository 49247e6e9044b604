"""What a user may wish of a training, checked before any work: numbers in their ranges, a device that is there."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from umekomi.errors import ConfigError
from umekomi.extras import require
from umekomi.models.card import ModelCard
from umekomi.train.settings import TrainingSettings
from umekomi.types import NumberFormat

MAX_SEED = 2**32 - 1
"""What numpy's older generators take, which libraries of training seed."""

MAX_EPOCHS = 1000
"""All batches are planned before the first step, and nobody means more."""


def check_wishes(settings: TrainingSettings, card: ModelCard) -> None:
    """Raise `ConfigError`, naming the flag, for what cannot be done with the model of ``card``."""
    for flag, value, limit in _out_of_range(settings):
        raise ConfigError(f"{flag} {value:g}: {limit}")
    _check_matryoshka(settings.matryoshka, dim=card.dim)
    choose_device(settings)


def choose_device(settings: TrainingSettings) -> str:
    """``cpu`` or ``cuda``. Raises `ConfigError` for another, or one that is not here."""
    torch = require("torch", extra="train")
    gpu = torch.cuda.is_available()
    match settings.device:
        case "auto":
            return "cuda" if gpu else "cpu"
        case "cpu":
            return "cpu"
        case "cuda" if gpu:
            return "cuda"
        case "cuda":
            raise ConfigError("--device cuda: torch finds no GPU here; leave it out to train on the CPU")
    raise ConfigError(
        f"--device {settings.device}: give auto, cpu or cuda; one of several GPUs is chosen by "
        "CUDA_VISIBLE_DEVICES=1, and all are used by: accelerate launch --multi_gpu -m umekomi train …"
    )


def choose_number_format(settings: TrainingSettings) -> NumberFormat:
    """``bf16`` (with float32 weights) on a GPU that has it, else ``fp32``."""
    torch = require("torch", extra="train")
    on_gpu = choose_device(settings) == "cuda"
    return "bf16" if on_gpu and torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"


def _out_of_range(settings: TrainingSettings) -> Iterator[tuple[str, float, str]]:
    """Flag, value and what is allowed, of each number that is not. NaN is in no range."""
    if not 0 < settings.epochs < math.inf:
        yield "--epochs", settings.epochs, "give a number over 0, also a fraction"
    if not 0 <= settings.learning_rate < math.inf:
        yield "--learning-rate", settings.learning_rate, "give 0 or more, such as 2e-5"
    if not 0 < settings.scale < math.inf:
        yield "--scale", settings.scale, "give a number over 0; 1 / temperature"
    if not 0 <= settings.warmup_share <= 1:
        yield "warmup_share", settings.warmup_share, "give a share from 0 to 1"
    least = {
        "--max-steps": (settings.max_steps, 1),
        "--batch-size": (settings.batch_size, 2),
        "--mini-batch-size": (settings.mini_batch_size, 1),
        "--max-length": (settings.max_length, 8),
        "--lora-rank": (settings.lora_rank, 1),
        "--negatives": (settings.negatives, 0),
        "--patience": (settings.patience, 1),
        "--evaluations": (settings.evaluations, 1),
        "--seed": (settings.seed, 0),
    }
    for flag, (value, limit) in least.items():
        if value is not None and value < limit:
            yield flag, value, f"give {limit} or more"
    if settings.seed > MAX_SEED:
        yield "--seed", settings.seed, f"give {MAX_SEED} or less"
    if settings.max_steps is None and settings.epochs > MAX_EPOCHS:
        yield "--epochs", settings.epochs, f"give {MAX_EPOCHS} or less, or --max-steps"


def _check_matryoshka(dimensions: Sequence[int], *, dim: int) -> None:
    wrong = [size for size in dimensions if not 0 < size < dim]
    if wrong or len(set(dimensions)) != len(dimensions):
        raise ConfigError(
            f"--matryoshka {','.join(map(str, dimensions))}: give different numbers below the model's {dim} "
            f"dimensions; {dim} itself is always trained"
        )
