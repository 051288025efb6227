"""The Python API: pieces, endpoints, two passes, and audio of all kinds."""

import copy

import numpy as np
import pytest
import torch

from dualmode.asr.build import build_asr_model
from dualmode.data.fbank import fbank
from dualmode.encoder.conformer import give_weights
from dualmode.errors import UserError
from dualmode.recognizer import Recognizer
from dualmode.search.offline import decode_offline
from dualmode.search.searcher import SearchConfig, greedy_searcher
from dualmode.supernet.pruning import estimate_masks
from dualmode.supernet.subnet import DENSE, Context, Subnet
from dualmode_runtime.audio.pauses import Piece
from dualmode_runtime.endpoint import Endpoint, Endpointing
from dualmode_runtime.words import Word

SUBNET = Subnet(0.7, Context(4, 8))
BEAM = SearchConfig(beam_size=3)


def offline_text(model, tokenizer, samples, subnet) -> str:
    [search] = decode_offline(model, [fbank(samples)], subnet, greedy_searcher(model))
    return tokenizer.decode(search.best(final=True)[0].tokens)


@pytest.mark.parametrize("name", ["sparse", "sparse_0.7", "dense"])
def test_pieces_give_the_text_of_the_whole(model, model_dir, tokenizer, name, noise):
    recognizer, samples = Recognizer.from_pretrained(model_dir, subnet=name), noise(2.3)
    texts = []
    for seed in (0, 1):  # used again for new audio
        for piece in np.array_split(samples, [10, 999, 1000, 9000, 20000][seed:]):
            assert recognizer.accept_waveform(piece, 16000) == []
            texts.append(recognizer.partial().text)
        result = recognizer.result()
        expected = offline_text(model, tokenizer, samples, DENSE if name == "dense" else SUBNET)
        assert result.text == expected and result.text and result.second_pass is None
        assert (result.start_ms, result.end_ms, result.endpoint) == (0, 2300, None)
    assert any(texts) == (name != "dense")


def test_no_samples_leave_the_rate_open(model, tokenizer, noise):
    recognizer, samples = Recognizer(model, tokenizer, SUBNET), noise(1)
    assert recognizer.accept_waveform(np.zeros(0, np.float32), 8000) == []
    recognizer.accept_waveform(samples, 16000)
    assert recognizer.result().text == offline_text(model, tokenizer, samples, SUBNET)
    with pytest.raises(UserError, match="the sample rate is 0"):
        recognizer.accept_waveform(np.zeros(0, np.float32), 0)


def test_sixteen_bit_integers_are_scaled(model, tokenizer, noise):
    recognizer, samples = Recognizer(model, tokenizer, SUBNET), (noise(1) * 32768).clip(-32768, 32767).astype(np.int16)
    recognizer.accept_waveform(samples, 16000)
    assert recognizer.result().text == offline_text(model, tokenizer, samples / np.float32(32768), SUBNET)


@pytest.mark.parametrize("search", [SearchConfig(), BEAM])
def test_stable_words_never_change(model, tokenizer, search, noise):
    recognizer = Recognizer(model, tokenizer, SUBNET, search=search)
    stable: list[Word] = []
    for number, piece in enumerate(np.array_split(noise(4), 40)):
        recognizer.accept_waveform(piece, 16000)
        words = [word for word in recognizer.partial().words if word.stable_ms is not None]
        assert words[: len(stable)] == stable
        assert all(word.start_ms < word.stable_ms <= 100 * (number + 1) for word in words)
        stable = words
    final = recognizer.result().words
    assert list(final[: len(stable)]) == stable and len(stable) > 1
    assert all(word.start_ms < word.stable_ms <= 4000 for word in final)


def test_a_file_s_words_are_stable_when_a_stream_s_are(model, tokenizer, noise):
    recognizer = Recognizer(model, tokenizer, SUBNET)
    for ms in range(1200, 2400, 40):  # with more and less of a last chunk behind the last whole one
        samples = noise(ms / 1000)
        recognizer.accept_waveform(samples, 16000)
        streamed = recognizer.result()
        [whole] = recognizer.recognise([Piece(samples, 0.0, ms, True)])
        assert whole.words == streamed.words and len({word.stable_ms for word in whole.words}) > 1, ms


