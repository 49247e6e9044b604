"""Gradient caching must not show: a loss in parts is the loss of the whole batch."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sentence_transformers")

from sentence_transformers.sentence_transformer import losses  # noqa: E402

from umekomi.train.fitting.lessons.losses import CachedLoss  # noqa: E402

ROWS, DIM = 6, 5


class Lookup(torch.nn.Module):  # type: ignore[misc]
    """A model whose vectors are rows of a table."""

    def __init__(self) -> None:
        super().__init__()
        self.table = torch.nn.Parameter(torch.randn(3 * ROWS, DIM, generator=torch.Generator().manual_seed(1)))

    def forward(self, features: dict[str, Any]) -> dict[str, Any]:
        return {"sentence_embedding": self.table[features["input_ids"][:, 0]]}


def features(columns: int) -> list[dict[str, Any]]:
    return [{"input_ids": torch.arange(ROWS * at, ROWS * (at + 1))[:, None]} for at in range(columns)]


def gradient_of(loss: Any, model: Lookup, columns: int, labels: Any) -> tuple[float, Any]:
    model.table.grad = None
    value = loss(features(columns), labels)
    (3 * value).backward()  # a factor must reach every part
    return float(value.detach()), model.table.grad.clone()


@pytest.mark.parametrize("mini_batch_size", [1, 4, 6, 16])
@pytest.mark.parametrize(
    ("kind", "columns", "labels"),
    [
        (losses.CoSENTLoss, 2, torch.tensor([0.1, 0.9, 0.4, 0.4, 0.0, 1.0])),
        (losses.DistillKLDivLoss, 3, torch.randn(ROWS, 2, generator=torch.Generator().manual_seed(2))),
    ],
)
def test_parts_give_the_loss_and_the_gradient_of_the_whole(
    kind: Any, columns: int, labels: Any, mini_batch_size: int
) -> None:
    model = Lookup()
    whole, expected = gradient_of(kind(model), model, columns, labels)
    in_parts, found = gradient_of(
        CachedLoss(model, kind(model), mini_batch_size=mini_batch_size), model, columns, labels
    )
    assert in_parts == pytest.approx(whole, rel=1e-6)
    assert torch.allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert float(expected.abs().max()) > 1e-3
