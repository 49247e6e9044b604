"""The world outside, as a process meets it that may not reach it: every request comes here, and is refused."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

_SUPPRESSING = ("CI", "GITHUB_ACTIONS", "TF_BUILD", "ORT_RUNNING_UNIT_TESTS")
"""Variables that keep libraries from reporting to their makers, which users do not have."""


@dataclass(frozen=True)
class Outside:
    """``environment`` for a process whose requests shall come here; ``asked``: what they began with."""

    environment: dict[str, str]
    asked: list[bytes] = field(default_factory=list)


@contextmanager
def watched_outside() -> Iterator[Outside]:
    """A proxy for all addresses but loopback, which answers nobody."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        proxy = f"http://127.0.0.1:{listening.getsockname()[1]}"
        names = ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")
        kept = {name: value for name, value in os.environ.items() if name not in _SUPPRESSING}
        kept.pop("ORT_DISABLE_TELEMETRY", None)  # an import in this process may have set it
        found = Outside({**kept, **dict.fromkeys(names, proxy), "no_proxy": "127.0.0.1,localhost"})

        def accept() -> None:
            with suppress(OSError):  # the test has ended
                while True:
                    connection, _ = listening.accept()
                    with connection:
                        connection.settimeout(5)
                        found.asked.append(connection.recv(200))

        threading.Thread(target=accept, daemon=True).start()
        yield found
        listening.shutdown(socket.SHUT_RDWR)
