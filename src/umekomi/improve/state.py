"""improve.json: which steps are finished, and what each of them rested on."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from umekomi.errors import InvalidInput
from umekomi.writing import replacing

STATE = "improve.json"
SCHEMA = "umekomi-improve-1"

Step: TypeAlias = Literal["read", "synthesize", "train", "report"]
"""Training ends with its proof: what was not proved counts as not trained."""

STEPS: tuple[Step, ...] = get_args(Step)


@dataclass(frozen=True, slots=True)
class Finished:
    """A step that is done.

    inputs   digest of everything that decides what it makes
    seconds  it took in the run that finished it
    facts    what the report and the next steps want to know of it
    """

    inputs: str
    at: str
    seconds: float
    facts: dict[str, Any] = field(default_factory=dict)


class State:
    """The steps of one folder, each written down as soon as it is finished."""

    def __init__(self, folder: Path, steps: Mapping[Step, Finished] | None = None) -> None:
        self._path = folder / STATE
        self._steps: dict[Step, Finished] = dict(steps or {})
        self._started = time.monotonic()

    def holds(self, step: Step, inputs: str) -> bool:
        """Whether ``step`` was finished from the same inputs."""
        found = self._steps.get(step)
        return found is not None and found.inputs == inputs

    def begin(self) -> None:
        """A step begins: its seconds count from now."""
        self._started = time.monotonic()

    def finish(self, step: Step, inputs: str, **facts: Any) -> None:
        """Write down that ``step`` is done. Raises `StoreError`."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        self._steps[step] = Finished(inputs, now, round(time.monotonic() - self._started, 1), facts)
        content = {
            "schema": SCHEMA,
            "umekomi": version("umekomi"),
            "steps": {name: asdict(self._steps[name]) for name in STEPS if name in self._steps},
        }
        with replacing(self._path) as file:
            file.write(json.dumps(content, ensure_ascii=False, indent=2).encode() + b"\n")


def load_state(folder: Path) -> State:
    """What is finished in ``folder``; nothing in a new one. Raises `InvalidInput` for an improve.json of others."""
    path = folder / STATE
    if not path.exists():
        return State(folder)
    try:
        content: Any = json.loads(path.read_bytes())
        if content["schema"] != SCHEMA:
            raise ValueError(f"its schema is '{content['schema']}', not '{SCHEMA}'")
        noted = dict(content["steps"])
        steps = {name: Finished(**noted[name]) for name in STEPS if name in noted}
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise InvalidInput(f"{path}: cannot be used: {error}; choose another folder with --output") from None
    return State(folder, steps)
