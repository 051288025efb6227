"""RNN-T searches (Graves 2012) in step with the frames: greedy, and a beam whose hypotheses run in one batch.

Within a frame every hypothesis puts out the blank, or a token and stays, up to ``max_per_frame`` tokens::

    start of frame --blank--------------------------> end of frame
          +--token--> ----blank----------------------> end of frame      those with the same tokens are summed
                 +--token--> ...

Of all of them the ``beam_size`` best stay after each step, so that a beam of one is the greedy search.  The frames are
those of the encoder, (frames, d).
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from dualmode.asr.ctc import BLANK
from dualmode.asr.transducer.joiner import Joiner
from dualmode.asr.transducer.predictor import Predictor
from dualmode.search.hypothesis import log_add
from dualmode.search.scorer import Sum
from dualmode.search.search import BeamSearch, GreedySearch, after, best_first
from dualmode.search.together import Asking, Join, Joined, Predict, RnntSearch, joined_state

MAX_PER_FRAME = 3  # as in dualmode.asr.transducer.greedy
# Frames that greedy search joins at once: behind a token, and, doubled while all are blank, at most.
FIRST, AHEAD = 4, 16


class RnntGreedy(RnntSearch, GreedySearch):
    """At every node the best token, until it is the blank.

    Args:
        predictor, joiner: of the recogniser.
        max_per_frame: most tokens in a frame of 40 ms.
    """

    def __init__(self, predictor: Predictor, joiner: Joiner, max_per_frame: int = MAX_PER_FRAME):
        super().__init__()
        self.predictor, self.joiner, self.max_per_frame = predictor, joiner, max_per_frame
        with torch.inference_mode():
            self._output, self._state = predictor.start(1)

    def ask(self, inputs: Tensor) -> Asking:
        start, in_frame, ahead = 0, 0, FIRST
        while start < len(inputs):
            frames = inputs[start : start + ahead]
            joined = yield Join(frames, self._output.expand(len(frames), -1), 1)
            assert isinstance(joined, Joined)
            tokens, values = [row[0] for row in joined.tokens], [row[0] for row in joined.values]
            if in_frame == self.max_per_frame:
                tokens[0], values[0] = BLANK, joined.blank[0]
            blanks = next((index for index, token in enumerate(tokens) if token != BLANK), len(tokens))
            joined.tell(self.evidence, int(in_frame > 0), blanks + 1)  # of each frame the first node
            self.score += sum(values[:blanks])
            self.frame, start = self.frame + blanks, start + blanks
            in_frame = 0 if blanks else in_frame
            ahead = min(2 * ahead, AHEAD) if blanks == len(tokens) else FIRST
            if blanks < len(tokens):
                self.score += values[blanks]
                self.settled.append(tokens[blanks])
                self.settled_frames.append(self.frame)
                self._output, self._state = yield Predict([tokens[blanks]], self._state)  # type: ignore[misc]
                in_frame += 1


@dataclass(frozen=True)
class Path:
    """A hypothesis after the settled tokens.

    Attributes:
        tokens, frames, first_frame, state: see :class:`dualmode.search.search.Entry`.
        log_prob: sum over its alignments.
        best: log probability of its best alignment, which has ``frames``.
        added: by the scorer.
        row: where the predictor's outputs and states hold it.
    """

    tokens: tuple[int, ...]
    frames: tuple[int, ...]
    log_prob: float
    best: float
    added: float
    state: tuple
    row: int

    @property
    def score(self) -> float:
        return self.log_prob + self.added

    @property
    def first_frame(self) -> int | None:
        return self.frames[0] if self.frames else None

    def without(self, count: int, frame: int) -> "Path":
        return replace(self, tokens=self.tokens[count:], frames=after(self.frames, count, frame))


class RnntBeamSearch(RnntSearch, BeamSearch):
    """Beam search.

    Args:
        predictor, joiner: of the recogniser.
        beam_size: hypotheses kept.
        scorer: language model and hotwords.
        max_per_frame: most tokens in a frame of 40 ms.
    """

    def __init__(
        self,
        predictor: Predictor,
        joiner: Joiner,
        beam_size: int = 1,
        scorer: Sum | None = None,
        max_per_frame: int = MAX_PER_FRAME,
    ):
        scorer = scorer or Sum()
        super().__init__(beam_size, scorer, Path((), (), 0.0, 0.0, 0.0, scorer.start(), 0))
        self.predictor, self.joiner, self.max_per_frame = predictor, joiner, max_per_frame
        with torch.inference_mode():
            self._output, self._state = predictor.start(1)

    def ask(self, inputs: Tensor) -> Asking:
        for frame in inputs:
            yield from self._step(frame)
            self.frame += 1
            self._settle()

    def _step(self, frame: Tensor) -> Asking:
        done: dict[tuple[int, ...], Path] = {}
        active = self._beam
        for step in range(self.max_per_frame + 1):
            outputs = self._output[self._rows(active)]
            joined = yield Join(frame.expand(len(active), -1), outputs, 2 * self.beam_size + 8)
            assert isinstance(joined, Joined)
            if step == 0:
                joined.tell(self.evidence, 0, 1)  # of the best hypothesis
            for path, blank in zip(active, joined.blank, strict=True):
                end(done, replace(path, log_prob=path.log_prob + blank, best=path.best + blank))
            longer = self._extend(active, joined) if step < self.max_per_frame else []
            kept = best_first([*done.values(), *longer])[: self.beam_size]
            finished = {id(path) for path in done.values()}
            done = {path.tokens: path for path in kept if id(path) in finished}
            active = [path for path in kept if id(path) not in finished]
            if not active:
                break
            last = [path.tokens[-1] for path in active]
            output, state = yield Predict(last, self._state.select(self._rows(active)))  # type: ignore[misc]
            first = len(self._output)
            self._output, self._state = torch.cat([self._output, output]), joined_state([self._state, state])
            active = [replace(path, row=first + index) for index, path in enumerate(active)]
        self._beam = list(best_first(done.values()))
        rows = self._rows(self._beam)
        self._output, self._state = self._output[rows], self._state.select(rows)
        self._beam = [replace(path, row=row) for row, path in enumerate(self._beam)]

    def _rows(self, paths: list[Path]) -> Tensor:
        return torch.tensor([path.row for path in paths], device=self._output.device)

    def _extend(self, active: list[Path], joined: Joined) -> list[Path]:
        longer = []
        for path, values, tokens in zip(active, joined.values, joined.tokens, strict=True):
            for value, token in zip(values, tokens, strict=True):
                if token != BLANK:
                    added, state = self.scorer.step(path.state, token)
                    tokens_now, frames = (*path.tokens, token), (*path.frames, self.frame)
                    log_prob, best = path.log_prob + value, path.best + value
                    longer.append(Path(tokens_now, frames, log_prob, best, path.added + added, state, path.row))
        return longer


def end(done: dict[tuple[int, ...], Path], path: Path) -> None:
    """Add a path that ends the frame to the one with the same tokens; the frames are those of the better one."""
    if old := done.get(path.tokens):
        path = replace(max(old, path, key=lambda one: one.best), log_prob=log_add(old.log_prob, path.log_prob))
    done[path.tokens] = path
