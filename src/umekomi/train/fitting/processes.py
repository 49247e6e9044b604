"""The processes of one training: one, or as many as ``accelerate launch`` started."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from umekomi.extras import require


@dataclass(frozen=True, slots=True)
class Processes:
    """This process among those that train together. Only the main one writes."""

    index: int = 0
    count: int = 1

    @property
    def main(self) -> bool:
        return self.index == 0

    def wait(self) -> None:
        """Until all have come here."""
        if self.count > 1:
            _state().wait_for_everyone()

    def close(self) -> None:
        """Leave the others; the main process may go on alone."""
        if self.count > 1:
            require("torch.distributed", extra="train").destroy_process_group()


ALONE = Processes()


def find_processes(*, device: str) -> Processes:
    """Those that a launcher started; `ALONE` without one. Raises `MissingExtra`."""
    torch = require("torch", extra="train")
    if not torch.distributed.is_available() or not torch.distributed.is_torchelastic_launched():
        return ALONE
    cpu = device == "cpu" or not torch.cuda.is_available()
    state = require("accelerate", extra="train").PartialState(cpu=cpu)
    return Processes(state.process_index, state.num_processes)


def _state() -> Any:
    return require("accelerate", extra="train").PartialState()
