"""Files that end elsewhere than their container says, in every container that is read."""

import io
import struct
from unittest import mock

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from dualmode_runtime.audio import compressed, reading
from dualmode_runtime.audio.containers import CHECKS
from dualmode_runtime.audio.fault import AudioFault, Reason
from dualmode_runtime.audio.media import open_media
from dualmode_runtime.audio.reading import read_audio, read_header

SAMPLES = (0.3 * np.sin(np.arange(20000) * 0.12) * np.sin(np.arange(20000) * 1e-3)).astype(np.float32)
KINDS = {
    "wav": {"format": "WAV", "subtype": "PCM_16"},
    "wav-float": {"format": "WAV", "subtype": "FLOAT"},
    "wav-ulaw": {"format": "WAV", "subtype": "ULAW"},
    "wav-big-endian": {"format": "WAV", "subtype": "PCM_16", "endian": "BIG"},
    "wavex": {"format": "WAVEX", "subtype": "PCM_24"},
    "rf64": {"format": "RF64", "subtype": "PCM_16"},
    "w64": {"format": "W64", "subtype": "PCM_16"},
    "aiff": {"format": "AIFF", "subtype": "PCM_16"},
    "aifc": {"format": "AIFF", "subtype": "FLOAT"},
    "caf": {"format": "CAF", "subtype": "PCM_16"},
    "au": {"format": "AU", "subtype": "PCM_16"},
    "au-little-endian": {"format": "AU", "subtype": "PCM_16", "endian": "LITTLE"},
    "sphere": {"format": "NIST", "subtype": "PCM_16"},
    "sphere-ulaw": {"format": "NIST", "subtype": "ULAW"},
    "sphere-alaw": {"format": "NIST", "subtype": "ALAW"},
    "flac": {"format": "FLAC", "subtype": "PCM_16"},
    "flac-24": {"format": "FLAC", "subtype": "PCM_24"},
    "vorbis": {"format": "OGG", "subtype": "VORBIS"},
    "opus": {"format": "OGG", "subtype": "OPUS"},
    "mp3": {"format": "MP3", "subtype": "MPEG_LAYER_III"},
}


def encoded(kind: str) -> bytes:
    memory = io.BytesIO()
    soundfile.write(memory, SAMPLES, 16000, **KINDS[kind])
    return memory.getvalue()


WHOLE = {kind: encoded(kind) for kind in KINDS}


def write(path, data: bytes):
    path.write_bytes(data)
    return path


def why(path, read=read_audio) -> str:
    with pytest.raises(AudioFault) as fault:
        read(path, 16000)
    assert fault.value.reason is Reason.UNDECODABLE
    assert str(path) in fault.value.detail
    return fault.value.detail


def test_every_container_that_is_read_is_tried_here():
    assert {options["format"] for options in KINDS.values()} == set(CHECKS)


@pytest.mark.parametrize("kind", KINDS)
def test_whole_files_are_read_to_their_end(tmp_path, kind):
    path = write(tmp_path / "a", WHOLE[kind])
    assert read_header(path, 16000) == len(read_audio(path, 16000)) == len(SAMPLES)


@pytest.mark.parametrize("kind", KINDS)
def test_cut_off_is_cut_off(tmp_path, kind):
    @settings(max_examples=12, deadline=None, database=None, derandomize=True)
    @given(st.floats(0.25, 1.0, exclude_max=True))
    def cut_anywhere(share):
        data = WHOLE[kind]
        path = write(tmp_path / "a", data[: min(int(share * len(data)), len(data) - 1)])
        assert why(path)
        assert why(path, read_header)

    cut_anywhere()


@pytest.mark.parametrize("kind", KINDS)
def test_bytes_behind_the_stated_end_are_named(tmp_path, kind):
    assert why(write(tmp_path / "a", WHOLE[kind] + bytes(range(1, 101))))


def with_length(kind: str, pack: str, length: int, at: int | None = None) -> bytes:
    """The file with another length in its header: behind the chunk's name, or at byte ``at``."""
    data = bytearray(WHOLE[kind])
    at = data.index(b"data") + (16 if kind == "w64" else 4) if at is None else at
    struct.pack_into(pack, data, at, length)
    return bytes(data)


OPEN = {
    "wav": with_length("wav", "<I", 0xFFFFFFFF),
    "wav 2 GB": with_length("wav", "<I", 0x7FFFFFFF),
    "wav-big-endian": with_length("wav-big-endian", ">I", 0xFFFFFFFF),
    "aiff of SoX": with_length("aiff", ">I", 0x7F000008, WHOLE["aiff"].index(b"SSND") + 4),
    "au": with_length("au", ">I", 0xFFFFFFFF, 8),
    "w64": with_length("w64", "<q", 0x7FFFFFFFFFFFFFFF),
    "aiff": with_length("aiff", ">I", 0xFFFFFFFF, WHOLE["aiff"].index(b"SSND") + 4),
    "flac": WHOLE["flac"][:21] + bytes([WHOLE["flac"][21] & 0xF0]) + bytes(4) + WHOLE["flac"][26:],
}


