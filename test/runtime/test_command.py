"""The command dualmode-runtime, and that dualmode transcribe is the same for device files."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from dualmode.bin.asr_stream import main as dualmode_stream
from dualmode.bin.transcribe import main as dualmode_transcribe
from dualmode_runtime import __main__ as entry
from dualmode_runtime.build import LIBRARY, PROGRAM, STAMP
from dualmode_runtime.errors import UserError
from dualmode_runtime.transcribe import FORMATS, get_parser, main


@pytest.mark.parametrize("format", FORMATS)
def test_both_commands_write_the_same(compiled, demo, texts, capsys, tmp_path, format):
    words = [str(demo / "sparse.dmdl"), *(str(demo / f"{name}.wav") for name in texts), "--format", format]
    outputs = []
    for number, command in enumerate((main, dualmode_transcribe)):
        folder = tmp_path / str(number)
        assert command([*words, "--out-dir", str(folder)]) == 0
        outputs.append({path.name: path.read_text() for path in sorted(folder.iterdir())})
    assert outputs[0] == outputs[1] and len(outputs[0]) == len(texts)
    said = capsys.readouterr()
    assert said.out == said.err == ""


def test_a_device_file_loads_no_torch(compiled, demo, texts):
    program = """
import sys
from pathlib import Path
from dualmode_runtime import engine
library = engine.load_library(Path(sys.argv[1]))
engine.load_library = lambda: library
from dualmode.bin.transcribe import main
main(sys.argv[2:])
print("torch" in sys.modules)
"""
    words = [compiled / LIBRARY, demo / "sparse.dmdl", demo / "news.wav"]
    done = subprocess.run([sys.executable, "-c", program, *words], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [texts["news"], "False"]


def test_the_program_in_c_hears_the_same(compiled, demo, texts, capsys):
    words = [str(demo / "sparse.dmdl"), *(str(demo / f"{name}.wav") for name in texts)]
    done = subprocess.run([compiled / PROGRAM, *words], capture_output=True, text=True, check=True)
    assert main(words) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("\t")[1] for line in lines] == list(texts.values())
    assert done.stdout.splitlines() == [line.replace("\t", " ") for line in lines]


def test_a_program_of_other_sources_is_not_run(compiled, tmp_path, monkeypatch):
    for name in (PROGRAM, STAMP):
        shutil.copy(compiled / name, tmp_path)
    monkeypatch.setattr(entry, "BUILT", tmp_path)
    monkeypatch.setattr(os, "execv", lambda path, words: pytest.fail(f"{path} was run"))
    (tmp_path / STAMP).write_text("0" * 64)
    with pytest.raises(SystemExit, match="was compiled from other sources: run python -m dualmode_runtime.build"):
        entry.compiled()


def test_a_bad_file_is_named_and_the_others_are_written(compiled, demo, texts, capsys, tmp_path):
    (tmp_path / "bad.wav").write_text("no audio")
    words = [str(demo / "sparse.dmdl"), str(tmp_path / "bad.wav"), str(demo / "news.wav"), "--format", "jsonl"]
    assert main(words) == 1
    said = capsys.readouterr()
    assert json.loads(said.out)["text"] == texts["news"] and "no transcript of 1 of 2" in said.err


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--channel", "left"], "--channel is 'left'"),
        (["--max-utterance-ms", "5"], "--max-utterance-ms is 5"),
        (["--format", "srt"], "2 recordings need a file of subtitles each"),
    ],
)
def test_mistakes_are_one_sentence(demo, texts, options, says):
    with pytest.raises(UserError, match=says):
        main([str(demo / "sparse.dmdl"), *(str(demo / f"{name}.wav") for name in texts), *options])


def test_every_option_is_explained():
    assert not [action.dest for action in get_parser()._actions if not action.help]


def test_help_needs_nothing_but_python():
    check = "import sys, dualmode_runtime.__main__; print({'numpy', 'soundfile', 'soxr'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", check], capture_output=True, text=True).stdout == "set()\n"


def test_dualmode_stream_hears_a_device_file_without_torch(compiled, demo, texts):
    """Pieces of PCM, and a file: the same transcript, which grows."""
    words = [str(demo / "sparse.dmdl"), "-", "--format", "jsonl"]
    code = f"""
