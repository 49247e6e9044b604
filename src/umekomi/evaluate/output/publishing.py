"""An evaluation to its folder: maps, report, tables, and results.json last."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from umekomi.errors import ConfigError
from umekomi.evaluate.output.files import RESULTS, write_results
from umekomi.evaluate.report import write_map_png, write_report
from umekomi.evaluate.run import Evaluation
from umekomi.evaluate.settings import Watch
from umekomi.evaluate.tasks import LabelTask

REPORT = "report.html"


def check_output(folder: Path, *, mark: str = RESULTS) -> None:
    """Make ``folder``, before any work. Raises `ConfigError` where that cannot be or it holds something else.

    mark  a file in it that an earlier run left, so that it may be written over
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"--output {folder}: cannot be made: {error.strerror or error}") from None
    foreign = [path.name for path in folder.iterdir() if not path.name.startswith(".")]
    if foreign and not (folder / mark).exists():
        raise ConfigError(
            f"--output {folder}: the folder holds '{foreign[0]}' and no {mark}; name a new or an empty folder"
        )


def publish(folder: Path, evaluation: Evaluation, *, language: Literal["en", "ja"], watch: Watch) -> None:
    """Write everything of ``evaluation`` into ``folder``. Raises `StoreError` where it cannot be written."""
    mapped = [view for view in evaluation.views if view.layout is not None]
    with watch.stage("writing the report", total=len(mapped) + 1) as advance:
        for view in mapped:
            assert view.layout is not None
            labels = view.task.labels if isinstance(view.task, LabelTask) else None
            name = f"map-{_file_name(view.dataset)}-{_file_name(view.model)}.png"
            title = f"{view.dataset}: {view.model}"
            write_map_png(folder / name, view.layout, labels, title=title, notify=watch.notify)
            advance(1)
        write_report(folder / REPORT, evaluation.results, evaluation.views, language=language)
        advance(1)
    write_results(folder, evaluation.results, evaluation.findings)


def _file_name(text: str) -> str:
    return re.sub(r"[^\w.-]+", "-", text).strip("-.") or "model"
