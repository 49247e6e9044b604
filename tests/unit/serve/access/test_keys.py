"""API keys: recognised while in force, never kept in the clear, and safe under several processes."""

from __future__ import annotations

import multiprocessing
import sqlite3
import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from umekomi.errors import InvalidInput, StoreError
from umekomi.serve.access.keys import KeyStore


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "server.sqlite"


def test_a_key_says_what_it_allows(path: Path) -> None:
    with KeyStore(path) as store:
        assert not store.in_use()
        new = store.create("検索チーム", models=["e5", "chat"], requests_per_minute=60, tokens_per_minute=1000)
        key = store.authenticate(new.secret)
        assert key == new.key
        assert key is not None
        assert (key.name, key.requests_per_minute, key.tokens_per_minute) == ("検索チーム", 60, 1000)
        assert key.allows("e5")
        assert key.allows("text-embedding-ada-002", "e5"), "an alias of an allowed model"
        assert not key.allows("other")
        assert store.create("all").key.allows("anything")
        assert [each.name for each in store.list()] == ["検索チーム", "all"]
        assert new.secret.startswith(key.prefix)


@pytest.mark.parametrize(
    "text",
    ["", "x", "sk-umekomi-", "sk-umekomi-00000000-" + "0" * 64, "鍵", "\ud800", "sk-umekomi-\x00", "a" * 100_000],
)
def test_what_is_no_key_is_refused(path: Path, text: str) -> None:
    with KeyStore(path) as store:
        store.create("one")
        assert store.authenticate(text) is None


def test_every_character_of_a_key_counts(path: Path) -> None:
    with KeyStore(path) as store:
        secret = store.create("one").secret
        for place in range(len(secret)):
            other = "0" if secret[place] != "0" else "1"
            assert store.authenticate(secret[:place] + other + secret[place + 1 :]) is None
        assert store.authenticate(secret + "0") is None
        assert store.authenticate(secret.upper()) is None
        assert store.authenticate(secret) is not None


def test_a_key_ends_when_it_expires_or_is_revoked(path: Path) -> None:
    now = [1_700_000_000.0]
    with KeyStore(path, clock=lambda: now[0]) as store:
        expires_at = datetime.fromtimestamp(now[0], UTC) + timedelta(days=30)
        brief, lasting = store.create("brief", expires_at=expires_at), store.create("lasting")
        now[0] += 30 * 86400 - 1
        assert store.authenticate(brief.secret) is not None
        now[0] += 1
        assert store.authenticate(brief.secret) is None
        assert [key.state(datetime.fromtimestamp(now[0], UTC)) for key in store.list()] == ["expired", "active"]
        assert store.revoke("lasting").revoked_at is not None
        assert store.authenticate(lasting.secret) is None
        assert store.in_use(), "revoking the last key must not open the server"


@pytest.mark.parametrize("how", ["name", "prefix", "whole"])
def test_revoking_by_name_by_prefix_and_by_the_key_itself(path: Path, how: str) -> None:
    with KeyStore(path) as store:
        new, neighbour = store.create("one"), store.create("two")
        store.revoke({"name": "one", "prefix": new.key.prefix, "whole": new.secret}[how])
        assert store.authenticate(new.secret) is None
        assert store.authenticate(neighbour.secret) is not None
        with pytest.raises(InvalidInput, match="no key in force") as caught:
            store.revoke(new.secret)
        assert new.secret not in str(caught.value)
        assert store.create("one").key.id != new.key.id, "the name of a revoked key is free again"


