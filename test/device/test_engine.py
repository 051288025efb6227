"""The engine against the encoder that it is a copy of."""

import ctypes
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dualmode.asr.build import build_asr_model
from dualmode.device.fallback import TorchDevice
from dualmode.device.pack import pack_model
from dualmode.encoder.slicing import slice_encoder
from dualmode.errors import UserError
from dualmode.supernet.pruning import estimate_masks
from dualmode.supernet.subnet import Context, Subnet
from dualmode.supernet.view import View
from dualmode_runtime.build import FLAGS, LIBRARY, SOURCES, find_compiler, run_compiler
from dualmode_runtime.engine import Device, _call, _Word, as_floats


def outputs_of_torch(recogniser, x, context):
    state, outputs, shift = recogniser.encoder.init_state(1, context), [], 4 * context.chunk
    with torch.inference_mode():
        for start in range(0, len(x) - 6, shift):
            piece = torch.tensor(x[start : start + shift + 4 * context.lookahead + 3])[None]
            y, _, state = recogniser.encoder.forward_chunk(
                piece, torch.tensor([piece.shape[1]]), state, Subnet(0.0, context)
            )
            outputs.append(y[0].numpy())
    return np.concatenate(outputs)


def outputs_of_engine(device, x):
    device.reset()
    shift, heard = 4 * device.info.chunk, 4 * (device.info.chunk + device.info.right) + 3
    return np.concatenate([device.encode(x[s : s + heard])[0] for s in range(0, len(x) - 6, shift)])


SIZES = [
    {},
    {"output_size": 24, "attention_heads": 3, "linear_units": 20, "subsampling_channels": 3, "block": (4, 4)},
    {
        "output_size": 48,
        "attention_heads": 1,
        "kernel_size": 1,
        "num_blocks": 1,
        "block": (16, 4),
        "subsampling_channels": 17,
    },
]


@pytest.mark.parametrize("sizes", SIZES, ids=["8x4", "4x4", "16x4"])
@settings(deadline=None, max_examples=25)
@given(
    chunk=st.integers(1, 24),
    left=st.integers(0, 40),
    right=st.integers(0, 12),
    frames=st.integers(7, 300),
    sparsity=st.sampled_from([0.0, 0.7]),
    kernels=st.sampled_from([None, "avx2", "portable"]),
)
def test_float_engine_equals_torch(model, library, features, sizes, chunk, left, right, frames, sparsity, kernels):
    recogniser, _ = model(sparsity, **sizes)
    context, x = Context(chunk, left, right), features(frames, frames)
    file = pack_model(recogniser, "char", Subnet(sparsity, context), "fp32")
    try:
        device = Device.open(file, kernels, library)
    except UserError:
        device = Device.open(file, "portable", library)
    expected = outputs_of_torch(recogniser, x, context)
    np.testing.assert_allclose(outputs_of_engine(device, x), expected, atol=1e-4)


@pytest.mark.parametrize("sizes", SIZES, ids=["8x4", "4x4", "16x4"])
def test_int8_engine_is_close_and_the_same_on_all_kernels(model, library, features, sizes):
    recogniser, subnet = model(0.7, **sizes)
    file, x = pack_model(recogniser, "char", subnet, "int8"), features(260)
    expected = outputs_of_torch(recogniser, x, subnet.context)
    portable = outputs_of_engine(Device.open(file, "portable", library), x)
    assert np.abs(portable - expected).mean() < 0.03 * np.abs(expected).mean()
    best = outputs_of_engine(Device.open(file, None, library), x)
    assert np.abs(portable - best).mean() < 1e-3


@pytest.mark.parametrize("right", [0, 2, 7])
@settings(deadline=None, max_examples=30)
@given(frames=st.integers(0, 260), pieces=st.lists(st.integers(0, 100), max_size=20))
def test_tokens_are_those_of_torch_for_any_pieces(model, library, features, streamed_tokens, right, frames, pieces):
    recogniser, _ = model()
    subnet = Subnet(0.7, Context(5, 8, right))
    device = Device.open(pack_model(recogniser, "char", subnet, "fp32"), library=library)
    x, start = features(frames), 0
    for piece in [*pieces, frames]:
        device.accept_features(x[start : start + piece])
        start += piece
    device.finish()
    assert device.tokens == streamed_tokens(recogniser, x, Subnet(0.0, subnet.context))


