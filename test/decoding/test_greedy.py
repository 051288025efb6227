import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dualmode.asr.build import build_recogniser
from dualmode.decoding.greedy import StreamDecoder, decode_offline, decode_stream
from dualmode.supernet.pruning import estimate_masks
from dualmode.supernet.storage import materialise
from dualmode.supernet.subnet import DENSE, Context, Subnet

TOKENS = ["<blank>", "<unk>", *"abcdefgh"]


def tiny():
    torch.manual_seed(0)
    conf = {"output_size": 16, "num_blocks": 2, "attention_heads": 2, "linear_units": 32, "subsampling_channels": 4}
    model = build_recogniser({"encoder_conf": conf}, TOKENS).eval()
    estimate_masks(model, model.encoder.config.pruning)
    with torch.inference_mode():  # every token is the best one somewhere
        encoded, _ = model.encoder(
            torch.as_tensor(features(260))[None], torch.tensor([260]), Subnet(0.7, Context(4, 8))
        )
        scores = model.head(encoded[0])
        model.head.weight.div_(scores.std(dim=0)[:, None])
        model.head.bias.copy_(-model.head.weight @ encoded[0].mean(dim=0))
    return model


def features(frames: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((frames, 80)).astype(np.float32)


@pytest.fixture(scope="module")
def model():
    return tiny()


@settings(deadline=None, max_examples=40)
@given(
    frames=st.integers(0, 260),
    chunk=st.integers(1, 12),
    left=st.integers(0, 20),
    sparsity=st.sampled_from([0.0, 0.7]),
    pieces=st.lists(st.integers(1, 100), max_size=20),
)
def test_streamed_tokens_equal_offline_ones_for_any_pieces(model, frames, chunk, left, sparsity, pieces):
    subnet = Subnet(sparsity, Context(chunk, left))
    x = features(frames)
    decoder, tokens, start = StreamDecoder(model, subnet), [], 0
    for piece in [*pieces, frames]:
        tokens += decoder.accept(x[start : start + piece])
        start += piece
    tokens += decoder.accept(x[:0], final=True)
    assert tokens == decode_offline(model, [x], subnet)[0] == decode_stream(model, x, subnet)


def test_some_tokens_come_out(model):
    assert len(decode_stream(model, features(260), Subnet(0.7, Context(4, 8)))) > 10


def test_a_batch_gives_what_each_utterance_gives_alone(model):
    utterances = [features(n, seed=n) for n in (180, 40, 7, 3)]
    batch = decode_offline(model, utterances, DENSE)
    assert batch == [decode_offline(model, [x], DENSE)[0] for x in utterances]
    assert batch[3] == []


def test_materialised_weights_give_the_same_tokens(model):
    x, context = features(200), Context(8, 16)
    expected = decode_stream(model, x, Subnet(0.7, context))
    baked = tiny()
    materialise(baked, 1)
    assert decode_stream(baked, x, Subnet(0.0, context)) == expected