def test_the_second_pass_is_the_dense_one_over_the_whole_utterance(model, model_dir, tokenizer, noise):
    recognizer, samples = Recognizer.from_pretrained(model_dir, second_pass=True), noise(2)
    recognizer.accept_waveform(samples, 16000)
    result = recognizer.result()
    assert result.first_pass.text == offline_text(model, tokenizer, samples, SUBNET)
    assert result.second_pass.text == result.text == offline_text(model, tokenizer, samples, DENSE)
    assert result.first_pass.text != result.second_pass.text
    assert 0 < result.first_pass.latency_ms < result.second_pass.latency_ms
    assert (result.first_pass.subnet, result.second_pass.subnet) == (SUBNET, DENSE)


def test_a_first_pass_of_pruned_units_is_the_small_model(tmp_path, tokenizer, save_model, noise):
    def size(recognizer) -> int:
        return sum(weight.numel() for weight in recognizer.model.encoder.parameters())

    torch.manual_seed(0)
    encoder = {"output_size": 16, "num_blocks": 2, "attention_heads": 2, "linear_units": 32, "subsampling_channels": 4}
    encoder |= {"chunk_ms": [160], "left_ms": [320], "granularity": "units"}
    settings = {"encoder_conf": encoder, "model_conf": {"kind": "ctc"}}
    units = build_asr_model(settings, tokenizer.tokens).eval()
    give_weights(units.encoder)
    estimate_masks(units.encoder, units.encoder.config.pruning)
    folder = save_model(tmp_path / "units", {**settings, "seed": 0}, tokenizer.tokens, units)
    both, alone = (Recognizer.from_pretrained(folder, second_pass=second) for second in (True, False))
    assert size(both) == size(alone) < sum(weight.numel() for weight in units.encoder.parameters())
    for recognizer in (both, alone):
        recognizer.accept_waveform(noise(2), 16000)
    result = both.result()
    assert result.first_pass.text == alone.result().text == offline_text(units, tokenizer, noise(2), SUBNET)
    assert result.second_pass.text == offline_text(units, tokenizer, noise(2), DENSE)


def test_an_utterance_that_is_too_long_is_cut_between_two_frames(model, tokenizer, noise):
    endpointing = Endpointing(silence_ms=10_000, max_utterance_ms=800)
    recognizer, samples = Recognizer(model, tokenizer, SUBNET, True, endpointing=endpointing), noise(2)
    first, *_ = ended = [r for piece in np.array_split(samples, 3) for r in recognizer.accept_waveform(piece, 16000)]
    last = recognizer.result()
    assert [(r.start_ms, r.end_ms, r.endpoint) for r in ended] == [
        (0, 800, Endpoint.TOO_LONG),
        (800, 1600, Endpoint.TOO_LONG),
    ]
    assert (last.start_ms, last.end_ms) == (1600, 2000)
    features = fbank(samples)
    for result, start, end in ((first, 0, 83), (ended[1], 80, 163), (last, 160, 200)):
        for transcript, subnet in ((result.first_pass, SUBNET), (result.second_pass, DENSE)):
            [search] = decode_offline(model, [features[start:end]], subnet, greedy_searcher(model))
            assert transcript.text == tokenizer.decode(search.best()[0].tokens)
        assert all(10 * start <= word.start_ms < 10 * end for word in result.words)


def loud_at(seconds: float, *bursts: float) -> np.ndarray:
    """Silence with noise of 200 ms that begins at each of ``bursts``, in seconds."""
    samples = np.zeros(int(16000 * seconds), np.float32)
    for start in bursts:
        first = int(16000 * start)
        samples[first : first + 3200] = 0.2 * np.random.default_rng(first).standard_normal(3200)
    return samples


