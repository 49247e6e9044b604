"""The verdict on outcomes whose truth is known: nothing, a gain, a loss; many queries of few documents."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.proofs import ranked_twice, trial
from umekomi.prove.comparing import Trial
from umekomi.prove.verdict import Decision, decide

TRAININGS = 400
FEW_RESAMPLES = 200


def judge(*trials: Trial, tolerated_loss: float = 0.01, resamples: int = 500) -> Decision:
    return decide(trials, tolerated_loss=tolerated_loss, resamples=resamples, seed=0)


def shares(make: Callable[[np.random.Generator], Sequence[Trial]], trainings: int = TRAININGS) -> dict[str, float]:
    """How often each verdict comes, over trainings that differ by chance only."""
    verdicts = Counter(
        judge(*make(np.random.default_rng([7, number])), resamples=FEW_RESAMPLES).verdict
        for number in range(trainings)
    )
    return {name: verdicts[name] / trainings for name in ("IMPROVED", "TIED", "REGRESSED")}


def queries(rng: np.random.Generator, documents: int, each: int, *, gain: float = 0.0) -> Trial:
    base, tuned, of = ranked_twice(rng, documents, each, gain=gain)
    return trial(base, tuned, groups=of.tolist())


def alone(rng: np.random.Generator, items: int, name: str) -> Trial:
    base, tuned, _ = ranked_twice(rng, items, 1)
    return trial(base, tuned, part="general", dataset=name)


def rated(rng: np.random.Generator, groups: int, each: int, *, loss: float = 0.0) -> Trial:
    """Cosines of two models that follow people's ratings equally well, or the second less by ``loss``."""
    of = np.repeat(np.arange(groups), each)
    people = rng.normal(0, 1, len(of)) + rng.normal(0, 0.7, groups)[of]
    noise = [rng.normal(0, 0.3, groups)[of] + rng.normal(0, 0.3, len(of)) for _ in range(2)]
    both = 0.7 * people + rng.normal(0, 0.5, len(of))
    base, tuned = both + noise[0], both * (1 - loss) + noise[1]
    return trial(base, tuned, groups=of.tolist(), part="preference", reduction="spearman", reference=people)


# 5 % of 400 is 20; chance alone brings 29 or more once in 40 times, and the seed is fixed.
MOST_FALSE = 29 / TRAININGS

NOTHING_CHANGED: dict[str, Callable[[np.random.Generator], Sequence[Trial]]] = {
    "six documents of 20 queries": lambda rng: [queries(rng, 6, 20)],
    "14 documents of 9 queries": lambda rng: [queries(rng, 14, 9)],
    "120 documents of one query": lambda rng: [queries(rng, 120, 1)],
    "a domain and two general sets": lambda rng: [queries(rng, 14, 9), alone(rng, 40, "a"), alone(rng, 60, "b")],
    "ratings of eight groups": lambda rng: [rated(rng, 8, 12)],
}


@pytest.mark.parametrize("kind", NOTHING_CHANGED)
def test_a_training_that_changed_nothing_is_tied(kind: str) -> None:
    found = shares(NOTHING_CHANGED[kind])
    assert found["IMPROVED"] + found["REGRESSED"] <= MOST_FALSE, found


