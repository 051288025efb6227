"""The device file: what is written is read back; anything else is refused with one sentence."""

import base64
import ctypes
import re
import struct
import subprocess
import zlib
from contextlib import nullcontext
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dualmode.asr.build import build_asr_model, build_encoder
from dualmode.device import container
from dualmode.device.container import (
    ENTRY,
    FIXED,
    DeviceConfig,
    file_bytes,
    from_blocks,
    has_control,
    impossible,
    matrix,
    quantise,
    read,
    scale_of,
    to_blocks,
)
from dualmode.device.fallback import unpack_model
from dualmode.device.pack import block_rows, pack_model
from dualmode.errors import UserError
from dualmode.supernet.pruning import estimate_masks
from dualmode.supernet.subnet import Context, Subnet
from dualmode_runtime.build import compile_engine
from dualmode_runtime.engine import Device

STREAMED = Context(5, 8)
SMALLEST = DeviceConfig(0, 7, 2, 1, 1, 1, 1, 1, 2, 1, 0, 0, 0, 4, 0.0, head_size=2, convolution_channels=1)


@given(st.sampled_from([4, 8, 16]), st.integers(0, 40), st.integers(0, 40))
def test_blocks_come_back(rows, out, inner):
    weight = np.arange(out * inner, dtype=np.float32).reshape(out, inner)
    np.testing.assert_array_equal(from_blocks(to_blocks(weight, rows), out, inner), weight)


def test_first_block_is_row_by_row():
    np.testing.assert_array_equal(
        to_blocks(np.arange(48).reshape(4, 12), 4)[1],
        [[4, 5, 6, 7], [16, 17, 18, 19], [28, 29, 30, 31], [40, 41, 42, 43]],
    )


@given(st.integers(0, 2**16), st.floats(-9, 3.5))
def test_int8_is_off_by_half_a_step_at_most(seed, exponent):
    weight = (np.random.default_rng(seed).standard_normal((5, 12)) * 10**exponent).astype(np.float32)
    weight[2] = 0.0
    values, codes = quantise(weight)
    scales, peaks = scale_of(codes), np.abs(weight).max(axis=1)
    assert (scales >= peaks / 127 * (1 - 1e-5)).all() and scales[2] == 0
    assert (scales <= np.maximum(peaks / 127 * 1.0906, 2.0**-23)).all()
    assert (np.abs(values * scales[:, None] - weight) <= scales[:, None] * 0.5001).all()


@pytest.mark.parametrize(
    "precision, sparsity, block, context",
    [("fp32", 0.0, (8, 4), 0), ("fp32", 0.7, (8, 4), 2), ("int8", 0.7, (16, 4), 0)],
)
def test_what_is_written_is_read_back(model, precision, sparsity, block, context):
    recogniser, subnet = model(sparsity, block, context)
    config, tensors = read(pack_model(recogniser, "char", subnet, precision), "it")
    assert (config.chunk, config.left, config.right) == (5, 8, 0)
    assert config.block_rows == (16 if sparsity == 0 else block[0])
    assert tensors["tokens"] == recogniser.tokens
    state = recogniser.state_dict()
    for name, stored in tensors.items():
        if name.startswith(("predictor.", "joiner.")) and name in state:
            np.testing.assert_array_equal(stored.reshape(state[name].shape), state[name].numpy())
        if name.startswith("blocks.") and stored.shape == tuple(state[f"encoder.{name}"].shape):
            weight = state[f"encoder.{name}"].numpy()
            step = 0.0 if precision == "fp32" else np.abs(weight).max(axis=1, keepdims=True) / 230
            assert (np.abs(stored - weight) <= step).all(), name


def test_a_sparser_file_is_smaller(model):
    sizes = [len(pack_model(*(m[0], "char", m[1], "int8"))) for m in (model(0.0), model(0.7))]
    assert sizes[1] < sizes[0]


def test_a_context_that_does_not_stream_is_refused(model):
    sentence = r"the device engine streams: it needs a chunk \(--chunk-ms\), not: full context"
    with pytest.raises(UserError, match=sentence):
        pack_model(model()[0], "char", Subnet(0.7, Context()), "int8")


def rows_of(sparsity: float, **conf) -> int:
    encoder = build_encoder({"encoder_conf": {"output_size": 32, "num_blocks": 1, "linear_units": 32, **conf}})
    estimate_masks(encoder, encoder.config.pruning)
    return block_rows(encoder, Subnet(sparsity, STREAMED))


