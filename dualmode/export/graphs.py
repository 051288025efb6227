"""The parts of a recogniser as sherpa-onnx calls them: plain tensors in, plain tensors out, by position.

CTC is one graph, an RNN-T is three.  The joiner's two projections go where they are computed least often: a frame is
projected once, in the encoder's graph, and the predictor's output once a token.
"""

import torch
from torch import Tensor, nn

from dualmode.asr.ctc import BLANK
from dualmode.asr.model import AsrModel
from dualmode.asr.transducer.predictor import Predictor, StatelessState
from dualmode.export.interface import Interface
from dualmode.supernet.subnet import Subnet


class StreamingGraph(nn.Module):
    """One chunk of a batch of streams: encoder, and the head that follows it.

    Args:
        model: a recogniser whose masks are multiplied in.
        interface: of its kind and context.
    """

    def __init__(self, model: AsrModel, interface: Interface):
        super().__init__()
        self.encoder, self.interface = model.encoder, interface
        self.ctc = model.kind == "ctc"
        self.head = model.head if self.ctc else model.joiner.encoder

    def forward(self, x: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        """Encode the next chunk.

        Args:
            x: features, (batch, window, bins).
            states: as the interface lays them out.

        Returns:
            log posteriors of CTC (batch, chunk, vocabulary), or of an RNN-T what the joiner makes of the encoder's
            frames (batch, chunk, joiner size); then the new states.
        """
        state, subnet = self.interface.unpack(states), Subnet(context=self.interface.context)
        lengths = torch.full_like(state.seen, self.interface.window)  # the runtime never runs a part of a chunk
        encoded, _, state = self.encoder.forward_chunk(x, lengths, state, subnet)
        y = self.head(encoded)
        return y.log_softmax(dim=-1) if self.ctc else y, *self.interface.pack(state, states)


class PredictorGraph(nn.Module):
    """The stateless predictor and its projection in the joiner: tokens (batch, context) to (batch, joiner size)."""

    def __init__(self, model: AsrModel):
        super().__init__()
        self.predictor: Predictor = model.predictor
        self.project = model.joiner.predictor

    def forward(self, tokens: Tensor) -> Tensor:
        # sherpa-onnx writes -1 where there is no token yet, we the blank.
        tokens = tokens.clamp(min=BLANK)
        predicted, _ = self.predictor.step(tokens[:, -1], StatelessState(tokens[:, :-1]))
        return self.project(predicted)


class JoinerGraph(nn.Module):
    """What is left of the joiner: two projections, both (batch, joiner size), to logits (batch, vocabulary)."""

    def __init__(self, model: AsrModel):
        super().__init__()
        self.output = model.joiner.output

    def forward(self, encoded: Tensor, predicted: Tensor) -> Tensor:
        return self.output(torch.tanh(encoded + predicted))
