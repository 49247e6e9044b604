"""What the hand-written reference lists is what there is: routes, fields, metrics, members."""

from __future__ import annotations

import re
from dataclasses import fields
from inspect import signature

import pytest

import umekomi
from kit.source import ROOT
from umekomi.config import Settings
from umekomi.embedding.embedder import Embedder, open_embedder
from umekomi.serve.app import build_app
from umekomi.serve.service import open_service
from umekomi.serve.wire import schema

HTTP = (ROOT / "docs" / "reference" / "http.md").read_text(encoding="utf-8")
PYTHON = (ROOT / "docs" / "reference" / "python.md").read_text(encoding="utf-8")
OPERATIONS = (ROOT / "docs" / "guide" / "operations.md").read_text(encoding="utf-8")


def first_cells(text: str, heading: str) -> set[str]:
    """Names in backticks in the first column of the tables under ``heading``."""
    section = re.split(r"^#+ ", text.partition(f"# {heading}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]
    cells = re.findall(r"^\| ([^|]+) \|", section, flags=re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}


def test_routes() -> None:
    app = build_app(open_service(Settings().with_defaults()))
    paths = {str(getattr(route, "path", "")).replace(":path", "") for route in app.routes}
    assert {name.split(" ")[1] for name in first_cells(HTTP, "HTTP")} == paths


def test_fields_of_a_request() -> None:
    assert first_cells(HTTP, "POST /v1/embeddings") - {"x-request-id"} >= set(schema.EmbeddingsBody.model_fields)


def test_fields_of_a_model() -> None:
    section = HTTP.partition("# GET /v1/models\n")[2]
    assert set(schema.Model.model_fields) <= set(re.findall(r"`(\w+)`", section))


def test_limits() -> None:
    shown = set(re.findall(r"`limits\.(\w+)`", HTTP))
    assert shown == set(type(Settings().limits).model_fields)


def test_metrics() -> None:
    service = open_service(Settings().with_defaults())
    families = set(re.findall(r"^# TYPE (umekomi_\w+) \w+$", service.metrics.render().decode(), re.MULTILINE))
    families = {name for name in families if not name.endswith("_created")}
    assert first_cells(OPERATIONS, "Metrics") == families


def test_public_names() -> None:
    for name in umekomi.__all__:
        assert name in PYTHON or name in {"Role", "__version__"}, name


def test_members() -> None:
    opening = PYTHON.partition("## open_embedder")[2]
    assert set(signature(open_embedder).parameters) <= set(re.findall(r"`(\w+)`", opening))
    members = {name for name in vars(Embedder) if not name.startswith("_")}
    assert {name.split("(")[0] for name in first_cells(PYTHON, "Embedder")} == members


@pytest.mark.parametrize("name", ["Embeddings", "ModelCard"])
def test_fields_of_data(name: str) -> None:
    section = PYTHON.partition(f"## {name}\n")[2].partition("\n## ")[0]
    known = set(re.findall(r"`(\w+)`", section)) | {"weights_digest", "tokenizer_digest"}
    assert {field.name for field in fields(getattr(umekomi, name))} <= known