def test_blocks_that_the_engine_lacks_are_refused():
    assert [rows_of(0.7, block=block) for block in ((16, 4), (8, 8), (4, 4), (32, 4))] == [16, 8, 4, 16]
    assert rows_of(0.0, block=(1, 1)) == 16
    with pytest.raises(UserError, match="masks of 16x1 blocks cannot run on the device engine"):
        rows_of(0.7, block=(16, 1))
    with pytest.raises(UserError, match="masks of granularity unstructured cannot run on the device engine"):
        rows_of(0.7, granularity="unstructured")


def repaired(file: bytearray) -> bytes:
    """Return the file with the checksum of its header set right."""
    header = struct.unpack_from("<I", file, 12)[0]
    file[28:32] = bytes(4)
    file[28:32] = struct.pack("<I", zlib.crc32(file[:header]))
    return bytes(file)


def entry(file: bytes, name: str) -> int:
    """Return where the table's entry ``name`` starts."""
    for at in range(FIXED, struct.unpack_from("<I", file, 12)[0], ENTRY.size):
        if file[at : at + 40].rstrip(b"\0").decode() == name:
            return at
    raise KeyError(name)


def set_number(at, value):
    def change(file):
        struct.pack_into("<I", file, at(file) if callable(at) else at, value)
        return repaired(file)

    return change


def set_heads(heads, size):
    return lambda file: set_number(104, size)(bytearray(set_number(44, heads)(file)))


QKV = "blocks.0.attention.qkv.weight"
DAMAGE = {
    "it is too short for a header": lambda file: file[:100],
    "it is no device model": lambda file: b"x" + file[1:],
    "it has version 9 of the format, not 2": set_number(8, 9),
    "bytes, not the": lambda file: file[:-1],
    r"its header is damaged \(checksum\)": lambda file: file[:60] + b"\x01" + file[61:],
    r"the section tokens is damaged \(checksum\)": lambda file: file[:-1] + b"x",
    "its header does not have the size": set_number(24, 3),
    "its size of 0 is not in 2 to 8192": set_number(40, 0),
    "its right of 1025 is not in 0 to 1024": set_number(76, 1025),
    "its head_size of 0 is impossible": set_number(104, 0),
    "its head_size of 65536 is impossible": set_number(104, 65536),
    "its head_size of 268435458 is impossible": set_heads(16, 2**28 + 2),  # with 32 bits the product is 32, as stored
    "its convolution has 0 channels": set_number(108, 0),
    "the section blocks.0.attention.qkv.weight is 96 x 32, not 144 x 32": set_number(44, 3),
    "its kernel is even": set_number(52, 4),
    "its RNN-T has an impossible size": set_number(96, 12),
    "more than 1 GiB": lambda file: set_number(72, 65536)(bytearray(set_number(60, 1024)(file))),
    "the section subsampling.conv.0.weight is 9 x 4, not 9 x 5": set_number(56, 5),
    f"the section {QKV} has blocks of 5 rows": set_number(lambda file: entry(file, QKV) + 52, 5),
    f"the section {QKV} has the wrong size": set_number(lambda file: entry(file, QKV) + 56, 1000),
    f"the section {QKV} does not lie behind": set_number(lambda file: entry(file, QKV) + 64, 64),
    f"the section {QKV} is of the wrong kind": set_number(lambda file: entry(file, QKV) + 40, 1),
}


def sized(tokens=("<blank>", "<unk>"), **sizes):
    sizes = {"output_size": 8, "attention_heads": 1, "num_blocks": 1, "linear_units": 8} | sizes
    return build_asr_model({"encoder_conf": sizes}, list(tokens))


@pytest.mark.parametrize(
    "context, sizes, fault",
    [
        (Context(1025, 8), {}, "its chunk of 1025 is not in 1 to 1024; choose another --chunk-ms"),
        (Context(5, 70000), {}, "its left of 70000 is not in 0 to 65536; choose another --left-ms"),
        (Context(5, 8, 1100), {}, "its right of 1100 is not in 0 to 1024; choose another --lookahead-ms"),
        (STREAMED, {"linear_units": 65540}, "its units of 65540 is not in 1 to 65536; choose another linear_units"),
        (STREAMED, {"tokens": ["<blank>"]}, "its vocabulary of 1 is not in 2 to 1048576; choose another token list"),
        (
            Context(1024, 65536),
            {"num_blocks": 32},
            "its stream would need more than 1 GiB of memory; choose another --left-ms or --chunk-ms",
        ),
    ],
)
def test_what_the_engine_refuses_is_not_written(context, sizes, fault):
    with pytest.raises(UserError, match=f"^the device engine cannot run this: {fault}"):
        pack_model(sized(**sizes), "char", Subnet(0.0, context), "int8")


