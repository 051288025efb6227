"""Notices a pre-training that has collapsed, or has found a way around its task, while it can still be repaired."""

from collections.abc import Mapping
from dataclasses import dataclass

from dualmode.config import check_at_least
from dualmode.errors import UserError


@dataclass(frozen=True)
class AlarmConfig:
    """The range in which a healthy training stays.

    Args:
        after: updates before it is looked at, while nothing is learned yet.
        window: updates that each look averages; there is one look a window.
        min_perplexity: lowest perplexity of a codebook's chosen entries; 1 is a single entry.
        min_accuracy: lowest accuracy of a branch, in multiples of chance; 50 updates of 200 hidden frames with an
            accuracy of 2.5 % differ from chance by 6 % of it, so 1.2 is more than luck.
        max_accuracy: highest accuracy of a branch, as a share of 1: nearly all right is too easy to teach anything.
        stop: end the training at the first alarm, instead of a warning only.
    """

    after: int = 300
    window: int = 50
    min_perplexity: float = 3.0
    min_accuracy: float = 1.2
    max_accuracy: float = 0.99
    stop: bool = False

    def __post_init__(self):
        check_at_least("alarm_conf", self, 0, "after")
        check_at_least("alarm_conf", self, 1, "window")
        check_at_least("alarm_conf", self, 0.0, "min_perplexity", "min_accuracy", "max_accuracy")
        if not 0 < self.max_accuracy <= 1:
            raise UserError(f"alarm_conf: max_accuracy is {self.max_accuracy}: it must be above 0 and at most 1")

    def due(self, update: int) -> bool:
        """Return whether to look after ``update`` (from 1)."""
        return update >= self.after and update % self.window == 0


def alarms(stats: Mapping[str, float], config: AlarmConfig) -> dict[str, str]:
    """Return a sentence for each value out of range, by the value's name.

    >>> list(alarms({"perplexity0": 1.2, "accuracy_dense": 0.5, "chance": 0.02}, AlarmConfig()))
    ['perplexity0']

    Args:
        stats: means of a window: perplexityN, accuracy_BRANCH, chance; other values are not looked at.
        config: the range.
    """
    found = {}
    for name, value in stats.items():
        if name.startswith("perplexity") and value < config.min_perplexity:
            found[name] = (
                f"the perplexity of codebook {name.removeprefix('perplexity')} is {value:.2f}, below "
                f"{config.min_perplexity:g}: the codes collapse (a higher diversity_weight, a slower fall of the "
                "temperature or a lower learning rate may help; silent data or a wrong cmvn also look like this)"
            )
        elif name.startswith("accuracy_") and value < config.min_accuracy * stats["chance"]:
            found[name] = (
                f"the {name.removeprefix('accuracy_')} branch answers {100 * value:.1f} % right, below "
                f"{config.min_accuracy:g} times chance, {100 * stats['chance']:.1f} %: it learns nothing (the learning "
                "rate may be too high or its warm-up too short, or too much may be hidden by mask_start and mask_span)"
            )
        elif name.startswith("accuracy_") and value > config.max_accuracy:
            found[name] = (
                f"the {name.removeprefix('accuracy_')} branch answers {100 * value:.1f} % right, above "
                f"{100 * config.max_accuracy:g} %: the task is too easy to teach anything (a longer mask_span, more "
                "distractors or more entries may help; padding or silence that fills the data also looks like this)"
            )
    return found
