"""The listening socket, bound before anything slow so that a wrong address is known at once."""

from __future__ import annotations

import errno
import ipaddress
import socket

from umekomi.errors import ConfigError


def bind(host: str, port: int, *, allow_remote: bool = False) -> socket.socket:
    """A bound, listening socket; port 0 takes a free one.

    Raises `ConfigError` where the address cannot be bound, and for an address that other machines can reach
    unless ``allow_remote``, which is for servers with keys, and for those who mean it: without keys, whoever
    reaches the server may use it.
    """
    family, address = _resolve(host, port)
    if not allow_remote and not ipaddress.ip_address(address[0].partition("%")[0]).is_loopback:
        raise ConfigError(
            f"host {host} can be reached from other machines, and there are no keys: anyone could use the models. "
            "Make one with `umekomi keys create`, or add --allow-remote where a firewall or proxy lets people in"
        )
    # TCP is named because asyncio sets TCP_NODELAY only where it sees it; else every answer waits 40 ms for an ACK.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(2048)
    except OSError as error:
        listener.close()
        raise ConfigError(
            f"cannot listen on {host} port {port}: {error.strerror}; {_advice(error, port)}"
        ) from None
    return listener


def url_of(listener: socket.socket) -> str:
    """``http://host:port`` as a client on this machine can use it."""
    host, port = listener.getsockname()[:2]
    if ipaddress.ip_address(host).is_unspecified:
        host = "::1" if ":" in host else "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _resolve(host: str, port: int) -> tuple[socket.AddressFamily, tuple[str, int]]:
    """The first address that ``host`` stands for, IPv4 first: `localhost` means 127.0.0.1 to most clients."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "not a host name"
        raise ConfigError(f"cannot listen on host {host!r}: {reason}; use an address of this machine") from None
    family, _, _, _, address = min(found, key=lambda entry: entry[0] != socket.AF_INET)
    return family, address  # type: ignore[return-value]


def _advice(error: OSError, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return "another program has it: stop it, or choose another with --port (0 takes a free one)"
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"ports below 1024 need privileges: choose another than {port} with --port"
    return "use an address of this machine, such as 127.0.0.1"
