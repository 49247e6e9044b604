"""How much of the processor others took while a contender ran, so that a disturbed turn can be taken again."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

_STAT = Path("/proc/stat")
_IDLE = (3, 4)  # columns of the "cpu" line: idle, and waiting for disks


@dataclass(frozen=True, slots=True)
class BusyTime:
    """Seconds of processor time that this machine has spent since it started, by all processes and its host."""

    seconds: float

    @classmethod
    def now(cls) -> BusyTime:
        """Nothing at all where the system does not tell."""
        if not _STAT.exists():
            return cls(0.0)
        columns = [int(column) for column in _STAT.read_text(encoding="ascii").splitlines()[0].split()[1:9]]
        idle = sum(columns[column] for column in _IDLE)
        return cls((sum(columns) - idle) / os.sysconf("SC_CLK_TCK"))

    def others_share(self, *, own_seconds: float, wall_seconds: float) -> float:
        """Share of all cores since `self` that went to others than the one who used ``own_seconds``."""
        others = BusyTime.now().seconds - self.seconds - own_seconds
        return max(0.0, others / (wall_seconds * (os.cpu_count() or 1)))
