"""How much of a training to keep: any mixture of base and tuned weights, and the search for the best one."""

from __future__ import annotations

from umekomi.train.merging.merge import Merge, open_merge
from umekomi.train.merging.sweep import Sweep, Trial, sweep

__all__ = ["Merge", "Sweep", "Trial", "open_merge", "sweep"]
