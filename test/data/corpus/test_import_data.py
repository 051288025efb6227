"""Corpora of all kinds, imported as a user would."""

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from dualmode.bin.import_data import main
from dualmode.data.corpus.audio_files import Conversion, Cut, utterance_file
from dualmode.data.corpus.split import take_share
from dualmode.data.kaldi_dir import open_kaldi_dir, read_table, write_kaldi_dir
from dualmode.data.rejection import read_rejections
from dualmode.data.validate import Limits, validate
from dualmode.errors import UserError
from dualmode_runtime.audio.fault import AudioFault, Reason
from dualmode_runtime.audio.reading import read_audio
from dualmode_runtime.tables import c_order

ALONE = ["--valid-share", "0", "--test-share", "0"]
CUTS = ({}, {"offset": 0.5}, {"offset": 0.25, "duration": 1.3333}, {"duration": 1.98}, {"duration": 2.3})


@pytest.fixture
def work(tmp_path):
    return tmp_path / "work"


@pytest.fixture
def people(record, manifest):
    """A manifest of 12 speakers with two utterances each, in no order."""
    lines = [
        {"audio_filepath": str(record(f"{spk}{n}.wav", 300)), "text": f"it is {spk}", "speaker": spk}
        for n in (1, 0)
        for spk in "lakbjcidhegf"
    ]
    return manifest(*lines)


def tables(work, part):
    names = ("wav.scp", "text", "utt2spk", "utt2dur")
    return [read_table(work / "data" / part / name) for name in names]


def test_nemo_manifest_cut_resampled_and_mixed(record, manifest, work, heard):
    stereo = record("s.wav", 200, 500, 800, rate=8000)
    mono, _ = soundfile.read(stereo)
    soundfile.write(stereo, np.stack([mono, 0 * mono], axis=1), 8000)
    path = manifest(
        {"audio_filepath": "s.wav", "offset": 1.0, "duration": 1.0, "text": "five", "speaker": "anna"},
        {"audio_filepath": "s.wav", "offset": 0.0, "duration": 3.0, "text": "all", "speaker": "anna"},
    )
    main([str(path), "--out", str(work), *ALONE])
    wav, text, utt2spk, utt2dur = tables(work, "train")
    assert list(text.items()) == [("anna-s", "all"), ("anna-s-0001000", "five")]
    assert set(utt2spk.values()) == {"anna"}
    assert [float(seconds) for seconds in utt2dur.values()] == [3.0, 1.0]
    assert heard(wav["anna-s-0001000"]) == pytest.approx(500, abs=2)
    samples, rate = soundfile.read(wav["anna-s"], always_2d=True)
    assert rate == 16000 and samples.shape == (48000, 1)
    assert np.abs(samples).max() == pytest.approx(0.05, abs=0.005)  # the mean of 0.1 and silence


@pytest.mark.parametrize("codec", ["GSM610", "G721_32", "NMS_ADPCM_16", "IMA_ADPCM"])
def test_cuts_of_a_recording_in_which_no_decoder_can_seek(record, manifest, work, heard, codec):
    record("call.wav", 300, 500, 900, rate=8000, subtype=codec)
    ends = {"first": (0.0, 1.0), "second": (1.0, 2.0), "last": (2.0, 3.0), "whole": (0.0, 3.0)}
    rows = [
        {"audio": "call.wav", "id": name, "start": start, "end": end, "text": name}
        for name, (start, end) in ends.items()
    ]
    main([str(manifest(*rows)), "--out", str(work), *ALONE])
    wavs, *_, seconds = tables(work, "train")
    assert {utt: round(heard(wav), -1) for utt, wav in wavs.items() if utt != "whole"} == {
        "first": 300,
        "second": 500,
        "last": 900,
    }
    assert [float(one) for one in seconds.values()] == pytest.approx([1.0, 1.0, 1.0, 3.0], abs=0.05)


def test_one_channel_of_two(record, manifest, work, heard):
    left, right = (soundfile.read(record(f"{hz}.wav", hz))[0] for hz in (300, 700))
    soundfile.write(work.parent / "two.wav", np.stack([left, right], axis=1), 16000)
    path = manifest({"audio_filepath": "two.wav", "text": "hello"})
    main([str(path), "--out", str(work), "--channel", "2", *ALONE])
    assert heard(tables(work, "train")[0]["two"]) == pytest.approx(700, abs=2)
    with pytest.raises(UserError, match="two.wav has 2 channels, and no channel 3"):
        main([str(path), "--out", str(work), "--channel", "3", *ALONE])


def test_what_is_16_khz_mono_stays_where_it_is_unless_asked(record, manifest, work):
    path = record("a.flac", 400)
    listed = manifest({"audio_filepath": "a.flac", "text": "hello"})
    main([str(listed), "--out", str(work), *ALONE])
    assert tables(work, "train")[0] == {"a": str(path)} and not (work / "downloads").exists()
    main([str(listed), "--out", str(work), "--copy", *ALONE])
    copied = tables(work, "train")[0]["a"]
    assert copied.startswith(str(work)) and np.array_equal(soundfile.read(copied)[0], soundfile.read(path)[0])


def test_the_folders_are_what_recipes_read(people, work):
    main([str(people), "--out", str(work)])
    for part in ("train", "valid", "test"):
        folder = open_kaldi_dir(work / "data" / part)
        report = validate(folder, Limits())
        assert report.total and not report.rejections
        for name in ("wav.scp", "text", "utt2spk", "spk2utt", "utt2dur"):
            keys = list(read_table(work / "data" / part / name))
            assert keys == sorted(keys, key=c_order)


def test_speakers_are_in_one_set_each_and_drawn_by_the_seed(people, work):
    drawn = set()
    for seed in ("0", "0", "1", "2"):
        main([str(people), "--out", str(work), "--seed", seed, "--valid-share", "20", "--test-share", "20"])
        speakers = [frozenset(tables(work, part)[2].values()) for part in ("train", "valid", "test")]
        assert sum(map(len, speakers)) == 12 == len(frozenset.union(*speakers))
        assert len(speakers[1]) in (2, 3) and len(speakers[2]) in (2, 3)
        drawn.add(tuple(speakers))
    assert len(drawn) == 3


def test_the_order_of_a_manifest_changes_nothing(people, work, manifest):
    main([str(people), "--out", str(work)])
    lines = [json.loads(line) for line in people.read_text().splitlines()]
    other = manifest(*reversed(lines), name="reversed.jsonl")
    main([str(other), "--out", str(work.parent / "other")])
    for part in ("train", "valid", "test"):
        assert tables(work, part) == tables(work.parent / "other", part)


def test_a_speaker_larger_than_the_share_is_passed_over():
    assert take_share([("a", 80.0), ("b", 6.0), ("c", 4.0)], 5.0) == ["b"]
    assert take_share([("a", 80.0), ("b", 60.0)], 5.0) == ["b"]


def test_too_few_speakers_to_split_by(record, manifest, work):
    lines = [{"audio_filepath": str(record(f"{n}.wav", 300)), "text": "hi", "speaker": "anna"} for n in range(4)]
    path = manifest(*lines)
    with pytest.raises(UserError, match="train has 1 speakers, too few to split valid and test off by"):
        main([str(path), "--out", str(work)])
    main([str(path), "--out", str(work), "--split-by", "utterance"])
    assert [len(tables(work, part)[0]) for part in ("train", "valid", "test")] == [2, 1, 1]


