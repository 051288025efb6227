"""The alarm of the pre-training, as the training loop asks it."""

import logging
from collections import deque

from espnet2.train.reporter import ReportedValue, SubReporter, aggregate

from dualmode.errors import UserError
from dualmode.pretrain.alarm import AlarmConfig, alarms


class Alarm:
    """Warns when the codes collapse or nothing is learned; each kind of alarm is printed once a run."""

    def __init__(self, config: AlarmConfig):
        self.config = config
        self.rung: set[str] = set()
        # The last updates of this run; the reporter forgets an epoch's when it ends.
        self.seen: deque[dict[str, ReportedValue]] = deque(maxlen=config.window)

    def watch(self, reporter: SubReporter) -> None:
        """Look at what the training has reported, after each update.

        Raises:
            UserError: the training is outside its range, and ``stop`` is set.
        """
        update, config = reporter.get_total_count(), self.config
        self.seen.append({key: values[-1] for key, values in reporter.stats.items()})
        if not config.due(update) or len(self.seen) < config.window:  # a run that goes on looks a window later
            return
        stats = {key: float(aggregate([values[key] for values in self.seen if key in values])) for key in self.seen[-1]}
        for name, sentence in alarms(stats, config).items():
            logging.warning("update %d: %s", update, sentence)
            if config.stop:
                raise UserError(f"stopped after update {update}: {sentence}")
            if name not in self.rung:
                print(f"warning: update {update}: {sentence}", flush=True)
                self.rung.add(name)
