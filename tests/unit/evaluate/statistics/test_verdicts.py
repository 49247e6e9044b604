"""Ranks and sentences follow from the pairs, whatever their number."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from umekomi.evaluate.outcomes import Outcome
from umekomi.evaluate.statistics import holm, judge, rank

CHANCES = st.lists(st.floats(0, 1), min_size=1, max_size=30)


def by_definition(p: list[float]) -> list[float]:
    """Holm step by step: the smallest times all, the next times all but one …, never less than the one before."""
    result, most = [0.0] * len(p), 0.0
    for step, at in enumerate(sorted(range(len(p)), key=lambda index: p[index])):
        most = max(most, min(1.0, p[at] * (len(p) - step)))
        result[at] = most
    return result


@given(p=CHANCES)
def test_holms_correction_is_holms(p: list[float]) -> None:
    adjusted = holm(p)
    np.testing.assert_allclose(adjusted, by_definition(p))
    assert all(after >= before for before, after in zip(p, adjusted, strict=True))
    assert all(each <= 1 for each in adjusted)


@given(values=st.lists(st.integers(0, 9), min_size=1, max_size=8), seed=st.integers(0, 99))
def test_a_rank_counts_the_models_that_are_better(values: list[int], seed: int) -> None:
    named = {f"m{at}": float(number) for at, number in enumerate(values)}
    rng = np.random.default_rng(seed)
    tied = [(a, b) for a in named for b in named if a < b and rng.random() < 0.5]
    ranks = rank(named, tied)
    assert min(ranks.values()) == 1
    for name, place in ranks.items():
        better = [
            other for other in named if named[other] > named[name] and tuple(sorted((name, other))) not in tied
        ]
        assert place == 1 + len(better)


def test_being_tied_need_not_carry_over() -> None:
    values = {"a": 0.8, "b": 0.79, "c": 0.78}
    assert rank(values, [("b", "a"), ("b", "c")]) == {"a": 1, "b": 1, "c": 2}
    assert rank(values, []) == {"a": 1, "b": 2, "c": 3}
    assert rank(values, [("a", "b"), ("b", "c"), ("a", "c")]) == {"a": 1, "b": 1, "c": 1}


def models() -> dict[str, Outcome]:
    rng = np.random.default_rng(0)
    easy = rng.beta(1.6, 0.4, 2700)
    rates = {"C": easy - 0.028, "A": easy, "B": easy - 0.03}
    return {name: Outcome("precision@3", rng.binomial(3, np.clip(rate, 0, 1)) / 3) for name, rate in rates.items()}


def test_the_verdict_is_a_sentence() -> None:
    judged = judge(models(), dataset="news", unit="articles")
    first, second = judged.sentence.removesuffix(".").split("; ", 1)
    winner = judged.comparisons[0]
    assert (winner.a, winner.verdict) == ("A", "better")
    low, high = winner.ci95
    assert first == f"A beats {winner.b} by {winner.delta:.3f} [{low:.3f}, {high:.3f}]"
    assert second.endswith("more articles would separate them")
    assert "are tied; about" in second
    assert (judged.ranking[0].model, judged.ranking[0].rank) == ("A", 1)
    assert {each.rank for each in judged.ranking[1:]} == {2}
    assert set(judged.intervals) == {"A", "B", "C"}
    assert all(judged.intervals[name].low < judged.values[name] < judged.intervals[name].high for name in "ABC")


def test_the_sentence_tells_of_models_apart_where_nothing_between_them_does() -> None:
    base = np.random.default_rng(3).standard_normal(400)
    noise = np.random.default_rng(4).standard_normal((3, 400))
    noise -= noise.mean(axis=1, keepdims=True)
    steps = zip("ABC", (0.24, 0.12, 0.0), noise, strict=True)
    judged = judge({name: Outcome("m", base + step + each) for name, step, each in steps}, dataset="d")
    assert [(each.model, each.rank) for each in judged.ranking] == [("A", 1), ("B", 1), ("C", 2)]
    parts = judged.sentence.split("; ")
    assert [part.split(" by ")[0] for part in parts if "beats" in part] == ["A beats C"]
    assert [part for part in parts if "tied" in part] == ["A and B are tied", "B and C are tied"]


def test_the_order_of_models_changes_nothing() -> None:
    found = models()
    backwards = dict(reversed(found.items()))
    assert judge(found, dataset="d") == judge(backwards, dataset="d")


def test_a_model_and_its_copy_share_a_rank() -> None:
    outcome = models()["A"]
    judged = judge({"one": outcome, "two": Outcome("precision@3", outcome.items.copy())}, dataset="d")
    assert judged.sentence == "one and two are tied; no number of texts would separate them."
    assert [each.rank for each in judged.ranking] == [1, 1]
    assert (judged.comparisons[0].p_adjusted, judged.comparisons[0].items_to_separate) == (1, None)


def test_one_model_is_ranked_and_compared_with_nothing() -> None:
    judged = judge({"only": models()["A"]}, dataset="d")
    assert (judged.comparisons, judged.sentence) == ((), "")
    assert judged.ranking[0].rank == 1


def test_a_difference_that_holds_alone_may_not_hold_among_many() -> None:
    rng = np.random.default_rng(1)
    base = rng.standard_normal(200)
    outcomes = {f"m{at}": Outcome("m", base + rng.standard_normal(200)) for at in range(12)}
    judged = judge(outcomes, dataset="d")
    alone = [each for each in judged.comparisons if each.p < 0.05]
    assert alone
    assert all(each.verdict == "tied" and each.items_to_separate for each in alone)
    assert "no number" not in judged.sentence


@pytest.mark.parametrize(("further", "shown"), [(7, "7"), (95, "95"), (391, "400"), (1234, "1,300")])
def test_numbers_of_texts_are_rounded_up_to_two_digits(further: int, shown: str) -> None:
    from umekomi.evaluate.statistics.verdicts import round_up

    assert f"{round_up(further):,}" == shown