def test_sets_can_be_named(people, record, manifest, work, capsys):
    held = manifest({"audio_filepath": str(record("z.wav", 300)), "text": "zed", "speaker": "a"}, name="held.jsonl")
    main([f"train={people}", f"dev={held}", "--out", str(work), "--test-share", "0"])
    assert list(tables(work, "valid")[1].values()) == ["zed"]
    assert "valid: 1 utterances, 0.00 h, 1 speakers, 1 of whom are in train too" in capsys.readouterr().out
    assert not (work / "data/test").exists()


def test_sets_without_train_are_refused_before_anything_is_read(tmp_path, work):
    (tmp_path / "x.jsonl").write_text("no JSON\n")
    path = tmp_path / "x.jsonl"
    command = [f"dev={path}", f"other={path}", "--out", str(work)]
    with pytest.raises(UserError, match=r"no set train to split test off; the corpus has other, valid: name one"):
        main(command)
    assert not work.exists()
    for goes_on in (["--test-share", "0"], [f"train={path}"], [str(path)]):
        with pytest.raises(UserError, match="is not JSON"):
            main([*goes_on, *command])


def test_a_manifest_whose_name_is_not_utf8_is_refused_before_it_is_read(tmp_path, work):
    path = os.fsdecode(os.fsencode(tmp_path) + b"/a\xff.jsonl")
    with open(path, "w") as out:
        out.write("{}\n")
    with pytest.raises(UserError, match="is not UTF-8"):
        main([path, "--out", str(work)])
    assert not work.exists()


def test_a_work_folder_whose_name_is_not_utf8_is_refused_before_it_is_made(people, tmp_path, monkeypatch):
    place = tmp_path / os.fsdecode(b"caf\xe9")
    place.mkdir()
    monkeypatch.chdir(place)
    with pytest.raises(UserError, match=r"caf\\udce9/work' is not UTF-8"):
        main([str(people), "--out", "work"])
    assert list(place.iterdir()) == []


def test_common_voice_keeps_its_splits(record, work, tmp_path, capsys):
    sentences = {"train": 'He said "no".', "dev": "Ça va ?", "test": "Stop!"}
    for number, (name, sentence) in enumerate(sentences.items()):
        record(f"cv/clips/c{number}.mp3", 440, rate=32000, format="MP3")
        row = f"{number}{'f' * 127}\tc{number}.mp3\t{sentence}\t2\n"
        (tmp_path / "cv" / f"{name}.tsv").write_text(f"client_id\tpath\tsentence\tup_votes\n{row}")
    (tmp_path / "cv" / "other.tsv").write_text("not\tread\n")
    main([str(tmp_path / "cv"), "--out", str(work), "--text-rule", "plain"])
    texts = {part: list(tables(work, part)[1].values()) for part in ("train", "valid", "test")}
    assert texts == {"train": ["he said no"], "valid": ["ça va"], "test": ["stop"]}
    (speaker,) = set(tables(work, "train")[2].values())
    assert len(speaker) == 14 and "Common Voice" in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_audiofolder_with_splits(record, work, tmp_path, kind):
    for part in ("train", "validation", "test"):
        record(f"af/{part}/0.wav", 440)
        lines = {"csv": 'file_name,transcription\n0.wav,"yes, sir"\n'}
        lines["jsonl"] = '{"file_name": "0.wav", "transcription": "yes, sir"}\n'
        (tmp_path / "af" / part / f"metadata.{kind}").write_text(lines[kind])
    main([str(tmp_path / "af"), "--out", str(work)])
    for part in ("train", "valid", "test"):
        # The three files have the same name: what tells them apart is where they lie.
        wav, text, *_ = tables(work, part)
        assert list(text.values()) == ["yes, sir"] and "/validation/" in str(wav) or part != "valid"


def test_a_csv_with_a_split_column_and_a_byte_order_mark(record, work, tmp_path):
    record("0.wav", 440), record("1.wav", 440), record("2.wav", 440)
    rows = "wav,words,split\n0.wav,one,train\n1.wav,two,dev\n2.wav,three,test\n"
    (tmp_path / "x.csv").write_bytes(b"\xef\xbb\xbf" + rows.encode())
    main([str(tmp_path / "x.csv"), "--out", str(work), "--columns", "text=words"])
    assert [list(tables(work, p)[1].values()) for p in ("train", "valid", "test")] == [["one"], ["two"], ["three"]]


@pytest.mark.parametrize("name", ["../../up", "/ABSOLUTE", "a b|c", ".hidden", "..", "x" * 101])
def test_a_set_s_name_leads_nowhere_out_of_the_folder(record, manifest, work, tmp_path, name):
    elsewhere = tmp_path / "elsewhere"
    good = {"audio_filepath": str(record("good.wav", 300)), "text": "fine", "split": "test.clean"}
    path = manifest({**good, "id": "b", "split": name.replace("/ABSOLUTE", str(elsewhere))}, good)
    main([str(path), "--out", str(work), "--max-rejected", "50", *ALONE])
    (one,) = read_rejections(work / "data/import_rejected.tsv")
    assert (one.utt, one.reason.value) == ("b", "not-usable") and "which is no name of one" in one.detail
    assert list(tables(work, "test.clean")[1].values()) == ["fine"]
    assert [folder.name for folder in (work / "data").iterdir() if folder.is_dir()] == ["test.clean"]
    assert not elsewhere.exists() and not (tmp_path / "up").exists() and not (tmp_path.parent / "up").exists()


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 44100])
@pytest.mark.parametrize("more", [1, 2, 3, 7])
def test_an_utterance_to_the_end_of_its_recording_is_all_there(tmp_path, rate, more):
    """Beginning and length are each rounded to samples, which are never more than there are."""
    wav = tmp_path / "x.wav"
    soundfile.write(wav, np.full(rate + more, 0.1), rate)
    for ms in range(10, 900, 50):
        for seconds in (None, (rate + more) / rate - ms / 1000):
            _, length, behind = utterance_file(
                "u", Cut(str(wav), ms / 1000, seconds, None), Conversion(tmp_path / "out")
            )
            assert length == pytest.approx((rate + more) / rate - ms / 1000, abs=2 / rate) and behind == 0


def test_kaldi_folder_with_segments(record, work, tmp_path, heard):
    wav = record("r.wav", 200, 500, 800)
    write_kaldi_dir(tmp_path / "k", {"r": wav}, {"a-1": "a", "a-2": "a"}, {"a-1": "one", "a-2": "two"})
    (tmp_path / "k" / "segments").write_text("a-1 r 0.0 1.0\na-2 r 2.0 3.2\n")  # rounded up a little
    main([str(tmp_path / "k"), "--out", str(work), *ALONE])
    wavs, text, utt2spk, _ = tables(work, "train")
    assert text == {"a-1": "one", "a-2": "two"} and utt2spk == {"a-1": "a", "a-2": "a"}
    assert [round(heard(wavs[utt]), -1) for utt in text] == [200, 800]


