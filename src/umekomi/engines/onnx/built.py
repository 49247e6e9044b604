"""`BuiltTransformer`: runs a graph that this engine built."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from umekomi.engines.head import States
from umekomi.engines.onnx.session import LARGE_TOKENS, Session
from umekomi.engines.onnx.signature import IDS, LENGTHS, STATES, TYPES
from umekomi.types import TokenIds


class BuiltTransformer:
    """Texts lie end to end in its runs, without padding."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def states(self, texts: Sequence[TokenIds], types: Sequence[TokenIds] | None = None) -> list[States]:
        """As `Transformer.states`; ``types`` are the tokens' types, which a graph of pairs may take."""
        lengths = np.array([len(ids) for ids in texts], np.int32)
        inputs = {IDS: np.concatenate(texts), LENGTHS: lengths}
        if types is not None and TYPES in self._session.inputs:
            inputs[TYPES] = np.concatenate(types)
        [states] = self._session.run([STATES], inputs, give_back=bool(lengths.max() > LARGE_TOKENS))
        return np.split(states, np.cumsum(lengths)[:-1])

    def close(self) -> None:
        self._session.close()
