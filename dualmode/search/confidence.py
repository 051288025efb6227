"""How sure a word is, from 0 to 1: the best of what ``dualmode bench confidence`` tries at telling right from wrong.

frames           25   26   27   28   29
best token        g    .    .    o    o        .: the blank
its posterior    .9  .99  .98   .6   .8        (.9 * .8) ** (1 / 2): where each token's is highest
certainty        .8   .9   .9   .5   .6        mean over the word's frames, blanks among them
"""

import math
from collections.abc import Sequence

from torch import Tensor

from dualmode.asr.ctc import BLANK

ALPHA = 1 / 3  # as Laptev and Ginsburg chose it


def certainty(log_probs: Tensor) -> Tensor:
    """Return how far each distribution (..., n) is from the uniform one, (...): 1 is one possible outcome.

    One less its Tsallis entropy over that of the uniform distribution: Laptev and Ginsburg (2023), "Fast entropy-based
    methods of word-level confidence estimation for end-to-end automatic speech recognition".

    >>> import torch
    >>> [round(value, 6) for value in certainty(torch.tensor([[1.0, 0.0], [0.5, 0.5]]).log()).tolist()]
    [1.0, 0.0]
    """
    entropy = (log_probs * ALPHA).exp().sum(dim=-1) - 1
    return 1 - entropy / (log_probs.shape[-1] ** (1 - ALPHA) - 1)


class Evidence:
    """What the model says in each frame of one utterance; what no open word can need is forgotten.

    Args:
        has_runs: whether the same token in the next frame is the same one, as of CTC.
    """

    def __init__(self, has_runs: bool = True) -> None:
        self.has_runs = has_runs
        self._frames: list[tuple[float, int, float]] = []  # certainty, best token, its log posterior
        self._first = 0

    def add(self, log_probs: Tensor) -> None:
        """Add the next frames' log posteriors (frames, vocabulary)."""
        values, tokens = log_probs.max(dim=-1)
        self.add_frames(certainty(log_probs).tolist(), tokens.tolist(), values.tolist())

    def add_frames(self, certainties: Sequence[float], tokens: Sequence[int], values: Sequence[float]) -> None:
        """Add the next frames' certainty, their best token and its log posterior."""
        self._frames += zip(certainties, tokens, values, strict=True)

    def forget(self, frame: int) -> None:
        """Forget what lies before ``frame``."""
        count = max(frame - self._first, 0)
        del self._frames[:count]
        self._first += count

    def runs_on(self, frame: int) -> bool:
        """Return whether the token that appeared in ``frame`` may go on in frames to come."""
        tokens = {token for _, token, _ in self._frames[frame - self._first :]}
        return self.has_runs and len(tokens) == 1 and BLANK not in tokens

    def confidence(self, first: int, last: int) -> float:
        """Return the confidence of a word; see :meth:`of_word`."""
        certain, peaks = self.of_word(first, last)
        return certain * math.exp(sum(peaks) / len(peaks))

    def of_word(self, first: int, last: int) -> tuple[float, list[float]]:
        """Return the mean certainty of a word's frames, and the highest log posterior of each of its tokens.

        Args:
            first, last: frames in which its first and its last token appeared; neither is forgotten.
        """
        end = last = last - self._first
        run = self._frames[last][1] if self.has_runs else BLANK
        while run != BLANK and end + 1 < len(self._frames) and self._frames[end + 1][1] == run:
            end += 1
        frames = self._frames[first - self._first : end + 1]
        certain = sum(frame[0] for frame in frames) / len(frames)
        peaks: list[float] = []
        before = BLANK
        for _, token, value in frames:
            if self.has_runs and token == before != BLANK:
                peaks[-1] = max(peaks[-1], value)
            elif token != BLANK:
                peaks.append(value)
            before = token
        if not peaks:  # a beam's word where the blank is always the best: as sure as that something was said
            peaks = [math.log(max(1 - math.exp(min(value for *_, value in frames)), 1e-9))]
        return certain, peaks
