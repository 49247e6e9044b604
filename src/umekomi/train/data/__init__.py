"""Training data: read, split, checked for leakage, with negatives mined, in batches that keep the rules."""

from umekomi.train.data.batches import RankingBatches
from umekomi.train.data.leakage import check_leakage
from umekomi.train.data.mining import mine_negatives
from umekomi.train.data.preferences import Preferences, read_preferences
from umekomi.train.data.reading import read_training_data
from umekomi.train.data.tasks import build_dev_task, build_domain_task

__all__ = [
    "Preferences",
    "RankingBatches",
    "build_dev_task",
    "build_domain_task",
    "check_leakage",
    "mine_negatives",
    "read_preferences",
    "read_training_data",
]
