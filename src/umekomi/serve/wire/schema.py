"""The shapes of requests and answers as pydantic models: for ``/openapi.json`` and for tests.

Requests are not validated with these: `wire.embeddings` is quicker on large arrays and names errors as OpenAI does.
A test holds the two together.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr

NonEmptyText: TypeAlias = Annotated[StrictStr, Field(min_length=1)]
TokenIds: TypeAlias = Annotated[list[StrictInt], Field(min_length=1)]


class EmbeddingsBody(BaseModel):
    """What `POST /v1/embeddings` takes. Null means absent; unknown fields are ignored."""

    model_config = ConfigDict(title="EmbeddingsRequest")

    model: StrictStr = Field(min_length=1, max_length=256, description="A name from GET /v1/models.")
    input: (
        StrictStr
        | Annotated[list[NonEmptyText], Field(min_length=1)]
        | TokenIds
        | Annotated[list[TokenIds], Field(min_length=1)]
    ) = Field(description="One text, several texts, the token ids of one text, or those of several.")
    encoding_format: Literal["float", "base64"] | None = Field(
        default=None, description="Numbers (the default), or base64 of little-endian float32."
    )
    dimensions: StrictInt | None = Field(
        default=None, ge=1, description="Keep the first components only, scaled to unit length again."
    )
    input_type: Literal["query", "document"] | None = Field(
        default=None, description="Puts the model's prompt for this role before each input."
    )
    truncate: Literal["error", "end", "start"] | None = Field(
        default=None, description="What to do with an input longer than the model's context."
    )
    user: object = Field(default=None, description="Ignored.")


class Embedding(BaseModel):
    object: Literal["embedding"]
    index: int = Field(description="Which input this is the vector of.")
    embedding: list[float] | str


class Usage(BaseModel):
    prompt_tokens: int = Field(description="The model's own tokens that ran, prompt and special tokens included.")
    total_tokens: int


class EmbeddingsAnswer(BaseModel):
    object: Literal["list"]
    data: list[Embedding] = Field(min_length=1)
    model: str = Field(description="The served model's own name, also where an alias was asked for.")
    usage: Usage


class Model(BaseModel):
    """A name that clients may ask for. What only a loaded model knows is null until it is loaded."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    alias_of: str | None = Field(description="The model that this name stands for, where it is an alias.")
    capabilities: list[Literal["embeddings", "chat", "rerank"]] | None = Field(
        description="What the model can be asked for; null where only loading it would tell."
    )
    state: Literal["unloaded", "loading", "loaded", "failed"]
    precision: Literal["fp32", "int8", "bf16", "fp16"] | None = Field(
        description="Null for a model that another server runs."
    )
    fingerprint: str | None = Field(description="Equal fingerprints mean comparable vectors.")
    dim: int | None
    max_tokens: int | None
    notice: str | None = Field(description="What a user must know about the weights.")


class ModelList(BaseModel):
    object: Literal["list"]
    data: list[Model]


class Health(BaseModel):
    status: Literal["ok", "ready"]


class Error(BaseModel):
    message: str
    type: str
    param: str | None
    code: str | None


class ErrorEnvelope(BaseModel):
    """The body of every failing request, on every path."""

    error: Error
