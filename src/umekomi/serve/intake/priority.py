"""``x-umekomi-priority``: which of the two queues of an embedding model a request waits in.

A header, because OpenAI's field for it (``service_tier``) is not one of embeddings, and a proxy in front can set a
header for the clients behind it. HTTP's own ``priority`` (RFC 9218) orders answers on one connection, and proxies
change it.
"""

from __future__ import annotations

from typing import get_args

from starlette.requests import Request

from umekomi.embedding.plan import Priority, priority_of
from umekomi.errors import InvalidInput

HEADER = "x-umekomi-priority"


def asked_priority(request: Request) -> Priority | None:
    """What the client asks for; None where it leaves that to the server. Raises `InvalidInput`."""
    value = request.headers.get(HEADER)
    if value is None:
        return None
    for priority in get_args(Priority):
        if value.strip().lower() == priority:
            return priority  # type: ignore[no-any-return]
    raise InvalidInput(f"{HEADER} is {value[:40]!r}; use one of {', '.join(get_args(Priority))}", param=HEADER)


def granted_priority(asked: Priority | None, tokens: int, *, max_interactive_tokens: int) -> Priority:
    """Where work of so many tokens waits. Anybody may ask for anything, so size has the last word.

    A request over ``max_interactive_tokens`` is bulk whatever it asks for: it would hold up everybody's queries.
    """
    if asked == "interactive" and tokens > max_interactive_tokens:
        return "bulk"
    return asked or priority_of(tokens)
