"""umekomi.yaml edited in its text: what is not changed stays as it was, a layout not understood is refused."""

from __future__ import annotations

import difflib
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from umekomi.config import ModelSettings, Settings, parse_settings
from umekomi.errors import ConfigError
from umekomi.promote.configuration.editing import rewrite_models

COMMENTS = st.sampled_from(["", "", "  # a note", "   #: [odd] {one} 'yes' - \"no\""])
LINES = st.sampled_from(["", "", "\n", "# between\n", "    # indented\n", "\n# two\n\n"])
NAMES = ("a", "b b", "c/d", "e: f", "日本", "'g'", "h@1", "#i", "j,[k", "- l")


def parse(text: str) -> Settings:
    return parse_settings(text, Path("umekomi.yaml"))


def quoted(value: str, style: str) -> str:
    return yaml.safe_dump([value], default_style=style or None, default_flow_style=True, allow_unicode=True)[1:-2]


@st.composite
def configs(draw: st.DrawFn) -> str:
    """Files as people write them: any mix of styles, indents and comments."""
    dash = draw(st.sampled_from(["", "  ", "    "]))
    gap = draw(st.sampled_from([" ", "   "]))
    style = draw(st.sampled_from(["", "'", '"']))
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=7, unique=True))
    count = draw(st.integers(1, len(names)))
    text = f"# top\nmodels:{draw(COMMENTS)}\n"
    for at in range(count):
        mine = names[count:][at::count]
        pairs = [("source", "'hashing:32'"), ("name", quoted(names[at], style))]
        shape = draw(st.sampled_from(["flow", "block", "list"]))
        aliases = [quoted(alias, style) for alias in mine]
        if shape == "flow":
            listed = f", aliases: [{',  '.join(aliases)}]" if aliases else ""
            text += f"{dash}-{gap}{{{pairs[0][0]}: {pairs[0][1]},  name: {pairs[1][1]}{listed}}}{draw(COMMENTS)}\n"
        else:
            indent = dash + " " + gap
            if aliases and shape == "block":
                pairs.append(("aliases", f"[{', '.join(aliases)}]"))
            lines = [f"{key}: {value}{draw(COMMENTS)}" for key, value in draw(st.permutations(pairs))]
            text += f"{dash}-{gap}" + f"\n{indent}".join(lines) + "\n"
            if aliases and shape == "list":
                text += f"{indent}aliases:{draw(COMMENTS)}\n"
                text += "".join(f"{indent}  - {alias}{draw(COMMENTS)}\n" for alias in aliases)
        text += draw(LINES)
    text += draw(st.sampled_from(["", "limits:   {max_inputs: 5}  # kept\n", "# end", "threads: 2"]))
    return text.replace("\n", draw(st.sampled_from(["\n", "\r\n"])))


@given(configs())
def test_nothing_to_change_changes_nothing(text: str) -> None:
    assert rewrite_models(text, parse(text).models, parse=parse) == text


@given(configs(), st.data())
def test_an_alias_moves_and_only_its_lines_change(text: str, data: st.DataObject) -> None:
    models = list(parse(text).models)
    new = ModelSettings(name="new@12", source="/a b/c: d", keep_alive_s=None, aliases=("moved",))
    renamed: dict[str, str] = {}
    owners = [at for at, model in enumerate(models) if model.aliases]
    if owners:
        at = data.draw(st.sampled_from(owners))
        alias = data.draw(st.sampled_from(models[at].aliases))
        left = tuple(name for name in models[at].aliases if name != alias)
        models[at] = models[at].model_copy(update={"aliases": left, "keep_alive_s": None})
    else:
        alias = models[0].name
        renamed = {alias: f"{alias}@original"}
        models[0] = models[0].model_copy(update={"name": f"{alias}@original", "keep_alive_s": 5.0})
    new = new.model_copy(update={"aliases": (alias,)})
    edited = rewrite_models(text, [*models, new], parse=parse, renamed=renamed)
    assert [*parse(edited).models] == [*models, new]
    assert ("\r\n" in edited) == ("\r\n" in text)
    changed = [line for line in difflib.ndiff(text.splitlines(), edited.splitlines()) if line[0] in "+-"]
    assert sum(line[0] == "-" for line in changed) <= 2
    for line in changed:
        assert not line.startswith("- #")
        assert not line[2:].strip().startswith("#")
    assert [line for line in text.splitlines() if "max_inputs" in line] == [
        line for line in edited.splitlines() if "max_inputs" in line
    ]


