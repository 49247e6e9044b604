"""``/openapi.json``: what this server does, said in OpenAPI 3.1. Written out, because nothing else knows it all."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, get_args

import orjson
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from starlette.requests import Request
from starlette.responses import Response

from umekomi import __version__
from umekomi.embedding.plan import Priority
from umekomi.serve.fallbacks import MODEL_HEADER
from umekomi.serve.intake.priority import HEADER
from umekomi.serve.wire import generation_schema as generation
from umekomi.serve.wire import schema

_SHAPES: tuple[type[BaseModel], ...] = (
    schema.EmbeddingsBody,
    schema.EmbeddingsAnswer,
    generation.ChatBody,
    generation.CompletionBody,
    generation.GenerationAnswer,
    generation.RerankBody,
    generation.RerankAnswer,
    generation.TokenizeBody,
    generation.TokenizeAnswer,
    generation.DetokenizeBody,
    generation.DetokenizeAnswer,
    schema.ModelList,
    schema.Model,
    schema.Health,
    schema.ErrorEnvelope,
)

_FAILURES = {
    400: "The request is wrong; `param` names the field.",
    401: "No key where one is needed, or a wrong one.",
    404: "Unknown model.",
    408: "The body stopped arriving.",
    413: "The body is over the limit.",
    415: "The body is compressed.",
    429: "Too much is waiting; see Retry-After.",
    500: "The server failed; its log tells why.",
    502: "The server that runs the model failed, or sent no valid answer.",
    503: "The model could not be loaded, or the server is starting or stopping; see Retry-After.",
    504: "The server that runs the model did not answer in time.",
}

_REQUEST_ID = ("x-request-id", "string", "The client's own id where it sent one, else a new one.")
_PROCESSING = ("openai-processing-ms", "integer", "Time spent on the request.")
_MODEL = (MODEL_HEADER, "string", "The model that answered: a fallback's where the one asked for failed.")
_EMBEDDING_HEADERS = (
    ("x-umekomi-fingerprint", "string", "Which vectors these are comparable with."),
    ("x-umekomi-truncated", "integer", "How many inputs were cut to fit the model's context."),
    ("x-umekomi-priority", "string", "The priority that the request got."),
    ("server-timing", "string", "Milliseconds in receive, load, tokenise, queue, run and encode."),
)
_PRIORITY = {
    "name": HEADER,
    "in": "header",
    "description": "Whether somebody waits for the answer; by the request's size where it is absent.",
    "schema": {"type": "string", "enum": get_args(Priority)},
}
_RERANK_HEADERS = (
    ("x-umekomi-rerank-method", "string", "cross-encoder, bi-encoder or unknown, as in the answer."),
)


async def openapi(request: Request) -> Response:
    return Response(_document(), media_type="application/json")


@cache
def _document() -> bytes:
    refs, definitions = models_json_schema(
        [(shape, "validation") for shape in _SHAPES], ref_template="#/components/schemas/{model}"
    )
    names = {shape: refs[shape, "validation"] for shape in _SHAPES}
    document = {
        "openapi": "3.1.0",
        "info": {
            "title": "umekomi",
            "version": __version__,
            "description": "Embeddings, chat and rerank by OpenAI's protocol.",
        },
        "paths": _paths(names),
        "components": {
            "schemas": definitions["$defs"],
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"key": []}],
    }
    return orjson.dumps(document)


def _paths(refs: Mapping[type[BaseModel], Mapping[str, Any]]) -> dict[str, Any]:
    def answers(ok: Any, *failures: int, headers: tuple[tuple[str, str, str], ...] = ()) -> dict[str, Any]:
        error = {"application/json": {"schema": refs[schema.ErrorEnvelope]}}
        found: dict[str, Any] = {"200": {"description": "OK", "content": ok, "headers": _headers(*headers)}}
        for status in failures:
            found[str(status)] = {"description": _FAILURES[status], "content": error, "headers": _headers()}
        return found

    def as_json(shape: type[BaseModel]) -> dict[str, Any]:
        return {"application/json": {"schema": refs[shape]}}

    def post(
        operation: str,
        summary: str,
        body: type[BaseModel],
        answer: type[BaseModel],
        *,
        headers: tuple[tuple[str, str, str], ...] = (),
        parameters: tuple[dict[str, Any], ...] = (),
    ) -> dict[str, Any]:
        ok = as_json(answer)
        if answer is generation.GenerationAnswer:
            ok["text/event-stream"] = {
                "schema": {"description": "Events whose data is a chunk as JSON, or [DONE]."}
            }
        return {
            "post": {
                "operationId": operation,
                "summary": summary,
                "parameters": parameters,
                "requestBody": {"required": True, "content": as_json(body)},
                "responses": answers(ok, *_FAILURES, headers=(_MODEL, *headers)),
            }
        }

    name = {"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}
    plain_text = {"text/plain": {"schema": {"type": "string"}}}
    any_object = {"application/json": {"schema": {"type": "object"}}}
    return {
        "/v1/embeddings": post(
            "create_embeddings",
            "Vectors for texts or token ids.",
            schema.EmbeddingsBody,
            schema.EmbeddingsAnswer,
            headers=_EMBEDDING_HEADERS,
            parameters=(_PRIORITY,),
        ),
        "/v1/chat/completions": post(
            "create_chat_completion",
            "The answer to a conversation.",
            generation.ChatBody,
            generation.GenerationAnswer,
        ),
        "/v1/completions": post(
            "create_completion", "What follows a text.", generation.CompletionBody, generation.GenerationAnswer
        ),
        "/v1/rerank": post(
            "rerank",
            "Documents by their nearness to a query.",
            generation.RerankBody,
            generation.RerankAnswer,
            headers=_RERANK_HEADERS,
            parameters=(_PRIORITY,),
        ),
        "/v1/tokenize": post("tokenize", "A text's tokens.", generation.TokenizeBody, generation.TokenizeAnswer),
        "/v1/detokenize": post(
            "detokenize", "The text of tokens.", generation.DetokenizeBody, generation.DetokenizeAnswer
        ),
        "/v1/models": {
            "get": _get("list_models", "All names and aliases.", answers(as_json(schema.ModelList), 401, 429))
        },
        "/v1/models/{name}": {
            "parameters": [name],
            "get": _get("retrieve_model", "One name or alias.", answers(as_json(schema.Model), 401, 404, 429)),
        },
        "/api/reload": {"post": _get("reload", "Read umekomi.yaml again.", answers(any_object, 400, 401, 503))},
        "/healthz": {"get": _get("healthz", "Whether the process lives.", answers(as_json(schema.Health)))},
        "/readyz": {"get": _get("readyz", "Whether to send requests here.", answers(as_json(schema.Health), 503))},
        "/metrics": {"get": _get("metrics", "Figures for Prometheus.", answers(plain_text, 401, 429))},
        "/openapi.json": {"get": _get("openapi", "This document.", answers(any_object, 401, 429))},
    }


def _get(operation: str, summary: str, responses: dict[str, Any]) -> dict[str, Any]:
    return {"operationId": operation, "summary": summary, "responses": responses}


def _headers(*further: tuple[str, str, str]) -> dict[str, Any]:
    return {
        name: {"schema": {"type": kind}, "description": description}
        for name, kind, description in (_REQUEST_ID, _PROCESSING, *further)
    }
