"""Every cause provoked for real, by a server that runs the weights with sentence-transformers, and named."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from kit.embedding_server import Embed, Faults, serving_vectors
from umekomi.embedding.endpoint import Endpoint
from umekomi.evaluate.parity import Comparison, EndpointSide, Reference, ReferenceSide, compare
from umekomi.evaluate.parity.recipes import Recipe
from umekomi.types import Vectors

from .conftest import LIMIT, POSITIONS, TEXTS, TinyModel

BGE = "Represent this sentence for searching relevant passages: "


def against_reference(embed: Embed, reference: Reference, *, faults: Faults | None = None) -> Comparison:
    with serving_vectors(embed, faults=faults) as server, Endpoint(server.base_url, "m") as endpoint:
        return compare(ReferenceSide("REF", reference, Recipe()), EndpointSide("NEW", endpoint, role="raw"), TEXTS)


def between(old: Embed, new: Embed, *, reference: Reference | None = None) -> Comparison:
    with (
        serving_vectors(old) as first,
        serving_vectors(new) as second,
        Endpoint(first.base_url, "m") as one,
        Endpoint(second.base_url, "m") as other,
    ):
        sides = EndpointSide("OLD", one, role="raw"), EndpointSide("NEW", other, role="raw")
        return compare(*sides, TEXTS, reference=reference)


def named(comparison: Comparison) -> list[tuple[str, str]]:
    return [(cause.kind, cause.confidence) for cause in comparison.causes]


def test_the_same_settings_have_no_cause_and_keep_the_index(tiny: TinyModel, reference: Reference) -> None:
    comparison = against_reference(tiny.served(), reference)
    assert comparison.same
    assert comparison.causes == ()
    assert comparison.summary is not None
    assert comparison.summary.least > 0.99999
    assert comparison.overlap == 1


@pytest.mark.parametrize(
    ("settings", "kinds", "words"),
    [
        ({"prompt": "query: "}, ["prefix"], "puts 'query: ' before each text"),
        ({"prompt": BGE}, ["prefix"], f"puts {BGE!r} before each text; REF puts nothing there"),
        ({"pooling": "cls"}, ["pooling"], "the first token"),
        ({"pooling": "max"}, ["pooling"], "the maximum"),
        ({"pooling": "lasttoken"}, ["pooling"], "the last token"),
        ({"limit": 64}, ["truncation"], f"cuts texts after 64 tokens, REF after {LIMIT}"),
        ({"limit": 77}, ["truncation"], "cuts texts after 77 tokens"),
        ({"limit": POSITIONS}, ["truncation"], f"reads at least {POSITIONS} tokens"),
        ({"cut": "left"}, ["truncation"], f"keeps the last {LIMIT} tokens of a long text, REF the first {LIMIT}"),
        ({"prompt": "passage: ", "limit": 70}, ["prefix", "truncation"], "puts 'passage: '"),
        ({"prompt": "query: ", "pooling": "cls"}, ["prefix", "pooling"], "puts 'query: '"),
    ],
)
def test_a_setting_of_the_server_is_named_and_nothing_else(
    tiny: TinyModel,
    reference: Reference,
    settings: dict[str, object],
    kinds: list[str],
    words: str,
) -> None:
    comparison = against_reference(tiny.served(**settings), reference)  # type: ignore[arg-type]
    assert named(comparison) == [(kind, "certain") for kind in kinds]
    assert words in comparison.causes[0].sentence
    assert not comparison.same or kinds == ["truncation"]  # the texts themselves are short


@pytest.mark.parametrize(
    ("clean", "words"),
    [
        (str.lower, "lowers capital letters"),
        (lambda text: " ".join(text.split()), "white space"),
    ],
)
def test_a_cleaning_that_the_texts_do_not_show_is_told_by_texts_that_do(
    tiny: TinyModel, reference: Reference, clean: Callable[[str], str], words: str
) -> None:
    embed = tiny.served()
    comparison = against_reference(lambda texts: embed([clean(text) for text in texts]), reference)
    assert named(comparison) == [("text cleaning", "certain")]
    assert words in comparison.causes[0].sentence
    assert comparison.verdict == "keep"
    assert any("your texts agree" in note for note in comparison.notes)


def test_an_unknown_way_with_long_texts_is_told_as_such(tiny: TinyModel, reference: Reference) -> None:
    embed = tiny.served()

    def without_middle(texts: list[str]) -> Vectors:
        return embed([text if len(text) < 300 else text[:20] + text[-20:] for text in texts])

    comparison = against_reference(without_middle, reference)
    assert named(comparison) == [("truncation", "possible")]
    assert "not on the list" in comparison.causes[0].sentence


def test_missing_unit_length_leaves_cosines_alone_and_says_what_breaks(
    tiny: TinyModel, reference: Reference
) -> None:
    comparison = against_reference(tiny.served(normalize=False), reference)
    assert named(comparison) == [("normalisation", "certain")]
    assert (comparison.verdict, comparison.cosine_only, comparison.same) == ("keep", True, False)


def test_rounded_vectors_are_a_matter_of_precision(tiny: TinyModel, reference: Reference) -> None:
    embed = tiny.served()
    comparison = against_reference(lambda texts: np.round(embed(texts) * 16) / 16, reference)
    assert ("precision", "certain") in named(comparison)
    assert "different values" in next(c for c in comparison.causes if c.kind == "precision").sentence


def test_vectors_that_depend_on_their_company_are_a_matter_of_precision(
    tiny: TinyModel, reference: Reference
) -> None:
    """One scale for a whole batch, as dynamic quantisation by tensor has it."""
    embed = tiny.served()

    def quantised(texts: list[str]) -> Vectors:
        vectors = embed(texts)
        scale = np.abs(vectors).max() / 3.3
        noise = np.sin(vectors * 997) * scale / 12  # what is lost goes by the scale, and the scale by the company
        return np.asarray(vectors + noise * (len(texts) > 1), np.float32)

    comparison = against_reference(quantised, reference)
    assert named(comparison) == [("precision", "certain")]
    assert "same request" in comparison.causes[0].sentence


def test_eight_bit_weights_are_recognised_by_eight_bit_weights(tiny: TinyModel, reference: Reference) -> None:
    """The served model runs in int8: our own, since it is as good an int8 as any."""
    rounded = Recipe(precision="int8")
    comparison = against_reference(lambda texts: reference.vectors(texts, rounded), reference)
    assert comparison.summary is not None
    if comparison.summary.least >= 0.9995:
        assert comparison.causes == ()
    else:
        assert named(comparison) == [("precision", "likely")]


def test_a_cut_dimension_is_told_from_another_model(tiny: TinyModel, reference: Reference) -> None:
    embed = tiny.served()
    cut = against_reference(lambda texts: embed(texts)[:, :16], reference)
    assert named(cut)[0] == ("dimensions", "certain")
    assert cut.dimensions == (32, 16)
    assert cut.verdict == "rebuild"
    unrelated = against_reference(lambda texts: _random(texts, 16), reference)
    assert named(unrelated)[0] == ("another model", "certain")
    assert (unrelated.summary, unrelated.verdict) == (None, "rebuild")


def test_another_model_of_the_same_dimension_is_called_that(reference: Reference) -> None:
    comparison = against_reference(lambda texts: _random(texts, 32), reference)
    assert named(comparison)[0] == ("another model", "likely")
    assert "prefix" not in [cause.kind for cause in comparison.causes]


def test_vectors_in_another_order_are_told(tiny: TinyModel, reference: Reference) -> None:
    comparison = against_reference(tiny.served(), reference, faults=Faults(shuffled=True))
    assert named(comparison) == [("order", "certain")]
    assert comparison.verdict == "rebuild"


def test_over_http_alone_a_prompt_and_a_cut_are_found(tiny: TinyModel) -> None:
    comparison = between(tiny.served(), tiny.served(prompt="passage: ", limit=64))
    assert named(comparison) == [("prefix", "certain"), ("truncation", "certain")]
    assert [cause.side for cause in comparison.causes] == ["NEW", "NEW"]
    assert comparison.causes[0].after is not None
    assert comparison.causes[0].after > 0.9999


def test_over_http_the_side_that_adds_the_prompt_is_named(tiny: TinyModel) -> None:
    [cause] = between(tiny.served(prompt="query: "), tiny.served()).causes
    assert (cause.kind, cause.side) == ("prefix", "OLD")


def test_over_http_alone_a_pooling_stays_honestly_unknown_and_a_reference_names_it(
    tiny: TinyModel, reference: Reference
) -> None:
    [unknown] = between(tiny.served(), tiny.served(pooling="cls")).causes
    assert unknown.kind in ("unknown", "another model")
    assert unknown.confidence == "possible"
    assert "--reference" in unknown.sentence
    both_prompted = tiny.served(prompt="query: "), tiny.served(prompt="query: ", pooling="cls")
    comparison = between(*both_prompted, reference=reference)
    assert [(cause.kind, cause.side) for cause in comparison.causes] == [("pooling", "NEW")]
    assert any(note.startswith("both: puts 'query: '") for note in comparison.notes)


def _random(texts: list[str], dim: int) -> Vectors:
    """Vectors that mean nothing, the same for the same text."""
    rows = [np.random.default_rng(list(text.encode())).normal(size=dim) for text in texts]
    return np.asarray(rows, np.float32)
