"""CTC prefix beam search (Hannun et al. 2014), fed frame by frame: scores are sums over alignments."""

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from dualmode.asr.ctc import BLANK
from dualmode.decoding.hypothesis import Hypothesis, common_prefix
from dualmode.decoding.scorer import Sum

NEVER = -math.inf


@dataclass(frozen=True)
class Prefix:
    """A prefix after the settled tokens.

    Attributes:
        tokens, frames: see :class:`Hypothesis`.
        last: the last token, settled ones among them; the blank before the first.
        blank, label: log probability of its alignments that end in the blank and in ``last``.
        added, state: of the scorer.
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
        return float(np.logaddexp(self.blank, self.label)) + self.added


class CtcBeamSearch:
    """Prefix beam search over one utterance.

    Args:
        beam_size: prefixes kept after each frame.
        scorer: language model and hotwords.

    Attributes:
        settled: tokens that every prefix begins with; they cannot change any more.
        settled_frames: the frame of each.
    """

    def __init__(self, beam_size: int, scorer: Sum | None = None):
        self.beam_size, self.scorer = beam_size, scorer or Sum()
        self.settled: list[int] = []
        self.settled_frames: list[int] = []
        self.frame = 0
        self._beam = [Prefix((), (), BLANK, 0.0, NEVER, 0.0, self.scorer.start())]

    def accept(self, log_probs: Tensor) -> None:
        """Take more log posteriors (frames, vocabulary), of any number of frames."""
        if not len(log_probs):
            return
        values, tokens = log_probs.topk(min(log_probs.shape[1], 2 * self.beam_size + 8), dim=-1)
        for row, row_values, row_tokens in zip(
            log_probs.double().cpu().numpy(), values.double().tolist(), tokens.tolist(), strict=True
        ):
            self._step(row, [pair for pair in zip(row_tokens, row_values, strict=True) if pair[0] != BLANK])
            self.frame += 1
        self._settle()

    def _step(self, row: np.ndarray, candidates: list[tuple[int, float]]) -> None:
        after: dict[tuple[int, ...], Prefix] = {}
        for prefix in self._beam:
            total = float(np.logaddexp(prefix.blank, prefix.label))
            repeat = prefix.label + row[prefix.last] if prefix.last != BLANK else NEVER
            merge(after, replace(prefix, blank=total + row[BLANK], label=repeat))
        for prefix in self._beam:
            total = float(np.logaddexp(prefix.blank, prefix.label))
            for token, value in candidates:
                label = (prefix.blank if token == prefix.last else total) + value
                if label == NEVER:
                    continue
                added, state = self.scorer.step(prefix.state, token)
                tokens, frames = (*prefix.tokens, token), (*prefix.frames, self.frame)
                merge(after, Prefix(tokens, frames, token, NEVER, label, prefix.added + added, state))
        self._beam = sorted(after.values(), key=lambda prefix: (-prefix.score, prefix.tokens))[: self.beam_size]

    def _settle(self) -> None:
        count = common_prefix([prefix.tokens for prefix in self._beam])
        if count:
            self.settled += self._beam[0].tokens[:count]
            self.settled_frames += self._beam[0].frames[:count]
            self._beam = [replace(p, tokens=p.tokens[count:], frames=p.frames[count:]) for p in self._beam]

    def best(self, count: int = 1, final: bool = False) -> list[Hypothesis]:
        """Return the n-best list, best first; ``final`` adds what the scorer adds at the end of the utterance."""
        ranked = sorted(
            ((p.score + (self.scorer.finish(p.state) if final else 0.0), p) for p in self._beam),
            key=lambda pair: (-pair[0], pair[1].tokens),
        )
        tokens, frames = tuple(self.settled), tuple(self.settled_frames)
        return [Hypothesis(tokens + p.tokens, frames + p.frames, score) for score, p in ranked[:count]]


class CtcGreedy:
    """The best path, which sums over nothing; its score is that of the path."""

    def __init__(self):
        self.settled: list[int] = []
        self.settled_frames: list[int] = []
        self.frame, self._previous, self._score = 0, BLANK, 0.0

    def accept(self, log_probs: Tensor) -> None:
        """Take more log posteriors (frames, vocabulary), of any number of frames."""
        values, tokens = log_probs.max(dim=-1)
        self._score += float(values.double().sum())
        for token in tokens.tolist():
            if token not in (self._previous, BLANK):
                self.settled.append(token)
                self.settled_frames.append(self.frame)
            self._previous = token
            self.frame += 1

    def best(self, count: int = 1, final: bool = False) -> list[Hypothesis]:
        """Return the one hypothesis; ``count`` and ``final`` as for :class:`CtcBeamSearch`."""
        return [Hypothesis(tuple(self.settled), tuple(self.settled_frames), self._score)]


def merge(prefixes: dict[tuple[int, ...], Prefix], new: Prefix) -> None:
    """Add the alignments of ``new`` to the prefix with the same tokens; the earlier frames stay."""
    old = prefixes.get(new.tokens)
    if old is not None:
        blank, label = (float(np.logaddexp(a, b)) for a, b in ((old.blank, new.blank), (old.label, new.label)))
        new = replace(old, blank=blank, label=label)
    prefixes[new.tokens] = new


class CtcPosteriors:
    """Feeds a CTC search with encoder frames instead of posteriors."""

    def __init__(self, model, search):
        self.model, self.search = model, search

    @torch.inference_mode()
    def accept(self, encoded: Tensor) -> None:
        """Take more encoder frames (frames, d)."""
        self.search.accept(self.model.posteriors(encoded))

    def __getattr__(self, name):
        return getattr(self.search, name)
