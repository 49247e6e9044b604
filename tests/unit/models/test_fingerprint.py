"""Laws of the fingerprint: what could change a vector changes it, what could not does not."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from umekomi.models.card import DenseLayer, ModelCard

text = st.text(max_size=12)
digest = st.text("0123456789abcdef", min_size=8, max_size=8)
layers = st.builds(
    DenseLayer,
    path=st.sampled_from(["2_Dense", "3_Dense"]),
    in_features=st.integers(1, 4),
    out_features=st.integers(1, 4),
    bias=st.booleans(),
    activation=st.sampled_from(["identity", "tanh", "relu", "gelu", "sigmoid"]),
)
DECIDING: dict[str, st.SearchStrategy[Any]] = {
    "architecture": st.sampled_from(["bert", "xlm-roberta", "luke"]),
    "max_tokens": st.integers(1, 9000),
    "pooling": st.sampled_from(["mean", "cls", "max", "mean_sqrt_len", "weightedmean", "lasttoken"]),
    "normalize": st.booleans(),
    "weights_digest": digest,
    "tokenizer_digest": digest,
    "dense": st.lists(layers, max_size=2).map(tuple),
    "prompts": st.fixed_dictionaries({"query": text, "document": text}),
    "in_pieces": st.booleans(),
    "precision": st.sampled_from(["fp32", "int8", "bf16", "fp16"]),
}
SPEAKING: dict[str, st.SearchStrategy[Any]] = {
    "name": text,
    "source": text,
    "licence": st.none() | text,
    "languages": st.lists(text, max_size=2).map(tuple),
    "notice": st.none() | text,
}
GIVEN_BY_THE_WEIGHTS = {"format", "dim", "capabilities"}
cards = st.builds(ModelCard, format=st.just("safetensors"), dim=st.integers(1, 9), **DECIDING, **SPEAKING)


def test_every_field_of_a_card_is_sorted_into_one_kind() -> None:
    assert {field.name for field in fields(ModelCard)} == {*DECIDING, *SPEAKING, *GIVEN_BY_THE_WEIGHTS}


@given(cards, st.data())
def test_a_field_that_decides_vectors_decides_the_fingerprint(card: ModelCard, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(DECIDING)))
    value = data.draw(DECIDING[name])
    changed = replace(card, **{name: value})
    assert (changed.fingerprint == card.fingerprint) == (value == getattr(card, name))


@given(cards, st.data())
def test_what_a_model_is_called_does_not_enter(card: ModelCard, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(SPEAKING)))
    assert replace(card, **{name: data.draw(SPEAKING[name])}).fingerprint == card.fingerprint


@given(cards)
def test_an_absent_prompt_is_an_empty_one(card: ModelCard) -> None:
    stated = {role: prompt for role, prompt in card.prompts.items() if prompt}
    assert replace(card, prompts=stated).fingerprint == card.fingerprint
    assert card.with_prompts({}).fingerprint == card.fingerprint