def test_segments_that_cannot_be_are_rejected(record, work, tmp_path):
    wav = record("r.wav", 200, 500)
    segments = {
        "a-1": "r 0.0 1.0",
        "a-2": "r 1.0 0.5",
        "a-3": "r 0.0",
        "a-4": "r nan 1.0",
        "a-5": "other 0.0 1.0",
        "a-6": "r 5.0 6.0",
    }
    write_kaldi_dir(tmp_path / "k", {"r": wav}, dict.fromkeys(segments, "a"), dict.fromkeys(segments, "one"))
    (tmp_path / "k" / "segments").write_text("".join(f"{utt} {value}\n" for utt, value in segments.items()))
    main([str(tmp_path / "k"), "--out", str(work), "--max-rejected", "90", *ALONE])
    assert list(tables(work, "train")[1]) == ["a-1"]
    times = "expected a recording, a start and a later end in seconds"
    found = {r.utt: r.detail for r in read_rejections(work / "data/import_rejected.tsv")}
    assert "a-6" in found and found.pop("a-6")
    assert found == {
        "a-2": f"{tmp_path / 'k'}: a-2: segments has 'r 1.0 0.5': {times}",
        "a-3": f"{tmp_path / 'k'}: a-3: segments has 'r 0.0': {times}",
        "a-4": f"{tmp_path / 'k'}: a-4: segments has 'r nan 1.0': {times}",
        "a-5": f"{tmp_path / 'k'}: a-5: it is of the recording other, which {tmp_path / 'k/wav.scp'} does not have",
    }


def test_kaldi_pipes_are_refused_by_name(work, tmp_path):
    write_kaldi_dir(tmp_path / "k", {"a-1": "touch pwned |"}, {"a-1": "a"}, {"a-1": "one"})
    with pytest.raises(UserError, match="wav.scp:1: a-1 is a command, not a file"):
        main([str(tmp_path / "k"), "--out", str(work)])


def test_lhotse_cuts(record, work, tmp_path, heard):
    lhotse = pytest.importorskip("lhotse")
    recording = lhotse.Recording.from_file(record("r.wav", 200, 500, 800))
    pieces = [lhotse.SupervisionSegment(f"s{n}", "r", n, 1.0, text=f"number {n}", speaker="anna") for n in (0, 2)]
    cut = lhotse.MonoCut("c", 0.0, 3.0, 0, supervisions=pieces, recording=recording)
    lhotse.CutSet.from_cuts([cut, *cut.trim_to_supervisions().map(lambda one: one.with_id(f"t-{one.start}"))]).to_file(
        tmp_path / "cuts.jsonl.gz"
    )
    main([str(tmp_path / "cuts.jsonl.gz"), "--out", str(work), *ALONE])
    wavs, text, _, _ = tables(work, "train")
    assert text == {f"anna-{u}": f"number {n}" for u, n in (("s0", 0), ("s2", 2), ("t-0.0", 0), ("t-2.0", 2))}
    assert [round(heard(wavs[utt]), -1) for utt in text] == [200, 800, 200, 800]


def test_cuts_whose_audio_is_no_file_are_rejected(record, work, tmp_path):
    lhotse = pytest.importorskip("lhotse")
    recording = lhotse.Recording.from_file(record("r.wav", 200, 500))
    spoken = lhotse.SupervisionSegment("s", "r", 0, 1.0, text="one", speaker="anna")
    away = lhotse.utils.fastcopy(recording, sources=[lhotse.AudioSource("url", [0], "https://example.org/r.wav")])
    cuts = [
        lhotse.MonoCut(name, 0.0, 1.0, 0, supervisions=[spoken], recording=where)
        for name, where in (("a", recording), ("b", away))
    ]
    lhotse.CutSet.from_cuts(cuts).to_file(tmp_path / "cuts.jsonl")
    main([str(tmp_path / "cuts.jsonl"), "--out", str(work), "--max-rejected", "50", *ALONE])
    assert list(tables(work, "train")[1]) == ["anna-a"]
    (one,) = read_rejections(work / "data/import_rejected.tsv")
    assert one.utt == "b" and "its audio is a url (https://example.org/r.wav), not a file" in one.detail


def test_cuts_that_lhotse_would_change_are_rejected(record, work, tmp_path, heard):
    """Their times are those behind the change, and the file is as it was before it."""
    lhotse = pytest.importorskip("lhotse")
    recording = lhotse.Recording.from_file(record("r.wav", 200, 500))
    spoken = lhotse.SupervisionSegment("s", "r", 0, 1.0, text="one", speaker="anna")
    cut = lhotse.MonoCut("c", 1.0, 1.0, 0, supervisions=[spoken], recording=recording)
    changed = {
        "same": cut,
        "fast": cut.perturb_speed(1.1),
        "tempo": cut.perturb_tempo(0.9),
        "quiet": cut.perturb_volume(0.5),
        "low": cut.resample(8000),
        "both": cut.resample(8000).perturb_speed(0.9),
    }
    cuts = [one.with_id(name) for name, one in changed.items()]
    lhotse.CutSet.from_cuts(cuts).to_file(tmp_path / "cuts.jsonl.gz")
    main([str(tmp_path / "cuts.jsonl.gz"), "--out", str(work), "--max-rejected", "90", *ALONE])
    rejected = {
        r.utt: r.detail.partition(": ")[2].partition(": ")[2]
        for r in read_rejections(work / "data/import_rejected.tsv")
    }
    assert rejected == {
        name: f"its recording is to be changed ({how}): save it as audio first (lhotse's save_audios)"
        for name, how in (("fast", "Speed"), ("tempo", "Tempo"), ("both", "Speed"))
    }
    assert {utt: round(heard(wav), -1) for utt, wav in tables(work, "train")[0].items()} == {
        "anna-low": 500,
        "anna-quiet": 500,
        "anna-same": 500,
    }


@pytest.mark.parametrize("together", [False, True])
def test_each_supervision_is_heard_on_its_own_channel(record, work, tmp_path, heard, together):
    """A meeting with a microphone each, as a file each, or as channels of one."""
    lhotse = pytest.importorskip("lhotse")
    paths = [record("left.wav", 200, 200), record("right.wav", 700, 700)]
    sources = [lhotse.AudioSource("file", [channel], str(path)) for channel, path in enumerate(paths)]
    if together:
        both = np.stack([soundfile.read(path)[0] for path in paths], axis=1)
        soundfile.write(tmp_path / "both.wav", both, 16000)
        sources = [lhotse.AudioSource("file", [0, 1], str(tmp_path / "both.wav"))]
    meeting = lhotse.Recording("m", sources, 16000, 32000, 2.0)

    def said(name, start, channel):
        return lhotse.SupervisionSegment(name, "m", start, 1.0, channel, text=name, speaker="s")

    cuts = [
        lhotse.MultiCut("m", 0.0, 2.0, [0, 1], supervisions=[said("a", 0, 0), said("b", 0.5, 1)], recording=meeting),
        lhotse.MultiCut("c", 0.25, 1.0, [0, 1], supervisions=[said("c", 0, [1])], recording=meeting),
        lhotse.MultiCut("d", 0.75, 1.0, [0, 1], supervisions=[said("d", 0, [0, 1])], recording=meeting),
        lhotse.MonoCut("e", 1.0, 1.0, 1, supervisions=[said("e", 0, 1)], recording=meeting),
    ]
    lhotse.CutSet.from_cuts(cuts).to_file(tmp_path / "cuts.jsonl")
    main([str(tmp_path / "cuts.jsonl"), "--out", str(work), "--max-rejected", "50", *ALONE])
    hz = {utt: round(heard(wav), -1) for utt, wav in tables(work, "train")[0].items() if utt != "s-d"}
    assert hz == {"s-a": 200, "s-b": 700, "s-c": 700, "s-e": 700}
    if together:  # the mean of all channels of its file
        assert "s-d" in tables(work, "train")[0]
    else:
        (one,) = read_rejections(work / "data/import_rejected.tsv")
        assert one.utt == "d" and "its channels (0, 1) are not all of one file: name one" in one.detail


