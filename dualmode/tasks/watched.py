"""An epoch's batches, with something to do before and after each."""

from collections.abc import Callable

from torch.utils.data import DataLoader

from dualmode.tasks.step_checkpoint import rest_of, set_random_states


class Watched:
    """An epoch's batches, of which ``done`` are finished: goes on after these and calls ``before(number)`` and
    ``after(number)`` for each.

    ESPnet's loop asks for the next batch once it has finished with one, so that is when ``after`` is called; numbers
    count from 1 in the whole epoch.  The random generators are set once the loader, which draws from them, has started.
    """

    def __init__(
        self,
        batches: DataLoader,
        after: Callable[[int], None],
        done: int = 0,
        random_states: dict | None = None,
        before: Callable[[int], None] = lambda number: None,
    ):
        self.batches, self.before, self.after = batches, before, after
        self.done, self.random_states = done, random_states

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self):
        batches = iter(rest_of(self.batches, self.done) if self.done else self.batches)
        if self.random_states is not None:
            set_random_states(self.random_states)
        for number, batch in enumerate(batches, start=self.done + 1):
            self.before(number)
            yield batch
            self.after(number)