@pytest.mark.parametrize("value", [0.0, -1.0])
def test_a_deviation_that_is_not_above_zero_is_neither_written_nor_read(value):
    recogniser = sized()
    recogniser.encoder.normalize.std[3] = value
    with pytest.raises(UserError, match="the standard deviation of its feature bin 3 is not above 0; compute mean and"):
        pack_model(recogniser, "char", Subnet(0.0, STREAMED), "int8")
    file = bytearray(pack_model(sized(), "char", Subnet(0.0, STREAMED), "int8"))
    at = entry(file, "normalize.std")
    offset, size = struct.unpack_from("<2Q", file, at + 64)
    struct.pack_into("<f", file, offset + 12, value)
    struct.pack_into("<I", file, at + 60, zlib.crc32(file[offset : offset + size]))
    with pytest.raises(UserError, match="^it is damaged: the section normalize.std has a value that is not above 0$"):
        unpack_model(repaired(file), "it")


def test_an_lstm_predictor_is_refused():
    conf = {"encoder_conf": {"output_size": 8, "attention_heads": 1, "num_blocks": 1, "linear_units": 8}}
    conf["model_conf"] = {"kind": "rnnt", "transducer": {"predictor": "lstm"}}
    with pytest.raises(UserError, match="RNN-Ts with a stateless predictor only: this one's is an LSTM"):
        pack_model(build_asr_model(conf, ["<blank>", "<unk>"]), "char", Subnet(0.0, STREAMED), "fp32")


RNNT_DAMAGE = {
    "its predictor sees 17 tokens, more than 16": set_number(92, 17),
    "its RNN-T has an impossible size": set_number(100, 0),
    "the section predictor.embedding.weight is 10 x 12, not 10 x 11": set_number(96, 11),
    "it has something where zeros must be": set_number(112, 1),
    "the section joiner.output.weight is of the wrong kind": set_number(
        lambda file: entry(file, "joiner.output.weight") + 40, 0
    ),
}


@pytest.fixture(params=["native", "wasm"])
def refusal(request):
    """Opens a file's bytes, natively or in WebAssembly, whose sizes have 32 bits; returns why that fails."""
    fixture = request.getfixturevalue("library" if request.param == "native" else "call")

    def opened(file: bytes) -> str:
        with pytest.raises((UserError, RuntimeError)) as refused:
            if request.param == "native":
                Device.open(file, library=fixture)
            else:
                fixture("refuse", model=base64.b64encode(file).decode())
        return str(refused.value)

    return opened


@pytest.mark.parametrize("message", RNNT_DAMAGE)
def test_a_damaged_rnnt_is_refused_with_a_reason(model, refusal, message):
    recogniser, subnet = model(context=2)
    said = refusal(bytes(RNNT_DAMAGE[message](bytearray(pack_model(recogniser, "char", subnet, "int8")))))
    assert re.search(message, said)


@pytest.mark.parametrize("message", DAMAGE)
def test_a_damaged_file_is_refused_with_a_reason(model, refusal, message):
    recogniser, subnet = model()
    said = refusal(bytes(DAMAGE[message](bytearray(pack_model(recogniser, "char", subnet, "int8")))))
    assert re.search(message, said) and "\n" not in said


# The ends of each range in FORMAT.md; what lies beside them is a sign, or a blank that a token list refuses by itself.
CONTROLS = "\0\t\x1b\x1f\x7f\x80\x9b\x9f\u2028\u2029\u202a\u202e\u2066\u2069"
BESIDE = " ~\xa0\u2027\u202f\u2065\u206a"
NOT_UTF8 = (
    b"\x80",
    b"\xc1\xa1",
    b"\xe0\x9f\xbf",
    b"\xed\xa0\x80",
    b"\xf0\x8f\xbf\xbf",
    b"\xf4\x90\x80\x80",
    b"a\xe2\x82",
    b"\xff",
)


def is_utf8(token: bytes) -> bool:
    try:
        token.decode()
    except UnicodeDecodeError:
        return False
    return True


def test_controls_are_those_of_the_format():
    assert [sign for sign in CONTROLS + BESIDE if has_control(f"a{sign}b")] == list(CONTROLS)


