"""The server's own sections of umekomi.yaml: where it listens, its limits, keys and log."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from umekomi.config.environment import home
from umekomi.config.section import BaseUrl, Name, Origin, Section


class Limits(Section):
    """What a single request may ask for."""

    max_inputs: int = Field(default=2048, ge=1, description="Inputs in one request.")
    max_input_tokens: int = Field(default=8192, ge=1, description="Tokens in one input, before truncation.")
    max_request_tokens: int = Field(default=300_000, ge=1, description="Tokens in one request, before truncation.")
    max_interactive_tokens: int = Field(
        default=16_384, ge=1, description="Tokens in a request, over which it is bulk whatever it asks for."
    )
    max_body_bytes: int = Field(default=15_000_000, ge=1024, description="Size of a request body.")
    max_bodies_bytes: int | None = Field(
        default=None,
        ge=1024,
        description="Size of all request bodies being worked on, over which requests get 429; four times "
        "max_body_bytes by default.",
    )
    max_queued_tokens: int = Field(
        default=2_000_000, ge=1, description="Tokens waiting for a model, over which requests get 429."
    )

    @property
    def bodies_bytes(self) -> int:
        """`max_bodies_bytes`, or its default."""
        return self.max_bodies_bytes or 4 * self.max_body_bytes


class ServerSettings(Section):
    """Where the server listens."""

    host: str = Field(default="127.0.0.1", description="Address to bind; loopback unless told.")
    port: int = Field(default=8000, ge=0, le=65535, description="Port to bind; 0 takes a free one.")
    cors_origins: tuple[Origin, ...] = Field(
        default=(),
        description="Web pages that may ask from a browser, such as https://app.example.com; '*' for all.",
    )


class KeySettings(Section):
    """Where API keys and usage are kept. With the first key, every request needs one."""

    file: Path | None = Field(default=None, description="SQLite file; else server.sqlite in the store's folder.")

    @property
    def database(self) -> Path:
        return self.file.expanduser() if self.file else home() / "server.sqlite"


class TracingSettings(Section):
    """Where OpenTelemetry spans are sent. Without an endpoint there are none."""

    endpoint: BaseUrl | None = Field(
        default=None, description="Collector's address for OTLP over HTTP, such as http://127.0.0.1:4318/v1/traces."
    )
    sample_ratio: float = Field(
        default=1.0, ge=0, le=1, description="Share of requests that are traced, where their sender did not decide."
    )
    service_name: Name = Field(default="umekomi", description="The name that spans carry as service.name.")


class RequestLogSettings(Section):
    """A line of JSON for each request, without its text."""

    file: Path | None = Field(default=None, description="File to write; without it there is no request log.")
    max_file_bytes: int = Field(default=50_000_000, ge=4096, description="Size at which a new file is begun.")
    max_files: int = Field(default=5, ge=1, description="Files to keep, the one being written included.")
