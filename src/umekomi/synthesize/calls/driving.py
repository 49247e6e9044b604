"""Many calls at once: every slot of the LLM busy, every reply kept as it comes, and an orderly end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

from umekomi.errors import UpstreamError
from umekomi.synthesize.calls.asking import Call, ask
from umekomi.synthesize.calls.ledger import Ledger, Reply
from umekomi.synthesize.calls.llm import Busy, Llm

FAILURES_IN_A_ROW = 10
"""Calls given up one after another before the run stops: then it is the server, not a passage."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How a run stands after a call."""

    done: int
    total: int
    kept_before: int
    prompt_tokens: int
    completion_tokens: int
    seconds: float
    given_up: int

    @property
    def seconds_left(self) -> float | None:
        """At the pace so far; None before the first call of this run has ended."""
        fresh = self.done - self.kept_before
        return self.seconds / fresh * (self.total - self.done) if fresh else None


def answer_all(
    llm: Llm, calls: Sequence[Call], ledger: Ledger, *, advance: Callable[[Progress], None]
) -> dict[str, Reply]:
    """Replies by key for ``calls``; those in ``ledger`` are not asked again. Equal calls are asked once.

    A call that was given up is left out: the next run asks it again. Interrupted (Ctrl-C), no new call is begun,
    those in flight are waited for and kept, and `KeyboardInterrupt` is raised; a second interruption cuts them off.

    Raises `UpstreamError` after `FAILURES_IN_A_ROW` calls in a row were given up, and at once for what will not
    pass (a wrong key, an unknown model).
    """
    todo = list({call.key: call for call in calls}.values())
    known = ledger.known([call.key for call in todo])
    run = _Run(llm, ledger, advance, total=len(todo), kept_before=len(known))
    run.answer([call for call in todo if call.key not in known])
    replies = {call.key: ledger.get(call.key) for call in todo}
    return {key: reply for key, reply in replies.items() if reply is not None}


class _Run:
    """The state of one `answer_all`."""

    def __init__(
        self, llm: Llm, ledger: Ledger, advance: Callable[[Progress], None], *, total: int, kept_before: int
    ) -> None:
        self._llm, self._ledger, self._advance = llm, ledger, advance
        self._total, self._kept_before = total, kept_before
        self._stop = threading.Event()
        self._started = time.perf_counter()
        self._done = kept_before
        self._prompt_tokens = self._completion_tokens = self._given_up = self._in_a_row = 0

    def answer(self, calls: Sequence[Call]) -> None:
        self._report()
        source = iter(calls)
        running: dict[Future[Reply], Call] = {}
        with ThreadPoolExecutor(self._llm.slots, thread_name_prefix="umekomi-call") as pool:
            try:
                for call in source:
                    running[pool.submit(ask, self._llm, call, stop=self._stop)] = call
                    # One call more than slots waits, so that no slot waits for this thread.
                    if len(running) > self._llm.slots:
                        self._collect(running)
                while running:
                    self._collect(running)
            except BaseException:
                self._stop.set()
                for future in running:
                    future.cancel()
                try:
                    self._drain(running)
                except KeyboardInterrupt:
                    self._llm.close()  # cuts off what is in flight, so that no thread keeps the process alive
                raise

    def _collect(self, running: dict[Future[Reply], Call]) -> None:
        finished, _ = wait(running, return_when=FIRST_COMPLETED)
        for future in finished:
            self._settle(future, running[future])
            del running[future]  # only now: an interruption before it leaves the reply to `_drain`

    def _settle(self, future: Future[Reply], call: Call) -> None:
        try:
            reply = future.result()
        except Busy as failure:
            self._given_up += 1
            self._in_a_row += 1
            self._report()
            if self._in_a_row >= FAILURES_IN_A_ROW:
                raise UpstreamError(
                    f"{self._in_a_row} calls in a row failed, the last with: {failure}; what was answered is kept, "
                    "run the same command again when the LLM is well"
                ) from None
            return
        self._in_a_row = 0
        self._keep(call, reply)

    def _keep(self, call: Call, reply: Reply) -> None:
        self._ledger.put(call.key, call.task, reply)
        self._done += 1
        self._prompt_tokens += reply.prompt_tokens
        self._completion_tokens += reply.completion_tokens
        self._report()

    def _drain(self, running: dict[Future[Reply], Call]) -> None:
        """Wait for calls in flight and keep what they gave: it was paid for."""
        for future, call in running.items():
            if future.cancelled():
                continue
            try:
                self._keep(call, future.result())
            except Exception:  # noqa: S112 - the run is ending for a reason that is already being raised
                continue

    def _report(self) -> None:
        self._advance(
            Progress(
                self._done,
                self._total,
                self._kept_before,
                self._prompt_tokens,
                self._completion_tokens,
                time.perf_counter() - self._started,
                self._given_up,
            )
        )
