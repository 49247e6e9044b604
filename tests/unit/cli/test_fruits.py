"""What a newcomer tries first: which fruit is green, in English and in Japanese, with the real starter model."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[3] / "examples"


@pytest.mark.starter
@pytest.mark.parametrize("precision", ["fp32", "int8"])
@pytest.mark.parametrize(
    ("file", "query", "green"),
    [("fruits.csv", "green", {"kiwi", "lime"}), ("fruits.ja.csv", "緑の果物", {"キウイ", "ライム"})],
)
def test_green_fruits_come_first(file: str, query: str, green: set[str], precision: str) -> None:
    result = subprocess.run(
        [
            sys.executable,
            "-m",
            "umekomi",
            "similarity",
            str(EXAMPLES / file),
            query,
            "--precision",
            precision,
            "--json",
        ],
        capture_output=True,
        encoding="utf-8",
        timeout=300,
    )
    assert result.returncode == 0, result.stderr
    hits = [json.loads(line) for line in result.stdout.splitlines()]
    assert len(hits) == 10
    assert {hit["title"] for hit in hits[: len(green)]} == green
    assert [hit["score"] for hit in hits] == sorted((hit["score"] for hit in hits), reverse=True)
