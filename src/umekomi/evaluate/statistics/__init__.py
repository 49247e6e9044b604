"""Which differences are more than chance: intervals, paired tests, corrected for their number, and a verdict."""

from umekomi.evaluate.statistics.comparison import Paired, compare, compare_all
from umekomi.evaluate.statistics.intervals import Interval, interval
from umekomi.evaluate.statistics.power import items_to_separate, minimum_detectable_effect
from umekomi.evaluate.statistics.ranking import holm, rank
from umekomi.evaluate.statistics.reductions import value
from umekomi.evaluate.statistics.verdicts import Judgement, direction, judge

__all__ = [
    "Interval",
    "Judgement",
    "Paired",
    "compare",
    "compare_all",
    "direction",
    "holm",
    "interval",
    "items_to_separate",
    "judge",
    "minimum_detectable_effect",
    "rank",
    "value",
]