@pytest.fixture(scope="module")
@torch.no_grad()
def loudness(ctc_model, tokenizer):
    """A CTC recogniser that hears an "a" where it is loud, and nothing in silence."""
    model = copy.deepcopy(ctc_model)
    samples = loud_at(20, *np.arange(0.5, 20, 0.9))
    features = torch.tensor(fbank(samples))
    encoded, [frames] = model.encoder(features[None], torch.tensor([len(features)]), SUBNET)
    x = torch.cat([encoded[0], torch.ones(frames, 1)], dim=1).double()
    loud = torch.tensor([samples[640 * t + 300 : 640 * t + 900].any() for t in range(frames)])
    weights = torch.linalg.lstsq(x, 20.0 * loud[:, None].double() - 10.0).solution[:, 0].float()
    [a] = tokenizer.encode("a")
    model.head.weight.zero_()
    model.head.bias.fill_(-30.0)
    model.head.bias[0] = 0.0
    model.head.weight[a], model.head.bias[a] = weights[:-1], weights[-1]
    return model


def test_silence_ends_an_utterance_and_times_go_on(loudness, tokenizer):
    recognizer = Recognizer(loudness, tokenizer, SUBNET, endpointing=Endpointing(silence_ms=400))
    ended = recognizer.accept_waveform(loud_at(3.5, 0.2, 2.0), 16000)
    assert [(set(result.text), result.endpoint) for result in ended] == [({"a"}, Endpoint.SILENCE)] * 2
    first, second = ended
    assert first.start_ms == 0 and 560 <= first.end_ms <= 1200 and second.start_ms == first.end_ms
    assert abs(first.words[0].start_ms - 200) <= 120 and abs(second.words[0].start_ms - 2000) <= 120
    last = recognizer.result()
    assert (last.text, last.start_ms, last.end_ms, last.words) == ("", second.end_ms, 3500, ())


def test_where_nothing_is_said_the_utterance_begins_anew_a_chunk_earlier(loudness, tokenizer):
    recognizer = Recognizer(loudness, tokenizer, SUBNET, endpointing=Endpointing(max_lead_ms=640))
    assert recognizer.accept_waveform(loud_at(3, 2.5), 16000) == []
    result = recognizer.result()
    # 16 frames without a word, of which the last chunk of 4 is heard again: on from frame 12, 24, ...
    assert set(result.text) == {"a"} and result.start_ms in (4 * 480, 5 * 480)
    assert abs(result.words[0].start_ms - 2500) <= 120


@pytest.mark.parametrize("lead_ms", [40, 120, 160, 320])
def test_where_an_utterance_begins_does_not_depend_on_the_pieces(loudness, tokenizer, lead_ms):
    """Also where the rules are asked more often than there are chunks of 160 ms."""
    found = []
    for size in (160, 1600, 4000, 48000):
        recognizer = Recognizer(loudness, tokenizer, SUBNET, endpointing=Endpointing(400, lead_ms, 1000))
        samples = loud_at(3, 0.7, 1.9)
        results = [
            r for at in range(0, 48000, size) for r in recognizer.accept_waveform(samples[at : at + size], 16000)
        ]
        results.append(recognizer.result())
        found.append([(r.start_ms, r.end_ms, r.endpoint, r.words) for r in results])
    assert found[0] == found[1] == found[2] == found[3] and len(found[0]) > 2


@pytest.mark.parametrize(
    ("samples", "rate", "words"),
    [
        (np.zeros((2, 100), np.float32), 16000, r"expected one channel of shape \(samples,\), got \(2, 100\)"),
        (np.array([0.1, np.nan]), 16000, "NaN or infinite"),
        (np.array([3e4, 0.0]), 16000, "samples up to 30000, expected the range -1 to 1"),
        (np.zeros(5, np.int64), 16000, "16-bit integers, got int64"),
        (np.zeros(5, np.float32), 0, "the sample rate is 0"),
        (np.zeros(5, np.float32), 16000.0, "the sample rate is 16000.0"),
    ],
)
def test_impossible_audio_is_one_sentence(model, tokenizer, samples, rate, words):
    with pytest.raises(UserError, match=words):
        Recognizer(model, tokenizer, SUBNET).accept_waveform(samples, rate)


