"""Where things stand in the text of a YAML file, and putting text in their place."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, SequenceNode

_PROPERTIES = re.compile(r"(?:[&!]\S*\s+)+")
"""A value's anchor and tag, which the parser counts as a part of it."""

_ALIAS = re.compile(r"\s*:\s*\*[^\s,\]}]+")


@dataclass(frozen=True, slots=True, order=True)
class Splice:
    """``text`` in the place of the characters from ``start`` to ``end``."""

    start: int
    end: int
    text: str


def splice(text: str, splices: Iterable[Splice], *, newline: str) -> str:
    """``text`` with every splice applied. They must not overlap."""
    parts: list[str] = []
    done = 0
    for each in sorted(splices):
        parts += (text[done : each.start], each.text.replace("\n", newline))
        done = each.end
    return "".join((*parts, text[done:]))


def dump(value: Any) -> str:
    """A value as YAML, in one line, so that it may also stand inside of brackets."""
    listed = yaml.safe_dump([value], default_flow_style=True, allow_unicode=True, sort_keys=False, width=1_000_000)
    return listed.rstrip("\n")[1:-1]


def line_start(text: str, at: int) -> int:
    return text.rfind("\n", 0, at) + 1


def line_end(text: str, at: int) -> int:
    """Behind the line in which ``at`` stands; ``at`` itself where a block of text ends just there."""
    if at and text[at - 1] == "\n":
        return at
    found = text.find("\n", at)
    return len(text) if found < 0 else found + 1


def insert_lines(text: str, at: int, lines: Sequence[str]) -> Splice:
    """Whole lines at the start of a line, or at the end of a text that may lack its last line break."""
    missing = "\n" if at and text[at - 1] != "\n" else ""
    return Splice(at, at, missing + "".join(f"{line}\n" for line in lines))


def content_end(text: str, node: Node, *, deeper_than: int) -> int:
    """Behind the last line of ``node``, with the comments below it that are indented by more than ``deeper_than``.

    Not the parser's own end of a block, which is where the next one begins, behind its comments.
    """
    end = line_end(text, _leaf_end(node))
    while end < len(text):
        behind = line_end(text, end + 1) if text[end] != "\n" else end + 1
        line = text[end:behind]
        if not line.lstrip().startswith("#") or len(line) - len(line.lstrip()) <= deeper_than:
            break
        end = behind
    return end


def _leaf_end(node: Node) -> int:
    if isinstance(node, MappingNode) and not node.flow_style and node.value:
        key, value = node.value[-1]
        return int(key.end_mark.index) if is_alias(key, value) else _leaf_end(value)
    if isinstance(node, SequenceNode) and not node.flow_style and node.value:
        return _leaf_end(node.value[-1])
    return int(node.end_mark.index)


def is_alias(key: Node, value: Node) -> bool:
    """Whether ``value`` was written elsewhere, and is only named here."""
    return bool(value.start_mark.index < key.end_mark.index)


def value_span(text: str, key: Node, value: Node) -> tuple[int, int]:
    """Where a value stands, without its anchor; for an alias, where it is named."""
    if is_alias(key, value):
        found = _ALIAS.match(text, key.end_mark.index)
        if found is None:
            raise ValueError(key.value)
        return text.index("*", found.start()), found.end()
    start = value.start_mark.index
    properties = _PROPERTIES.match(text, start, value.end_mark.index)
    return (properties.end() if properties else start), value.end_mark.index


def dash_of(text: str, item: Node) -> int:
    """Where the dash of a block sequence's item stands."""
    return text.rindex("-", 0, item.start_mark.index)


def removal(text: str, items: SequenceNode, at: int) -> Splice:
    """What takes one item out of a sequence, with its comma or its lines."""
    item = items.value[at]
    following = items.value[at + 1] if at + 1 < len(items.value) else None
    if not items.flow_style:
        dash = dash_of(text, item)
        column = dash - line_start(text, dash)
        end = line_start(text, dash_of(text, following)) if following is not None else None
        return Splice(line_start(text, dash), end or content_end(text, item, deeper_than=column), "")
    if following is not None:
        return Splice(item.start_mark.index, following.start_mark.index, "")
    start = items.value[at - 1].end_mark.index if at else item.start_mark.index
    return Splice(start, item.end_mark.index, "")


def appending(text: str, items: SequenceNode, written: Sequence[tuple[str, Sequence[str]]]) -> Splice:
    """What adds items at the end. ``written``: each in one line, and as the lines of a block."""
    if items.flow_style:
        inline = ", ".join(line for line, _ in written)
        if not items.value:
            start = text.index("[", items.start_mark.index) + 1
            return Splice(start, start, inline)
        end = items.value[-1].end_mark.index
        return Splice(end, end, f", {inline}")
    last = items.value[-1]
    dash = dash_of(text, last)
    indent = " " * (dash - line_start(text, dash))
    lines = [f"{indent}{line}" for _, block in written for line in block]
    return insert_lines(text, content_end(text, last, deeper_than=len(indent)), lines)
