import os
import shutil
import subprocess
import sys
from types import SimpleNamespace

import kaldiio
import numpy as np
import pytest
import soundfile

from dualmode.bin import make_fbank
from dualmode.data.fbank import fbank
from dualmode.data.features import FeatureTable
from dualmode.data.kaldi_dir import read_table
from dualmode.data.make_fbank import make_shards
from dualmode.data.make_tokens import make_token_list
from dualmode.data.rejection import read_rejections
from dualmode.data.transcript_length import frames_needed
from dualmode.errors import UserError
from dualmode.frames import subsampled
from dualmode_runtime.audio.fault import Reason
from dualmode_runtime.audio.reading import read_audio


def command(good_dir, *options, out="dump"):
    out = good_dir.parent / out
    make_fbank.main(["--data", str(good_dir), "--out", str(out), *options])
    return out


def contents(folder) -> dict[str, bytes]:
    """Every file of a feature folder but the shards' lists, which say when the audio was written."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".json")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def reasons(path) -> dict[str, Reason]:
    return {rejection.utt: rejection.reason for rejection in read_rejections(path)}


@pytest.fixture
def tokens(tmp_path):
    make_token_list(["hello world"], tmp_path / "tokens", "char")
    return str(tmp_path / "tokens")


def test_stored_features_are_the_features(good_dir):
    out = command(good_dir)
    stored = kaldiio.load_scp(str(out / "feats.scp"))
    samples = read_audio(good_dir.parent / "a-2.wav", 16000)
    assert np.array_equal(stored["a-2"], fbank(samples))
    assert read_table(out / "utt2num_frames") == {f"a-{n}": "50" for n in range(4)}
    assert read_table(out / "speech_shape") == {f"a-{n}": "50,80" for n in range(4)}
    assert (out / "text").read_text() == (good_dir / "text").read_text()
    assert (out / "spk2utt").read_text() == "a a-0 a-1 a-2 a-3\n"


@pytest.mark.parametrize(("value_bytes", "step"), [(2, 1 / 65535), (1, 1 / 64)])
def test_compressed_features_are_near_and_smaller(good_dir, value_bytes, step):
    """Of 2 bytes, all steps between the least and the largest value are equal; of 1, the quarters of a bin have 64."""
    whole, out = command(good_dir), command(good_dir, "--value-bytes", str(value_bytes), out="small")
    for utt, features in FeatureTable(whole / "feats.scp").items():
        stored = FeatureTable(out / "feats.scp")[utt]
        assert np.abs(stored - features).max() <= (features.max() - features.min()) * step
        assert 0 < np.abs(stored - features).max()
    sizes = [(folder / "shards/00001.ark").stat().st_size for folder in (out, whole)]
    assert sizes[0] / sizes[1] == pytest.approx(value_bytes / 4, abs=0.05)
    for name in ("utt2num_frames", "speech_shape", "text"):
        assert (out / name).read_text() == (whole / name).read_text()


def test_speeds_make_copies_of_other_lengths_and_names(good_dir):
    out = command(good_dir, "--speeds", "0.9,1.0,1.1")
    frames = read_table(out / "utt2num_frames")
    assert list(frames) == sorted(frames) and len(frames) == 12
    # 0.5 s are 8000 samples: 8889 at speed 0.9, 7273 at 1.1; frames (n + 80) // 160.
    assert (frames["sp0.9-a-0"], frames["a-0"], frames["sp1.1-a-0"]) == ("56", "50", "45")
    assert read_table(out / "utt2spk")["sp0.9-a-0"] == "sp0.9-a"
    assert read_table(out / "text")["sp1.1-a-3"] == "hello world"


def test_slower_speech_is_lower(good_dir):
    stored = kaldiio.load_scp(str(command(good_dir, "--speeds", "0.9,1.0") / "feats.scp"))
    assert stored["sp0.9-a-0"][25].argmax() < stored["a-0"][25].argmax()


def test_bytes_do_not_depend_on_jobs(good_dir, monkeypatch):
    monkeypatch.setattr("dualmode.data.make_fbank._SHARD", 3)
    one = command(good_dir, "--speeds", "0.9,1.0", out="one")
    two = command(good_dir, "--speeds", "0.9,1.0", "--jobs", "2", out="two")
    assert contents(one) == {
        name: data.replace(b"/two/", b"/one/") if name == "feats.scp" else data for name, data in contents(two).items()
    }
    assert {"shards/00001.ark", "shards/00002.ark"} < set(contents(one))


def test_parts_made_in_any_order_are_joined_to_the_same_bytes(good_dir, monkeypatch, capsys):
    monkeypatch.setattr("dualmode.data.make_fbank._SHARD", 1)
    whole = command(good_dir, "--speeds", "0.9,1.0", out="whole")
    for part in ("2/3", "3/3", "1/3"):
        parts = command(good_dir, "--speeds", "0.9,1.0", "--part", part, out="parts")
        assert not parts.exists()
    assert "part 1/3: 2 shards made" in capsys.readouterr().out  # 1 and 4 of the four
    monkeypatch.setattr("dualmode.data.feature_shard.fbank", None)  # nothing is left to compute
    command(good_dir, "--speeds", "0.9,1.0", out="parts")
    assert {name: data.replace(b"/parts/", b"/whole/") for name, data in contents(parts).items()} == contents(whole)


def other_process_with_lock(path, kind) -> subprocess.Popen:
    """Return a process that has the lock, LOCK_EX or LOCK_SH, until it is told something."""
    hold = f"import fcntl, sys; f = open(sys.argv[1], 'a+'); fcntl.lockf(f, fcntl.{kind}); print(flush=True); input()"
    words = [sys.executable, "-c", hold, str(path)]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    process.stdout.readline()
    return process


def test_one_process_at_a_time_makes_a_folder_and_parts_go_side_by_side(good_dir):
    lock = good_dir.parent / ".dump.lock"
    refused = r"another make-fbank is at work on .*dump: wait for it, or name another --out; .* remove .*\.dump\.lock"
    with other_process_with_lock(lock, "LOCK_EX") as whole:
        for options in ([], ["--part", "1/2"]):
            with pytest.raises(UserError, match=refused):
                command(good_dir, *options)
        whole.communicate("\n")
    assert not (good_dir.parent / ".dump.incomplete").exists()
    with other_process_with_lock(lock, "LOCK_SH") as part:
        command(good_dir, "--part", "2/2")
        with pytest.raises(UserError, match=refused):
            command(good_dir)
        part.communicate("\n")
    assert len(read_table(command(good_dir) / "text")) == 4


def test_shards_that_another_data_set_took_the_place_of_are_not_joined(good_dir, monkeypatch):
    """As where a disk has no locks: a folder of two data sets was reported as made."""
    monkeypatch.setattr("dualmode.data.make_fbank._SHARD", 2)
    other = shutil.copytree(good_dir, good_dir.parent / "other")
    (other / "text").write_text("".join(f"a-{number} goodbye\n" for number in range(4)))
    all_made = make_shards

    def with_another_in_between(features, *rest):
        made = all_made(features, *rest)
        monkeypatch.setattr("dualmode.data.make_fbank.make_shards", all_made)
        make_fbank.main(["--data", str(other), "--out", str(features.out), "--part", "2/2"])
        return made

    monkeypatch.setattr("dualmode.data.make_fbank.make_shards", with_another_in_between)
    with pytest.raises(UserError, match="00002.json was made anew, from other data, .* run this one again"):
        command(good_dir)
    assert not (good_dir.parent / "dump").exists()
    assert (command(good_dir) / "text").read_text() == (good_dir / "text").read_text()


@pytest.mark.parametrize("part", ["0/3", "4/3", "1", "x/y", "-1/3"])
def test_an_impossible_part(good_dir, part):
    with pytest.raises(UserError, match="--part .*: expected INDEX/COUNT"):
        command(good_dir, f"--part={part}")


def test_only_what_is_missing_cut_off_or_changed_is_made_again(good_dir, monkeypatch):
    monkeypatch.setattr("dualmode.data.make_fbank._SHARD", 1)
    command(good_dir, "--part", "1/1")
    shards = good_dir.parent / ".dump.incomplete" / "shards"
    (shards / "00001.ark").unlink()
    (shards / "00002.ark").write_bytes((shards / "00002.ark").read_bytes()[:-7])
    soundfile.write(good_dir.parent / "a-2.wav", np.zeros(16000), 16000)
    (shards / "00009.ark").write_bytes(b"of a longer list")
    kept = (shards / "00004.ark").stat().st_mtime_ns
    out = command(good_dir)
    assert contents(out).keys() == contents(command(good_dir, out="anew")).keys()
    stored = dict(kaldiio.load_scp(str(out / "feats.scp")))
    assert {utt: len(matrix) for utt, matrix in stored.items()} == {"a-0": 50, "a-1": 50, "a-2": 100, "a-3": 50}
    assert (out / "shards" / "00004.ark").stat().st_mtime_ns == kept


def test_what_a_kill_left_of_a_list_does_not_come_into_the_folder(good_dir):
    left = [f".dump.incomplete/{name}" for name in (".feats.scp.tmp7.0a1b2c3d", ".shards.sha256.tmp7.0a1b2c3d")]
    for name in left:
        (good_dir.parent / name).parent.mkdir(exist_ok=True)
        (good_dir.parent / name).write_text("a-0 /dump")
    out = command(good_dir)
    assert not [path.name for path in out.iterdir() if path.name.startswith(".")]
    command(good_dir, "--speeds", "0.9")  # which replaces it


def test_a_disk_that_is_too_small_is_said_before_any_work(good_dir, monkeypatch):
    # 4 times 0.5 s, and 0.25 s at the double speed: 300 frames of 80 float32 are 96 kB.
    monkeypatch.setattr("dualmode.data.make_fbank.shutil.disk_usage", lambda _: SimpleNamespace(free=95_999))
    with pytest.raises(UserError, match="dump needs 0.1 MB of disk space, there are 0.1 MB: free some"):
        command(good_dir, "--speeds", "1.0,2.0")
    monkeypatch.setattr("dualmode.data.make_fbank.shutil.disk_usage", lambda _: SimpleNamespace(free=96_000))
    command(good_dir, "--speeds", "1.0,2.0")


def test_checksums_are_those_of_sha256sum(good_dir):
    subprocess.run(["sha256sum", "--quiet", "-c", "shards.sha256"], cwd=command(good_dir), check=True)


def test_utterances_that_validation_rejected_are_left_out(good_dir, capsys):
    (good_dir / "rejected.tsv").write_text("utt\treason\tdetail\na-1\tnot-mono\tx\n")
    out = command(good_dir)
    assert list(read_table(out / "text")) == ["a-0", "a-2", "a-3"]
    assert "1 utterances left out" in capsys.readouterr().out


def test_unlabelled_speech_needs_no_text(good_dir, tokens):
    (good_dir / "text").unlink()
    out = command(good_dir)
    assert not (out / "text").exists()
    assert len(read_table(out / "feats.scp")) == 4
    with pytest.raises(UserError, match="no text file to check"):
        command(good_dir, "--tokens", tokens)


def test_characters_outside_the_list(good_dir, tokens, capsys):
    (good_dir / "text").write_text("a-0 hello\na-1 hèllo wörld\na-2 hello\na-3 hello\n")
    with pytest.raises(UserError, match="1 of 4 utterances .* a-1: characters-outside-token-list .è ö."):
        command(good_dir, "--tokens", tokens)
    assert not (good_dir.parent / "dump").exists()
    assert reasons(good_dir.parent / "dump.rejected.tsv") == {"a-1": Reason.UNSEEN_TOKEN}

    train = command(good_dir, "--tokens", tokens, "--max-rejected", "25", "--speeds", "0.9,1.0")
    assert reasons(train / "rejected.tsv") == {"a-1": Reason.UNSEEN_TOKEN, "sp0.9-a-1": Reason.UNSEEN_TOKEN}
    assert "a-1" not in read_table(train / "text")
    assert not (good_dir.parent / "dump.rejected.tsv").exists()

    test = command(good_dir, "--tokens", tokens, "--unseen", "warn", out="test")
    assert reasons(test / "rejected.tsv") == {}
    assert reasons(test / "warned.tsv") == {"a-1": Reason.UNSEEN_TOKEN}
    assert read_table(test / "text")["a-1"] == "hèllo wörld"
    assert "warning: 1 kept" in capsys.readouterr().out


@pytest.mark.parametrize(("frames", "expected"), [(0, 0), (6, 0), (7, 1), (10, 1), (11, 2), (50, 11)])
def test_encoder_frames_by_hand(frames, expected):
    assert subsampled(frames) == expected


def test_ctc_needs_a_blank_between_equal_tokens():
    assert [frames_needed(tokens) for tokens in ([], [3], [3, 4], [3, 3], [3, 3, 3, 4, 4])] == [0, 1, 2, 3, 8]


def test_utterance_too_short_for_its_transcript(good_dir, tokens, capsys):
    # 50 frames become 11 encoder frames; "hello world" has 11 characters and a double l.
    with pytest.raises(UserError, match="11 encoder frames of 40 ms, the transcript needs 12"):
        command(good_dir, "--tokens", tokens)
    (good_dir / "text").write_text("a-0 hello word\na-1 hello\na-2 hello\na-3 hello world\n")
    out = command(good_dir, "--tokens", tokens, "--max-rejected", "25")
    assert reasons(out / "rejected.tsv") == {"a-3": Reason.SHORT_FOR_TEXT}
    # "hello word" has 10 tokens in 11 frames, "hello" 5.
    assert "1 of 3 have fewer than two frames of 40 ms a token" in capsys.readouterr().out
    kept = command(good_dir, "--tokens", tokens, "--unseen", "warn", out="test")
    assert reasons(kept / "warned.tsv") == {"a-3": Reason.SHORT_FOR_TEXT}
    assert "a-3" in read_table(kept / "feats.scp")


def test_audio_that_went_bad_after_validation(good_dir):
    soundfile.write(good_dir.parent / "a-1.wav", np.zeros((8000, 2)), 16000)
    soundfile.write(good_dir.parent / "a-2.wav", np.zeros(900), 16000)  # 6 frames: the encoder makes nothing of them
    out = command(good_dir, "--max-rejected", "50")
    assert reasons(out / "rejected.tsv") == {"a-1": Reason.NOT_MONO, "a-2": Reason.SHORT_FOR_TEXT}


def test_failure_leaves_the_features_that_were_there(good_dir):
    out = command(good_dir)
    before = contents(out)
    (good_dir.parent / "a-1.wav").unlink()
    with pytest.raises(UserError, match="missing-file"):
        command(good_dir)
    assert contents(out) == before


def test_folder_that_was_never_validated(good_dir):
    (good_dir / "text").write_text("a-0 hello\n")
    with pytest.raises(UserError, match="a-1 has no entry in .*text: run dualmode validate-data"):
        command(good_dir)


@pytest.mark.parametrize("speeds", ["fast", "0.9,0.9", "0.1", "1.0,", "nan"])
def test_impossible_speeds(good_dir, speeds):
    with pytest.raises(UserError, match="--speeds"):
        command(good_dir, "--speeds", speeds)


def test_a_feature_folder_may_be_a_link_to_another_disk(good_dir):
    disk, link = good_dir.parent / "disk", good_dir.parent / "dump"
    disk.mkdir()
    link.symlink_to(disk / "train")
    for _ in range(2):  # when it is not there yet, and when it is
        command(good_dir)
    assert link.is_symlink() and {path.name for path in disk.iterdir()} == {"train", ".train.lock"}
    assert len(dict(FeatureTable(link / "feats.scp"))) == len(read_table(good_dir / "wav.scp"))


def test_a_place_whose_name_is_not_utf8_is_refused_before_any_work(good_dir, monkeypatch):
    place = good_dir.parent / os.fsdecode(b"caf\xe9")
    place.mkdir()
    monkeypatch.chdir(place)
    for out in ("dump", str(place / "dump")):
        with pytest.raises(UserError, match=r"caf\\udce9/dump' is not UTF-8"):
            make_fbank.main(["--data", str(good_dir), "--out", out])
    assert list(place.iterdir()) == []


def test_output_over_the_data(good_dir):
    with pytest.raises(UserError, match="data folder itself"):
        make_fbank.main(["--data", str(good_dir), "--out", str(good_dir)])


def test_the_text_rule_that_would_help_is_named(good_dir, tokens, capsys):
    """Before any audio is read where the transcripts would be rejected, and with the warning where they are kept."""
    (good_dir / "text").write_text("a-0 Hello, world.\na-1 HELLO\na-2 hello world\na-3 WORLD 5\n")
    rule = "--text-rule plain of dualmode import-data would help: with it the token list covers 2 of 3 such transcripts"
    with pytest.raises(UserError, match=rf"3 of 4 utterances .*; {rule}$"):
        command(good_dir, "--tokens", tokens, "--max-rejected", "1")
    command(good_dir, "--tokens", tokens, "--unseen", "warn")
    assert rule in capsys.readouterr().out


def test_no_rule_is_named_where_none_helps(good_dir, tokens, capsys):
    (good_dir / "text").write_text("a-0 hello\na-1 hello\na-2 hello\na-3 world 5\n")
    command(good_dir, "--tokens", tokens, "--max-rejected", "60")
    assert "rejected" in (said := capsys.readouterr().out) and "--text-rule" not in said