@pytest.mark.parametrize("damage", ["cut off", "other bytes", "other sum"])
@pytest.mark.parametrize("kind", ["manifest", "cuts"])
def test_a_damaged_archive_is_one_sentence(work, tmp_path, kind, damage):
    if kind == "cuts":
        pytest.importorskip("lhotse")
        line = {"id": "c", "type": "MonoCut", "start": 0, "duration": 1, "channel": 0, "supervisions": []}
    else:
        line = {"audio": "a.wav", "text": "fine"}
    draw = np.random.default_rng(0)
    text = "".join(json.dumps({**line, "custom": {"x": draw.random(20).tolist()}}) + "\n" for _ in range(2000))
    data = gzip.compress(text.encode(), mtime=0)
    half = len(data) // 2
    path = tmp_path / "all.jsonl.gz"
    path.write_bytes(
        {
            "cut off": data[:half],
            "other bytes": data[:half] + bytes(100) + data[half + 100 :],
            "other sum": data[:-8] + bytes(4) + data[-4:],
        }[damage]
    )
    with pytest.raises(UserError, match=f"^{path} is damaged: |^lhotse cannot read {path}: "):
        main([str(path), "--out", str(work), "--max-rejected", "100", *ALONE])


def test_cuts_without_lhotse_name_the_set_up(work, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "lhotse", None)
    with gzip.open(tmp_path / "cuts.jsonl.gz", "wt") as out:
        out.write('{"id": "c", "type": "MonoCut"}\n')
    with pytest.raises(UserError, match="needs lhotse, which is not installed: .*tools/setup.sh --with-data"):
        main([str(tmp_path / "cuts.jsonl.gz"), "--out", str(work)])


def test_what_is_rejected_is_listed_with_its_reason(record, manifest, work):
    good, long = record("good.wav", 300), record("long.wav", 300, 300, 300)
    (work.parent / "empty.wav").touch()
    path = manifest(
        {"audio_filepath": str(good), "text": "fine"},
        {"audio_filepath": str(good), "text": "fine"},
        {"audio_filepath": str(good), "text": " ", "id": "b"},
        {"audio_filepath": str(good), "text": "room 5", "id": "c"},
        {"audio_filepath": "gone.wav", "text": "fine", "id": "d"},
        {"audio_filepath": "empty.wav", "text": "fine", "id": "e"},
        {"audio_filepath": str(long), "text": "fine", "id": "f"},
        {"audio_filepath": str(good), "offset": 0.5, "duration": 2.0, "text": "fine", "id": "g"},
    )
    limits = ["--max-ms", "2500", "--numbers", "reject", *ALONE]
    main([str(path), "--out", str(work), "--max-rejected", "90", *limits])
    found = {r.utt: r.reason.value for r in read_rejections(work / "data/import_rejected.tsv")}
    assert found == {
        "good": "same-audio-twice",
        "b": "no-text",
        "c": "numbers-in-transcript",
        "d": "missing-file",
        "e": "empty-audio",
        "f": "too-long",
        "g": "outside-its-recording",
    }
    report = json.loads((work / "data/import.json").read_text())
    assert report["utterances"] == 8 and sum(report["rejected"].values()) == 7
    assert report["sets"] == {"train": {"utterances": 1, "hours": round(1 / 3600, 4), "speakers": 1}}
    with pytest.raises(UserError, match=r"3 of 8 utterances \(37.5 %\) are rejected, more than the 1 % allowed"):
        main([str(path), "--out", str(work), *limits])


def test_a_line_that_cannot_be_used_ends_no_import(record, manifest, work):
    good = {"audio_filepath": str(record("good.wav", 300)), "text": "fine", "speaker": "anna"}
    other = {"audio": str(record("other.wav", 300)), "text": "fine"}
    path = manifest(
        good,
        other,  # a key that is known, too
        {"sound\ud800\x1b": "good.wav", "text": "fine", "id": "b"},
        {**good, "audio_filepath": ""},
        {**good, "audio_filepath": None, "id": "c"},
        {**good, "audio_filepath": {"bytes": ""}, "id": 5},
        {**good, "duration": -1.0},
        {**good, "duration": "long"},
        {**good, "offset": float("inf")},
        {**good, "text": "\ud800", "id": "\ud800"},
        {**other, "text": "last", "id": "z"},
    )
    main([str(path), "--out", str(work), "--max-rejected", "80", *ALONE])
    assert tables(work, "train")[1] == {"anna-good": "fine", "other": "fine", "z": "last"}
    found = {r.utt: (r.reason.value, r.detail) for r in read_rejections(work / "data/import_rejected.tsv")}
    said = {
        "b": ":3: it has no column that is known to hold the audio",
        "all-line-4": ":4: audio_filepath is '': expected the path of an audio file",
        "c": ":5: audio_filepath is None",
        "5": ":6: audio_filepath is {'bytes': ''}",
        "all-line-7": ":7: the duration is -1.0: expected seconds",
        "all-line-8": ":8: the duration is 'long': expected seconds",
        "all-line-9": ":9: the offset is inf: expected seconds",
        "all-line-10": r":10: '\ud800' is not Unicode text",
    }
    assert set(found) == set(said)
    for utt, (reason, detail) in found.items():
        assert reason == "not-usable" and detail.startswith(f"{path}{said[utt]}")
    assert r"it has sound\ud800\x1b, text" in found["b"][1]


@pytest.mark.parametrize("key", ["audio_filepath", "text", "speaker", "id", "split"])
@pytest.mark.parametrize("text", ["\ud800", "abc \udfff", "ça \ud800\ud800"])
def test_halves_of_surrogates_are_refused_in_every_field(manifest, work, key, text):
    path = manifest({"audio_filepath": "a.wav", "text": "a", key: text})
    with pytest.raises(UserError, match=r":1: '.*\\u.*' is not Unicode text"):
        main([str(path), "--out", str(work)])


@pytest.mark.parametrize("name", [f"{'a' * 300}.wav", "a\0b.wav"])
def test_a_name_that_no_file_can_have_is_a_missing_file(record, manifest, work, name):
    good = {"audio_filepath": str(record("good.wav", 300)), "text": "fine"}
    path = manifest({**good, "audio_filepath": name, "id": "b"}, good)
    main([str(path), "--out", str(work), "--max-rejected", "50", *ALONE])
    (one,) = read_rejections(work / "data/import_rejected.tsv")
    assert (one.utt, one.reason.value) == ("b", "missing-file")


