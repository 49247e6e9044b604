"""The models of umekomi.yaml changed in its text: what is not changed stays as it was written, byte by byte.

The parser says where each value stands, and only those places are cut out or filled in. A file is a person's work,
with comments, anchors and a layout; writing it anew from its data would keep some of them at best. What the new
text means is compared with what was wanted: a layout that is not understood is an error, never a wrong file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import yaml
from pydantic import BaseModel
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from umekomi.config import ModelSettings, Settings
from umekomi.errors import ConfigError
from umekomi.promote.configuration.splicing import (
    Splice,
    appending,
    dump,
    insert_lines,
    is_alias,
    line_end,
    removal,
    splice,
    value_span,
)

Models = Sequence[ModelSettings]
Parse = Callable[[str], Settings]


_ROUNDS = 3
"""What a merge key (``<<``) brings from a changed entry into another is set back in a second round."""


class _Unreadable(Exception):
    """A layout that is not understood."""


def rewrite_models(text: str, after: Models, *, parse: Parse, renamed: Mapping[str, str] | None = None) -> str:
    """``text`` so that it lists the models ``after``: values changed in place, new models at the end.

    ``renamed``: old name to new name. Everything else stays. Raises `ConfigError` where the text cannot be edited
    so that ``parse`` finds just that in it.
    """
    before = found = parse(text)
    wanted = before.model_copy(update={"models": tuple(after)})
    edited, names = text, renamed or {}
    try:
        for _ in range(_ROUNDS):
            edited = _rewrite(edited, found.models, after, names)
            found, names = parse(edited), {}
            if found == wanted:
                return edited
    except (_Unreadable, ConfigError, ValueError, IndexError) as error:
        raise ConfigError(_by_hand(before.models, after, f" ({error})" if str(error) else "")) from None
    raise ConfigError(_by_hand(before.models, after, ""))


def _by_hand(before: Models, after: Models, why: str) -> str:
    old = {model.name: model for model in before}
    entries = [dump(entry_of(model)) for model in after if old.get(model.name) != model]
    return (
        f"the file's layout is not one that can be edited safely{why}; list the models in block style, one key a "
        f"line, or write these entries by hand and reload: {'; '.join(entries)}"
    )


def _rewrite(text: str, before: Models, after: Models, renamed: Mapping[str, str]) -> str:
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    wanted = {renamed_from(model.name, renamed): model for model in after}
    known = {model.name for model in before}
    added = [model for name, model in wanted.items() if name not in known]
    if before:
        splices = list(_edits(text, _listed(root, len(before)), before, wanted))
        if added:
            written = [(dump(entry_of(model)), _block(model)) for model in added]
            splices.append(appending(text, _listed(root, len(before)), written))
    else:
        splices = list(_first_models(text, root, added))
    return splice(text, splices, newline="\r\n" if "\r\n" in text else "\n")


def renamed_from(name: str, renamed: Mapping[str, str]) -> str:
    return next((old for old, new in renamed.items() if new == name), name)


def _listed(root: Node | None, count: int) -> SequenceNode:
    models = _key(root, "models")
    if models is None or not isinstance(models[1], SequenceNode) or len(models[1].value) != count:
        raise _Unreadable
    return models[1]


def _key(node: Node | None, name: str) -> tuple[Node, Node] | None:
    pairs = node.value if isinstance(node, MappingNode) else ()
    return next(((key, value) for key, value in pairs if key.value == name), None)


def _edits(
    text: str, models: SequenceNode, before: Models, wanted: Mapping[str, ModelSettings]
) -> Iterator[Splice]:
    for at, (node, old) in enumerate(zip(models.value, before, strict=True)):
        if old.name in wanted:
            yield from _changes(text, node, _differences(old, wanted[old.name]))
        else:
            yield removal(text, models, at)


def _differences(old: BaseModel, new: BaseModel) -> dict[str, Any]:
    """Field to new value; a mapping of the like where both have a section there."""
    found: dict[str, Any] = {}
    for field in type(new).model_fields:
        one, other = getattr(old, field), getattr(new, field)
        if one != other:
            nested = isinstance(one, BaseModel) and isinstance(other, BaseModel)
            found[field] = _differences(one, other) if nested else _plain(other)
    return found


def _plain(value: Any) -> Any:
    """A value as people write it: a whole number without a point, a tuple as a list."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return [_plain(each) for each in value] if isinstance(value, list | tuple) else value