import pathlib, sys
from dualmode.bin.asr_stream import main
from dualmode_runtime import engine
library = engine.load_library(pathlib.Path({str(compiled / LIBRARY)!r}))
engine.load_library = lambda: library
main({words})
print('torch' in sys.modules)
"""
    pcm = (demo / "temperature.wav").read_bytes()[44:]
    done = subprocess.run([sys.executable, "-c", code], input=pcm, capture_output=True, check=True)
    *lines, torch = done.stdout.decode().splitlines()
    assert torch == "False" and done.stderr == b""
    *partials, final = map(json.loads, lines)
    assert final["text"] == texts["temperature"] == " ".join(word["text"] for word in final["words"])
    assert partials and all(final["text"].startswith(one["text"]) for one in partials)


OPTIONS = [
    ["--beam-size", "4"],
    ["--subnet", "dense"],
    ["--hotword", "x"],
    ["--hotword-boost", "2"],
    ["--lm-weight", "9"],
]
OPTIONS += [["--device", "cuda:7"], ["--ngpu", "1"], ["--force"], ["--chunk-ms", "320"]]


@pytest.mark.parametrize("option", [["--threads", "9"], *OPTIONS])
def test_dualmode_transcribe_refuses_what_no_device_file_does(demo, option):
    with pytest.raises(UserError, match=rf"{option[0]} is for model folders: .*sparse.dmdl holds one sub-network"):
        dualmode_transcribe([str(demo / "sparse.dmdl"), str(demo / "temperature.wav"), *option])


@pytest.mark.parametrize("option", [["--second-pass"], *OPTIONS])
def test_dualmode_stream_refuses_what_no_device_file_does(demo, option):
    with pytest.raises(UserError, match=rf"{option[0]} is for model folders: .*sparse.dmdl holds one sub-network"):
        dualmode_stream([str(demo / "sparse.dmdl"), str(demo / "temperature.wav"), *option])


def test_the_channel_that_was_heard_stands_in_ctm(compiled, demo, tmp_path, capsys):
    speech, rate = soundfile.read(demo / "temperature.wav", dtype="int16")
    soundfile.write(tmp_path / "call.wav", np.stack([0 * speech, speech], axis=1), rate)
    for channel, number in (("2", "2"), ("mix", "1")):
        main([str(demo / "sparse.dmdl"), str(tmp_path / "call.wav"), "--format", "ctm", "--channel", channel])
        lines = [line.split() for line in capsys.readouterr().out.splitlines()]
        assert lines and all(line[:2] == ["call", number] for line in lines)


@pytest.mark.parametrize("utt", ["../evil", "/tmp/evil", "a/b", ".."])
def test_an_id_leads_nowhere_out_of_the_folder(demo, tmp_path, utt):
    (tmp_path / "x.scp").write_text(f"{utt} {demo / 'news.wav'}\n")
    words = [str(demo / "sparse.dmdl"), str(tmp_path / "x.scp"), "--out-dir", str(tmp_path / "in" / "out")]
    if utt == "..":  # it is a file "...txt"
        assert main(words) == 0 and (tmp_path / "in/out/...txt").is_file()
        return
    with pytest.raises(UserError, match=f"{utt} would be written outside of .*out, to {utt}.txt: give it an id"):
        main(words)
    assert not (tmp_path / "in").exists()


def test_names_that_are_nearly_too_long(compiled, demo, texts, tmp_path):
    longest = tmp_path / f"{'é' * 125}.wav"  # of 255 bytes, 5 are those of .json
    longest.symlink_to(demo / "news.wav")
    words = [str(demo / "sparse.dmdl"), str(longest), "--format", "jsonl", "--out-dir", str(tmp_path / "out")]
    with pytest.raises(UserError, match="is too long for the name of a file"):
        main(words)
    longest = longest.rename(longest.with_name(f"{'é' * 124}.wav"))
    words[1] = str(longest)
    assert main(words) == 0
    [written] = (tmp_path / "out").iterdir()
    assert json.loads(written.read_text())["text"] == texts["news"]


def test_files_of_the_user_stay(demo, tmp_path):
    (tmp_path / "writable").write_text("mine")
    assert main([str(demo / "sparse.dmdl"), str(demo / "news.wav"), "--out-dir", str(tmp_path)]) == 0
    assert (tmp_path / "writable").read_text() == "mine" and (tmp_path / "news.txt").is_file()


def test_what_is_read_is_not_replaced(compiled, demo, texts, tmp_path, capsys):
    shutil.copy(demo / "news.wav", tmp_path / "list.wav")
    listed = tmp_path / "list.txt"
    listed.write_text(f"{tmp_path / 'list.wav'}\n")
    words = [str(demo / "sparse.dmdl"), str(listed), "--out-dir", str(tmp_path)]
    with pytest.raises(UserError, match="list.txt is read here, and a transcript would replace it: name another"):
        main(words)
    assert listed.read_text() == f"{tmp_path / 'list.wav'}\n"
    words[1] = str(tmp_path / "list.wav")
    assert main(words) == 0 and listed.read_text() == texts["news"] + "\n"
    assert f"replacing 1 of 1 transcripts in {tmp_path}, which are there already" in capsys.readouterr().err


def test_lists_are_read_by_the_rule_of_all_lists(compiled, demo, texts, tmp_path, capsys):
    (tmp_path / "folder.wav").mkdir()
    named = tmp_path / "one\u2028two.wav"
    shutil.copy(demo / "news.wav", named)
    (tmp_path / "LIST.TXT").write_bytes(f"{demo / 'news.wav'}\r\n\r\n".encode())
    (tmp_path / "mark.txt").write_text(f"\ufeff{demo / 'news.wav'}\n")
    (tmp_path / "odd.txt").write_text(f"{named}\n")
    model = str(demo / "sparse.dmdl")
    assert main([model, str(tmp_path / "LIST.TXT")]) == 0 and capsys.readouterr().out == f"{texts['news']}\n"
    assert main([model, str(tmp_path)]) == 0 and capsys.readouterr().out == f"{texts['news']}\n"
    for name, said in (
        ("mark.txt", "byte-order mark"),
        ("odd.txt", "LINE SEPARATOR"),
        ("none.txt", "there is no file"),
    ):
        with pytest.raises(UserError, match=said):
            main([model, str(tmp_path / name)])


def test_two_lists_have_no_id_in_common(compiled, demo, tmp_path):
    for name, wav in (("a.scp", "news"), ("b.scp", "temperature"), ("c.scp", "news")):
        (tmp_path / name).write_text(f"utt1 {demo / wav}.wav\n")
    both = [str(demo / "sparse.dmdl"), str(tmp_path / "a.scp"), str(tmp_path / "b.scp")]
    for options in ([], ["--format", "jsonl"], ["--format", "ctm"], ["--out-dir", str(tmp_path / "out")]):
        with pytest.raises(UserError, match=r"utt1 \(.*news.wav\) and utt1 \(.*temperature.wav\) would both be"):
            main([*both, *options])
    same = [str(demo / "sparse.dmdl"), str(tmp_path / "a.scp"), str(tmp_path / "c.scp")]
    assert main([*same, "--out-dir", str(tmp_path / "out")]) == 0  # one recording that is named twice
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["utt1.txt"]


def test_two_recordings_have_no_id_in_common(demo):
    with pytest.raises(UserError, match=r"a/x.wav and b/x.wav would both be x in the output: name them in one"):
        main([str(demo / "sparse.dmdl"), "a/x.wav", "b/x.wav", "--format", "ctm"])
