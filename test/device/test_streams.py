"""Many streams of one model, the times of their words, and utterances that end by themselves."""

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dualmode.bench.streams import memory_mb
from dualmode.data.tokens import Tokenizer
from dualmode.device.pack import pack_model
from dualmode.errors import UserError
from dualmode.recognizer import Recognizer
from dualmode.supernet.subnet import Context, Subnet
from dualmode_runtime.build import LIBRARY
from dualmode_runtime.endpoint import Endpointing
from dualmode_runtime.engine import BlockMatrix, Device, DeviceModel

TEXTS = {
    "char": ["<blank>", "<unk>", "<space>", *"abcdefg"],
    "word": ["<blank>", "<unk>", "on", "off", "the", "light", "a", "b", "c", "d"],
    "bpe": ["<blank>", "<unk>", "\u2581go", "\u2581on", "ing", "\u2581a", "b", "c", "d", "\u2581"],
}


def packed(model, subnet, kind="char", precision="fp32"):
    before, model.tokens = model.tokens, TEXTS[kind]
    try:
        return pack_model(model, kind, subnet, precision)
    finally:
        model.tokens = before


def sound(seconds, seed=0):
    """Noise with pauses, so that the tiny models are silent now and then."""
    rng = np.random.default_rng(seed)
    loudness = np.repeat(rng.choice([0.0, 0.001, 0.3], int(5 * seconds)), 3200)
    return (loudness * rng.standard_normal(len(loudness))).clip(-1, 1).astype(np.float32)


def heard(device, samples):
    device.accept_samples(samples)
    device.finish()
    return device.text, device.tokens, device.words


@pytest.mark.parametrize("context", [0, 2], ids=["ctc", "rnnt"])
def test_streams_of_one_model_do_not_hear_each_other(model, library, context):
    recogniser, subnet = model(context=context)
    file = packed(recogniser, subnet, precision="int8")
    audio = [sound(2, seed) for seed in range(16)]
    expected = [heard(Device.open(file, library=library), samples) for samples in audio]
    with DeviceModel.open(file, library=library) as shared:
        streams = [shared.stream() for _ in audio]
    with ThreadPoolExecutor(8) as pool:  # the model is closed already: its streams keep it
        assert list(pool.map(heard, streams, audio)) == expected
    assert len({text for text, _, _ in expected}) > 8


def test_streams_of_one_model_take_turns(model, library):
    recogniser, subnet = model()
    shared = DeviceModel.open(packed(recogniser, subnet), library=library)
    audio = [sound(2, seed) for seed in range(3)]
    streams = [shared.stream() for _ in audio]
    for start in range(0, 32000, 1600):
        for stream, samples in zip(streams, audio, strict=True):
            stream.accept_samples(samples[start : start + 1600])
    for stream, samples in zip(streams, audio, strict=True):
        stream.finish()
        assert stream.text == heard(shared.stream(), samples)[0]
    assert shared.info.vocabulary == 10


@pytest.mark.parametrize("kind", TEXTS)
@pytest.mark.parametrize("context", [0, 2], ids=["ctc", "rnnt"])
@settings(deadline=None, max_examples=5)
@given(
    seed=st.integers(0, 2**16),
    lookahead=st.sampled_from([0, 2, 7]),
    silence_ms=st.sampled_from([80, 400, 1e9]),
    max_lead_ms=st.sampled_from([120, 400]),  # a chunk is 200 ms
    max_utterance_ms=st.sampled_from([160, 600, 2000]),
    rate=st.sampled_from([1600, 16000, 48000]),
)
def test_utterances_and_words_are_those_of_the_recognizer(
    model, library, kind, context, seed, lookahead, silence_ms, max_lead_ms, max_utterance_ms, rate
):
    recogniser, _ = model(context=context)
    subnet = Subnet(0.7, Context(5, 8, lookahead))
    samples, rules = sound(3, seed), Endpointing(silence_ms, max_lead_ms, max_utterance_ms)
    before, recogniser.tokens = recogniser.tokens, TEXTS[kind]
    tokenizer = Tokenizer(kind, TEXTS[kind], bpe_model="unused")
    theirs = Recognizer(recogniser, tokenizer, subnet, endpointing=rules, run_as=Subnet(0.0, subnet.context))
    results = []
    for start in range(0, len(samples), rate):
        results += theirs.accept_waveform(samples[start : start + rate], 16000)
    results.append(theirs.result())
    recogniser.tokens = before

    ours, mine = Device.open(packed(recogniser, subnet, kind), library=library), []
    ours.set_endpointing(silence_ms, max_lead_ms, max_utterance_ms)
    for start in range(0, len(samples), rate):
        ours.accept_samples(samples[start : start + rate])
        while why := ours.endpoint:
            if why != "nothing said":
                mine.append((ours.start_ms, ours.end_ms, why, tuple(ours.words)))
            ours.next_utterance()
    ours.finish()
    mine.append((ours.start_ms, ours.end_ms, None, tuple(ours.words)))

    assert [(start, end, why) for start, end, why, _ in mine] == [
        (r.start_ms, r.end_ms, r.endpoint and r.endpoint.value) for r in results
    ]
    assert [[(w.text, w.start_ms, w.stable_ms) for w in words] for *_, words in mine] == [
        [(w.text, w.start_ms, w.stable_ms) for w in r.words] for r in results
    ]