def test_many_queries_of_few_documents_are_not_many_observations() -> None:
    def far(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return ranked_twice(rng, 14, 9, together=1.5)

    def by_document(rng: np.random.Generator) -> list[Trial]:
        base, tuned, of = far(rng)
        return [trial(base, tuned, groups=of.tolist())]

    def by_query(rng: np.random.Generator) -> list[Trial]:
        base, tuned, _ = far(rng)
        return [trial(base, tuned)]

    assert shares(by_document)["TIED"] >= 1 - MOST_FALSE
    assert shares(by_query, 100)["TIED"] < 0.75, (
        "the made-up documents do not move together: the test shows nothing"
    )


def test_a_gain_and_a_loss_are_found() -> None:
    assert shares(lambda rng: [queries(rng, 20, 10, gain=0.5)], 60)["IMPROVED"] >= 0.9
    assert shares(lambda rng: [queries(rng, 20, 10, gain=-0.5)], 60)["REGRESSED"] >= 0.9
    assert shares(lambda rng: [rated(rng, 20, 10, loss=0.6)], 60)["REGRESSED"] >= 0.9


def test_a_gain_does_not_excuse_what_was_forgotten() -> None:
    base, tuned, of = ranked_twice(np.random.default_rng(0), 20, 10, gain=0.8)
    kept = np.random.default_rng(1).random(60)
    gained = trial(base, tuned, groups=of.tolist())
    found = judge(gained, trial(kept, kept - 0.05, part="general", dataset="news"))
    assert found.verdict == "REGRESSED"
    assert "nDCG@10 rose" in found.sentence
    assert "on news fell" in found.sentence
    assert "more than the tolerated 0.010" in found.sentence
    within = judge(gained, trial(kept, kept - 0.05, part="general", dataset="news"), tolerated_loss=0.06)
    assert within.verdict == "IMPROVED"
    assert "within the tolerated 0.060" in within.sentence


def test_a_gain_on_a_general_set_alone_is_no_improvement() -> None:
    kept = np.random.default_rng(1).random(60)
    assert judge(trial(kept, kept), trial(kept, kept + 0.05, part="general")).verdict == "TIED"


def test_what_people_rated_counts_as_trained() -> None:
    rng = np.random.default_rng(3)
    base, _, of = ranked_twice(rng, 10, 5)
    people = rng.normal(size=200)
    pairs = trial(
        people + rng.normal(0, 2, 200),
        people + rng.normal(0, 0.3, 200),
        groups=np.repeat(np.arange(20), 10).tolist(),
        part="preference",
        reduction="spearman",
        reference=people,
    )
    found = judge(trial(base, base, groups=of.tolist()), pairs)
    assert found.verdict == "IMPROVED"
    assert "Spearman on preference rose" in found.sentence


def test_the_same_outcomes_are_tied_exactly() -> None:
    base, _, of = ranked_twice(np.random.default_rng(0), 14, 9)
    found = judge(trial(base, base.copy(), groups=of.tolist()))
    (record,) = found.comparisons
    assert found.verdict == "TIED"
    assert (record.delta, record.ci95, record.p, record.wins, record.losses) == (0, (0, 0), 1, 0, 0)
    assert "before and after, the same for each of 126 test queries of 14 documents" in found.sentence
    assert record.detectable is None


def test_one_document_decides_nothing_and_says_so() -> None:
    base, tuned, _ = ranked_twice(np.random.default_rng(0), 1, 50, gain=3.0)
    found = judge(trial(base, tuned, groups=["handbook"] * 50))
    (record,) = found.comparisons
    assert found.verdict == "TIED"
    assert (record.ci95, record.p, record.verdict) == (None, None, "tied")
    assert "50 test queries of 1 document cannot decide anything; test on 6 documents or more" in found.reasons[0]


@pytest.mark.parametrize(("documents", "verdict"), [(5, "TIED"), (6, "IMPROVED")])
def test_five_documents_are_too_few_however_much_they_gained(documents: int, verdict: str) -> None:
    base, tuned, of = ranked_twice(np.random.default_rng(0), documents, 30, gain=3.0, together=0)
    assert judge(trial(base, tuned, groups=of.tolist())).verdict == verdict


def test_documents_that_are_too_few_beside_other_sets_are_told_of() -> None:
    base, tuned, of = ranked_twice(np.random.default_rng(0), 6, 30, gain=3.0, together=0)
    people = np.random.default_rng(1).normal(size=60)
    pairs = trial(people, people, part="preference", reduction="spearman", reference=people)
    found = judge(trial(base, tuned, groups=of.tolist()), pairs)
    assert found.verdict == "TIED"
    assert any("can hardly decide anything" in each and "7 documents or more" in each for each in found.reasons)


def test_a_tie_says_what_would_have_been_found() -> None:
    base, tuned, of = ranked_twice(np.random.default_rng(2), 14, 9)
    found = judge(trial(base, tuned, groups=of.tolist()))
    (record,) = found.comparisons
    assert found.verdict == "TIED"
    assert record.detectable is not None
    assert f"by {record.detectable:.3f} or more would have been found" in found.reasons[0]
    # 80 % of trainings with that gain would be found: here it is added to every query.
    assert judge(trial(base, tuned - record.delta + record.detectable, groups=of.tolist())).verdict == "IMPROVED"


def test_a_base_that_finds_everything_cannot_be_improved_and_the_report_says_so() -> None:
    of = np.repeat(np.arange(10), 5)
    found = judge(trial(np.ones(50), np.ones(50), groups=of.tolist()))
    assert any("reaches 1.000 already" in each for each in found.reasons)


def test_one_query_that_differs_does_not_make_a_fine_measure() -> None:
    """Its deviation is small, but no test finds a change in one query of 40: six must change."""
    base = np.full(40, 0.5)
    tuned = base.copy()
    tuned[0] = 0.4
    (record,) = judge(trial(base, tuned)).comparisons
    assert record.detectable == pytest.approx(6 * 0.1 / 40)


def test_a_missing_general_set_is_said() -> None:
    base, tuned, of = ranked_twice(np.random.default_rng(0), 14, 9, gain=1.0)
    assert "what was forgotten is not known" in judge(trial(base, tuned, groups=of.tolist())).sentence


def test_a_general_set_that_is_too_small_promises_nothing() -> None:
    base, tuned, of = ranked_twice(np.random.default_rng(0), 14, 9, gain=1.0)
    five = trial(np.ones(5), np.ones(5), part="general", dataset="news")
    found = judge(queries_of(base, tuned, of), five)
    assert found.verdict == "IMPROVED"
    assert found.sentence.endswith("too little of news to tell a loss")
    assert "no loss beyond chance" not in found.sentence


def test_a_loss_that_cannot_be_ruled_out_is_said() -> None:
    base, tuned, of = ranked_twice(np.random.default_rng(0), 14, 9, gain=1.0)
    general = alone(np.random.default_rng(5), 30, "news")
    assert any(
        each.startswith("news: a loss of up to 0.") for each in judge(queries_of(base, tuned, of), general).reasons
    )


def queries_of(base: np.ndarray, tuned: np.ndarray, of: np.ndarray) -> Trial:
    return trial(base, tuned, groups=of.tolist())


@given(seed=st.integers(0, 2**32 - 1), gain=st.floats(-1, 1), documents=st.integers(2, 20))
def test_swapped_models_get_the_opposite_difference_whatever_the_order_of_queries(
    seed: int, gain: float, documents: int
) -> None:
    rng = np.random.default_rng(seed)
    base, tuned, of = ranked_twice(rng, documents, 4, gain=gain)
    order = rng.permutation(len(base))
    (plain,) = judge(queries_of(base, tuned, of), resamples=100).comparisons
    (swapped,) = judge(queries_of(tuned[order], base[order], of[order]), resamples=100).comparisons
    assert swapped.delta == pytest.approx(-plain.delta, abs=1e-12)
    assert swapped.p == pytest.approx(plain.p, abs=1e-3)
    assert (swapped.wins, swapped.losses) == (plain.losses, plain.wins)
