"""Many streams, of different ages, in one batch; and how their state is kept."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dualmode.encoder.state import StreamState
from dualmode.encoder.streaming import StreamingEncoder
from dualmode.errors import UserError
from dualmode.supernet.subnet import Context, Subnet

TOLERANCE = 1e-4


def masked_pass(encoder, features, subnet):
    with torch.inference_mode():
        output, frames = encoder(features[None], torch.tensor([len(features)]), subnet)
    return output[0, : frames.item()]


@settings(deadline=None, max_examples=15)
@given(data=st.data(), chunk=st.integers(1, 8), left=st.integers(0, 12), right=st.integers(0, 5))
def test_streams_that_begin_end_and_are_fed_at_any_time(encoder, data, chunk, left, right):
    """Each of three places serves one utterance after another; all are equal to the masked pass."""
    subnet = Subnet(0.7, Context(chunk, left, right))
    streaming = StreamingEncoder(encoder, subnet, streams=3)
    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 2**16), label="seed"))
    utterances = [None] * 3
    heard = [0] * 3
    outputs = [[] for _ in range(3)]
    for _ in range(data.draw(st.integers(1, 12), label="calls")):
        pieces, final = [], []
        for place in range(3):
            if utterances[place] is None:
                utterances[place] = torch.randn(data.draw(st.integers(0, 150)), 80, generator=generator)
                heard[place], outputs[place] = 0, []
                streaming.reset(place)
            size = data.draw(st.integers(0, 60))
            piece = utterances[place][heard[place] : heard[place] + size]
            heard[place] += size
            final.append(heard[place] >= len(utterances[place]))
            pieces.append(piece if len(piece) else None)
        for place, new in enumerate(streaming.accept(pieces, final)):
            outputs[place].append(new)
            if final[place]:
                expected = masked_pass(encoder, utterances[place], subnet)
                streamed = torch.cat(outputs[place])
                assert streamed.shape == expected.shape
                assert torch.allclose(streamed, expected, rtol=0, atol=TOLERANCE)
                utterances[place] = None


def test_a_stream_is_its_state_and_what_waits(encoder):
    subnet = Subnet(0.7, Context(4, 8))
    features = torch.randn(300, 80)
    whole = StreamingEncoder(encoder, subnet)
    [expected] = whole.accept([features], [True])
    first = StreamingEncoder(encoder, subnet)
    [begun] = first.accept([features[:200]])
    second = StreamingEncoder(encoder, subnet)
    second.state, second.pending = first.state, first.pending
    [ended] = second.accept([features[200:]], [True])
    assert torch.equal(torch.cat([begun, ended]), expected)


def test_a_stream_does_not_grow_or_lose_precision_with_its_age(encoder):
    """A stream that has heard 10^9 frames gives what a young one gives after the same last chunks."""
    subnet = Subnet(0.7, Context(4, 8))
    features = torch.randn(1, 19, 80)
    state = encoder.init_state(1, subnet.context)
    sizes = set()
    for _ in range(6):
        output, _, state = encoder.forward_chunk(features, torch.tensor([19]), state, subnet)
        sizes.add(tuple(tensor.numel() for tensor in vars(state).values()))
    assert len(sizes) == 1
    old = StreamState(state.keys, state.values, state.convolution, torch.tensor([10**9]))
    young, _, _ = encoder.forward_chunk(features, torch.tensor([19]), state, subnet)
    aged, _, _ = encoder.forward_chunk(features, torch.tensor([19]), old, subnet)
    assert torch.equal(young, aged)


def test_a_wrong_number_of_pieces_is_refused(encoder):
    with pytest.raises(UserError, match="has 2 streams, but got 1"):
        StreamingEncoder(encoder, Subnet(0.7, Context(4, 8)), streams=2).accept([torch.randn(3, 80)])
