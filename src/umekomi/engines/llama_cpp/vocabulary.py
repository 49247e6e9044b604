"""`Vocabulary`: text to token ids and back, by the engine's own tokenizer."""

from __future__ import annotations

from collections.abc import Sequence

from umekomi.engines.llama_cpp.server import LlamaServer
from umekomi.errors import BrokenModel, InvalidInput
from umekomi.models.gguf_header import GgufHeader

_CONTROL = 3
_PROBE = "a"


class Vocabulary:
    """The tokens of a loaded model. Safe to use from several threads."""

    def __init__(self, server: LlamaServer, header: GgufHeader, *, name: str) -> None:
        """Raises `BrokenModel` where the file's vocabulary is empty."""
        self._server = server
        self._types = header.token_types
        self.size = header.lengths.get("tokenizer.ggml.tokens", 0)
        if not self.size:
            raise BrokenModel(f"{name}: the GGUF file has no vocabulary (tokenizer.ggml.tokens)")
        self._first = header.metadata.get("tokenizer.ggml.bos_token_id", 0)
        self.opening, self.closing = self._special_tokens()

    def tokenize(self, text: str, *, special: bool = False, control: bool = True) -> list[int]:
        """Token ids; ``<|im_end|>`` and the like in the text count as control tokens, as in prompts, or as text."""
        body = {"content": text, "add_special": special, "parse_special": control}
        ids: list[int] = self._server.ask_quick("/tokenize", body)["tokens"]
        return ids

    def detokenize(self, ids: Sequence[int], *, keep_control: bool = True) -> str:
        """Text of ``ids``; what is no whole character becomes U+FFFD. Raises `InvalidInput` for an unknown id."""
        for token in ids:
            if not 0 <= token < self.size:
                raise InvalidInput(
                    f"token id {token} is not in the model's vocabulary of {self.size} tokens", param="input"
                )
        kept = list(ids) if keep_control else [token for token in ids if not self._is_control(token)]
        text: str = self._server.ask_quick("/detokenize", {"tokens": kept})["content"]
        return text

    def _is_control(self, token: int) -> bool:
        return token < len(self._types) and self._types[token] == _CONTROL

    def _special_tokens(self) -> tuple[list[int], list[int]]:
        """What the model puts before and after every text; where that is nothing, a start for an empty text."""
        bare, full = self.tokenize(_PROBE), self.tokenize(_PROBE, special=True)
        for before in range(len(full) - len(bare) + 1):
            if full[before : before + len(bare)] == bare:
                return full[:before], full[before + len(bare) :]
        return [], []

    @property
    def start(self) -> list[int]:
        """What stands for a text without any token."""
        return [self._first]