def test_a_name_that_looks_like_another_keys_id_revokes_nothing_else(path: Path) -> None:
    with KeyStore(path) as store:
        first = store.create("first")
        second = store.create(first.key.id)
        store.revoke(first.key.id)
        assert store.authenticate(first.secret) is None
        assert store.authenticate(second.secret) is not None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": ""}, "begins with a letter or digit"),
        ({"name": "=HYPERLINK(1)"}, "begins with a letter or digit"),
        ({"name": "a\nb"}, "printable"),
        ({"name": "a" * 65}, "at most 64"),
        ({"name": "taken"}, "is called 'taken' already"),
        ({"name": "a", "models": []}, "at least one"),
        ({"name": "a", "models": ["x", " "]}, "no empty name"),
        ({"name": "a", "requests_per_minute": 0}, "a limit of 0"),
        ({"name": "a", "tokens_per_minute": 2**70}, "a minute"),
        ({"name": "a", "expires_at": datetime(2020, 1, 1, tzinfo=UTC)}, "2020-01-01 00:00 UTC is past"),
    ],
)
def test_mistakes_make_no_key(path: Path, options: dict[str, object], message: str) -> None:
    with KeyStore(path) as store:
        store.create("taken")
        with pytest.raises(InvalidInput, match=message):
            store.create(**options)  # type: ignore[arg-type]
        assert len(store.list()) == 1


def test_the_key_is_nowhere_on_the_disk_and_the_files_are_private(path: Path) -> None:
    with KeyStore(path) as store:
        new = store.create("one")
        store.authenticate(new.secret)
        files = list(path.parent.iterdir())
        assert len(files) == 3, "the database, its log and the log's index"
        secret = new.secret.rpartition("-")[2]
        for file in files:
            assert stat.S_IMODE(file.stat().st_mode) == 0o600
            assert secret.encode() not in file.read_bytes()
            assert bytes.fromhex(secret) not in file.read_bytes()
        assert secret not in repr(new)


def test_a_file_that_others_could_read_is_closed_to_them(path: Path) -> None:
    path.parent.mkdir()
    path.touch(0o644)
    KeyStore(path).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_file_that_is_not_ours_is_left_alone(tmp_path: Path) -> None:
    noise, foreign, newer = tmp_path / "noise", tmp_path / "foreign", tmp_path / "newer"
    noise.write_bytes(b"not a database at all, but long enough to be looked at" * 20)
    for path, statement in ((foreign, "CREATE TABLE orders (id)"), (newer, "PRAGMA user_version = 99")):
        connection = sqlite3.connect(path)
        connection.execute(statement)
        connection.commit()
        connection.close()
    for path, message in ((noise, "not a database"), (foreign, "another program"), (newer, "newer umekomi")):
        before = path.read_bytes()
        with pytest.raises(StoreError, match=message):
            KeyStore(path)
        assert path.read_bytes() == before
    with pytest.raises(StoreError, match="Is a directory"):
        KeyStore(tmp_path)


def test_a_key_revoked_by_another_process_is_refused_at_once(path: Path) -> None:
    with KeyStore(path) as server:
        secret = server.create("one").secret
        assert server.authenticate(secret) is not None
        code = "import sys; from pathlib import Path; from umekomi.serve.access.keys import KeyStore\n"
        code += "with KeyStore(Path(sys.argv[1])) as store: store.revoke('one')"
        subprocess.run([sys.executable, "-c", code, str(path)], check=True, timeout=60)
        assert server.authenticate(secret) is None


def test_recognising_a_key_never_waits_for_a_writer(path: Path) -> None:
    with KeyStore(path) as store:
        secret = store.create("one").secret
        writer = sqlite3.connect(path, isolation_level=None)
        writer.execute("BEGIN EXCLUSIVE")
        assert store.authenticate(secret) is not None  # before the writer has ended, who is this thread itself
        writer.execute("ROLLBACK")
        writer.close()


def churn(path: Path, worker: int, rounds: int) -> None:
    with KeyStore(path) as store:
        for turn in range(rounds):
            new = store.create(f"worker {worker} {turn}")
            assert store.authenticate(new.secret) == new.key
            store.revoke(new.key.name)
            assert store.authenticate(new.secret) is None


def test_processes_share_one_file_that_none_of_them_has_made_yet(path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=churn, args=(path, number, 40)) for number in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(240)
    assert [worker.exitcode for worker in workers] == [0, 0]
    with KeyStore(path) as store:
        assert len(store.list()) == 80
        assert all(key.revoked_at for key in store.list())
