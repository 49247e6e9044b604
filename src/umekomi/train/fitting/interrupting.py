"""Ctrl-C and SIGTERM while steps run: the step is finished and kept, so that no work is lost."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class StopRequest:
    """Whether somebody wants the run to stop."""

    def __init__(self) -> None:
        self.wanted = False


@contextmanager
def stop_requests(*, alone: bool = True) -> Iterator[StopRequest]:
    """While the block runs, the first signal asks it to stop and the second interrupts it.

    Nothing changes outside the main thread, where no signal can be caught, nor for a process that is not ``alone``:
    its fellows would wait for it in the middle of a step.
    """
    request = StopRequest()
    if not alone or threading.current_thread() is not threading.main_thread():
        yield request
        return

    def ask(number: int, frame: FrameType | None) -> None:
        if request.wanted:
            raise KeyboardInterrupt
        request.wanted = True
        # Not through sys.stderr, which the interrupted code may be writing to.
        os.write(2, b"\numekomi: finishing this step and keeping a checkpoint; once more cuts it off\n")

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield request
    finally:
        for number, old in before.items():
            signal.signal(number, old)
