"""Checks that the documentation is true of the code: links, commands and flags, examples, and the two READMEs."""

from __future__ import annotations

import ast
import json
import re
import shlex
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import yaml
from pydantic import ValidationError

from command_line import commands, flags, subcommands
from markdown import CodeBlock, Page
from umekomi.config import Settings

ROOT = Path(__file__).resolve().parents[1]
SHELLS = {"sh", "bash", "console"}


def pages() -> list[Page]:
    """The documents: Markdown files at the top, and everything under docs and benchmarks."""
    folders = (ROOT / "docs", ROOT / "benchmarks")
    return [Page(path) for path in sorted([*ROOT.glob("*.md"), *(p for f in folders for p in f.rglob("*.md"))])]


def broken_links(page: Page) -> Iterator[tuple[int, str]]:
    """Links to files and headings that are not there."""
    for line, target in page.links():
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        path = (page.path.parent / name).resolve() if name else page.path
        if not path.exists():
            yield line, f"the link {target} leads nowhere"
        elif anchor and anchor not in Page(path).anchors:
            yield line, f"the link {target} names a heading that {path.name} does not have"


def shell_lines(page: Page) -> Iterator[tuple[int, str]]:
    """Command lines that a page shows, in blocks and in running text, their continuations joined."""
    for block in page.code_blocks:
        if block.language in SHELLS:
            text = block.text.replace("\\\n", "  ")
            for offset, command in enumerate(text.splitlines(), start=1):
                yield block.line + offset, command.removeprefix("$ ")
    for line, code in page.inline_code():
        if code.startswith(("umekomi ", "make ")):
            yield line, code


def wrong_commands(page: Page) -> Iterator[tuple[int, str]]:
    """Commands, flags and make targets that do not exist."""
    for line, text in shell_lines(page):
        if not re.search(r"\b(umekomi|make) ", text):  # other programs' lines may go on in quotes
            continue
        for words in simple_commands(text):
            problem = wrong_umekomi(words[1:]) if words[0] == "umekomi" else None
            if words[0] == "make":
                problem = wrong_make(words[1:])
            if problem:
                yield line, f"{text.strip()!r}: {problem}"


def simple_commands(text: str) -> Iterator[list[str]]:
    """Words of each command of a line, cut at pipes and the like, assignments before it left out."""
    words = list[str]()
    lexer = shlex.shlex(text, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    for word in [*lexer, ";"]:
        if set(word) <= set(";|&<>()"):
            if words:
                yield [word.removeprefix(".venv/bin/") for word in words]
            words = []
        elif words or not re.fullmatch(r"\w+=.*", word):
            words.append(word)


def wrong_umekomi(words: list[str]) -> str | None:
    """What is wrong with the arguments of ``umekomi``, if anything."""
    path: tuple[str, ...] = ()
    while words and (*path, words[0]) in commands():
        path, words = (*path, words[0]), words[1:]
    if words and words[0] != "--help" and (*path, "run") in commands():  # what such a group does by itself
        path = (*path, "run")
    if subcommands(*path) and words and words[0][0] not in "-[…":
        return f"there is no command '{' '.join((*path, words[0]))}'"
    own = words[: words.index("--")] if "--" in words else words  # what follows -- belongs to another program
    used = [word.partition("=")[0] for word in own if re.match(r"--?[a-zA-Z]", word)]
    unknown = [flag for flag in used if flag not in flags(path)]
    return f"no flag {unknown[0]} in `{' '.join(('umekomi', *path))} --help`" if unknown else None


def wrong_make(words: list[str]) -> str | None:
    """The first target or variable that the Makefile does not have."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, flags=re.MULTILINE))
    variables = set(re.findall(r"^([A-Z]+) \?=", makefile, flags=re.MULTILINE))
    for word in words:
        name, is_variable, _ = word.partition("=")
        if name not in (variables if is_variable else targets):
            return f"the Makefile has no {name}"
    return None


def wrong_examples(page: Page) -> Iterator[tuple[int, str]]:
    """Blocks that are not what their language says, or that name what the package does not have."""
    readers = {"python": wrong_python, "yaml": wrong_settings, "json": wrong_json}
    for block in page.code_blocks:
        if block.language in readers and (problem := readers[block.language](block)):
            yield block.line, problem


def wrong_python(block: CodeBlock) -> str | None:
    try:
        tree = ast.parse(block.text)
    except SyntaxError as error:
        return f"the example is no Python: {error.msg} in its line {error.lineno}"
    missing = [name for name in used_names(tree) if not exists(name)]
    return f"there is no {missing[0]}" if missing else None


def used_names(tree: ast.Module) -> Iterator[str]:
    """Dotted names of the package's own that an example imports or reaches."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("umekomi"):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("umekomi"))
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "umekomi":
            yield f"umekomi.{node.attr}"


def exists(name: str) -> bool:
    """Whether a dotted name is a module or an attribute of one."""
    try:
        import_module(name)
    except ModuleNotFoundError:
        parent, _, attribute = name.rpartition(".")
        return bool(parent) and hasattr(import_module(parent), attribute)
    return True


def wrong_settings(block: CodeBlock) -> str | None:
    try:
        Settings.model_validate(yaml.safe_load(block.text))
    except (ValidationError, yaml.YAMLError) as error:
        return f"the example is no umekomi.yaml: {error}"
    return None


def wrong_json(block: CodeBlock) -> str | None:
    try:
        json.loads(block.text)
    except ValueError as error:
        return f"the example is no JSON: {error}"
    return None


def unknown_variables(page: Page) -> Iterator[tuple[int, str]]:
    """Environment variables of the project that its one reader does not read."""
    source = (ROOT / "src" / "umekomi" / "config" / "environment.py").read_text(encoding="utf-8")
    for line, text in enumerate(page.path.read_text(encoding="utf-8").splitlines(), start=1):
        for name in re.findall(r"\bUMEKOMI_\w+", text):
            if f'"{name}"' not in source:
                yield line, f"nothing reads {name}"


def differences(one: Page, other: Page) -> Iterator[tuple[int, str]]:
    """Where a translation has another shape than its original, or other code."""
    if [level for level, _ in one.headings] != [level for level, _ in other.headings]:
        yield 1, f"its sections are not those of {other.path.name}"
    if list(one.tables()) != list(other.tables()):
        yield 1, f"its tables have another shape than those of {other.path.name}"
    if len(one.code_blocks) != len(other.code_blocks):
        yield 1, f"it has not as many code blocks as {other.path.name}"
    for mine, theirs in zip(one.code_blocks, other.code_blocks, strict=False):
        if (mine.language, without_comments(mine)) != (theirs.language, without_comments(theirs)):
            yield mine.line, f"the code differs from that of {other.path.name} in line {theirs.line}"


def without_comments(block: CodeBlock) -> str:
    return re.sub(r"\s*(^|\s)#.*", "", block.text, flags=re.MULTILINE)


CHECKS = (broken_links, wrong_commands, wrong_examples, unknown_variables)


def problems() -> Iterator[str]:
    for page in pages():
        for check in CHECKS:
            for line, problem in check(page):
                yield f"{page.path.relative_to(ROOT)}:{line}: {problem}"
    for line, problem in differences(Page(ROOT / "README.ja.md"), Page(ROOT / "README.md")):
        yield f"README.ja.md:{line}: {problem}"


def main() -> None:
    if found := list(problems()):
        sys.exit("\n".join(found))


if __name__ == "__main__":
    main()