@given(
    token=st.one_of(
        st.sampled_from(NOT_UTF8),
        st.sampled_from(CONTROLS + BESIDE).map(lambda sign: f"a{sign}b".encode()),
        st.binary(min_size=1, max_size=8).filter(lambda token: b"\n" not in token),
        st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]), min_size=1, max_size=4).map(
            str.encode
        ),
    )
)
@settings(deadline=None, max_examples=300)
def test_tokens_are_utf8_without_controls_or_refused(model, library, token):
    """By both readers, and by the token list's."""
    recogniser, subnet = model()
    file = bytearray(pack_model(recogniser, "char", subnet, "int8"))
    at = entry(file, "tokens")
    offset, size = struct.unpack_from("<2Q", file, at + 64)
    lines = bytes(file[offset : offset + size]).split(b"\n")
    text = b"\n".join([*lines[:2], token, *lines[3:]])
    file[offset:] = text  # the last section
    struct.pack_into("<Q", file, at + 72, len(text))
    struct.pack_into("<I", file, at + 60, zlib.crc32(text))
    struct.pack_into("<Q", file, 16, len(file))
    fault = "is not UTF-8" if not is_utf8(token) else "has a control character" if has_control(token.decode()) else None
    with pytest.raises(UserError, match=f"its token 2 {fault}$") if fault else nullcontext():
        Device.open(repaired(file), library=library)
    says = "codec can't decode" if not is_utf8(token) else "its line 2 has a control character$"
    with pytest.raises(UserError, match=f"the section tokens is impossible: .*{says}") if fault else nullcontext():
        assert read(repaired(file), "it")[1]["tokens"][2] == token.decode()


def test_no_token_with_a_control_character_is_written(model, monkeypatch):
    recogniser, subnet = model()
    for sign in [*CONTROLS, "\n"]:
        monkeypatch.setattr(recogniser, "tokens", ["<blank>", "<unk>", f"a{sign}b", *recogniser.tokens[3:]])
        with pytest.raises(UserError, match="has a control character in it, which a device file cannot hold"):
            pack_model(recogniser, "char", subnet, "int8")


NUMBERS_AT = dict(zip([field.name for field in fields(DeviceConfig)], range(32, 112, 4), strict=True))
ODD = [*range(5), 7, 8, 15, 16, 17, 1023, 1024, 1025, 2000, 4096, 4097, 5000, 8192, 8193, 65535, 65536, 65537]
ODD += [2**20, 2**20 + 1, 2**31, 2**32 - 1, *struct.unpack("<4I", struct.pack("<4f", 0.5, 1.0, -0.5, np.nan))]


@pytest.mark.parametrize("context", [0, 2], ids=["ctc", "rnnt"])
@settings(deadline=None, max_examples=300)
@given(changed=st.dictionaries(st.sampled_from(list(NUMBERS_AT)), st.sampled_from(ODD), min_size=1, max_size=3))
@example(changed={"channels": 1024, "left": 65536})
@example(changed={"left": 65536, "blocks": 1024, "heads": 1024})
def test_both_readers_refuse_the_same_headers(model, library, context, changed):
    recogniser, subnet = model(context=context)
    file = bytearray(pack_model(recogniser, "char", subnet, "int8"))
    for name, value in changed.items():
        struct.pack_into("<I", file, NUMBERS_AT[name], value)
    fault = impossible(DeviceConfig(*container.NUMBERS.unpack_from(file, 32)))
    with pytest.raises(UserError, match=f"^it is damaged: its {re.escape(fault[1])}$") if fault else nullcontext():
        read(repaired(file), "it")
    try:
        said = ""
        Device.open(repaired(file), library=library)
    except UserError as refused:
        said = str(refused)
    sections = re.match(r"the section|it has another section|it has \d+ tokens|it lacks|it has sections", said)
    assert bool(said and not sections) == bool(fault), said


@pytest.mark.parametrize("at", [112, 127])
def test_python_refuses_a_header_with_something_behind_its_numbers(model, at):
    recogniser, subnet = model()
    file = bytearray(pack_model(recogniser, "char", subnet, "int8"))
    file[at] = 1
    with pytest.raises(UserError, match="^it is damaged: its header has something where zeros must be$"):
        read(repaired(file), "it")


