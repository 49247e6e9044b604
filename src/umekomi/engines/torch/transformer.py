"""`Transformer`: pooled token states of texts, from a loaded torch module. Plans no batches."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from umekomi.engines.torch.device import COMPUTING
from umekomi.errors import EngineError
from umekomi.extras import require
from umekomi.models.card import Pooling
from umekomi.types import TokenIds, Vectors


class Transformer:
    """May be used from several threads, of which one computes at a time."""

    def __init__(self, module: Any, *, device: Any) -> None:
        self._module: Any | None = module
        self._device = device
        self.pads = "attention_mask" in inspect.signature(module.forward).parameters
        """Whether texts of unequal length may run together. Where nothing hides padding, it would reach vectors."""

    @property
    def on_gpu(self) -> bool:
        return bool(self._device.type != "cpu")

    def pooled(self, texts: Sequence[TokenIds], pooling: Pooling) -> Vectors:
        """One row a text, in order: its token states pooled, float32 ``(len(texts), hidden)``.

        For ``mean`` they are summed only, so that the pieces of a text can be added up. No text is empty. Raises
        `EngineError`.
        """
        torch = require("torch", extra="train")
        lengths = np.array([len(ids) for ids in texts])
        grid = np.zeros((len(texts), lengths.max()), np.int64)
        for row, ids in zip(grid, texts, strict=True):
            row[: len(ids)] = ids
        real = np.arange(grid.shape[1]) < lengths[:, None]
        with COMPUTING, torch.inference_mode():
            try:
                ids, mask = (torch.from_numpy(array).to(self._device) for array in (grid, real.astype(np.int64)))
                masks = {"attention_mask": mask} if self.pads else {}
                states = self._open_module()(input_ids=ids, return_dict=True, **masks).last_hidden_state
                rows: Vectors = _POOLINGS[pooling](torch, states.float(), mask).cpu().numpy()
            except torch.OutOfMemoryError:
                raise EngineError(
                    f"the GPU's memory is too small for {grid.size} tokens at once; lower batch_tokens"
                ) from None
        return rows

    def close(self) -> None:
        """Give the weights back once no run uses them."""
        with COMPUTING:
            self._module = None
            if self._device.type == "cuda":
                require("torch", extra="train").cuda.empty_cache()

    def _open_module(self) -> Any:
        if self._module is None:
            raise EngineError("the model has been closed; open it again")
        return self._module


def _sum(torch: Any, states: Any, mask: Any) -> Any:
    return (states * mask.unsqueeze(-1)).sum(1)


def _max(torch: Any, states: Any, mask: Any) -> Any:
    return states.masked_fill(mask.unsqueeze(-1) == 0, -torch.inf).amax(1)


def _mean_sqrt_len(torch: Any, states: Any, mask: Any) -> Any:
    return _sum(torch, states, mask) / mask.sum(1, keepdim=True).float().sqrt()


def _weighted_mean(torch: Any, states: Any, mask: Any) -> Any:
    """Later tokens weigh more: 1, 2, 3 …"""
    weights = mask.cumsum(1) * mask
    return _sum(torch, states, weights) / weights.sum(1, keepdim=True).float()


def _last(torch: Any, states: Any, mask: Any) -> Any:
    return states[torch.arange(len(states), device=states.device), mask.sum(1) - 1]


# The same words and formulas as sentence-transformers' Pooling (its release 6.2), and as `umekomi.engines.head`.
_POOLINGS: Mapping[Pooling, Callable[[Any, Any, Any], Any]] = {
    "mean": _sum,
    "cls": lambda torch, states, mask: states[:, 0],
    "max": _max,
    "mean_sqrt_len": _mean_sqrt_len,
    "weightedmean": _weighted_mean,
    "lasttoken": _last,
}
