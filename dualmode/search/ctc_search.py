"""CTC searches over log posteriors: best path, and prefix beam search (Hannun et al. 2014)."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from dualmode.asr.ctc import BLANK
from dualmode.search.hypothesis import NEVER, log_add
from dualmode.search.scorer import Sum
from dualmode.search.search import BeamSearch, GreedySearch, best_first


class CtcGreedy(GreedySearch):
    """The best path; frames are log posteriors (frames, vocabulary)."""

    def __init__(self):
        super().__init__()
        self._previous = BLANK

    def accept(self, inputs: Tensor) -> None:
        self.evidence.add(inputs)
        values, tokens = inputs.max(dim=-1)
        self.score += float(values.double().sum())
        for token in tokens.tolist():
            if token not in (self._previous, BLANK):
                self.settled.append(token)
                self.settled_frames.append(self.frame)
            self._previous = token
            self.frame += 1


@dataclass(frozen=True)
class Prefix:
    """A prefix after the settled tokens.

    Attributes:
        tokens, frames, state: see :class:`dualmode.search.search.Entry`.
        last: the last token, settled ones among them; the blank before the first.
        blank, label: log probability of its alignments that end in the blank and in ``last``.
        added: by the scorer.
    """

    tokens: tuple[int, ...]
    frames: tuple[int, ...]
    last: int
    blank: float
    label: float
    added: float
    state: tuple

    @property
    def score(self) -> float:
        return log_add(self.blank, self.label) + self.added


class CtcBeamSearch(BeamSearch):
    """Prefix beam search: a prefix's score is the sum over its alignments; frames are log posteriors.

    Args:
        beam_size: prefixes kept after each frame.
        scorer: language model and hotwords.
    """

    def __init__(self, beam_size: int, scorer: Sum | None = None):
        scorer = scorer or Sum()
        super().__init__(beam_size, scorer, Prefix((), (), BLANK, 0.0, NEVER, 0.0, scorer.start()))

    def accept(self, inputs: Tensor) -> None:
        inputs = inputs.double()
        self.evidence.add(inputs)
        values, tokens = inputs.topk(min(inputs.shape[1], 2 * self.beam_size + 8), dim=-1)
        for row, row_values, row_tokens in zip(inputs, values.tolist(), tokens.tolist(), strict=True):
            self._step(row, [pair for pair in zip(row_tokens, row_values, strict=True) if pair[0] != BLANK])
            self.frame += 1
            self._settle()

    def _step(self, row: Tensor, candidates: list[tuple[int, float]]) -> None:
        last = torch.tensor([BLANK, *(prefix.last for prefix in self._beam)], device=row.device)
        blank, *repeats = row[last].tolist()
        after: dict[tuple[int, ...], Prefix] = {}
        for prefix, repeat in zip(self._beam, repeats, strict=True):
            label = prefix.label + repeat if prefix.last != BLANK else NEVER
            after[prefix.tokens] = replace(prefix, blank=log_add(prefix.blank, prefix.label) + blank, label=label)
        # What is below all of a full beam cannot enter it, unless it adds to a prefix that is in it.
        lowest = min(prefix.score for prefix in after.values()) if len(after) >= self.beam_size else NEVER
        for prefix in self._beam:
            total = log_add(prefix.blank, prefix.label)
            for token, value in candidates:
                label = (prefix.blank if token == prefix.last else total) + value
                if label == NEVER:
                    continue
                tokens = (*prefix.tokens, token)
                if tokens in after:
                    after[tokens] = replace(after[tokens], label=log_add(after[tokens].label, label))
                    continue
                added, state = self.scorer.step(prefix.state, token)
                if label + prefix.added + added >= lowest:
                    frames = (*prefix.frames, self.frame)
                    after[tokens] = Prefix(tokens, frames, token, NEVER, label, prefix.added + added, state)
        self._beam = list(best_first(after.values()))[: self.beam_size]
