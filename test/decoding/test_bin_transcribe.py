"""dualmode transcribe: many files, of any kind, in any format."""

import json
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from dualmode.bin.transcribe import main
from dualmode.data.kaldi_dir import write_kaldi_dir
from dualmode.errors import UserError
from dualmode.recognizer import Recognizer
from dualmode.search.config import SearchConfig
from dualmode_runtime.formats import cues
from dualmode_runtime.words import Word


@pytest.fixture
def wavs(tmp_path, noise):
    """Five recordings of 0.3 to 2.3 s, of which one has another rate and one two channels."""
    folder = tmp_path / "audio"
    folder.mkdir()
    for number, seconds in enumerate((1.0, 2.3, 0.3, 1.7, 1.1)):
        samples = noise(seconds, number)
        soundfile.write(folder / f"{number}.wav", samples if number != 3 else np.stack([samples, samples], 1), 16000)
    soundfile.write(folder / "4.wav", noise(1.1, 4), 8000)
    return sorted(folder.iterdir())


@pytest.mark.parametrize("subnet", ["dense", "sparse"])
def test_many_files_in_order_as_each_alone(model_dir, wavs, capsys, subnet):
    recognizer = Recognizer.from_pretrained(model_dir, subnet)
    assert main([str(model_dir), *map(str, wavs), "--subnet", subnet, "--batch-size", "2"]) == 0
    output = capsys.readouterr()
    lines = [line.split("\t") for line in output.out.splitlines()]
    assert lines == [[str(wav), recognizer.transcribe(wav).text] for wav in wavs]
    assert sum(bool(text) for _, text in lines) >= 4
    assert output.err == (
        "recordings of 8000 Hz, resampled to 16000 Hz: 1; such audio lacks the high tones that the model knows, "
        "and will be heard worse\nrecordings of 2 channels, mixed to one (--channel): 1\n"
    )
    main([str(model_dir), str(wavs[1]), "--subnet", subnet])
    assert capsys.readouterr().out == lines[1][1] + "\n"


def test_folders_and_lists_and_kaldi_folders(model_dir, wavs, tmp_path, capsys):
    (tmp_path / "list.txt").write_text("".join(f"{wav}\n\n" for wav in wavs[:2]))
    write_kaldi_dir(tmp_path / "kaldi", {"utt-1": wavs[0], "utt-2": wavs[1]}, dict.fromkeys(["utt-1", "utt-2"], "s"))
    texts = []
    for place in (tmp_path / "list.txt", tmp_path / "kaldi", tmp_path / "kaldi/wav.scp", *wavs[0].parents[:1]):
        main([str(model_dir), str(place)])
        texts.append([line.split("\t") for line in capsys.readouterr().out.splitlines()])
    assert [name for name, _ in texts[1]] == ["utt-1", "utt-2"] and texts[1] == texts[2]
    assert [text for _, text in texts[0]] == [text for _, text in texts[1]] == [text for _, text in texts[3][:2]]
    assert [name for name, _ in texts[3]] == [str(wav) for wav in wavs]


def test_one_bad_file_does_not_lose_the_others(model_dir, wavs, tmp_path, capsys):
    bad = tmp_path / "bad.wav"
    bad.write_text("no audio")
    late = tmp_path / "late.wav"  # only reading it to its end shows what is wrong
    soundfile.write(late, np.r_[np.zeros(100_000), np.nan].astype(np.float32), 16000, subtype="FLOAT")
    files = [wavs[0], bad, wavs[1], late, wavs[2], tmp_path / "gone.wav"]
    assert main([str(model_dir), *map(str, files), "--max-utterance-ms", "1000"]) == 1
    output = capsys.readouterr()
    assert [line.split("\t")[0] for line in output.out.splitlines()] == [str(wav) for wav in wavs[:3]]
    said = output.err.splitlines()
    assert said[0] == "error: no transcript of 3 of 6 recordings:" and len(said) == 4
    for line, words in zip(
        said[1:], ("bad.wav cannot be read as audio (Format not", "there is no file", "late.wav has 1 NaN"), strict=True
    ):
        assert words in line


def test_bad_files_are_refused_before_torch_is_loaded(model_dir, tmp_path):
    (tmp_path / "bad.wav").write_text("no audio")
    words = [str(model_dir), str(tmp_path / "bad.wav")]
    check = f"import sys; from dualmode.bin.transcribe import main; print(main({words}), 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout == "1 False\n"