@pytest.mark.parametrize("subnet", [SUBNET, DENSE])
@pytest.mark.parametrize("samples", [0, 1, 79, 80, 160, 600, 1119, 1120])
def test_hardly_any_audio_gives_a_result(model, tokenizer, subnet, samples, noise):
    recognizer = Recognizer(model, tokenizer, subnet, second_pass=subnet is SUBNET)
    recognizer.accept_waveform(noise(1)[:samples], 16000)
    result = recognizer.result()
    assert result.end_ms == samples / 16 and (result.text == "" or samples >= 1040)


def test_no_audio_at_all_gives_the_empty_result(model, tokenizer):
    assert Recognizer(model, tokenizer, SUBNET).result().text == ""


@pytest.mark.parametrize("change", [np.zeros_like, np.sign, np.ones_like])
def test_silence_and_clipped_audio_give_a_result(model, tokenizer, change, noise):
    recognizer = Recognizer(model, tokenizer, SUBNET, second_pass=True)
    recognizer.accept_waveform(change(noise(1)), 16000)
    assert recognizer.result().end_ms == 1000


def test_other_sample_rates_are_resampled_and_announced_once(model, tokenizer, capsys, noise):
    samples = noise(2)[::2]
    texts = []
    for count in (1, 7):
        recognizer = Recognizer(model, tokenizer, SUBNET)
        for piece in np.array_split(samples, count):
            recognizer.accept_waveform(piece, 8000)
        assert capsys.readouterr().err == (
            "audio of 8000 Hz is resampled to 16000 Hz; "
            "it lacks the high tones that the model knows, and will be heard worse\n"
        )
        result = recognizer.result()
        assert result.end_ms == 2000
        texts.append(result.text)
    assert texts[0] == texts[1] != ""
    recognizer.accept_waveform(samples, 8000)
    with pytest.raises(UserError, match="the sample rate changes from 8000 to 16000 Hz"):
        recognizer.accept_waveform(samples, 16000)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"subnet": "small"}, "there is no sub-network 'small'"),
        ({"subnet": "sparse_0.5"}, "no sub-network of sparsity 0.5"),
        ({"subnet": "dense_0.7"}, "there is no sub-network 'dense_0.7'"),
        ({"subnet": "sparse_0"}, "there is no sub-network 'sparse_0'"),
        ({"chunk_ms": 40}, "was not trained to run as"),
        ({"chunk_ms": 50}, "must be a multiple"),
        ({"subnet": "dense", "chunk_ms": 160}, "was not trained to run as"),
        ({"subnet": "dense", "second_pass": True}, "a second pass needs a streaming first pass"),
        ({"subnet": "dense", "endpointing": Endpointing()}, "endpointing needs a streaming first pass"),
    ],
)
def test_impossible_recognisers_are_one_sentence(model_dir, options, words):
    with pytest.raises(UserError, match=words):
        Recognizer.from_pretrained(model_dir, **options)


def test_contexts_are_chosen_by_their_times(model_dir):
    assert Recognizer.from_pretrained(model_dir, chunk_ms=320).subnet == Subnet(0.7, Context(8, 8))
    forced = Recognizer.from_pretrained(model_dir, "dense", chunk_ms=160, left_ms=80, lookahead_ms=40, force=True)
    assert forced.subnet == Subnet(0.0, Context(4, 2, 1))


def test_half_an_hour_gives_a_result(ctc_model, tokenizer, noise):
    recognizer = Recognizer(ctc_model, tokenizer, Subnet(0.7, Context(64, 8)), endpointing=Endpointing())
    piece, ended = noise(60), []
    for _ in range(30):
        ended += recognizer.accept_waveform(piece, 16000)
    last = recognizer.result()
    assert last.end_ms == 30 * 60_000 and last.start_ms > last.end_ms - 40_000
    assert ended and sum(r.end_ms - r.start_ms for r in ended) > 0.8 * last.end_ms
