"""Several RNN-T searches at once.

A search asks for what networks compute and goes on with the answers, as a generator; so the searches of many utterances
or streams share the calls of joiner and predictor::

    search 0   --Ask--.              .--Answer--> goes on
    search 1   --Ask--+-- one call --+--Answer--> goes on
"""

from abc import abstractmethod
from collections.abc import Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from dualmode.asr.ctc import BLANK
from dualmode.asr.transducer.joiner import Joiner
from dualmode.asr.transducer.predictor import Predictor, PredictorState
from dualmode.search.confidence import Evidence, certainty
from dualmode.search.search import Search


@dataclass(frozen=True)
class Predict:
    """Asks for the predictor's outputs and states after one more token of each of n hypotheses."""

    tokens: list[int]
    state: PredictorState


@dataclass(frozen=True)
class Join:
    """Asks for the joiner's n distributions: encoder frames (n, d) with predictor outputs (n, p).

    Attributes:
        count: best tokens that are wanted of each.
    """

    frames: Tensor
    outputs: Tensor
    count: int


@dataclass(frozen=True)
class Joined:
    """Natural logarithms: of the blank (n), and of the best tokens, best first (n, count), with these.

    ``certainty`` (n) is that of each distribution, see :mod:`dualmode.search.confidence`.
    """

    blank: list[float]
    values: list[list[float]]
    tokens: list[list[int]]
    certainty: list[float]

    def tell(self, evidence: Evidence, start: int, end: int) -> None:
        """Add the distributions from ``start`` to ``end - 1`` as those of the next frames."""
        tokens, values = [row[0] for row in self.tokens[start:end]], [row[0] for row in self.values[start:end]]
        evidence.add_frames(self.certainty[start:end], tokens, values)


Asking = Generator[Predict | Join, tuple[Tensor, PredictorState] | Joined, None]


@torch.inference_mode()
def accept_together(
    predictor: Predictor, joiner: Joiner, searches: Sequence["RnntSearch"], inputs: Sequence[Tensor]
) -> None:
    """Let each search hear its frames (frames, d), of any number, with calls of the networks that all of them share."""
    asking = {number: search.ask(frames) for number, (search, frames) in enumerate(zip(searches, inputs, strict=True))}
    answers: dict[int, tuple[Tensor, PredictorState] | Joined | None] = dict.fromkeys(asking)
    predicts: dict[int, Predict] = {}
    joins: dict[int, Join] = {}
    while answers:
        for number, answer in answers.items():
            with suppress(StopIteration):
                asked = asking[number].send(answer)
                if isinstance(asked, Predict):
                    predicts[number] = asked
                else:
                    joins[number] = asked
        # Predictions first: searches that put a token out catch up with the others, and all meet at the joiner.
        if predicts:
            answers = dict(zip(predicts, predict(predictor, list(predicts.values())), strict=True))
            predicts = {}
        elif joins:
            answers = dict(zip(joins, join(joiner, list(joins.values())), strict=True))
            joins = {}
        else:
            answers = {}


def predict(predictor: Predictor, asked: Sequence[Predict]) -> list[tuple[Tensor, PredictorState]]:
    """Return the outputs (n, p) and states of the n hypotheses of each search, from one step of the predictor."""
    state = joined_state([one.state for one in asked])
    tokens = [token for one in asked for token in one.tokens]
    device = getattr(state, fields(state)[0].name).device
    output, state = predictor.step(torch.tensor(tokens, device=device), state)
    ends = [len(one.tokens) for one in asked]
    parts = zip(*(getattr(state, field.name).split(ends) for field in fields(state)), strict=True)
    return [(rows, type(state)(*part)) for rows, part in zip(output.split(ends), parts, strict=True)]


def join(joiner: Joiner, asked: Sequence[Join]) -> list[Joined]:
    """Return the distributions that each search asks for, from one call of the joiner."""
    scores = joiner(torch.cat([one.frames for one in asked]), torch.cat([one.outputs for one in asked]))
    scores = scores.double().log_softmax(dim=-1)
    values, tokens = scores.topk(min(scores.shape[1], max(one.count for one in asked)), dim=-1)
    blank, values, tokens = scores[:, BLANK].tolist(), values.tolist(), tokens.tolist()
    certain = certainty(scores).tolist()
    answers, first = [], 0
    for one in asked:
        rows = slice(first, first + len(one.frames))
        best_values, best_tokens = ([row[: one.count] for row in part[rows]] for part in (values, tokens))
        answers.append(Joined(blank[rows], best_values, best_tokens, certain[rows]))
        first = rows.stop
    return answers


class RnntSearch(Search):
    """A search that asks; ``predictor`` and ``joiner`` answer it where it is alone."""

    predictor: Predictor
    joiner: Joiner
    has_runs = False

    def accept(self, inputs: Tensor) -> None:
        accept_together(self.predictor, self.joiner, [self], [inputs])

    @abstractmethod
    def ask(self, inputs: Tensor) -> Asking:
        """Hear more frames (frames, d), and ask for what the networks say to them."""


def joined_state(states: Sequence[PredictorState]) -> PredictorState:
    """Return the rows of all states."""
    first = states[0]
    return type(first)(*(torch.cat([getattr(one, field.name) for one in states]) for field in fields(first)))
