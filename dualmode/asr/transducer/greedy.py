"""Greedy decoding of an RNN-T, for a whole batch of encoded utterances."""

from collections.abc import Callable

import torch
from torch import Tensor

from dualmode.asr.ctc import BLANK
from dualmode.asr.transducer.predictor import Predictor


@torch.no_grad()
def greedy(
    predictor: Predictor,
    joiner: Callable[[Tensor, Tensor], Tensor],
    encoded: Tensor,
    frames: Tensor,
    max_per_frame: int = 3,
) -> list[list[int]]:
    """Return the tokens of each utterance: at every node the best token, until it is the blank.

    Args:
        predictor, joiner: of the recogniser.
        encoded: (batch, frames, d).
        frames: (batch,), real frames.
        max_per_frame: tokens after which the next frame of 40 ms is looked at all the same.
    """
    decoded: list[list[int]] = [[] for _ in frames]
    output, state = predictor.start(len(frames))
    for frame in range(int(frames.max())):
        active = frame < frames
        for _ in range(max_per_frame):
            best = joiner(encoded[:, frame], output).argmax(dim=-1)
            active = active & (best != BLANK)
            tokens = torch.where(active, best, BLANK).tolist()  # waits for the device, once for all utterances
            if not any(tokens):
                break
            for row, token in enumerate(tokens):
                if token != BLANK:
                    decoded[row].append(token)
            next_output, next_state = predictor.step(best, state)
            output = torch.where(active[:, None], next_output, output)
            state = state.updated(active, next_state)
    return decoded
