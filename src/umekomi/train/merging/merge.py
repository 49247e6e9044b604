"""`Merge`: base and tuned weights, and one model in memory that holds any mixture: θ = base + α(tuned − base).

Averaging a model with what it was tuned to keeps much of the gain and loses less of what it knew before (Wortsman
et al., "Robust fine-tuning of zero-shot models", arXiv:2109.01903).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from umekomi.engines.torch.device import choose_device, set_threads
from umekomi.errors import BrokenModel, InvalidInput, UnsupportedModel
from umekomi.extras import require
from umekomi.models.bundle import Bundle
from umekomi.train.candidate import UNUSED, TorchCandidate
from umekomi.train.fitting.loading import build_model, open_sentence_model

BASE, TUNED = 0.0, 1.0


class Merge:
    """Base and tuned weights in memory, beside a model that holds one mixture of them at a time.

    Takes three times the size of the weights in fp32: both sides stay in the CPU's memory, the model on its device.
    """

    def __init__(self, bundle: Bundle, model: Any, tuned: Mapping[str, Any]) -> None:
        """``model`` holds the base's weights and becomes this object's own; ``tuned`` is a state by the same names.

        Raises `BrokenModel` for weights that do not fit the base or are not finite.
        """
        self.bundle = bundle
        self.model = model
        self._base = {name: value.detach().cpu().clone() for name, value in _used(model.state_dict()).items()}
        self._tuned = dict(_used(tuned))
        _check(self._base, self._tuned)
        self._alpha: float | None = BASE

    def take(self, alpha: float) -> None:
        """Put the mixture of ``alpha`` into the model: 0 is the base, 1 the tuned weights, bit by bit.

        Raises `InvalidInput` for an alpha outside of 0 to 1.
        """
        if not 0 <= alpha <= 1:
            raise InvalidInput(
                f"alpha is {alpha}; it goes from 0, the base, to 1, the tuned weights", param="alpha"
            )
        if alpha == self._alpha:
            return
        torch = require("torch", extra="train")
        self._alpha = None  # until all of it is there
        state = self.model.state_dict()
        with torch.no_grad():
            for name, base in self._base.items():
                state[name].copy_(mix(base, self._tuned[name], alpha))
        self._alpha = alpha

    def candidate(self, alpha: float) -> TorchCandidate:
        """The mixture of ``alpha`` as a candidate. Candidates share one model, whose weights are changed as one
        after the other is asked; `close` ends all of them."""
        return TorchCandidate(f"alpha {alpha:g}", self.model, self.bundle.card, activate=lambda: self.take(alpha))

    def close(self) -> None:
        """Give the memory back."""
        self.model = None
        self._base, self._tuned = {}, {}


@contextmanager
def open_merge(base: Bundle, tuned: Path, *, device: str = "auto", threads: int | None = None) -> Iterator[Merge]:
    """``base`` and what it was tuned to: a folder of sentence-transformers, adapters merged into the weights.

    Raises `BrokenModel` where one does not fit the other, `UnsupportedModel` for adapters by themselves,
    `ConfigError` for a device that is not there, `MissingExtra`.
    """
    if (tuned / "adapter_config.json").exists():
        raise UnsupportedModel(f"{tuned}: holds LoRA adapters by themselves; merge them into the weights first")
    place = choose_device(device)
    set_threads(threads)
    state = {name: value.detach() for name, value in open_sentence_model(tuned).state_dict().items()}
    merge = Merge(base, build_model(base, max_length=None).to(place).eval(), state)
    try:
        yield merge
    finally:
        merge.close()


def mix(base: Any, tuned: Any, alpha: float) -> Any:
    """base + α(tuned − base) of one tensor, in its own number format.

    Both ends are exact, and a number that training left alone stays what it was, down to the sign of a zero.
    Integers, such as tables of positions, are no weights: they stay the base's.
    """
    torch = require("torch", extra="train")
    if not base.is_floating_point():
        return base
    return torch.where(tuned == base, base, torch.lerp(base, tuned, alpha))


def _used(state: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in state.items() if UNUSED not in name.split(".")}


def _check(base: Mapping[str, Any], tuned: Mapping[str, Any]) -> None:
    torch = require("torch", extra="train")
    if alone := sorted(base.keys() ^ tuned.keys()):
        side = "base" if alone[0] in base else "tuned model"
        raise BrokenModel(f"only the {side} has the weights {alone[0]} ({len(alone)} in all): it is another model")
    for name, value in base.items():
        if value.shape != tuned[name].shape:
            shapes = f"{list(tuned[name].shape)}, the base's {list(value.shape)}"
            raise BrokenModel(f"the tuned weights {name} have the shape {shapes}: it is another model")
        if not torch.isfinite(tuned[name]).all():
            raise BrokenModel(
                f"the tuned weights {name} hold numbers that are not finite: training diverged; lower the learning "
                "rate, or go on from an earlier checkpoint"
            )
