"""`Settings`: strict reading of config.json, so that every refusal names the file, the key and the value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from umekomi.engines.onnx.blueprint import Activation
from umekomi.errors import BrokenModel, UnsupportedModel

_ACTIVATIONS: Mapping[str, Activation] = {
    "gelu": "gelu",
    "gelu_python": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu_python_tanh": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "relu": "relu",
    "silu": "silu",
    "swish": "silu",
    "tanh": "tanh",
}


MOST = 100_000_000
"""Over any size that a checkpoint has; a larger one is a damaged or hostile file."""

MOST_LAYERS = 1000


@dataclass(frozen=True, slots=True)
class Settings:
    """The values of one config.json, and where it lies."""

    values: Mapping[str, Any]
    file: Path

    def integer(self, key: str, default: int | None = None, *, least: int = 1, most: int = MOST) -> int:
        """The whole number under ``key``. Raises `BrokenModel` where it is missing or out of its range."""
        value = self.values.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise BrokenModel(f"{self.file}: {key} is {value!r}; expected a whole number from {least} to {most}")
        return value

    def layers(self, key: str) -> int:
        """The number of layers under ``key``; bounded, since each is described before a tensor is looked for."""
        return self.integer(key, most=MOST_LAYERS)

    def number(self, key: str, default: float) -> float:
        value = self.values.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
            raise BrokenModel(f"{self.file}: {key} is {value!r}; expected a number over 0")
        return float(value)

    def flag(self, key: str, default: bool) -> bool:
        value = self.values.get(key, default)
        if not isinstance(value, bool):
            raise BrokenModel(f"{self.file}: {key} is {value!r}; expected true or false")
        return value

    def activation(self, key: str) -> Activation:
        value = self.values.get(key, "gelu")
        if not isinstance(value, str) or value not in _ACTIVATIONS:
            raise self.unsupported(key, ", ".join(_ACTIVATIONS))
        return _ACTIVATIONS[value]

    def require(self, key: str, *supported: object) -> None:
        """Raises `UnsupportedModel` where ``key`` is set to anything but what is ``supported``."""
        if self.values.get(key, supported[0]) not in supported:
            raise self.unsupported(key, ", ".join(repr(value) for value in supported))

    def unsupported(self, key: str, supported: str) -> UnsupportedModel:
        return UnsupportedModel(f"{self.file}: {key} is {self.values.get(key)!r}; supported: {supported}")

    def divided(self, key: str, by: str) -> None:
        """Raises `BrokenModel` unless the number under ``key`` is a multiple of that under ``by``."""
        if self.integer(key) % self.integer(by):
            raise BrokenModel(f"{self.file}: {key} {self.integer(key)} is no multiple of {by} {self.integer(by)}")