def test_json_lines_have_it_all(model_dir, wavs, capsys):
    main([str(model_dir), *map(str, wavs[:2]), "--format", "jsonl", "--nbest", "3", "--beam-size", "4"])
    recognizer = Recognizer.from_pretrained(model_dir, search=SearchConfig(beam_size=4, nbest=3))
    for line, wav in zip(capsys.readouterr().out.splitlines(), wavs[:2], strict=True):
        found, result = json.loads(line), recognizer.transcribe(wav)
        expected = json.loads(json.dumps(result.to_dict()))
        assert found.pop("file") == str(wav)
        assert [entry["text"] for entry in found["nbest"]] == [entry.text for entry in result.nbest]
        assert found["text"] == result.text == " ".join(word["text"] for word in found["words"])
        assert [word["start_ms"] for word in found["words"]] == [word["start_ms"] for word in expected["words"]]
        for word in found["words"]:
            assert word["start_ms"] < word["end_ms"] <= word["stable_ms"] + 40 and 0 < word["confidence"] <= 1


def test_subtitles_and_ctm_in_files(model_dir, wavs, tmp_path, capsys):
    out, words = tmp_path / "out", Recognizer.from_pretrained(model_dir).transcribe(wavs[1]).words
    for name in ("srt", "vtt", "ctm", "text"):
        main([str(model_dir), *map(str, wavs), "--format", name, "--out-dir", str(out)])
    assert capsys.readouterr().out == ""
    assert sorted(path.name for path in out.iterdir()) == sorted(
        f"{n}.{e}" for n in range(5) for e in "srt vtt ctm txt".split()
    )
    assert (out / "1.vtt").read_text().startswith("WEBVTT\n\n00:00:0")
    assert (out / "1.srt").read_text().startswith("1\n00:00:0")
    fields = [line.split() for line in (out / "1.ctm").read_text().splitlines()]
    assert [(f[0], float(f[2]), f[4]) for f in fields] == [("1", word.start_ms / 1000, word.text) for word in words]


def test_cues_by_hand():
    assert cues([], 1000) == []
    words = [Word(f"word{n}", 500 * n, 0, 500 * n + 400) for n in range(20)]
    first, second = cues(words, 12000)
    assert cues(words, 10000)[1][1] == 10000
    assert (first[0], second[1]) == (0, 9900 + 500) and first[1] == second[0]
    assert " ".join([first[2], second[2]]).split() == [word.text for word in words]
    assert max(len(line) for _, _, said in (first, second) for line in said.split("\n")) <= 48


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--channel", "left"], "--channel is 'left'"),
        (["--nbest", "3"], "--nbest 3 needs --format jsonl"),
        (["--beam-size", "0"], "beam_size is 0"),
        (["--lm-weight", "-1"], "--lm-weight is of --lm, which is not given"),
        (["--batch-size", "0"], "--batch-size is 0"),
        (["--max-utterance-ms", "nan"], "--max-utterance-ms is nan"),
        (["--format", "srt"], "5 recordings need a file of subtitles each: give --out-dir"),
        (["--subnet", "small"], "there is no sub-network 'small'"),
    ],
)
def test_mistakes_are_one_sentence(model_dir, wavs, options, words):
    with pytest.raises(UserError, match=words):
        main([str(model_dir), *map(str, wavs), *options])


def test_places_that_are_wrong(model_dir, tmp_path, wavs):
    (tmp_path / "empty.txt").write_text("\n")
    (tmp_path / "nothing").mkdir()
    (tmp_path / "twice").mkdir()
    (tmp_path / "twice/0.wav").write_bytes(wavs[0].read_bytes())
    for words, says in (
        ([tmp_path / "empty.txt"], "empty.txt is empty"),
        ([tmp_path / "nothing"], "nothing has no audio files"),
        ([tmp_path / "gone.txt"], "there is no file .*gone.txt"),
        ([wavs[0], ""], "one of the names of audio is empty"),
        ([wavs[0], tmp_path / "twice", "--out-dir", tmp_path / "out"], "would both be written to"),
    ):
        with pytest.raises(UserError, match=says):
            main([str(model_dir), *map(str, words)])
