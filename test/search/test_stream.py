"""Streams give what the masked parallel pass gives: CTC and RNN-T, greedy and beam, alone and side by side."""

import copy

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dualmode.search.offline import decode_offline
from dualmode.search.searcher import SearchConfig, greedy_searcher, make_searcher
from dualmode.search.stream import StreamDecoder, decode_streams
from dualmode.supernet.storage import materialise
from dualmode.supernet.subnet import DENSE, Context, Subnet
from dualmode.supernet.view import View

SUBNET = Subnet(0.7, Context(4, 8))
LENGTHS = (0, 1, 6, 7, 10, 11, 30, 31, 35, 40, 49, 60, 61, 90, 100, 130)


def found(searches, count=1):
    return [[(h.tokens, h.frames) for h in search.best(count, final=True)] for search in searches]


@pytest.mark.parametrize("config", [SearchConfig(), SearchConfig(beam_size=4, nbest=3)])
@pytest.mark.parametrize("size", [1, 16])
def test_streams_equal_the_parallel_pass(model, tokenizer, features, config, size):
    searcher = make_searcher(model, tokenizer, config)
    for start in range(0, len(LENGTHS), size):
        batch = [features(n, seed=n) for n in LENGTHS[start : start + size]]
        streamed = found(decode_streams(model, batch, SUBNET, searcher), config.nbest)
        assert streamed == [found(decode_offline(model, [x], SUBNET, searcher), config.nbest)[0] for x in batch]


@settings(deadline=None, max_examples=20)
@given(
    frames=st.integers(0, 130),
    chunk=st.integers(1, 12),
    left=st.integers(0, 20),
    right=st.integers(0, 3),
    sparsity=st.sampled_from([0.0, 0.7]),
    pieces=st.lists(st.integers(1, 100), max_size=20),
)
def test_any_pieces_of_any_context_give_the_same(model, features, frames, chunk, left, right, sparsity, pieces):
    subnet, searcher = Subnet(sparsity, Context(chunk, left, right)), greedy_searcher(model)
    x, start = features(frames), 0
    decoder = StreamDecoder(model, subnet, searcher)
    for piece in [*pieces, frames]:
        decoder.accept([x[start : start + piece]])
        start += piece
    decoder.accept([None], final=[True])
    assert found(decoder.searches) == found(decode_offline(model, [x], subnet, searcher))


def test_streams_begin_and_end_at_their_own_times(model, features):
    searcher, (a, b) = greedy_searcher(model), (features(150, 1), features(90, 2))
    decoder = StreamDecoder(model, SUBNET, searcher, 2)
    decoder.accept([a[:70], None])
    decoder.accept([a[70:100], b[:40]])
    decoder.accept([None, b[40:]], final=[False, True])
    decoder.accept([a[100:], None], final=[True, False])
    assert found(decoder.searches) == found(decode_offline(model, [a, b], SUBNET, searcher))


def test_a_batch_gives_what_each_utterance_gives_alone(model, features):
    searcher, utterances = greedy_searcher(model), [features(n, seed=n) for n in (180, 40, 7, 3)]
    batch = found(decode_offline(model, utterances, DENSE, searcher))
    assert batch == [found(decode_offline(model, [x], DENSE, searcher))[0] for x in utterances]
    assert batch[3] == [((), ())] and len(batch[0][0][0]) > 5


def test_materialised_weights_give_the_same_tokens(model, features):
    baked = copy.deepcopy(model)
    materialise(baked, View(1))
    streamed = decode_streams(baked, [features(200)], Subnet(0.0, SUBNET.context), greedy_searcher(baked))
    assert found(streamed) == found(decode_streams(model, [features(200)], SUBNET, greedy_searcher(model)))


def test_an_endless_stream_keeps_nothing_that_was_taken(model, tokenizer, features):
    searcher = make_searcher(model, tokenizer, SearchConfig(beam_size=3))
    decoder, x = StreamDecoder(model, SUBNET, searcher), features(500)
    [whole] = decode_streams(model, [x], SUBNET, searcher)
    tokens, frames = [], []
    for start in range(0, 500, 50):
        decoder.accept([x[start : start + 50]], [start == 450])
        taken = decoder.searches[0].take()
        tokens, frames = tokens + taken[0], frames + taken[1]
        assert decoder.searches[0].settled == []
    rest = decoder.searches[0].best(final=True)[0]
    assert len(tokens) > 5 and rest.tokens
    assert [((*tokens, *rest.tokens), (*frames, *rest.frames))] == found([whole])[0]
    assert rest.score == pytest.approx(whole.best(final=True)[0].score, abs=1e-3)


def test_utterances_of_no_frames_are_empty(model):
    nothing = np.zeros((0, 80), np.float32)
    for decode, subnet in ((decode_offline, DENSE), (decode_streams, SUBNET)):
        assert found(decode(model, [nothing], subnet, greedy_searcher(model))) == [[((), ())]]
