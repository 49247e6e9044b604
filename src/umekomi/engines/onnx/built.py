"""`BuiltTransformer`: runs a graph that this engine built."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from umekomi.engines.onnx.session import Session
from umekomi.engines.onnx.signature import IDS, LENGTHS, STATES
from umekomi.types import TokenIds


def pad(texts: Sequence[TokenIds], *, with_id: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """``texts`` as rows of one array, padded at the end, and their lengths."""
    lengths = np.array([len(ids) for ids in texts], np.int32)
    rows = np.full((len(texts), int(lengths.max())), with_id, np.int32)
    for row, ids in zip(rows, texts, strict=True):
        row[: len(ids)] = ids
    return rows, lengths


class BuiltTransformer:
    def __init__(self, session: Session) -> None:
        self._session = session

    def states(self, texts: Sequence[TokenIds]) -> NDArray[np.float32]:
        ids, lengths = pad(texts, with_id=0)
        return self._session.run(STATES, {IDS: ids, LENGTHS: lengths})

    def close(self) -> None:
        self._session.close()
