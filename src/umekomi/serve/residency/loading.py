"""Opening and closing models in threads of their own, and what it costs in memory."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from umekomi.serve.residency.resident import OpenedModel

_LOAD_THREAD = "umekomi-load"
_CLOSE_THREAD = "umekomi-close"
_STATM = Path("/proc/self/statm")

T = TypeVar("T")


def is_loading() -> bool:
    """Whether a load is running in this process, perhaps one that nobody waits for any more."""
    return any(thread.name == _LOAD_THREAD for thread in threading.enumerate())


def memory_in_use_bytes() -> int:
    """Resident memory of this process, mapped files included; 0 where the system does not say (not Linux)."""
    try:
        pages = int(_STATM.read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


async def open_in_thread(open_model: Callable[[], OpenedModel]) -> OpenedModel:
    """``open_model()`` in a daemon thread; where this is cancelled, what the thread opens is closed again."""

    def work() -> OpenedModel:
        model = open_model()
        _return_free_memory()
        return model

    return await _in_daemon_thread(work, name=_LOAD_THREAD, discard=lambda model: model.close())


async def close_in_thread(model: OpenedModel) -> None:
    """Close a model in a daemon thread. Its memory is free once the caller has let go of it, too."""
    await _in_daemon_thread(model.close, name=_CLOSE_THREAD, discard=lambda _: None)


async def return_free_memory() -> None:
    """Give what was freed back to the system."""
    await _in_daemon_thread(_return_free_memory, name=_CLOSE_THREAD, discard=lambda _: None)


def _return_free_memory() -> None:
    """glibc keeps what was freed: 280 MB of e5-small's 330 after its close (2026-11-21). Other C libraries lack
    this call, and need it less."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)


async def _in_daemon_thread(work: Callable[[], T], *, name: str, discard: Callable[[T], None]) -> T:
    """``work()`` in a thread of its own, which does not keep a stopping process alive as a pool's would.

    Cancelling waits for nothing; ``discard`` gets a result that nobody waits for any more.
    """
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[T] = loop.create_future()

    def deliver(settle: Callable[[], None], abandon: Callable[[], None]) -> None:
        if outcome.done():
            threading.Thread(target=abandon, daemon=True).start()
        else:
            settle()

    def run() -> None:
        settle: Callable[[], None]
        abandon: Callable[[], None]
        try:
            result = work()
        except BaseException as error:
            failure = error if isinstance(error, Exception) else RuntimeError(f"the thread was ended: {error!r}")
            settle, abandon = (lambda: outcome.set_exception(failure)), (lambda: None)
        else:
            settle, abandon = (lambda: outcome.set_result(result)), (lambda: discard(result))
        try:
            loop.call_soon_threadsafe(deliver, settle, abandon)
        except RuntimeError:  # the loop has been closed: the server is gone
            abandon()

    threading.Thread(target=run, name=name, daemon=True).start()
    return await outcome