@pytest.mark.parametrize("context", [1, 2, 5])
@settings(deadline=None, max_examples=15)
@given(frames=st.integers(0, 260), pieces=st.lists(st.integers(0, 100), max_size=20))
def test_an_rnnt_puts_out_the_tokens_of_torch(model, library, features, streamed_tokens, context, frames, pieces):
    recogniser, subnet = model(context=context)
    file, x = pack_model(recogniser, "char", subnet, "fp32"), features(frames)
    for kernels in (None, "portable"):
        device, start = Device.open(file, kernels, library), 0
        for piece in [*pieces, frames]:
            device.accept_features(x[start : start + piece])
            start += piece
        device.finish()
        assert device.tokens == streamed_tokens(recogniser, x, Subnet(0.0, subnet.context))


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_whole_units_run_as_a_smaller_model(library, features, streamed_tokens, precision):
    torch.manual_seed(0)
    conf = {"output_size": 48, "num_blocks": 2, "attention_heads": 3, "linear_units": 40, "subsampling_channels": 4}
    conf |= {"kernel_size": 5, "granularity": "units", "sparsities": [0.6]}
    model = build_asr_model({"encoder_conf": conf}, TEXTS["char"]).eval()
    model.encoder.normalize.mean.sub_(8)
    whole = len(pack_model(model, "char", Subnet(0.0, Context(5, 8, 2)), precision))
    estimate_masks(model, model.encoder.config.pruning)
    model.encoder = slice_encoder(model.encoder, View(1, whole=True))
    config, subnet = model.encoder.config, Subnet(0.6, Context(5, 8, 2))
    assert (config.attention_heads, config.head_size, config.convolution_channels, config.linear_units) == (
        1,
        16,
        19,
        16,
    )
    file, x = pack_model(model, "char", subnet, precision), features(200)
    assert len(file) < 0.6 * whole
    ours, theirs = outputs_of_engine(Device.open(file, library=library), x), outputs_of_torch(model, x, subnet.context)
    assert np.abs(ours - theirs).mean() < (1e-5 if precision == "fp32" else 0.03 * np.abs(theirs).mean())
    device = TorchDevice(file, "it")
    device.accept_features(x)
    device.finish()
    if precision == "fp32":
        assert device.tokens == streamed_tokens(model, x, Subnet(0.0, subnet.context))


def test_an_rnnt_in_int8_forgets_the_utterance_before(model, library, features):
    recogniser, subnet = model(context=2)
    device = Device.open(pack_model(recogniser, "char", subnet, "int8"), library=library)
    assert (device.info.transducer, device.info.outputs) == (1, 20)
    heard = []
    for seed in (0, 1, 0):
        device.reset()
        device.accept_features(features(260, seed))
        device.finish()
        heard.append(device.tokens)
    assert heard[0] == heard[2] != heard[1]
    assert len(set(heard[0])) > 4


def test_a_stream_may_be_long_and_reset_forgets_it(model, library, features):
    recogniser, subnet = model()
    device = Device.open(pack_model(recogniser, "char", subnet, "fp32"), library=library)
    x = features(20000)
    assert np.abs(outputs_of_engine(device, x) - outputs_of_torch(recogniser, x, subnet.context)).max() < 1e-4
    first = outputs_of_engine(device, x[:200])
    np.testing.assert_array_equal(first, outputs_of_engine(device, x[:200]))


TEXTS = {
    "char": ["<blank>", "<unk>", "<space>", *"abcdefg"],
    "word": ["<blank>", "<unk>", "on", "off", "the", "light", "a", "b", "c", "d"],
    "bpe": ["<blank>", "<unk>", "\u2581go", "\u2581on", "ing", "\u2581a", "b", "c", "d", "e"],
}


@pytest.mark.parametrize("kind", TEXTS)
def test_text_is_that_of_the_tokenizer(model, library, features, kind):
    from dualmode.data.tokens import Tokenizer

    recogniser, subnet = model()
    tokens = TEXTS[kind]
    before, recogniser.tokens = recogniser.tokens, tokens
    device = Device.open(pack_model(recogniser, kind, subnet, "fp32"), library=library)
    recogniser.tokens = before
    device.accept_features(features(260))
    device.finish()
    assert len(set(device.tokens)) > 4
    assert device.text == Tokenizer(kind, tokens, bpe_model="unused").decode(device.tokens)


@pytest.mark.parametrize("times", [1, 2, 100_000])
def test_a_token_may_have_any_number_of_marks(model, library, features, times):
    """Also so many that a search from the token's beginning for each would take seconds."""
    recogniser, subnet = model()
    tokens = [*TEXTS["char"][:3], *(f"{letter}{'<space>' * times}<sp" for letter in "abcdefg")]
    before, recogniser.tokens = recogniser.tokens, tokens
    device = Device.open(pack_model(recogniser, "char", subnet, "fp32"), library=library)
    recogniser.tokens = before
    device.accept_features(features(260))
    device.finish()
    assert len(set(device.tokens)) > 4
    assert device.text == " ".join("".join(tokens[token] for token in device.tokens).replace("<space>", " ").split())