def test_a_column_that_was_named_is_missed_on_its_line_alone(record, manifest, work):
    good = str(record("good.wav", 300))
    path = manifest({"wav": good, "words": "fine", "text": "x"}, {"wav": good, "text": "x", "id": "b"})
    main([str(path), "--out", str(work), "--columns", "text=words", "--max-rejected", "50", *ALONE])
    (one,) = read_rejections(work / "data/import_rejected.tsv")
    assert one.utt == "b" and one.detail == f"{path}:2: it has no column words (--columns); it has wav, text, id"


def test_csv_lines_without_audio_or_of_other_columns_are_rejected(record, work, tmp_path):
    record("0.wav", 440)
    path = tmp_path / "x.csv"
    path.write_text("path,text,id\n,one,a\n0.wav,two,b\n0.wav,a comma, and no quotes,c\n0.wav\n")
    main([str(path), "--out", str(work), "--max-rejected", "80", *ALONE])
    assert tables(work, "train")[1] == {"b": "two"}
    assert {r.utt: r.detail for r in read_rejections(work / "data/import_rejected.tsv")} == {
        "a": f"{path}:2: path is '': expected the path of an audio file",
        "x-line-4": f"{path}:4: it has 4 columns, the first line 3",
        "x-line-5": f"{path}:5: it has 1 columns, the first line 3",
    }


@pytest.mark.parametrize("first", ["sub/a.wav", "b.wav"])
def test_each_path_is_looked_for_where_it_can_be(record, manifest, work, first):
    record("sub/a.wav", 300)
    record("clips/b.wav", 300)
    names = sorted(["sub/a.wav", "b.wav"], key=lambda name: name != first)
    main([str(manifest(*({"path": name, "text": "fine"} for name in names))), "--out", str(work), *ALONE])
    assert tables(work, "train")[1] == {"a": "fine", "b": "fine"}


def test_long_ids_of_many_bytes_fit_into_file_names(record, manifest, work):
    path = str(record("a.wav", 300, rate=8000))  # which has to be converted, into a file by the utterance's id
    rows = [{"audio": path, "text": "fine", "speaker": "语" * 40, "id": "音" * 50 + n, "offset": 0.5} for n in "ab"]
    main([str(manifest(rows[0], {**rows[1], "offset": 0.25})), "--out", str(work), *ALONE])
    wavs = tables(work, "train")[0]
    assert len(wavs) == 2 and all(len(os.fsencode(Path(wav).name)) <= 255 for wav in wavs.values())


def test_ends_are_read_and_what_is_not_used_is_told(record, work, tmp_path, capsys):
    wav = record("r.wav", 200, 500, 800)
    path = tmp_path / "x.csv"
    path.write_text(f"audio,text,start,end,spk,age\n{wav},a,0,1,s,5\n{wav},b,1.0,3.0,s,5\n{wav},c,2,1,s,5\n")
    main([str(path), "--out", str(work), "--max-rejected", "50", *ALONE])
    _, text, utt2spk, seconds = tables(work, "train")
    assert text == {"s-r": "a", "s-r-0001000": "b"} and set(utt2spk.values()) == {"s"}
    assert [float(one) for one in seconds.values()] == [1.0, 2.0]
    (one,) = read_rejections(work / "data/import_rejected.tsv")
    assert one.detail == f"{path}:4: the end is 1 s, and the beginning 2 s: expected a later end"
    said = capsys.readouterr().out
    assert f"{path}: not used: age (--columns gives them a meaning)" in said and "to hold the speaker" not in said
    path.write_text(f"audio,text,start,,,\n{wav},a,512.2,,,\n")  # where the clip lay in what it was cut from
    main([str(path), "--out", str(work), "--columns", "offset=", *ALONE])
    assert [float(one) for one in tables(work, "train")[3].values()] == [3.0]
    path.write_text(f"audio,text,who\n{wav},a,s\n")
    main([str(path), "--out", str(work), *ALONE])
    said = capsys.readouterr().out
    assert "not used: who" in said and "no column is known to hold the speaker (client_id, speaker" in said


def test_recordings_that_a_duration_cuts_short_are_told(record, work, tmp_path, capsys):
    """Many tables have it as what is known of a recording, in whole seconds."""
    three, other = record("r.wav", 200, 500, 800), record("s.wav", 200, 500, 800)
    path = tmp_path / "x.csv"
    path.write_text(f"audio,text,offset,duration\n{three},a,,2.5\n{other},b,0,1\n{other},c,1,2\n")
    main([str(path), "--out", str(work), *ALONE])
    assert "cut short: 1 recordings of one utterance each" in (said := capsys.readouterr().out)
    assert "0.50 s behind it on average are left out; --columns duration=" in said
    assert json.loads((work / "data/import.json").read_text())["cut_short"] == {"recordings": 1, "seconds": 0.5}
    path.write_text(f"audio,text,duration\n{three},a,2.97\n")  # rounded
    main([str(path), "--out", str(work), *ALONE])
    assert "cut short" not in capsys.readouterr().out


def test_channels_that_cancel_out_are_no_silence(record, work, tmp_path):
    samples = soundfile.read(record("r.wav", 200), dtype="float32")[0]
    soundfile.write(tmp_path / "x.wav", np.stack([samples, -samples], axis=1), 16000)
    path = tmp_path / "x.csv"
    path.write_text(f"audio,text\n{tmp_path / 'x.wav'},a\n")
    with pytest.raises(UserError, match="x.wav: its channels cancel out in their mean: choose one .--channel 1."):
        main([str(path), "--out", str(work), *ALONE])
    main([str(path), "--out", str(work), "--channel", "2", *ALONE])


def test_doubled_quotes_of_a_tsv_are_told_once(record, work, tmp_path, capsys):
    wav, other = record("r.wav", 200), record("s.wav", 300)
    path = tmp_path / "x.tsv"
    path.write_text(f'audio\ttext\n{wav}\t"he said ""go"" twice"\n{other}\t"and ""stop"""\n')
    main([str(path), "--out", str(work), *ALONE])
    assert capsys.readouterr().out.count(f"{path}:2: quotes are doubled, as programs write them into a CSV") == 1
    path.write_text(f'audio\ttext\n{wav}\t"Yes", he said, "no".\n{other}\t"Hello."\n')  # Common Voice's
    main([str(path), "--out", str(work), *ALONE])
    assert "quotes are doubled" not in capsys.readouterr().out