def entry_of(model: ModelSettings) -> dict[str, Any]:
    """The settings of a model that are not the default's, in the order of the schema."""
    content = model.model_dump(mode="json", exclude_defaults=True)
    return {key: _plain(value) for key, value in content.items()}


def _block(model: ModelSettings) -> list[str]:
    lines = [f"{key}: {dump(value)}" for key, value in entry_of(model).items()]
    return [f"{'- ' if at == 0 else '  '}{line}" for at, line in enumerate(lines)]


def _changes(text: str, node: Node, values: Mapping[str, Any]) -> Iterator[Splice]:
    """What sets ``values`` in a mapping."""
    missing: dict[str, Any] = {}
    for field, value in values.items():
        own = _key(node, field)
        if own is None:
            missing[field] = value
        elif isinstance(value, dict) and isinstance(own[1], MappingNode) and not is_alias(*own):
            yield from _changes(text, own[1], value)
        elif isinstance(value, list) and isinstance(own[1], SequenceNode) and not is_alias(*own):
            yield from _list_changes(text, own[0], own[1], value)
        else:
            start, end = value_span(text, *own)
            yield Splice(start, end, dump(value) if end > start else f" {dump(value)}")
    if missing:
        yield _new_keys(text, node, missing)


def _list_changes(text: str, key: Node, items: SequenceNode, wanted: list[str]) -> Iterator[Splice]:
    """Items out of a list, and others to its end; what stays keeps its quotes, its comments and its order."""
    old = [item.value for item in items.value]
    kept = [value for value in old if value in wanted]
    if not kept and not items.flow_style:
        colon = text.index(":", key.end_mark.index) + 1
        yield Splice(colon, colon, f" {dump(wanted)}")
    for at, value in enumerate(old):
        if value not in wanted:
            yield removal(text, items, at)
    added = [dump(value) for value in wanted if value not in old]
    if added and (kept or items.flow_style):
        yield appending(text, items, [(value, [f"- {value}"]) for value in added])


def _new_keys(text: str, node: Node, values: Mapping[str, Any]) -> Splice:
    """New keys behind the model's name, or behind the first value of one line."""
    if not isinstance(node, MappingNode) or not node.value:
        raise _Unreadable
    pairs = [pair for pair in node.value if isinstance(pair[1], ScalarNode) and not is_alias(*pair)]
    key, value = _key(node, "name") or next(iter(pairs), (None, None))
    if key is None or value is None or is_alias(key, value):
        raise _Unreadable
    written = [f"{field}: {dump(each)}" for field, each in values.items()]
    if node.flow_style:
        return Splice(value.end_mark.index, value.end_mark.index, "".join(f", {each}" for each in written))
    indent = " " * node.value[0][0].start_mark.column
    return insert_lines(text, line_end(text, value.end_mark.index), [f"{indent}{each}" for each in written])


def _first_models(text: str, root: Node | None, added: Models) -> Iterator[Splice]:
    """The list itself, where the file has none or an empty one."""
    lines = [f"  {line}" for model in added for line in _block(model)]
    there = _key(root, "models")
    if there is None:
        if isinstance(root, MappingNode) and root.flow_style and root.value:
            raise _Unreadable
        yield insert_lines(text, len(text), ["models:", *lines])
        return
    start, end = value_span(text, *there)
    yield Splice(start, end, "")
    yield insert_lines(text, line_end(text, end), lines)
