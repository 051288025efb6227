"""Recordings of any rate, channels and format."""

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile

from dualmode_runtime.audio.fault import AudioFault
from dualmode_runtime.audio.media import check_media, one_channel, open_media

TONE = 0.5 * np.sin(np.arange(22050) / 20).astype(np.float32)
STEREO = np.stack([TONE, -0.5 * TONE], axis=1)


def read(path, channel=None):
    with open_media(path) as media:
        return media.rate, np.concatenate([one_channel(channel)(block) for block in media.blocks])


@pytest.mark.parametrize("ending", ["wav", "flac", "ogg"])
def test_channels_are_taken_or_mixed(tmp_path, ending):
    path = tmp_path / f"a.{ending}"
    soundfile.write(path, STEREO, 22050)
    assert check_media(path, 2) == (22050, 2)
    for channel, factor in ((None, 0.25), (1, 1.0), (2, -0.5)):
        rate, samples = read(path, channel)
        assert rate == 22050 and len(samples) == 22050
        np.testing.assert_allclose(samples, factor * TONE, atol=0.05 if ending == "ogg" else 1e-4)
    with pytest.raises(AudioFault, match="has 2 channels, and no channel 3"):
        check_media(path, 3)


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")
@pytest.mark.parametrize("ending", ["m4a", "webm", "mkv"])
def test_what_libsndfile_does_not_read_is_read_by_ffmpeg(tmp_path, ending):
    source, path = tmp_path / "a.wav", tmp_path / f"a b'$(c).{ending}"
    seconds = np.arange(4 * 44100) / 44100  # a tone of 440 Hz, in the second channel twice as soft
    soundfile.write(source, np.outer(np.sin(2 * np.pi * 440 * seconds), [0.5, 0.25]), 44100)
    subprocess.run(["ffmpeg", "-v", "error", "-i", source, path], check=True)
    for channel, amplitude in ((1, 0.5), (2, 0.25)):
        rate, samples = read(path, channel)
        assert check_media(path) == (rate, 2) and rate >= 44100 and len(samples) / rate == pytest.approx(4, abs=0.1)
        assert np.sqrt(2 * np.mean(samples[rate:-rate] ** 2)) == pytest.approx(amplitude, rel=0.1)
    (tmp_path / f"text.{ending}").write_text("no audio at all")
    with pytest.raises(AudioFault, match="text.* cannot be decoded by ffmpeg: .*nvalid data") as fault:
        check_media(tmp_path / f"text.{ending}")
    assert fault.value.detail.count(f"text.{ending}") == 1


@pytest.mark.parametrize(("ending", "channels", "frames"), [("wav", 1024, 200), ("mkv", 2, 70000)])
def test_a_block_is_no_larger_where_there_are_more_channels(tmp_path, ending, channels, frames):
    source, path = tmp_path / "source.wav", tmp_path / f"a.{ending}"
    samples = np.outer(np.sin(np.arange(frames) / 20), np.linspace(0.1, 0.9, channels)).astype(np.float32)
    soundfile.write(source, samples, 16000)
    if ending == "mkv":
        if shutil.which("ffmpeg") is None:
            pytest.skip("there is no ffmpeg")
        subprocess.run(["ffmpeg", "-v", "error", "-i", source, "-c:a", "pcm_s16le", path], check=True)
    else:
        source.rename(path)
    with open_media(path) as media:
        blocks = list(media.blocks)
    assert max(block.size for block in blocks) == 1 << 16
    np.testing.assert_allclose(np.concatenate(blocks), samples, atol=1e-4)


@pytest.mark.parametrize("name", ["a.webm", "a.m4a", "a.mp3", "a"])
def test_what_a_file_is_its_bytes_say_and_not_its_name(tmp_path, name):
    path = tmp_path / name
    soundfile.write(path, STEREO, 22050, format="WAV")
    rate, samples = read(path, 1)
    assert rate == 22050
    np.testing.assert_allclose(samples, TONE, atol=1e-4)


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")
def test_a_recording_of_a_browser_is_read_whatever_its_name(tmp_path):
    soundfile.write(tmp_path / "source.wav", TONE, 22050)
    subprocess.run(["ffmpeg", "-v", "error", "-i", tmp_path / "source.wav", tmp_path / "a.webm"], check=True)
    (tmp_path / "a.webm").rename(tmp_path / "a.wav")
    rate, samples = read(tmp_path / "a.wav")
    assert len(samples) / rate == pytest.approx(1, abs=0.1)


def test_without_ffmpeg_it_is_named(tmp_path, monkeypatch):
    (tmp_path / "a.m4a").write_bytes(b"x")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(AudioFault, match="a.m4a needs ffmpeg, which is not installed"):
        check_media(tmp_path / "a.m4a")
    with pytest.raises(AudioFault, match="there is no file"):
        check_media(Path("gone.m4a"))


def test_a_pipe_is_named_as_one(tmp_path):
    os.mkfifo(tmp_path / "pipe.wav")
    with pytest.raises(AudioFault, match="pipe.wav is a pipe or a device, which cannot be read twice: write"):
        check_media(tmp_path / "pipe.wav")


def test_what_is_wrong_inside_is_found_while_reading(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, np.r_[TONE, np.nan].astype(np.float32), 16000, subtype="FLOAT")
    with pytest.raises(AudioFault, match="NaN or infinite"):
        read(path)


@pytest.mark.parametrize(
    "list_of",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:3,\nfile://{0}\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile {0.name}\n",
    ],
)
def test_a_playlist_by_the_ending_of_a_recording_opens_nothing_else(tmp_path, list_of):
    if shutil.which("ffmpeg") is None:
        pytest.skip("there is no ffmpeg")
    secret, path = tmp_path / "secret.ts", tmp_path / "list.m4a"
    source = ["-f", "lavfi", "-i", "sine=duration=1"]
    subprocess.run(["ffmpeg", "-v", "error", *source, "-f", "mpegts", secret], check=True)
    path.write_text(list_of.format(secret))
    with pytest.raises(AudioFault, match="cannot be decoded by ffmpeg"), open_media(path):
        pass