def test_what_excel_calls_unicode_is_said_to_be_utf_16(work, tmp_path):
    (tmp_path / "x.csv").write_text("audio,text\na.wav,gr\u00f6\u00dfe\n", encoding="utf-16")
    with pytest.raises(UserError, match="x.csv is not UTF-8 .*: convert it, such as with iconv -f UTF-16 -t UTF-8"):
        main([str(tmp_path / "x.csv"), "--out", str(work)])


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"text": ["a", "b"]}, "the text is ['a', 'b']: expected text"),
        ({"text": True}, "the text is True: expected text"),
        ({"speaker": {"name": "s"}}, "the speaker is {'name': 's'}: expected text"),
        ({"offset": 1e306}, "the offset is 1e+306: expected seconds"),
        ({"audio": "x.wav |"}, "Kaldi's lists would take that for a command"),
    ],
)
def test_values_of_other_kinds_are_rejected(record, manifest, work, more, said):
    good = {"audio": str(record("a.wav", 300)), "text": "fine", "id": "a"}
    main([str(manifest(good, {**good, "id": "b", **more})), "--out", str(work), "--max-rejected", "50", *ALONE])
    (one,) = read_rejections(work / "data/import_rejected.tsv")
    assert one.utt == "b" and said in one.detail


@pytest.mark.parametrize("nothing", ["NaN", "Infinity", "-Infinity", "1e999", "null"])
def test_a_number_that_is_none_says_nothing_as_null_does(record, work, tmp_path, nothing):
    """pandas writes it where a table has an empty place."""
    path = tmp_path / "all.jsonl"
    names = {name: record(f"{name}.wav", 300) for name in "ab"}
    path.write_text(
        f'{{"audio": "{names["a"]}", "text": "nan", "speaker": {nothing}, "id": {nothing}, "split": {nothing}}}\n'
        f'{{"audio": "{names["b"]}", "text": {nothing}, "speaker": "s"}}\n'
        f'{{"audio": {nothing}, "text": "a", "id": {nothing}}}\n'
    )
    main([str(path), "--out", str(work), "--max-rejected", "70", *ALONE])
    assert tables(work, "train")[1:3] == [{"a": "nan"}, {"a": "a"}]
    deaf, mute = read_rejections(work / "data/import_rejected.tsv")
    assert (deaf.utt, deaf.reason) == ("all-line-3", Reason.UNUSABLE)
    assert mute.reason == Reason.NO_TEXT and mute.detail == f"{path}:2: there is no transcript"


def test_invisible_signs_alone_are_no_transcript(record, manifest, work):
    rows = [{"audio": str(record(f"{name}.wav", 300)), "text": text} for name, text in (("a", "a"), ("b", "\u200b"))]
    main([str(manifest(*rows)), "--out", str(work), "--max-rejected", "50", *ALONE])
    (one,) = read_rejections(work / "data/import_rejected.tsv")
    assert (one.utt, one.reason) == ("b", Reason.NO_TEXT)


def test_an_utterance_that_utt2spk_lacks_is_rejected(record, work, tmp_path):
    wavs = {name: record(f"{name}.wav", 300) for name in ("a", "b")}
    write_kaldi_dir(tmp_path / "k", wavs, dict.fromkeys(wavs, "s"), dict.fromkeys(wavs, "one"))
    (tmp_path / "k" / "utt2spk").write_text("a s\n")
    main([str(tmp_path / "k"), "--out", str(work), "--max-rejected", "50", *ALONE])
    (one,) = read_rejections(work / "data/import_rejected.tsv")
    assert one.utt == "b" and one.detail.endswith(f"not in {tmp_path / 'k/utt2spk'}")


def test_sets_of_an_earlier_import_are_removed(record, manifest, work, capsys):
    rows = [{"audio": str(record(f"{n}.wav", 300)), "text": "fine", "split": n} for n in ("train", "valid", "test")]
    main([str(manifest(*rows)), "--out", str(work)])
    assert "earlier import" not in capsys.readouterr().out
    main([str(manifest(rows[0])), "--out", str(work), *ALONE])
    note = f"removed: {work / 'data/test'}, {work / 'data/valid'}, of an earlier import, which this one does not make"
    assert note in capsys.readouterr().out
    assert sorted(path.name for path in (work / "data").iterdir() if path.is_dir()) == ["train"]


def test_two_imports_into_one_folder_are_not_mixed(record, manifest, work):
    listed = str(manifest({"audio": str(record("a.wav", 300)), "text": "fine", "split": "train"}))
    (work / "data").mkdir(parents=True)
    hold = "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.lockf(f, fcntl.LOCK_EX); print(flush=True); input()"
    words = [sys.executable, "-c", hold, str(work / "data" / ".import.lock")]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        other.stdout.readline()
        with pytest.raises(UserError, match="data: wait for it, or name another --out"):
            main([listed, "--out", str(work), *ALONE])
        other.communicate("\n")
    main([listed, "--out", str(work), *ALONE])


def test_only_sets_are_removed(record, manifest, work, tmp_path):
    rows = [{"audio": str(record(f"{n}.wav", 300)), "text": "fine", "split": n} for n in ("train", "test")]
    main([str(manifest(*rows)), "--out", str(work), *ALONE])
    report = json.loads((work / "data/import.json").read_text())
    others = [tmp_path / "mine", work / "data/own"]
    for folder in others:
        folder.mkdir()
    (work / "data/own/segments").touch()
    report["sets"] |= {"../../mine": {}, str(tmp_path / "mine"): {}, "own": {}, "": {}, "gone": {}}
    (work / "data/import.json").write_text(json.dumps(report))
    main([str(manifest(rows[0])), "--out", str(work), *ALONE])
    assert all(folder.is_dir() for folder in others) and not (work / "data/test").exists()


def test_sets_are_known_in_letters_of_any_size(record, manifest, work):
    rows = [{"audio": str(record(f"{n}.wav", 300)), "text": "fine", "split": n} for n in ("TRAIN", "Dev", "Test")]
    main([str(manifest(*rows)), "--out", str(work)])
    assert all(len(tables(work, name)[1]) == 1 for name in ("train", "valid", "test"))


def test_lines_that_are_no_object_are_rejected(record, manifest, work):
    good = {"audio_filepath": str(record("good.wav", 300)), "text": "fine"}
    path = manifest(good, ["a list"], {"audio_filepath": "cut off"})
    path.write_text(path.read_text()[:-5])
    main([str(path), "--out", str(work), "--max-rejected", "80", *ALONE])
    assert tables(work, "train")[1] == {"good": "fine"}
    found = {r.utt: r.detail for r in read_rejections(work / "data/import_rejected.tsv")}
    assert found["all-line-2"] == f"{path}:2: expected a JSON object a line, not a list"
    assert found["all-line-3"].startswith(
        f"{path}:3: it is not JSON (Unterminated string starting at, at character 20)"
    )


def test_audio_that_is_listed_twice_says_where(record, manifest, work):
    same = {"audio_filepath": str(record("a.wav", 300)), "text": "one", "id": "a"}
    other = {**same, "audio_filepath": str(record("b.wav", 300))}
    train, test = manifest(same, other, name="train.jsonl"), manifest(other, same, name="test.jsonl")
    main([f"train={train}", f"test={test}", "--out", str(work), "--max-rejected", "50", *ALONE])
    (renamed,) = set(tables(work, "train")[1]) - {"a"}
    assert {r.detail for r in read_rejections(work / "data/import_rejected.tsv")} == {
        f"{other['audio_filepath']} at 0 s is listed twice: as {renamed} in train, and in test ({test}:1)",
        f"{same['audio_filepath']} at 0 s is listed twice: as a in train, and in test ({test}:2)",
    }