ADDED = ModelSettings(name="n", aliases=("z",))
ENTRY = "  - name: n\n    aliases: [z]\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", f"models:\n{ENTRY}"),
        ("# only a note", f"# only a note\nmodels:\n{ENTRY}"),
        ("---\nthreads: 2", f"---\nthreads: 2\nmodels:\n{ENTRY}"),
        ("models: []  # none yet\nthreads: 2\n", f"models:   # none yet\n{ENTRY}threads: 2\n"),
        ("models: [{name: a}]", "models: [{name: a}, {name: n, aliases: [z]}]"),
        ("models:\n- name: a", "models:\n- name: a\n- name: n\n  aliases: [z]\n"),
        ("\ufeffmodels:\n- name: a\n", "\ufeffmodels:\n- name: a\n- name: n\n  aliases: [z]\n"),
        (
            "models:\n- &base\n  name: a\n  role: query\n- <<: *base\n  name: b  # as a\n\n# the end",
            (
                "models:\n- &base\n  name: a\n  role: query\n- <<: *base\n  name: b  # as a\n"
                "- name: n\n  aliases: [z]\n\n# the end"
            ),
        ),
    ],
)
def test_a_first_model_and_one_more(text: str, expected: str) -> None:
    edited = rewrite_models(text, [*parse(text).models, ADDED], parse=parse)
    assert edited == expected


def test_values_in_place_and_an_entry_taken_out() -> None:
    text = (
        "models:\n  - name: a\n    remote:\n      base_url: http://127.0.0.1:1/v1  # there\n"
        "    keep_alive_s: &long 60 # a\n"
        "  - name: b  # goes\n    source: 'hashing:8'\n    # with its note\n  - {name: c, keep_alive_s: *long}\n"
    )
    first, _, last = parse(text).models
    assert first.remote is not None
    remote = first.remote.model_copy(update={"model": "a"})
    wanted = [
        first.model_copy(update={"name": "z", "remote": remote}),
        last.model_copy(update={"keep_alive_s": None}),
    ]
    assert rewrite_models(text, wanted, parse=parse, renamed={"a": "z"}) == (
        "models:\n  - name: z\n    remote:\n      base_url: http://127.0.0.1:1/v1  # there\n      model: a\n"
        "    keep_alive_s: &long 60 # a\n  - {name: c, keep_alive_s: null}\n"
    )


def test_a_list_that_two_models_share_is_parted() -> None:
    text = "models:\n- name: a\n  aliases: &shared [x]  # one\n- name: b\n  fallbacks: *shared\n"
    first, second = parse(text).models
    wanted = [first.model_copy(update={"aliases": ()}), second, ModelSettings(name="n", aliases=("x",))]
    assert rewrite_models(text, wanted, parse=parse) == (
        "models:\n- name: a\n  aliases: &shared []  # one\n- name: b\n  fallbacks: [x]\n- name: n\n  aliases: [x]\n"
    )


def test_what_others_inherit_from_a_changed_entry_is_set_back() -> None:
    text = "models:\n- &base\n  name: a\n  role: query  # all\n- <<: *base\n  name: b\n"
    first, second = parse(text).models
    wanted = [first.model_copy(update={"keep_alive_s": None}), second, ADDED]
    assert rewrite_models(text, wanted, parse=parse) == (
        "models:\n- &base\n  name: a\n  keep_alive_s: null\n  role: query  # all\n"
        "- <<: *base\n  name: b\n  keep_alive_s: 900\n- name: n\n  aliases: [z]\n"
    )


@pytest.mark.parametrize(
    "text",
    [
        "{threads: 1}",
        "models: [{name: b}]\nmodels: [{name: a, aliases: [x]}]\n",
    ],
)
def test_a_layout_that_cannot_be_edited_is_refused_with_what_to_write(text: str) -> None:
    models = [model.model_copy(update={"aliases": ()}) for model in parse(text).models]
    added = ModelSettings(name="n", aliases=("x",))
    with pytest.raises(ConfigError, match=r"write these entries by hand and reload: .*name: n"):
        rewrite_models(text, [*models, added], parse=parse)
