"""Which column of a table is what: named by the user, known by its name, or told by its content."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

from umekomi.errors import InvalidInput
from umekomi.evaluate.datasets.tables import Table
from umekomi.evaluate.tasks import TaskKind

ColumnRole: TypeAlias = Literal[
    "text", "label", "first", "second", "score", "query", "positive", "negatives", "document_id", "group", "id"
]

_ROLES: dict[TaskKind, tuple[ColumnRole, ...]] = {
    "labels": ("text", "label"),
    "pairs": ("first", "second", "score"),
    "retrieval": ("query", "positive", "negatives", "document_id"),
}
"""The columns of each kind of task; ``group`` and ``id`` fit any, and ``score`` fits ``retrieval`` too."""

_OPTIONAL: tuple[ColumnRole, ...] = ("negatives", "document_id")

# Names without case, spaces and signs, the likeliest first. The forms are those of STS-B, SICK, JSTS, JSICK, BEIR,
# sentence-transformers' and Tevatron's training files, and what people write into spreadsheets.
_NAMES: dict[ColumnRole, tuple[str, ...]] = {
    "text": ("text", "texts", "content", "body", "sentence", "document", "article", "passage", "description",
             "テキスト", "本文", "内容", "文章", "文", "記事"),
    "label": ("label", "labels", "category", "class", "topic", "genre", "intent", "target", "labeltext",
              "ラベル", "カテゴリ", "カテゴリー", "分類", "ジャンル", "種別"),
    "first": ("sentence1", "sentencea", "sentenceaja", "text1", "texta", "sent1", "s1", "first", "文1", "文a"),
    "second": ("sentence2", "sentenceb", "sentencebja", "text2", "textb", "sent2", "s2", "second", "文2", "文b"),
    "score": ("score", "similarity", "similarityscore", "relatedness", "relatednessscore", "relatednessscoreja",
              "label", "gold", "goldscore", "labels", "類似度", "スコア", "評価"),
    "query": ("query", "question", "anchor", "質問", "クエリ", "検索語"),
    "positive": ("positive", "positives", "pos", "positivepassages", "document", "doc", "passage", "answer",
                 "context", "正例", "文書", "回答", "答え"),
    "negatives": ("negatives", "negative", "neg", "hardnegatives", "hardnegative", "negativepassages", "負例"),
    "document_id": ("chunkid", "passageid", "positiveid", "corpusid"),
    "group": ("group", "groups", "groupid", "グループ"),
    "id": ("id", "uid", "textid", "sentencepairid", "pairid", "番号"),
}  # fmt: skip

_GAINS = ("relevance", "relevancelabel", "gain", "rel", "関連度")
"""Names of scores beside queries and their documents."""

_JUDGEMENTS = ("label", "score")
"""Names that mean a judgement there too, if their values are whole numbers from 0, with a 0 among them: mined
training data has columns of these names with other meanings."""
_MAX_JUDGEMENT = 10

_PAIR_GROUPS = ("source", "sourceid", "documentid", "docid", "出典")
"""Names of groups beside queries and their documents: the document that both were made from. Beside labels, such a
column may be the label by another word, and so is not taken without being asked for."""

_MAX_LABEL_CHARACTERS = 50
_LABEL_REPEATS = 2
"""A column whose values come twice or more on average may be one of labels."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How a table will be read: what kind of task, which column is what, and which of these nobody named."""

    kind: TaskKind
    columns: Mapping[ColumnRole, str]
    guessed: tuple[str, ...]


def plan_columns(table: Table, named: Mapping[ColumnRole, str], kind: TaskKind | None) -> Plan:
    """Decide over ``table`` what is read as what.

    named  columns that the user named; they also tell the kind
    kind   what the table is to be taken for; by the columns where None

    Raises `InvalidInput`, which names the columns that are there.
    """
    for role, column in named.items():
        if column not in table.columns:
            raise InvalidInput(
                f"{table.name}: no column '{column}' for {role}; there are {listed(table.columns)}", param=role
            )
    fitting = _kind_of(named)
    if kind and fitting not in (None, kind):
        raise InvalidInput(f"{', '.join(named)} are no columns of a data set of kind {kind}", param="columns")
    kind = kind or fitting or _guess_kind(table)
    columns = dict(named)
    for role in _ROLES[kind]:
        if role not in columns and (found := _find(table, _NAMES[role], columns, numbered=role == "text")):
            columns[role] = found
    groups = _NAMES["group"] + (_PAIR_GROUPS if kind == "retrieval" else ())
    for role, names in (("group", groups), ("id", _NAMES["id"])):
        if role not in columns and (found := _find(table, names, columns)):
            columns[role] = found
    if kind == "retrieval" and "score" not in columns and (found := _find_gain(table, columns)):
        columns["score"] = found
    if kind == "labels":
        _find_by_content(table, columns)
    for role in _ROLES[kind]:
        if role not in columns and role not in _OPTIONAL:
            raise _missing(table, role, kind)
    columns = {role: columns[role] for role in get_args(ColumnRole) if role in columns}
    return Plan(kind, columns, tuple(role for role in columns if role not in named))


