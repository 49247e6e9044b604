"""The gate: open until there is a key, then closed to everybody without one, whatever else goes wrong."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from umekomi.errors import InvalidKey, Overloaded, StoreError, UnknownModel
from umekomi.serve.access.gate import Gate
from umekomi.serve.access.keys import KeyStore
from umekomi.serve.access.usage import read_usage


def test_without_keys_any_header_passes_until_the_first_key_is_made(tmp_path: Path) -> None:
    path = tmp_path / "server.sqlite"
    gate = Gate.open(path)
    for header in (None, "", "Bearer anything", "Basic eDp5"):
        assert gate.identify(header) is None
    with KeyStore(path) as store:
        new = store.create("one")
    for header in (
        None,
        "",
        "Bearer",
        "Bearer anything",
        f"Basic {new.secret}",
        f"Bearer {new.secret}x",
        new.secret,
    ):
        with pytest.raises(InvalidKey) as caught:
            gate.identify(header)
        assert new.secret not in str(caught.value)
    assert gate.identify(f"Bearer {new.secret}") == new.key
    assert gate.identify(f"bearer   {new.secret} ") == new.key
    with KeyStore(path) as store:
        store.revoke("one")
    with pytest.raises(InvalidKey):
        gate.identify(f"Bearer {new.secret}")
    gate.close()


def test_a_request_from_the_door_to_the_books(tmp_path: Path) -> None:
    path = tmp_path / "server.sqlite"
    with KeyStore(path) as store:
        new = store.create("one", models=["e5"], requests_per_minute=1, tokens_per_minute=100)
    gate = Gate.open(path)
    key = gate.identify(f"Bearer {new.secret}")
    gate.admit(key)
    gate.check_model(key, "text-embedding-ada-002", "e5", "text-embedding-ada-002")
    with pytest.raises(UnknownModel, match="The model `chat` does not exist or you do not have access to it"):
        gate.check_model(key, "chat", "chat")
    gate.spend(key, 60)
    gate.count(key, model="e5", input_tokens=60, output_tokens=30)
    assert gate.headers(key)["x-ratelimit-remaining-tokens"] == "10"
    with pytest.raises(Overloaded):
        gate.spend(key, 11)
    with pytest.raises(Overloaded):
        gate.admit(key)
    gate.close()
    (row,) = read_usage(path)
    assert (row.key, row.model, row.requests, row.input_tokens, row.output_tokens) == ("one", "e5", 1, 60, 30)


def test_requests_without_a_key_are_counted_and_not_limited(tmp_path: Path) -> None:
    path = tmp_path / "server.sqlite"
    gate = Gate.open(path)
    for _ in range(100):
        gate.admit(None)
        gate.check_model(None, "any")
        gate.spend(None, 10**9)
        gate.count(None, model="e5", input_tokens=1)
    assert gate.headers(None) == {}
    gate.close()
    assert read_usage(path)[0].requests == 100


def test_a_broken_database_keeps_the_gate_shut(tmp_path: Path) -> None:
    path = tmp_path / "server.sqlite"
    path.write_bytes(b"broken" * 1000)
    with pytest.raises(StoreError):
        Gate.open(path)


def test_a_disk_that_takes_no_file_serves_without_usage(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    gate = Gate.open(tmp_path / "file" / "server.sqlite")
    assert gate.identify(None) is None
    gate.count(None, model="e5")
    gate.close()


def test_other_processes_that_come_and_go_take_nothing_away(tmp_path: Path) -> None:
    """SQLite's last connection deletes the write-ahead log; it must know of every connection that is open."""
    path = tmp_path / "server.sqlite"
    visit = "import sys; from pathlib import Path; from umekomi.serve.access.usage import read_usage; "
    visit += "print(sum(row.requests for row in read_usage(Path(sys.argv[1]))))"

    def visitor() -> str:
        done = subprocess.run([sys.executable, "-c", visit, str(path)], check=True, capture_output=True, text=True)
        return done.stdout.strip()

    gate = Gate.open(path)
    with KeyStore(path):  # a further connection of this process
        assert visitor() == "0"
    gate.count(None, model="e5")
    assert path.with_name("server.sqlite-wal").exists()
    gate.close()
    assert visitor() == "1"