@pytest.mark.parametrize("kind", OPEN)
def test_where_the_length_is_open_samples_reach_to_the_end(tmp_path, kind):
    path = write(tmp_path / "a", OPEN[kind])
    assert read_header(path, 16000) == len(SAMPLES)
    assert np.abs(read_audio(path, 16000) - SAMPLES).max() < 1e-4


@pytest.mark.parametrize("kind", [*KINDS, *OPEN])
def test_block_by_block_it_is_the_same(tmp_path, kind):
    path = write(tmp_path / "a", (WHOLE | OPEN)[kind])
    with open_media(path) as media:
        blocks = np.concatenate(list(media.blocks))[:, 0]
    assert media.rate == 16000 and np.array_equal(blocks, read_audio(path, 16000))


def test_false_ends_of_a_flac_file_cost_little(tmp_path):
    """Headers of frames with a right checksum, of which each would have all that follows looked at."""
    path = write(tmp_path / "a", WHOLE["flac"] + bytes.fromhex("fff880000081") * 40_000 + b"x")
    assert compressed._flac_frame_end(bytes.fromhex("fff880000081"), 4096) is not None
    with mock.patch.object(compressed, "_crc", wraps=compressed._crc) as crc:
        assert "there is no whole frame" in why(path)
    assert sum(call.args[2] == 16 for call in crc.call_args_list) <= compressed._FLAC_TRIES


def test_an_ogg_file_is_not_decoded_to_be_opened(tmp_path):
    path = write(tmp_path / "a.ogg", WHOLE["vorbis"])
    with mock.patch.object(reading, "_decode", side_effect=AssertionError):
        with open_media(path) as media:
            assert sum(map(len, media.blocks)) == len(SAMPLES)


def test_a_flac_file_without_length_that_is_cut_off(tmp_path):
    assert "cut off" in why(write(tmp_path / "a", OPEN["flac"][: len(OPEN["flac"]) // 2]))


LYING = {
    "wav shorter": with_length("wav", "<I", 10000),
    "wav nothing": with_length("wav", "<I", 0),
    "wav longer": with_length("wav", "<I", 50000),
    "rf64 shorter": with_length("rf64", "<Q", 10000, WHOLE["rf64"].index(b"ds64") + 16),
    "caf shorter": with_length("caf", ">q", 10004),
    "caf open": with_length("caf", ">q", -1),
    "au shorter": with_length("au", ">I", 10000, 8),
    "sphere shorter": WHOLE["sphere"].replace(b"sample_count -i 20000", b"sample_count -i 10000"),
    "sphere longer": WHOLE["sphere"].replace(b"sample_count -i 20000", b"sample_count -i 99999"),
    "flac shorter": with_length("flac", ">I", 10000, 22),
    "flac longer": with_length("flac", ">I", 0xFFFFFFFF, 22),
    "mp3 longer": WHOLE["mp3"].replace(b"Xing\0\0\0\x0f\0\0", b"Xing\0\0\0\x0f\x7f\xff", 1),
    "two mp3 files": WHOLE["mp3"] * 2,
    "two opus files": WHOLE["opus"] * 2,
}


@pytest.mark.parametrize("kind", LYING)
def test_headers_that_lie(tmp_path, kind):
    path = write(tmp_path / "a", LYING[kind])
    assert LYING[kind] not in WHOLE.values()
    assert why(path) and why(path, read_header)


@pytest.mark.parametrize("container", ["VOC", "IRCAM", "AVR", "MAT5", "PVF"])
def test_containers_whose_end_cannot_be_checked_are_not_read(tmp_path, container):
    path = tmp_path / "a"
    soundfile.write(path, SAMPLES, 16000, format=container)
    assert "convert it to WAV or FLAC" in why(path)


def test_chunks_behind_the_samples_are_no_samples(tmp_path):
    extra = b"LIST" + struct.pack("<I", 10) + b"INFOISFT\0\0"
    assert len(read_audio(write(tmp_path / "a", WHOLE["wav"] + extra), 16000)) == len(SAMPLES)
    assert len(read_audio(write(tmp_path / "b", WHOLE["wav"] + bytes(512)), 16000)) == len(SAMPLES)


@settings(max_examples=150, deadline=None, database=None, derandomize=True)
@given(st.sampled_from(sorted(KINDS)), st.data())
def test_damaged_files_are_faults_and_nothing_else(tmp_path_factory, kind, data):
    raw = bytearray(WHOLE[kind])
    for at in data.draw(st.lists(st.integers(0, min(len(raw), 400) - 1), min_size=1, max_size=4)):
        raw[at] = data.draw(st.integers(0, 255))
    path = write(tmp_path_factory.getbasetemp() / "damaged", bytes(raw))
    try:
        assert len(read_audio(path, 16000)) <= 48 * len(SAMPLES)
    except AudioFault as fault:
        assert str(path) in fault.detail


def test_a_damaged_page_of_ogg_is_named(tmp_path):
    data = bytearray(WHOLE["vorbis"])
    data[len(data) * 3 // 4] ^= 0x10
    path = write(tmp_path / "a", bytes(data))
    assert "is damaged between the bytes" in why(path) and "is damaged between the bytes" in why(path, read_header)
