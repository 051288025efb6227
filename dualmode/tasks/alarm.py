"""The alarm of the pre-training, as the training loop asks it."""

import logging

from espnet2.train.reporter import SubReporter, aggregate

from dualmode.errors import UserError
from dualmode.pretrain.alarm import AlarmConfig, alarms


class Alarm:
    """Warns when the codes collapse or nothing is learned; each kind of alarm is printed once a run."""

    def __init__(self, config: AlarmConfig):
        self.config = config
        self.rung: set[str] = set()

    def watch(self, reporter: SubReporter) -> None:
        """Look at what the training has reported, after each batch.

        Raises:
            UserError: the training is outside its range, and ``stop`` is set.
        """
        batch, config = reporter.get_total_count(), self.config
        if not config.due(batch):
            return
        stats = {key: float(aggregate(values[-config.window :])) for key, values in reporter.stats.items()}
        for name, sentence in alarms(stats, config).items():
            logging.warning("batch %d: %s", batch, sentence)
            if config.stop:
                raise UserError(f"stopped after batch {batch}: {sentence}")
            if name not in self.rung:
                print(f"warning: batch {batch}: {sentence}", flush=True)
                self.rung.add(name)