def test_streams_share_the_weights(built, model, tmp_path):
    """A model whose weights are most of its memory."""
    recogniser, subnet = model(0.0, (8, 4), output_size=96, linear_units=4096)
    path = tmp_path / "wide.dmdl"
    path.write_bytes(packed(recogniser, subnet))
    assert path.stat().st_size > 6e6
    shared, own = (memory_mb(path, 6, shared, built / LIBRARY) for shared in (True, False))
    assert own - shared > 0.8 * 5 * path.stat().st_size / 1e6


def test_words_grow_and_settle(model, library):
    recogniser, subnet = model()
    device, samples = Device.open(packed(recogniser, subnet, "bpe"), library=library), sound(4, 3)
    settled = []
    for start in range(0, len(samples), 1600):
        device.accept_samples(samples[start : start + 1600])
        words = device.words
        stable = [word for word in words if word.stable_ms is not None]
        assert stable[: len(settled)] == settled and len(words) - len(stable) <= 1
        assert all(word.start_ms < word.end_ms <= word.stable_ms <= start / 16 + 100 for word in stable)
        settled = stable
    device.finish()
    assert len(device.words) > 3 and device.words[: len(settled)] == settled
    assert " ".join(word.text for word in device.words) == device.text
    assert len(device.token_times_ms) == len(device.tokens)
    assert device.token_times_ms == sorted(device.token_times_ms) and device.token_times_ms[0] % 40 == 0
    assert (device.start_ms, device.end_ms) == (0.0, 4000.0)


def test_misuse_of_utterances_is_one_sentence(model, library):
    recogniser, subnet = model()
    device = Device.open(packed(recogniser, subnet), library=library)
    with pytest.raises(UserError, match="the times of endpointing must be above 0 ms"):
        device.set_endpointing(silence_ms=float("nan"))
    with pytest.raises(UserError, match="no utterance has ended"):
        device.next_utterance()
    device.set_endpointing(max_lead_ms=400, max_utterance_ms=400)
    device.accept_samples(sound(2))
    assert device.endpoint in ("nothing said", "too long")
    with pytest.raises(UserError, match="begin the next one before more is heard"):
        device.accept_samples(sound(1))
    with pytest.raises(UserError, match="begin the next one before the audio is finished"):
        device.finish()
    with pytest.raises(UserError, match="endpointing cannot change: reset before"):
        device.set_endpointing()
    with pytest.raises(UserError, match="the sample rate cannot change: reset before"):
        device.accept_samples(sound(1), 8000)
    device.reset()
    assert device.endpoint is None
    device.accept_samples(sound(1), 8000)


def test_handles_are_closed_once_and_not_copied(model, library):
    recogniser, subnet = model()
    shared = DeviceModel.open(packed(recogniser, subnet), library=library)
    matrix = BlockMatrix(np.ones((1, 1), bool), np.ones((1, 4, 4), np.float32), None, np.zeros(4), 4, library=library)
    for handle in (shared.stream(), shared, matrix):
        for copied in (copy.copy, copy.deepcopy, pickle.dumps):
            with pytest.raises(TypeError, match="cannot be copied or pickled"):
                copied(handle)
        handle.close()
        handle.close()
    for use in (shared.stream, lambda: matrix.multiply(np.zeros((1, 4)))):
        with pytest.raises(UserError, match="is closed"):
            use()
