"""The joiner of an RNN-T: from one encoder frame and one predictor output to the logits of the next token."""

import torch
from torch import Tensor, nn


class Joiner(nn.Module):
    """Two projections, their sum through tanh, and a Linear layer to the vocabulary.

    Args:
        encoder_size: width of an encoder frame, d.
        predictor_size: width of a predictor output, p.
        size: width in which they meet.
        vocabulary: number of tokens; token 0 is the blank.
    """

    def __init__(self, encoder_size: int, predictor_size: int, size: int, vocabulary: int):
        super().__init__()
        self.encoder = nn.Linear(encoder_size, size)
        self.predictor = nn.Linear(predictor_size, size, bias=False)
        self.output = nn.Linear(size, vocabulary)

    def forward(self, encoded: Tensor, predicted: Tensor) -> Tensor:
        """Map encoded (..., d) and predicted (..., p), leading dimensions broadcast, to logits (..., vocabulary)."""
        return self.output(torch.tanh(self.encoder(encoded) + self.predictor(predicted)))
