import pytest
import torch

from dualmode.asr.transducer.greedy import greedy
from dualmode.asr.transducer.joiner import Joiner
from dualmode.asr.transducer.predictor import LstmPredictor, StatelessPredictor


def one_by_one(predictor, joiner, encoded, max_per_frame):
    """Decode one utterance (frames, d), running the predictor over the whole prefix each time."""
    tokens = []
    for frame in encoded:
        for _ in range(max_per_frame):
            best = int(joiner(frame, predictor(torch.tensor([tokens], dtype=torch.long))[0, -1]).argmax())
            if best == 0:
                break
            tokens.append(best)
    return tokens


@pytest.mark.parametrize("make", [StatelessPredictor, LstmPredictor])
@pytest.mark.parametrize("seed", range(5))
def test_a_batch_decodes_as_each_utterance_alone(make, seed):
    torch.manual_seed(seed)
    predictor, joiner = make(5, 8), Joiner(6, 8, 8, 5)
    torch.nn.init.normal_(joiner.output.weight, std=2.0)
    encoded, frames = 2 * torch.randn(4, 7, 6), torch.tensor([7, 5, 1, 0])
    decoded = greedy(predictor, joiner, encoded, frames, max_per_frame=2)
    with torch.no_grad():
        expected = [one_by_one(predictor, joiner, row[:n], 2) for row, n in zip(encoded, frames, strict=True)]
    assert decoded == expected
    assert any(decoded)
