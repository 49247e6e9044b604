"""`ShippedTransformer`: runs an ONNX file that the model ships, for architectures that are not built here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from umekomi.engines.head import States
from umekomi.engines.onnx.session import LARGE_TOKENS, Session
from umekomi.errors import BrokenModel, UnsupportedModel
from umekomi.types import TokenIds

_OUTPUTS = ("last_hidden_state", "token_embeddings")
_TYPES: Mapping[str, type[np.integer]] = {"tensor(int64)": np.int64, "tensor(int32)": np.int32}

_Fill = Callable[[NDArray[np.int32], NDArray[np.bool_]], NDArray[np.integer]]
_INPUTS: Mapping[str, _Fill] = {
    "input_ids": lambda ids, real: ids,
    "attention_mask": lambda ids, real: real.astype(np.int32),
    "token_type_ids": lambda ids, real: np.zeros_like(ids),
    "position_ids": lambda ids, real: np.broadcast_to(np.arange(ids.shape[1], dtype=np.int32), ids.shape),
}


class ShippedTransformer:
    """Token states from the output that optimum and sentence-transformers name so."""

    def __init__(self, path: Path, *, hidden: int, pad_id: int) -> None:
        """Raises `BrokenModel` where ``path`` cannot be loaded or is of another width, `UnsupportedModel` where its
        inputs or outputs are not known."""
        self._session = Session(path)
        self._pad_id = pad_id
        self._output = _find_output(self._session, path, hidden)
        for name, kind in self._session.inputs.items():
            if name not in _INPUTS or kind not in _TYPES:
                raise UnsupportedModel(
                    f"{path}: has an input {name} of type {kind}; known are {', '.join(_INPUTS)}, as integers"
                )

    def states(self, texts: Sequence[TokenIds]) -> list[States]:
        lengths = np.array([len(ids) for ids in texts])
        ids = np.full((len(texts), lengths.max()), self._pad_id, np.int32)
        for row, own in zip(ids, texts, strict=True):
            row[: len(own)] = own
        real = np.arange(ids.shape[1]) < lengths[:, None]
        inputs = {
            name: _INPUTS[name](ids, real).astype(_TYPES[kind]) for name, kind in self._session.inputs.items()
        }
        [states] = self._session.run([self._output], inputs, give_back=ids.shape[1] > LARGE_TOKENS)
        states = states.astype(np.float32, copy=False)
        return [own[:length] for own, length in zip(states, lengths, strict=True)]

    def close(self) -> None:
        self._session.close()


def _find_output(session: Session, path: Path, hidden: int) -> str:
    for name in _OUTPUTS:
        shape = session.outputs.get(name)
        if shape is None:
            continue
        if len(shape) != 3 or (isinstance(shape[2], int) and shape[2] != hidden):
            raise BrokenModel(f"{path}: {name} has shape {list(shape)}; expected [batch, length, {hidden}]")
        return name
    raise UnsupportedModel(
        f"{path}: its outputs are {', '.join(session.outputs)}; one of {' or '.join(_OUTPUTS)} is needed"
    )
