"""A request's prepared texts to vectors: in which queue, whether at all, and what it is told to have taken."""

from __future__ import annotations

import asyncio

from starlette.requests import Request

from umekomi.config import Limits
from umekomi.embedding.embedder import Embedder
from umekomi.embedding.plan import Priority
from umekomi.errors import Overloaded
from umekomi.serve.intake.priority import granted_priority
from umekomi.serve.recording import record_of
from umekomi.serve.service import service_of
from umekomi.types import Prepared, Vectors


async def run_prepared(
    request: Request, embedder: Embedder, prepared: list[Prepared], *, asked: Priority | None
) -> Vectors:
    """The vectors; cancelling drops what has not run. Notes the priority that was granted, the stages and,
    once they have run, the tokens.

    Spends the tokens of the request's key. Raises as `Gate.spend` does, and `Overloaded` at once where too much
    waits already.
    """
    service, record = service_of(request), record_of(request)
    limits = service.settings.limits
    tokens = sum(text.tokens for text in prepared)
    priority = granted_priority(asked, tokens, max_interactive_tokens=limits.max_interactive_tokens)
    record.facts.update(priority=priority)
    service.gate.spend(record.key, tokens)
    _refuse_overload(embedder, tokens, limits)
    record.stages.end("tokenise")
    running = embedder.submit(prepared, priority=priority, on_start=record.stages.run_began)
    try:
        vectors = await asyncio.wrap_future(running)
    finally:
        record.stages.end_run()
    record.facts.update(tokens=tokens, truncated=sum(text.truncated for text in prepared))
    return vectors


def _refuse_overload(embedder: Embedder, tokens: int, limits: Limits) -> None:
    waiting = embedder.queued_tokens
    if waiting and waiting + tokens > limits.max_queued_tokens:
        raise Overloaded(
            f"{waiting} tokens are waiting for this model already, of {limits.max_queued_tokens} at most; "
            "try again in a moment."
        )
