"""Writes the pages of docs/reference that come from the code, or says with ``--check`` which are out of date."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from command_line import commands
from umekomi import errors
from umekomi.cli.exit_codes import exit_code
from umekomi.config import json_schema
from umekomi.evaluate.results import Results
from umekomi.prove.results import TrainingReport
from umekomi.serve.status import status_of

REFERENCE = Path(__file__).resolve().parents[1] / "docs" / "reference"
MADE = "<!-- Written by `make docs`; changes made here are lost. -->\n\n"


def command_page() -> str:
    """Every command with its help."""
    parts = [MADE, "# Commands\n\nEach command's `--help`. [Exit codes](errors.md) are the same for all of them.\n"]
    for path, text in commands().items():
        name = " ".join(("umekomi", *path))
        parts.append(f"\n## {name}\n\n```text\n{text}\n```\n")
    return "".join(parts)


def configuration_page() -> str:
    """The keys of umekomi.yaml, section by section."""
    schema = json_schema()
    parts = [
        MADE,
        "# umekomi.yaml\n\nEvery key is optional but a model's `name`. An unknown key is an error.\n",
        "Editors read the same from [umekomi.schema.json](umekomi.schema.json).\n",
    ]
    for title, section in sections(schema):
        parts.append(f"\n## {title}\n\n{section['description']}\n\n| key | type | default | meaning |\n")
        parts.append("|---|---|---|---|\n")
        parts.extend(f"| {' | '.join(cells)} |\n" for cells in keys(section))
    return "".join(parts)


def sections(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The top level, then each section under the key that holds it, with the sections inside it."""

    def below(section: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
        for name, key in section["properties"].items():
            places = [key, key.get("items", {}), *key.get("anyOf", ())]
            if reference := next((place["$ref"] for place in places if "$ref" in place), None):
                inner = schema["$defs"][reference.rpartition("/")[2]]
                yield name, inner
                yield from below(inner)

    yield "Top level", schema
    yield from below(schema)


def keys(section: dict[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    """A row for each key of a section: name, type, default, meaning."""
    required = section.get("required", [])
    for name, key in section["properties"].items():
        stated = key.get("default")
        default = "required" if name in required else "" if stated in (None, []) else f"`{json.dumps(stated)}`"
        yield f"`{name}`", kind(name, key), default, key.get("description", "See below.").replace("|", "\\|")


def kind(name: str, key: dict[str, Any]) -> str:
    """A key's type in a few words."""
    if "$ref" in key:
        return f"[section](#{name})"
    if "enum" in key:
        return ", ".join(f"`{value}`" for value in key["enum"])
    if "anyOf" in key:
        return " or ".join(kind(name, choice) for choice in key["anyOf"] if choice.get("type") != "null")
    if key.get("type") == "array":
        return f"list: {kind(name, key['items'])}"
    if key.get("type") == "object":
        return "mapping"
    return bounded(key)


def bounded(key: dict[str, Any]) -> str:
    """A plain type with its bounds: ``integer, 1 or more``."""
    low, high = key.get("minimum"), key.get("maximum")
    if low is None:
        return str(key["type"])
    return f"{key['type']}, {low} to {high}" if high is not None else f"{key['type']}, {low} or more"


def error_page() -> str:
    """Every error with its HTTP status and exit code."""
    parts = [
        MADE,
        "# Errors\n\nEvery error that umekomi raises on purpose, the status that a server answers with,\n",
        "and the exit code of a command. A class stands below the one it belongs to.\n\n",
        "| error | meaning | status | type and code in the answer | exit code |\n|---|---|---|---|---|\n",
    ]
    for error, depth in tree(errors.UmekomiError, 0):
        meaning = " ".join((error.__doc__ or "").partition("\n\n")[0].split()).replace("``", "`")
        status, code = status_of(error("…")), exit_code(error("…"))
        words = f"`{status.type}`" + (f", `{status.code}`" if status.code else "")
        name = f"{'&nbsp;' * 4 * depth}`{error.__name__}`"
        parts.append(f"| {name} | {meaning} | {status.status} | {words} | {code} |\n")
    return "".join(parts)


def tree(root: type[errors.UmekomiError], depth: int) -> Iterator[tuple[type[errors.UmekomiError], int]]:
    for error in root.__subclasses__():
        yield error, depth
        yield from tree(error, depth + 1)


def schema_text(schema: dict[str, Any]) -> str:
    return json.dumps(schema, ensure_ascii=False, indent=2) + "\n"


PAGES: dict[str, Callable[[], str]] = {
    "cli.md": command_page,
    "configuration.md": configuration_page,
    "errors.md": error_page,
    "results.schema.json": lambda: schema_text(Results.model_json_schema(by_alias=True)),
    "training_report.schema.json": lambda: schema_text(TrainingReport.model_json_schema(by_alias=True)),
    "umekomi.schema.json": lambda: schema_text(json_schema()),
}


def main() -> None:
    stale = []
    for name, write in PAGES.items():
        path, text = REFERENCE / name, write()
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            continue
        stale.append(name)
        if "--check" not in sys.argv:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            print(f"docs/reference/{name}: written")
    if stale and "--check" in sys.argv:
        sys.exit(f"out of date in docs/reference: {', '.join(stale)}; run `make docs` and commit what it wrote")


if __name__ == "__main__":
    main()
