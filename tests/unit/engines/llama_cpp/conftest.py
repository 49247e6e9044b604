"""One loaded starter for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from umekomi.engines.base import Generator
from umekomi.engines.registry import open_generator
from umekomi.models.bundle import Bundle
from umekomi.models.sources import open_model

CHAT_MODEL = "smollm2-135m-instruct"


@pytest.fixture(scope="session")
def starter() -> Bundle:
    return open_model(CHAT_MODEL)


@pytest.fixture(scope="session")
def generator(starter: Bundle) -> Iterator[Generator]:
    # One thread: with more, the engine's threads wait for one another actively, which a busy machine punishes.
    opened = open_generator(starter, threads=1, options={"ctx_size": 4 * 512, "parallel": 4})
    yield opened
    opened.close()
