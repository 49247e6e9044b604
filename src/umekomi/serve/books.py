"""What one generation has used, for the log, the metrics and the usage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from umekomi.serve.recording import Record
from umekomi.serve.service import Service


class Books:
    """Counts once, however the generation ends."""

    def __init__(self, service: Service, record: Record, model: str) -> None:
        self.model = model
        self._service = service
        self._record = record
        self._chunks = 0
        self._counted = False

    def see_chunk(self) -> None:
        self._chunks += 1

    def count(self, usage: Mapping[str, Any] | None) -> None:
        tokens, output = (usage or {}).get("prompt_tokens", 0), (usage or {}).get("completion_tokens", 0)
        self._record.facts.update(tokens=tokens, output_tokens=output)
        self._service.metrics.count_generation(self.model, tokens=tokens, output_tokens=output)
        self._counted = True

    def close(self) -> None:
        """Where the client went in mid-stream, each chunk is taken for a token."""
        if not self._counted:
            self.count({"completion_tokens": self._chunks})
