"""Mixtures of base and tuned weights: exact at both ends, and nothing in between that is in neither."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from kit.tiny_models import save_tiny_model
from kit.tuning import save_tuned
from umekomi.errors import BrokenModel, InvalidInput, UnsupportedModel
from umekomi.models.bundle import Bundle
from umekomi.models.sources import open_model
from umekomi.train.fitting.loading import open_sentence_model
from umekomi.train.merging.merge import mix, open_merge

torch = pytest.importorskip("torch")

floats = arrays.arrays(np.float32, 6, elements=st.floats(-1e3, 1e3, width=32))


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return open_model(str(save_tiny_model(tmp_path_factory.mktemp("base") / "bert")))


@given(floats, floats, st.floats(0, 1))
def test_a_mixture_lies_between_its_ends_and_is_exact_at_both(
    first: np.ndarray, second: np.ndarray, alpha: float
) -> None:
    base, tuned = torch.from_numpy(first), torch.from_numpy(second)
    mixed = mix(base, tuned, alpha).numpy()
    exact = first.astype(np.float64) + alpha * (second.astype(np.float64) - first)
    np.testing.assert_allclose(mixed, exact, atol=1e-3, rtol=1e-6)
    assert (mix(base, tuned, 0).numpy() == first).all()
    assert (mix(base, tuned, 1).numpy() == second).all()
    assert mix(base, base, alpha).numpy().tobytes() == first.tobytes()


def test_whole_numbers_stay_the_bases() -> None:
    positions = torch.arange(4)
    assert mix(positions, positions + 1, 0.5) is positions


def test_both_ends_of_a_merge_are_the_models_that_it_is_made_of(base: Bundle, tmp_path: Path) -> None:
    tuned = save_tuned(base, tmp_path / "tuned", spread=0.3)
    texts = ["the green apple", "東京は日本の首都です。"]
    with open_merge(base, tuned, device="cpu", threads=1) as merge:
        for alpha, folder in ((1.0, tuned), (0.0, base.folder), (1.0, tuned)):
            [part] = merge.candidate(alpha).iter_embed(texts, role="document")
            alone = open_sentence_model(folder).encode(texts, prompt="")
            np.testing.assert_array_equal(part.vectors, alone)
        half, again = merge.candidate(0.5), merge.candidate(0.5)
        assert half.fingerprint == again.fingerprint
        assert len({merge.candidate(alpha).fingerprint for alpha in (0, 0.3, 0.5, 0.7, 1)}) == 5


def test_candidates_of_one_merge_keep_their_own_weights_when_used_in_turn(base: Bundle, tmp_path: Path) -> None:
    with open_merge(base, save_tuned(base, tmp_path / "tuned", spread=0.3), device="cpu", threads=1) as merge:
        candidates = {alpha: merge.candidate(alpha) for alpha in (0.0, 0.3, 1.0)}
        alone = {alpha: next(each.iter_embed(["a"], role="query")).vectors for alpha, each in candidates.items()}
        parts = {
            alpha: each.iter_embed(["a"] * 3, role="query", window_texts=1) for alpha, each in candidates.items()
        }
        for _ in range(3):
            for alpha, part in parts.items():
                np.testing.assert_array_equal(next(part).vectors, alone[alpha])


def test_a_training_that_changed_nothing_is_the_base_at_every_alpha(base: Bundle, tmp_path: Path) -> None:
    with open_merge(base, save_tuned(base, tmp_path / "tuned", spread=0), device="cpu", threads=1) as merge:
        assert merge.candidate(0.3).fingerprint == merge.candidate(1).fingerprint == merge.candidate(0).fingerprint
        for alpha in (-0.1, 1.1):
            with pytest.raises(InvalidInput, match="alpha"):
                merge.take(alpha)


def test_what_is_no_tuned_base_is_refused_by_name(base: Bundle, tmp_path: Path) -> None:
    other = open_model(str(save_tiny_model(tmp_path / "wide", changes={"type_vocab_size": 3})))
    another = open_model(str(save_tiny_model(tmp_path / "other", "distilbert")))
    for stranger, words in ((other, "shape"), (another, "only the base has")):
        with pytest.raises(BrokenModel, match=words), open_merge(base, stranger.folder, device="cpu"):
            pass
    diverged = save_tuned(base, tmp_path / "diverged", spread=float("nan"))
    with pytest.raises(BrokenModel, match="not finite"), open_merge(base, diverged, device="cpu"):
        pass
    (diverged / "adapter_config.json").write_text("{}")
    with pytest.raises(UnsupportedModel, match="merge them"), open_merge(base, diverged, device="cpu"):
        pass