@settings(deadline=None, max_examples=200)
@given(data=st.data())
def test_python_refuses_damaged_files_too(model, data):
    recogniser, subnet = model()
    file = bytearray(pack_model(recogniser, "char", subnet, "int8"))
    file[data.draw(st.integers(0, len(file) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(UserError) as refusal:
        read(bytes(file), "it")
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("name", [QKV, "head.bias"])
def test_python_refuses_what_is_not_finite(model, name):
    recogniser, subnet = model()
    file = bytearray(pack_model(recogniser, "char", subnet, "fp32"))
    at = entry(file, name)
    offset, size = struct.unpack_from("<2Q", file, at + 64)
    struct.pack_into("<f", file, offset + size - 4, np.nan)
    struct.pack_into("<I", file, at + 60, zlib.crc32(file[offset : offset + size]))
    with pytest.raises(UserError, match=f"^it: the section {name} is impossible: a value is not finite$"):
        read(repaired(file), "it")


def test_python_refuses_a_mask_of_more_blocks_than_are_stored():
    """One block for a mask of two would be taken for both."""
    one = matrix("one", np.array([[1, 2, 3, 4, 0, 0, 0, 0]] * 4, np.float32), 4, False)
    two = replace(one, data=b"\xc0" + one.data[1:])
    with pytest.raises(UserError, match="^it: the section one is impossible: its mask keeps another number of blocks$"):
        read(file_bytes(SMALLEST, [two]), "it")


def test_python_bounds_what_all_matrices_take_made_dense(monkeypatch):
    """Two of 5 x 6, of which no block is stored: in blocks of 4 x 4 they take 8 x 8 each."""
    sections = [matrix(name, np.zeros((5, 6), np.float32), 4, False) for name in ("one", "two")]
    file = file_bytes(SMALLEST, sections)
    monkeypatch.setattr(container, "LARGEST", 128)
    assert {name: dense.shape for name, dense in read(file, "it")[1].items()} == {"one": (5, 6), "two": (5, 6)}
    monkeypatch.setattr(container, "LARGEST", 127)
    with pytest.raises(UserError, match="^it is too large to run without the engine: its weights need more than 1 GiB"):
        read(file, "it")


def test_a_missing_file_is_one_sentence(library, tmp_path):
    with pytest.raises(UserError, match="gone.dmdl: it cannot be opened"):
        Device.open(tmp_path / "gone.dmdl", library=library)


def test_a_long_path_leaves_the_reason(library, tmp_path):
    """With room for the end of the sentence only, which begins with a whole sign."""
    path = tmp_path.joinpath(*3 * ["\u00e4" * 100], "gone.dmdl")
    with pytest.raises(UserError, match=r"^\.\.\.\u00e4+/.*/gone\.dmdl: it cannot be opened$") as refused:
        Device.open(path, library=library)
    assert 509 <= len(str(refused.value).encode()) <= 511
    whole = f"{path}: it cannot be opened".encode()
    for size in range(1, 800):
        error = ctypes.create_string_buffer(b"x" * size, size + 1)
        assert library.dualmode_model_open(str(path).encode(), None, error, size) is None
        said = error.value
        assert size - 2 <= len(said) < size or said == whole
        assert error[size] == b"\0"
        if 3 < size <= len(whole):
            assert said.startswith(b"...") and whole.endswith(said[3:]) and said.decode()


def test_a_folder_is_one_sentence(library, tmp_path):
    with pytest.raises(UserError, match=f"{tmp_path}: it is a folder"):
        Device.open(tmp_path, library=library)


def test_a_hundred_thousand_damaged_files_under_sanitizers(model, built, tmp_path):
    """Built with address and undefined-behaviour sanitizers, which end the program at the first read out of bounds."""
    paths = []
    for precision, sparsity, sizes in (
        ("int8", 0.7, {}),
        ("int8", 0.7, {"num_blocks": 1, "context": 2}),
        ("fp32", 0.7, {"num_blocks": 1}),
        ("int8", 0.0, {"num_blocks": 1}),
    ):
        recogniser, subnet = model(sparsity, (8, 4), output_size=8, linear_units=16, subsampling_channels=1, **sizes)
        paths.append(tmp_path / f"{len(paths)}.dmdl")
        paths[-1].write_bytes(pack_model(recogniser, "char", subnet, precision))
    flags = ["-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    compile_engine(tmp_path, flags, [(Path(__file__).with_name("fuzz.cpp"), "fuzz")])
    result = subprocess.run([tmp_path / "fuzz", "100000", *paths], capture_output=True, text=True, timeout=600)
    assert result.returncode == 0, result.stdout + result.stderr
