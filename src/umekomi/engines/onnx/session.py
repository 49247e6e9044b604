"""`Session`: a graph loaded into the runtime, ready for several threads to run at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from umekomi.config.environment import disable_runtime_telemetry
from umekomi.errors import BrokenModel, EngineError

disable_runtime_telemetry()

import onnxruntime as ort  # noqa: E402 - it reads the switch while it is imported

LARGE_TOKENS = 1024
"""A run with a longer text should give its memory back: scores grow with the square, to 268 MB at 8,192 tokens."""

_FATAL_ONLY = 4  # the runtime's own log level; what goes wrong is raised, not printed


class Session:
    """A loaded graph. `run` may be called from several threads at once; they share its weights."""

    def __init__(self, path: Path) -> None:
        """Raises `BrokenModel` where the runtime cannot load ``path``."""
        options = ort.SessionOptions()
        # Threads of one run wait for each other at every operator; threads with a run of their own do not, which is
        # 15–30 % faster (multilingual-e5-small, 2 cores, 2026-11-21).
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        # Further optimization would fuse Add and LayerNormalization into an operator that takes five times as long.
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
        # Plans of memory are kept for every shape of the inputs, of which a server sees thousands: 10 KB each, and
        # no faster (2026-11-21).
        options.enable_mem_pattern = False
        options.log_severity_level = _FATAL_ONLY
        try:
            self._session: ort.InferenceSession | None = ort.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # the runtime's exceptions share no base class
            raise BrokenModel(f"{path}: cannot be loaded: {_first_line(error)}") from None
        self._giving_back = ort.RunOptions()
        self._giving_back.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
        self.inputs: Mapping[str, str] = {value.name: value.type for value in self._session.get_inputs()}
        self.outputs: Mapping[str, tuple[int | str | None, ...]] = {
            value.name: tuple(value.shape) for value in self._session.get_outputs()
        }

    def run(
        self, outputs: Sequence[str], inputs: Mapping[str, NDArray[np.integer]], *, give_back: bool = False
    ) -> list[NDArray[np.float32]]:
        """The values of ``outputs``, in order. ``give_back`` returns the memory of a large run to the system.

        Raises `EngineError`.
        """
        session = self._session
        if session is None:
            raise EngineError("the model has been closed; open it again")
        try:
            results: list[NDArray[np.float32]] = session.run(
                list(outputs), dict(inputs), self._giving_back if give_back else None
            )
        except Exception as error:
            raise EngineError(f"inference failed: {_first_line(error)}") from error
        return results

    def close(self) -> None:
        """Give the weights back once no run uses them."""
        self._session = None


def _first_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
