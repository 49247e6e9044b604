"""Requests made from the served OpenAPI document, right ones and wrong ones: no answer may break the document.

Few of each kind by default; ``FUZZ_EXAMPLES=1000`` makes it so many for each operation.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.specs.openapi.checks import (
    ignored_auth,
    missing_required_header,
    negative_data_rejection,
    positive_data_acceptance,
)

from kit.server import MODEL, serving
from umekomi.config import LlamaSettings, ModelSettings

pytestmark = [pytest.mark.starter, pytest.mark.slow]

CHAT = "smollm2-135m-instruct"
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "15"))
GENERATING = ("/v1/chat/completions", "/v1/completions")
NOT_PROMISED = [
    positive_data_acceptance,  # a document cannot say what fits a model's vocabulary, context and dimensions
    negative_data_rejection,  # unknown fields are ignored, and null means absent
    missing_required_header,
    ignored_auth,  # no key, no secret
]


@pytest.fixture(scope="module")
def document() -> Iterator[Any]:
    llama = LlamaSettings(ctx_size=512, parallel=2, threads=1)
    with serving(ModelSettings(name=MODEL), ModelSettings(name=CHAT, llama=llama)) as server:
        yield schemathesis.openapi.from_url(f"{server.url}/openapi.json")


@pytest.mark.parametrize("mode", GenerationMode, ids=lambda mode: mode.name.lower())
def test_no_answer_breaks_the_document(document: Any, mode: GenerationMode) -> None:
    operations = [found.ok() for found in document.get_all_operations()]
    assert len(operations) == 12  # all but the document itself
    for operation in operations:
        if mode is GenerationMode.NEGATIVE and not operation.body:
            continue  # nothing in it can be wrong
        fuzz(operation.as_strategy(generation_mode=mode))


def fuzz(cases: st.SearchStrategy[Case]) -> None:
    @given(cases)
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        phases=(Phase.explicit, Phase.generate),
        suppress_health_check=list(HealthCheck),
    )
    def ask(case: Case) -> None:
        if case.path_parameters and len(case.path_parameters["name"]) % 2:
            case.path_parameters["name"] = MODEL
        if isinstance(case.body, dict):
            ask_what_is_served(case.path, case.body)
        case.call_and_validate(excluded_checks=NOT_PROMISED, timeout=60)

    ask()


def ask_what_is_served(path: str, body: dict[str, Any]) -> None:
    """Most made-up names are of no model, and an answer may be as long as the context."""
    if isinstance(body.get("model"), str) and body["model"]:
        body["model"] = CHAT if path in GENERATING else MODEL
    if path in GENERATING:
        for field, most in (("max_tokens", 2), ("max_completion_tokens", 2), ("n", 2)):
            if isinstance(body.get(field), int | None):
                body[field] = min(body.get(field) or most, most)