def test_audio_is_the_same_however_its_path_is_spelled(record, manifest, work, tmp_path):
    """Else what is trained on would be tested with, under another id."""
    for name in ("wav/0.wav", "other/0.wav"):
        record(name, 300)
    (tmp_path / "linked").symlink_to(tmp_path / "wav")
    for folder in "ABC":
        (tmp_path / folder).mkdir()
    rows = [{"audio": f"../{folder}/0.wav", "text": "one"} for folder in ("wav", "other")]
    train = manifest(*rows, name="A/train.jsonl")
    test = manifest(*reversed(rows), {**rows[0], "audio": "../linked/0.wav"}, name="B/test.jsonl")
    nowhere = manifest(*2 * [{"audio": "a\0b.wav", "text": "one"}], name="C/nowhere.jsonl")
    sources = [f"train={train}", f"test={test}", f"train={nowhere}"]
    main([*sources, "--out", str(work), "--max-rejected", "90", *ALONE])
    assert len(tables(work, "train")[1]) == 2 and not (work / "data/test").exists()
    found = [r.reason.value for r in read_rejections(work / "data/import_rejected.tsv")]
    assert sorted(found) == ["missing-file", *4 * ["same-audio-twice"]]


def test_damage_in_the_middle_of_linked_audio_is_found_where_it_is_decoded(record, manifest, work):
    paths = {name: record(f"{name}.flac", 300) for name in ("good", "middle", "end")}
    data = paths["middle"].read_bytes()
    half = len(data) // 2
    paths["middle"].write_bytes(data[:half] + bytes(200) + data[half + 200 :])
    paths["end"].write_bytes(data[:half])
    path = manifest(*({"audio": str(path), "text": "fine"} for path in paths.values()))
    command = [str(path), "--out", str(work), "--max-rejected", "90", *ALONE]
    for options, found in (([], {"end"}), (["--copy"], {"middle", "end"})):
        main([*command, *options])
        rejections = read_rejections(work / "data/import_rejected.tsv")
        assert {(r.utt, r.reason.value) for r in rejections} == {(utt, "undecodable-audio") for utt in found}
        if not options:
            with pytest.raises(AudioFault):
                read_audio(tables(work, "train")[0]["middle"], 16000)


def test_recordings_that_were_cut_or_converted_are_listed(record, manifest, work, monkeypatch, tmp_path):
    """Those that are used where they lie are in wav.scp."""
    used, cut, other = (
        record(f"{name}.wav", 300, 500, rate=rate) for name, rate in (("u", 16000), ("c", 16000), ("o", 8000))
    )
    rows = [{"audio": str(used), "text": "a"}, {"audio": str(other), "text": "d", "split": "test"}]
    rows += [{"audio": "c.wav", "text": "b", "offset": start, "duration": 1.0} for start in (0.0, 1.0)]
    monkeypatch.chdir(tmp_path)
    main([manifest(*rows).name, "--out", str(work), "--valid-share", "0"])
    assert (work / "data/train/recordings").read_text() == f"{cut}\n"
    assert (work / "data/test/recordings").read_text() == f"{other}\n"


@pytest.mark.parametrize("damage", [b"", b"RIFF", "cut off", "another"])
def test_a_converted_file_that_was_damaged_since_is_made_again(record, manifest, work, damage):
    rows = [
        {"audio": str(record(f"{n}.wav", 300, 500, rate=8000)), "text": "fine", **cut} for n, cut in enumerate(CUTS)
    ]
    command = [str(manifest(*rows)), "--out", str(work), *ALONE]
    main(command)
    wavs = {utt: Path(wav) for utt, wav in tables(work, "train")[0].items()}
    whole = {utt: wav.read_bytes() for utt, wav in wavs.items()}
    for wav in wavs.values():
        if damage == "another":
            soundfile.write(wav, np.zeros(4000), 16000)
        else:
            wav.write_bytes(wav.read_bytes()[:-100] if damage == "cut off" else damage)
    main(command)
    assert {utt: wav.read_bytes() for utt, wav in wavs.items()} == whole
    times = [wav.stat().st_mtime_ns for wav in wavs.values()]
    main(command)
    assert [wav.stat().st_mtime_ns for wav in wavs.values()] == times


def test_ids_that_come_twice_are_counted(record, manifest, work, capsys):
    lines = [{"audio_filepath": str(record(f"{n}/x.wav", 300)), "text": "one"} for n in range(3)]
    path = manifest(*lines)
    main([str(path), "--out", str(work), *ALONE])
    (_, first, second) = tables(work, "train")[1]
    report = json.loads((work / "data/import.json").read_text())["renamed"]
    assert report["utterances"] == 2
    assert report["example"] in (f"x of {path}:2 is {first}", f"x of {path}:2 is {second}")
    said = capsys.readouterr().out
    assert f"renamed: 2 whose id another recording has, too (such as {report['example']})" in said
    listed = work / "data/import_renamed.tsv"
    assert f"what is renamed is listed in {listed}" in said
    header, *rows = [line.split("\t") for line in listed.read_text().splitlines()]
    assert header == ["utt", "renamed", "where"] and {new for _, new, _ in rows} == {first, second}
    wav = tables(work, "train")[0]
    for (utt, new, where), number in zip(rows, (1, 2), strict=True):
        assert (utt, where) == ("x", f"{path}:{number + 1}")
        assert wav[new] == lines[number]["audio_filepath"]
    main([str(manifest(lines[0])), "--out", str(work), *ALONE])
    assert "renamed" not in capsys.readouterr().out and listed.read_text() == "utt\trenamed\twhere\n"


def test_text_that_a_model_cannot_spell_is_met_with_the_rule_that_helps(people, work, tmp_path):
    (tmp_path / "model/tokens").mkdir(parents=True)
    tokens = ["<blank>", "<unk>", "<space>", *"ABCDEFGHIJKLMNOPQRSTUVWXYZ"]
    (tmp_path / "model/tokens/tokens.txt").write_text("".join(f"{token}\n" for token in tokens))
    (tmp_path / "model/tokens/tokens.json").write_text('{"type": "char"}')
    command = [str(people), "--out", str(work), "--tokens", str(tmp_path / "model")]
    with pytest.raises(UserError, match="--text-rule upper .*would help: with it the token list covers 24 of 24"):
        main(command)
    assert not (work / "data/train").exists()
    main([*command, "--text-rule", "upper"])
    assert "IT IS A" in tables(work, "train")[1].values()


