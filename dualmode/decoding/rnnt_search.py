"""RNN-T beam search (Graves 2012) in step with the frames, fed piece by piece; all hypotheses run in one batch.

Within a frame every hypothesis puts out the blank, or a token and stays, up to ``max_per_frame`` tokens::

    start of frame --blank--------------------------> end of frame
          +--token--> ----blank----------------------> end of frame      those with the same tokens are summed
                 +--token--> ...

Of all of them the ``beam_size`` best stay after each step, so that a beam of one is the greedy search.
"""

from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from torch import Tensor

from dualmode.asr.ctc import BLANK
from dualmode.asr.transducer.joiner import Joiner
from dualmode.asr.transducer.predictor import Predictor, PredictorState
from dualmode.decoding.hypothesis import Hypothesis, common_prefix
from dualmode.decoding.scorer import Sum

MAX_PER_FRAME = 3  # as in dualmode.asr.transducer.greedy


@dataclass(frozen=True)
class Path:
    """A hypothesis after the settled tokens; ``row`` says where the predictor's outputs and states hold it."""

    tokens: tuple[int, ...]
    frames: tuple[int, ...]
    log_prob: float
    added: float
    state: tuple
    row: int

    @property
    def score(self) -> float:
        return self.log_prob + self.added


class RnntBeamSearch:
    """Beam search over one utterance.

    Args:
        predictor, joiner: of the recogniser.
        beam_size: hypotheses kept.
        scorer: language model and hotwords.
        max_per_frame: most tokens in a frame of 40 ms.

    Attributes:
        settled, settled_frames: see :class:`dualmode.decoding.ctc_search.CtcBeamSearch`.
    """

    def __init__(
        self,
        predictor: Predictor,
        joiner: Joiner,
        beam_size: int = 1,
        scorer: Sum | None = None,
        max_per_frame: int = MAX_PER_FRAME,
    ):
        self.predictor, self.joiner, self.beam_size = predictor, joiner, beam_size
        self.scorer, self.max_per_frame = scorer or Sum(), max_per_frame
        self.settled: list[int] = []
        self.settled_frames: list[int] = []
        self.frame = 0
        with torch.inference_mode():
            self._output, self._state = predictor.start(1)
        self._beam = [Path((), (), 0.0, 0.0, self.scorer.start(), 0)]

    @torch.inference_mode()
    def accept(self, encoded: Tensor) -> None:
        """Take more encoder frames (frames, d), of any number."""
        for frame in encoded:
            self._step(frame)
            self.frame += 1
        self._settle()

    def _step(self, frame: Tensor) -> None:
        done: dict[tuple[int, ...], Path] = {}
        active = self._beam
        for step in range(self.max_per_frame + 1):
            rows = torch.tensor([path.row for path in active], device=self._output.device)
            scores = self.joiner(frame, self._output[rows]).double().log_softmax(dim=-1)
            for path, blank in zip(active, scores[:, BLANK].tolist(), strict=True):
                end(done, replace(path, log_prob=path.log_prob + blank))
            longer = self._extend(active, scores) if step < self.max_per_frame else []
            pool = sorted([*done.values(), *longer], key=lambda path: (-path.score, path.tokens))[: self.beam_size]
            finished = {id(path) for path in done.values()}
            done = {path.tokens: path for path in pool if id(path) in finished}
            active = self._predict([path for path in pool if id(path) not in finished])
            if not active:
                break
        self._beam = sorted(done.values(), key=lambda path: (-path.score, path.tokens))
        rows = torch.tensor([path.row for path in self._beam], device=self._output.device)
        self._output, self._state = self._output[rows], self._state.select(rows)
        self._beam = [replace(path, row=row) for row, path in enumerate(self._beam)]

    def _extend(self, active: list[Path], scores: Tensor) -> list[Path]:
        count = min(scores.shape[1], 2 * self.beam_size + 8)
        longer = []
        for path, values, tokens in zip(active, *(x.tolist() for x in scores.topk(count, dim=-1)), strict=True):
            for value, token in zip(values, tokens, strict=True):
                if token != BLANK:
                    added, state = self.scorer.step(path.state, token)
                    tokens_now, frames = (*path.tokens, token), (*path.frames, self.frame)
                    longer.append(Path(tokens_now, frames, path.log_prob + value, path.added + added, state, path.row))
        return longer

    def _predict(self, paths: list[Path]) -> list[Path]:
        """Run the predictor on the last token of each path; return the paths with their new rows."""
        if not paths:
            return []
        device, first = self._output.device, len(self._output)
        parents = torch.tensor([path.row for path in paths], device=device)
        tokens = torch.tensor([path.tokens[-1] for path in paths], device=device)
        output, state = self.predictor.step(tokens, self._state.select(parents))
        self._output, self._state = torch.cat([self._output, output]), join(self._state, state)
        return [replace(path, row=first + index) for index, path in enumerate(paths)]

    def _settle(self) -> None:
        count = common_prefix([path.tokens for path in self._beam])
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


def end(done: dict[tuple[int, ...], Path], path: Path) -> None:
    """Add a path that ends the frame to the one with the same tokens; the earlier frames stay."""
    old = done.get(path.tokens)
    if old is not None:
        path = replace(old, log_prob=float(np.logaddexp(old.log_prob, path.log_prob)))
    done[path.tokens] = path


def join(a: PredictorState, b: PredictorState) -> PredictorState:
    """Return the rows of both states."""
    return type(a)(*(torch.cat([getattr(a, field.name), getattr(b, field.name)]) for field in fields(a)))
