"""The shapes of text generation, rerank and tokens as pydantic models, for ``/openapi.json``.

What an engine checks is described here only as far as every engine has it.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr

from umekomi.serve.wire.embeddings import MAX_TOKEN_ID
from umekomi.serve.wire.schema import NonEmptyText, TokenIds

ModelName = Annotated[StrictStr, Field(min_length=1, max_length=256, description="A name from GET /v1/models.")]
Probability = Annotated[float, Field(ge=0, le=1)]
Penalty = Annotated[float, Field(ge=-2, le=2)]


class StreamOptions(BaseModel):
    include_usage: bool | None = Field(default=None, description="End with a chunk that holds the usage.")


class _Sampling(BaseModel):
    """What both routes take. Null means absent; unknown fields are ignored."""

    model: ModelName
    stream: bool | None = Field(default=None, description="Answer in server-sent events, as the text comes.")
    stream_options: StreamOptions | None = None
    max_tokens: int | None = Field(default=None, ge=1, description="Longest answer, in tokens.")
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Probability | None = None
    top_k: int | None = Field(default=None, ge=0)
    min_p: Probability | None = None
    n: int | None = Field(default=None, ge=1, le=128, description="Answers to give.")
    stop: NonEmptyText | Annotated[list[NonEmptyText], Field(max_length=16)] | None = None
    seed: int | None = Field(default=None, description="The same seed gives the same answer again.")
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    repeat_penalty: Annotated[float, Field(ge=0.01, le=10)] | None = None
    logit_bias: dict[str, Annotated[float, Field(ge=-100, le=100)]] | None = None
    response_format: dict[str, Any] | None = Field(
        default=None, description="`text`, `json_object`, or `json_schema` with a schema that the answer follows."
    )


class Message(BaseModel):
    role: str
    content: str | list[dict[str, Any]] | None = None


class ChatBody(_Sampling):
    """What `POST /v1/chat/completions` takes."""

    model_config = ConfigDict(title="ChatRequest")

    messages: list[Message] = Field(min_length=1)
    max_completion_tokens: int | None = Field(
        default=None, ge=1, description="As max_tokens, which it goes before."
    )
    logprobs: bool | None = None
    top_logprobs: int | None = Field(default=None, ge=0, le=20)
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    chat_template_kwargs: dict[str, Any] | None = None


class CompletionBody(_Sampling):
    """What `POST /v1/completions` takes."""

    model_config = ConfigDict(title="CompletionRequest")

    prompt: (
        NonEmptyText
        | Annotated[list[StrictStr], Field(min_length=1)]
        | TokenIds
        | Annotated[list[TokenIds], Field(min_length=1)]
    )
    logprobs: int | None = Field(default=None, ge=0, le=20)


class GenerationUsage(BaseModel):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class GenerationAnswer(BaseModel):
    """A whole answer; with `stream`, chunks of the same in server-sent events, the last of them `[DONE]`."""

    id: str
    object: Literal["chat.completion", "text_completion"]
    created: int
    model: str
    choices: list[dict[str, Any]] = Field(description="With `message` or `text`, `logprobs` and `finish_reason`.")
    usage: GenerationUsage


class DocumentObject(BaseModel):
    text: NonEmptyText


class RerankBody(BaseModel):
    """What `POST /v1/rerank` takes."""

    model_config = ConfigDict(title="RerankRequest")

    model: ModelName
    query: NonEmptyText
    documents: list[NonEmptyText | DocumentObject] = Field(min_length=1)
    top_n: StrictInt | None = Field(default=None, ge=1, description="How many results to give; all by default.")
    return_documents: bool | None = Field(default=None, description="Repeat each document's text.")


class RerankResult(BaseModel):
    index: int = Field(description="Which document this is the score of.")
    relevance_score: float = Field(description="Higher is nearer; the scale is the model's own.")
    document: DocumentObject | None = None


class RerankUsage(BaseModel):
    total_tokens: int = Field(
        description="Tokens that were run; a cross-encoder reads the query with each document."
    )


class RerankAnswer(BaseModel):
    object: Literal["list"]
    model: str
    method: Literal["cross-encoder", "bi-encoder", "unknown"] = Field(
        description="bi-encoder: no reranker, but the cosine of an embedding model's vectors; unknown: another "
        "server ranked, and did not tell."
    )
    results: list[RerankResult] = Field(description="Best first.")
    usage: RerankUsage | None = Field(default=None, description="Left out where another server does not tell.")


class TokenizeBody(BaseModel):
    """What `POST /v1/tokenize` takes."""

    model_config = ConfigDict(title="TokenizeRequest")

    model: ModelName
    prompt: StrictStr
    add_special_tokens: bool | None = Field(
        default=None, description="Also those around every text; yes by default."
    )


class TokenizeAnswer(BaseModel):
    model: str
    tokens: list[int]
    count: int
    max_model_len: int | None = Field(
        description="The model's context, in tokens; null where its server does not tell."
    )


class DetokenizeBody(BaseModel):
    """What `POST /v1/detokenize` takes."""

    model_config = ConfigDict(title="DetokenizeRequest")

    model: ModelName
    tokens: list[Annotated[StrictInt, Field(ge=0, le=MAX_TOKEN_ID)]]


class DetokenizeAnswer(BaseModel):
    model: str
    prompt: str
