import errno
import os
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from dualmode.bin import validate_data
from dualmode.data.rejection import read_rejections
from dualmode.errors import UserError
from dualmode_runtime.audio.fault import Reason


def rejected(folder, *options) -> dict[str, Reason]:
    validate_data.main([str(folder), "--max-rejected", "99", *options])
    return {rejection.utt: rejection.reason for rejection in read_rejections(folder / "rejected.tsv")}


def drop(path, utt):
    path.write_text("".join(line for line in path.open() if line.split()[0] != utt))


def test_good_folder_has_nothing_rejected(good_dir, capsys):
    assert rejected(good_dir, "--read-audio") == {}
    assert "4 utterances, 0.00 h, 1 speakers are good" in capsys.readouterr().out
    assert (good_dir / "rejected.tsv").read_text() == "utt\treason\tdetail\n"


def test_a_folder_that_cannot_be_written_to_is_met_before_audio_is_read(good_dir, monkeypatch):
    def refuse(**_):
        raise OSError(errno.EROFS, "Read-only file system", str(good_dir))

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    monkeypatch.setattr("dualmode.data.validate.validate", lambda *_: pytest.fail("audio was read"))
    with pytest.raises(OSError, match="Read-only"):
        validate_data.main([str(good_dir)])


def test_lists_that_lack_an_utterance(good_dir):
    (good_dir / "spk2utt").unlink()
    drop(good_dir / "text", "a-0")
    drop(good_dir / "wav.scp", "a-1")
    drop(good_dir / "utt2spk", "a-2")
    assert rejected(good_dir) == {"a-0": Reason.NO_TEXT, "a-1": Reason.NO_AUDIO, "a-2": Reason.NO_SPEAKER}


def test_an_utterance_without_words_stays_and_is_told_of(good_dir, capsys):
    assert rejected(good_dir) == {} and "without words" not in capsys.readouterr().out
    (good_dir / "text").write_text("a-0 hi\na-1\na-2 hi\na-3 hi\n")
    assert rejected(good_dir) == {}
    assert f"{good_dir}: 1 of them without words in text" in capsys.readouterr().out
    (good_dir / "text").write_text("a-0 hi\na-2 hi\na-3 hi\n")
    assert rejected(good_dir) == {"a-1": Reason.NO_TEXT}
    assert rejected(good_dir, "--no-text") == {} and "without words" not in capsys.readouterr().out


@pytest.mark.parametrize("sign", ["\u202b", "\u2069", "\x7f", "\x1b"])
def test_text_that_no_token_list_can_have_is_rejected(good_dir, sign):
    (good_dir / "text").write_text(f"a-0 hi\na-1 h{sign}i\na-2 hi\na-3 hi\n")
    assert rejected(good_dir) == {"a-1": Reason.UNUSABLE}
    (one,) = read_rejections(good_dir / "rejected.tsv")
    assert one.detail == f"the control character \\u{ord(sign):04x} is in {good_dir}/text: take it out"
    assert rejected(good_dir, "--no-text") == {}


def test_bad_audio(good_dir):
    audio = good_dir.parent
    (good_dir / "utt2dur").unlink()
    (audio / "a-0.wav").unlink()
    soundfile.write(audio / "a-1.wav", np.zeros((8000, 2)), 16000)
    soundfile.write(audio / "a-2.wav", np.full(8000, np.nan), 16000, subtype="FLOAT")
    expected = {"a-0": Reason.MISSING_FILE, "a-1": Reason.NOT_MONO}
    assert rejected(good_dir) == expected
    # NaN samples are found only where samples are read, by any number of processes.
    assert rejected(good_dir, "--read-audio", "--jobs", "2") == {**expected, "a-2": Reason.NOT_FINITE}


def test_durations(good_dir):
    audio = good_dir.parent
    soundfile.write(audio / "a-0.wav", np.zeros(160), 16000)
    soundfile.write(audio / "a-1.wav", np.zeros(32000), 16000)
    soundfile.write(audio / "a-2.wav", np.zeros(8000 + 640), 16000)
    assert rejected(good_dir, "--min-ms", "100", "--max-ms", "1000") == {
        "a-0": Reason.TOO_SHORT,
        "a-1": Reason.TOO_LONG,
        "a-2": Reason.WRONG_DURATION,
    }


@pytest.mark.parametrize(
    ("words", "named"),
    [("--min-ms nan", "--min-ms nan"), ("--min-ms 500 --max-ms 500", "--max-ms 500"), ("--sample-rate 0", "above 0")],
)
def test_limits_that_nothing_can_keep_to(good_dir, words, named):
    with pytest.raises(UserError, match=named):
        validate_data.main([str(good_dir), *words.split()])
    assert not (good_dir / "rejected.tsv").exists()


def test_too_many_rejected_names_count_share_file_and_first(good_dir):
    (good_dir.parent / "a-2.wav").unlink()
    with pytest.raises(UserError) as error:
        validate_data.main([str(good_dir), "--max-rejected", "24.9"])
    for part in (
        "1 of 4",
        "25.0 %",
        "24.9 %",
        "1 missing-file",
        str(good_dir / "rejected.tsv"),
        "a-2",
        "--max-rejected",
    ):
        assert part in str(error.value)
    # A share of exactly the limit passes.
    validate_data.main([str(good_dir), "--max-rejected", "25"])


def test_a_set_without_any_good_utterance_never_passes(good_dir):
    for number in range(4):
        (good_dir.parent / f"a-{number}.wav").unlink()
    with pytest.raises(UserError, match="4 of 4"):
        validate_data.main([str(good_dir), "--max-rejected", "100"])


def test_command_ends_with_status_2_and_one_line(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "dualmode.bin.validate_data", str(tmp_path / "nowhere")], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stderr == f"error: there is no data folder {tmp_path}/nowhere\n"


def test_data_commands_load_no_torch_for_their_help():
    code = (
        "import sys\n"
        "from dualmode.bin import compute_cmvn, make_fbank, make_tokens, validate_data\n"
        "[module.get_parser() for module in (compute_cmvn, make_fbank, make_tokens, validate_data)]\n"
        "import dualmode.data.make_fbank, dualmode.data.validate, dualmode.data.make_tokens, dualmode.data.cmvn\n"
        "print([name for name in ('torch', 'espnet', 'espnet2', 'scipy') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ, check=True)
    assert done.stdout == "[]\n"
