"""The README's Python example, run as a reader would run it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).parents[2] / "README.md"


@pytest.mark.starter
def test_the_python_example_prints_what_it_says() -> None:
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), flags=re.DOTALL)
    (example,) = [block for block in blocks if "open_embedder" in block]
    done = subprocess.run(
        [sys.executable, "-c", example], check=True, stdout=subprocess.PIPE, encoding="utf-8", timeout=280
    )
    similarities, facts = done.stdout.strip().splitlines()
    lemon, rain = map(float, similarities.strip("[]").split())
    assert 0.7 < rain < lemon - 0.05 < 1
    assert re.fullmatch(r"\[\d+ \d+\] \[False False\] [0-9a-f]{32}", facts)