def test_misuse_is_one_sentence(model, library, features):
    recogniser, subnet = model()
    device = Device.open(pack_model(recogniser, "char", subnet, "int8"), library=library)
    with pytest.raises(UserError, match="a chunk has 7 to 23 feature frames, not 6"):
        device.encode(features(6))
    with pytest.raises(UserError, match="value 85 is not finite"):
        device.accept_features(np.where(np.arange(160).reshape(2, 80) == 85, np.nan, 0.0))
    with pytest.raises(UserError, match="audio of 2147483647 Hz cannot be resampled"):  # not 16000 Hz, modulo 2**32
        device.accept_samples(np.zeros(10), 2**32 + 16000)
    with pytest.raises(UserError, match="audio of -8000 Hz cannot be resampled"):
        device.accept_samples(np.zeros(10), -8000)
    for wrong in (4.01, -32768.0, np.inf, np.nan):  # as C hands them over, past as_floats
        one = (ctypes.c_float * 1)(wrong)
        with pytest.raises(UserError, match=r"^samples are not finite, or far outside of \[-1, 1\]"):
            _call(library, "dualmode_accept_samples", device._handle, one, 1)
    device.accept_samples(np.zeros(0))  # nothing: the kind of input is still free
    device.accept_features(features(3))
    with pytest.raises(UserError, match="either samples or features, not both"):
        device.accept_samples(np.zeros(10))
    device.finish()
    with pytest.raises(UserError, match="the utterance is finished: reset before the next one"):
        device.accept_features(features(3))
    with pytest.raises(UserError, match="this machine has no kernels called sse9"):
        Device.open(pack_model(recogniser, "char", subnet, "int8"), "sse9", library)


def test_handles_that_were_not_opened_are_one_sentence(library):
    """As C hands them over whose caller did not look at what failed."""
    samples, words = (ctypes.c_float * 1)(0.0), ctypes.POINTER(_Word)()
    for name, arguments in (
        ("dualmode_stream", ()),
        ("dualmode_set_rate", (16000,)),
        ("dualmode_accept_samples", (samples, 1)),
        ("dualmode_accept_features", (samples, 1)),
        ("dualmode_finish", ()),
        ("dualmode_set_endpointing", (None,)),
        ("dualmode_next_utterance", ()),
        ("dualmode_encode", (samples, 1, None, None)),
    ):
        with pytest.raises(UserError, match="^NULL was given for a handle: it was not opened, see the error of that$"):
            _call(library, name, None, *arguments)
    with pytest.raises(UserError, match="^NULL was given for the path$"):
        _call(library, "dualmode_model_open", None, None)
    assert library.dualmode_text(None) == b"" and library.dualmode_words(None, ctypes.byref(words)) == 0
    for free in ("dualmode_free", "dualmode_model_free", "dualmode_matrix_free"):
        getattr(library, free)(None)


def test_a_path_with_a_zero_byte_opens_no_other_file(model, library, tmp_path):
    recogniser, subnet = model()
    path = tmp_path / "model.dmdl"
    path.write_bytes(pack_model(recogniser, "char", subnet, "int8"))
    with pytest.raises(UserError, match=r"model.dmdl.x00.bak' has a zero byte, which no name has$"):
        Device.open(f"{path}\0.bak", library=library)
    with pytest.raises(UserError, match=r"^'avx2.x00' has a zero byte"):
        Device.open(path, "avx2\0", library)


def test_memory_that_runs_out_does_not_end_the_process(built, model, features, tmp_path):
    """Built beside the engine with its own allocations."""
    recogniser, subnet = model()
    (tmp_path / "model.dmdl").write_bytes(pack_model(recogniser, "char", subnet, "fp32"))
    features(260).tofile(tmp_path / "features")
    linked = [str(Path(__file__).with_name("memory.cpp")), str(built / LIBRARY), f"-Wl,-rpath,{built}"]
    run_compiler([*find_compiler(), *FLAGS, f"-I{SOURCES}", *linked, "-o", str(tmp_path / "memory")])
    words = [tmp_path / "memory", tmp_path / "model.dmdl", tmp_path / "features"]
    result = subprocess.run(words, capture_output=True, text=True)
    assert (result.returncode, result.stdout) == (0, "text: well\nwords: well\nfbank: well\n"), result.stderr


def test_samples_are_floats_or_integers_of_their_full_range():
    whole = np.array([-32768, -1, 0, 16384], dtype=np.int16)
    np.testing.assert_array_equal(as_floats(whole), np.array([-1.0, -1 / 32768, 0.0, 0.5], dtype=np.float32))
    np.testing.assert_array_equal(as_floats(whole.astype(np.int32) * 65536), as_floats(whole))
    for wrong in (np.array([12000.0]), np.array([np.nan]), np.array([1], dtype=np.uint8), np.array(["a"])):
        with pytest.raises(UserError):
            as_floats(wrong)
