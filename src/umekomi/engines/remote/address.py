"""Where an upstream is, and what every request to it begins with."""

from __future__ import annotations

import functools
import ssl
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import quote, urlsplit

from umekomi.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Address:
    """A base URL taken apart.

    base_url  as configured, for the log
    path      before ``/embeddings`` and the like, as it goes on the wire
    headers   those of every request, the key's included
    """

    base_url: str
    host: str
    port: int
    path: str
    tls: ssl.SSLContext | None
    headers: tuple[tuple[bytes, bytes], ...] = field(repr=False)

    def target(self, route: str) -> bytes:
        """The path of a route on the wire; ``../`` before it leaves ``/v1``."""
        path = self.path
        if route.startswith("../"):
            path, route = path.rpartition("/")[0], route.removeprefix("../")
        return f"{path}/{route}".encode("ascii")

    @classmethod
    def of(cls, base_url: str, *, key: str | None) -> Self:
        """Raises `ConfigError` for a key that no header can carry."""
        parts = urlsplit(base_url)
        assert parts.hostname is not None  # checked with the settings
        tls = _tls() if parts.scheme == "https" else None
        headers = [
            (b"host", _host(parts.hostname, parts.port)),
            (b"user-agent", b"umekomi"),
            (b"accept-encoding", b"identity"),  # a small body could become any amount of memory
            (b"content-type", b"application/json"),
        ]
        if key is not None:
            if not key.isascii() or not key.isprintable():
                raise ConfigError(f"the key for {base_url} has characters that no header can carry")
            headers.append((b"authorization", f"Bearer {key}".encode()))
        port = parts.port or (443 if tls else 80)
        path = quote(parts.path, safe="/%~!$&'()*+,;=:@")
        return cls(base_url, parts.hostname, port, path, tls, tuple(headers))


def _host(name: str, port: int | None) -> bytes:
    host = b"[%b]" % name.encode("ascii") if ":" in name else name.encode("idna")
    return host if port is None else b"%b:%d" % (host, port)


@functools.cache
def _tls() -> ssl.SSLContext:
    """Certificates as the system trusts them; reading them takes 20 ms, once."""
    return ssl.create_default_context()
