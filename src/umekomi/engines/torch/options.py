"""`TorchOptions`: how torch runs a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, TypeAlias

from umekomi.errors import ConfigError
from umekomi.models.card import Pooling
from umekomi.types import NumberFormat

TorchPooling: TypeAlias = Literal["mean", "cls", "last"]

CARD_POOLING: dict[TorchPooling, Pooling] = {"mean": "mean", "cls": "cls", "last": "lasttoken"}
"""The words of umekomi.yaml to a card's."""

DTYPES: tuple[NumberFormat, ...] = ("fp32", "bf16", "fp16")

_CHOICES = {
    "dtype": ("auto", *DTYPES),
    "pooling": (None, *CARD_POOLING),
    "long_texts": (None, "cut", "pieces"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TorchOptions:
    """None leaves the choice to the model or the device.

    device        ``auto`` (a CUDA GPU where there is one, else the CPU), or as torch names it: ``cuda:1``, ``mps``
    dtype         ``auto`` (fp32; on a CUDA GPU bf16, or fp16 where it has no bf16), ``fp32``, ``bf16``, ``fp16``
    pooling       how the states of tokens become one vector, instead of the model's own
    long_texts    ``cut`` at the context, or run in ``pieces`` that are pooled together
    batch_tokens  tokens that run together, padding included
    """

    device: str = "auto"
    dtype: NumberFormat | Literal["auto"] = "auto"
    pooling: TorchPooling | None = None
    long_texts: Literal["cut", "pieces"] | None = None
    batch_tokens: int | None = None

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            if (value := getattr(self, name)) not in choices:
                known = ", ".join(choice for choice in choices if choice)
                raise ConfigError(f"{name} is '{value}'; expected {known}")
        if self.batch_tokens is not None and self.batch_tokens < 1:
            raise ConfigError(f"batch_tokens is {self.batch_tokens}; the least is 1")


def read_options(values: Mapping[str, Any]) -> TorchOptions:
    """Raises `ConfigError` for an unknown name or a wrong value."""
    known = [field.name for field in fields(TorchOptions)]
    for name in values:
        if name not in known:
            raise ConfigError(f"unknown option '{name}' of torch; known: {', '.join(known)}")
    return TorchOptions(**values)
