"""Lines that give labels away are found out, and plain texts are not accused."""

from __future__ import annotations

import numpy as np
import pytest

from umekomi.errors import InvalidInput
from umekomi.evaluate.metrics.boilerplate import boilerplate_leak
from umekomi.evaluate.outcomes import Outcome

LABELS = np.arange(120) % 3


def bodies() -> list[str]:
    rng = np.random.default_rng(0)
    return ["。".join(f"これは記事{number}です" for number in rng.integers(0, 10**9, 5)) for _ in LABELS]


def test_a_footer_for_each_label_is_found_out() -> None:
    texts = [f"{body}。\n編集部{label}より" for body, label in zip(bodies(), LABELS, strict=True)]
    leak = boilerplate_leak(texts, LABELS, groups=None, seed=0)
    assert leak.outcome.items.mean() == 1
    assert (leak.chance, leak.covered) == (pytest.approx(1 / 3), 1)
    assert set(leak.lines) == {"編集部0より", "編集部1より", "編集部2より"}
    assert leak.warns(Outcome("linear_probe", np.ones(120)))


def test_a_footer_for_all_tells_nothing() -> None:
    texts = [f"{body}。関連リンクはこちら" for body in bodies()]
    leak = boilerplate_leak(texts, LABELS, groups=None, seed=0)
    assert leak.covered == 1
    assert leak.outcome.items.mean() <= 0.4
    assert not leak.warns(Outcome("linear_probe", np.ones(120)))


def test_texts_without_common_lines_leave_chance() -> None:
    leak = boilerplate_leak(bodies(), LABELS, groups=None, seed=0)
    assert (leak.covered, leak.lines) == (0, ())
    assert leak.outcome.items.mean() <= 0.4


def test_what_one_group_shares_is_learnt_from_no_other_group() -> None:
    group = np.arange(120) // 4
    labels = group % 3
    texts = [f"{body}。第{each}号" for body, each in zip(bodies(), group, strict=True)]
    alone = boilerplate_leak(texts, labels, groups=None, seed=0)
    together = boilerplate_leak(texts, labels, groups=[str(each) for each in group], seed=0)
    assert alone.outcome.items.mean() > 0.9
    assert together.outcome.items.mean() < 0.5


def test_the_same_lines_are_taken_every_time() -> None:
    texts = [
        f"{body}。\n編集部{label}より。A{label}。B{label}" for body, label in zip(bodies(), LABELS, strict=True)
    ]
    first, second = (boilerplate_leak(texts, LABELS, groups=None, seed=1) for _ in range(2))
    assert first.lines == second.lines == tuple(sorted(first.lines, key=first.lines.index))
    with pytest.raises(InvalidInput, match="same label"):
        boilerplate_leak(texts, np.zeros(120, np.int64), groups=None, seed=0)
