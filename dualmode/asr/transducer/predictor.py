"""The predictor of an RNN-T: what the tokens so far say about the next one.

Both kinds offer the same two ways to run, which agree::

    forward(targets)      all prefixes of known transcripts at once, for training
    start(), step()       one token at a time, for decoding

Row u of ``forward`` has seen the first u tokens, so row 0 has seen none; before the first token comes the blank.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dualmode.asr.config import TransducerConfig
from dualmode.asr.ctc import BLANK


@dataclass(frozen=True)
class PredictorState:
    """What a predictor remembers of each hypothesis; every tensor has the batch first."""

    def select(self, index: Tensor) -> "PredictorState":
        """Return the state of the rows ``index``; a row may be asked for twice, as beam search does."""
        return type(self)(*(getattr(self, field.name)[index] for field in fields(self)))

    def updated(self, rows: Tensor, new: "PredictorState") -> "PredictorState":
        """Return a state that is ``new`` where the booleans rows (batch,) are true, and this one elsewhere."""
        pairs = [(getattr(new, field.name), getattr(self, field.name)) for field in fields(self)]
        return type(self)(*(torch.where(rows.reshape(-1, *[1] * (old.dim() - 1)), now, old) for now, old in pairs))


@dataclass(frozen=True)
class StatelessState(PredictorState):
    """What a :class:`StatelessPredictor` remembers: tokens (batch, context - 1), the oldest first."""

    tokens: Tensor


@dataclass(frozen=True)
class LstmState(PredictorState):
    """What an :class:`LstmPredictor` remembers: hidden and cell, both (batch, layers, size)."""

    hidden: Tensor
    cell: Tensor


class Predictor(nn.Module, ABC):
    """What both predictors share.

    Args:
        vocabulary: number of tokens, the blank (token 0) among them.
        size: of an embedding and of an output vector.
    """

    def __init__(self, vocabulary: int, size: int):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, size)

    @abstractmethod
    def init_state(self, batch: int) -> Any:
        """Return the state of ``batch`` hypotheses before the blank that comes first, of the predictor's own kind."""

    @abstractmethod
    def step(self, tokens: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Append tokens (batch,); return output (batch, size) and the new state."""

    def start(self, batch: int) -> tuple[Tensor, Any]:
        """Return what precedes any token: output (batch, size) and state."""
        blanks = torch.full((batch,), BLANK, device=self.embedding.weight.device)
        return self.step(blanks, self.init_state(batch))


class StatelessPredictor(Predictor):
    """Sees only the last ``context`` tokens (Ghodsi et al. 2020, "RNN-transducer with stateless prediction network").

    Hypotheses that end in the same tokens share an output, so that decoding can merge them.

    Args:
        vocabulary, size: see :class:`Predictor`.
        context: tokens seen.
    """

    def __init__(self, vocabulary: int, size: int, context: int = 2):
        super().__init__(vocabulary, size)
        self.context = context
        self.mix = nn.Linear(context * size, size)

    def forward(self, targets: Tensor) -> Tensor:
        """Map targets (batch, U), padded with anything below the vocabulary's size, to (batch, U + 1, size)."""
        history = F.pad(targets.clamp(min=BLANK), (self.context, 0), value=BLANK)
        return self._output(history.unfold(1, self.context, 1))

    def init_state(self, batch: int) -> StatelessState:
        """Return the state of ``batch`` hypotheses before the blank that comes first."""
        return StatelessState(
            torch.full((batch, self.context - 1), BLANK, device=self.embedding.weight.device, dtype=torch.long)
        )

    def step(self, tokens: Tensor, state: StatelessState) -> tuple[Tensor, StatelessState]:
        """Append tokens (batch,); return output (batch, size) and the new state."""
        history = torch.cat([state.tokens, tokens[:, None]], dim=1)
        return self._output(history), StatelessState(history[:, 1:])

    def _output(self, history: Tensor) -> Tensor:
        return self.mix(self.embedding(history).flatten(-2)).relu()


class LstmPredictor(Predictor):
    """Sees all tokens so far.

    Args:
        vocabulary, size: see :class:`Predictor`.
        layers: LSTM layers.
    """

    def __init__(self, vocabulary: int, size: int, layers: int = 1):
        super().__init__(vocabulary, size)
        self.lstm = nn.LSTM(size, size, layers, batch_first=True)

    def forward(self, targets: Tensor) -> Tensor:
        """Map targets (batch, U), padded with anything below the vocabulary's size, to (batch, U + 1, size)."""
        return self.lstm(self.embedding(F.pad(targets.clamp(min=BLANK), (1, 0), value=BLANK)))[0]

    def init_state(self, batch: int) -> LstmState:
        """Return the state of ``batch`` hypotheses before the blank that comes first."""
        zeros = self.embedding.weight.new_zeros(batch, self.lstm.num_layers, self.lstm.hidden_size)
        return LstmState(zeros, zeros)

    def step(self, tokens: Tensor, state: LstmState) -> tuple[Tensor, LstmState]:
        """Append tokens (batch,); return output (batch, size) and the new state."""
        before = state.hidden.transpose(0, 1).contiguous(), state.cell.transpose(0, 1).contiguous()
        output, (hidden, cell) = self.lstm(self.embedding(tokens[:, None]), before)
        return output[:, 0], LstmState(hidden.transpose(0, 1), cell.transpose(0, 1))


def make_predictor(config: TransducerConfig, vocabulary: int) -> StatelessPredictor | LstmPredictor:
    """Return the predictor that ``config`` asks for, with new weights."""
    if config.predictor == "stateless":
        return StatelessPredictor(vocabulary, config.predictor_size, config.context)
    return LstmPredictor(vocabulary, config.predictor_size, config.layers)
