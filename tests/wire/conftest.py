"""A hashing server shared by the tests that do not change it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import tiktoken

from kit.server import MODEL, LocalServer, serving
from kit.tiktoken_table import write_tiktoken_tables
from umekomi.config import ModelSettings


@pytest.fixture(scope="session")
def server() -> Iterator[LocalServer]:
    models = (
        ModelSettings(name=MODEL, aliases=("team/embedder",)),
        ModelSettings(name="prompting", source="hashing:32", role="query", truncation="error"),
        ModelSettings(name="own-ids", source="hashing:16", token_ids="model", preload=False),
    )
    with serving(*models) as running:
        yield running


@pytest.fixture(scope="session")
def cl100k(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tiktoken.Encoding]:
    """OpenAI's own tokenizer, without its download; clients in this process find its table too."""
    folder = tmp_path_factory.mktemp("tiktoken")
    write_tiktoken_tables(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TIKTOKEN_CACHE_DIR", str(folder))
        yield tiktoken.get_encoding("cl100k_base")
