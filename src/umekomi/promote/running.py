"""A running umekomi server, as far as a promotion has to do with it: what it serves, a reload, and vectors."""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import unquote

import httpx
import numpy as np
import orjson

from umekomi.config import ServerSettings
from umekomi.engines.remote.answers import parse_vectors
from umekomi.engines.remote.failures import WrongAnswer, words_of
from umekomi.errors import ConfigError, InvalidKey, Unavailable, UpstreamError
from umekomi.types import Role, Vectors

ANSWER_S = 30.0
LOAD_S = 600.0
"""How long a model may take to load, its fetch and the building of its graph included."""

RETRY_S = 0.5
_FROM_HERE = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}  # noqa: S104  an address to bind becomes one to ask


@dataclass(frozen=True, slots=True)
class ServedName:
    """A line of ``/v1/models``. ``model`` is the name of the model that answers to ``name``."""

    name: str
    model: str
    state: str
    capabilities: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """Vectors with what the server says of them."""

    vectors: Vectors
    fingerprint: str
    model: str


def root_of(settings: ServerSettings) -> str | None:
    """Where a server with these settings listens, seen from this machine; None where it takes any free port."""
    if settings.port == 0:
        return None
    host = _FROM_HERE.get(settings.host, settings.host)
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.port}"


def is_here(settings: ServerSettings) -> bool:
    """Whether a server with these settings can listen on this machine."""
    try:
        found = socket.getaddrinfo(settings.host or None, 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError):
        return False
    return any(_can_listen(family, address) for family, _, _, _, address in found)


def _can_listen(family: int, address: Any) -> bool:
    try:
        with socket.socket(family, socket.SOCK_STREAM) as listener:
            listener.bind(address)
    except OSError:
        return False
    return True


class RunningServer:
    """The server at ``root``, with or without ``/v1`` at its end. Close it, or use it in ``with``.

    Raises `ConfigError` for an address that is none or holds a password, `UpstreamError` for answers that are none
    of umekomi's, `InvalidKey` where a key is missing or is not for every model, `Unavailable` where it is starting,
    stopping, or cannot load a model.
    """

    def __init__(self, root: str, *, api_key: str | None) -> None:
        if "@" in root:
            raise ConfigError(
                "--base-url: holds a user or a password, which would stand in the history; the key of an umekomi "
                "server is given in $UMEKOMI_API_KEY"
            )
        self.root = root.rstrip("/").removesuffix("/v1")
        headers = {"authorization": f"Bearer {api_key}"} if api_key else {}
        # A transport of its own, so that no $HTTP_PROXY gets between: it would see the key, and not this machine.
        self._client = httpx.Client(headers=headers, timeout=ANSWER_S, transport=httpx.HTTPTransport())

    def close(self) -> None:
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def runs(self) -> bool:
        """Whether anybody listens there."""
        try:
            self._client.get(f"{self.root}/healthz")
        except httpx.ConnectError:
            return False
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise ConfigError(f"--base-url {self.root}: not an address: {error}") from None
        except httpx.HTTPError:
            return True
        return True

    def served(self) -> dict[str, ServedName]:
        """Every name that it answers to."""
        content = self._object(self._ask("GET", "/v1/models"))
        try:
            entries = [
                ServedName(
                    name=str(entry["id"]),
                    model=str(entry["alias_of"] or entry["id"]),
                    state=str(entry["state"]),
                    capabilities=tuple(entry["capabilities"] or ()),
                )
                for entry in content["data"]
            ]
        except (KeyError, TypeError):
            raise UpstreamError(
                f"{self.root}: its list of models is not umekomi's; name your server with --base-url, or change "
                "the file alone with --file-only"
            ) from None
        return {entry.name: entry for entry in entries}

    def reload(self) -> Mapping[str, Any]:
        """Make it read its configuration again. Returns what changed, as the route tells it."""
        content = self._object(self._ask("POST", "/api/reload"))
        if not isinstance(content.get("models"), dict):
            raise UpstreamError(f"{self.root}: its answer to a reload is not umekomi's")
        return content

    def embed(self, model: str, texts: Sequence[str], *, role: Role, patient: bool = False) -> Answer:
        """Vectors of a served name. ``patient``: wait until it is loaded, as long as that takes.

        A request for each text: a server may allow no more.
        """
        answers = [self._embed(model, text, role, patient=patient) for text in texts]
        told = {(answer.fingerprint, answer.model) for answer in answers}
        if len(told) > 1:
            raise UpstreamError(f"{self.root}: {model} is answered by several models: {sorted(told)}")
        return Answer(np.concatenate([answer.vectors for answer in answers]), *told.pop())

    def _embed(self, model: str, text: str, role: Role, *, patient: bool) -> Answer:
        body: dict[str, Any] = {"model": model, "input": [text], "encoding_format": "base64"}
        if role != "raw":
            body["input_type"] = role
        response = self._ask_until_loaded(body, LOAD_S if patient else 0.0)
        try:
            vectors = parse_vectors(response.content, count=1).vectors
        except WrongAnswer as error:
            raise UpstreamError(f"{self.root}: {model}: {error.what}") from None
        headers = response.headers
        return Answer(
            vectors, headers.get("x-umekomi-fingerprint", ""), unquote(headers.get("x-umekomi-model", ""))
        )

    def _ask_until_loaded(self, body: Mapping[str, Any], patience_s: float) -> httpx.Response:
        deadline = time.monotonic() + patience_s
        while True:
            try:
                return self._ask("POST", "/v1/embeddings", body=body, timeout_s=max(ANSWER_S, patience_s))
            except Unavailable as busy:
                entry = self.served().get(str(body["model"]))
                hopeless = entry is None or entry.state == "failed"
                if hopeless or time.monotonic() + RETRY_S > deadline:
                    raise
                time.sleep(min(RETRY_S, busy.retry_after_s))

    def _ask(
        self, method: str, path: str, *, body: Mapping[str, Any] | None = None, timeout_s: float = ANSWER_S
    ) -> httpx.Response:
        try:
            response = self._client.request(method, f"{self.root}{path}", json=body, timeout=timeout_s)
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise ConfigError(f"--base-url {self.root}: not an address: {error}") from None
        except httpx.HTTPError as error:
            raise UpstreamError(f"{self.root}{path}: no answer: {error or type(error).__name__}") from None
        if response.status_code != httpx.codes.OK:
            raise self._failure(path, response)
        return response

    def _failure(self, path: str, response: httpx.Response) -> Exception:
        status, said = response.status_code, words_of(response.content) or "an empty body"
        if status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            return InvalidKey(
                f"{self.root}{path} answered {status}: {said} Put a key for every model into $UMEKOMI_API_KEY"
            )
        if status in (httpx.codes.SERVICE_UNAVAILABLE, httpx.codes.TOO_MANY_REQUESTS):
            return Unavailable(f"{self.root}{path} answered {status}: {said}", retry_after_s=2)
        return UpstreamError(f"{self.root}{path} answered {status}: {said}")

    def _object(self, response: httpx.Response) -> dict[str, Any]:
        try:
            content = orjson.loads(response.content)
        except orjson.JSONDecodeError:
            content = None
        if not isinstance(content, dict):
            raise UpstreamError(
                f"{self.root}: is no umekomi server; name yours with --base-url, or change the file alone with "
                "--file-only"
            )
        return content
