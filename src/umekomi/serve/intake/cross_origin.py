"""CORS: which web pages may ask this server from a browser and read its answers. None, unless configured.

Nothing here guards the server itself: a page without permission can send a simple request, but not read the answer.
Cookies play no part, so that `*` opens no more than what a key opens.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import Scope

from umekomi.errors import InvalidInput

ANY = "*"
PREFLIGHT_S = 600
"""How long a browser may remember what a preflight said; also how long a change of the origins may take to work."""

_HEADER_NAMES = re.compile(r"[A-Za-z0-9-]+(?:, ?[A-Za-z0-9-]+)*")
_MAX_NAMES = 2000
_READABLE = frozenset({"cache-control", "content-length", "content-type", "vary"})
"""Headers that a page may read without being told so."""


class CrossOrigin:
    """The answers' side of CORS for the given origins; with none of them, it does nothing."""

    def __init__(self, origins: Sequence[str]) -> None:
        self._origins = frozenset(origins)

    def __bool__(self) -> bool:
        return bool(self._origins)

    def allow(self, origin: str | None, answer: MutableHeaders) -> None:
        """Let a page of ``origin`` read an answer with these headers, where it may."""
        if ANY not in self._origins:
            answer.add_vary_header("Origin")
        if origin is not None and self._allows(origin):
            told = sorted(set(answer.keys()) - _READABLE)
            answer["access-control-allow-origin"] = ANY if ANY in self._origins else origin
            answer["access-control-expose-headers"] = ", ".join(told)

    def preflight(self, scope: Scope) -> Response | None:
        """The answer to a browser that asks whether it may send a request; None where this is no such question.

        Raises `InvalidInput` for an origin that may not.
        """
        headers = Headers(scope=scope)
        origin = headers.get("origin")
        if scope["method"] != "OPTIONS" or origin is None or "access-control-request-method" not in headers:
            return None
        if not self._allows(origin):
            raise InvalidInput(
                f"Pages of {origin[:100]!r} may not ask this server; server.cors_origins in umekomi.yaml names "
                "those that may.",
                param="origin",
            )
        return Response(status_code=204, headers=_permissions(headers.get("access-control-request-headers", "")))

    def _allows(self, origin: str) -> bool:
        return ANY in self._origins or origin in self._origins


def _permissions(wanted: str) -> dict[str, str]:
    """Any header may be sent, so those asked for are repeated: `*` would leave out Authorization."""
    permissions = {"access-control-allow-methods": "GET, POST", "access-control-max-age": str(PREFLIGHT_S)}
    if len(wanted) <= _MAX_NAMES and _HEADER_NAMES.fullmatch(wanted):
        permissions["access-control-allow-headers"] = wanted
    return permissions
