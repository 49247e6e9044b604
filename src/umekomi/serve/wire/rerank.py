"""``POST /v1/rerank`` as Cohere and Jina have it: a JSON object to a `RerankRequest`, scores to the answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from umekomi.errors import InvalidInput
from umekomi.serve.wire.body import json_type
from umekomi.serve.wire.embeddings import parse_model

Method: TypeAlias = Literal["cross-encoder", "bi-encoder", "unknown"]
"""Whether a model read the query and a document together, or made a vector of each; another server may not tell."""


@dataclass(frozen=True, slots=True)
class RerankRequest:
    """A request whose shape is right. ``top_n`` is at most the number of documents."""

    model: str
    query: str
    documents: list[str]
    top_n: int
    return_documents: bool


def parse_rerank(body: Mapping[str, Any], *, max_documents: int) -> RerankRequest:
    """Raises `InvalidInput` that names the field. Unknown fields are ignored."""
    model = parse_model(body.get("model"))
    query = body.get("query")
    if not isinstance(query, str) or not query:
        raise InvalidInput(f"query must be a text that is not empty, not {_shown(query)}", param="query")
    documents = _parse_documents(body.get("documents"), max_documents)
    asked = body.get("return_documents")
    if asked is not None and not isinstance(asked, bool):
        raise InvalidInput(
            f"return_documents must be true or false, not {json_type(asked)}", param="return_documents"
        )
    return RerankRequest(model, query, documents, _parse_top(body.get("top_n"), len(documents)), bool(asked))


def rerank_answer(
    asked: RerankRequest, scores: Mapping[int, float], *, name: str, method: Method, tokens: int | None = None
) -> dict[str, Any]:
    """The best ``top_n`` downwards; documents with equal scores in the order they were sent.

    ``scores`` are by the index of their document; ``tokens`` are those that were run, where that is known.
    """
    order = sorted(scores, key=lambda index: (-scores[index], index))[: asked.top_n]
    results: list[dict[str, Any]] = [{"index": index, "relevance_score": scores[index]} for index in order]
    if asked.return_documents:
        for result in results:
            result["document"] = {"text": asked.documents[result["index"]]}
    usage = {} if tokens is None else {"usage": {"total_tokens": tokens}}
    return {"object": "list", "model": name, "method": method, "results": results, **usage}


def _parse_documents(value: object, limit: int) -> list[str]:
    if not isinstance(value, list) or not value:
        raise InvalidInput(
            f"documents must be an array of at least one document, not {_shown(value)}", param="documents"
        )
    if len(value) > limit:
        raise InvalidInput(
            f"documents has {len(value)} items; the limit is {limit}: split the request", param="documents"
        )
    return [_parse_document(document, index) for index, document in enumerate(value)]


def _parse_document(value: object, index: int) -> str:
    text = value.get("text") if isinstance(value, dict) else value
    if isinstance(text, str) and text:
        return text
    raise InvalidInput(
        f'documents[{index}] must be a text that is not empty, or an object with one as "text", not {_shown(text)}',
        param="documents",
    )


def _parse_top(value: object, count: int) -> int:
    if value is None:
        return count
    if type(value) is not int or value < 1:
        shown = value if type(value) is int else json_type(value)
        raise InvalidInput(f"top_n is {shown}; send a whole number of at least 1", param="top_n")
    return min(value, count)


def _shown(value: object) -> str:
    return "an empty one" if value in ("", []) else json_type(value)