def check_uses(named: Mapping[str, str]) -> dict[ColumnRole, str]:
    """``named`` as columns by their use. Raises `InvalidInput` for a use that there is not."""
    uses: dict[str, ColumnRole] = {role: role for role in get_args(ColumnRole)}
    for use in named:
        if use not in uses:
            raise InvalidInput(f"no use '{use}' of a column; there are {', '.join(uses)}", param="columns")
    return {uses[use]: column for use, column in named.items()}


def listed(columns: Sequence[str]) -> str:
    """Names of columns in a message."""
    return ", ".join(f"'{column}'" for column in columns) or "none"


def _kind_of(named: Mapping[ColumnRole, str]) -> TaskKind | None:
    """The kind whose columns were named; None where those named fit any."""
    kinds = [kind for kind in get_args(TaskKind) if set(_ROLES[kind]) & set(named)]
    if len(kinds) > 1 and "score" in named:  # of pairs, or of judgements
        kinds = [kind for kind in kinds if kind != "pairs" or {"first", "second"} & set(named)]
    if len(kinds) > 1:
        raise InvalidInput(
            f"columns of different kinds of data set were named: {', '.join(named)}; name text and label, or "
            f"first, second and score, or query and positive"
        )
    return kinds[0] if kinds else None


def _guess_kind(table: Table) -> TaskKind:
    """Pairs with a score before queries with documents before labels: the more columns have to fit, the surer."""
    if _find(table, _NAMES["first"], {}) and _find(table, _NAMES["second"], {}):
        return "pairs"
    if (query := _find(table, _NAMES["query"], {})) and _find(table, _NAMES["positive"], {"query": query}):
        return "retrieval"
    return "labels"


def _find(
    table: Table, names: Sequence[str], taken: Mapping[ColumnRole, str], *, numbered: bool = False
) -> str | None:
    """The free column that comes first in ``names``; None where there is none.

    numbered  a column whose name ends in a number is known without it too
    """
    free = [column for column in table.columns if column not in taken.values()]
    for known in (_plain, _without_number) if numbered else (_plain,):
        by_name = {known(column): column for column in reversed(free)}
        if found := next((by_name[name] for name in names if name in by_name), None):
            return found
    return None


def _find_gain(table: Table, taken: Mapping[ColumnRole, str]) -> str | None:
    if found := _find(table, _GAINS, taken):
        return found
    column = _find(table, _JUDGEMENTS, taken)
    return column if column and _are_judgements(table.values(column)) else None


def _are_judgements(values: Sequence[Any]) -> bool:
    numbers = {float(str(value)) if _is_number(str(value)) else -1.0 for value in values}
    return 0.0 in numbers and all(number.is_integer() and 0 <= number <= _MAX_JUDGEMENT for number in numbers)


def _plain(column: str) -> str:
    folded = unicodedata.normalize("NFKC", column).casefold()
    return "".join(char for char in folded if char.isalnum())


def _without_number(column: str) -> str:
    """``content512`` is a content."""
    return re.sub(r"\d+$", "", _plain(column))


def _find_by_content(table: Table, columns: dict[ColumnRole, str]) -> None:
    """Fill in what the names did not tell: the longest column of texts, and the one whose values repeat."""
    if "text" not in columns:
        texts = {c: _mean_length(table.values(c)) for c in table.columns if c not in columns.values()}
        if texts and max(texts.values()) > 0:
            columns["text"] = max(texts, key=lambda column: texts[column])
    if "label" not in columns:
        free = [c for c in table.columns if c not in columns.values() and _may_be_labels(table.values(c))]
        if len(free) > 1:
            raise InvalidInput(
                f"{table.name}: {listed(free)} may each be the labels; name one with --label", param="label"
            )
        if free:
            columns["label"] = free[0]


def _mean_length(values: Sequence[Any]) -> float:
    """Mean length of texts; 0 where a value is none, or all are numbers."""
    if not all(value is None or isinstance(value, str) for value in values):
        return 0.0
    texts = [value for value in values if value and value.strip()]
    if not texts or all(_is_number(text) for text in texts):
        return 0.0
    return sum(map(len, texts)) / len(texts)


def _may_be_labels(values: Sequence[Any]) -> bool:
    labels = [str(value) for value in values if value is not None and value != ""]
    kinds = set(labels)
    return (
        all(isinstance(value, str | int | bool | None) for value in values)
        and 2 <= len(kinds) <= len(labels) / _LABEL_REPEATS
        and max(map(len, kinds)) <= _MAX_LABEL_CHARACTERS
    )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _missing(table: Table, role: ColumnRole, kind: TaskKind) -> InvalidInput:
    what = {"labels": "labels", "pairs": "pairs with scores", "retrieval": "queries and documents"}[kind]
    return InvalidInput(
        f"{table.name}: no column tells the {role} of a data set of {what}; there are {listed(table.columns)}; "
        f"name one with {_option(role)}",
        param=role,
    )


def _option(role: ColumnRole) -> str:
    """How the command line names a column."""
    return f"--{role} COLUMN" if role in ("text", "label", "group") else f"--columns {role}=COLUMN"
