"""The curve on disk: live, whole lines only, and without what a resumed run will write again."""

from __future__ import annotations

from pathlib import Path

import pytest

from umekomi.train.fitting.keeping.curve import CURVE, CurvePoint, CurveWriter, read_curve

pytest.importorskip("tensorboardX")

POINTS = [
    CurvePoint(0, 0.0, dev=0.5),
    *(CurvePoint(step, step / 4, loss=1 / step, learning_rate=0.1) for step in (1, 2, 3)),
]


def write(folder: Path, points: list[CurvePoint], *, last_step: int) -> None:
    writer = CurveWriter(folder, last_step=last_step)
    for point in points:
        writer.add(point)
        assert read_curve(folder)[-1] == point  # whoever watches the file sees it at once
    writer.close()


def test_points_come_back_and_a_cut_off_line_does_not(tmp_path: Path) -> None:
    assert read_curve(tmp_path) == ()
    write(tmp_path, POINTS, last_step=-1)
    with (tmp_path / CURVE).open("ab") as file:
        file.write(b'{"step":4,"epo')
    assert read_curve(tmp_path) == tuple(POINTS)


def test_going_on_drops_what_lies_after_the_checkpoint(tmp_path: Path) -> None:
    write(tmp_path, POINTS, last_step=-1)
    again = CurvePoint(3, 0.75, loss=9.0)
    write(tmp_path, [again], last_step=2)
    assert read_curve(tmp_path) == (*POINTS[:3], again)
    write(tmp_path, [], last_step=-1)
    assert read_curve(tmp_path) == ()


def test_values_are_events_of_tensorboard(tmp_path: Path) -> None:
    write(tmp_path, POINTS, last_step=-1)
    (events,) = (tmp_path / "tensorboard").iterdir()
    content = events.read_bytes()
    assert all(name in content for name in (b"loss", b"dev", b"learning_rate"))
    assert b"gradient_norm" not in content
