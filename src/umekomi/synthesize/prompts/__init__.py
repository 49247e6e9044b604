"""Prompts as files, one for each task and language; a changed file is another prompt, and its answers are new."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any, Literal, TypeAlias

from umekomi.errors import ConfigError
from umekomi.synthesize.pairs import Style

Language: TypeAlias = Literal["en", "ja"]
Task: TypeAlias = Style | Literal["answer", "judge"]

LANGUAGES: tuple[Language, ...] = ("en", "ja")

_SYSTEM, _USER = "# system", "# user"


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt of two messages with places for ``$passage``, ``$query`` and ``$examples``.

    version  first digits of the SHA-256 of the file: what its answers are kept under
    """

    task: Task
    language: Language
    system: str
    user: str
    version: str

    def messages(self, *, passage: str, query: str = "", examples: Sequence[str] = ()) -> list[dict[str, str]]:
        """The messages for one call. ``examples`` are queries that real users wrote."""
        places = {"passage": passage, "query": query, "examples": _listed(examples, self.language)}
        return [
            {"role": "system", "content": Template(self.system).substitute(places)},
            {"role": "user", "content": Template(self.user).substitute(places)},
        ]


def load_prompt(task: Task, language: Language, *, folder: Path | None = None) -> Prompt:
    """The prompt for ``task``, from ``folder`` where it has one, else umekomi's own.

    Raises `ConfigError` for a file without both messages or with an unknown place.
    """
    name = f"{task}.{language}.md"
    own = folder / name if folder is not None else None
    if own is not None and own.exists():
        shown, content = str(own), own.read_bytes()
    else:
        shown, content = name, files(__package__).joinpath(name).read_bytes()
    try:
        text = content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{shown}: not UTF-8 at byte {error.start}") from None
    head, _, rest = text.partition(f"{_SYSTEM}\n")
    system, found, user = rest.partition(f"\n{_USER}\n")
    if head.strip() or not found:
        raise ConfigError(f"{shown}: must hold a line '{_SYSTEM}' first, then the message, then a line '{_USER}'")
    prompt = Prompt(task, language, system.strip(), user.strip(), hashlib.sha256(text.encode()).hexdigest()[:12])
    try:
        prompt.messages(passage="", query="")
    except (KeyError, ValueError) as error:
        raise ConfigError(
            f"{shown}: unknown place {error}; use $passage, $query, $examples, and $$ for $"
        ) from None
    return prompt


def check_prompts(folder: Path) -> None:
    """Raises `ConfigError` unless ``folder`` holds prompts that read, and nothing that only looks like one."""
    known: dict[str, tuple[Task, Language]] = {
        f"{task}.{language}.md": (task, language) for task in SCHEMAS for language in LANGUAGES
    }
    found = sorted(path.name for path in folder.glob("*.md"))
    if not found:
        raise ConfigError(f"{folder}: holds no prompt; name files as in {', '.join(known)}")
    for name in found:
        if name not in known:
            raise ConfigError(f"{folder / name}: would not be used; there are {', '.join(known)}")
        load_prompt(*known[name], folder=folder)


SCHEMAS: Mapping[Task, dict[str, Any]] = {
    **{
        style: {
            "type": "object",
            "properties": {"query": {"type": "string", "minLength": 2, "maxLength": 300}},
            "required": ["query"],
            "additionalProperties": False,
        }
        for style in ("question", "keyword", "claim")
    },
    "answer": {
        "type": "object",
        "properties": {"answer": {"type": "string", "minLength": 1, "maxLength": 2000}},
        "required": ["answer"],
        "additionalProperties": False,
    },
    "judge": {
        "type": "object",
        "properties": {
            "answers": {"type": "boolean"},
            "natural": {"type": "boolean"},
            "reason": {"type": "string", "maxLength": 300},
        },
        "required": ["answers", "natural", "reason"],
        "additionalProperties": False,
    },
}
"""What the answer to each task must look like; sent with the request, and checked whatever the server says."""


def response_format(task: Task) -> dict[str, Any]:
    """OpenAI's ``response_format`` for ``task``."""
    return {"type": "json_schema", "json_schema": {"name": task, "strict": True, "schema": SCHEMAS[task]}}


def _listed(examples: Sequence[str], language: Language) -> str:
    if not examples:
        return ""
    head = "Queries that real users wrote:" if language == "en" else "実際の利用者が書いたクエリの例："
    return "\n" + head + "\n" + "\n".join(f"- {json.dumps(example, ensure_ascii=False)}" for example in examples)
