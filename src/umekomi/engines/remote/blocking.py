"""A server asked from a thread that can wait: for the command line and for measuring, where one request runs at a
time and the server's own words help whoever chose it."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Mapping
from typing import Any

import httpx
from httpx import codes

from umekomi.engines.remote.failures import WrongAnswer, words_of
from umekomi.errors import UpstreamError, UpstreamRefusal

_REFUSALS = {
    codes.BAD_REQUEST,
    codes.REQUEST_ENTITY_TOO_LARGE,
    codes.UNPROCESSABLE_ENTITY,
    codes.INTERNAL_SERVER_ERROR,  # what llama-server answers to a text over its physical batch
}

_ADD_V1 = "; base URLs mostly end in /v1, and this one does not"


class BlockingClient:
    """Requests to the server at ``base_url``, which ends in ``/v1``. Close it.

    Every failure is an `UpstreamError` that names the address; `UpstreamRefusal` where another request may do.
    """

    def __init__(self, base_url: str, *, api_key: str | None, timeout_s: float) -> None:
        self.base_url = base_url.rstrip("/")
        headers = {"authorization": f"Bearer {api_key}"} if api_key else {}
        self._client = httpx.Client(headers=headers, timeout=timeout_s)

    def post(self, path: str, body: Mapping[str, Any]) -> bytes:
        """The body of a whole answer."""
        with self.naming_failures():
            response = self._client.post(f"{self.base_url}/{path}", json=body)
            self._check(response)
            return response.content

    def stream(self, path: str, body: Mapping[str, Any]) -> Generator[bytes]:
        """The body of an answer as it comes."""
        with (
            self.naming_failures(),
            self._client.stream("POST", f"{self.base_url}/{path}", json=body) as response,
        ):
            if response.status_code != codes.OK:
                response.read()
            self._check(response)
            yield from response.iter_bytes()

    @contextlib.contextmanager
    def naming_failures(self) -> Generator[None]:
        """What goes wrong in the block, as an `UpstreamError`."""
        try:
            yield
        except WrongAnswer as error:
            said = f": {error.excerpt}" if error.excerpt else ""
            raise UpstreamError(f"{self.base_url} {error.what}{said}") from None
        except httpx.InvalidURL as error:
            raise UpstreamError(f"{self.base_url}: not a valid address: {error}") from None
        except httpx.HTTPError as error:
            raise UpstreamError(
                f"{self.base_url}: no answer: {error or type(error).__name__}; does the server run there?"
            ) from None

    def close(self) -> None:
        self._client.close()

    def _check(self, response: httpx.Response) -> None:
        status = response.status_code
        if status != codes.OK:
            hint = _ADD_V1 if status == codes.NOT_FOUND and not self.base_url.endswith("/v1") else ""
            kind = UpstreamRefusal if status in _REFUSALS else UpstreamError
            said = words_of(response.content) or "an empty body"
            raise kind(f"{self.base_url} answered {status}: {said}{hint}")
