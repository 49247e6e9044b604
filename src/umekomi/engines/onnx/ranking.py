"""What a reranker has after its encoder, for each architecture: pooling, and layers down to one number."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from umekomi.engines.head import Dense, Head, Norm
from umekomi.engines.onnx.modernbert import EPSILON
from umekomi.engines.onnx.settings import Settings
from umekomi.models.card import Activation, Pooling
from umekomi.models.checkpoint import Checkpoint

_MODERNBERT_POOLINGS: tuple[Pooling, ...] = ("cls", "mean")
_MODERNBERT_ACTIVATIONS: tuple[Activation, ...] = ("gelu", "relu", "tanh")


def load_ranking_head(settings: Settings, checkpoint: Checkpoint, *, hidden: int) -> Head:
    """The head that gives one number a pair. Raises `UnsupportedModel` for another architecture or setting, and
    `BrokenModel` where tensors are missing or have other shapes."""
    reader = _READERS.get(settings.values.get("model_type", ""))
    if reader is None:
        raise settings.unsupported("model_type", f"{', '.join(_READERS)} for rerankers")
    return reader(settings, _Tensors(checkpoint, hidden))


class _Tensors:
    """Layers of the head by the names of their tensors. All but the last are ``hidden`` wide on both sides."""

    def __init__(self, checkpoint: Checkpoint, hidden: int) -> None:
        self._checkpoint = checkpoint
        self._hidden = hidden

    def dense(self, name: str, activation: Activation, *, bias: bool = True) -> Dense:
        return self._dense(name, activation, rows=self._hidden, bias=bias)

    def last(self, name: str) -> Dense:
        return self._dense(name, "identity", rows=1, bias=True)

    def norm(self, name: str, *, bias: bool, epsilon: float) -> Norm:
        size = (self._hidden,)
        weight = self._read(f"{name}.weight", size)
        return Norm(weight, self._read(f"{name}.bias", size) if bias else None, epsilon)

    def prefix(self, name: str) -> str:
        return self._checkpoint.prefix(name)

    def _dense(self, name: str, activation: Activation, *, rows: int, bias: bool) -> Dense:
        matrix = self._read(f"{name}.weight", (rows, self._hidden))
        return Dense(matrix, self._read(f"{name}.bias", (rows,)) if bias else None, activation)

    def _read(self, name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
        return np.array(self._checkpoint.read(name, shape))


def _read_bert(settings: Settings, tensors: _Tensors) -> Head:
    pooler = f"{tensors.prefix('pooler.dense.weight')}pooler.dense"
    return Head("cls", (tensors.dense(pooler, "tanh"), tensors.last("classifier")), normalize=False)


def _read_roberta(settings: Settings, tensors: _Tensors) -> Head:
    layers = (tensors.dense("classifier.dense", "tanh"), tensors.last("classifier.out_proj"))
    return Head("cls", layers, normalize=False)


def _read_distilbert(settings: Settings, tensors: _Tensors) -> Head:
    return Head("cls", (tensors.dense("pre_classifier", "relu"), tensors.last("classifier")), normalize=False)


def _read_modernbert(settings: Settings, tensors: _Tensors) -> Head:
    settings.require("classifier_pooling", *_MODERNBERT_POOLINGS)
    settings.require("classifier_activation", *_MODERNBERT_ACTIVATIONS)
    dense = tensors.dense(
        "head.dense",
        settings.values.get("classifier_activation", "gelu"),
        bias=settings.flag("classifier_bias", False),
    )
    norm = tensors.norm(
        "head.norm", bias=settings.flag("norm_bias", False), epsilon=settings.number("norm_eps", EPSILON)
    )
    pooling: Pooling = settings.values.get("classifier_pooling", "cls")
    return Head(pooling, (dense, norm, tensors.last("classifier")), normalize=False)


_READERS: Mapping[str, Callable[[Settings, _Tensors], Head]] = {
    "bert": _read_bert,
    "roberta": _read_roberta,
    "xlm-roberta": _read_roberta,
    "distilbert": _read_distilbert,
    "modernbert": _read_modernbert,
}
