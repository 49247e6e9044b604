"""The catalog is data: that it is whole, consistent, and meets the names that users type."""

from __future__ import annotations

from typing import get_args

import pytest

from umekomi.models.card import Pooling
from umekomi.models.catalog import CATALOG, CatalogEntry, find_entry
from umekomi.models.names import HubName, parse_name
from umekomi.models.starters import STARTERS

PROMISED = [
    *(f"intfloat/multilingual-e5-{size}" for size in ("small", "base", "large")),
    "sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2",
    "sentence-transformers/stsb-xlm-r-multilingual",
    "sonoisa/sentence-luke-japanese-base-lite",
    *(f"BAAI/bge-{size}-en-v1.5" for size in ("base", "small")),
    "BAAI/bge-m3",
    "sentence-transformers/all-MiniLM-L6-v2",
    *(f"cl-nagoya/ruri-v3-{size}" for size in ("30m", "130m", "310m")),
]


@pytest.mark.parametrize("hub_id", PROMISED)
def test_a_promised_model_is_known_in_any_case_of_letters(hub_id: str) -> None:
    assert find_entry(hub_id.upper()) == CATALOG[hub_id]
    assert isinstance(parse_name(hub_id), HubName)


@pytest.mark.parametrize("entry", CATALOG.values(), ids=CATALOG)
def test_an_entry_holds_values_that_a_card_can_take(entry: CatalogEntry) -> None:
    assert entry.pooling in get_args(Pooling)
    assert entry.dim % 64 == 0
    assert entry.max_tokens in {128, 256, 512, 8192}
    assert all(len(code) in {2, 3} for code in entry.languages)
    assert all(not prompt or prompt.endswith(" ") for prompt in entry.prompts.values())


def test_every_starter_for_embeddings_stands_for_a_known_model() -> None:
    assert all(find_entry(starter.hub_id) for starter in STARTERS.values() if starter.kind == "embedding")
