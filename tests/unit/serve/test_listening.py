"""Where a server may listen, and what its address is called."""

from __future__ import annotations

import socket

import pytest

from umekomi.errors import ConfigError
from umekomi.serve.listening import bind, url_of


@pytest.mark.parametrize(
    ("host", "url"), [("127.0.0.1", "127.0.0.1"), ("localhost", "127.0.0.1"), ("::1", "[::1]")]
)
def test_loopback_needs_no_permission(host: str, url: str) -> None:
    try:
        listener = bind(host, 0)
    except ConfigError as error:
        pytest.skip(f"no such address on this machine: {error}")
    with listener:
        assert url_of(listener) == f"http://{url}:{listener.getsockname()[1]}"
        socket.create_connection(listener.getsockname()[:2], timeout=5).close()


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_other_machines_need_permission(host: str) -> None:
    with pytest.raises(ConfigError, match="--allow-remote"):
        bind(host, 0)


def test_everywhere_is_called_by_an_address_that_works() -> None:
    with bind("0.0.0.0", 0, allow_remote=True) as listener:
        assert url_of(listener) == f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_a_port_in_use() -> None:
    with bind("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(ConfigError, match=f"port {port}: .*another program"):
            bind("127.0.0.1", port)


def test_answers_do_not_wait_for_acknowledgements() -> None:
    """asyncio looks at the protocol number before it sets TCP_NODELAY on what was accepted."""
    with bind("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname(), timeout=5):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.proto == socket.IPPROTO_TCP
