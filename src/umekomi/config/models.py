"""The served models of umekomi.yaml: where each comes from, and how it runs."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from pydantic import Field, field_validator, model_validator

from umekomi.config.section import BaseUrl, Name, Section, VariableName
from umekomi.types import Precision, Role, Truncation

TokenVocabulary: TypeAlias = Literal["cl100k_base", "o200k_base", "model"]
"""Which vocabulary token-id inputs are in: OpenAI's (what clients send), or the model's own."""

ModelKind: TypeAlias = Literal["auto", "embedding", "chat", "rerank"]
"""What a served model is for; auto reads it from the model's files."""


class LlamaSettings(Section):
    """How llama.cpp runs a GGUF file; the keys are llama-server's."""

    chat_template: str | None = Field(
        default=None, description="Jinja template, or the name of one that llama.cpp knows; else the file's own."
    )
    ctx_size: int | None = Field(
        default=None, ge=0, description="Context in tokens, shared by all slots; 0 takes the model's own."
    )
    n_gpu_layers: int | None = Field(default=None, ge=-1, description="Layers to keep on the GPU; -1 for all.")
    parallel: int | None = Field(default=None, ge=1, description="Slots: requests that run at the same time.")
    threads: int | None = Field(default=None, ge=1, description="Threads of this model; else the server's.")
    flash_attn: Literal["auto", "on", "off"] = Field(default="auto", description="Flash attention.")
    pooling: Literal["mean", "cls", "last"] | None = Field(
        default=None, description="How the vectors of tokens become one; else as the file says."
    )

    @field_validator("flash_attn", mode="before")
    @classmethod
    def _yaml_switch(cls, value: Any) -> Any:
        """YAML reads an unquoted ``on`` as true."""
        return {True: "on", False: "off"}[value] if isinstance(value, bool) else value


class TorchSettings(Section):
    """How torch runs a model; a model with this section runs there."""

    device: str = Field(default="auto", description="auto, or as torch names it: cpu, cuda, cuda:1, mps.")
    dtype: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        default="auto", description="Number format; auto is fp32, and bf16 or fp16 on a CUDA GPU."
    )
    pooling: Literal["mean", "cls", "last"] | None = Field(
        default=None, description="How the vectors of tokens become one; else as the model says."
    )
    long_texts: Literal["cut", "pieces"] | None = Field(
        default=None,
        description="Texts over the context: cut them, or pool pieces of them together; else as the model says.",
    )
    batch_tokens: int | None = Field(
        default=None, ge=1, description="Tokens that run together; else by the kind of device."
    )


class Replica(Section):
    """A further server for a remote model. It gets no key but its own."""

    base_url: BaseUrl = Field(description="Address up to and including /v1.")
    model: Name | None = Field(default=None, description="The model's name there; else as on the first server.")
    api_key_env: VariableName | None = Field(
        default=None, description="Environment variable with its key; without one, no key is sent."
    )


class RemoteSettings(Section):
    """An OpenAI-compatible server that runs the model."""

    base_url: BaseUrl = Field(description="Address up to and including /v1.")
    model: Name | None = Field(default=None, description="The model's name there; else the name here.")
    api_key_env: VariableName | None = Field(
        default=None, description="Environment variable with the key; the key itself is never in this file."
    )
    timeout_s: float = Field(default=60.0, gt=0, description="Longest wait for an answer to begin, in seconds.")
    stall_timeout_s: float = Field(
        default=60.0, gt=0, description="Longest silence within an answer that has begun, in seconds."
    )
    max_retries: int = Field(default=2, ge=0, le=10, description="Further tries after a failure that may pass.")
    replicas: tuple[Replica, ...] = Field(
        default=(), description="Further servers of the same model; the least busy one is asked."
    )

    @property
    def servers(self) -> tuple[RemoteSettings | Replica, ...]:
        """The server itself, then the further ones."""
        return (self, *self.replicas)


class ModelSettings(Section):
    """One served model."""

    name: Name = Field(description="Name that clients ask for.")
    source: str | None = Field(
        default=None,
        description="Folder, hub id with optional @revision, GGUF file or starter name; else the name itself.",
    )
    kind: ModelKind = Field(default="auto", description="What the model is for; auto reads it from its files.")
    engine: str = Field(default="auto", description="auto, or the name of an engine.")
    precision: Precision = Field(default="fp32", description="fp32, or int8 for about three times the speed.")
    role: Role = Field(
        default="raw",
        description="Role of inputs whose request names none: raw sends text as it is, query and document add "
        "the model's prompt.",
    )
    prompts: dict[Literal["query", "document"], str] = Field(
        default_factory=dict, description="Prompts that replace the model's own, by role."
    )
    truncation: Truncation = Field(
        default="end",
        description="What to do with a text longer than the model's context: error, end or start.",
    )
    token_ids: TokenVocabulary = Field(
        default="cl100k_base", description="Vocabulary of token-id inputs; 'model' for the model's own."
    )
    aliases: tuple[Name, ...] = Field(default=(), description="Further names for the same model.")
    preload: bool = Field(default=True, description="Load at start rather than at the first request.")
    keep_alive_s: float | None = Field(
        default=900.0, ge=0, description="Seconds without a request after which the model is unloaded; null: never."
    )
    pinned: bool = Field(default=False, description="Never unload, neither when idle nor to make room.")
    llama: LlamaSettings | None = Field(default=None, description="How llama.cpp runs the model.")
    torch: TorchSettings | None = Field(default=None, description="How torch runs the model.")
    remote: RemoteSettings | None = Field(default=None, description="Server that runs the model instead of us.")
    fallbacks: tuple[Name, ...] = Field(
        default=(),
        description="Models to ask in this order where this one fails; their own fallbacks are not followed.",
    )

    @model_validator(mode="after")
    def _runs_in_one_place(self) -> ModelSettings:
        own = (self.source, self.llama, self.torch)
        if self.remote is not None and any(setting is not None for setting in own):
            raise ValueError("a remote model has no source, llama or torch: its server decides how it runs")
        if self.llama is not None and self.torch is not None:
            raise ValueError("a model has llama or torch, not both: one of them runs it")
        if self.torch is not None and self.engine not in ("auto", "torch"):
            raise ValueError(f"torch is set, but engine is '{self.engine}'")
        return self

    @property
    def open_name(self) -> str:
        return self.source or self.name
