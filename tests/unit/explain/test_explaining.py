"""A planted direction is found, noise is not, and rows that repeat a group are no further evidence."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kit.evaluating import RecordingWatch
from kit.studies import study_of
from umekomi.explain.explaining import explain
from umekomi.explain.regressing import Regression, regress
from umekomi.explain.settings import ExplainSettings

QUICK = ExplainSettings(permutations=60, resamples=400)
DIM = 24


def made_up(seed: int, *, effect: float, groups: int = 60, repeats: int = 3, dim: int = DIM) -> Regression:
    """Groups whose rows repeat one vector; the target has something of the group and of the row."""
    rng = np.random.default_rng(seed)
    member = np.repeat(np.arange(groups), repeats)
    vectors = rng.standard_normal((groups, dim)).astype(np.float32)[member]
    direction = rng.standard_normal(dim) / np.sqrt(dim)
    target = (
        effect * vectors @ direction + rng.standard_normal(groups)[member] + 0.3 * rng.standard_normal(len(member))
    )
    return regress(study_of(target, member), {"text": vectors}, QUICK)


def test_a_planted_direction_is_found() -> None:
    regression = made_up(1, effect=3.0)
    found = explain(regression, {"name": "made up"}, QUICK, RecordingWatch())
    assert found.verdict == "signal"
    assert 0.6 < found.grouped_r2.value < 0.95
    assert found.grouped_r2.ci95[0] < found.grouped_r2.value < found.grouped_r2.ci95[1]
    assert found.null.highest < 0.3
    rng = np.random.default_rng(1)
    rng.standard_normal((60, DIM))
    planted = rng.standard_normal(DIM)
    weights = {each.column: each.coefficient for each in found.coefficients}
    mine = np.array([weights[f"text[{number}]"] for number in range(DIM)])
    assert mine @ planted / np.linalg.norm(mine) / np.linalg.norm(planted) > 0.9
    assert any(each.q <= 0.05 for each in found.coefficients)


def test_groups_are_never_split_and_noise_is_rarely_taken_for_a_signal() -> None:
    """20 times 128 dimensions of noise, rows that repeat groups. At a rate of 5 %, 4 or more have chance 1.6 %."""
    found = [made_up(seed, effect=0.0, dim=128) for seed in range(20)]
    assert sum(each.verdict == "signal" for each in found) <= 3
    assert sum(each.p <= 0.05 for each in found) <= 4
    for each in found[:3]:
        member = each.study.groups
        assert all(len(set(each.folds[member == group])) == 1 for group in range(60))


def test_noise_is_not_ranked() -> None:
    regression = made_up(2, effect=0.0, dim=128)
    found = explain(regression, {"name": "made up"}, QUICK, RecordingWatch())
    assert found.verdict == "no detectable signal"
    assert "No detectable signal" in found.sentence
    assert (found.coefficients, found.directions, found.rotation) == ((), (), ())
    assert [each.contribution for each in found.blocks] == [None]


def test_a_group_that_every_row_of_the_naive_fit_knows_is_no_signal() -> None:
    """Each group has a vector and a level of its own: split by rows, that is learnt by heart."""
    member = np.repeat(np.arange(40), 12)
    rng = np.random.default_rng(7)
    vectors = rng.standard_normal((40, DIM)).astype(np.float32)[member]
    target = 4 * rng.standard_normal(40)[member] + 0.1 * rng.standard_normal(len(member))
    by_row = regress(study_of(target, np.arange(len(member))), {"text": vectors}, QUICK)
    by_group = regress(study_of(target, member), {"text": vectors}, QUICK)
    assert by_row.verdict == "signal" and by_row.r2.value > 0.3
    assert by_group.verdict == "no detectable signal"


@pytest.mark.parametrize("planted_on_one", [True, False])
def test_rotation_tells_a_dimension_from_a_direction(planted_on_one: bool) -> None:
    rng = np.random.default_rng(3)
    vectors = rng.standard_normal((200, DIM)).astype(np.float32)
    direction = np.eye(DIM)[5] if planted_on_one else np.sin(np.arange(DIM) + 1) / 3
    target = vectors @ direction * 2 + rng.standard_normal(200)
    study = study_of(target, np.arange(200))
    found = explain(regress(study, {"text": vectors}, QUICK), {"name": "m"}, QUICK, RecordingWatch())
    (check,) = found.rotation
    assert all(abs(r2 - found.grouped_r2.value) < 0.05 for r2 in check.r2)
    assert check.single_dimensions is planted_on_one
    assert ("dimension 5 " in check.sentence) is planted_on_one
    assert len(set(check.ranks)) > 1


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 5), factor=st.sampled_from([-1000.0, -1.0, 1e-6, 3.0, 1e8]), shift=st.floats(-100, 100))
def test_the_scale_of_a_target_decides_nothing(seed: int, factor: float, shift: float) -> None:
    rng = np.random.default_rng(seed)
    member = np.repeat(np.arange(20), 2)
    vectors = rng.standard_normal((20, 4)).astype(np.float32)[member]
    target = (seed % 2) * 2 * vectors[:, 0] + rng.standard_normal(40)
    plain = regress(study_of(target, member), {"text": vectors}, QUICK)
    scaled = regress(study_of(factor * target + factor * shift, member), {"text": vectors}, QUICK)
    assert scaled.verdict == plain.verdict
    assert scaled.r2.value == pytest.approx(plain.r2.value, abs=1e-6)