def test_what_no_model_gets_right_stays_in_a_test_set(record, manifest, work, tmp_path, capsys):
    """Leaving it out would flatter the error rate, so stage 1 keeps it, too."""
    (tmp_path / "tokens").mkdir()
    (tmp_path / "tokens/tokens.txt").write_text("<blank>\n<unk>\n<space>\na\nb\n")
    (tmp_path / "tokens/tokens.json").write_text('{"type": "char"}')
    texts = {"good": "a b", "odd": "a ü", "mute": "", "marks": "...", "none": None}
    rows = [
        {"audio": str(record(f"{part}-{name}.wav", 300)), "text": text, "split": part}
        for part in ("train", "valid", "test")
        for name, text in texts.items()
    ]
    path = manifest(*rows, {**rows[-4], "audio": "gone.wav"}, rows[-4])
    options = ["--tokens", str(tmp_path / "tokens"), "--text-rule", "plain"]
    main([str(path), "--out", str(work), *options, "--max-rejected", "90"])
    assert tables(work, "train")[1] == {"train-good": "a b"} and tables(work, "valid")[1] == {"valid-good": "a b"}
    assert tables(work, "test")[1] == {"test-good": "a b", "test-marks": "", "test-mute": "", "test-odd": "a ü"}
    assert (work / "data/test/text").read_text().splitlines()[1] == "test-marks"
    assert [(r.utt, r.reason, r.detail) for r in read_rejections(work / "data/import_warned.tsv")] == [
        ("test-marks", Reason.NO_TEXT, f"{path}:14: the transcript is '...'"),
        ("test-mute", Reason.NO_TEXT, f"{path}:13: the transcript is ''"),
        ("test-odd", Reason.UNSEEN_TOKEN, f"{path}:12: ü"),
    ]
    said = capsys.readouterr().out
    assert "kept in test sets although they cannot be recognised without error: 3 of 17 (2 no-text, 1 char" in said
    assert "what is warned of is listed in" in said


def test_a_test_set_whose_transcripts_are_kept_back_is_refused(record, manifest, work):
    rows = [
        {"audio": str(record(f"{n}.wav", 300)), "text": "fine" * (n != "test"), "split": n} for n in ("train", "test")
    ]
    with pytest.raises(
        UserError, match="^test has no words in any transcript, so nothing can be scored with it: leave"
    ):
        main([str(manifest(*rows)), "--out", str(work), *ALONE])
    assert not (work / "data/train").exists()


def test_capitals_and_full_stops_are_remarked_upon(record, manifest, work, capsys):
    path = manifest({"audio_filepath": str(record("a.wav", 300)), "text": "Yes. At 5"})
    main([str(path), "--out", str(work), *ALONE])
    said = capsys.readouterr().out
    assert "capitals and punctuation" in said and "--text-rule plain" in said and "--numbers reject" in said
    main([str(path), "--out", str(work), "--text-rule", "plain", *ALONE])
    assert "note: transcripts have capitals" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        ("{'a': 1}\n", "x.jsonl", r"x.jsonl:1: it is not JSON"),
        ('{"path": "a.wav" "text": "a"}\n', "x.jsonl", r"delimiter, at character 18\); expected an object a line"),
        ("wav;words\na.wav;go\n", "x.csv", "x.csv:1 has ';' between its columns: commas are expected there"),
        (
            "wav,words\na.wav,go\n",
            "x.csv",
            r"^[^:]+x.csv: it has no column .* hold the text .* with --columns text=NAME$",
        ),
        (
            "a.wav,go\nb.wav,stop\n",
            "x.csv",
            "it has a.wav, go: that is data, so put a line with the names of the columns before",
        ),
        ("[" * 100000, "x.jsonl", "x.jsonl:1: it is not JSON"),
        ('{"path": "a.wav", "text": "\\ud800"}\n', "x.jsonl", "x.jsonl:1: .* is not Unicode text"),
        (f'{{"path": "a.wav", "text": "a", "duration": 1{"0" * 400}}}\n', "x.jsonl", "expected seconds"),
        ("[1]\n", "x.jsonl", r"x.jsonl:1: expected a JSON object a line, not a list"),
        ('{"text": "a"}\n', "x.jsonl", r"no column that is known to hold the audio \(audio_filepath.* it has text"),
        ('{"audio": "a.wav", "words": "a"}\n', "x.jsonl", "known to hold the text"),
        ('{"audio": "a.wav", "text": "a", "offset": -1}\n', "x.jsonl", "the offset is -1: expected seconds"),
        ("path,text\na.wav\n", "x.csv", "x.csv:2: it has 1 columns, the first line 2"),
        ("", "x.csv", "x.csv is empty"),
        ("audio,text,text\na.wav,a,b\n", "x.csv", "x.csv:1 names the column 'text' twice"),
        ('audio,"text\na.wav,x\n', "x.csv", "x.csv:2: unexpected end of data: is it a table of CSV"),
        ("text", "x.docx", "no corpus that can be imported"),
    ],
)
def test_a_damaged_manifest_is_one_sentence(tmp_path, work, content, name, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=message):
        main([str(tmp_path / name), "--out", str(work)])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["none.csv"], "there is no file or folder none.csv"),
        ([".", "--columns", "audio"], "--columns audio: expected WHAT=COLUMN"),
        ([".", "--channel", "0"], "--channel is '0': it must be mix, or a number from 1 on"),
        ([".", "--valid-share", "60"], "--valid-share 60"),
        ([".", "--jobs", "0"], "--jobs is 0"),
        ([".", "--min-ms", "5000", "--max-ms", "1000"], "--min-ms 5000 and --max-ms 1000 leave no utterance"),
    ],
)
def test_a_bad_option_is_one_sentence(work, words, message):
    with pytest.raises(UserError, match=message):
        main([*words, "--out", str(work)])


@pytest.mark.parametrize("options", [[], ["--check-options"]])
@pytest.mark.parametrize("linked", [False, True])
def test_a_kaldi_folder_where_sets_are_written_is_refused(record, work, tmp_path, options, linked):
    """Each import would split valid and test off what the one before had left of it."""
    place = tmp_path / "mine" if linked else work / "data" / "train"
    write_kaldi_dir(place, {"a": record("a.wav", 300)}, {"a": "s"}, {"a": "one"})
    if linked:
        (work / "data").mkdir(parents=True)
        (work / "data/train").symlink_to(place)
    before = {file.name: file.read_bytes() for file in place.iterdir()}
    with pytest.raises(UserError, match=r"is in .*data, where the sets .* are written: move it"):
        main([str(place), "--out", str(work), *ALONE, *options])
    assert {file.name: file.read_bytes() for file in place.iterdir()} == before


def test_a_kaldi_folder_deeper_in_the_data_is_imported(record, work):
    write_kaldi_dir(work / "data/local/raw", {"a": record("a.wav", 300)}, {"a": "s"}, {"a": "one"})
    main([str(work / "data/local/raw"), "--out", str(work), *ALONE])
    assert list(tables(work, "train")[1].values()) == ["one"]


def test_a_folder_with_segments_is_not_written_over(record, manifest, work):
    (work / "data/train").mkdir(parents=True)
    (work / "data/train/segments").write_text("a r 0 1\n")
    line = {"audio_filepath": str(record("a.wav", 300)), "text": "a"}
    with pytest.raises(UserError, match="data/train has segments, so it was not made by an import: move it"):
        main([str(manifest(line)), "--out", str(work), *ALONE, "--copy"])
    assert [path.name for path in (work / "data/train").iterdir()] == ["segments"]
    assert not list((work / "downloads").rglob("*.flac"))  # before audio is made


def test_options_can_be_checked_alone(people, work):
    main([str(people), "--out", str(work), "--check-options"])
    assert not work.exists()
    with pytest.raises(UserError, match="--columns audio: expected WHAT=COLUMN"):
        main([str(people), "--out", str(work), "--check-options", "--columns", "audio"])
