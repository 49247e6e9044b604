"""Real trainings of a tiny model: they are the same each time, go on after any end, and stop when they must."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kit.fitting import (
    PROMPTS,
    Watching,
    as_rows,
    losses,
    open_base,
    ranking_data,
    run_fit,
    save_base,
    scored,
    settings,
    start_fit,
    tensors,
)
from kit.model_folders import edit_json
from kit.tiny_models import save_tiny_reranker
from umekomi.errors import ConfigError, EngineError, StoreError
from umekomi.train.fitting.fit import FITTED, Fitted, fit
from umekomi.train.fitting.keeping.checkpoints import SEAL, find_whole
from umekomi.train.fitting.keeping.curve import CURVE
from umekomi.train.fitting.lessons import scoring, teaching

pytest.importorskip("sentence_transformers")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_base(tmp_path_factory.mktemp("base") / "model")


@pytest.fixture(scope="module")
def whole(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Fitted:
    """A training that nothing disturbed."""
    return run_fit(base, tmp_path_factory.mktemp("whole"))


def same_weights(first: Path, second: Path) -> bool:
    before, after = tensors(first), tensors(second)
    return before.keys() == after.keys() and all(np.array_equal(before[name], after[name]) for name in before)


def stop_at(step: int, how: Callable[[], None]) -> Watching:
    return Watching(at=lambda done: how() if done == step else None)


def test_it_learns_and_tells_every_step(base: Path, whole: Fitted) -> None:
    assert [point.step for point in whole.curve if point.loss is not None] == list(range(1, 13))
    assert [point.step for point in whole.curve if point.dev is not None] == [0, 3, 6, 9, 12]
    assert np.mean(losses(whole)[-4:]) < np.mean(losses(whole)[:4])
    assert not same_weights(base, whole.folder)
    assert list(whole.folder.parent.glob("tensorboard/events*"))
    assert not (whole.folder.parent / "checkpoints").exists()


def test_the_best_step_is_kept(whole: Fitted) -> None:
    dev = {point.step: point.dev for point in whole.curve if point.dev is not None and point.step}
    assert dev[whole.best_step] == max(dev.values())
    job = open_base(whole.folder)
    score = scoring.build_dev_score(ranking_data(), job.card, batch_size=4, seed=0)
    assert score is not None
    from umekomi.train.fitting.loading import build_model

    assert score.measure(build_model(job, max_length=None)) == pytest.approx(dev[whole.best_step], abs=1e-9)


def test_the_same_seed_gives_the_same_curve_and_another_seed_another(
    base: Path, whole: Fitted, tmp_path: Path
) -> None:
    assert as_rows(run_fit(base, tmp_path / "again")) == as_rows(whole)
    assert losses(run_fit(base, tmp_path / "other", seed=1, max_steps=3)) != losses(whole)[:3]


def test_after_kill_9_it_ends_with_the_same_weights(base: Path, whole: Fitted, tmp_path: Path) -> None:
    with start_fit(base, tmp_path, stop_at=7) as child:
        assert child.stdout is not None
        assert b"stopped\n" in iter(child.stdout.readline, b"")
        child.kill()
    assert child.returncode == -signal.SIGKILL
    watch = Watching()
    resumed = run_fit(base, tmp_path, watch=watch)
    assert any("going on after step 6" in notice for notice in watch.notices)
    assert same_weights(resumed.folder, whole.folder)
    assert as_rows(resumed) == as_rows(whole)


def test_ctrl_c_keeps_the_step_and_what_is_half_written_is_not_gone_on_with(
    base: Path, whole: Fitted, tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        run_fit(base, tmp_path, watch=stop_at(5, lambda: os.kill(os.getpid(), signal.SIGINT)))
    assert find_whole(tmp_path / "checkpoints")[-1].step == 5
    for step, spoil in ((7, lambda path: (path / SEAL).unlink()), (8, cut_short)):
        copy = tmp_path / f"checkpoints/checkpoint-{step}"
        shutil.copytree(tmp_path / "checkpoints/checkpoint-5", copy)
        spoil(copy)
    watch = Watching()
    resumed = run_fit(base, tmp_path, watch=watch)
    assert "after step 5" in watch.notices[0]
    assert same_weights(resumed.folder, whole.folder)
    assert as_rows(resumed) == as_rows(whole)


def cut_short(path: Path) -> None:
    with (path / "optimizer.pt").open("r+b") as file:
        file.truncate(1000)


def test_a_finished_fit_is_given_back(base: Path, whole: Fitted) -> None:
    before = (whole.folder / "model.safetensors").stat().st_mtime_ns
    again = run_fit(base, whole.folder.parent)
    assert again == whole
    assert (whole.folder / "model.safetensors").stat().st_mtime_ns == before


def test_a_note_of_a_finished_fit_that_is_damaged_is_named(base: Path, whole: Fitted, tmp_path: Path) -> None:
    shutil.copytree(whole.folder.parent, tmp_path / "copy")
    for content in ("{}", "[", '{"notes": [], "steps": 1}'):
        (tmp_path / "copy" / FITTED).write_text(content)
        with pytest.raises(StoreError, match="delete it to fit again"):
            run_fit(base, tmp_path / "copy")


def test_a_learning_rate_of_0_leaves_every_weight_as_it_was(base: Path, tmp_path: Path) -> None:
    fitted = run_fit(base, tmp_path, learning_rate=0.0, evaluations=6, patience=2)
    assert same_weights(base, fitted.folder)
    assert fitted.ended == "no better dev score in 2 evaluations"
    assert max(point.step for point in fitted.curve) == 6


def test_numbers_that_are_none_stop_it_and_name_the_last_good_checkpoint(base: Path, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"last good checkpoint is .*checkpoint-1 of step 1\b.*--learning-rate"):
        run_fit(base, tmp_path, learning_rate=1e38, evaluations=12, warmup_share=0.5)
    kept = {each.step: each for each in find_whole(tmp_path / "checkpoints")}
    assert same_weights(kept[1].path, base)  # the rate of the first step of a warm-up is 0


def test_a_score_under_another_name_is_noticed_before_the_first_step(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoring, "NDCG", "dev_ndcg@10")
    with pytest.raises(EngineError, match=r"'dev_ndcg@10' is not among.*dev_cosine_ndcg@10"):
        run_fit(base, tmp_path)
    assert (tmp_path / CURVE).read_bytes() == b""
    assert not find_whole(tmp_path / "checkpoints")


def test_prompts_are_trained_and_saved(base: Path, whole: Fitted, tmp_path: Path) -> None:
    bare = Path(shutil.copytree(base, tmp_path / "bare"))
    edit_json(bare / "config_sentence_transformers.json", prompts={}, similarity_fn_name="dot")
    written_out = ranking_data()
    written_out = replace(
        written_out,
        train=tuple(
            replace(each, query=PROMPTS["query"] + each.query, positive=PROMPTS["document"] + each.positive)
            for each in written_out.train
        ),
    )
    without = run_fit(bare, tmp_path / "without", max_steps=2)
    by_hand = run_fit(bare, tmp_path / "by-hand", data=written_out, epochs=3)
    assert losses(by_hand) == losses(whole)
    assert losses(without) != losses(whole)[:2]
    saved = json.loads((whole.folder / "config_sentence_transformers.json").read_text())
    assert saved["prompts"] == PROMPTS
    assert open_base(whole.folder).card.prompts == PROMPTS


def test_short_texts_are_a_matter_of_training_only(base: Path, tmp_path: Path) -> None:
    fitted = run_fit(base, tmp_path, max_length=8, max_steps=2)
    assert open_base(fitted.folder).card.max_tokens == open_base(base).card.max_tokens


def test_adapters_are_merged_and_all_of_it_goes_on(base: Path, tmp_path: Path) -> None:
    undisturbed = run_fit(base, tmp_path / "whole", lora_rank=2, learning_rate=1e-2)
    with pytest.raises(KeyboardInterrupt):
        watch = stop_at(5, lambda: os.kill(os.getpid(), signal.SIGTERM))
        run_fit(base, tmp_path / "cut", watch=watch, lora_rank=2, learning_rate=1e-2)
    resumed = run_fit(base, tmp_path / "cut", lora_rank=2, learning_rate=1e-2)
    assert same_weights(undisturbed.folder, resumed.folder)
    trained, before = tensors(resumed.folder), tensors(base)
    assert trained.keys() == before.keys()
    moved = {name for name in before if not np.array_equal(trained[name], before[name])}
    assert moved and all(name.endswith("weight") and "embeddings" not in name for name in moved)
    best = max(point.dev for point in resumed.curve if point.dev is not None and point.step)
    bundle = open_base(resumed.folder)
    score = scoring.build_dev_score(ranking_data(), bundle.card, batch_size=4, seed=0)
    from umekomi.train.fitting.loading import build_model

    assert score is not None
    assert score.measure(build_model(bundle, max_length=None)) == pytest.approx(best, abs=0.02)


def test_checkpointing_gradients_changes_memory_and_nothing_else(base: Path, whole: Fitted, tmp_path: Path) -> None:
    assert as_rows(run_fit(base, tmp_path, gradient_checkpointing=True)) == as_rows(whole)


def test_fewer_dimensions_are_trained_beside_all(base: Path, whole: Fitted, tmp_path: Path) -> None:
    fitted = run_fit(base, tmp_path / "nested", matryoshka=(16, 8), max_steps=2)
    assert losses(fitted)[0] > 2 * losses(whole)[0]  # three losses, the smaller ones worse
    with pytest.raises(ConfigError, match=r"--matryoshka 32.*below the model's 32"):
        run_fit(base, tmp_path / "wrong", matryoshka=(32,))


def test_scored_pairs_are_trained_by_their_order(base: Path, tmp_path: Path) -> None:
    plain = ranking_data(train=64, dev=24)
    data = replace(plain, objective="similarity", train=scored(plain.train), dev=scored(plain.dev))
    fitted = run_fit(base, tmp_path, data=data, learning_rate=3e-3, epochs=4)
    assert fitted.dev_metric.startswith("Spearman")
    assert all(-1 <= point.dev <= 1 for point in fitted.curve if point.dev is not None)
    assert np.mean(losses(fitted)[-8:]) < 0.9 * np.mean(losses(fitted)[:8])


def test_ratings_are_trained_beside_pairs(base: Path, whole: Fitted, tmp_path: Path) -> None:
    ratings = scored(ranking_data(train=24).train)
    fitted = fit(ranking_data(), settings(base), tmp_path, Watching(), bundle=open_base(base), preferences=ratings)
    assert fitted.steps == whole.steps + 3 * 3
    assert len(losses(fitted)) == fitted.steps


def test_a_reranker_is_asked_once_and_its_order_taught(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    teacher = save_tiny_reranker(tmp_path / "teacher", "bert")
    texts = [each.positive for each in ranking_data().train]
    data = ranking_data()
    data = replace(
        data,
        train=tuple(
            replace(each, negatives=(texts[(row + 3) % 32], texts[(row + 9) % 32]))
            for row, each in enumerate(data.train)
        ),
    )
    how = {"data": data, "distill": str(teacher), "learning_rate": 3e-3, "batch_size": 4}
    fitted = run_fit(base, tmp_path / "first", **how)
    assert np.mean(losses(fitted)[-8:]) < np.mean(losses(fitted)[:8])
    (kept,) = (tmp_path / "first").glob("teacher-*.npy")
    assert np.load(kept).shape == (32, 3)
    (tmp_path / "second").mkdir()
    shutil.copy(kept, tmp_path / "second")
    monkeypatch.setattr(teaching, "open_reranker", None)
    assert losses(run_fit(base, tmp_path / "second", max_steps=1, **how))[:1] == losses(fitted)[:1]
    with pytest.raises(ConfigError, match="--negatives"):
        run_fit(base, tmp_path / "third", distill=str(teacher))


def test_a_small_disk_is_told_before_anything_is_written(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=1_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(StoreError, match=r"takes up to \d+ MB.*has 1 MB left"):
        run_fit(base, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_disk_that_fills_up_is_told_and_the_last_checkpoint_stays(
    base: Path, whole: Fitted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    written, save = [], torch.save

    def fill_up(content: object, path: str) -> None:
        written.append(path)
        if "checkpoint-6" in str(path):
            full = shutil.disk_usage(tmp_path)._replace(free=10_000)
            monkeypatch.setattr(shutil, "disk_usage", lambda folder: full)
            raise RuntimeError("PytorchStreamWriter failed writing file data/3")
        save(content, path)

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", fill_up)
        with pytest.raises(StoreError, match=r"0 MB left, too little for a checkpoint.*--resume"):
            run_fit(base, tmp_path)
    monkeypatch.undo()
    assert [each.step for each in find_whole(tmp_path / "checkpoints")] == [3]
    assert same_weights(run_fit(base, tmp_path).folder, whole.folder)


def test_scored_pairs_have_nothing_to_be_ordered(base: Path, tmp_path: Path) -> None:
    plain = ranking_data()
    data = replace(plain, objective="similarity", train=scored(plain.train), dev=scored(plain.dev))
    with pytest.raises(ConfigError, match="these pairs have scores"):
        run_fit(base, tmp_path, data=data, distill="BAAI/bge-reranker-base")
