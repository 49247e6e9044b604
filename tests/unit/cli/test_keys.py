"""``umekomi keys`` and ``umekomi usage`` from the outside."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from umekomi.serve.access.keys import KeyStore
from umekomi.serve.access.usage import UsageRecorder


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "umekomi.yaml"
    path.write_text(f"models: [{{name: e5}}]\nkeys: {{file: {tmp_path / 'db.sqlite'}}}\n", encoding="utf-8")
    return path


def umekomi(config: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "umekomi", *arguments],
        capture_output=True,
        encoding="utf-8",
        timeout=240,
        env=os.environ | {"UMEKOMI_CONFIG": str(config), "COLUMNS": "160"},
    )


def listed(config: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in umekomi(config, "keys", "list", "--json").stdout.splitlines()]


def test_a_key_from_making_to_revoking(config: Path, tmp_path: Path) -> None:
    options = (
        "--models",
        "e5, chat",
        "--requests-per-minute",
        "60",
        "--tokens-per-minute",
        "5000",
        "--expires",
        "30d",
    )
    made = umekomi(config, "keys", "create", "--name", "検索", *options)
    secret = made.stdout.strip()
    assert made.returncode == 0
    assert "not shown again" in made.stderr
    assert "no model of this configuration is called 'chat'" in made.stderr
    with KeyStore(tmp_path / "db.sqlite") as store:
        key = store.authenticate(secret)
    assert key is not None
    assert key.models == ("e5", "chat")
    assert key.expires_at is not None
    assert abs(key.expires_at - datetime.now(UTC) - timedelta(days=30)) < timedelta(minutes=5)
    for output in (umekomi(config, "keys", "list").stdout, umekomi(config, "keys", "list", "--json").stdout):
        assert key.prefix in output
        assert "検索" in output
        assert secret not in output
    assert listed(config)[0]["state"] == "active"
    assert umekomi(config, "keys", "revoke", "検索").returncode == 0
    assert listed(config)[0]["state"] == "revoked"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["create", "--name", "a", "--expires", "soon"], "--expires soon: neither a span such as 30d"),
        (["create", "--name", "a", "--expires", "2020-01-01"], "is past"),
        (["create", "--name", "-x"], "begins with a letter or digit"),
        (["revoke", "nobody"], "nobody: no key in force"),
    ],
)
def test_mistakes_are_one_line(config: Path, arguments: list[str], message: str) -> None:
    result = umekomi(config, "keys", *arguments)
    assert result.returncode == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert not result.stdout


def test_usage_as_a_table_and_as_csv(config: Path, tmp_path: Path) -> None:
    assert "nothing was counted yet" in umekomi(config, "usage").stderr
    noon = datetime(2026, 11, 21, 12, tzinfo=UTC).timestamp()
    path = tmp_path / "db.sqlite"
    with KeyStore(path) as store, UsageRecorder(path, clock=lambda: noon) as usage:
        key_id = store.create("検索").key.id
        usage.count(key_id=key_id, model="e5", input_tokens=1234)
        usage.count(key_id=None, model="e5", failed=True)
    table = umekomi(config, "usage", "--by", "key").stdout
    assert "検索" in table
    assert "1,234" in table
    target = tmp_path / "usage.csv"
    assert umekomi(config, "usage", "--csv", str(target)).returncode == 0
    with target.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["key"], row["model"], row["input_tokens"], row["errors"]) for row in rows] == [
        ("", "e5", "0", "1"),
        ("検索", "e5", "1234", "0"),
    ]
    assert {row["day"] for row in rows} == {"2026-11-21"}
    assert umekomi(config, "usage", "--since", "2999-01-01", "--csv", "-", "--by", "model").stdout.count("\n") == 1
    assert "not a day such as" in umekomi(config, "usage", "--since", "yesterday").stderr
