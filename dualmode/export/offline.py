"""Whole utterances in the full context, as sherpa-onnx's offline recognisers call them.

    zipformer_ctc   x, x_lens -> log_probs, log_probs_lens
    transducer      x, x_lens -> encoder_out, encoder_out_lens; predictor and joiner as in streaming

Source: offline-zipformer-ctc-model.cc and offline-transducer-model.cc of sherpa-onnx 2.0.1.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from dualmode.asr.model import AsrModel
from dualmode.frames import EXTRA, FACTOR
from dualmode.supernet.subnet import Subnet


class OfflineGraph(nn.Module):
    """A batch of whole utterances: encoder, and the head that follows it.

    Args:
        model: a recogniser whose masks are multiplied in.
        subnet: to run it as, in the full context.
    """

    def __init__(self, model: AsrModel, subnet: Subnet):
        super().__init__()
        self.encoder, self.subnet = model.encoder, subnet
        self.ctc = model.kind == "ctc"
        self.head = model.head if self.ctc else model.joiner.encoder

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Encode utterances.

        Args:
            x: features, (batch, feature frames of 10 ms, bins); what lies past an utterance's length is not heard.
            lengths: (batch,), real feature frames.

        Returns:
            log posteriors of CTC (batch, frames of 40 ms, vocabulary), or of an RNN-T what the joiner makes of the
            encoder's frames (batch, frames, joiner size); then the frames of each, (batch,).
        """
        # With these, there is an encoder frame however short the audio is: the first one is made of so many.
        encoded, frames = self.encoder(F.pad(x, (0, 0, 0, FACTOR + EXTRA)), lengths, self.subnet)
        y = self.head(encoded)
        return y.log_softmax(dim=-1) if self.ctc else y, frames
