"""Just enough of Markdown to check documentation: headings, links, code blocks and tables of one page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

FENCE = re.compile(r"^ {0,3}(```+|~~~+)\s*(\S*)")
HEADING = re.compile(r"^(#{1,6}) +(.+?) *#*$")
LINK = re.compile(r"\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^()\s]+)(?: +\"[^\"]*\")?\)")


@dataclass(frozen=True)
class CodeBlock:
    """A fenced block: its language, the line of its fence, its text."""

    language: str
    line: int
    text: str


@dataclass(frozen=True)
class Page:
    """One Markdown file."""

    path: Path

    @cached_property
    def _lines(self) -> list[str]:
        return self.path.read_text(encoding="utf-8").splitlines()

    @cached_property
    def code_blocks(self) -> list[CodeBlock]:
        blocks: list[CodeBlock] = []
        fence, start, language, held = "", 0, "", list[str]()
        for number, line in enumerate(self._lines, start=1):
            match = FENCE.match(line)
            if not fence and match:
                fence, language, start, held = match[1], match[2], number, []
            elif fence and line.strip() == fence:
                blocks.append(CodeBlock(language, start, "\n".join(held)))
                fence = ""
            elif fence:
                held.append(line)
        return blocks

    @cached_property
    def prose(self) -> list[tuple[int, str]]:
        """Numbered lines outside of code blocks."""
        inside = set[int]()
        for block in self.code_blocks:
            inside.update(
                range(block.line, block.line + block.text.count("\n") + 3 if block.text else block.line + 2)
            )
        return [(number, line) for number, line in enumerate(self._lines, start=1) if number not in inside]

    @cached_property
    def headings(self) -> list[tuple[int, str]]:
        """Level and text of each heading."""
        return [(len(match[1]), match[2]) for _, line in self.prose if (match := HEADING.match(line))]

    @cached_property
    def anchors(self) -> set[str]:
        """What a link's ``#fragment`` may be: headings in the form that forges give them."""
        found: dict[str, int] = {}
        for _, text in self.headings:
            slug = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
            found[slug] = found.get(slug, -1) + 1
        return {f"{slug}-{n}" if n else slug for slug, times in found.items() for n in range(times + 1)}

    def links(self) -> Iterator[tuple[int, str]]:
        """Line and target of each link; text in backticks is no link."""
        for number, line in self.prose:
            for match in LINK.finditer(re.sub(r"`[^`]*`", "``", line)):
                yield number, match[1]

    def tables(self) -> Iterator[tuple[int, int]]:
        """Columns and rows of each table."""
        rows = list[int]()
        for _, line in [*self.prose, (0, "")]:
            if line.startswith("|"):
                rows.append(len(re.findall(r"(?<!\\)\|", line)) - 1)
            elif rows:
                yield rows[0], len(rows)
                rows = []

    def inline_code(self) -> Iterator[tuple[int, str]]:
        """Line and text of what stands in single backticks."""
        for number, line in self.prose:
            for match in re.finditer(r"(?<!`)`([^`]+)`(?!`)", line):
                yield number, match[1]
