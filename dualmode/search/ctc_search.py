"""CTC searches over log posteriors: best path, and prefix beam search (Hannun et al. 2014)."""

from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from dualmode.asr.ctc import BLANK
from dualmode.search.hypothesis import NEVER, log_add
from dualmode.search.scorer import Sum
from dualmode.search.search import BeamSearch, GreedySearch, after, best_first


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


class Alignment(NamedTuple):
    """One alignment of a prefix: its log probability, and the frames in which it enters the open tokens."""

    log_prob: float
    frames: tuple[int, ...]

    def stay(self, log_prob: float) -> "Alignment":
        """Return it with one more frame, which enters no token."""
        return Alignment(self.log_prob + log_prob, self.frames)

    def enter(self, log_prob: float, frame: int) -> "Alignment":
        """Return it with ``frame``, which enters a token."""
        return Alignment(self.log_prob + log_prob, (*self.frames, frame))


@dataclass(frozen=True)
class Prefix:
    """A prefix after the settled tokens.

    A prefix is in a large beam long before its last token is said; when that was, its best alignment knows.

    Attributes:
        tokens, frames, first_frame, state: see :class:`dualmode.search.search.Entry`.
        last: the last token, settled ones among them; the blank before the first.
        blank, label: log probability of its alignments that end in the blank and in ``last``.
        best_blank, best_label: the best one of each.
        added: by the scorer.
    """

    tokens: tuple[int, ...]
    last: int
    blank: float
    label: float
    best_blank: Alignment
    best_label: Alignment
    added: float
    state: tuple

    @property
    def score(self) -> float:
        return log_add(self.blank, self.label) + self.added

    @property
    def best(self) -> Alignment:
        return self.best_blank if self.best_blank.log_prob > self.best_label.log_prob else self.best_label

    @property
    def frames(self) -> tuple[int, ...]:
        return self.best.frames

    @property
    def first_frame(self) -> int | None:
        return min(self.best_blank.frames[0], self.best_label.frames[0]) if self.tokens else None

    def without(self, count: int, frame: int) -> "Prefix":
        blank, label = (
            Alignment(one.log_prob, after(one.frames, count, frame)) for one in (self.best_blank, self.best_label)
        )
        return replace(self, tokens=self.tokens[count:], best_blank=blank, best_label=label)


class CtcBeamSearch(BeamSearch):
    """Prefix beam search: a prefix's score is the sum over its alignments; frames are log posteriors.

    Args:
        beam_size: prefixes kept after each frame.
        scorer: language model and hotwords.
    """

    def __init__(self, beam_size: int, scorer: Sum | None = None):
        scorer = scorer or Sum()
        start, never = Alignment(0.0, ()), Alignment(NEVER, ())
        super().__init__(beam_size, scorer, Prefix((), BLANK, 0.0, NEVER, start, never, 0.0, scorer.start()))

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
        found: dict[tuple[int, ...], Prefix] = {}
        for prefix, repeat in zip(self._beam, repeats, strict=True):
            repeat = repeat if prefix.last != BLANK else NEVER
            found[prefix.tokens] = replace(
                prefix,
                blank=log_add(prefix.blank, prefix.label) + blank,
                label=prefix.label + repeat,
                best_blank=prefix.best.stay(blank),
                best_label=prefix.best_label.stay(repeat),
            )
        # What is below all of a full beam cannot enter it, unless it adds to a prefix that is in it.
        lowest = min(prefix.score for prefix in found.values()) if len(found) >= self.beam_size else NEVER
        for prefix in self._beam:
            total, best = log_add(prefix.blank, prefix.label), prefix.best
            for token, value in candidates:
                before, along = (prefix.blank, prefix.best_blank) if token == prefix.last else (total, best)
                label = before + value
                if label == NEVER:
                    continue
                tokens = (*prefix.tokens, token)
                if known := found.get(tokens):
                    better = along.log_prob + value > known.best_label.log_prob
                    best_label = along.enter(value, self.frame) if better else known.best_label
                    found[tokens] = replace(known, label=log_add(known.label, label), best_label=best_label)
                    continue
                added, state = self.scorer.step(prefix.state, token)
                if label + prefix.added + added >= lowest:
                    entered = along.enter(value, self.frame)
                    never = Alignment(NEVER, entered.frames)
                    added += prefix.added
                    found[tokens] = Prefix(tokens, token, NEVER, label, never, entered, added, state)
        self._beam = list(best_first(found.values()))[: self.beam_size]
